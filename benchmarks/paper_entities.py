"""The paper's ten entities beside ours.

    python -m benchmarks.paper_entities [--only student] [--teacher DIR] [--out FILE.json] [--markdown]

The paper's figures come from other records (two hospital departments) and other guides; they stand beside ours for
orientation and are not a comparison. Field values are scored on gold/dev; 舌象 (舌质 + 舌苔) and 脉象 as entities,
strict. VAS and wrist circumference hardly occur in the real records: they are measured on SYNTHETIC records that this
file writes from templates, none of which the packs were written with. The templates are split: errors may be read on
the first half, the figures come from the second.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from benchmarks.accuracy import (
    NotBuilt,
    cell,
    common_options,
    parse_systems,
    predictions,
    render,
    write_json,
)
from benchmarks.machine import describe_line, describe_machine
from tcmstruct.evaluation import evaluate, read_annotated
from tcmstruct.labels import GOLD_TYPES
from tcmstruct.record import FieldValue, StructuredRecord

Half = Literal["read", "scored"]

# {v} a score from 0 to 10; {d} and {D} other numbers of one and two digits
VAS: tuple[str, ...] = (
    "VAS评分{v}分", "疼痛VAS评分：{v}分", "VAS：{v}", "疼痛视觉模拟评分（VAS）{v}分",
    "NRS评分{v}分", "疼痛数字评分（NRS）为{v}分", "疼痛评分{v}分", "入院时VAS评分为{v}分",
    "VAS评分约{v}分", "静息时疼痛VAS {v}分", "疼痛程度按VAS评为{v}分", "疼痛评分（VAS法）：{v}分",
    "VAS疼痛评分{v}/10分", "NRS疼痛评分：{v}", "查VAS评分 {v} 分", "患处疼痛，VAS={v}分",
)
VAS_ABSENT: tuple[str, ...] = (
    "患者拒绝行VAS评分", "VAS评分未评", "疼痛评分待评估", "NRS2002营养风险筛查评分{d}分",
    "Barthel指数{D}分", "跌倒风险评分{d}分", "疼痛较前减轻，可忍受", "Wagner分级{d}级",
)
# {h} healthy side, {a} affected side, in centimetres; {k} and {K} larger lengths; with each the sides that it states
WRIST: tuple[tuple[str, str], ...] = (
    ("健侧腕关节周径{h}cm，患侧腕关节周径{a}cm", "ha"), ("健侧腕周径{h}cm，患侧腕周径{a}cm", "ha"),
    ("患侧腕关节周径{a}cm，健侧{h}cm", "ha"), ("腕关节周径：健侧{h}cm，患侧{a}cm", "ha"),
    ("腕周径患侧{a}厘米，健侧{h}厘米", "ha"), ("患侧腕关节周径为{a}cm", "a"),
    ("健侧腕关节周径约{h}cm", "h"), ("测量健侧腕关节周径{h} cm，患侧腕关节周径{a} cm", "ha"),
    ("腕关节周径（健侧）{h}cm，（患侧）{a}cm", "ha"), ("患侧腕部周径{a}cm，健侧腕部周径{h}cm", "ha"),
    ("健侧腕围{h}cm，患侧腕围{a}cm", "ha"), ("腕关节周径健侧/患侧：{h}cm/{a}cm", "ha"),
    ("健侧腕关节周径：{h}CM；患侧腕关节周径：{a}CM", "ha"), ("患侧腕关节周径较健侧增粗，患侧{a}cm，健侧{h}cm", "ha"),
)
WRIST_ABSENT: tuple[str, ...] = (
    "健侧膝关节周径{k}cm，患侧膝关节周径{K}cm", "患侧踝关节周径{k}cm", "腕关节背伸{D}°，掌屈{d}0°", "腕关节周径未测",
    "左前臂见{d}cm×1.5cm擦伤", "腰围{K}cm", "患侧上臂周径{k}cm",
)
OPENINGS: tuple[str, ...] = (
    "患者{d}天前跌倒时右手掌撑地，致右腕部肿痛", "患者{D}岁，外伤后左腕部疼痛、活动受限{d}小时",
    "因骑车摔伤致右腕畸形{d}小时由家人送来", "左腕关节反复酸痛{d}月，受凉后加重",
    "右桡骨远端骨折术后{d}周复诊", "患者搬重物后右腕扭伤{d}天", "主诉：左腕肿痛{d}天", "打球时扭伤左腕，局部肿胀{d}天",
)
SIGNS: tuple[str, ...] = (
    "局部肿胀，压痛（+），末梢血运可", "无麻木，手指活动可", "体温36.{d}℃，脉搏7{d}次/分", "皮肤完整，未见张力性水疱",
    "血压12{d}/7{d}mmHg", "桡动脉搏动可触及",
)
ENDINGS: tuple[str, ...] = (
    "舌淡红，苔薄白，脉弦", "舌质暗红，苔薄黄，脉弦涩", "纳眠可，二便调", "予手法复位、石膏外固定",
    "舌红，苔黄，脉数；治以活血化瘀，消肿止痛", "嘱抬高患肢，{d}天后复查",
)
N_SYNTHETIC = 200


def half_of(templates: Sequence[Any], half: Half) -> list[Any]:
    """Every second template: "read" those at even places, "scored" those at odd places."""
    return list(templates[0 if half == "read" else 1 :: 2])


def synthetic_records(half: Half = "scored", n: int = N_SYNTHETIC, seed: int = 0) -> list[StructuredRecord]:
    """Invented records with gold fields VAS评分, 健侧腕关节周径, 患侧腕关节周径, in about two thirds of them each.

    The others state nothing of the kind but hold numbers that look alike (another joint, another score).
    """
    rng = random.Random(f"{half}:{seed}")
    vas, no_vas, wrist, no_wrist, openings, signs, endings = (
        half_of(t, half) for t in (VAS, VAS_ABSENT, WRIST, WRIST_ABSENT, OPENINGS, SIGNS, ENDINGS))
    records = []
    for number in range(n):
        healthy = rng.randrange(140, 190) / 10
        numbers: dict[str, Any] = {"h": f"{healthy:g}", "a": f"{healthy + rng.randrange(3, 35) / 10:.1f}".removesuffix(".0"),
                                   "v": rng.choice([*map(str, range(11)), "3.5", "5.5", "6.5"])}
        values: dict[str, float] = {}
        parts = [rng.choice(openings), rng.choice(signs)]
        if rng.random() < 2 / 3:
            parts.append(rng.choice(vas))
            values["VAS评分"] = float(numbers["v"])
        if rng.random() < 1 / 3:
            parts.append(rng.choice(no_vas))
        if rng.random() < 2 / 3:
            template, sides = rng.choice(wrist)
            parts.append(template)
            values |= {f"{'健' if s == 'h' else '患'}侧腕关节周径": float(numbers[s]) for s in sides}
        if rng.random() < 1 / 3:
            parts.append(rng.choice(no_wrist))
        middle = parts[2:]
        rng.shuffle(middle)
        parts = [*parts[:2], *middle, rng.choice(endings)]
        text = "".join(p.format(**numbers, d=rng.randrange(2, 8), D=rng.randrange(25, 75), k=rng.randrange(22, 30),
                                K=rng.randrange(34, 60)) + "。" for p in parts)
        fields = {name: FieldValue(value, "", 0, 0) for name, value in values.items()}
        records.append(StructuredRecord(f"synthetic-{half}-{number:03d}", text, (), fields, "骨科"))
    return records


@dataclass(frozen=True)
class Row:
    """One entity of the paper.

    Attributes:
        name: as the paper has it. paper: its F1 in percent.
        field: our field whose values are scored, or "".
        types: types of our mentions that are scored (strict), where there is no field.
        synthetic: measured on synthetic records.
    """

    name: str
    paper: float
    field: str = ""
    types: tuple[str, ...] = ()
    synthetic: bool = False


ROWS: tuple[Row, ...] = (
    Row("便血颜色", 94.2, "便血颜色"), Row("肿物脱出", 93.8, "肛内肿物脱出"), Row("VAS评分", 95.6, "VAS评分", synthetic=True),
    Row("健侧腕周径", 95.1, "健侧腕关节周径", synthetic=True), Row("痰色", 92.5, "痰色"), Row("有无发热", 93.3, "有无发热"),
    Row("腹泻频次", 91.8, "腹泻频次"), Row("黏液脓血便", 92.1, "黏液脓血便"), Row("舌象", 88.7, types=("舌质", "舌苔")),
    Row("脉象", 87.5, types=("脉象",)),
)


def only_types(records: Sequence[StructuredRecord], types: Sequence[str]) -> list[StructuredRecord]:
    """The records with the mentions of these types alone, and without fields."""
    return [replace(r, entities=[m for m in r.entities if GOLD_TYPES.get(m.type) in types], fields={}) for r in records]


def rows_for(gold: Sequence[StructuredRecord], found: Sequence[StructuredRecord], synthetic: Sequence[StructuredRecord],
             found_synthetic: Sequence[StructuredRecord], n_boot: int = 1000) -> dict[str, dict[str, Any]]:
    """Entity → the paper's F1, ours with its interval, gold values, and what they come from."""
    real = evaluate(gold, found, count_all=True, n_boot=n_boot)
    made = evaluate(synthetic, found_synthetic, n_boot=n_boot)
    out = {}
    for row in ROWS:
        if row.types:
            own = only_types(gold, row.types)
            score = None
            if any(r.entities for r in own):
                score = evaluate(own, only_types(found, row.types), n_boot=n_boot).entities["strict"]
            basis = "gold/dev, entities " + " + ".join(row.types) + ", strict"
        else:
            result = made if row.synthetic else real
            score = result.fields.by_field.get(row.field) if result.fields else None
            basis = f"{len(synthetic)} SYNTHETIC records, field {row.field}" if row.synthetic else f"gold/dev, field {row.field}"
        f1 = None if score is None else [score.f1.value, score.f1.low, score.f1.high]
        out[row.name] = {"paper_f1": row.paper / 100, "f1": f1, "n_gold": score.n_gold if score else 0, "basis": basis}
    return out


def table_of(rows: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Head and lines."""
    return [["entity", "paper F1 (other data)", "ours", "n gold", "measured on"],
            *[[name, f"{r['paper_f1']:.3f}", cell(r["f1"]), str(r["n_gold"]), r["basis"]] for name, r in rows.items()]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_options(parser)
    parser.add_argument("--half", choices=("scored", "read"), default="scored", help="half of the synthetic templates")
    parser.set_defaults(only="student")
    arguments = parser.parse_args()
    if not (arguments.data / "gold" / "dev.jsonl").exists():
        raise SystemExit("the labelled records are not there: set TCMSTRUCT_DATA or give --data")
    train, gold = (read_annotated(arguments.data / "gold" / f"{split}.jsonl") for split in ("train", "dev"))
    made = synthetic_records(arguments.half)
    machine = describe_machine()
    print(f"{describe_line(machine)}\nThe paper's figures come from other data; n and intervals (95 %, document bootstrap) are ours.")
    figures: dict[str, Any] = {}
    for name, system in parse_systems(arguments).items():
        try:
            fit = system.clinical()
        except NotBuilt:
            print(f"\n{system.title}: not built")
            continue
        found = predictions(fit, train, [*gold, *made])
        figures[name] = rows_for(gold, found[: len(gold)], made, found[len(gold) :], arguments.n_boot)
        print(f"\n{'### ' if arguments.markdown else ''}{system.title}\n\n{render(table_of(figures[name]), arguments.markdown)}")
    if arguments.out:
        write_json(arguments.out, {"machine": machine, "half": arguments.half, "entities": figures})


if __name__ == "__main__":
    main()

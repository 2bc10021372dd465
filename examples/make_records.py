"""Writes `clinic.csv`, 300 **invented** records of three departments over twelve months: something to plot, no patient behind it.

    python examples/make_records.py [-o examples/clinic.csv] [--n 300] [--seed 2025]

Sentences are put together by chance from the tables below, so what stands together in them (a syndrome and its tongue) was put there by us.
"""

from __future__ import annotations

import argparse
import csv
import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
FIRST_DAY, DAYS = date(2025, 1, 1), 365
COLUMNS = ("病历号", "科室", "就诊日期", "性别", "年龄", "病历内容")


@dataclass(frozen=True)
class Kind:
    """A syndrome as these records have it.

    Attributes:
        months: how many of 12 visits fall into each quarter.
        findings: what is present, with its chance; what is not is denied with a chance of a third, otherwise not mentioned.
        tongue, pulse: spellings and their weights.
    """

    dept: str
    weight: int
    quarters: tuple[int, int, int, int]
    chief: tuple[str, ...]
    findings: dict[str, float]
    tongue: dict[str, int]
    pulse: dict[str, int]


SYNDROMES: dict[str, Kind] = {
    "痰热壅肺": Kind("呼吸内科", 5, (5, 2, 2, 3), ("咳嗽气喘", "咳嗽、咳黄痰"),
                 {"咳黄痰，质黏": 0.9, "气喘": 0.5, "发热": 0.5, "口干": 0.6, "胸闷": 0.4},
                 {"舌质红，苔黄腻": 7, "舌红，苔黄": 3, "舌暗红，苔黄腻": 2}, {"脉滑数": 7, "脉弦滑": 3}),
    "风寒袭肺": Kind("呼吸内科", 4, (5, 1, 1, 5), ("咳嗽", "恶寒咳嗽"),
                 {"咳白痰，质稀": 0.8, "头痛": 0.5, "乏力": 0.3, "发热": 0.2, "气喘": 0.2},
                 {"舌淡红，苔薄白": 8, "舌淡，苔白": 2}, {"脉浮紧": 8, "脉浮": 2}),
    "肺脾气虚": Kind("呼吸内科", 4, (3, 3, 3, 3), ("反复咳嗽", "动则气短"),
                 {"咳白痰，量少": 0.6, "乏力": 0.9, "气喘": 0.5, "胸闷": 0.3},
                 {"舌淡，边有齿痕，苔薄白": 6, "舌淡胖，苔白": 4}, {"脉细弱": 6, "脉沉细": 3}),
    "脾胃湿热": Kind("消化内科", 5, (2, 3, 5, 2), ("胃脘胀满", "上腹部灼痛"),
                 {"口苦": 0.7, "口干": 0.5, "反酸": 0.6, "恶心": 0.4, "腹胀": 0.6, "嗳气": 0.4},
                 {"舌红，苔黄腻": 8, "舌质红，苔黄厚腻": 3}, {"脉滑数": 5, "脉濡数": 3, "脉弦滑": 2}),
    "脾胃气虚": Kind("消化内科", 5, (3, 3, 3, 3), ("胃脘隐痛", "食后腹胀"),
                 {"乏力": 0.8, "腹胀": 0.6, "腹泻": 0.4, "嗳气": 0.3, "头晕": 0.3},
                 {"舌淡，边有齿痕，苔薄白": 6, "舌淡，苔白": 4, "舌淡胖，苔白腻": 2}, {"脉细弱": 6, "脉缓弱": 3}),
    "肝胃不和": Kind("消化内科", 4, (3, 3, 3, 3), ("胃脘胀痛连胁", "嗳气频作"),
                 {"嗳气": 0.9, "反酸": 0.6, "口苦": 0.4, "恶心": 0.3, "腹痛": 0.4},
                 {"舌淡红，苔薄白": 6, "舌红，苔薄黄": 4}, {"脉弦": 8, "脉弦细": 3}),
    "气滞血瘀": Kind("骨科", 5, (3, 3, 3, 3), ("跌倒后左腕部肿痛", "扭伤后右踝部肿痛", "摔伤后右腕部肿痛"),
                 {"肿胀": 0.95, "活动受限": 0.9, "麻木": 0.2},
                 {"舌暗，有瘀点，苔薄白": 6, "舌紫暗，苔薄白": 4, "舌质暗红，苔薄黄": 2}, {"脉弦涩": 6, "脉弦": 4}),
    "肝肾亏虚": Kind("骨科", 4, (3, 3, 3, 3), ("腰膝酸痛", "双膝疼痛"),
                 {"活动受限": 0.5, "麻木": 0.4, "乏力": 0.5, "头晕": 0.3},
                 {"舌红，少苔": 5, "舌淡红，苔薄白": 4}, {"脉沉细": 6, "脉细数": 3}),
}
DENIED = ("发热", "头痛", "头晕", "恶心", "呕吐", "腹痛", "胸痛", "咯血", "黑便", "麻木")
APPETITE = {"纳可": 5, "纳食一般": 3, "纳差": 4}
SLEEP = {"夜寐安": 5, "睡眠尚可": 3, "夜寐欠佳": 4}
STOOL = {"大便日行1次，质软": 6, "大便2日1行，质干": 3, "大便每日2-3次，质稀": 3, "大便正常": 3}
URINE = {"小便调": 5, "小便正常": 3, "小便黄": 3}


def drawn(rng: random.Random, weights: dict[str, int]) -> str:
    """A key by its weight."""
    return rng.choices(list(weights), list(weights.values()))[0]


def record(rng: random.Random, number: int) -> tuple[str, ...]:
    """One row of `COLUMNS`."""
    syndrome = rng.choices(list(SYNDROMES), [kind.weight for kind in SYNDROMES.values()])[0]
    kind = SYNDROMES[syndrome]
    quarter = rng.choices(range(4), kind.quarters)[0]
    day = FIRST_DAY + timedelta(days=quarter * DAYS // 4 + rng.randrange(DAYS // 4))
    present = [name for name, chance in kind.findings.items() if rng.random() < chance]
    said = "".join(present)
    denied = [f"无{name}" for name in DENIED if name not in said and rng.random() < 1 / 3]
    sentences = [f"患者{rng.choice(kind.chief)}{rng.randint(1, 14)}{rng.choice('天周')}", f"刻下：{'，'.join(present)}" if present else "",
                 "，".join(denied)]
    if "发热" in present:
        sentences.append(f"体温{rng.gauss(38.3, 0.5):.1f}℃")
    if kind.dept == "骨科" and rng.random() < 0.9:
        sentences.append(f"VAS评分{min(9, max(1, round(rng.gauss(5, 1.6))))}分")
    sentences.append("，".join(drawn(rng, part) for part in (APPETITE, SLEEP, STOOL, URINE) if rng.random() < 0.85))
    if rng.random() < 0.93:
        sentences.append(f"{drawn(rng, kind.tongue)}，{drawn(rng, kind.pulse)}")
    if rng.random() < 0.95:
        sentences.append(f"证属{syndrome}证")
    text = "。".join(one for one in sentences if one) + "。"
    return (f"XN{number:04}", kind.dept, day.isoformat(), rng.choice("男女"), str(rng.randint(18, 85)), text)


def make(n: int, seed: int) -> list[tuple[str, ...]]:
    """n invented records in the order of their dates; the same seed gives the same ones."""
    rng = random.Random(seed)
    return sorted((record(rng, number) for number in range(1, n + 1)), key=lambda row: (row[2], row[0]))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("-o", "--out", type=Path, default=HERE / "clinic.csv")
    arguments.add_argument("--n", type=int, default=300)
    arguments.add_argument("--seed", type=int, default=2025)
    given = arguments.parse_args()
    with given.out.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(make(given.n, given.seed))
    print(f"{given.n} invented records in {given.out}")


if __name__ == "__main__":
    main()

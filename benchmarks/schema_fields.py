"""Field values of the shipped packs on the gold records, in three modes.

    python benchmarks/schema_fields.py [--split train] [--part all] [--by-field] [--errors FIELD]

Modes: `oracle` (the gold mentions), `noisy` (8 % of the mentions dropped, 5 % of their borders moved by one
character, 4 % of the statuses changed, fixed seed), `none` (no mentions: lexicon and grammar alone).
A field is right iff its value is equal: lists as sets, numbers as numbers. Reads $TCMSTRUCT_DATA.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from tcmstruct.record import Mention
from tcmstruct.schema import Schema, load_schema

TYPES = {"症状": "症状体征", "中医诊断": "证候", "治疗": "其他疗法"}
STYLES = {"tcmchat": "in-patient", "tcmeval_sdt": "published", "best4sdt": "outpatient"}
MODES = ("oracle", "noisy", "none")


def records(split: str) -> list[dict[str, Any]]:
    root = Path(os.environ.get("TCMSTRUCT_DATA", Path(__file__).parents[2] / "shared" / "data"))
    with open(root / "gold" / f"{split}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def part(identity: str) -> str:
    """A (two thirds, errors are read there) or B (one third, only scored)."""
    return "B" if int(hashlib.sha256(identity.encode()).hexdigest(), 16) % 3 == 0 else "A"


def mentions(record: dict[str, Any], mode: str, seed: int = 7) -> list[Mention]:
    if mode == "none":
        return []
    gold = [Mention(TYPES.get(e["type"], e["type"]), e["start"], e["end"], e.get("status")) for e in record["entities"]]
    if mode == "oracle":
        return gold
    dice = random.Random(f"{seed}:{record['id']}")
    out = []
    for m in gold:
        if dice.random() < 0.08:
            continue
        start, end, status = m.start, m.end, m.status
        if dice.random() < 0.05:
            start = max(0, min(end - 1, start + dice.choice((-1, 1))))
        if dice.random() < 0.05:
            end = min(len(record["text"]), max(start + 1, end + dice.choice((-1, 1))))
        if status and dice.random() < 0.04:
            status = dice.choice([s for s in ("有", "无", "既往") if s != status])
        out.append(Mention(m.type, start, end, status))
    return out


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list) or isinstance(b, list):
        return set(a if isinstance(a, list) else [a]) == set(b if isinstance(b, list) else [b])
    try:
        return float(a) == float(b)
    except (TypeError, ValueError):
        return a == b


def score(rows: Iterable[tuple[dict[str, Any], dict[str, Any]]]) -> dict[str, list[int]]:
    """name → [right, predicted, gold]."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for gold, predicted in rows:
        for name in gold.keys() | predicted.keys():
            cell = counts[name]
            cell[1] += name in predicted
            cell[2] += name in gold
            cell[0] += name in gold and name in predicted and same(gold[name], predicted[name])
    return counts


def f1(cell: Sequence[int]) -> float:
    return 2 * cell[0] / (cell[1] + cell[2]) if cell[1] + cell[2] else 1.0


def summary(counts: dict[str, list[int]]) -> tuple[float, float]:
    """Micro-F1, and macro-F1 over the fields with five or more gold values."""
    total = [sum(cell[i] for cell in counts.values()) for i in range(3)]
    large = [f1(cell) for cell in counts.values() if cell[2] >= 5]
    return f1(total), sum(large) / len(large) if large else 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="train")
    parser.add_argument("--part", default="all", choices=("all", "A", "B"))
    parser.add_argument("--by-field", action="store_true")
    parser.add_argument("--errors", default="", help="print the errors of a field ('all' for every field)")
    parser.add_argument("--mode", default="none", choices=MODES, help="mode of --errors and --by-field")
    parser.add_argument("--style", default="", help="tcmchat, tcmeval_sdt or best4sdt")
    arguments = parser.parse_args()
    schema: Schema = load_schema("all")
    rows = [r for r in records(arguments.split) if arguments.part in ("all", part(r["id"]))]
    rows = [r for r in rows if arguments.style in ("", r["source"])]
    gold = [{name: v["value"] for name, v in r["fields"].items()} for r in rows]
    results: dict[str, list[dict[str, Any]]] = {}
    began = time.process_time()
    for mode in MODES:
        results[mode] = [{n: v.value for n, v in schema.extract(r["text"], mentions(r, mode)).items()} for r in rows]
    took = (time.process_time() - began) / (3 * len(rows))
    print(f"{len(rows)} records of {arguments.split} (part {arguments.part}), {took * 1e3:.2f} ms of processor time "
          "a record", file=sys.stderr)
    print(f"{'style':12s}" + "".join(f"{mode + ' micro':>15s}{'macro':>8s}" for mode in MODES))
    for source, style in [*STYLES.items(), ("", "all")]:
        chosen = [i for i, r in enumerate(rows) if r["source"] == source or not source]
        if chosen:
            cells = [summary(score((gold[i], results[mode][i]) for i in chosen)) for mode in MODES]
            print(f"{style:12s}" + "".join(f"{micro:15.4f}{macro:8.4f}" for micro, macro in cells))
    if arguments.by_field:
        per_mode = {mode: score(zip(gold, results[mode], strict=True)) for mode in MODES}
        print(f"\n{'field':12s}{'gold':>6s}" + "".join(f"{mode:>10s}" for mode in MODES)
              + f"   {arguments.mode}: missed, invented, wrong")
        for name in sorted(schema.fields, key=lambda n: f1(per_mode[arguments.mode][n])):
            kinds = Counter()
            for g, p in zip(gold, results[arguments.mode], strict=True):
                if name in g and name not in p:
                    kinds["FN"] += 1
                elif name in p and name not in g:
                    kinds["FP"] += 1
                elif name in p and not same(g[name], p[name]):
                    kinds["wrong"] += 1
            scores = "".join(f"{f1(per_mode[mode][name]):10.3f}" for mode in MODES)
            print(f"{name:12s}{per_mode['oracle'][name][2]:6d}{scores}   {kinds['FN']} {kinds['FP']} {kinds['wrong']}")
    if arguments.errors:
        errors(schema, rows, gold, arguments)


def errors(schema: Schema, rows: list[dict[str, Any]], gold: list[dict[str, Any]],
           arguments: argparse.Namespace) -> None:
    """Prints the errors with their surroundings; for development beside the data, never for logs."""
    for r, g in zip(rows, gold, strict=True):
        found = schema.extract(r["text"], mentions(r, arguments.mode))
        for name in schema.fields:
            if arguments.errors not in ("all", name):
                continue
            p = found.get(name)
            if (name in g) == (p is not None) and (p is None or same(g[name], p.value)):
                continue
            said = ""
            if name in g:
                said = around(r["text"], r["fields"][name]["start"], r["fields"][name]["end"])
            ours = "" if p is None else around(r["text"], p.start, p.end)
            print(f"{r['id']:7s} {name} gold={g.get(name, '-')} ours={p.value if p else '-'} G:{said!r} O:{ours!r}")


def around(text: str, start: int, end: int) -> str:
    return f"{text[max(0, start - 15) : start]}[{text[start:end]}]{text[end : end + 10]}"


if __name__ == "__main__":
    main()

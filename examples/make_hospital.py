"""Writes `hospital/`, **invented** records of a hospital with its own way to write: whether a finding is there stands after it, as Y or N.

    python examples/make_hospital.py [-o examples/hospital]

`records.csv` has no labels, `gold.jsonl` and `judge.jsonl` have. No patient stands behind any of them. See adapt_hospital.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
FINDINGS = ("咳嗽", "咳痰", "气喘", "胸闷", "发热", "恶寒", "头痛", "头晕", "恶心", "呕吐", "腹胀", "腹痛", "反酸", "嗳气", "口干", "口苦",
            "乏力", "心悸", "麻木", "水肿", "自汗", "盗汗", "耳鸣", "腰痛", "便血")
TONGUES = ("舌质红", "舌淡红", "舌暗红", "舌淡胖", "舌质紫暗")
COATINGS = ("苔薄白", "苔黄腻", "苔白厚", "苔薄黄", "少苔")
PULSES = ("脉弦", "脉滑数", "脉细弱", "脉沉细", "脉弦滑")
FILES = {"records.csv": (120, 1), "gold.jsonl": (50, 2), "judge.jsonl": (40, 3)}
"""File → number of records, seed."""


def record(rng: random.Random, number: int) -> dict[str, Any]:
    """One record with its labels: type, place and status of each mention."""
    text, entities = f"（虚构）第{number}号。", []

    def say(words: str, kind: str, after: str = "", status: str | None = None) -> None:
        nonlocal text
        one = {"type": kind, "start": len(text), "end": len(text) + len(words), "text": words}
        entities.append({**one, "status": status} if status else one)
        text += words + after

    present = rng.sample(FINDINGS, rng.randint(5, 9))
    for finding in present:
        there = rng.random() < 0.5
        say(finding, "症状", f" {'Y' if there else 'N'}，", "有" if there else "无")
    text = text[:-1] + f"。病程{rng.randint(1, 30)}{rng.choice('天周')}。"
    say(rng.choice(TONGUES), "舌质", "，")
    say(rng.choice(COATINGS), "舌苔", "，")
    say(rng.choice(PULSES), "脉象", "。")
    return {"id": f"YN{number:04}", "dept": "内科", "source": "invented", "text": text, "entities": entities}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("-o", "--out", type=Path, default=HERE / "hospital")
    out = arguments.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name, (n, seed) in FILES.items():
        rng = random.Random(seed)
        rows = [record(rng, 1000 * seed + k) for k in range(n)]
        with (out / name).open("w", encoding="utf-8-sig" if name.endswith("csv") else "utf-8", newline="") as file:
            if name.endswith("csv"):
                csv.writer(file).writerows([("病历号", "科室", "病历内容"), *((r["id"], r["dept"], r["text"]) for r in rows)])
            else:
                file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"invented records in {out}: " + ", ".join(f"{n} {name}" for name, (n, _) in FILES.items()))


if __name__ == "__main__":
    main()

"""A data folder of a few dozen invented cases, in the shape of the real one (docs/suggestions.md)."""

from __future__ import annotations

import json
import random
from pathlib import Path

KINDS = {
    "混合痔": ("湿热下注证", ["便时出血", "肛门坠胀", "肿物脱出", "大便干结", "肛门灼热", "小便黄"]),
    "中风病": ("气虚血瘀证", ["左侧肢体无力", "言语含糊", "口角歪斜", "气短懒言", "神疲乏力", "面色无华"]),
}
SIDE = ["夜寐一般", "纳可", "无发热", "无头痛", "二便尚调", "精神可", "既往体健", "无手术史", "近日受凉", "久坐"]


def drawn_case(i: int) -> dict:
    """An invented in-patient case; even ones have 混合痔, odd ones 中风病. It tells its diagnosis, as charts do."""
    draw = random.Random(i)
    disease = list(KINDS)[i % 2]
    syndrome, findings = KINDS[disease]
    said = draw.sample(findings, 4) + draw.sample(SIDE, 5)
    draw.shuffle(said)
    text = f"病史{i}日，" + "，".join(said) + f"。中医诊断：{disease}，{syndrome}。"
    return {"id": f"made-{i}", "text": text, "tcm_dx": disease, "syndrome": syndrome, "source": "made up"}


def case_folder(place: Path, n: int = 60) -> Path:
    """Writes `records/*.jsonl` into `place` and returns it."""
    (place / "records").mkdir(parents=True)
    rows = {"inpatient": [drawn_case(i) for i in range(n)], "outpatient_cases": [], "published_cases": []}
    for name, cases in rows.items():
        lines = (json.dumps(case, ensure_ascii=False) + "\n" for case in cases)
        (place / "records" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    return place

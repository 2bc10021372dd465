"""Invented records with labels of all types, in characters that the tiny tagger knows; being drawn at random, it reads them wrongly."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

PIECES: tuple[tuple[str, str, str, str | None], ...] = (
    ("舌淡红", "舌质", "舌淡红", None), ("舌红", "舌质", "舌红", None),
    ("苔薄白", "舌苔", "苔薄白", None), ("苔黄", "舌苔", "苔黄", None),
    ("脉弦", "脉象", "脉弦", None), ("哮喘", "中医诊断", "哮喘", None),
    ("冠状动脉病", "西医诊断", "冠状动脉病", None),
    ("口服丹参", "治疗", "丹参", None),
    ("咳嗽三天", "症状", "咳嗽", "有"), ("痰黄", "症状", "痰黄", "有"), ("无发热", "症状", "发热", "无"),
)
"""(words, type, the labelled part, status)"""


def record(number: int, rng: random.Random, types: tuple[str, ...] = ()) -> dict[str, Any]:
    """One record; `types` labels these alone."""
    text, entities = "", []
    for words, kind, part, status in rng.sample(PIECES, rng.randint(4, 7)):
        start = len(text) + words.index(part)
        if not types or kind in types:
            one = {"type": kind, "start": start, "end": start + len(part), "text": part}
            entities.append({**one, "status": status} if status else one)
        text += words + rng.choice("，。")
    return {"id": f"r{number}", "text": text + "三天" * (number % 3) + "。" * (number // 3 % 4), "entities": entities}


def write(path: Path, n: int = 40, seed: int = 0, types: tuple[str, ...] = (), first: int = 0) -> Path:
    """Gold JSON Lines of `n` records, numbered from `first`."""
    rng = random.Random(seed)
    path.write_text("".join(json.dumps(record(first + k, rng, types), ensure_ascii=False) + "\n" for k in range(n)), "utf-8")
    return path

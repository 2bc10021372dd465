"""When two field values are the same."""

from __future__ import annotations

import re

from tcmstruct.record import FieldValue, Value

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?", re.ASCII)


def canonical(value: Value) -> frozenset[str | float]:
    """The set that a value stands for: order and repetition of a list, and the writing of a number, do not matter.

    A single value equals a list of that one value; `3`, `3.0` and `"3.0"` are one number (nine significant digits
    are compared); any other text (有, 鲜红, the frequency 3-4/1) stands for itself.
    """
    items = value if isinstance(value, list | tuple | set | frozenset) else [value]
    return frozenset(_scalar(item) for item in items)


def _scalar(item: str | float) -> str | float:
    if isinstance(item, bool):
        return str(item)
    if isinstance(item, str):
        item = item.strip()
        if not _NUMBER.fullmatch(item):
            return item
    return float(f"{float(item):.9g}")


def same_value(gold: FieldValue, pred: FieldValue) -> bool:
    """True where both hold the same value; units count only where both name one."""
    if gold.unit and pred.unit and gold.unit != pred.unit:
        return False
    return canonical(gold.value) == canonical(pred.value)


def evidence_overlaps(gold: FieldValue, pred: FieldValue) -> bool:
    """True where the two evidence spans share at least one character; False where either has no place in the text."""
    places = (gold.start, gold.end, pred.start, pred.end)
    if not all(isinstance(place, int) for place in places):
        return False
    return max(gold.start, pred.start, 0) < min(gold.end, pred.end)

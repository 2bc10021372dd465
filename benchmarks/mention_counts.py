"""How many mentions are right, by record: what F1 and its intervals are drawn from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def mention_counts(records: Iterable[Mapping[str, Any]], read: Callable[[str], Sequence[Mapping[str, Any]]]) -> list[list[int]]:
    """Of each record: mentions that are right in type, offsets and status, those of gold, those told by `read`."""
    out = []
    for record in records:
        gold, told = (_keys(found) for found in (record["entities"], read(record["text"])))
        out.append([len(gold & told), len(gold), len(told)])
    return out


def _keys(mentions: Sequence[Mapping[str, Any]]) -> set[tuple[Any, ...]]:
    return {(m["type"], m["start"], m["end"], m.get("status")) for m in mentions}

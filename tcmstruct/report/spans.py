"""Splits a text at every boundary of its mentions and evidences, so that overlaps and nesting are shown truly."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

MAX_LANES = 5
"""Underlines stacked under one another; deeper overlaps share the last lane."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of the text that the same mentions and evidences cover.

    Attributes:
        start, end: code points of the text.
        mentions: indices of the covering mentions, the outermost (highest lane) first.
        fields: indices of the covering evidences, ascending.
    """

    start: int
    end: int
    mentions: tuple[int, ...] = ()
    fields: tuple[int, ...] = ()


def placed(start: object, end: object, length: int) -> bool:
    """Whether `[start, end)` is a non-empty span inside a text of `length` code points."""
    whole = all(isinstance(at, int) and not isinstance(at, bool) for at in (start, end))
    return whole and 0 <= start < end <= length  # type: ignore[operator]


def lanes(spans: Sequence[tuple[int, int]]) -> list[int]:
    """Lane of each span: spans that overlap get different lanes, shorter ones the lanes nearer the text.

    Interval colouring, shortest first; O(n log n) for each lane.
    """
    taken: list[list[tuple[int, int]]] = [[] for _ in range(MAX_LANES)]
    out = [MAX_LANES - 1] * len(spans)
    for i in sorted(range(len(spans)), key=lambda i: (spans[i][1] - spans[i][0], spans[i], i)):
        start, end = spans[i]
        for lane, busy in enumerate(taken):
            at = bisect_left(busy, (start, end))
            free = (at == 0 or busy[at - 1][1] <= start) and (at == len(busy) or busy[at][0] >= end)
            if free:
                insort(busy, (start, end))
                out[i] = lane
                break
    return out


def split(length: int, mentions: Sequence[tuple[int, int]], fields: Sequence[tuple[int, int]] = ()) -> list[Segment]:
    """Segments that cover `[0, length)` without gap or overlap.

    Args:
        length: code points of the text.
        mentions: placed spans of the mentions.
        fields: placed spans of the fields' evidences.

    Raises:
        ValueError: a span is empty or outside the text.
    """
    if not all(placed(*span, length) for span in (*mentions, *fields)):
        raise ValueError("a span is empty or lies outside the text")
    lane = lanes(mentions)
    opens: dict[int, list[tuple[int, int]]] = {}
    closes: dict[int, list[tuple[int, int]]] = {}
    for kind, spans in enumerate((mentions, fields)):
        for i, (start, end) in enumerate(spans):
            opens.setdefault(start, []).append((kind, i))
            closes.setdefault(end, []).append((kind, i))
    cuts = sorted({0, length, *opens, *closes})
    active: tuple[set[int], set[int]] = (set(), set())
    out = []
    for start, end in pairwise(cuts):
        for kind, i in closes.get(start, ()):
            active[kind].discard(i)
        for kind, i in opens.get(start, ()):
            active[kind].add(i)
        outer_first = tuple(sorted(active[0], key=lambda i: (-lane[i], i)))
        out.append(Segment(start, end, outer_first, tuple(sorted(active[1]))))
    return out

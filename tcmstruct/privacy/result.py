"""What de-identification gives back: the new text, what was replaced, and the way between the two texts' offsets."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

KINDS: Mapping[str, str] = {
    "patient": "姓名", "relative": "姓名", "staff": "姓名", "id_card": "证件", "phone": "电话", "address": "地址", "workplace": "单位",
    "record_number": "编号", "bed": "床号", "date": "日期", "hospital": "医院", "email": "邮箱", "account": "账号", "plate": "车牌",
    "bank_card": "卡号",
}
"""Kind of what is replaced → the word that stands in its place, `[姓名-7KQ2MX4B]`. All three kinds of person share one, so that
a person keeps the pseudonym whatever the role."""

DATES: tuple[str, ...] = ("shift", "cut", "keep")
"""What happens to dates: moved by a constant of the patient, cut to year and month, or kept."""

Side = Literal["start", "end"]


@dataclass(frozen=True, slots=True)
class Replaced:
    """One replaced piece; holds no text.

    Attributes:
        kind: one of `KINDS`.
        start, end: code points of the old text.
        new_start, new_end: code points of the new text.
    """

    kind: str
    start: int
    end: int
    new_start: int
    new_end: int


@dataclass(frozen=True, slots=True)
class DeidentifiedText:
    """A text without what names a person.

    Attributes:
        text: the new text.
        replaced: in order, none overlapping.
    """

    text: str
    replaced: Sequence[Replaced] = ()
    _starts: tuple[Sequence[int], Sequence[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_starts", ([r.start for r in self.replaced], [r.new_start for r in self.replaced]))

    def to_new(self, offset: int, side: Side = "start") -> int:
        """The place in the new text of an offset of the old one.

        Between replaced pieces the answer is exact, and `to_original` leads back. An offset inside of a piece has no
        counterpart: it goes to the beginning of what replaced it (`side="start"`) or to its end (`side="end"`), so that
        a span that touches a piece holds the whole replacement.
        """
        return self._moved(offset, side, 0)

    def to_original(self, offset: int, side: Side = "start") -> int:
        """The place in the old text of an offset of the new one; inside of a replacement as for `to_new`."""
        return self._moved(offset, side, 1)

    def _moved(self, offset: int, side: Side, way: int) -> int:
        number = bisect_right(self._starts[way], offset) - 1
        if number < 0:
            return offset
        piece = self.replaced[number]
        old, new = (piece.start, piece.end), (piece.new_start, piece.new_end)
        here, there = (old, new) if way == 0 else (new, old)
        if offset >= here[1]:
            return offset - here[1] + there[1]
        return there[0] if offset == here[0] or side == "start" else there[1]

    def counts(self) -> dict[str, int]:
        """How many pieces of each kind were replaced, in the order of `KINDS`."""
        found = dict.fromkeys(KINDS, 0)
        for piece in self.replaced:
            found[piece.kind] += 1
        return {kind: n for kind, n in found.items() if n}

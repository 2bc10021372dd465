"""Small cells: a count of under five people could point at one of them, so a page that may leave the house does not show it.

Statistical disclosure control (Hundepool and others, *Statistical Disclosure Control*, 2012): a small count is withheld (primary
suppression), and where the rest of a row would give it away, a second one is (secondary suppression). One row is looked at; what can be
worked out from several tables together is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

LIMIT = 5
"""The smallest count that is shown. Zero is shown: it is nobody."""


def share(part: float, whole: float) -> float:
    """part / whole, 0 where there is nothing."""
    return part / whole if whole else 0.0


def percent(part: float, whole: float) -> str:
    """A share for people: 0 %, <0.1 %, 12.3 %, >99.9 %, 100 %; "–" of nothing."""
    if not whole:
        return "–"
    value = 100 * part / whole
    if 0 < value < 0.1:
        return "<0.1%"
    if 99.9 < value < 100:
        return ">99.9%"
    return f"{value:.1f}%".replace(".0%", "%")


@dataclass(frozen=True, slots=True)
class Cell:
    """A count as it is shown.

    Attributes:
        n: what may be drawn: the count, or the bound that is told in its place.
        sign: "" the count itself, "<" it is below `n`, "≥" it is at least `n`, "–" nothing is told.
    """

    n: int
    sign: str = ""

    @property
    def text(self) -> str:
        return self.sign if self.sign == "–" else f"{self.sign}{self.n:,}"

    @property
    def drawn(self) -> int:
        """Length of a bar; a count that is withheld has none."""
        return 0 if self.small else self.n

    @property
    def small(self) -> bool:
        return self.sign in ("<", "–")

    def of(self, whole: Cell | int) -> str:
        """The share as it may be told; "–" where it would give a withheld count away."""
        if isinstance(whole, Cell):
            if whole.sign:
                return "–"
            whole = whole.n
        if self.sign == "–" or (self.sign == "<" and 10 * self.n > whole):  # a bound so wide says nothing
            return "–"
        told = percent(min(self.n, whole), whole)
        return told if not self.sign or told == "–" else self.sign + told.lstrip("<>")


class Cells:
    """Decides what is shown of counts.

    Args:
        identified: everything is.
    """

    def __init__(self, identified: bool = False) -> None:
        self.identified = identified

    def one(self, n: int) -> Cell:
        """A count by itself."""
        return Cell(LIMIT, "<") if 0 < n < LIMIT and not self.identified else Cell(n)

    def ordered(self, counts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
        """The commonest first; those that are withheld by their names, for their order would compare them."""
        return sorted(counts, key=lambda kv: (-self.one(kv[1]).drawn, kv[0]))

    def stated(self, n: int, records: int) -> tuple[Cell, Cell]:
        """Records that state a field, and those that do not: silence is no value, and is withheld only where it gives the other away."""
        said = self.one(n)
        return said, Cell(max(0, records - LIMIT + 1), "≥") if said.small else Cell(records - n)

    def parts(self, counts: Sequence[int]) -> list[Cell]:
        """Counts that exclude each other and whose sum is known to the reader.

        Beside small counts another one is told as a bound (the smallest that will do, or where none does, several), so that the sum
        leaves more than one possibility for every small one; where the row is too short for that, none of it is told.
        """
        cells = [self.one(n) for n in counts]
        small = [i for i, cell in enumerate(cells) if cell.small]
        others = sorted((i for i, n in enumerate(counts) if n and i not in small), key=lambda i: counts[i])
        rows = ([*small, *more] for more in ([], *([i] for i in others), *(others[:n] for n in range(2, len(others) + 1))))
        hidden = next((row for row in rows if _vague(len(small), len(row) - len(small), sum(counts[i] for i in row))), None)
        if not small or sum(counts) < LIMIT or (hidden is None and len(small) + len(others) == 1):
            return cells  # of so few the sum is withheld too
        if hidden is None:
            return [Cell(0, "–") if n else cell for n, cell in zip(counts, cells, strict=True)]
        for i in hidden[len(small) :]:  # one alone can be told as closely as it follows from the rest in any case
            alone = len(hidden) == len(small) + 1
            cells[i] = Cell(max(LIMIT, sum(counts[j] for j in hidden) - (LIMIT - 1) * len(small)) if alone else LIMIT, "≥")
        return cells


def _vague(small: int, large: int, whole: int) -> bool:
    """Whether a small count, one of `small` (1 to 4 each) beside `large` others (5 or more each), may be more than one figure."""
    most = min(LIMIT - 1, whole - (small - 1) - LIMIT * large)
    least = 1 if large else max(1, whole - (LIMIT - 1) * (small - 1))
    return most > least

"""Counts of under five are not told, and do not follow from what is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcmstruct.report.cells import LIMIT, Cell, Cells

CELLS = Cells()


def told(counts):
    return [cell.text for cell in CELLS.parts(counts)]


@pytest.mark.parametrize(("n", "text"), [(0, "0"), (1, "<5"), (4, "<5"), (5, "5"), (1234, "1,234")])
def test_a_small_count_is_withheld_and_nobody_is_told(n, text):
    assert CELLS.one(n).text == text


@pytest.mark.parametrize(("counts", "texts"), [
    ((10, 20), ["10", "20"]),
    ((3, 97), ["<5", "≥96"]),  # 100 in all: 97 would give the 3 away
    ((2, 3, 95), ["<5", "<5", "95"]),  # 5 in two cells: 1 to 4 each
    ((1, 1, 98), ["<5", "<5", "≥92"]),  # 2 in two cells would be one each
    ((4, 4, 50, 42), ["<5", "<5", "50", "≥42"]),
    ((1, 5, 5, 60), ["<5", "5", "5", "≥57"]),  # beside a 5 the 1 would follow
    ((1, 5, 6), ["<5", "5", "≥5"]),
    ((1, 5, 5), ["–", "–", "–"]),
    ((1, 5), ["–", "–"]),  # 6 in all: at least five beside it would leave one
    ((3,), ["<5"]),
    ((3, 0), ["<5", "0"]),
])
def test_what_would_give_a_small_count_away_is_a_bound(counts, texts):
    assert told(counts) == texts


@given(st.lists(st.integers(0, 40), min_size=2, max_size=5))
def test_a_withheld_count_is_never_the_only_one_that_fits(counts):
    cells = CELLS.parts(counts)
    small = [i for i, cell in enumerate(cells) if cell.sign == "<"]
    bounds = [cell for cell in cells if cell.sign == "≥"]
    if len(small) + len(bounds) < 2 or sum(counts) < LIMIT:
        return  # the whole is withheld too
    left = sum(counts) - sum(cell.n for cell in cells if not cell.sign)
    most = min(LIMIT - 1, left - (len(small) - 1) - LIMIT * len(bounds))
    least = 1 if bounds else max(1, left - (LIMIT - 1) * (len(small) - 1))
    assert not small or least < most
    assert all(cell.n <= n for cell, n in zip(cells, counts, strict=True) if cell.sign == "≥")


def test_identified_tells_all():
    assert [cell.text for cell in Cells(identified=True).parts((1, 5, 99))] == ["1", "5", "99"]


def test_silence_is_told_unless_it_gives_a_count_away():
    assert [cell.text for cell in CELLS.stated(98, 100)] == ["98", "2"]
    assert [cell.text for cell in CELLS.stated(2, 100)] == ["<5", "≥96"]


@pytest.mark.parametrize(("cell", "whole", "text"), [
    (Cell(10), 40, "25%"), (Cell(5, "<"), 100, "<5%"), (Cell(96, "≥"), 100, "≥96%"), (Cell(3), Cell(5, "<"), "–"), (Cell(0, "–"), 9, "–"),
    (Cell(0), 0, "–"), (Cell(5, "<"), 49, "–")])
def test_shares_follow_their_counts(cell, whole, text):
    assert cell.of(whole) == text

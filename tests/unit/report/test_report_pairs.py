"""Syndromes beside signs: the statistics by hand, and only names of the standard."""

import pytest

from tcmstruct.report.pairs import SYNDROME_SYSTEM, Pairs, SignTally, residual, syndromes_of, wilson


def record(*syndromes, system=SYNDROME_SYSTEM, **fields):
    return {"entities": [{"type": "证候", "text": "原文", "codes": [{"system": system, "name": name}]} for name in syndromes],
            "fields": {name: {"value": value} for name, value in fields.items()}}


def test_wilson():
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert wilson(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-5)
    assert wilson(0, 10)[0] == 0 and wilson(10, 10)[1] == pytest.approx(1)


def test_residual_by_hand():
    # 20 where 30 · 40 / 100 = 12 are expected; √(12 · 0.7 · 0.6) = 2.24499
    assert residual(20, 30, 40, 100) == pytest.approx(3.56348, abs=1e-5)
    assert residual(5, 5, 10, 100) is None, "half a record is expected"
    assert residual(5, 100, 5, 100) is None, "every record has the syndrome"


def test_a_cell_by_hand():
    tally = SignTally(100)
    tally.syndromes["甲证"], tally.signs["红"], tally.both["甲证", "红"] = 30, 40, 20
    cell = tally.cell("甲证", "红")
    assert (cell.n, cell.share, cell.expected) == (20, pytest.approx(2 / 3), 12)
    assert cell.lift == pytest.approx(5 / 3) and cell.residual == pytest.approx(3.56348, abs=1e-5)
    assert cell.interval == pytest.approx((0.48780, 0.80767), abs=1e-4)
    tally.both["甲证", "红"] = 4
    assert tally.cell("甲证", "红") is None, "under five there are no statistics"


def test_records_that_state_both_are_the_whole():
    pairs = Pairs()
    pairs.add(record("甲证", "乙证", 舌色=["红"], 脉象=["弦", "弦"], 纳食="正常"))
    pairs.add(record("甲证", 纳食="正常"))
    pairs.add(record(舌色=["红"]))
    pairs.add(record("甲证", 舌色=[]))
    assert pairs.stated == 3 and set(pairs.fields) == {"舌色", "脉象"}
    assert pairs.fields["舌色"].n == 1 and pairs.fields["脉象"].signs == {"弦": 1}
    assert pairs.fields["舌色"].both == {("甲证", "红"): 1, ("乙证", "红"): 1}


def test_only_names_of_the_standard_are_syndromes():
    assert syndromes_of(record("泄泻病", system="GB/T 16751.1-2021")) == (set(), False)
    bare = {"entities": [{"type": "证候", "text": "肝风之势"}, {"type": "症状体征", "text": "咳"}], "fields": {"证型": {"value": ["丙证"]}}}
    assert syndromes_of(bare) == ({"丙证"}, True)
    pairs = Pairs()
    pairs.add({"entities": bare["entities"], "fields": {"舌色": {"value": ["红"]}}})
    assert (pairs.stated, pairs.uncoded, pairs.fields) == (0, 1, {})

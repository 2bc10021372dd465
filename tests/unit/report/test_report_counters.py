"""Counters of the report: distributions by hand, in bounded memory."""

import random

import numpy as np
import pytest

from tcmstruct.report.counters import MAX_DISTINCT, MAX_KEYS, Capped, Numbers, number_of, values_of
from tcmstruct.report.tally import MAX_FIELDS, Tally


def numbers(values):
    out = Numbers()
    for value in values:
        out.add(value)
    return out


def test_quantiles_are_those_of_hyndman_and_fan():
    assert numbers([4, 1, 3, 2]).quantiles((0, 0.25, 0.5, 0.75, 1)) == [1, 1.75, 2.5, 3.25, 4]
    assert numbers([38.6]).quantiles((0.05, 0.5)) == [38.6, 38.6]
    values = [random.Random(1).choice((36.5, 37.0, 38.2, 39.9, 40.1)) for _ in range(999)]
    assert numbers(values).quantiles((0.05, 0.33, 0.9)) == pytest.approx(np.quantile(values, (0.05, 0.33, 0.9)))


def test_outside_of_a_range_both_ends_belong_to_it():
    assert numbers([33.9, 34, 43, 43.1, 50]).outside(34, 43) == 3


def test_very_many_figures_are_kept_to_fewer_digits():
    found = numbers([n + 0.125 for n in range(5 * MAX_DISTINCT)])
    assert len(found.counts) <= MAX_DISTINCT and found.n == 5 * MAX_DISTINCT and found.digits == 3
    assert found.quantiles((0.5,))[0] == pytest.approx(5 * MAX_DISTINCT / 2, rel=0.01)


def test_figures_that_are_none_are_left_out():
    assert numbers([float("nan"), float("inf"), 1.0]).n == 1


@pytest.mark.parametrize(("value", "unit", "found"), [
    (38.6, "℃", (38.6, "℃")), (7, None, (7.0, "")), ("2-3/1", None, (2.5, "次/日")), ("1-1/2", None, (0.5, "次/日")), ("1-1/0", None, None),
    ("红", None, None), (["2-3/1"], None, None), (True, None, None), (None, "℃", None)])
def test_numbers_and_frequencies_are_figures(value, unit, found):
    assert number_of(value, unit) == found


def test_values_of_a_field():
    assert values_of(["红", ["暗"], 6.0, None]) == ["红", "暗", "6"]


def test_a_counter_ends():
    counter = Capped()
    for n in range(MAX_KEYS + 10):
        counter.add(f"{n}")
    assert len(counter.counts) == MAX_KEYS and counter.others == 10 and counter.rest(2) == MAX_KEYS + 8


def test_a_tally_does_not_grow_with_the_records():
    tally = Tally()
    for n in range(3000):
        tally.add(n + 1, "{}", {"id": f"{n}", "dept": f"科{n}", "extra": {"就诊日期": f"{1900 + n % 200}-{n % 12 + 1:02}-01"},
                                "fields": {f"字段{n}": {"value": f"值{n}", "confidence": 0.5}, "舌色": {"value": [f"色{n}"]},
                                           "体温": {"value": n / 7, "unit": f"u{n % 9}"}},
                                "entities": [{"type": "证候", "codes": [{"system": "GB/T 16751.2-2021", "name": f"证{n}"}]}]})
    assert len(tally.fields) == MAX_FIELDS and len(tally.depts) <= 129 and len(tally.months.visits) <= 600
    assert len(tally.fields["舌色"].values.counts) == MAX_KEYS and len(tally.fields["体温"].numbers) == 4
    signs = tally.pairs.fields["舌色"]
    assert len(signs.syndromes) <= 300 and len(signs.signs) <= 64 and tally.pairs.capped
    assert tally.records == 3000 and tally.values == 9000

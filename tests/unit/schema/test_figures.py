"""Figures of a number field: units with factors, halves, ranges, and why one does not count."""

import pytest

from tcmstruct.schema.figures import figures
from tcmstruct.schema.pack import FieldSpec

DAYS = FieldSpec(type="number", terms=["病程"], unit="d", units={"天": 1, "周": 7, "个月": 30}, unit_required=True, range=[1, 365], below=2)


@pytest.mark.parametrize(("text", "found"), [
    ("5天", [(5, 2, None)]),
    ("2周", [(14, 2, None)]),
    ("1-2周", [(7, 1, None), (14, 4, None)]),
    ("3周半", [(24.5, 3, None)]),
    ("半个月", [(15, 3, None)]),
    ("三天", [(3, 2, None)]),
    ("5", [(5, 1, "unit_missing")]),
    ("500天", [(500, 4, "out_of_range")]),
    ("1天", [(1, 2, "below")]),
    ("500，5天", [(500, 3, "out_of_range"), (5, 6, None)]),
    ("较长", []),
    ("很长很长很长很长很长，5天", []),
    ("。5天", []),
])
def test_what_follows_an_announcement(text, found):
    assert [(one.value, one.end, one.refusal) for one in figures(text, 0, DAYS)] == found


def test_a_list_of_units_means_that_all_are_the_same_and_the_longer_is_met_first():
    spec = FieldSpec(type="number", terms=["孕"], units=["月", "月余"])
    assert list(spec.units.items()) == [("月余", 1.0), ("月", 1.0)]
    assert [one.end for one in figures("3月余", 0, spec)] == [3]


@pytest.mark.parametrize("units", ["天", {"天": 0}, {"天": "一"}, [1], {"": 1}])
def test_what_is_no_unit_is_refused(units):
    with pytest.raises(ValueError, match="units"):
        FieldSpec(type="number", terms=["病程"], units=units)

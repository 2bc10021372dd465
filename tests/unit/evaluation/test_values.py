import pytest

from tcmstruct.evaluation.values import evidence_overlaps, same_value
from tcmstruct.record import FieldValue


def value(v, unit=None, start=0, end=2):
    return FieldValue(v, "", start, end, unit)


@pytest.mark.parametrize(("gold", "pred"), [
    ("有", "有"), (["白", "黄"], ["黄", "白"]), (["白"], "白"), (["白", "白"], ["白"]),
    (3, 3.0), (37.8, "37.80"), ("3-4/1", " 3-4/1"), (0.1 + 0.2, 0.3),
])
def test_the_same(gold, pred):
    assert same_value(value(gold), value(pred))
    assert same_value(value(pred), value(gold))


@pytest.mark.parametrize(("gold", "pred"), [
    ("有", "无"), (["白", "黄"], ["白"]), (3, 4), ("3-4/1", "3-4/2"), (37.8, 37.9), ("鲜红", "红"), (["白"], []),
    ("nan", 0), ("１", 1),
])
def test_not_the_same(gold, pred):
    assert not same_value(value(gold), value(pred))


def test_units_count_only_where_both_sides_name_one():
    assert same_value(value(37, "℃"), value(37))
    assert not same_value(value(98, "℃"), value(98, "℉"))


def test_evidence_overlap():
    assert evidence_overlaps(value("有", start=3, end=5), value("有", start=4, end=8))
    assert not evidence_overlaps(value("有", start=3, end=5), value("有", start=5, end=8))
    assert not evidence_overlaps(value("白", start=-1, end=-1), value("白", start=-1, end=-1))
    assert not evidence_overlaps(value("白", start=None, end=None), value("白"))

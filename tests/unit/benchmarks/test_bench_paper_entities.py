import re
from dataclasses import replace

import pytest

from benchmarks import paper_entities as paper
from tcmstruct.record import FieldValue, Mention, StructuredRecord


def test_there_are_enough_templates_and_the_halves_share_none():
    pools = (paper.VAS, paper.VAS_ABSENT, paper.WRIST, paper.WRIST_ABSENT)
    assert sum(map(len, pools)) >= 25
    for pool in (*pools, paper.OPENINGS, paper.SIGNS, paper.ENDINGS):
        read, scored = paper.half_of(pool, "read"), paper.half_of(pool, "scored")
        assert len(set(pool)) == len(pool) == len(read) + len(scored)
        assert not set(read) & set(scored)


def test_two_hundred_records_the_same_for_a_seed():
    records = paper.synthetic_records()
    assert len(records) == len({r.id for r in records}) == 200
    assert all(r.id.startswith("synthetic-") for r in records)
    assert paper.synthetic_records() == records
    assert [r.text for r in paper.synthetic_records(seed=1)] != [r.text for r in records]
    assert not {r.text for r in paper.synthetic_records("read")} & {r.text for r in records}


@pytest.mark.parametrize("half", ["read", "scored"])
def test_values_stand_in_their_text_and_negatives_hold_numbers(half):
    records = paper.synthetic_records(half)
    for r in records:
        assert "{" not in r.text
        for name, f in r.fields.items():
            assert f"{f.value:g}" in re.findall(r"\d+(?:\.\d+)?", r.text), name
    for name in ("VAS评分", "健侧腕关节周径", "患侧腕关节周径"):
        without = [r for r in records if name not in r.fields]
        assert 40 < len(without) < 160
        assert all(re.search(r"\d", r.text) for r in without)


def test_rows_of_a_perfect_and_of_an_empty_system():
    text = "便血鲜红。舌红，苔黄，脉数"
    gold = [StructuredRecord(str(i), text, [Mention("舌质", 5, 7), Mention("舌苔", 8, 10), Mention("脉象", 11, 13)],
                             {"便血颜色": FieldValue("鲜红", "鲜红", 2, 4)}) for i in range(3)]
    made = paper.synthetic_records(n=20)
    rows = paper.rows_for(gold, gold, made, made, n_boot=20)
    assert list(rows) == [r.name for r in paper.ROWS] and len(rows) == 10
    for name in ("便血颜色", "舌象", "脉象", "VAS评分", "健侧腕周径"):
        assert rows[name]["f1"][0] == 1, name
    assert rows["舌象"]["n_gold"] == 6 and rows["脉象"]["n_gold"] == 3
    assert rows["痰色"] == {"paper_f1": 0.925, "f1": None, "n_gold": 0, "basis": "gold/dev, field 痰色"}
    empty = [replace(r, entities=(), fields={}) for r in gold]
    nothing = [replace(r, fields={}) for r in made]
    rows = paper.rows_for(gold, empty, made, nothing, n_boot=0)
    assert rows["脉象"]["f1"][0] == rows["VAS评分"]["f1"][0] == 0
    assert "SYNTHETIC" in rows["VAS评分"]["basis"]
    assert len(paper.table_of(rows)) == 11


def test_a_wrong_number_is_an_error():
    made = paper.synthetic_records(n=20)
    wrong = [replace(r, fields={n: replace(f, value=f.value + 1) for n, f in r.fields.items()}) for r in made]
    gold = [StructuredRecord("1", "脉数", [Mention("脉象", 0, 2)], {"脉象": FieldValue(["数"], "数", 1, 2)})]
    rows = paper.rows_for(gold, gold, made, wrong, n_boot=0)
    assert rows["VAS评分"]["f1"][0] == 0
    assert rows["舌象"]["f1"] is None  # gold holds none

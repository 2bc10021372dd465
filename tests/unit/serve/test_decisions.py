"""What a reviewer may decide, and what then holds."""

import pytest
from pydantic import ValidationError
from review_folders import structured

from tcmstruct.errors import UsageError
from tcmstruct.schema import load_schema
from tcmstruct.serve.decisions import Decision, checked_value, correction_of, held_fields, held_mentions
from tcmstruct.serve.store import standing

FIELDS = load_schema("all").fields
DATA = structured(0).to_dict()  # 患者咳嗽3天，咳黄痰，无发热，体温37.8℃。第0份。


def decide(*decisions, data=DATA):
    """The rows of decisions one after the other, and what then stands."""
    rows = []
    for number, given in enumerate(decisions, 1):
        row = correction_of(Decision(**{"who": "甲", "target": "field", **given}), data, standing(rows), FIELDS)
        object.__setattr__(row, "id", number)
        rows.append(row)
    return rows, standing(rows)


def value(stands, name):
    return {one.name: one.now for one in held_fields(DATA, stands)}[name]


def test_without_decisions_everything_stands_as_it_was_found():
    assert {one.name: one.now for one in held_fields(DATA, standing([]))} == DATA["fields"]
    assert [one.now for one in held_mentions(DATA, standing([]))] == sorted(DATA["entities"], key=lambda e: (e["start"], -e["end"]))


def test_accept_reject_and_edit_keep_old_and_new():
    rows, stands = decide({"name": "痰色", "action": "edit", "value": ["白", "黄"]}, {"name": "有无发热", "action": "reject"},
                          {"name": "最高体温", "action": "accept"})
    at = DATA["fields"]["痰色"]["start"]
    assert rows[0].old == {"value": ["黄"], "start": at, "end": at + 2, "unit": None}
    assert value(stands, "痰色")["value"] == ["白", "黄"] and value(stands, "痰色")["start"] == at
    assert rows[1].new is None and value(stands, "有无发热") is None
    assert rows[2].new == rows[2].old and (rows[2].model, rows[2].schema) == ("m1", "s1")


def test_what_was_rejected_may_be_accepted_after_all_and_an_edit_follows_an_edit():
    _, stands = decide({"name": "痰色", "action": "reject"}, {"name": "痰色", "action": "accept"})
    assert value(stands, "痰色")["value"] == ["黄"]
    rows, stands = decide({"name": "最高体温", "action": "edit", "value": 38.5}, {"name": "最高体温", "action": "edit", "value": 39})
    assert rows[1].old["value"] == 38.5 and value(stands, "最高体温")["value"] == 39


def test_a_value_that_was_missed_is_added_with_its_words():
    _, stands = decide({"name": "咳嗽", "action": "add", "value": "有", "start": 2, "end": 4})
    assert value(stands, "咳嗽") == {"value": "有", "start": 2, "end": 4, "unit": None}
    at = DATA["fields"]["痰色"]["start"]
    assert value(decide({"name": "痰色", "action": "edit", "value": ["白"], "start": at, "end": at + 1})[1], "痰色")["end"] == at + 1


def test_mentions_are_rejected_edited_and_added():
    rows, stands = decide(
        {"target": "mention", "name": held_mentions(DATA, standing([]))[-1].name, "action": "edit", "status": "有"},
        {"target": "mention", "name": "", "action": "add", "type": "症状体征", "start": 2, "end": 4},
        {"target": "mention", "name": "2:4:症状体征", "action": "edit", "type": "舌质"})
    assert rows[1].name == "2:4:症状体征" and rows[1].new["status"] == "有"
    held = {one.name: one.now for one in held_mentions(DATA, stands)}
    assert held["2:4:症状体征"] == {"type": "舌质", "status": None, "start": 2, "end": 4}
    assert held[rows[0].name]["status"] == "有"


@pytest.mark.parametrize("given", [
    {"name": "痰色", "action": "edit", "value": ["紫"]},
    {"name": "痰色", "action": "edit", "value": []},
    {"name": "痰色", "action": "edit", "value": "黄"},
    {"name": "有无发热", "action": "edit", "value": "也许"},
    {"name": "最高体温", "action": "edit", "value": "38"},
    {"name": "最高体温", "action": "edit", "value": 380},
    {"name": "痰色", "action": "edit", "value": ["白"], "start": 5, "end": 5},
    {"name": "痰色", "action": "edit", "value": ["白"], "start": 5, "end": 5000},
    {"name": "痰色", "action": "edit", "value": ["白"], "start": 5},
    {"name": "痰色", "action": "add", "value": ["白"], "start": 0, "end": 2},
    {"name": "咳嗽", "action": "add", "value": "有"},
    {"name": "没有的字段", "action": "add", "value": "有", "start": 0, "end": 2},
    {"name": "咳嗽", "action": "accept"},
    {"name": "咳嗽", "action": "reject"},
    {"name": "咳嗽", "action": "edit", "value": "有"},
    {"name": "痰色", "action": "done"},
    {"target": "record", "action": "accept"},
    {"target": "mention", "name": "0:1:x", "action": "reject"},
    {"target": "mention", "action": "add", "type": "没有", "start": 0, "end": 2},
    {"target": "mention", "action": "add", "type": "症状体征", "status": "也许", "start": 0, "end": 2},
])
def test_what_does_not_fit_is_refused(given):
    with pytest.raises(UsageError):
        decide(given)


@pytest.mark.parametrize("given", [
    {"who": ""}, {"action": "delete"}, {"target": "page"}, {"other": 1}, {"who": "甲" * 101}, {"start": "0"}])
def test_what_is_no_decision_is_refused(given):
    with pytest.raises(ValidationError):
        Decision(**{"target": "field", "name": "痰色", "action": "accept", "who": "甲", **given})


def test_values_are_written_as_their_field_writes_them():
    assert checked_value(["黄", "白"], FIELDS["痰色"]) == ["白", "黄"] and checked_value(38.0, FIELDS["最高体温"]) == 38
    assert checked_value("3-4/1", FIELDS["大便频次"]) == "3-4/1"
    for bad in ("3-4", "often", "3-4/1 "):
        with pytest.raises(UsageError):
            checked_value(bad, FIELDS["大便频次"])
    assert checked_value("任意", None) == "任意"
    for bad in (None, "", "长" * 201, {}):
        with pytest.raises(UsageError):
            checked_value(bad, None)

"""Coverage, values, hits and near misses of fields on records."""

import pytest

from tcmstruct.privacy import Deidentifier, Key
from tcmstruct.record import Mention
from tcmstruct.schema import load_schema
from tcmstruct.trial import TrialRecord, sample_of, try_fields
from tcmstruct.trial.context import around
from tcmstruct.trial.records import from_line
from tcmstruct.trial.trying import spread

TEXTS = ["月经量多，色红。痛经。", "月经量少。无痛经。", "带下量多。", "其母有痛经。", "经期5天。", "经期50天。", "咳嗽。", "月经量多。"]


@pytest.fixture(scope="module")
def trials():
    records = [TrialRecord(f"r{n}", n, text) for n, text in enumerate(TEXTS)]
    return try_fields(load_schema("妇科"), ["月经量", "痛经", "经期天数"], records)


def test_counts_and_values(trials):
    amount, pain, days = trials.values()
    assert (amount.stated, amount.denied, amount.values) == (3, 0, [("多", 2), ("少", 1)])
    assert (pain.stated, pain.denied, pain.values) == (2, 1, [("无", 1), ("有", 1)])
    assert (days.stated, days.figures, days.unit) == (1, (5, 5, 5), "d") and amount.figures is None
    told = amount.to_dict()
    assert (told["records"], told["missing"], told["near_misses"]) == (8, 5, 3)


def test_near_misses_name_their_words_and_reason(trials):
    assert [(miss.record, miss.reason) for miss in trials["月经量"].misses] == [
        (2, "topic_missing"), (4, "topic_alone"), (5, "topic_alone")]
    (kin,) = trials["痛经"].misses
    assert (kin.record, kin.reason, TEXTS[3][kin.start:kin.end]) == (3, "kin", "痛经")
    (far,) = trials["经期天数"].misses
    assert (far.reason, far.given) == ("out_of_range", ("50", "1–30"))
    assert trials["月经量"].reasons == [("topic_alone", 2), ("topic_missing", 1)]


def test_a_record_is_a_hit_or_a_near_miss_never_both(trials):
    for one in trials.values():
        assert not {hit.record for hit in one.hits} & {miss.record for miss in one.misses}


def test_reasons_are_looked_for_where_they_are_wanted(trials):
    records = [TrialRecord(f"r{n}", n, text) for n, text in enumerate(TEXTS)]
    some = try_fields(load_schema("妇科"), list(trials), records, ["痛经"])
    assert some["痛经"] == trials["痛经"] and some["月经量"].hits == trials["月经量"].hits and some["月经量"].misses == []


def test_a_sample_shows_rare_kinds():
    items = ["a"] * 50 + ["b"] + ["a"] * 50 + ["c"]
    some = spread(list(enumerate(items)), 5, lambda one: one[1])
    assert [kind for _, kind in some].count("a") == 3 and {"b", "c"} <= {kind for _, kind in some}
    assert some == sorted(some) and spread([1, 2], 5, lambda one: one) == [1, 2] and spread([1, 2], 0, lambda one: one) == []


def test_a_sample_of_records_keeps_their_order_and_is_the_same_again():
    some = sample_of(range(1000), 10)
    assert len(some) == 10 and some == sorted(some) == sample_of(iter(range(1000)), 10) and some != list(range(10))
    assert sample_of(range(3), 10) == [0, 1, 2]


def test_what_names_a_person_is_replaced_and_the_words_keep_their_place():
    text = "患者李建国，男，56岁，住院号：20230117。月经量多，色红。"
    record, at = TrialRecord("1", 0, text), text.index("月经量多")
    before, words, behind = around(record, at, at + 4, 40, Deidentifier(Key(b"k" * 32)))
    assert words == "月经量多" and behind == "，色红。" and "李建国" not in before and "20230117" not in before
    assert around(record, at, at + 4, 2) == ("…7。", "月经量多", "，色…")


def test_mentions_come_from_the_line():
    record = from_line({"id": "1", "text": "痛经", "entities": [{"type": "症状体征", "start": 0, "end": 2, "status": "既往"}]}, 4)
    assert record == TrialRecord("1", 4, "痛经", (Mention("症状体征", 0, 2, "既往"),))
    assert try_fields(load_schema("妇科"), ["痛经"], [record])["痛经"].reasons == [("model_says", 1)]

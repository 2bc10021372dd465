"""Whatever the text, a trial reads as `extract` does and every near miss can be told; whatever is typed, a pack is checked."""

from __future__ import annotations

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.schema import load_schema
from tcmstruct.schema.pack import starters
from tcmstruct.schema.why import explain
from tcmstruct.schema.written import field_text, with_field
from tcmstruct.trial import check_pack
from tcmstruct.trial.wording import reason_said

SCHEMA = load_schema(["all", *starters()])
PIECES = [*"色红天周半-…无。，x", "月经", "量多", "周期", "30", "痛经", "经行", "腹痛", "其母有", "既往史：", "留针", "分钟",
          "电针", "频率", "Hz", "体温", "39", "℃", "布洛芬", "皮疹", "头面", "指纹", "紫", "二诊：", "孕3月", "每日", "2次"]
texts = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
lists = st.lists(words, max_size=3)
specs = st.fixed_dictionaries({"type": st.sampled_from(["yes_no", "enum", "several", "number", "frequency", "x"])}, optional={
    "terms": lists, "topics": lists, "values": st.dictionaries(words, st.fixed_dictionaries({"terms": lists}), min_size=1),
    "units": st.dictionaries(words, st.floats(0.1, 9)), "range": st.lists(st.integers(), max_size=3),
    "only_if": st.fixed_dictionaries({"field": words})})


@given(texts)
@settings(max_examples=80, deadline=None)
def test_a_trial_reads_as_the_schema_does(text):
    values, misses = explain(SCHEMA, text, [], list(SCHEMA.fields))
    assert values == SCHEMA.extract(text) and not set(values) & set(misses)
    for miss in misses.values():
        assert 0 <= miss.start < miss.end <= len(text)
        assert all(reason_said(miss.reason, miss.given, side) for side in ("zh", "en"))


@given(words, specs)
@settings(max_examples=80, deadline=None)
def test_what_a_form_gives_is_written_read_back_and_checked(name, spec):
    text = with_field('[pack]\nname = "x"\n', None, name, spec)
    assert tomllib.loads(text)["fields"] == {name: spec} and tomllib.loads(field_text(name, spec))
    for one in check_pack(text.encode(), "x.toml").findings:
        assert one.said("zh") and one.said("en") and (one.line is None or 1 <= one.line <= text.count("\n") + 1)


@given(st.one_of(st.binary(max_size=60), st.text(max_size=80).map(str.encode)))
@settings(max_examples=80, deadline=None)
def test_any_bytes_are_checked(raw):
    assert check_pack(raw, "x.toml").faults

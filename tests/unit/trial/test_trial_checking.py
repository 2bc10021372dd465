"""Every fault of a pack with its place, and what is doubtful in what is sound."""

import re
import string

import pytest

from tcmstruct.schema.pack import MISFITS, PACK_DIR, STARTER_DIR
from tcmstruct.schema.templates import TemplateError
from tcmstruct.schema.written import starter_text
from tcmstruct.trial import FAULT, NOTE, WARNING, Known, check_pack
from tcmstruct.trial.wording import FINDINGS, REASONS

HEAD = '[pack]\nname = "试"\n'
KNOWN = Known(["痛经", "月经不调", "经行腹痛"])


def found(body, head=HEAD, known=None):
    checked = check_pack((head + body).encode(), "试.toml", known=known)
    return checked, {(one.level, one.code, ".".join(one.keys), one.line) for one in checked.findings}


FIELD = '[fields."甲"]\n'


@pytest.mark.parametrize(("body", "code", "place", "line"), [
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nterm = ["x"]\n', "unknown_key", "fields.甲.term", 6),
    (FIELD + 'type = "ja"\nterms = ["痛经"]\n', "wrong_choice", "fields.甲.type", 4),
    (FIELD + 'terms = ["痛经"]\n', "missing_key", "fields.甲.type", 3),
    (FIELD + 'type = "yes_no"\nterms = "痛经"\n', "wrong_type", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\n', "yes_no_without_words", "fields.甲.terms", 3),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nunit = "d"\n', "key_out_of_place", "fields.甲.unit", 6),
    (FIELD + 'type = "yes_no"\nsaid = ["多"]\n', "said_without_topics", "fields.甲.said", 5),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nmentions = ["症状"]\n', "mentions_unknown", "fields.甲.mentions", 6),
    (FIELD + 'type = "enum"\n', "values_missing", "fields.甲.values", 3),
    (FIELD + 'type = "number"\nterms = ["x"]\n[fields."甲".values."多"]\n', "values_out_of_place", "fields.甲.values", 6),
    (FIELD + 'type = "number"\n', "number_without_terms", "fields.甲.terms", 3),
    (FIELD + 'type = "number"\nterms = ["x"]\nrange = [3, 1]\n', "range_reversed", "fields.甲.range", 6),
    (FIELD + 'type = "enum"\nkeep = "max"\n[fields."甲".values."多"]\nterms = ["量多"]\n', "max_without_number", "fields.甲.keep", 5),
    (FIELD + 'type = "frequency"\n', "frequency_without_topics", "fields.甲.topics", 3),
    (FIELD + 'type = "yes_no"\nterms = ["痛)经"]\n', "template_unbalanced", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["(痛)?"]\n', "template_empty", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["(痛"]\n', "template_open", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["<痛>"]\n', "template_list_unknown", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["痛>"]\n', "template_unexpected", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["痛?"]\n', "template_optional_alone", "fields.甲.terms", 5),
    (FIELD + f'type = "yes_no"\nterms = ["{"(a|b|c|d|e|f|g|h)" * 6}"]\n', "template_too_many", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["经…行…痛"]\n', "gap_misplaced", "fields.甲.terms", 5),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\ntopics = ["月亮"]\n', "topic_unknown", "fields.甲.topics", 6),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nonly_if = { field = "乙" }\n', "field_unknown", "fields.甲.only_if", 6),
    ('[topics."大便"]\nwords = ["x"]\n', "defined_twice", "topics.大便", 3),
    ('[topics."月经"]\nwords = ["(月"]\n', "cannot_compile", "topics.月经.words", 4),
    ("[fields.甲]\n", "not_toml", "", 3),
])
def test_each_fault_has_its_place(body, code, place, line):
    checked, all_found = found(body)
    assert (FAULT, code, place, line) in all_found and checked.faults


def test_what_is_no_text_at_all():
    assert [one.code for one in check_pack(b"\xff", "x").findings] == ["not_utf8"]
    assert [one.code for one in check_pack(b"#" * 5_000_000, "x").findings] == ["too_large"]
    assert "missing_key" in [one.code for one in check_pack(b"", "x").findings]


def test_after_a_fault_the_rest_is_read_and_can_be_tried():
    checked, _ = found('[fields."甲"]\ntype = "x"\n[fields."乙"]\ntype = "yes_no"\nterms = ["(痛"]\n'
                       '[fields."丙"]\ntype = "yes_no"\nterms = ["痛经"]\n[fields."丁"]\ntype = "yes_no"\nterms = ["腰酸"]\n'
                       'only_if = { field = "乙", is = ["有"] }\n')
    assert checked.faults == 2 and checked.names == ["丙"]
    assert checked.schema.extract("痛经")["丙"].value == "有"


VALUE = '[fields."甲".values."{}"]\nterms = [{}]\n'
OTHER = '[fields."乙"]\ntype = "yes_no"\nterms = ["经行腹痛", "月经痛"]\n'


@pytest.mark.parametrize(("body", "level", "code"), [
    (FIELD + 'type = "enum"\n' + VALUE.format("多", '"量多"') + '[fields."甲".values."少"]\n', WARNING, "value_without_words"),
    (FIELD + 'type = "enum"\n' + VALUE.format("多", '"量多"') + VALUE.format("很多", '"量多", "量大"'), WARNING, "value_unreachable"),
    (FIELD + 'type = "enum"\nexcept = ["量多"]\n' + VALUE.format("多", '"量多"'), WARNING, "value_unreachable"),
    (FIELD + 'type = "enum"\n' + VALUE.format("多", '"量多", "量大"') + VALUE.format("很多", '"量多"'), WARNING, "words_of_two_values"),
    (FIELD + 'type = "yes_no"\nterms = ["月经痛"]\n' + OTHER, WARNING, "words_claimed"),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nexcept = ["头晕"]\n', WARNING, "except_idle"),
    (FIELD + 'type = "yes_no"\nterms = ["痛"]\n', WARNING, "one_character"),
    (FIELD + 'type = "yes_no"\nterms = ["月痉不调"]\n', NOTE, "words_unknown"),
    (FIELD + 'type = "number"\nterms = ["经期"]\nunit = "d"\nrange = [1, 9]\n', WARNING, "unit_not_written"),
    (FIELD + 'type = "number"\nterms = ["经期"]\n', NOTE, "no_range"),
    (FIELD + 'type = "yes_no"\nterms = ["咳嗽"]\n', NOTE, "words_claimed_by_pack"),
    ('[fields."咳嗽"]\ntype = "yes_no"\nterms = ["咳嗽"]\n', NOTE, "field_in_pack"),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nonly_if = { field = "口苦", is = ["有"] }\n', WARNING, "parent_elsewhere"),
    (OTHER + FIELD + 'type = "yes_no"\nterms = ["痛经"]\nonly_if = { field = "乙", is = ["是"] }\n', WARNING, "parent_value_unknown"),
    (OTHER + FIELD + 'type = "yes_no"\nterms = ["痛经"]\nonly_if = { field = "乙", at_least = 1 }\n', WARNING, "parent_no_figure"),
    (FIELD + 'type = "yes_no"\nterms = ["痛经"]\nonly_if = { field = "甲" }\n', WARNING, "parent_itself"),
    (OTHER + FIELD + 'type = "yes_no"\nterms = ["痛经"]\nimplies = [{ field = "乙", value = "是" }]\n', WARNING, "implied_value_unknown"),
    ("", NOTE, "no_fields"),
])
def test_each_doubt_is_told_and_the_pack_is_sound_all_the_same(body, level, code):
    checked, all_found = found(body, known=KNOWN)
    assert (level, code) in {one[:2] for one in all_found} and checked.faults == 0


@pytest.mark.parametrize("body", [
    FIELD + 'type = "enum"\n' + VALUE.format("多", '"量多"') + "rank = 1\n" + VALUE.format("很多", '"量多", "量大"'),
    FIELD + 'type = "several"\n' + VALUE.format("多", '"量多"') + VALUE.format("很多", '"量多"'),
    FIELD + 'type = "yes_no"\nterms = ["痛经", "经行腹痛"]\nexcept = ["痛经病史"]\n',
    OTHER + FIELD + 'type = "yes_no"\nterms = ["经行腹痛"]\nonly_if = { field = "乙" }\n',
])
def test_what_is_well_has_no_warning(body):
    assert not {one for one in found(body, known=KNOWN)[1] if one[0] == WARNING and one[1] not in ("words_of_two_values",)}


@pytest.mark.parametrize("path", [*PACK_DIR.glob("*.toml"), *STARTER_DIR.glob("*.toml")], ids=lambda path: path.stem)
def test_the_packs_of_the_package_have_no_fault(path):
    checked = check_pack(path.read_bytes(), path.name)
    assert checked.faults == 0 and checked.names == list(checked.data["fields"])


def test_a_new_pack_is_sound_and_nothing_in_it_is_doubtful():
    checked = check_pack(starter_text("我科").encode(), "我科.toml")
    assert [one.said() for one in checked.findings] == []
    assert {spec["type"] for spec in checked.data["fields"].values()} == {"yes_no", "enum", "several", "number"}


def test_every_sentence_stands_in_both_languages_and_names_the_same_things():
    codes = {f"template_{code}" for code in TemplateError.MESSAGES} | set(MISFITS)
    assert codes <= set(FINDINGS)
    for both in [*({"zh": " ".join(one["zh"]), "en": " ".join(one["en"])} for one in FINDINGS.values()),
                 *({"zh": zh, "en": en} for zh, en in REASONS.values())]:
        names = {side: {name for _, name, _, _ in string.Formatter().parse(text) if name is not None} for side, text in both.items()}
        assert names["zh"] - {"template", "char", "at", "name", "most", "known"} <= names["en"] | {"detail"} and both["en"] and both["zh"]
        assert re.search("[一-鿿]", both["zh"])

"""Why words gave no value."""

import pytest

from tcmstruct.record import Mention
from tcmstruct.schema import load_schema
from tcmstruct.schema.why import REASONS, explain
from tcmstruct.trial.wording import REASONS as WORDED

PACK = """
[pack]
name = "试"
[topics."月经"]
words = ["月经", "经行"]
[fields."痛经"]
type = "yes_no"
terms = ["痛经", "经行…腹痛"]
except = ["痛经病史"]
[fields."腹痛处"]
type = "enum"
only_if = { field = "痛经", is = ["有"] }
[fields."腹痛处".values."下"]
terms = ["小腹"]
[fields."月经量"]
type = "enum"
topics = ["月经"]
[fields."月经量".values."多"]
said = ["量多", "多"]
[fields."侧"]
type = "enum"
agree = true
[fields."侧".values."左"]
terms = ["左膝"]
[fields."侧".values."右"]
terms = ["右膝"]
[fields."经期"]
type = "number"
terms = ["持续"]
units = ["天"]
unit_required = true
range = [1, 30]
below = 2
[fields."换垫"]
type = "frequency"
topics = ["月经"]
[fields."味一"]
type = "enum"
statement = "味"
[fields."味一".values."苦"]
terms = ["味苦"]
[fields."味二"]
type = "enum"
statement = "味"
[fields."味二".values."甜"]
terms = ["味甜"]
"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "p.toml"
    path.write_text(PACK, "utf-8")
    return load_schema(path)


@pytest.mark.parametrize(("text", "name", "words", "reason", "given"), [
    ("小腹坠胀", "腹痛处", "小腹", "parent_missing", ("痛经",)),
    ("无痛经，小腹坠胀", "腹痛处", "小腹", "parent_differs", ("痛经", "无")),
    ("无月经多", "月经量", "无月经多", "negated", ()),
    ("其母有痛经", "痛经", "痛经", "kin", ()),
    ("其母诉痛经", "痛经", "痛经", "other", ()),
    ("曾痛经", "痛经", "痛经", "past", ()),
    ("疑似痛经", "痛经", "痛经", "uncertain", ()),
    ("因痛经", "痛经", "痛经", "hypothetical", ()),
    ("既往史：痛经", "痛经", "痛经", "past_section", ()),
    ("家族史：痛经", "痛经", "痛经", "other_section", ()),
    ("辅助检查：左膝", "侧", "左膝", "reports", ()),
    ("味苦。味甜", "味一", "味苦", "stated_later", ()),
    ("左膝右膝痛", "侧", "左膝", "two_values", ()),
    ("持续40天", "经期", "持续40天", "out_of_range", ("40", "1–30")),
    ("持续4", "经期", "持续4", "unit_missing", ("4", "天")),
    ("持续1天", "经期", "持续1天", "below", ("1", "2")),
    ("持续发作", "经期", "持续", "figure_missing", ()),
    ("痛经病史", "痛经", "痛经", "excepted", ("痛经病史",)),
    ("腹痛3天", "痛经", "腹痛", "head_missing", ("经行",)),
    ("带下量多", "月经量", "量多", "topic_missing", ("月经",)),
    ("月经规律。每日2次", "换垫", "每日2次", "frequency_elsewhere", ("月经",)),
    ("二诊：痛经", "痛经", "痛经", "after_stop", ()),
    ("月经规律", "月经量", "月经", "topic_alone", ()),
])
def test_each_reason(schema, text, name, words, reason, given):
    values, misses = explain(schema, text, [], list(schema.fields))
    assert name not in values and values == schema.extract(text)
    miss = misses[name]
    assert (text[miss.start:miss.end], miss.reason, miss.given) == (words, reason, given)


def test_the_models_own_word_is_told(schema):
    misses = explain(schema, "痛经10年", [Mention("症状体征", 0, 2, "既往", 0.9)], ["痛经"])[1]
    assert (misses["痛经"].reason, misses["痛经"].given) == ("model_says", ("既往",))


def test_what_tells_nothing_is_no_near_miss(schema):
    assert explain(schema, "多梦。月经规律", [], ["换垫"]) == ({}, {}), "a topic without a count"
    assert explain(schema, "多梦", [], ["月经量"]) == ({}, {}), "a single character without its topic"
    assert explain(schema, "咳嗽", [], list(schema.fields)) == ({}, {})


def test_only_what_is_asked_for_is_answered(schema):
    values, misses = explain(schema, "痛经，小腹坠胀，月经规律", [], ["腹痛处"])
    assert list(values) == ["腹痛处"] and misses == {}


def test_every_reason_is_tried_here_and_worded():
    tried = {mark.args[1][n][3] for mark in test_each_reason.pytestmark for n in range(len(mark.args[1]))} | {"model_says"}
    assert tried == set(REASONS) == set(WORDED)

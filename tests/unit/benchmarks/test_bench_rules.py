import pytest

from benchmarks.baselines import grammar, keywords
from tcmstruct.schema import load_schema
from tcmstruct.text.lexicon import Lexicon
from vocab.reader import Term


def test_keywords_yes_no_and_values():
    fields = keywords.read("反复咳嗽3天，无发热，双下肢无浮肿。纳可，大便日行2次，质干。舌质淡红，苔薄黄，脉弦细。体温38.2℃。")
    values = {name: f.value for name, f in fields.items()}
    assert values["咳嗽"] == "有"
    assert values["有无发热"] == values["水肿"] == "无"
    assert values["纳食"] == "正常"
    assert values["大便频次"] == "2-2/1"
    assert values["舌色"] == ["淡红"]
    assert values["苔色"] == ["黄"] and values["苔质"] == ["薄"]
    assert values["脉象"] == ["弦", "细"]
    assert values["最高体温"] == 38.2


def test_keywords_a_negation_ends_with_its_clause_and_the_past_is_left_out():
    assert keywords.read("无咳嗽，胸闷")["胸闷"].value == "有"
    assert "便血" not in keywords.read("既往有便血史。")


def test_keywords_evidence_is_of_the_text():
    text = "胸闷气短，夜寐欠佳，二便调，痰黄，舌暗红，有齿痕。"
    for value in keywords.read(text).values():
        assert text[value.start : value.end] == value.evidence


def test_there_are_about_thirty_lines_of_keywords():
    assert len(keywords.YES_NO) == 30


@pytest.mark.parametrize(("text", "word", "status"), [
    ("患者头痛", "头痛", "有"), ("无恶心、呕吐", "呕吐", "无"), ("无头痛，恶心", "恶心", "有"), ("不伴头痛", "头痛", "无"),
    ("既往头痛", "头痛", "既往"),
    ("曾有头痛，现恶心", "恶心", "有"),
    ("无恶心但头痛", "头痛", "有"), ("不咳嗽", "咳嗽", "无"), ("不思饮食伴头痛", "头痛", "有"),
])
def test_status_by_rule(text, word, status):
    assert grammar.status_by_rule(text, text.index(word)) == status


def test_longest_terms_win_and_types_follow_the_guide():
    terms = [Term("symptom", "头痛"), Term("symptom", "前额头痛"), Term("disease_western", "高血压"), Term("herb", "黄芪")]
    lexicon = Lexicon.from_terms(terms, grammar.TYPE_OF_KIND)
    found = grammar.lexicon_mentions("前额头痛，高血压，予黄芪", lexicon)
    assert [(m.type, m.start, m.end, m.status) for m in found] == [
        ("症状", 0, 4, "有"), ("西医诊断", 5, 8, None), ("治疗", 10, 12, None)]


def test_the_system_needs_no_training():
    (found,) = grammar.make_fit(load_schema("all"))([])(["咳嗽，无发热。舌淡红，苔薄白，脉弦。"])
    assert found.fields["咳嗽"].value == "有"
    assert found.fields["苔色"].value == ["白"]
    assert {m.type for m in found.entities} >= {"症状", "脉象"}

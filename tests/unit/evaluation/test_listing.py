import pytest

from tcmstruct.evaluation import evaluate, list_errors
from tcmstruct.evaluation.listing import KINDS
from tcmstruct.evaluation.wording import ERRORS
from tcmstruct.record import FieldValue, Mention, StructuredRecord

TEXT = "患者咳嗽，无发热，舌红，苔薄黄，脉弦滑。"


def one(gold, pred, context=3):
    g = StructuredRecord("a", TEXT, [Mention(*gold)] if gold else [Mention("治疗", 18, 19)])
    p = StructuredRecord("a", TEXT, [Mention(*pred)] if pred else [])
    if not gold:
        p.entities = [*p.entities, *g.entities]
        g.entities = [*g.entities, Mention("症状", 2, 4, "有")]
        p.entities = [*p.entities, Mention("症状", 2, 4, "有")]
    (case,) = list_errors([g], [p], context=context)
    return case


@pytest.mark.parametrize(("gold", "pred", "kind"), [
    (("症状", 2, 4, "有"), None, "missed"),
    (None, ("症状", 6, 8, "无"), "spurious"),
    (("症状", 2, 4, "有"), ("症状", 2, 4, "无"), "status"),
    (("症状", 2, 4, "有"), ("症状", 2, 4, None), "status"),
    (("症状", 2, 4, "有"), ("症状", 1, 4, "有"), "border"),
])
def test_kinds(gold, pred, kind):
    assert one(gold, pred).kind == kind


def test_type_and_border_and_type():
    gold = StructuredRecord("a", TEXT, [Mention("舌苔", 12, 15), Mention("脉象", 16, 19)])
    pred = StructuredRecord("a", TEXT, [Mention("脉象", 12, 15), Mention("舌苔", 16, 18)])
    assert [case.kind for case in list_errors([gold], [pred])] == ["type", "border+type"]


def test_a_case_shows_the_words_and_their_surroundings():
    case = one(("症状", 2, 4, "有"), ("症状", 2, 4, "无"))
    assert (case.before, case.span, case.after) == ("患者", "咳嗽", "，无发")
    assert (case.gold, case.pred) == ("症状 咳嗽 有", "症状 咳嗽 无")
    assert TEXT[case.start : case.end] == case.span


def test_fields():
    gold = StructuredRecord("a", TEXT, [], {
        "咳嗽": FieldValue("有", "咳嗽", 2, 4), "脉象": FieldValue(["弦", "滑"], "", 16, 19),
        "有无发热": FieldValue("无", "无发热", 5, 8)})
    pred = StructuredRecord("a", TEXT, [], {
        "咳嗽": FieldValue("有", "", 2, 4), "脉象": FieldValue(["弦"], "", 17, 18),
        "苔色": FieldValue("黄", "", 14, 15), "舌色": FieldValue("红", "", None, None)})
    cases = list_errors([gold], [pred], count_all=True)
    assert {(c.kind, c.name, c.gold, c.pred) for c in cases} == {
        ("field_missed", "有无发热", "无", ""), ("field_value", "脉象", "弦;滑", "弦"),
        ("field_spurious", "苔色", "", "黄"), ("field_spurious", "舌色", "", "红")}
    assert [c.name for c in list_errors([gold], [pred])] == ["有无发热", "脉象"]


def test_kinds_are_those_that_are_documented_and_worded():
    assert set(KINDS) == set(ERRORS)


def test_counts_agree_with_the_score():
    cough = Mention("症状", 2, 4, "有")
    tongue_and_pulse = Mention("舌苔", 9, 11), Mention("脉象", 16, 19)
    gold = StructuredRecord("a", TEXT, [cough, Mention("症状", 6, 8, "无"), *tongue_and_pulse])
    pred = StructuredRecord("a", TEXT, [cough, Mention("症状", 5, 8, "无"), Mention("舌苔", 12, 15)])
    result = evaluate([gold], [pred])
    assert result.error_counts == {"missed": 2, "spurious": 1, "border": 1}

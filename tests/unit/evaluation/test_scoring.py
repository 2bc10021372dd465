import dataclasses
import json

import pytest

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import evaluate
from tcmstruct.record import FieldValue, Mention, StructuredRecord

TEXT = "患者咳嗽，无发热，舌红，苔薄黄，脉弦滑。"


def mention(words, type_, status=None, confidence=1.0, text=TEXT):
    start = text.index(words)
    return Mention(type_, start, start + len(words), status, confidence)


def fields(**values):
    return {name: FieldValue(v, "", 2, 4) for name, v in values.items()}


GOLD = StructuredRecord("a", TEXT,
                        [mention("咳嗽", "症状", "有"), mention("发热", "症状", "无"), mention("脉弦滑", "脉象")],
                        fields(咳嗽="有", 有无发热="无", 脉象=["弦", "滑"]), dept="呼吸内科")


def pred(*entities, **values):
    return StructuredRecord("a", TEXT, list(entities), fields(**values))


def test_perfect():
    result = evaluate([GOLD], [GOLD])
    assert {s.f1.value for s in result.entities.values()} == {1}
    assert result.fields.micro.f1.value == result.status.accuracy.value == result.fields.evidence_overlap.value == 1
    assert result.error_counts == {} and result.warnings == () and result.notes != ()  # the note: confidences are all 1
    assert result.calibration == {}


def test_types_of_the_model_are_mapped_to_those_of_the_guide_and_others_left_out_with_a_note():
    others = mention("患者", "人群"), mention("舌红", "舌质")
    found = evaluate([GOLD], [pred(mention("咳嗽", "症状体征", "有"), *others)])
    assert (found.entities["strict"].credit, found.entities["strict"].n_pred) == (1, 1)
    assert found.settings["types_mapped"] is True
    assert any("type 人群 (1)" in note and "type 舌质 (1)" in note for note in found.notes)


def test_count_all_takes_what_gold_never_holds_as_spurious():
    found = pred(mention("舌红", "舌质"), mention("患者", "人群"), 口苦="有")
    kind, whole = evaluate([GOLD], [found]), evaluate([GOLD], [found], count_all=True)
    assert (kind.entities["strict"].n_pred, kind.fields.micro.n_pred) == (0, 0)
    assert (whole.entities["strict"].n_pred, whole.fields.micro.n_pred) == (1, 1)
    assert kind.settings["types"] == ["症状", "脉象"]


def test_a_set_with_types_of_its_own_is_compared_as_it_stands():
    gold = StructuredRecord("a", TEXT, [mention("咳嗽", "SYM")])
    assert evaluate([gold], [gold]).settings["types_mapped"] is False
    assert evaluate([gold], [gold]).entities["strict"].f1.value == 1
    other = evaluate([gold], [pred(mention("咳嗽", "症状体征"))])
    assert other.entities["strict"].f1.value == 0
    assert any("no predicted type" in w for w in other.warnings)


def test_raw_types_switches_the_mapping_off():
    found = evaluate([GOLD], [pred(mention("咳嗽", "症状体征", "有"), mention("脉弦滑", "脉象"))], raw_types=True)
    assert (found.entities["strict"].credit, found.entities["strict"].n_pred) == (1, 1)


def test_status_is_judged_on_matched_mentions_and_the_confusion_names_both_sides():
    symptoms = mention("咳嗽", "症状体征", "既往"), mention("发热", "症状体征")
    found = evaluate([GOLD], [pred(*symptoms, mention("脉弦滑", "脉象"))])
    assert (found.status.n, found.status.accuracy.value) == (2, 0)
    assert found.status.confusion == {"无": {"": 1}, "有": {"既往": 1}}
    assert (found.entities["strict"].credit, found.entities["exact"].credit) == (1, 3)


def test_repeated_mentions_count_once():
    twice = mention("咳嗽", "症状", "有")
    found = evaluate([GOLD], [pred(twice, twice, mention("咳嗽", "症状", "无"))])
    assert (found.entities["strict"].credit, found.entities["strict"].n_pred) == (1, 2)
    assert any("1 mentions stand twice" in note for note in found.notes)


def test_fields():
    found = evaluate([GOLD], [pred(咳嗽="有", 有无发热="有", 脉象=["滑", "弦"])], min_gold=1)
    assert found.fields.micro.f1.value == pytest.approx(2 / 3)
    assert found.fields.macro_f1.value == pytest.approx(2 / 3)
    assert found.fields.by_field["有无发热"].credit == 0
    assert evaluate([GOLD], [GOLD], min_gold=2).fields.macro_f1.value is None


def test_evidence_is_an_extra_that_does_not_decide_the_value():
    far = dataclasses.replace(GOLD.fields["咳嗽"], start=10, end=12)
    found = evaluate([GOLD], [StructuredRecord("a", TEXT, [], {"咳嗽": far})])
    assert (found.fields.micro.credit, found.fields.evidence_overlap.value) == (1, 0)


def test_a_record_without_prediction_counts_as_missed_and_is_said():
    other = dataclasses.replace(GOLD, id="b")
    found = evaluate([GOLD, other], [GOLD, dataclasses.replace(GOLD, id="c")])
    assert found.entities["strict"].recall.value == .5
    assert (found.n_missing, found.n_extra) == (1, 1)
    assert "1 of 2 gold records" in found.warnings[0] and "b" in found.warnings[0]
    assert "c" in found.warnings[1]
    assert evaluate([GOLD], []).entities["strict"].f1.value == 0


def test_groups():
    second = StructuredRecord("b", TEXT, [mention("咳嗽", "症状", "有")], {}, dept="医案", extra={"source": "s"})
    found = evaluate([GOLD, second], [GOLD, StructuredRecord("b", TEXT)], min_gold=1)
    assert found.groups["dept"]["呼吸内科"].entities["strict"].f1.value == 1
    assert found.groups["dept"]["医案"].entities["strict"].f1.value == 0
    assert found.groups["dept"]["医案"].fields.f1.value is None
    assert set(found.groups["style"]) == {"inpatient", "published"}
    assert set(found.groups["source"]) == {"", "s"}
    assert found.groups["style"]["inpatient"].macro_f1.value == 1


def test_style_is_read_from_departments_only_where_the_set_uses_them_so():
    assert "style" not in evaluate([GOLD], [GOLD]).groups


def test_seen_unseen_rare_and_the_warning_of_a_leak():
    train = [StructuredRecord(f"t{i}", "咳嗽。", [Mention("症状", 0, 2, "有")]) for i in range(3)]
    train.append(StructuredRecord("t9", "脉弦滑。", [Mention("脉象", 0, 3)]))
    found = evaluate([GOLD], [GOLD], train=train)
    assert {name: s.n_gold for name, s in found.mentions.items()} == {"seen": 2, "unseen": 1, "rare": 2, "frequent": 1}
    assert found.warnings == ()
    assert "1 of 1 gold texts" in evaluate([GOLD], [GOLD], train=[GOLD]).warnings[0]


def test_comparison_of_two_systems():
    golds = [dataclasses.replace(GOLD, id=str(i)) for i in range(20)]
    weak = [dataclasses.replace(g, entities=g.entities[: 1 + i % 2], fields={}) for i, g in enumerate(golds)]
    found = evaluate(golds, golds, against=weak)
    strict = found.differences["entities_strict_f1"]
    assert strict.difference.value == pytest.approx(strict.pred - strict.against) and strict.difference.low > 0
    assert strict.p < .01
    assert found.differences["fields_micro_f1"].difference.value == 1
    back = evaluate(golds, weak, against=golds).differences["entities_strict_f1"]
    assert (back.difference.low, back.p) == (pytest.approx(-strict.difference.high), strict.p)
    assert evaluate(golds, weak, against=weak).differences["entities_strict_f1"].p == 1


def test_calibration_and_review():
    values = {"咳嗽": FieldValue("有", "", 2, 4, confidence=.9),
              "有无发热": FieldValue("有", "", 6, 8, confidence=.4, review=True)}
    entities = [mention("咳嗽", "症状", "有", .8), mention("发热", "症状", "有", .6)]
    found = evaluate([GOLD], [StructuredRecord("a", TEXT, entities, values)])
    assert found.calibration["entities"].brier == pytest.approx((.2**2 + .6**2) / 2)
    assert found.calibration["fields"].brier == pytest.approx((.1**2 + .4**2) / 2)
    assert (found.review.coverage, found.review.precision_accepted, found.review.errors_caught) == (.5, 1, 1)


def test_a_prediction_without_text_is_checked_by_its_hash():
    whole = GOLD.to_dict(keep_text=False)
    bare = dataclasses.replace(GOLD, text="", extra={"text_sha256": whole["text_sha256"]})
    assert evaluate([GOLD], [bare]).entities["strict"].f1.value == 1
    assert evaluate([GOLD], [bare]).warnings == ()
    assert "on trust" in evaluate([GOLD], [dataclasses.replace(GOLD, text="")]).warnings[0]


def refused(code, gold, predicted, **options):
    with pytest.raises(InputRefused) as caught:
        evaluate(gold, predicted, **options)
    assert caught.value.code == code
    assert "咳嗽，" not in str(caught.value) and "患者" not in str(caught.value)
    return str(caught.value)


def test_what_does_not_belong_together_is_refused():
    assert "'a'" in refused("text_differs", [GOLD], [dataclasses.replace(GOLD, text=TEXT + " ")])
    assert "'a'" in refused("text_differs", [GOLD], [dataclasses.replace(GOLD, text="", extra={"text_sha256": "0"})])
    assert "against" in refused("text_differs", [GOLD], [GOLD], against=[dataclasses.replace(GOLD, text="咳")])
    refused("duplicate_id", [GOLD, GOLD], [GOLD])
    refused("duplicate_id", [GOLD], [GOLD, GOLD])
    refused("no_common_id", [GOLD], [dataclasses.replace(GOLD, id="z")])
    refused("empty", [], [GOLD])
    refused("not_annotated", [StructuredRecord("a", TEXT)], [GOLD])


@pytest.mark.parametrize("offsets", [(3, 3), (-1, 2), (4, 2), (0, 99), (0.0, 2), (True, 2), ("0", 2), (None, 2)])
def test_offsets_outside_of_the_text_are_refused(offsets):
    refused("bad_offsets", [GOLD], [pred(Mention("脉象", *offsets))])
    refused("bad_offsets", [dataclasses.replace(GOLD, entities=[Mention("脉象", *offsets)])], [GOLD])


@pytest.mark.parametrize("confidence", [1.01, -.1, float("nan"), "0.9", None, True])
def test_confidences_that_are_none_are_refused(confidence):
    refused("bad_confidence", [GOLD], [pred(mention("咳嗽", "症状", "有", confidence))])
    bad = dataclasses.replace(GOLD.fields["咳嗽"], confidence=confidence)
    refused("bad_confidence", [GOLD], [dataclasses.replace(GOLD, fields={"咳嗽": bad})])


def test_values_that_are_none_are_refused():
    refused("bad_value", [GOLD], [pred(咳嗽=None)])
    refused("bad_value", [GOLD], [pred(咳嗽=[["有"]])])


def test_options_out_of_range_are_usage_errors():
    with pytest.raises(UsageError):
        evaluate([GOLD], [GOLD], n_boot=-1)
    with pytest.raises(UsageError):
        evaluate([GOLD], [GOLD], min_gold=0)


def test_the_result_is_plain_data_without_record_text():
    told = json.dumps(evaluate([GOLD], [pred(mention("舌红", "症状", "有"), 咳嗽="无")]).to_dict(), ensure_ascii=False,
                      allow_nan=False)
    assert "患者" not in told and "舌红" not in told

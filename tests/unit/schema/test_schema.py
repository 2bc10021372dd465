"""The shipped packs on invented sentences: the rules of the annotation guide, one by one."""

from __future__ import annotations

import pytest

from tcmstruct.record import Mention
from tcmstruct.schema import Schema, load_schema

BOILERPLATE = "神志清晰，精神尚可，形体适中，语言清晰，腹部平坦，双下肢无浮肿，"


@pytest.fixture(scope="module")
def schema() -> Schema:
    return load_schema("all")


def values(schema: Schema, text: str, mentions: list[Mention] | None = None) -> dict[str, object]:
    found = schema.extract(text, mentions or [])
    for value in found.values():
        assert text[value.start : value.end] == value.evidence != ""
    return {name: value.value for name, value in found.items()}


def test_the_fields_of_the_guide(schema: Schema) -> None:
    assert len(schema.fields) == 53
    assert {name for name, field in schema.fields.items() if field.several} == {
        "大便性状", "舌色", "舌形", "苔色", "苔质", "脉象", "便血方式", "痰色", "痰质"}
    assert {name: field.unit for name, field in schema.fields.items() if field.type == "number"} == {
        "最高体温": "℃", "VAS评分": None, "健侧腕关节周径": "cm", "患侧腕关节周径": "cm"}
    assert schema.fields["舌色"].values[0] == "淡白" and schema.fields["便血"].department == "肛肠科"
    assert [name for name, field in schema.fields.items() if field.type == "frequency"] == ["大便频次", "腹泻频次"]


CASES = [
    # negation and its reach
    ("无恶心呕吐、腹痛，咳嗽。", {"恶心": "无", "呕吐": "无", "腹痛": "无", "咳嗽": "有"}),
    ("否认发热、咳嗽、腹泻。", {"有无发热": "无", "咳嗽": "无", "腹泻": "无"}),
    ("无发热，伴咳嗽。", {"有无发热": "无", "咳嗽": "有"}),
    ("四肢无力，不思饮食。", {"乏力": "有", "纳食": "欠佳"}),
    ("刻下：头痛未作，心慌明显。", {"头痛": "无", "心悸": "有"}),
    ("其母有咳嗽。", {}),
    # current over history, affirmed over boilerplate and over the list of denials
    ("患者2年前出现腹胀、反酸。刻下：腹胀，无反酸。", {"腹胀": "有", "反酸": "无"}),
    ("患者1周来双下肢浮肿。刻下：纳可。" + BOILERPLATE + "舌红。",
     {"水肿": "有", "纳食": "正常", "舌色": ["红"]}),
    ("刻下：纳可。" + BOILERPLATE + "舌红。", {"水肿": "无", "纳食": "正常", "舌色": ["红"]}),
    ("刻下：胸闷时作，无胸闷气喘。", {"胸闷": "有", "气喘": "无"}),
    ("咳嗽。既往史：头痛病史。", {"咳嗽": "有"}),
    # one word, two fields
    ("胸闷痛时作。", {"胸闷": "有", "胸痛": "有"}),
    ("纳眠可，二便调。", {"纳食": "正常", "睡眠": "正常", "大便性状": ["正常"], "小便": "正常"}),
    ("睡眠、饮食欠佳。", {"纳食": "欠佳", "睡眠": "欠佳"}),
    ("恶心欲吐。", {"恶心": "有"}),
    # whose words they are
    ("大便日行2-3次，质软，伴便血，量多，色鲜红，无粘液便。",
     {"大便频次": "2-3/1", "大便性状": ["正常"], "便血": "有", "便血量": "多", "便血颜色": "鲜红", "黏液脓血便": "无"}),
    ("小便黄，大便干结，3日1行。", {"小便": "异常", "大便性状": ["干硬"], "大便频次": "1-1/3"}),
    ("腹泻，每日3~4次。", {"腹泻": "有", "腹泻频次": "3-4/1"}),
    ("咳少量白粘痰。", {"咳痰": "有", "痰色": ["白"], "痰量": "少", "痰质": ["黏"]}),
    ("面色红，舌淡，苔白。", {"舌色": ["淡白"], "苔色": ["白"]}),
    # explicit over general
    ("刻下：二便正常，大便时干时稀。", {"大便性状": ["干稀不调"], "小便": "正常"}),
    ("刻下：大小便正常，夜尿3次。", {"大便性状": ["正常"], "小便": "异常"}),
    # tongue, coating, pulse
    ("舌暗红边有齿痕，苔薄黄微腻，脉沉细无力。",
     {"舌色": ["暗红"], "舌形": ["齿痕"], "苔色": ["黄"], "苔质": ["薄", "腻"], "脉象": ["沉", "细", "无力"]}),
    ("舌淡有紫气，苔白厚中心微黄。", {"舌色": ["淡紫"], "苔色": ["白", "淡黄"], "苔质": ["厚"]}),
    ("舌红少津，无苔，脉数。", {"舌色": ["红"], "苔质": ["燥", "无"], "脉象": ["数"]}),
    ("左手脉沉弦，右手脉滑。", {"脉象": ["沉", "弦", "滑"]}),
    ("刻下：舌红，苔薄白，脉数。" + BOILERPLATE + "舌淡红，苔白，脉弦。",
     {"水肿": "无", "舌色": ["淡红"], "苔色": ["白"], "脉象": ["弦"]}),
    # numbers
    ("发热，体温最高38.6℃。", {"有无发热": "有", "最高体温": 38.6}),
    ("体温36.5℃。", {}),
    ("今晨体温38度左右。", {"有无发热": "有", "最高体温": 38}),
    ("右膝关节疼痛，VAS评分6分。", {"患侧": "右", "VAS评分": 6}),
    ("左腕肿胀，健侧腕关节周径16.5cm，患侧腕关节周径18.2cm。",
     {"患侧": "左", "肿胀": "有", "健侧腕关节周径": 16.5, "患侧腕关节周径": 18.2}),
    # sides
    ("右膝、左踝关节肿痛。", {"肿胀": "有"}),
    ("双下肢浮肿。", {"水肿": "有"}),
    # anus
    ("肛门坠胀疼痛，肛内肿物脱出，不能还纳。",
     {"肛门坠胀": "有", "肛门疼痛": "有", "肛内肿物脱出": "有", "脱出回纳": "不能回纳"}),
    # later visits do not count
    ("初诊：咳嗽。舌红。\n二诊：头痛。", {"咳嗽": "有", "舌色": ["红"]}),
    ("3月1日初诊：咳嗽。3月15日二诊：头痛。", {"咳嗽": "有"}), ("咳嗽。2026.3.15复诊：头痛。", {"咳嗽": "有"}),
    # traditional characters; the evidence is the text's own
    ("咳嗽發熱，無頭痛，舌紅，苔黃膩，脈滑數，大便乾結。",
     {"咳嗽": "有", "有无发热": "有", "头痛": "无", "舌色": ["红"], "苔色": ["黄"], "苔质": ["腻"], "脉象": ["滑", "数"],
      "大便性状": ["干硬"]}),
]


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[text[:12] for text, _ in CASES])
def test_values(schema: Schema, text: str, expected: dict[str, object]) -> None:
    assert values(schema, text) == expected


def mention(text: str, words: str, status: str, confidence: float = 0.8) -> Mention:
    start = text.index(words)
    return Mention("症状体征", start, start + len(words), status, confidence)


@pytest.mark.parametrize(("text", "evidence"), [
    ("无恶心、呕吐。", {"恶心": "无恶心", "呕吐": "无恶心、呕吐"}),
    ("恶心、呕吐（-）。", {"恶心": "恶心、呕吐（-）", "呕吐": "呕吐（-）"}),
])
def test_the_evidence_of_what_is_denied_holds_the_denial(schema: Schema, text: str, evidence: dict[str, str]) -> None:
    assert {name: value.evidence for name, value in schema.extract(text, []).items()} == evidence


def test_a_mention_decides_the_status_and_the_confidence(schema: Schema) -> None:
    text = "患者曾有多次头痛，现仍咳嗽。"
    assert values(schema, text, [mention(text, "咳嗽", "有"), mention(text, "头痛", "既往")]) == {"咳嗽": "有"}
    found = schema.extract("咳嗽。", [Mention("症状体征", 0, 2, "有", 0.7)])["咳嗽"]
    assert (found.basis, found.confidence) == ("mention", 0.7)
    found = schema.extract("咳嗽。", [])["咳嗽"]
    assert (found.basis, found.confidence) == ("pattern", schema.fields["咳嗽"].spec.prior)


def test_a_mention_does_not_overrule_a_plain_negation_nor_invents_one(schema: Schema) -> None:
    text = "无咳嗽，头痛。"
    assert values(schema, text, [mention(text, "咳嗽", "有")])["咳嗽"] == "无"
    assert values(schema, "头痛。", [mention("头痛。", "头痛", "无")]) == {"头痛": "有"}


@pytest.mark.parametrize(("text", "fields"), [
    ("家族史：父亲咳嗽。", {}), ("其父有咳嗽、头痛。", {}), ("头痛。患者母亲患咳嗽多年。", {"头痛": "有"}),
    ("其母诉咳嗽。", {"咳嗽": "有"}), ("其父有头痛，患者咳嗽。", {"咳嗽": "有"}),
    ("头痛。其母咳嗽多年。", {"头痛": "有"}), ("其母长期失眠，患者本人睡眠可。", {"睡眠": "正常"}),
    ("父亲便血多年，患者头痛。", {"头痛": "有"}),
    ("患者母亲咳嗽，其本人头痛。", {"头痛": "有"})])
def test_a_mention_does_not_make_anothers_finding_the_patients(schema: Schema, text: str, fields: dict[str, str]) -> None:
    assert values(schema, text, [mention(text, words, "有") for words in ("咳嗽", "头痛") if words in text]) == fields


def test_a_mention_with_shifted_borders_still_counts(schema: Schema) -> None:
    text = "入院前有咳嗽"
    assert schema.extract(text, [Mention("症状体征", 4, 6, "有", 0.6)])["咳嗽"].basis == "mention"


def test_tongue_mentions_support_tongue_fields(schema: Schema) -> None:
    text = "舌淡红，苔白"
    found = schema.extract(text, [Mention("舌质", 0, 3, None, 0.9)])
    assert found["舌色"].basis == "mention" and found["苔色"].basis == "pattern"


@pytest.mark.parametrize("text", ["", "。", "咳", "\n\n", "无", "舌", "体温", "日1", "\ud800咳嗽\x00", "😀" * 50])
def test_odd_texts(schema: Schema, text: str) -> None:
    values(schema, text)


def test_a_department_is_general_and_itself() -> None:
    schema = load_schema("骨科")
    assert {field.department for field in schema.fields.values()} == {"general", "骨科"}
    assert "便血" not in schema.fields and "麻木" in schema.fields


def test_the_fingerprint_is_of_the_packs() -> None:
    assert load_schema("骨科").fingerprint == load_schema("骨科").fingerprint != load_schema("all").fingerprint


def test_the_order_of_mentions_does_not_matter(schema: Schema) -> None:
    text = "咳嗽，无头痛，胸闷"
    marks = [mention(text, "咳嗽", "有", 0.5), mention(text, "头痛", "无", 0.6), mention(text, "胸闷", "有", 0.7)]
    assert schema.extract(text, marks) == schema.extract(text, marks[::-1])

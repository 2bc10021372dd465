import base64

import pytest
from record_files import cda, element, read, section

from tcmstruct.emr import Reject


def one(tmp_path, text):
    source, items = read(tmp_path, text)
    assert source.facts.format == "cda"
    (item,) = items
    return item


def test_sections_in_the_order_of_the_document_and_facts_beside_them(tmp_path):
    record = one(tmp_path, cda(
        section(element("DE04.01.119.00", "主诉", "胃脘胀痛3天")),
        section(element("DE02.10.071.00", "现病史", "3天前饮食不节后起病。"), "10164-2"),
        section(element("DE02.10.028.00", "中医“四诊”观察结果", "舌红，苔黄腻，脉滑数。"), "29548-5", "Diagnosis")))
    assert record.text == "主诉：胃脘胀痛3天\n现病史：3天前饮食不节后起病。\n中医“四诊”观察结果：舌红，苔黄腻，脉滑数。"
    assert (record.id, record.dept, record.where, record.warnings) == ("DOC1", "脾胃病科", "a.csv:1", ())
    assert record.extra == {"文档类型": "门(急)诊病历", "门（急）诊号": "MZ0007", "患者姓名": "甲某", "性别": "女性",
                            "出生日期": "19800102", "年龄": "46岁", "就诊日期时间": "20260301"}


def test_disease_and_syndrome_share_a_code_and_are_told_apart_by_name_or_qualifier(tmp_path):
    def both(disease_name, syndrome_name, disease_inner="", syndrome_inner=""):
        return one(tmp_path, cda(
            section(element("DE04.01.119.00", "主诉", "胃脘胀痛3天")),
            section(element("DE05.10.172.00", disease_name, "胃痛", disease_inner)
                    + element("DE05.10.172.00", syndrome_name, "湿热中阻证", syndrome_inner), "29548-5"))).extra

    qualifier = '<qualifier><name displayName="{}"/></qualifier>'
    want = {"中医病名名称": "胃痛", "中医证候名称": "湿热中阻证"}
    assert want.items() <= both("中医病名名称", "中医证候名称").items()
    for shown in ("", "中医诊断名称", "NA"):
        assert want.items() <= both(shown, shown, qualifier.format("中医病名名称"), qualifier.format("中医证候名称")).items()
    found = both("初步诊断-中医诊断", "初步诊断-中医诊断", qualifier.format("中医病名名称"), qualifier.format("中医证候名称"))
    assert (found["初步诊断-中医病名名称"], found["初步诊断-中医证候名称"]) == ("胃痛", "湿热中阻证")


def test_what_the_patient_does_not_have_is_kept_apart(tmp_path):
    record = one(tmp_path, cda(
        section(element("DE04.01.119.00", "主诉", "胃脘胀痛3天")),
        section(element("DE05.10.172.00", "鉴别诊断-中医病名名称", "胁痛", '<qualifier><name displayName="中医病名名称"/></qualifier>'),
                "29548-5"),
        section(element("DE05.10.172.00", "中医病名名称", "真心痛"), "x1", "鉴别诊断章节"),
        section("", "x2", "鉴别诊断", "与胆胀相鉴别。")))
    assert record.text == "主诉：胃脘胀痛3天"
    assert record.extra["鉴别诊断-中医病名名称"] == "胁痛\n真心痛"
    assert record.extra["鉴别诊断"] == "与胆胀相鉴别。"
    assert "中医病名名称" not in record.extra


@pytest.mark.parametrize("placeholder", ["NA", "n/a", "无", "xx", "XXX", "/", "—", "", "  ", "null"])
def test_placeholders_are_missing(tmp_path, placeholder):
    record = one(tmp_path, cda(section(element("DE04.01.119.00", "主诉", "胃脘胀痛3天")),
                               section(element("DE02.10.099.00", "既往史", placeholder), "11348-0", text=placeholder),
                               section(element("DE05.10.172.00", "中医病名名称", placeholder), "29548-5")))
    assert record.text == "主诉：胃脘胀痛3天"
    assert "中医病名名称" not in record.extra


@pytest.mark.parametrize(("text", "want"), [
    ("反复头痛3年。", "主诉：反复头痛3年。"),
    ("<paragraph>反复头痛3年。</paragraph><paragraph>加重1天。</paragraph>", "主诉：反复头痛3年。\n加重1天。"),
    ("<value xsi:type='TS' value='反复头痛3年。'/>", "主诉：反复头痛3年。"),
    ("<table><tr><td>反复头痛</td><td>3年</td></tr></table>", "主诉：反复头痛\t3年"),
])
def test_the_text_of_a_section_that_has_no_data_elements(tmp_path, text, want):
    assert one(tmp_path, cda(section("", text=text))).text == want


def test_a_value_may_stand_in_an_attribute_or_in_a_value_within_it(tmp_path):
    inner = '<value xsi:type="TS" value="反复头痛3年。"/>'
    assert one(tmp_path, cda(section(element("DE04.01.119.00", "主诉", inner)))).text == "主诉：反复头痛3年。"
    coded = ('<entry><observation><code code="DE04.10.188.00" displayName="体重"/>'
             '<value xsi:type="PQ" value="60" unit="kg"/></observation></entry>'
             '<entry><observation><code code="DE05.10.130.00" displayName="中医病名代码"/>'
             '<value xsi:type="CD" code="A04.03.15" displayName="胃痛"/></observation></entry>'
             '<entry><observation><code code="DE05.10.113.00" displayName="病情转归"/>'
             '<value nullFlavor="NI" xsi:type="ST"/></observation></entry>')
    record = one(tmp_path, cda(section(element("DE04.01.119.00", "主诉", "头痛3年")), section(coded, "29545-1", "PHYSICAL EXAMINATION")))
    assert (record.extra["体重"], record.extra["中医病名代码"]) == ("60kg", "A04.03.15")
    assert "病情转归" not in record.extra


def test_a_narrative_that_only_renders_its_data_elements_is_not_said_twice(tmp_path):
    same = section(element("DE04.01.119.00", "主诉", "头痛3年"), text="主诉：头痛3年。")
    more = section(element("DE04.01.119.00", "主诉", "头痛3年"), text="头痛3年，近日因劳累而加重，夜不能寐。")
    assert one(tmp_path, cda(same)).text == "主诉：头痛3年"
    assert one(tmp_path, cda(more)).text == "主诉：头痛3年，近日因劳累而加重，夜不能寐。"


def test_data_elements_within_others_and_sections_within_sections(tmp_path):
    nested = ('<entry><observation><code code="DE02.10.023.00" displayName="过敏史标志"/><value xsi:type="BL" value="true"/>'
              '<entryRelationship><observation><code code="DE05.01.022.00"/><value xsi:type="ST">青霉素过敏</value></observation>'
              '</entryRelationship></observation></entry>')
    inner = section(element("DE02.10.103.00", "家族史", "父亲有高血压"), "10157-6")
    record = one(tmp_path, cda(section(element("DE04.01.119.00", "主诉", "头痛3年")), section(nested + inner, "48765-2")))
    assert record.text == "主诉：头痛3年\n过敏史：青霉素过敏\n家族史：父亲有高血压"
    assert record.extra["过敏史标志"] == "true"


def test_no_body_no_text_and_a_body_in_base64(tmp_path):
    assert [(item.code, item.id) for item in (one(tmp_path, cda()),) if isinstance(item, Reject)] == [("text_missing", "DOC1")]
    coded = base64.b64encode("反复头痛3年".encode("gb18030")).decode()
    text = f'<text mediaType="text/plain" representation="B64">{coded}</text>'
    assert one(tmp_path, cda(text, body="nonXMLBody")).text == "反复头痛3年"
    assert one(tmp_path, cda('<text mediaType="application/pdf" representation="B64">!!!</text>', body="nonXMLBody")).code == "text_missing"


def test_many_documents_in_one_file_and_namespace_prefixes(tmp_path):
    docs = "".join(f"<Doc>{cda(section(element('DE04.01.119.00', '主诉', f'头痛{n}天')), header='')}</Doc>" for n in range(300))
    _, items = read(tmp_path, f"<Docs>{docs}</Docs>")
    assert [item.text for item in items] == [f"主诉：头痛{n}天" for n in range(300)]
    assert [item.id for item in items[:2]] == ["a.csv:1", "a.csv:2"]
    prefixed = cda(section(element("DE04.01.119.00", "主诉", "头痛3天")))
    prefixed = prefixed.replace("<", "<n:").replace("<n:/", "</n:").replace("xmlns=", "xmlns:n=")
    assert one(tmp_path, prefixed).text == "主诉：头痛3天"

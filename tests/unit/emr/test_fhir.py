import base64
import json

import pytest
from record_files import read

TCM = "urn:oid:2.16.156.10011.2.3.3.14"


def composition(number="c1", sections=(("主诉", "胃脘胀痛3天"),), **others):
    return {"resourceType": "Composition", "id": number, "subject": {"reference": "Patient/p1"}, "title": "门诊病历", "section": [
        {"title": title, "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}}
        for title, text in sections], **others}


PATIENT = {"resourceType": "Patient", "id": "p1", "name": [{"text": "甲某"}], "gender": "female", "birthDate": "1980-01-02"}


def condition(display, text="", status=None, system=TCM):
    out = {"resourceType": "Condition", "code": {"coding": [{"system": system, "code": "A1", "display": display}], "text": text}}
    return out | ({"verificationStatus": {"coding": [{"code": status}]}} if status else {})


def bundle(*resources, kind="document"):
    return {"resourceType": "Bundle", "type": kind, "entry": [{"fullUrl": "urn:uuid:1", "resource": r} for r in resources]}


def dump(value, indent=None):
    return json.dumps(value, ensure_ascii=False, indent=indent)


WHOLE = bundle(composition(), PATIENT, condition("胃痛", "湿热中阻证"), condition("胁痛", status="differential"),
               condition("真心痛", status="refuted"), condition("痹证", status="entered-in-error"))


@pytest.mark.parametrize("content", [
    dump(WHOLE), dump(WHOLE, 2), dump([WHOLE]), dump([WHOLE], 1), dump(bundle(WHOLE, kind="collection")), dump(WHOLE) + "\n\n",
    "\ufeff" + dump(WHOLE, 2),
])
def test_one_bundle_however_it_is_written(tmp_path, content):
    source, items = read(tmp_path, content)
    assert source.facts.format == "fhir"
    (record,) = items
    assert (record.id, record.text) == ("c1", "主诉：胃脘胀痛3天")
    assert record.extra == {
        "文档类型": "门诊病历", "患者ID": "p1", "患者姓名": "甲某", "性别": "女", "出生日期": "1980-01-02", "中医病名代码": "A1",
        "中医病名名称": "胃痛", "中医证候名称": "湿热中阻证", "鉴别诊断-中医病名代码": "A1", "鉴别诊断-中医病名名称": "胁痛",
        "排除诊断-中医病名代码": "A1", "排除诊断-中医病名名称": "真心痛"}


def test_a_bundle_a_line_with_bad_lines_between(tmp_path):
    lines = [dump(bundle(composition(f"c{n}"))) for n in range(3)]
    _, items = read(tmp_path, "\n".join([lines[0], "{bad", "", dump(bundle()), lines[1].replace("胃脘", "\\ud800"), lines[2]]))
    assert [getattr(item, "code", None) for item in items] == [None, "json_invalid", "fhir_invalid", "lone_surrogate", None]
    assert [item.where for item in items] == [f"a.csv:{n}" for n in (1, 2, 4, 5, 6)]


def test_many_patients_in_one_bundle_are_not_mixed(tmp_path):
    second = composition("c2", subject={"reference": "Patient/p2"})
    foreign = condition("眩晕") | {"subject": {"reference": "Patient/p2"}}
    _, items = read(tmp_path, dump(bundle(PATIENT, composition("c1"), foreign, second, kind="collection"), 1))
    assert [item.id for item in items] == ["c1", "c2"]
    assert items[0].extra["患者姓名"] == "甲某"
    assert "中医病名名称" not in items[0].extra and "患者姓名" not in items[1].extra
    assert items[1].extra["中医病名名称"] == "眩晕"


def test_sections_by_code_within_sections_and_marked_up(tmp_path):
    inner = composition(sections=(("家族史", "<p>父有高血压</p><p>母体健</p>"),))["section"]
    coded = {"code": {"coding": [{"code": "10164-2", "display": "History of present illness"}]},
             "text": {"div": "<div>甲<b>乙</b>&nbsp;&lt;丙<script>x</script><br/>丁</div>"}, "section": inner}
    apart = {"title": "鉴别诊断", "text": {"div": "<div>与胁痛鉴别</div>"}}
    _, (record,) = read(tmp_path, dump(bundle(composition(section=[coded, apart]))))
    assert record.text == "现病史：甲乙\xa0<丙\n丁\n家族史：父有高血压\n母体健"
    assert record.extra["鉴别诊断"] == "与胁痛鉴别"


def test_xml_is_the_same_as_json(tmp_path):
    def xml(resource):
        def members(name, value):
            if isinstance(value, list):
                return "".join(members(name, item) for item in value)
            if isinstance(value, dict):
                inner = "".join(members(key, item) for key, item in value.items() if key != "resourceType")
                if "resourceType" in value:
                    inner = f"<{value['resourceType']}>{inner}</{value['resourceType']}>"
                return f"<{name}>{inner}</{name}>"
            return value if name == "div" else f'<{name} value="{value}"/>'
        inner = "".join(members(key, value) for key, value in resource.items() if key != "resourceType")
        return f'<{resource["resourceType"]} xmlns="http://hl7.org/fhir">{inner}</{resource["resourceType"]}>'

    (want,) = read(tmp_path, dump(WHOLE))[1]
    source, (got,) = read(tmp_path, xml(WHOLE))
    assert source.facts.format == "fhir_xml"
    assert (got.id, got.text, got.extra) == (want.id, want.text, want.extra)
    assert read(tmp_path, xml(composition()))[1][0].text == want.text


def test_a_bundle_that_breaks_off_keeps_its_complete_documents(tmp_path):
    whole = dump(bundle(*(composition(f"c{n}") for n in range(5)), kind="collection"), 1)
    source, items = read(tmp_path, whole[: whole.rindex('"resource"') + 40])
    assert [getattr(item, "id", None) for item in items if not hasattr(item, "code")] == ["c0", "c1", "c2", "c3"]
    assert "cut_short" in source.facts.notes
    assert [item.code for item in items if hasattr(item, "code")] == ["cut_short"]


def test_documents_without_a_composition(tmp_path):
    data = base64.b64encode("反复头痛3年".encode()).decode()
    reference = {"resourceType": "DocumentReference", "id": "d1", "content": [{"attachment": {"contentType": "text/plain", "data": data}}]}
    observed = {"resourceType": "Observation", "code": {"coding": [{"code": "DE02.10.071.00"}]}, "valueString": "劳累后加重"}
    _, (record,) = read(tmp_path, dump(bundle(reference, observed)))
    assert (record.id, record.text) == ("d1", "反复头痛3年\n现病史：劳累后加重")


@pytest.mark.parametrize("odd", [
    {"section": None}, {"section": "x"}, {"section": [1, None, {"text": 3}, {"text": {"div": 5}, "title": 7}]},
    {"subject": [], "title": {"a": 1}},
    {"identifier": {"value": {"x": 1}}}, {"identifier": ["x"]},
])
def test_resources_of_another_shape_do_no_harm(tmp_path, odd):
    others = ({"resourceType": ["x"]}, {"resourceType": "Condition", "code": [1]}, PATIENT | {"name": "x"})
    _, items = read(tmp_path, dump(bundle(composition(**odd), *others)))
    assert len(items) == 1

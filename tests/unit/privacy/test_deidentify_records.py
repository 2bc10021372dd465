"""De-identified records: text, evidence, mentions and codes move together."""

import hashlib

import pytest

from tcmstruct.privacy import Deidentifier, Key, deidentify_line, deidentify_record
from tcmstruct.record import FieldValue, Mention, StructuredRecord

TEXT = "患者李建国，男，56岁，于2023年5月3日因发热37.8℃至南京市鼓楼医院就诊，诊断肺炎。舌红，苔黄。"


def mention(type_, words, **options):
    at = TEXT.index(words)
    return Mention(type_, at, at + len(words), **options)


def value(words, said, **options):
    at = TEXT.index(words)
    return FieldValue(said, words, at, at + len(words), **options)


@pytest.fixture
def deidentifier():
    return Deidentifier(Key(b"a key of the tests, no secret at all"))


@pytest.fixture
def record():
    at = TEXT.index("肺炎")
    return StructuredRecord(
        "ZY0012345", TEXT,
        [mention("症状体征", "发热", status="有", confidence=0.9), mention("时间病程", "于2023年5月3日因"),
         mention("西医诊断", "肺炎", codes=({"start": at, "end": at + 2, "system": "ICD-10", "code": "J18.9"},)), mention("舌质",
             "舌红")],
        {"最高体温": value("37.8℃", 37.8, unit="℃", confidence=0.97, basis="pattern"), "苔色": value("苔黄", ["黄"]),
         "就诊医院": value("南京市鼓楼医院", "南京市鼓楼医院", basis="own"), "舌形": FieldValue(["齿痕"], "", 0, 0, source="image",
             basis="photo")},
        "鼓楼医院骨科", {"image": "李建国/01.jpg", "quality": "ok", "conflicts": [{"field": "苔色", "text": ["黄"]}]},
            ["id_missing"], "m1", "s1",
        {"姓名": "李建国", "家属姓名": "王小红", "费用": "120", "联系电话": "13800138000", "备注": "李建国之妹陪同"})


def test_every_slice_of_the_new_text_is_the_new_evidence(record, deidentifier):
    new = deidentify_record(record, deidentifier)
    for old, moved in zip(record.entities, new.entities, strict=True):
        assert (moved.type, moved.status, moved.confidence) == (old.type, old.status, old.confidence)
    assert [m.slice(new.text) for m in new.entities if m.type != "时间病程"] == ["发热", "肺炎", "舌红"]
    assert "年" in new.entities[1].slice(new.text)
    code = new.entities[2].codes[0]
    assert new.text[code["start"]:code["end"]] == "肺炎"
    for name, field in new.fields.items():
        assert new.text[field.start:field.end] == field.evidence
        old = record.fields[name]
        assert (field.unit, field.confidence, field.source, field.basis) == (old.unit, old.confidence, old.source, old.basis)
    assert new.fields["最高体温"].value == 37.8
    assert new.fields["苔色"].value == ["黄"]
    assert new.fields["就诊医院"].value == new.fields["就诊医院"].evidence != "南京市鼓楼医院"


def test_nothing_that_names_the_patient_is_left_anywhere(record, deidentifier):
    told = str(deidentify_record(record, deidentifier).to_dict())
    for secret in ("李建国", "王小红", "13800138000", "鼓楼医院", "ZY0012345", "2023年5月3日"):
        assert secret not in told
    assert "120" in told and "骨科" in told and "id_missing" in told


def test_the_hash_is_that_of_the_new_text(record, deidentifier):
    line = deidentify_line(record.to_dict(), deidentifier)
    assert line["text_sha256"] == hashlib.sha256(line["text"].encode()).hexdigest()


def test_a_record_number_in_the_text_is_the_pseudonym_of_the_id(deidentifier):
    new = deidentify_record(StructuredRecord("0012345", "住院号：0012345，咳嗽"), deidentifier)
    assert new.text == f"住院号：{new.id}，咳嗽"


def test_lines_of_other_shapes_pass(deidentifier):
    line = {"id": 7, "text": "患者李建国，咳嗽", "source": "x", "tcm_dx": "咳嗽病", "entities": [{"type": "症状", "start": 6,
        "end": 8, "text": "咳嗽"}],
            "fields": {"咳嗽": [{"value": "有", "start": 6, "end": 8, "evidence": "咳嗽"}], "x": {"value": "李建国", "start": None,
                "end": None}}}
    new = deidentify_line(line, deidentifier)
    assert new["tcm_dx"] == "咳嗽病"
    assert new["entities"][0]["text"] == "咳嗽"
    assert "李建国" not in str(new)
    assert deidentify_line({}, deidentifier) == {}
    assert deidentify_line({"text": None, "fields": 3}, deidentifier) == {"text": None, "fields": 3}


def test_the_column_that_names_the_photograph_is_hidden_with_it():
    new = deidentify_line({"id": "7", "text": "咳嗽3天。", "image": "甲乙丙0017.jpg", "extra": {"舌象照片": "甲乙丙0017.jpg"}},
                          Deidentifier(Key(bytes(32))))
    assert "甲乙丙" not in str(new) and "0017" not in str(new)
    assert new["extra"]["舌象照片"] == new["image"]

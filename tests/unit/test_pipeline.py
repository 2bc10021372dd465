"""The shipped model and packs together: structure one record, many records, any company, any text."""

import csv
from pathlib import Path

import cv2
import numpy as np
import orjson
import pytest
from drawn_tongue import DrawnTongue, draw

from tcmstruct import Structurer, structure
from tcmstruct.errors import ModelError, RecordRejected, SchemaError, UsageError
from tcmstruct.labels import ENTITY_TYPES, STATUSES, TYPES_WITH_STATUS
from tcmstruct.record import Record, StructuredRecord

ROOT = Path(__file__).resolve().parents[2]
TEXT = "患者反复咳嗽3天，咳黄痰，最高体温38.5℃，无恶心呕吐，纳眠可，大便2日1行，小便调。既往有高血压病史。舌红，苔黄腻，脉滑数。"


@pytest.fixture(scope="module")
def structurer():
    return Structurer(threads=1)


@pytest.fixture(scope="module")
def examples():
    with open(ROOT / "examples" / "records.csv", encoding="utf-8-sig", newline="") as file:
        return [Record(row["病历号"], row["病历内容"], row["科室"]) for row in csv.DictReader(file)]


def test_a_record_becomes_fields_with_their_words():
    r = structure(TEXT)
    expected = {"咳嗽": "有", "痰色": ["黄"], "最高体温": 38.5, "恶心": "无", "呕吐": "无", "纳食": "正常", "睡眠": "正常",
                "大便频次": "1-1/2", "小便": "正常", "舌色": ["红"], "苔色": ["黄"], "苔质": ["腻"]}
    assert {name: r.fields[name].value for name in expected} == expected
    assert set(r.fields["脉象"].value) == {"滑", "数"}
    assert "便血" not in r.fields  # not mentioned is not the same as denied
    assert r.fields["最高体温"].unit == "℃"
    for value in r.fields.values():
        assert r.text[value.start : value.end] == value.evidence != ""
        assert 0 <= value.confidence <= 1


def test_mentions_are_typed_judged_and_in_place():
    r = structure(TEXT)
    found = {(m.slice(r.text), m.type, m.status) for m in r.entities}
    assert ("咳嗽", "症状体征", "有") in found
    assert ("恶心", "症状体征", "无") in found and ("呕吐", "症状体征", "无") in found
    assert any(kind == "脉象" for _, kind, _ in found)
    for m in r.entities:
        assert m.type in ENTITY_TYPES
        assert (m.status in STATUSES) == (m.type in TYPES_WITH_STATUS)


def test_diagnoses_carry_codes_and_the_hospitals_own_come_first(tmp_path):
    text = "西医诊断：高血压。中医诊断：胸痹，气虚血瘀证。"
    table = tmp_path / "院内.csv"
    table.write_text("name,code,system\n高血压,H01,院内诊断\n", encoding="gb18030")
    coded = {m.slice(text): m.codes for m in Structurer(threads=1, codes=table).structure(text).entities if m.codes}
    assert coded["高血压"][0]["code"] == "H01" and coded["高血压"][0]["also"][0]["code"] == "I10"
    for codes in coded.values():
        for code in codes:
            assert text[code["start"] : code["end"]]
    plain = structure(text)
    codes = {m.slice(text): m.codes for m in plain.entities if m.codes}
    assert codes["高血压"][0]["system"] == "ICD-10" and "also" not in codes["高血压"][0]
    assert StructuredRecord.from_dict(plain.to_dict()).to_dict() == plain.to_dict()


def test_json_comes_back_as_it_was(structurer, examples):
    for result in structurer.structure_many(examples):
        data = orjson.loads(orjson.dumps(result.to_dict()))
        again = StructuredRecord.from_dict(data)
        assert [m.type for m in again.entities] == [m.type for m in result.entities]
        assert {n: f.value for n, f in again.fields.items()} == {n: f.value for n, f in result.fields.items()}
        assert result.to_dict(keep_text=False).keys() == data.keys() - {"text"}


def test_company_and_batch_size_change_no_byte(structurer, examples):
    def lines(together, chars):
        structurer.tagger.chars_per_batch = chars
        return [orjson.dumps(r.to_dict()) for at in range(0, len(examples), together)
                for r in structurer.structure_many(examples[at : at + together])]

    alone = lines(1, 4096)
    assert lines(3, 4096) == alone
    assert lines(8, 300) == alone
    assert lines(8, 100_000) == alone


@pytest.mark.parametrize("text", ["咳", "1", "😷" * 50, "\u200b\u202e\x00a", "頭痛，發熱，舌紅苔黃，脈數", "ａｂｃ　３８．５℃", 
                                  "𠮷野家" * 30,                                   "无" * 700, "\ue000\ue001", "\ud800咳嗽"])
def test_odd_texts_are_read_and_offsets_stay_true(structurer, text):
    result = structurer.structure(text)
    assert result.text == text
    for m in result.entities:
        assert 0 <= m.start < m.end <= len(text)
    for f in result.fields.values():
        assert text[f.start : f.end] == f.evidence


def test_traditional_and_full_width_text_is_understood(structurer):
    result = structurer.structure("頭痛，發熱，體溫３８．５℃。舌紅，苔黃，脈數。")
    assert result.fields["苔色"].value == ["黄"] if "苔色" in result.fields else True
    assert any(m.slice(result.text) == "頭痛" for m in result.entities)


def test_nothing_is_truncated(structurer):
    text = "患者神清。" * 600 + "刻下：咳嗽，舌红，苔黄。"
    result = structurer.structure(text)
    assert any(m.start > 3000 and m.slice(text) == "咳嗽" for m in result.entities)
    assert result.fields["苔色"].start > 3000


def test_a_very_long_text_without_punctuation_ends(structurer):
    result = structurer.structure("咳嗽" * 10_000)
    assert len(result.text) == 20_000 and all(m.end <= 20_000 for m in result.entities)


@pytest.mark.parametrize(("text", "code"), [("", "text_empty"), (" \n\t", "text_empty"),
                                            (None, "text_not_a_string"), (5, "text_not_a_string")])
def test_what_is_no_text_is_rejected_with_a_reason(structurer, text, code):
    with pytest.raises(RecordRejected) as caught:
        structurer.structure(text)
    assert caught.value.code == code


def test_own_pack_works_like_a_shipped_one():
    own = Structurer(schema="妇科", threads=1)
    assert own.schema.fields
    assert own.schema_fingerprint != Structurer(threads=1).schema_fingerprint


def test_refusals_name_what_is_wrong(tmp_path):
    with pytest.raises(ModelError, match=r"manifest\.json"):
        Structurer(tmp_path)
    with pytest.raises(SchemaError):
        Structurer(schema=str(tmp_path / "missing.toml"))
    with pytest.raises(UsageError, match="MB") as caught:
        Structurer(memory_limit_bytes=1_000_000)
    assert caught.value.code == "memory_limit_too_small"


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "舌.png"
    pixels, _ = draw(DrawnTongue(height_px=600, width_px=600, body="淡白", coating="黄"))
    path.write_bytes(cv2.imencode(".png", pixels[..., ::-1])[1].tobytes())
    return path



def test_a_photograph_fills_what_the_text_leaves_open_and_never_overrules_it(structurer, photo):
    text = "反复咳嗽3天，咳黄痰，无发热。舌红，脉滑数。"
    plain, seen = structurer.structure(text), structurer.structure(text, photo)
    assert "苔色" not in plain.fields
    filled = seen.fields["苔色"]
    assert (filled.value, filled.source, filled.review, filled.evidence) == (["黄"], "image", True, "")
    assert seen.fields["舌色"].value == ["红"]  # the text's word stands
    assert seen.tongue["quality"] == "ok" and seen.tongue["attributes"]["苔色"]["value"] == "黄"
    assert {c["field"] for c in seen.tongue["conflicts"]} == {"舌色"} and seen.fields["舌色"].review
    assert [e.type for e in seen.entities] == [e.type for e in plain.entities]
    orjson.dumps(seen.to_dict())


def test_a_photograph_confirms(structurer, photo):
    seen = structurer.structure("舌淡白，苔黄腻，脉滑。", photo)
    value = seen.fields["苔色"]
    assert value.source == "both" and "苔黄" in value.evidence == seen.text[value.start : value.end]
    assert seen.tongue["conflicts"] == []


def test_a_photo_that_cannot_be_used_leaves_the_text_as_it_is(structurer, tmp_path):
    (tmp_path / "网页.jpg").write_bytes(b"<html>")
    (tmp_path / "黑.png").write_bytes(cv2.imencode(".png", np.zeros((200, 200, 3), np.uint8))[1].tobytes())
    plain = structurer.structure(TEXT)
    for name, warning in {"网页.jpg": "image_format_unsupported", "黑.png": "image_no_tongue", "无.jpg": "image_not_found"}.items():
        seen = structurer.structure(TEXT, tmp_path / name)
        assert seen.tongue is None and seen.warnings == [warning]
        assert {**seen.to_dict(), "warnings": []} == plain.to_dict()


def test_a_pack_without_tongue_fields_gets_none_from_a_photo(photo, tmp_path):
    pack = tmp_path / "腰.toml"
    pack.write_text('[pack]\nname = "腰"\ntitle = "腰"\n[fields."腰痛"]\ntype = "yes_no"\nterms = ["腰痛"]\n', encoding="utf-8")
    seen = Structurer(schema=str(pack), threads=1).structure("腰痛3天。", photo)
    assert seen.tongue is not None and not {"苔色", "舌色"} & seen.fields.keys()


RECORDS = [Record("1", "咽痛。脉滑数。", image="舌.png"), Record("2", "咽痛。脉滑数。", image="../舌.png"), Record("3", "咽痛。脉滑数。")]


def test_many_records_are_looked_at_where_an_image_root_is_given(structurer, photo):
    plain = [orjson.dumps(r.to_dict()) for r in structurer.structure_many(RECORDS)]
    assert plain == [orjson.dumps(r.to_dict()) for r in structurer.structure_many([Record(r.id, r.text) for r in RECORDS])]
    good, bad, none = Structurer(threads=1, image_root=photo.parent).structure_many(RECORDS)
    assert good.fields["苔色"].source == "image" and good.tongue["image"] == "舌.png" and good.warnings == []
    assert bad.tongue is None and bad.warnings == ["image_path_traversal"]
    assert orjson.dumps({**bad.to_dict(), "warnings": []}) == plain[1] and orjson.dumps(none.to_dict()) == plain[2]


def test_an_image_root_that_is_no_folder_is_a_matter_of_usage(photo):
    for root in (photo, photo.parent / "没有"):
        with pytest.raises(UsageError) as caught:
            Structurer(threads=1, image_root=root)
        assert caught.value.code == "not_a_folder" and str(photo.parent) not in str(caught.value)


def test_a_fault_of_the_program_on_a_photo_costs_the_photo_only(photo, monkeypatch):
    looking = Structurer(threads=1, image_root=photo.parent)
    plain = Structurer(threads=1).structure(RECORDS[0].text, id="1")

    def fails(error):
        def examine(*_, **__):
            raise error
        return examine

    for error in (cv2.error("x"), ValueError("x"), MemoryError()):
        monkeypatch.setattr(looking.photo_side.examiner, "examine", fails(error))
        (result,) = looking.structure_many(RECORDS[:1])
        assert result.warnings == ["image_failed"] and {**result.to_dict(), "warnings": []} == plain.to_dict()
    monkeypatch.setattr(looking.photo_side.examiner, "examine", fails(ModelError("altered")))
    with pytest.raises(ModelError):
        looking.structure_many(RECORDS[:1])

import json

import pytest

from tcmstruct.errors import InputRefused
from tcmstruct.evaluation import read_annotated
from tcmstruct.evaluation.reading import text_digest
from tcmstruct.record import Mention, StructuredRecord

LINE = {"id": "a", "text": "咳嗽，脉弦。", "entities": [{"type": "脉象", "start": 3, "end": 5}]}


def write(path, *lines, encoding="utf-8"):
    path.write_bytes("\n".join(line if isinstance(line, str) else json.dumps(line, ensure_ascii=False)
                               for line in lines).encode(encoding))
    return path


def test_reads_a_line_without_fields_as_the_ner_sets_have_it(tmp_path):
    (record,) = read_annotated(write(tmp_path / "a.jsonl", LINE, ""))
    assert record.entities == [Mention("脉象", 3, 5)]
    assert dict(record.fields) == {}


def test_reads_what_structure_writes_with_and_without_text(tmp_path):
    made = StructuredRecord("a", "咳嗽，脉弦。", [Mention("脉象", 3, 5, confidence=.9)])
    (whole,) = read_annotated(write(tmp_path / "a.jsonl", made.to_dict()))
    (bare,) = read_annotated(write(tmp_path / "b.jsonl", made.to_dict(keep_text=False)))
    assert whole.text == made.text
    assert (bare.text, bare.extra["text_sha256"]) == ("", text_digest(made.text))


def test_keeps_the_source_of_a_gold_record_and_accepts_a_bom_and_a_number_as_id(tmp_path):
    (record,) = read_annotated(write(tmp_path / "a.jsonl", {**LINE, "id": 7, "source": "x"}, encoding="utf-8-sig"))
    assert (record.id, record.extra["source"]) == ("7", "x")


def test_a_line_separator_inside_a_text_does_not_end_the_line(tmp_path):
    (record,) = read_annotated(write(tmp_path / "a.jsonl", {"id": "a", "text": "咳\u2028嗽\x85。"}))
    assert record.text == "咳\u2028嗽\x85。"


def test_a_folder_stands_for_its_records(tmp_path):
    write(tmp_path / "records.jsonl", LINE)
    assert len(read_annotated(tmp_path)) == 1


@pytest.mark.parametrize(("lines", "code", "where"), [
    ([LINE, LINE], "duplicate_id", "a.jsonl:2"),
    (["[1]"], "not_json_object", "a.jsonl:1"),
    ([LINE, "id,text"], "not_json", "a.jsonl:2"),
    (["", " "], "empty", "a.jsonl"),
    ([{"text": "咳"}], "not_a_structured_record", "a.jsonl:1"),
    ([{**LINE, "id": ""}], "bad_id", "a.jsonl:1"),
    ([{**LINE, "id": None}], "bad_id", "a.jsonl:1"),
    ([{**LINE, "text": 3}], "bad_text", "a.jsonl:1"),
    ([{**LINE, "entities": None}], "not_a_structured_record", "a.jsonl:1"),
    ([{**LINE, "text_sha256": "0" * 64}], "text_altered", "a.jsonl:1"),
])
def test_refuses_with_code_and_place_and_without_the_text(tmp_path, lines, code, where):
    with pytest.raises(InputRefused) as caught:
        read_annotated(write(tmp_path / "a.jsonl", *lines))
    assert (caught.value.code, caught.value.where) == (code, where)
    assert "咳" not in str(caught.value)


def test_refuses_other_encodings_and_absent_files(tmp_path):
    with pytest.raises(InputRefused, match="UTF-8") as caught:
        read_annotated(write(tmp_path / "a.jsonl", LINE, encoding="gb18030"))
    assert caught.value.code == "not_utf8"
    with pytest.raises(InputRefused) as caught:
        read_annotated(tmp_path / "absent.jsonl")
    assert caught.value.code == "unreadable"

"""What the door does for every format: header below titles, notes, counts, one reject for a rest that cannot be read."""

import pytest

from tcmstruct.emr import Reject, open_source
from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.rows import REJECT_CODES, Fault, Found
from tcmstruct.emr.source import FILE_NOTES, FileFacts, Given, RecordsSource, Table, TablesSource
from tcmstruct.errors import InputRefused


def given(tmp_path, **options):
    path = tmp_path / "a"
    path.write_bytes(b"x")
    return Given(path, "a", **options)


def table(*rows, padded=True):
    def read(given: Given, facts: FileFacts):
        yield Table(enumerate(rows, 1), padded=padded)
    return read


HEADER = ("住院号", "姓名", "科室", "主诉")
ROW = ("1", "甲某", "骨科", "腰痛3天")


@pytest.mark.parametrize("titles", [[], [("某某医院门诊病历导出",)], [("导出日期：2026年", None, None, None), (), ("合计", 1)]])
def test_the_header_stands_below_titles(tmp_path, titles):
    source = TablesSource(given(tmp_path), "test", table(*titles, HEADER, ROW, ()))
    (record,) = source
    assert (record.id, record.text, record.where) == ("1", "腰痛3天", f"a:{len(titles) + 2}")
    assert ("title_rows" in source.facts.notes) == bool(titles)
    assert source.facts.blank_rows == 1


def test_a_row_of_data_is_never_taken_for_the_header(tmp_path):
    rows = [("号", "类别", "情况"), ("1", "病历", "腰痛3天"), ("2", "病历", "头痛")]
    with pytest.raises(InputRefused) as caught:
        TablesSource(given(tmp_path), "test", table(*rows))
    assert caught.value.code == "no_text_column"
    source = TablesSource(given(tmp_path, overrides=parse_overrides(["情况=text"])), "test", table(*rows))
    assert [item.text for item in source] == ["腰痛3天", "头痛"]


@pytest.mark.parametrize(("padded", "code"), [(True, None), (False, "ragged_row")])
def test_short_rows_of_a_spreadsheet_are_padded_and_those_of_a_text_are_not(tmp_path, padded, code):
    items = list(TablesSource(given(tmp_path), "test", table(("主诉", "住院号", "科室"), ("腰痛3天", "1"), padded=padded)))
    assert [getattr(item, "code", None) for item in items] == [code]


def test_a_rest_that_cannot_be_read_is_one_reject(tmp_path):
    def rows():
        yield 1, HEADER
        yield 2, ROW
        raise InputRefused("a part is damaged", code="xlsx_invalid")

    def read(given, facts):
        yield Table(rows() if facts.tables else iter([(1, HEADER), (2, ROW)]))

    source = TablesSource(given(tmp_path), "test", read)
    record, rest = source
    assert (record.id, rest.code, rest.where, rest.reason) == (
        "1", "rest_unreadable", "a", "the rest of the file cannot be read: a part is damaged")
    assert "cut_short" in source.facts.notes


def test_records_titles_and_roles(tmp_path):
    def read(given, facts):
        yield Found("1", {"住院号": "7", "DE04.01.119.00": "腰痛3天", "性别": "女", "10157-6": "x"},
                    [("治疗经过", "针灸2次。"), ("", "无题之文"), ("鉴别诊断", "与痹证鉴别")])
        yield None
        yield Fault("document_invalid", "page 3", "2")
        yield Found("3", {"姓名": "甲"})

    source = RecordsSource(given(tmp_path), "test", read)
    record, fault, empty = source
    assert record.text == "主诉：腰痛3天\n治疗经过：针灸2次。\n无题之文"
    assert (record.id, record.extra) == ("7", {"性别": "女", "10157-6": "x", "鉴别诊断": "与痹证鉴别"})
    assert (fault.code, fault.where, fault.reason) == ("document_invalid", "a:2", "the document is damaged: page 3")
    assert (empty.code, empty.where) == ("text_missing", "a:3")
    assert source.facts.blank_rows == 1
    again = RecordsSource(given(tmp_path, overrides=parse_overrides(["治疗经过=ignore", "性别=text"])), "test", read)
    assert next(iter(again)).text == "主诉：腰痛3天\n性别：女\n无题之文"


def test_columns_of_a_445_table_are_known_in_chinese_codes_english_and_pinyin(tmp_path):
    path = tmp_path / "a.csv"
    rows = [["住院号", "科室名称", "主诉", "现病史", "体格检查-腹部检查结果", "体格检查-体温（℃）", "鉴别诊断-中医病名名称"],
            ["INP_NO", "DEPT_NAME", "CHIEF_COMPLAINT", "PRESENT_DISEASE_HISTORY", "ABDOMINAL_CHECK_RESULT", "PHYSICALEXAM_TEMPERATURE",
             "IDENTIFY_TCM_DIAGNAME"],
            ["DE01.00.014.00", "DE08.10.026.00", "DE04.01.119.00", "HDSD00.03.038", "体格检查", "x", "y"],
            ["zyh", "ks", "zs", "xbs", "tgjc", "tw", "jb"]]
    texts = set()
    for header in rows:
        path.write_text(",".join(header) + "\nZ1,骨科,腰痛,三天前起,腹软,36.5,痹证\n", encoding="utf-8")
        (record,) = open_source(path)
        assert not isinstance(record, Reject)
        assert (record.id, record.dept, len(record.extra)) == ("Z1", "骨科", 2)
        texts.add(tuple(line.partition("：")[2] for line in record.text.split("\n")))
    assert texts == {("腰痛", "三天前起", "腹软")}
    path.write_text("DE04.01.119.00,DE02.10.071.00\n腰痛,三天前起\n", encoding="utf-8")
    assert next(iter(open_source(path))).text == "主诉：腰痛\n现病史：三天前起"


def test_codes_and_notes_have_their_sentence():
    assert all(text and not text.endswith(".") for text in (*REJECT_CODES.values(), *FILE_NOTES.values()))

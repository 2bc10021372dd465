import zipfile
from datetime import date, datetime

import openpyxl
import pytest
import xlsxwriter

from tcmstruct.emr import open_source
from tcmstruct.emr.reader import ReadRecord
from tcmstruct.emr.rows import Reject
from tcmstruct.emr.zipparts import Parts, ZipLimits
from tcmstruct.errors import InputRefused


def book(path, sheets):
    made = openpyxl.Workbook()
    made.remove(made.active)
    for name, rows in sheets.items():
        sheet = made.create_sheet(name)
        for row in rows:
            sheet.append(row)
    made.save(path)
    return path


def read(path):
    source = open_source(path)
    return source, list(source)


def test_sheets_without_a_text_column_are_skipped_with_a_note(tmp_path):
    path = book(tmp_path / "a.xlsx", {"字典": [["代码", "名称"], ["1", "头痛"]], "门诊": [["住院号", "主诉"], ["7", "头痛3天"]]})
    source, items = read(path)
    assert [(r.id, r.text, r.where) for r in items] == [("7", "头痛3天", "a.xlsx:2")]
    assert source.facts.notes == ["sheet_skipped"]


def test_all_sheets_with_records_are_read(tmp_path):
    path = book(tmp_path / "a.xlsx", {"一月": [["id", "text"], ["1", "头痛"]], "二月": [["id", "text"], ["2", "咳嗽"]]})
    assert [(r.id, r.where) for r in read(path)[1]] == [("1", "a.xlsx[一月]:2"), ("2", "a.xlsx[二月]:2")]


def test_cells_that_are_no_text(tmp_path):
    rows = [["id", "text", "年龄", "日期", "在院"],
            [12345, "头痛发热", 46, datetime(2020, 6, 1, 9, 12), True],
            [1.1e17, "咳嗽咳痰", 46.5, date(2020, 6, 1), None],
            ["3", 38.5], ["4", datetime(2020, 1, 1)], ["5", None], ["6", "痛"], [None, "舌红苔黄"]]
    _, items = read(book(tmp_path / "a.xlsx", {"s": rows}))
    first, rounded, number, day, empty, short, nameless = items
    assert (first.id, first.warnings) == ("12345", ())
    assert first.extra == {"年龄": "46", "日期": "2020-06-01 09:12:00", "在院": "TRUE"}
    assert (rounded.id, rounded.warnings) == ("a.xlsx:3", ("id_lost_digits",))
    assert rounded.extra == {"id": "1.1e+17", "年龄": "46.5", "日期": "2020-06-01"}
    assert [(r.code, r.id) for r in (number, day, empty, short)] == [
        ("text_not_a_string", "3"), ("text_not_a_string", "4"), ("text_missing", "5"), ("text_too_short", "6")]
    assert (nameless.id, nameless.warnings) == ("a.xlsx:8", ("id_missing",))


def test_blank_rows_are_counted_and_row_numbers_stay_true(tmp_path):
    path = book(tmp_path / "a.xlsx", {"s": [[], ["id", "text"], ["1", "头痛"], [], [None, None], ["2", "咳嗽"]]})
    source, items = read(path)
    assert [r.where for r in items] == ["a.xlsx:3", "a.xlsx:6"]
    assert source.facts.blank_rows == 2


def test_a_cell_beyond_the_header_is_ragged(tmp_path):
    _, items = read(book(tmp_path / "a.xlsx", {"s": [["id", "text"], ["1", "头痛", "x"], ["2", "咳嗽"]]}))
    assert [getattr(i, "code", "") for i in items] == ["ragged_row", ""]


def test_a_stray_cell_in_the_far_corner_costs_nothing(tmp_path):
    path = tmp_path / "a.xlsx"
    made = xlsxwriter.Workbook(str(path))
    sheet = made.add_worksheet()
    sheet.write_row(0, 0, ["id", "text"])
    sheet.write_row(1, 0, ["1", "头痛"])
    sheet.write(60_000, 16_383, "x")
    made.close()
    source, items = read(path)
    assert [type(i) for i in items] == [ReadRecord, Reject]
    assert source.facts.blank_rows == 59_998


def test_a_false_statement_of_the_extent_is_not_believed(tmp_path):
    path = book(tmp_path / "a.xlsx", {"s": [["id", "text"], ["1", "头痛"]]})
    lying = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(lying, "w") as new:
        for info in old.infolist():
            new.writestr(info.filename, old.read(info).replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1"'))
    assert [r.text for r in read(lying)[1]] == ["头痛"]


def test_escaped_control_characters_come_back(tmp_path):
    path = tmp_path / "a.xlsx"
    made = xlsxwriter.Workbook(str(path))
    sheet = made.add_worksheet()
    sheet.write_row(0, 0, ["id", "text"])
    sheet.write_string(1, 0, "1")
    sheet.write_string(1, 1, "头痛\x01\r\n 发热\t")
    made.close()
    assert read(path)[1][0].text == "头痛\x01\r\n 发热\t"


def test_empty_sheets_are_success_with_a_note(tmp_path):
    source, items = read(book(tmp_path / "a.xlsx", {"s": []}))
    assert items == []
    assert source.facts.notes == ["empty_input"]
    source, items = read(book(tmp_path / "b.xlsx", {"s": [["id", "text"]]}))
    assert items == []
    assert source.facts.notes == ["no_rows"]


@pytest.mark.parametrize(("limits", "found"), [
    (ZipLimits(entries=1), "parts"), (ZipLimits(total_bytes=1000), "beyond 1,000 bytes"),
    (ZipLimits(ratio=1, free_bytes=10), "more than 1 times"),
])
def test_bombs_are_refused_before_they_are_parsed(tmp_path, limits, found):
    path = book(tmp_path / "a.xlsx", {"s": [["id", "text"], *[[str(n), "头痛" * 50] for n in range(99)]]})
    with pytest.raises(InputRefused, match=found) as caught, Parts(path, path.name, limits) as parts:
        parts.check()
    assert caught.value.code == "zip_bomb"


def test_a_bomb_that_lies_about_its_size_is_counted_by_what_comes_out(tmp_path):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b"<x/>")
        archive.writestr("xl/sharedStrings.xml", b"0" * 40_000_000)
    data = path.read_bytes()
    path.write_bytes(data.replace((40_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with zipfile.ZipFile(path) as archive:
        assert archive.getinfo("xl/sharedStrings.xml").file_size == 100
    with pytest.raises(InputRefused) as caught:
        open_source(path)
    assert caught.value.code == "zip_bomb"


def test_an_office_file_that_is_no_workbook(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("[Content_Types].xml", "<x/>")
        archive.writestr("ppt/presentation.xml", "<x/>")
    with pytest.raises(InputRefused) as caught:
        open_source(path)
    assert caught.value.code == "format_unsupported"


@pytest.mark.parametrize("damage", ["cut", "flip", "tail"])
def test_a_damaged_workbook_is_refused_or_says_so(tmp_path, damage):
    path = book(tmp_path / "a.xlsx", {"s": [["id", "text"], *[[str(n), f"头痛{n}天"] for n in range(50)]]})
    data = bytearray(path.read_bytes())
    if damage == "cut":
        data = data[: len(data) // 2]
    elif damage == "flip":
        data[200:260] = bytes(b ^ 0x55 for b in data[200:260])
    else:
        data[-30:] = b"\0" * 30
    path.write_bytes(data)
    try:
        source = open_source(path)
    except InputRefused as error:
        assert error.code in ("xlsx_invalid", "zip_invalid")
        return
    items = list(source)
    read_well = [item for item in items if not isinstance(item, Reject)]
    assert len(read_well) == 50 or "cut_short" in source.facts.notes
    assert all(item.text == f"头痛{item.id}天" for item in read_well)

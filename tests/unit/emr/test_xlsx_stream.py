import zipfile
from datetime import date, datetime, time

import openpyxl
import pytest
import xlsxwriter

from tcmstruct.emr import xlsx, xlsx_strings
from tcmstruct.emr.rows import Fault
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def read(path, label="a.xlsx"):
    facts = FileFacts(label, path.stat().st_size, "xlsx")
    return {table.name: list(table.rows) for table in xlsx.open_tables(Given(path, label), facts)}, facts


def made(path, sheet: str, strings: str = "", extra=(), workbook: str = ""):
    """A workbook of parts as small export libraries write them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", workbook or f'<workbook {MAIN} xmlns:r="{REL}"><sheets>'
                         '<sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>')
        archive.writestr("xl/_rels/workbook.xml.rels",
                         '<Relationships><Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>')
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {MAIN}><sheetData>{sheet}</sheetData></worksheet>")
        if strings:
            archive.writestr("xl/sharedStrings.xml", f"<sst {MAIN}>{strings}</sst>")
        for name, text in extra:
            archive.writestr(name, text)
    return path


def test_the_same_cells_as_the_reference_reader(tmp_path):
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook()
    sheet = book.active
    rows = [["住院号", "主诉", "入院", "体温", "在院", "时刻"],
            ["00123", "头痛3天，\n加重_x000D_1天", datetime(2020, 6, 1, 9, 12), 37.8, True, time(8, 30)],
            [123456, "  咳嗽 ", date(1899, 12, 31), -2, False, None], [], ["x" * 300, None, None, "=1+1"],
            [1.1e17, "😀咳𠮷", datetime(1900, 2, 28), 0.1, None, "#N/A"]]
    for row in rows:
        sheet.append(row)
    book.create_sheet("空")
    book.save(path)
    ours, _ = read(path)
    book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    theirs = [tuple(row) for row in book.worksheets[0].iter_rows(values_only=True)]
    assert [number for number, _ in ours["Sheet"]] == [1, 2, 3, 4, 5, 6]
    for (_, mine), reference in zip(ours["Sheet"], theirs, strict=True):
        expected = tuple(cell.replace("_x000D_", "\r") if isinstance(cell, str) else cell for cell in reference)
        assert mine + (None,) * (len(expected) - len(mine)) == expected
    assert ours["空"] == []


def test_dates_of_chinese_excel_and_formats_that_only_look_like_dates(tmp_path):
    path = tmp_path / "a.xlsx"
    book = xlsxwriter.Workbook(str(path), {"date_1904": False})
    sheet = book.add_worksheet()
    for column, code in enumerate(['yyyy"年"m"月"d"日"', "[h]:mm", '0.00_);[Red]\\(0.00\\)', '"day" 0', "General", "[$-804]aaaa;@", "@"]):
        sheet.write_number(0, column, 43983.5, book.add_format({"num_format": code}))
    sheet.write_number(0, 7, 43983, book.add_format({"num_format": 31}))
    book.close()
    row = read(path)[0]["Sheet1"][0][1]
    moment = datetime(2020, 6, 1, 12)
    assert row[:2] == (moment, moment) and row[7] == datetime(2020, 6, 1)
    assert row[2:5] == (43983.5, 43983.5, 43983.5)


def test_days_since_1904(tmp_path):
    path = tmp_path / "a.xlsx"
    book = xlsxwriter.Workbook(str(path), {"date_1904": True})
    book.add_worksheet().write_datetime(0, 0, datetime(2020, 6, 1), book.add_format({"num_format": 14}))
    book.close()
    assert read(path)[0]["Sheet1"] == [(1, (datetime(2020, 6, 1),))]


def test_places_that_are_left_out_prefixes_and_runs_of_rich_text(tmp_path):
    sheet = ('<row><c t="inlineStr"><is><r><t>头</t></r><r><t>痛</t></r><rPh><t>tou</t></rPh></is></c><c><v>1</v></c></row>'
             '<row r="4"><c r="C4" t="s"><v>0</v></c><c t="str"><f>A1</f><v>式</v></c><c t="b"><v>1</v></c></row>')
    path = made(tmp_path / "a.xlsx", sheet, "<si><r><t>咳</t></r><r><t xml:space='preserve'> 嗽</t></r><rPh><t>ke</t></rPh></si>")
    assert read(path)[0]["s"] == [(1, ("头痛", 1)), (2, ()), (3, ()), (4, (None, None, "咳 嗽", "式", True))]


def test_texts_on_disk_are_the_texts_in_memory(tmp_path, monkeypatch):
    path = tmp_path / "a.xlsx"
    book = xlsxwriter.Workbook(str(path))
    sheet = book.add_worksheet()
    texts = [f"{i}头痛" * (i % 700) + "x" for i in range(400)]
    for i, text in enumerate(texts):
        sheet.write_row(i, 0, [text, texts[(i * 7) % 400], "女"])
    book.close()
    expected = read(path)[0]
    monkeypatch.setattr(xlsx_strings, "_IN_MEMORY", 1000)
    monkeypatch.setattr(xlsx_strings, "_BLOCKS", 2)
    assert read(path)[0] == expected
    assert [row[0] for _, row in expected["Sheet1"]] == texts


def test_a_workbook_that_was_cut_off_gives_its_complete_rows(tmp_path):
    path = tmp_path / "a.xlsx"
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("门诊")
    for i in range(3000):
        cell = openpyxl.cell.WriteOnlyCell(sheet, value=i)
        sheet.append([cell, i * i])
    book.save(path)
    data = path.read_bytes()
    short = tmp_path / "b.xlsx"
    short.write_bytes(data[: data.index(b"xl/worksheets/sheet1.xml") + 6000])
    tables, facts = read(short)
    (rows,) = tables.values()
    *whole, (_, last) = rows
    assert whole and all(row == (number - 1, (number - 1) ** 2) for number, row in whole)
    assert last.code == "cut_short" and facts.notes == ["cut_short"]


def test_a_text_that_is_not_there_rejects_its_row_only(tmp_path):
    path = made(tmp_path / "a.xlsx", '<row><c t="s"><v>0</v></c></row><row><c t="s"><v>9</v></c></row><row><c t="s"><v>-1</v></c></row>',
                "<si><t>头痛</t></si>")
    (_, first), (_, second), (_, third) = read(path)[0]["s"]
    assert first == ("头痛",) and second.code == third.code == "cut_short"


@pytest.mark.parametrize("sheet", [
    '<row r="1048577"><c><v>1</v></c></row>', '<row><c r="XFE1"><v>1</v></c></row>', '<row><c r="ABCDE1"><v>1</v></c></row>',
])
def test_places_outside_of_a_sheet_end_it(tmp_path, sheet):
    tables, facts = read(made(tmp_path / "a.xlsx", "<row><c><v>1</v></c></row>" + sheet))
    assert [getattr(row, "code", row) for _, row in tables["s"]] == [(1,), "cut_short"]
    assert facts.notes == ["cut_short"]


def test_a_cell_far_to_the_right_makes_its_row_ragged(tmp_path):
    path = made(tmp_path / "a.xlsx", '<row><c r="XFD1"><v>1</v></c></row>' * 50)
    rows = read(path)[0]["s"]
    assert len(rows) == 50 and all(isinstance(row, Fault) and row.code == "ragged_row" for _, row in rows)


@pytest.mark.parametrize("evil", [
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
    '<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "<x><y></x>", "\x01", ""])
def test_doctypes_and_broken_parts_are_refused_without_their_content(tmp_path, evil):
    path = made(tmp_path / "a.xlsx", "<row/>", workbook=evil + " " if evil == "" else evil)
    with pytest.raises(InputRefused) as caught:
        read(path)
    assert caught.value.code == "xlsx_invalid"
    assert "passwd" not in str(caught.value) and "aaaa" not in str(caught.value)


def test_bombs_are_refused_before_anything_is_parsed(tmp_path):
    path = made(tmp_path / "a.xlsx", "<row/>", extra=[("xl/media/x.bin", b"\0" * (40 << 20))])
    with pytest.raises(InputRefused) as caught:
        read(path)
    assert caught.value.code == "zip_bomb"
    many = tmp_path / "b.xlsx"
    with zipfile.ZipFile(many, "w") as archive:
        for i in range(10_001):
            archive.writestr(f"{i}", b"")
    with pytest.raises(InputRefused) as caught:
        read(many)
    assert caught.value.code == "zip_bomb"


def test_a_zip_that_is_no_workbook(tmp_path):
    path = tmp_path / "a.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "x")
    with pytest.raises(InputRefused) as caught:
        read(path)
    assert caught.value.code == "format_unsupported"
    path.write_bytes(b"PK\x03\x04 no")
    with pytest.raises(InputRefused) as caught:
        read(path)
    assert caught.value.code == "zip_invalid"

"""Bad inputs 1–9, 14, 15, 17 and 21 of the thirty: tables. The structurer is a fake, everything else is real.

`test_bad_documents.py` has 3 and 10–13, `test_bad_photos_and_text.py` 16, 18–20, 22–25 and 29.
"""

import csv
import hashlib
import json
import shutil
import zipfile

import fake_structurers as fakes
import openpyxl
import pytest
from conversions import convert, table, write
from ole_files import container

from tcmstruct.emr import xlsx
from tcmstruct.recipes import convert as convert_recipe

ROW = "咳嗽3天，无发热，舌红苔黄，脉弦数。"
MAIN = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
REL = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@pytest.fixture(autouse=True)
def fake_pipeline(monkeypatch):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Fake())


def workbook(path, rows):
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


def parts(path, sheet, extra=()):
    """A workbook put together by hand, with one sheet of this XML."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("xl/workbook.xml", f'<workbook {MAIN} xmlns:r="{REL}"><sheets>'
                         '<sheet name="s" sheetId="1" r:id="r1"/></sheets></workbook>')
        archive.writestr("xl/_rels/workbook.xml.rels",
                         '<Relationships><Relationship Id="r1" Target="worksheets/sheet1.xml"/></Relationships>')
        archive.writestr("xl/worksheets/sheet1.xml", f"<worksheet {MAIN}>{sheet}</worksheet>")
        for name, data in extra:
            archive.writestr(name, data)
    return path


def cell(place, text):
    return f'<c r="{place}" t="inlineStr"><is><t>{text}</t></is></c>'


def test_01_gbk_whose_bytes_are_valid_utf8(tmp_path):
    path = write(tmp_path / "a.csv", "id,text\n1,头痛\n", "gbk")
    assert path.read_bytes().decode("utf-8")  # the trap
    found = convert(tmp_path / "o", path)
    assert (found.code, found.texts, found.manifest["inputs"][0]["encoding"]) == (0, {"1": "头痛"}, "gb18030")
    assert convert(tmp_path / "p", path, "--encoding", "utf-8").texts == {"1": "\u0377\u0374"}


def test_02_rows_of_mixed_encodings(tmp_path):
    rows = [f"{n},{ROW}\n".encode() for n in range(1, 41)]
    rows[9], rows[29] = f"10,咳嗽{ROW}\n".encode("gb18030"), "30,咳嗽".encode() + b"\xff\n"
    found = convert(tmp_path / "o", write(tmp_path / "a.csv", b"id,text\n" + b"".join(rows)))
    assert found.code == 3
    assert found.rejects == [("undecodable", "a.csv:11"), ("undecodable", "a.csv:31")]
    assert found.reasons[1].endswith("column 2, character 3")
    assert len(found.records) == 38 and set(found.texts.values()) == {ROW}


def test_04_faulty_rows_cost_themselves_only(tmp_path):
    long = "咳" * 300_000
    content = ('id,text,费用\n1,头痛发热,x\n2,头\0痛,x\n3,"没有收尾,x\n4,' + long + ',x\n5,头痛,多,出\n6,头痛\n7,"a"b,x\n8,舌红苔黄,x\n')
    found = convert(tmp_path / "o", write(tmp_path / "a.csv", content))
    assert found.code == 3
    assert found.rejects == [("nul_character", "a.csv:3"), ("quote_unclosed", "a.csv:4"), ("ragged_row", "a.csv:6"),
                             ("ragged_row", "a.csv:7"), ("quote_unclosed", "a.csv:8")]
    assert found.texts == {"1": "头痛发热", "4": long, "8": "舌红苔黄"}


@pytest.mark.parametrize(("content", "note"), [
    (b"", "empty_input"), (b"\xef\xbb\xbf", "empty_input"), ("门诊号,主诉\n".encode(), "no_rows"),
    ("\ufeff门诊号,主诉\r\n".encode(), "no_rows"), (b"\n\n \n", "empty_input")])
def test_05_files_without_records(tmp_path, capfd, content, note):
    found = convert(tmp_path / "o", write(tmp_path / "a.csv", content))
    assert (found.code, found.records, found.manifest["counts"]["in"]) == (0, [], 0)
    assert note in found.notes and "warning: a.csv: " in capfd.readouterr().err


def test_06_unknown_columns_name_the_way_out(tmp_path, capfd):
    path = write(tmp_path / "a.csv", table([["号", "情况"], ["1", "头痛发热"]]))
    assert convert(tmp_path / "o", path).code == 4
    told = capfd.readouterr().err
    assert "号, 情况" in told and "--map" in told and "头痛" not in told and not (tmp_path / "o").exists()
    assert convert(tmp_path / "o", path, "--map", "情况=text", "--map", "#1=id").texts == {"1": "头痛发热"}


def test_06_two_text_columns_of_one_name(tmp_path, capfd):
    path = write(tmp_path / "a.csv", table([["id", "主诉", "科室", "科室", "主诉"], ["1", "头痛", "内科", "外科", "咳嗽"]]))
    assert convert(tmp_path / "o", path).code == 4
    told = capfd.readouterr().err
    assert "主诉: number 2 and number 5" in told and "--map '#5=text'" in told and not (tmp_path / "o").exists()
    found = convert(tmp_path / "o", path, "--map", "#5=extra")
    assert found.texts == {"1": "头痛"} and found.records[0]["extra"] == {"科室_2": "外科", "主诉_2": "咳嗽"}
    assert convert(tmp_path / "p", path, "--map", "#5=text").texts == {"1": "主诉：头痛\n主诉_2：咳嗽"}


def test_06_title_rows_are_skipped(tmp_path):
    path = write(tmp_path / "a.csv", table([["某某医院门诊病历导出", "", ""], ["导出日期：2026年3月", "", ""], ["", "", ""],
                                            ["门诊号", "科室", "主诉"], ["001", "内科", "头痛发热"]]), "gb18030")
    found = convert(tmp_path / "o", path)
    assert (found.code, found.texts) == (0, {"001": "头痛发热"}) and "title_rows" in found.notes
    assert found.records[0]["dept"] == "内科"


@pytest.mark.parametrize("bomb", ["ratio", "entries"])
def test_07_a_zip_bomb_is_refused_before_it_is_parsed(tmp_path, capfd, monkeypatch, bomb):
    extra = [("xl/media/a.bin", bytes(48 << 20))] if bomb == "ratio" else [(f"xl/{n}", b"") for n in range(10_001)]
    path = parts(tmp_path / "a.xlsx", "", extra)
    assert path.stat().st_size < 2 << 20
    monkeypatch.setattr(xlsx, "_Book", None)  # parsing would fail
    assert convert(tmp_path / "o", path).code == 4
    assert "too large to unpack" in capfd.readouterr().err and not (tmp_path / "o").exists()


def test_07_a_range_of_a_million_rows_by_16384_columns_is_refused_before_it_is_parsed(tmp_path, capfd, monkeypatch):
    sheet = ('<dimension ref="A1:XFD1048576"/><sheetData><row r="1">' + cell("A1", "id") + cell("B1", "text") + '</row><row r="2">'
             + cell("A2", "1") + cell("B2", "头痛发热") + "</row></sheetData>")
    path = parts(tmp_path / "a.xlsx", sheet)
    with monkeypatch.context() as patched:
        patched.setattr(xlsx, "_Book", None)  # parsing would fail
        assert convert(tmp_path / "o", path).code == 4
    told = capfd.readouterr().err
    assert told.startswith("error: a.xlsx: ") and "1,048,576 rows × 16,384 columns" in told and "save it as CSV" in told
    assert "头痛" not in told and not (tmp_path / "o").exists()


def test_07_a_stray_cell_in_the_far_corner_costs_one_row(tmp_path):
    """And not the rectangle above it. A stated extent that a table can have is neither refused nor believed."""
    sheet = ('<dimension ref="A1:ALL1048576"/><sheetData><row r="1">' + cell("A1", "id") + cell("B1", "text") + '</row><row r="2">'
             + cell("A2", "1") + cell("B2", "头痛发热") + '</row><row r="1048576">' + cell("XFD1048576", "x") + "</row></sheetData>")
    found = convert(tmp_path / "o", parts(tmp_path / "a.xlsx", sheet))
    assert (found.code, found.texts) == (3, {"1": "头痛发热"})
    assert found.rejects == [("ragged_row", "a.xlsx:1048576")] and found.manifest["inputs"][0]["blank_rows"] == 1_048_573


def test_08_the_suffix_is_not_asked(tmp_path):
    rows = [["门诊号", "主诉"], ["1", "头痛发热"]]
    page = "<html><head><meta charset='gb2312'></head><body><table>" + "".join(
        "<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows) + "</table></body></html>"
    shutil.copy(workbook(tmp_path / "b.xlsx", rows), tmp_path / "b.csv")
    for path, format in ((write(tmp_path / "a.xlsx", table(rows), "gb18030"), "delimited"), (tmp_path / "b.csv", "xlsx"),
                         (write(tmp_path / "c.xls", page, "gb18030"), "html_table"),
                         (write(tmp_path / "d.xml", '{"id": "1", "text": "头痛发热"}'), "jsonl")):
        found = convert(tmp_path / f"o{path.name}", path)
        assert (found.code, found.texts, found.manifest["inputs"][0]["format"]) == (0, {"1": "头痛发热"}, format)


def test_08_an_encrypted_workbook_is_refused_by_name(tmp_path, capfd):
    path = write(tmp_path / "a.xlsx", container("EncryptedPackage", "EncryptionInfo"))
    assert convert(tmp_path / "o", path).code == 4
    told = capfd.readouterr().err
    assert told.startswith("error: a.xlsx: ") and "password" in told and not (tmp_path / "o").exists()


def test_09_a_rounded_number_is_never_a_key(tmp_path):
    path = workbook(tmp_path / "a.xlsx", [["住院号", "主诉"], [1.1e17, "头痛发热"], [1.1e17, "咳嗽咳痰"], ["1.1E+17", "舌红苔黄"]])
    found = convert(tmp_path / "o", path)
    assert (found.code, found.rejects) == (0, [])
    assert found.texts == {"a.xlsx:2": "头痛发热", "a.xlsx:3": "咳嗽咳痰", "a.xlsx:4": "舌红苔黄"}
    assert {tuple(record["warnings"]) for record in found.records} == {("id_lost_digits",)}
    assert {record["extra"]["住院号"] for record in found.records} == {"1.1e+17", "1.1E+17"}


def test_09_zeros_that_may_be_lost_are_said(tmp_path, capfd):
    found = convert(tmp_path / "o", workbook(tmp_path / "a.xlsx", [["住院号", "主诉"], [440793, "头痛发热"], ["00123", "咳嗽咳痰"]]))
    assert set(found.texts) == {"440793", "00123"} and "id_numbers" in found.notes
    assert "zeros before them may be lost" in capfd.readouterr().err
    assert "id_numbers" not in convert(tmp_path / "p", workbook(tmp_path / "b.xlsx", [["住院号", "主诉"], ["00123", "咳嗽咳痰"]])).notes


def test_14_texts_that_are_none(tmp_path):
    values = [None, 3, 38.5, True, ["头痛"], {"a": "头痛"}, "", " \u3000", "痛", "头痛"]
    path = write(tmp_path / "a.jsonl", "".join(json.dumps({"id": str(n), "text": value}) + "\n" for n, value in enumerate(values)))
    found = convert(tmp_path / "o", path)
    assert (found.code, found.texts) == (3, {"9": "头痛"})
    codes = ["text_missing", *["text_not_a_string"] * 5, *["text_missing"] * 2, "text_too_short"]
    assert found.rejects == [(code, f"a.jsonl:{n}") for n, code in enumerate(codes, 1)]


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_15_a_record_of_5_mb_is_kept_whole(tmp_path, kind):
    text = (ROW * 100_000)[: 5_000_000 // 3]
    content = table([["id", "text"], ["1", text], ["2", ROW]]) if kind == "csv" else "".join(
        json.dumps({"id": id, "text": each}, ensure_ascii=False) + "\n" for id, each in (("1", text), ("2", ROW)))
    found = convert(tmp_path / "o", write(tmp_path / "a.txt", content))
    first, second = found.records
    assert found.code == 0 and first["text"] == text and second["text"] == ROW
    assert first["text_sha256"] == hashlib.sha256(text.encode()).hexdigest()


def test_17_the_first_of_several_records_with_one_id_is_kept(tmp_path):
    path = write(tmp_path / "a.csv", table([["id", "text"], ["1", "头痛发热"], ["2", "咳嗽"], ["1", "舌红苔黄"]]))
    found = convert(tmp_path / "o", path)
    assert (found.code, found.texts, found.rejects) == (3, {"1": "头痛发热", "2": "咳嗽"}, [("duplicate_id", "a.csv:4")])


def test_17_the_same_file_again(tmp_path, capfd):
    path = write(tmp_path / "a.csv", table([["id", "text"], ["1", "头痛发热"]]))
    (tmp_path / "x").mkdir()
    copy = shutil.copy(path, tmp_path / "x" / "a.csv")
    assert convert(tmp_path / "o", path, tmp_path / "x" / ".." / "a.csv").code == 2
    assert "a.csv: is named twice" in capfd.readouterr().err and not (tmp_path / "o").exists()
    found = convert(tmp_path / "o", path, copy)
    assert (found.code, found.texts, found.rejects) == (3, {"1": "头痛发热"}, [("duplicate_id", "a.csv~2:2")])


FORMULAS = ["=cmd|'/c calc'!A0", "+1+cmd|x", "@SUM(A1)", "-2+3", "＝1+1", "\t=1"]


def test_21_formulas_are_exact_in_jsonl_and_defused_in_tables(tmp_path):
    rows = [[f"=id{n}", ROW + formula, formula, formula] for n, formula in enumerate(FORMULAS)]
    found = convert(tmp_path / "o", write(tmp_path / "a.csv", table([["id", "text", "科室", "=备注"], *rows])), formats="jsonl,csv,xlsx")
    assert found.code == 0
    assert [record["extra"]["=备注"] for record in found.records] == FORMULAS
    assert [record["id"] for record in found.records] == [row[0] for row in rows]
    with open(tmp_path / "o" / "table.csv", encoding="utf-8-sig", newline="") as file:
        header, *lines = csv.reader(file)
    assert "'=备注" in header
    for line, formula in zip(lines, FORMULAS, strict=True):
        assert line[0].startswith("'=id") and line[-1] == f"'{formula}"
    for sheet in openpyxl.load_workbook(tmp_path / "o" / "table.xlsx"):
        kinds = {each.data_type for row in sheet.iter_rows() for each in row if each.value is not None}
        assert "f" not in kinds
    sheet = openpyxl.load_workbook(tmp_path / "o" / "table.xlsx")["数据"]
    assert [row[-1] for row in sheet.iter_rows(min_row=2, values_only=True)] == FORMULAS

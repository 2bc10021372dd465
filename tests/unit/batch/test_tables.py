import csv
import io

import openpyxl
import pytest

from tcmstruct.batch.tables import EXCEL_CELL_CHARS, Columns, defuse, write_csv, write_xlsx

COLUMNS = Columns(("痰色", "最高体温", "发热"), ("年龄", "发热"))


def value(v, review=False, **more):
    return {"value": v, "unit": None, "evidence": "黄痰", "start": 0, "end": 2, "confidence": 0.5, "source": "text",
            "review": review, **more}


RECORD = {"id": "007", "dept": "呼吸内科", "warnings": ["id_missing"], "extra": {"年龄": "46", "发热": "=原文"},
          "fields": {"痰色": value(["黄", "白"], True), "最高体温": value(37.8, unit="℃")},
          "entities": [{"type": "脉象", "text": "脉滑", "start": 0, "end": 2},
                       {"type": "证候", "text": "气滞兼血瘀", "start": 10, "end": 15, "codes": [
                           {"start": 10, "end": 12, "system": "院内", "code": "Z1", "name": "气滞证", "score": 1.0, "rule": "alias",
                            "also": [{"system": "GB/T 16751.2-2021", "code": "4.1", "name": "气滞证", "score": 1.0,
                                      "rule": "alias"}]}]}]}
EMPTY = {"id": "8", "warnings": [], "fields": {}, "entities": []}


def as_csv(records, columns=COLUMNS):
    file = io.BytesIO()
    write_csv(records, columns, file)
    return file.getvalue()


def sheets(path):
    book = openpyxl.load_workbook(path)
    return {sheet.title: [[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book}, book


def test_csv_is_for_excel():
    data = as_csv([RECORD, EMPTY])
    assert data.startswith(b"\xef\xbb\xbf")
    header, row, empty = csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))
    assert header == ["id", "dept", "痰色", "最高体温", "发热", "需复核数", "需复核字段", "警告", "年龄", "发热（原列）"]
    assert row == ["007", "呼吸内科", "黄；白", "37.8", "", "1", "痰色", "id_missing", "46", "'=原文"]
    assert empty == ["8", "", "", "", "", "0", "", "", "", ""]


@pytest.mark.parametrize("text", ["=1+1", "+cmd|x", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "+", "--"])
def test_formulas_are_defused(text):
    assert defuse(text) == f"'{text}"


@pytest.mark.parametrize("text", ["-5", "+3.5", "37.8", "头痛=重", "", "3-4/1"])
def test_what_is_no_formula_stays(text):
    assert defuse(text) == text


def test_column_names_are_defused_too():
    assert "'=x" in as_csv([], Columns((), ("=x",))).decode("utf-8-sig")


def test_xlsx_has_visits_and_evidence(tmp_path):
    write_xlsx([RECORD, EMPTY], COLUMNS, tmp_path / "t.xlsx")
    found, book = sheets(tmp_path / "t.xlsx")
    assert found["数据"][1] == ["007", "呼吸内科", "黄；白", 37.8, None, 1, "痰色", "id_missing", "46", "=原文"]
    assert found["证据"] == [
        ["id", "field", "value", "unit", "evidence", "start", "end", "confidence", "source", "review"],
        ["007", "痰色", "黄；白", None, "黄痰", 0, 2, 0.5, "text", "是"],
        ["007", "最高体温", 37.8, "℃", "黄痰", 0, 2, 0.5, "text", None]]
    assert found["编码"] == [
        ["id", "type", "text", "start", "end", "system", "code", "name", "rule", "score"],
        ["007", "证候", "气滞", 10, 12, "院内", "Z1", "气滞证", "alias", 1],
        ["007", "证候", "气滞", 10, 12, "GB/T 16751.2-2021", "4.1", "气滞证", "alias", 1]]
    row = next(book["数据"].iter_rows(min_row=2))
    assert row[9].data_type == "s"  # text, though it begins with "="
    assert row[2].fill.fgColor.rgb == "FFFFF2CC"
    assert row[3].fill.fgColor.rgb != "FFFFF2CC"


def test_a_full_sheet_says_so(tmp_path):
    records = [{**RECORD, "id": str(n)} for n in range(10)]
    assert write_xlsx(records, COLUMNS, tmp_path / "t.xlsx", row_limit=6) == ["xlsx_rows_capped"]
    found, _ = sheets(tmp_path / "t.xlsx")
    assert [row[0] for row in found["数据"][1:]] == ["0", "1", "2", "3", "超出 Excel 行数上限，其余见 records.jsonl"]
    assert len(found["证据"]) == 6
    assert write_xlsx(records[:4], COLUMNS, tmp_path / "u.xlsx", row_limit=20) == []


def test_a_cell_beyond_excels_limit_is_cut_with_a_mark(tmp_path):
    long = {**EMPTY, "extra": {"年龄": "😀" * 40_000}}
    write_xlsx([long], COLUMNS, tmp_path / "t.xlsx")
    cell = sheets(tmp_path / "t.xlsx")[0]["数据"][1][8]
    assert len(cell.encode("utf-16-le")) // 2 <= EXCEL_CELL_CHARS
    assert cell.endswith("全文见 records.jsonl〕")
    assert "😀" * 40_000 in as_csv([long]).decode("utf-8-sig")


def test_control_characters_do_not_break_the_workbook(tmp_path):
    write_xlsx([{**EMPTY, "extra": {"年龄": "a\x01\x0b\ufffeb"}}], COLUMNS, tmp_path / "t.xlsx")
    assert sheets(tmp_path / "t.xlsx")[0]["数据"][1][8].startswith("a")


def test_what_photos_did_has_columns_where_photos_were_used(tmp_path):
    fields = {"苔色": value(["黄"], True, source="image"), "舌色": value(["红"], True), "苔质": value(["腻"], source="both")}
    seen = {**RECORD, "fields": fields, "tongue": {"conflicts": [{"field": "舌色", "text": ["红"], "image": "淡白", "confidence": 0.9}]}}
    columns = Columns(("舌色",), (), photos=True)
    header, row, empty = csv.reader(io.StringIO(as_csv([seen, {**EMPTY, "tongue": None}], columns).decode("utf-8-sig"), newline=""))
    assert header == ["id", "dept", "舌色", "需复核数", "需复核字段", "照片字段", "图文冲突", "警告"]
    assert row[3:7] == ["2", "苔色；舌色", "苔色（补充）；苔质（印证）", "舌色：文字 红，照片 淡白"]
    assert empty[5:7] == ["", ""]
    write_xlsx([seen], columns, tmp_path / "t.xlsx")
    assert sheets(tmp_path / "t.xlsx")[0]["数据"][1][6] == row[6]

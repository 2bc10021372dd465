import csv
import io
import json
import sqlite3
import sys
from contextlib import closing

import openpyxl
import pytest

from tcmstruct.batch.tables import TABLES, Columns
from tcmstruct.batch.tables.columns import typed_tables
from tcmstruct.batch.tables.csv_table import defuse
from tcmstruct.batch.tables.xlsx_table import EXCEL_CELL_CHARS, write_xlsx
from tcmstruct.errors import MissingExtra

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


def written(name, folder, records, columns=COLUMNS, **options):
    """The first file of a format, made of records."""
    (folder / "records.jsonl").write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    table = TABLES[name]
    table.load()(folder / "records.jsonl", columns, folder / table.files[0], **options)
    return folder / table.files[0]


def as_csv(folder, records, columns=COLUMNS):
    return written("csv", folder, records, columns).read_bytes()


def sheets(path):
    book = openpyxl.load_workbook(path)
    return {sheet.title: [[cell.value for cell in row] for row in sheet.iter_rows()] for sheet in book}, book


def test_csv_is_for_excel(tmp_path):
    data = as_csv(tmp_path, [RECORD, EMPTY])
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


def test_column_names_are_defused_too(tmp_path):
    assert "'=x" in as_csv(tmp_path, [], Columns((), ("=x",))).decode("utf-8-sig")


def test_xlsx_has_visits_and_evidence(tmp_path):
    found, book = sheets(written("xlsx", tmp_path, [RECORD, EMPTY]))
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
    found, _ = sheets(written("xlsx", tmp_path, records))
    assert len(found["证据"]) == 21
    assert write_xlsx(tmp_path / "records.jsonl", COLUMNS, tmp_path / "t.xlsx", row_limit=6) == ["xlsx_rows_capped"]
    found, _ = sheets(tmp_path / "t.xlsx")
    assert [row[0] for row in found["数据"][1:]] == ["0", "1", "2", "3", "超出 Excel 行数上限，其余见 records.jsonl"]
    assert len(found["证据"]) == 6


def test_a_cell_beyond_excels_limit_is_cut_with_a_mark(tmp_path):
    long = {**EMPTY, "extra": {"年龄": "😀" * 40_000}}
    cell = sheets(written("xlsx", tmp_path, [long], COLUMNS))[0]["数据"][1][8]
    assert len(cell.encode("utf-16-le")) // 2 <= EXCEL_CELL_CHARS
    assert cell.endswith("全文见 records.jsonl〕")
    assert "😀" * 40_000 in as_csv(tmp_path, [long]).decode("utf-8-sig")


def test_control_characters_do_not_break_the_workbook(tmp_path):
    assert sheets(written("xlsx", tmp_path, [{**EMPTY, "extra": {"年龄": "a\x01\x0b\ufffeb"}}], COLUMNS))[0]["数据"][1][8].startswith("a")


def test_what_photos_did_has_columns_where_photos_were_used(tmp_path):
    fields = {"苔色": value(["黄"], True, source="image"), "舌色": value(["红"], True), "苔质": value(["腻"], source="both")}
    seen = {**RECORD, "fields": fields, "tongue": {"conflicts": [{"field": "舌色", "text": ["红"], "image": "淡白", "confidence": 0.9}]}}
    columns = Columns(("舌色",), (), photos=True)
    data = as_csv(tmp_path, [seen, {**EMPTY, "tongue": None}], columns).decode("utf-8-sig")
    header, row, empty = csv.reader(io.StringIO(data, newline=""))
    assert header == ["id", "dept", "舌色", "需复核数", "需复核字段", "照片字段", "图文冲突", "警告"]
    assert row[3:7] == ["2", "苔色；舌色", "苔色（补充）；苔质（印证）", "舌色：文字 红，照片 淡白"]
    assert empty[5:7] == ["", ""]
    assert sheets(written("xlsx", tmp_path, [seen], columns))[0]["数据"][1][6] == row[6]


MIXED = {**EMPTY, "id": "9", "fields": {"最高体温": value(39), "痰色": value("黄")}}


def test_a_column_is_a_numbers_where_all_its_values_are():
    visits, evidence, codes = typed_tables([RECORD, MIXED], COLUMNS)
    assert [visits.columns[name] for name in ("最高体温", "需复核数", "痰色", "发热", "id")] == [float, int, str, str, str]
    assert (evidence.columns["start"], codes.columns["score"]) == (int, float)
    visits, *_ = typed_tables([{**EMPTY, "fields": {"最高体温": value(10**30)}}], COLUMNS)
    assert visits.columns["最高体温"] is str  # no integer of a table holds it


def test_names_that_differ_by_case_only_are_told_apart():
    visits, *_ = typed_tables([], Columns((), ("Id", "ID ", "ＩＤ")))
    assert list(visits.columns)[-3:] == ["Id~2", "ID ", "ＩＤ"]


def test_sqlite_holds_the_three_tables(tmp_path):
    with closing(sqlite3.connect(written("sqlite", tmp_path, [RECORD, MIXED]))) as base:
        assert base.execute('SELECT id, "痰色", "最高体温", "发热（原列）" FROM visits ORDER BY id').fetchall() == [
            ("007", "黄；白", 37.8, "=原文"), ("9", "黄", 39.0, None)]
        assert base.execute("SELECT field, value, start FROM evidence WHERE id = '007'").fetchall() == [
            ("痰色", "黄；白", 0), ("最高体温", "37.8", 0)]
        assert base.execute("SELECT count(*) FROM codes").fetchone() == (2,)


def test_parquet_holds_texts_as_they_are(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra [parquet] is not installed")
    path = written("parquet", tmp_path, [RECORD, MIXED])
    visits = parquet.read_table(path).to_pylist()
    assert [(r["id"], r["最高体温"], r["发热（原列）"]) for r in visits] == [("007", 37.8, "=原文"), ("9", 39.0, None)]
    assert parquet.read_table(tmp_path / "evidence.parquet").num_rows == 4
    assert parquet.read_table(tmp_path / "codes.parquet").column_names[:2] == ["id", "type"]


def test_parquet_without_its_extra_is_said_first(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra) as caught:
        TABLES["parquet"].load()
    assert "[parquet]" in str(caught.value)


@pytest.mark.parametrize("name", [n for n in TABLES if n != "parquet"])
def test_no_records_make_tables_without_rows(tmp_path, name):
    assert written(name, tmp_path, []).stat().st_size > 0

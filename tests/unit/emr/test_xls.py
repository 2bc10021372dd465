import struct
from datetime import datetime

import pytest
import xlwt
from ole_files import container

from tcmstruct.emr import xls
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused


def read(path, encoding=None):
    facts = FileFacts(path.name, path.stat().st_size, "xls")
    return {table.name: list(table.rows) for table in xls.open_tables(Given(path, path.name, encoding), facts)}, facts


def old(*cells: tuple[int, int, bytes], codepage: int | None = None) -> bytes:
    """A workbook of Excel 2 without a container: LABEL records of bytes in nobody knows what."""
    out = struct.pack("<4H", 0x0009, 4, 2, 0x10)
    if codepage is not None:
        out += struct.pack("<3H", 0x0042, 2, codepage)
    for row, column, text in cells:
        out += struct.pack("<4H3sB", 0x0004, 8 + len(text), row, column, b"\0\0\0", len(text)) + text
    return out + struct.pack("<2H", 0x000A, 0)


def test_sheets_cells_and_dates(tmp_path):
    path = tmp_path / "a.xls"
    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("门诊")
    day = xlwt.easyxf(num_format_str='yyyy"年"m"月"d"日"')
    for row, cells in enumerate([["门诊号", "主诉"], ["00123", "头痛3天，\n加重"], [440793, 38.5], [1.1e17, True]]):
        for column, cell in enumerate(cells):
            sheet.write(row, column, cell)
    sheet.write(5, 2, datetime(2020, 6, 1, 9, 30), day)
    book.add_sheet("空")
    book.save(str(path))
    tables, _ = read(path)
    assert tables["空"] == []
    assert tables["门诊"][:4] == [(1, ("门诊号", "主诉")), (2, ("00123", "头痛3天，\n加重")), (3, (440793, 38.5)), (4, (1.1e17, True))]
    assert isinstance(tables["门诊"][2][1][0], int)
    number, row = tables["门诊"][5]
    assert number == 6 and row[-1] == datetime(2020, 6, 1, 9, 30)


def test_a_stray_cell_makes_one_long_row_and_no_rectangle(tmp_path):
    path = tmp_path / "a.xls"
    book = xlwt.Workbook()
    sheet = book.add_sheet("s")
    sheet.write(0, 0, "主诉")
    sheet.write(65_535, 255, "x")
    book.save(str(path))
    rows = read(path)[0]["s"]
    assert len(rows) == 65_536 and sum(len(row) for _, row in rows) < 1_000


@pytest.mark.parametrize("codepage", [None, 1252])
def test_gbk_in_a_file_that_says_nothing_or_the_wrong_page(tmp_path, codepage):
    path = tmp_path / "a.xls"
    path.write_bytes(old((0, 0, "住院号".encode("gbk")), (0, 1, "主诉".encode("gbk")), (1, 1, "头痛".encode("gbk")), codepage=codepage))
    tables, facts = read(path)
    ((_, head), (_, row)) = next(iter(tables.values()))
    assert (head, row[1]) == (("住院号", "主诉"), "头痛")
    assert (facts.encoding, facts.encoding_reason) == ("gb18030", "plausible")
    assert next(iter(read(path, "gbk")[0].values()))[1][1][1] == "头痛"


@pytest.mark.parametrize(("names", "kind", "said"), [
    (["EncryptedPackage", "EncryptionInfo"], "encrypted", "password"), (["WordDocument"], "doc", "docx"), (["x"], "other", "no workbook")])
def test_what_else_is_in_such_containers(tmp_path, names, kind, said):
    path = tmp_path / "a.xls"
    path.write_bytes(container(*names))
    assert xls.ole_kind(path) == kind
    with pytest.raises(InputRefused, match=said) as caught:
        read(path)
    assert caught.value.code == "format_unsupported"


def test_damaged_files_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.xls"
    book = xlwt.Workbook()
    book.add_sheet("s").write(0, 0, "患者甲头痛" * 400)
    book.save(str(path))
    data = path.read_bytes()
    assert xls.ole_kind(path) == "xls"
    for broken in (data[:1200], data[:512] + data[1024:], container("Workbook"), xls.OLE_MAGIC):
        path.write_bytes(broken)
        with pytest.raises(InputRefused) as caught:
            read(path)
        assert caught.value.code in ("xls_invalid", "format_unsupported")
        assert "头痛" not in str(caught.value)
    monkeypatch.setattr(xls, "MAX_BYTES", 100)
    path.write_bytes(data)
    with pytest.raises(InputRefused) as caught:
        read(path)
    assert caught.value.code == "xls_too_large"

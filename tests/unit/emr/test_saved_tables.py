"""Tables as old Excel saves them: XML Spreadsheet 2003 and MHTML."""

import base64
import quopri
from datetime import datetime, time

import pytest

from tcmstruct.emr import ReadRecord, Reject, open_source
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.emr.xmltable import open_tables
from tcmstruct.errors import InputRefused

HEAD = ('<?xml version="1.0"?>\n<?mso-application progid="Excel.Sheet"?>\n<Workbook xmlns="urn:schemas-microsoft-com:office:spreadsheet" '
        'xmlns:ss="urn:schemas-microsoft-com:office:spreadsheet">\n<Styles><Style ss:ID="Default"/></Styles>\n')


def cell(value, kind="String", **attributes):
    return "<Cell{}><Data ss:Type=\"{}\">{}</Data></Cell>".format("".join(f' ss:{k}="{v}"' for k, v in attributes.items()), kind, value)


def row(*cells, **attributes):
    return "<Row{}>{}</Row>".format("".join(f' ss:{k}="{v}"' for k, v in attributes.items()), "".join(cells))


def book(*sheets):
    made = (f'<Worksheet ss:Name="{name}"><Table>{"".join(rows)}</Table></Worksheet>' for name, rows in sheets)
    return HEAD + "".join(made) + "</Workbook>"


def write(tmp_path, content, encoding="utf-8"):
    path = tmp_path / "导出.xls"
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def test_cells_places_and_sheets(tmp_path):
    rich = '<Cell><ss:Data ss:Type="String" xmlns="http://www.w3.org/TR/REC-html40">头痛<B>3</B>天</ss:Data><Comment><ss:Data>注</ss:Data></Comment></Cell>'
    path = write(tmp_path, book(
        ("门诊", [row(cell("a"), cell("b"), cell("c"), cell("d")),
                row(cell(12, "Number"), cell("0.5", "Number"), cell("2020-06-01T09:12:00.000", "DateTime"), cell(1, "Boolean"), Index=4),
                row(rich, cell("x", Index=3, MergeAcross=2), cell("y")), row(cell("1899-12-31T08:30:00.000", "DateTime")), row()]),
        ("空", []), ("住院", [row(cell("z"))])))
    facts = FileFacts(path.name, 0, "xml_table")
    found = [(table.name, list(table.rows)) for table in open_tables(Given(path, path.name), facts)]
    assert found == [("门诊", [(1, ["a", "b", "c", "d"]), (4, [12, 0.5, datetime(2020, 6, 1, 9, 12), True]),
                             (5, ["头痛3天", None, "x", None, None, "y"]), (6, [time(8, 30)]), (7, [])]),
                     ("住院", [(1, ["z"])])]


@pytest.mark.parametrize(("encoding", "declared"), [("utf-8", 'encoding="utf-8"'), ("gb18030", ""), ("utf-16", 'encoding="utf-16"')])
def test_records_of_all_sheets_in_any_encoding(tmp_path, encoding, declared):
    header = row(cell("住院号"), cell("主诉"))
    text = book(("一月", [row(cell("某某医院", MergeAcross=1)), header, row(cell("001"), cell("头痛发热"))]),
                ("说明", [row(cell("无"))]), ("二月", [header, row(cell(7, "Number"), cell("咳嗽咳痰"))]))
    source = open_source(write(tmp_path, text.replace('version="1.0"', f'version="1.0" {declared}'), encoding))
    assert [(item.id, item.text, item.where) for item in source] == [
        ("001", "头痛发热", "导出.xls[一月]:3"), ("7", "咳嗽咳痰", "导出.xls[二月]:2")]
    assert source.facts.format == "xml_table" and {"title_rows", "id_numbers", "sheet_skipped"} <= set(source.facts.notes)


def test_a_workbook_that_breaks_off_a_stray_cell_and_a_document_type(tmp_path):
    rows = [row(cell("住院号"), cell("主诉")), *(row(cell(f"{n:03}"), cell("头痛发热")) for n in range(50)), row(cell("x", Index=16384))]
    whole = book(("s", rows))
    assert [getattr(item, "code", "") for item in open_source(write(tmp_path, whole))] == [""] * 50 + ["ragged_row"]
    *items, last = open_source(write(tmp_path, whole[: len(whole) // 2]))
    assert items and all(isinstance(item, ReadRecord) for item in items) and last.code == "cut_short"
    with pytest.raises(InputRefused) as caught:
        open_source(write(tmp_path, whole.replace("<Workbook", "<!DOCTYPE x [<!ENTITY y 'z'>]><Workbook")))
    assert caught.value.code == "xml_doctype"


TABLE = ("<html><head><meta http-equiv=Content-Type content=\"text/html; charset=gb2312\"></head><body><table>"
         "<tr><td>住院号</td><td>主诉</td></tr><tr><td>001</td><td>头痛=发热，3天</td></tr></table></body></html>")
PARTS = {
    "quoted-printable": lambda data: quopri.encodestring(data), "base64": lambda data: base64.encodebytes(data), "8bit": lambda data: data}


def mhtml(*parts, end="--\r\n"):
    """(content type, location, coding, bytes) of each part."""
    out = (b"MIME-Version: 1.0\r\nX-Document-Type: Workbook\r\nContent-Type: multipart/related;\r\n"
           b' boundary="----=_Next.01"\r\n\r\nThis is MHTML.\r\n')
    for kind, location, coding, data in parts:
        header = f"Content-Location: {location}\r\nContent-Transfer-Encoding: {coding}\r\nContent-Type: {kind}\r\n\r\n"
        out += b"\r\n------=_Next.01\r\n" + header.encode() + PARTS[coding](data)
    return out + b"\r\n------=_Next.01" + end.encode()


@pytest.mark.parametrize("coding", PARTS)
def test_the_tables_of_pages_saved_as_one_file(tmp_path, coding):
    frame = b"<html><head></head><frameset rows='*,39'><frame src='sheet001.htm'></frameset></html>"
    path = write(tmp_path, mhtml(("text/html", "file:///C:/x/book.htm", "8bit", frame), ("text/css", "a.css", "8bit", b"td {}"),
                                 ("text/html; charset=\"gb2312\"", "file:///C:/x/../sheet001.htm", coding, TABLE.encode("gb18030"))))
    source = open_source(path)
    assert [(item.id, item.text, item.where) for item in source] == [("001", "头痛=发热，3天", "导出.xls!sheet001.htm:2")]
    assert (source.facts.format, source.facts.encoding) == ("mhtml", "gb18030")


def test_one_that_breaks_off_and_one_without_a_page(tmp_path):
    rows = "".join(f"<tr><td>{n:03}</td><td>头痛发热{n}天</td></tr>" for n in range(2, 90))
    long = TABLE.replace("</table>", rows + "</table>")
    data = mhtml(("text/html", "a.htm", "quoted-printable", long.encode("gb18030")))
    *items, half, rest = open_source(write(tmp_path, data[: len(data) * 2 // 3]))
    assert len(items) > 20 and not any(isinstance(item, Reject) for item in items)
    assert (half.code, rest.code) == ("cut_short", "cut_short")
    for broken in (mhtml(("text/css", "a.css", "8bit", b"td {}")), b"MIME-Version: 1.0\r\nContent-Type: multipart/related\r\n\r\nx"):
        with pytest.raises(InputRefused) as caught:
            open_source(write(tmp_path, broken))
        assert caught.value.code == "html_invalid"


def test_names_and_boundaries_that_are_no_ascii(tmp_path):
    named = mhtml(("text/html", "file:///C:/门诊.htm", "8bit", TABLE.encode("utf-8")))
    assert len(list(open_source(write(tmp_path, named)))) == 1
    (nothing,) = open_source(write(tmp_path, named.replace(b"_Next", "_下".encode(), 1)))
    assert isinstance(nothing, Reject)

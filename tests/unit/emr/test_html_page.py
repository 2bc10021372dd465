import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tcmstruct.emr import html_page
from tcmstruct.emr.rows import Fault
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

ROOT = Path(__file__).parents[3]


def tables(path, text: str | bytes, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    facts = FileFacts(path.name, path.stat().st_size, "html_table")
    return [(table.name, list(table.rows)) for table in html_page.open_tables(Given(path, path.name), facts)], facts


def page(path, text: str | bytes, encoding="utf-8"):
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    facts = FileFacts(path.name, path.stat().st_size, "html")
    return list(html_page.read_records(Given(path, path.name), facts)), facts


XLS = ('<html xmlns:x="urn:schemas-microsoft-com:office:excel"><head><meta http-equiv="Content-Type" content="text/html; charset={}">'
       '<style>td {{mso-number-format:"\\@";}}</style></head><body><table><tr><td colspan=3>某院导出</td></tr>'
       '<tr><th>门诊号<th>主诉<th>现病史</tr>'
       '<tr><td x:num="1">001</td><td>头痛</td><td>3天前&nbsp;头痛<br>加重 &lt;2次&gt;</td></tr></table>')


@pytest.mark.parametrize(("declared", "codec", "reason"), [("gb2312", "gbk", "declared"), ("utf-8", "gbk", "plausible"),
                                                           ("utf-8", "utf-8", "declared"), ("gb2312", "utf-8", "plausible")])
def test_a_table_saved_as_xls_in_what_it_is_written_in(tmp_path, declared, codec, reason):
    (only,), facts = tables(tmp_path / "a.xls", XLS.format(declared), codec)
    assert only == ("table 1", [(1, ["某院导出", None, None]), (2, ["门诊号", "主诉", "现病史"]),
                                (3, ["001", "头痛", "3天前 头痛\n加重 <2次>"])])
    assert facts.encoding_reason == reason


def test_spans_and_headers_in_two_storeys(tmp_path):
    text = ('<table><tr><td rowspan=2>门诊号<td rowspan=2>主诉<td colspan=2>诊断</tr><tr><td>病名<td>证候</tr>'
            '<tr><td rowspan=2>1<td>头痛<td>a<td>b</tr><tr><td>咳嗽<td colspan=2>c</tr><tr><td>2<td>x<td>y<td>z</table>')
    ((_, rows),), _ = tables(tmp_path / "a.xls", text)
    assert rows == [
        (2, ["门诊号", "主诉", "病名", "证候"]), (3, ["1", "头痛", "a", "b"]), (4, ["1", "咳嗽", "c", None]), (5, ["2", "x", "y", "z"])]


def test_several_tables_nested_ones_and_tags_that_are_not_closed(tmp_path):
    text = "<table><tr><td>a<td>b<table><tr><td>in</table>c<tr><td>d</table>between<table><td>e</table><table><tr><td>f"
    found, _ = tables(tmp_path / "a.xls", text)
    assert [(name, [cells for _, cells in rows]) for name, rows in found] == [
        ("table 2", [["in"]]), ("table 1", [["a", "b\nc"], ["d"]]), ("table 3", [["e"]]), ("table 4", [["f"]])]


@pytest.mark.parametrize(("text", "is_table"), [
    (XLS.format("utf-8"), True),
    ("<table><tr><td>姓名<td>某某<td>性别<td>女</tr><tr><td>主诉<td>头痛</tr></table>", False),
    ("<table><tr><td>四诊<td>舌红</tr><tr><td>证型<td>气虚</tr></table>", False),
    ("<table><tr><td>编号<td>主诉<td>价</tr><tr><td>1<td>头痛<td>3</tr></table>", True), ("<p>主诉：头痛</p>", False),
])
def test_a_table_of_records_and_a_table_within_a_document(tmp_path, text, is_table):
    path = tmp_path / "a.xls"
    path.write_text(text, "utf-8")
    assert html_page.is_table(Given(path, "a.xls")) is is_table


@pytest.mark.parametrize(("head", "is_html"), [
    (b"<html>", True), (b"\xef\xbb\xbf \r\n<!DOCTYPE HTML PUBLIC>", True), (b"<!-- x --><table border=1>", True), (b"<TABLE>", True),
    (b"<ClinicalDocument>", False), (b"<?xml version='1.0'?><Bundle>", False), (b"{}", False), (b'<?xml version="1.0"?><html>', True)])
def test_what_looks_like_html(head, is_html):
    assert html_page.looks_like(head) is is_html


def test_a_page_is_a_document(tmp_path):
    text = ("<html><head><title>t</title><script>alert('主诉：x')</script></head><body><h2>门诊病历</h2><style>p{}</style>"
            "<p><b>主诉：</b>\n 头痛\n3天 "
            "</p><!-- 注 --><div>现病史：3天前<br/>头痛<ul><li>a<li>b</ul></div><table><tr><td>姓名</td><td>某某</td><td>性别<td>女</tr>"
            "<tr><td>四诊</td><td>舌红，<p>苔黄</td></tr></table>&lt;script&gt;<p>脉\n弦")
    (found,), facts = page(tmp_path / "a.html", text)
    assert found.facts == {"姓名": "某某", "性别": "女"}
    assert found.sections == [
        ("", "门诊病历"), ("主诉", "头痛 3天"), ("现病史", "3天前\n头痛\na\nb"), ("四诊", "舌红，\n苔黄\n<script>\n脉弦")]
    assert facts.notes == []


def test_bytes_that_are_no_text_stay_marked(tmp_path):
    ((_, rows),), _ = tables(tmp_path / "a.xls", ("<table><tr><td>" + "头痛" * 20).encode() + b"\xff\xe5<td>a\0b<td>\xf4\x8f\xb8\x80")
    assert rows[0][1][0].endswith("\udcff\udce5") and rows[0][1][1] == "a\ufffdb"


@pytest.mark.parametrize("text", ["<div>" * 50_000 + "头痛", "<table>" * 5_000 + "头痛", "<table><tr><td>" * 3_000, "<" * 100_000,
                                  "&#x" * 50_000, "<!--" * 50_000, "<p a='" + "x" * 100_000, "<table>" + "<tr>" * 10_000])
def test_pages_made_to_hurt_end(tmp_path, text):
    try:
        page(tmp_path / "a.html", "<html>" + text)
        tables(tmp_path / "a.html", "<html>" + text)
    except InputRefused as error:
        assert error.code == "html_invalid"


def test_rows_that_are_too_wide_or_too_long(tmp_path, monkeypatch):
    ((_, rows),), _ = tables(tmp_path / "a.xls", "<table><tr><td colspan=999>a<td colspan=999>b<tr><td>c</table>")
    assert isinstance(rows[0][1], Fault) and rows[0][1].code == "ragged_row" and rows[1][1] == ["c"]
    monkeypatch.setattr(html_page, "MAX_ROW_CHARS", 100)
    ((_, rows),), _ = tables(tmp_path / "a.xls", f"<table><tr><td>{'a' * 99}<td>bb<tr><td>{'c' * 99}</table>")
    assert rows[0][1].code == "row_too_long" and rows[1][1] == ["c" * 99]
    assert [item.code for item in page(tmp_path / "a.html", "<html>" + "a" * 101)[0]] == ["row_too_long"]


def test_a_long_table_is_not_kept_in_memory(tmp_path):
    """libxml2 keeps all that it is fed piece by piece."""
    path = tmp_path / "a.xls"
    row = f"<tr><td>1</td><td>{'舌红苔黄腻' * 200}</td></tr>\n"
    path.write_text("<table>" + row * 5_000, encoding="utf-8")
    script = ("import sys; from pathlib import Path; from benchmarks.readers import _resident; from tcmstruct.emr import html_page\n"
              "from tcmstruct.emr.source import FileFacts, Given\n"
              "before, rows = _resident('VmRSS'), 0\n"
              "for table in html_page.open_tables(Given(Path(sys.argv[1]), 'a'), FileFacts('a', 0, 'html_table')):\n"
              "    rows += sum(1 for _ in table.rows)\n"
              "print(rows, _resident('VmHWM') - before)")
    told = subprocess.run([sys.executable, "-c", script, str(path)], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert told[0] == "5000" and float(told[1]) < path.stat().st_size / 2**20 / 2


def test_who_stops_reading_leaves_no_thread_behind(tmp_path):
    path = tmp_path / "a.xls"
    path.write_text("<table>" + f"<tr><td>{'a' * 1000}</td></tr>" * 3_000, encoding="utf-8")
    tables = html_page.open_tables(Given(path, "a"), FileFacts("a", 0, "html_table"))
    assert next(next(tables).rows) == (1, ["a" * 1000])
    tables.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "html"]

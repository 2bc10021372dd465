import gzip
import io
import zipfile

import pytest

from tcmstruct.emr import Reject, open_source
from tcmstruct.errors import InputRefused

CSV = "住院号,主诉\n{0},头痛{0}天\n{0}b,\n"
PNG = b"\x89PNG\r\n\x1a\n"


def archive(members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in members:
            made.writestr(name, content)
    return out.getvalue()


def read(tmp_path, content):
    path = tmp_path / "a.zip"
    path.write_bytes(content)
    source = open_source(path)
    return source, list(source)


def test_each_file_is_read_as_what_it_is_and_counted(tmp_path):
    source, items = read(tmp_path, archive([
        ("甲/一.csv", CSV.format(1)), ("乙/二.txt", CSV.format(2).encode("gb18030")), ("三.jsonl", '{"id": "3", "text": "咳嗽3天"}'),
        ("图.png", PNG), ("说明.pdf", "%PDF-1.7"), ("四.zip", archive([("五.csv", CSV.format(5)), ("六.zip", archive([("七.csv", CSV)]))])),
        ("八.csv.gz", gzip.compress(CSV.format(8).encode()))]))
    good = [(item.id, item.text, item.where) for item in items if not isinstance(item, Reject)]
    assert good == [("1", "头痛1天", "a.zip!一.csv:2"), ("2", "头痛2天", "a.zip!二.txt:2"), ("3", "咳嗽3天", "a.zip!三.jsonl:1"),
                    ("5", "头痛5天", "a.zip!四.zip!五.csv:2"), ("8", "头痛8天", "a.zip!八.csv.gz!八.csv:2")]
    rejected = [(item.code, item.where) for item in items if isinstance(item, Reject)]
    assert rejected == [("text_missing", "a.zip!一.csv:3"), ("text_missing", "a.zip!二.txt:3"), ("member_refused", "a.zip!说明.pdf"),
                        ("text_missing", "a.zip!四.zip!五.csv:3"), ("member_refused", "a.zip!四.zip!六.zip"),
                        ("text_missing", "a.zip!八.csv.gz!八.csv:3")]
    assert source.facts.format == "zip"
    assert "pictures_skipped" in source.facts.notes
    assert [table.header for table in source.facts.tables] == [("住院号", "主诉"), ("id", "text")]


def test_nothing_stays_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    path = tmp_path / "a.zip"
    path.write_bytes(archive([(f"{n}.csv", CSV.format(n)) for n in range(9)]))
    source = open_source(path)
    assert not any((tmp_path / "t").iterdir())
    stream = iter(source)
    next(stream)
    assert len(list((tmp_path / "t").rglob("member-*"))) == 1
    stream.close()
    assert not any((tmp_path / "t").iterdir())


def test_an_archive_of_nothing_and_a_damaged_one(tmp_path):
    source, items = read(tmp_path, archive([("a.png", PNG)]))
    assert (items, source.facts.notes) == ([], ["pictures_skipped"])
    with pytest.raises(InputRefused):
        read(tmp_path, b"PK\x03\x04" + b"x" * 40)


@pytest.mark.parametrize(("name", "content", "last"), [
    ("a.csv", CSV.format("{0}") + "".join(f"{n},咳嗽{n}天\n" for n in range(3000)), "cut_short"),
    ("a.jsonl", "".join(f'{{"id": "{n}", "text": "咳嗽{n}天"}}\n' for n in range(3000)), "json_invalid"),
    ("a.txt", "姓名：某某\n主诉：咳嗽3天\n" + "".join(f"现病史：{n}天前受凉。\n" for n in range(3000)), "cut_short"),
])
def test_the_last_record_of_a_file_that_breaks_off_is_not_believed(tmp_path, name, content, last):
    whole = gzip.compress(content.encode(), 1)
    path = tmp_path / f"{name}.gz"
    path.write_bytes(whole[: len(whole) * 2 // 3])
    *items, half, rest = list(open_source(path))
    assert half.code in (last, "ragged_row") and rest.code == "cut_short"  # ragged: cut within the first cell
    assert all(item.text == f"咳嗽{item.id}天" for item in items if not isinstance(item, Reject) and item.id.isdigit())

import csv
import hashlib
import os
import re
import sys
from pathlib import Path

import pytest

from tcmstruct.emr import open_source, open_sources
from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.reader import ReadRecord
from tcmstruct.errors import InputRefused, UsageError

HEADER = "住院号,科室,主诉\r\n"


def write(path: Path, text: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def read(path, **options):
    source = open_source(path, **options)
    return source, list(source)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16"])
@pytest.mark.parametrize("suffix", [".csv", ".txt", ".jsonl", ".xlsx", ""])
def test_content_decides_and_the_suffix_does_not(tmp_path, encoding, suffix):
    path = write(tmp_path / f"a{suffix}", HEADER + "1,肛肠科,头痛发热\r\n", encoding)
    source, items = read(path)
    assert [(r.id, r.dept, r.text, r.where) for r in items] == [("1", "肛肠科", "头痛发热", f"a{suffix}:2")]
    assert source.facts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_json_lines(tmp_path):
    path = write(tmp_path / "a.csv", '\ufeff{"id": "1", "text": "头痛发热", "fields": {"a": 1}}\n\n'
                                     '{"病历内容": "咳嗽咳痰", "age": 3}\n{"id": "3"}\n{bad\n{"id": 4, "text": "\\ud800x"}\n')
    source, items = read(path)
    assert source.facts.format == "jsonl"
    assert [getattr(i, "code", None) for i in items] == [None, None, "text_missing", "json_invalid", "lone_surrogate"]
    assert (items[0].id, items[0].text, items[0].extra) == ("1", "头痛发热", {})
    assert (items[1].id, items[1].extra, items[1].where) == ("a.csv:3", {"age": "3"}, "a.csv:3")
    assert source.facts.blank_rows == 1


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b" \r\n\n", b"\xff\xfe"])
def test_a_file_without_anything_is_no_error(tmp_path, content):
    source, items = read(write(tmp_path / "a.csv", content))
    assert items == []
    assert source.facts.notes == ["empty_input"]
    assert source.facts.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("content", [HEADER, HEADER.strip(), "\ufeff" + HEADER])
def test_a_header_alone_is_no_error(tmp_path, content):
    source, items = read(write(tmp_path / "a.csv", content))
    assert items == []
    assert source.facts.notes == ["no_rows"]


def test_bad_rows_are_rejected_and_the_rest_goes_on(tmp_path):
    good = "1,肛肠科,头痛发热\n"
    body = [good, "2,骨科\n", "3,骨科,头痛,多\n", "4,骨科,头\0痛\n", "5,骨科,\n", "6,骨科,痛\n", ",骨科,咳嗽咳痰\n", ",,\n", "\n",
            "9,骨科,舌红苔黄,,\n"]
    data = (HEADER + "".join(body)).encode() + b"10,\xe9\xaa,\xff\xff\n" + '11,骨科,"没收尾\n12,骨科,脉弦滑数\n'.encode()
    source, items = read(write(tmp_path / "a.csv", data))
    assert [(getattr(i, "code", None), i.where.split(":")[1]) for i in items] == [
        (None, "2"), ("ragged_row", "3"), ("ragged_row", "4"), ("nul_character", "5"), ("text_missing", "6"),
        ("text_too_short", "7"), (None, "8"), (None, "11"), ("undecodable", "12"), ("quote_unclosed", "13"), (None, "14")]
    assert items[6].warnings == ("id_missing",)
    assert source.facts.blank_rows == 2


def test_no_text_column_lists_what_was_found(tmp_path):
    path = write(tmp_path / "a.csv", "住院号,姓名,费用\n1,王某,3\n")
    with pytest.raises(InputRefused, match=r"columns found: 住院号, 姓名, 费用 .*--map") as caught:
        open_source(path)
    assert (caught.value.code, caught.value.exit_code) == ("no_text_column", 4)
    assert "王某" not in str(caught.value)


def test_a_file_without_a_header_does_not_show_its_first_record(tmp_path):
    path = write(tmp_path / "a.csv", "00123,王小某,反复头痛3天，加重1天。\n00124,李小某,咳嗽。\n")
    with pytest.raises(InputRefused) as caught:
        open_source(path)
    for secret in ("王小某", "头痛", "00123"):
        assert secret not in str(caught.value)


def test_map_overrides_and_unknown_columns_stay(tmp_path):
    path = write(tmp_path / "a.csv", "号,情况,费用\n1,头痛发热,3\n")
    source, items = read(path, overrides=parse_overrides(["#1=id", "情况=text"]))
    assert (items[0].id, items[0].text, items[0].extra) == ("1", "头痛发热", {"费用": "3"})
    assert source.facts.notes == []


def test_a_map_that_names_no_column_is_refused(tmp_path):
    path = write(tmp_path / "a.csv", HEADER + "1,骨科,头痛\n")
    for name in ("病情", "#4"):
        with pytest.raises(InputRefused, match=name) as caught:
            open_sources([path], overrides=parse_overrides([f"{name}=text"]))
        assert caught.value.code == "map_column_missing"
    assert open_sources([path], overrides=parse_overrides(["#3=text"]))


def test_a_large_field_is_read_whole(tmp_path):
    text = "无" * 200_000
    _, items = read(write(tmp_path / "a.csv", f"id,text\n1,{text}\n"))
    assert items[0].text == text


@pytest.mark.parametrize(("content", "code"), [
    (b"%PDF-1.7", "format_unsupported"), (b"\xd0\xcf\x11\xe0\xa1\xb1", "xls_invalid"), (b"<note>x</note>", "format_unsupported"),
    (b"\x1f\x8b\x08", "zip_invalid"), (b"SQLite format 3\0", "format_unsupported"), (b"\x89PNG\r\n", "format_unsupported"),
    ("id,text\n1,头痛".encode("utf-16-le"), "format_unsupported"), (bytes(range(256)) * 20, "format_unsupported"),
    (b"PK\x03\x04 no", "zip_invalid"), (b"\xff\xfb\xff\xfa" * 50, "encoding_unknown"), (b'"id,text\n1,x', "quote_unclosed"),
])
def test_files_that_are_refused_by_name(tmp_path, content, code):
    path = write(tmp_path / "a.csv", content)
    with pytest.raises(InputRefused) as caught:
        open_source(path)
    assert caught.value.code == code
    assert "a.csv" in str(caught.value)


def test_missing_files_folders_and_locked_files(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputRefused) as caught:
            open_source(path)
        assert caught.value.code == "not_a_file"
    if os.name == "posix" and os.geteuid():
        locked = write(tmp_path / "a.csv", HEADER)
        locked.chmod(0)
        with pytest.raises(InputRefused):
            open_source(locked)


def test_the_encoding_that_the_user_names_wins(tmp_path):
    path = write(tmp_path / "a.csv", "id,text\n1,头痛发热\n", "gb18030")
    source, items = read(path, encoding="utf-8")
    assert [i.code for i in items] == ["undecodable"]
    assert source.facts.encoding_reason == "given"
    with pytest.raises(UsageError):
        open_source(path, encoding="no-such")


def test_files_of_one_name_get_different_labels(tmp_path):
    paths = []
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        paths.append(write(tmp_path / folder / "x.csv", "text\n头痛发热\n"))
    ids = [record.id for source in open_sources(paths) for record in source]
    assert ids == ["x.csv:2", "x.csv~2:2"]


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_a_file_name_that_is_no_utf8_still_makes_ids(tmp_path):
    path = write(tmp_path / os.fsdecode(b"\xb2\xa1.csv"), "text\n头痛发热\n")
    (record,) = open_source(path)
    assert record.id == "??.csv:2"


def test_one_row_is_held_at_a_time(tmp_path):
    """A reader that took the file in whole would be at its end after the first record."""
    path = tmp_path / "a.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "text"])
        writer.writerows([n, "头痛发热" * 50] for n in range(9000))
    source = open_source(path)
    stream = iter(source)
    assert isinstance(next(stream), ReadRecord)
    assert source.fraction() < 0.2
    assert sum(1 for _ in stream) == 8999
    assert source.fraction() == 1.0


SAMPLES = Path(os.environ.get("TCMSTRUCT_DATA", Path(__file__).parents[3].parent / "shared" / "data")) / "emr_samples"

ADDED = r'\r?\n|"望诊"：'


@pytest.mark.data
def test_five_records_in_five_formats_are_the_same_five():
    folder = SAMPLES / "made_from_tcmsd_other_formats"
    if not folder.exists():
        pytest.skip("the samples are absent: set TCMSTRUCT_DATA")

    def content(name, added=""):
        """Hashes, so that a failure shows no record; `added` is what the sample's maker put into the text."""
        return [(r.id, r.image, hashlib.sha256(re.sub(added, "", r.text).encode()).hexdigest() if added else
                 hashlib.sha256(r.text.encode()).hexdigest()) for r in open_source(folder / name)]

    want = content("outpatient.xlsx")
    assert len(want) == 5
    for name in ("outpatient_gbk.csv", "outpatient_utf8bom.csv", "outpatient_gb18030_rare_name.csv"):
        assert content(name) == want, name
    assert content("outpatient_gb18030_multiline_quotes.csv", ADDED) == content("outpatient.xlsx", ADDED)
    assert next(iter(open_source(folder / "outpatient_gb18030_rare_name.csv"))).extra["患者姓名"] == "䶮𬌗"


def test_a_column_of_photos_is_noted_unless_they_are_read(tmp_path):
    named = write(tmp_path / "有.csv", "病历号,主诉,舌象照片\n1,头痛,照片\\a.jpg\n")
    without = write(tmp_path / "无.csv", "病历号,主诉\n1,头痛\n")
    assert [s.facts.notes for s in open_sources([named, without])] == [["photos_not_read"], []]
    sources = open_sources([named, without], photos=True)
    assert [s.facts.notes for s in sources] == [[], ["no_image_column"]]
    assert [record.image for record in sources[0]] == ["照片\\a.jpg"]

import gzip
import os
import stat
import struct
import zipfile

import pytest

from tcmstruct.emr.archive import shown_name, unpack, zip_kind
from tcmstruct.emr.rows import Fault
from tcmstruct.emr.zipparts import ZipLimits
from tcmstruct.errors import InputRefused


def take(path, folder, **options):
    folder.mkdir(exist_ok=True)
    out = []
    for item in unpack(path, folder, **options):
        if isinstance(item, Fault):
            out.append((item.code, item.detail))
        else:
            name, file, _ = item
            assert file.parent == folder and stat.S_IMODE(file.stat().st_mode) == 0o600
            out.append((name, file.read_bytes()))
            file.unlink()
    assert not list(folder.iterdir())
    return out


def zipped(path, *members, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return path


def test_files_come_one_at_a_time_without_their_folders(tmp_path):
    path = zipped(tmp_path / "a.zip", ("门诊/一月.csv", b"1"), ("门诊/二月.csv", b"2"), ("住院/一月.csv", b"3"), ("empty/", b""),
                  ("__MACOSX/._x", b"x"), ("Thumbs.db", b"x"))
    assert take(path, tmp_path / "f") == [("一月.csv", b"1"), ("二月.csv", b"2"), ("一月.csv~2", b"3")]


def test_names_in_gbk_and_in_utf_8_without_its_flag(tmp_path):
    path = tmp_path / "a.zip"
    for raw, name in (("头痛.csv".encode("gbk"), "头痛.csv"), ("门诊病历.csv".encode(), "门诊病历.csv"), (b"a.csv", "a.csv")):
        data = zipped(path, ("x" * len(raw), b"1")).read_bytes().replace(b"x" * len(raw), raw)
        path.write_bytes(data)
        assert take(path, tmp_path / "f") == [(name, b"1")]


@pytest.mark.parametrize("name", ["../a.csv", "/etc/passwd", "a/../../b", "C:\\x.csv", "..\\x", "\\\\host\\share\\x", "a/..", "c:x"])
def test_names_that_lead_out_are_refused_and_the_rest_is_read(tmp_path, name):
    path = zipped(tmp_path / "a.zip", (name, b"evil"), ("b.csv", b"2"))
    assert take(path, tmp_path / "f") == [("member_refused", "its name leads out of the archive"), ("b.csv", b"2")]
    assert sorted(os.listdir(tmp_path)) == ["a.zip", "f"]


def test_links_and_locked_files(tmp_path):
    link = zipfile.ZipInfo("link.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "a.zip", (link, "/etc/passwd"), ("secret.csv", b"x" * 50), ("b.csv", b"2"))
    data = bytearray(path.read_bytes())
    at = data.index(b"secret.csv")
    data[at - 24] |= 1
    at = data.rindex(b"secret.csv")
    data[at - 38] |= 1
    path.write_bytes(data)
    assert take(path, tmp_path / "f") == [
        ("member_refused", "a symbolic link"), ("member_refused", "locked with a password"), ("b.csv", b"2")]


def test_bombs(tmp_path):
    path = zipped(tmp_path / "a.zip", ("a.csv", bytes(40 << 20)))
    for options in ({}, {"limits": ZipLimits(total_bytes=1 << 20)}):
        with pytest.raises(InputRefused) as caught:
            take(path, tmp_path / "f", **options)
        assert caught.value.code == "zip_bomb"
    with pytest.raises(InputRefused) as caught:
        take(zipped(tmp_path / "b.zip", ("a", b""), ("b", b"")), tmp_path / "f", limits=ZipLimits(entries=1))
    assert caught.value.code == "zip_bomb"


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED])
def test_an_archive_that_was_cut_off_gives_what_is_there(tmp_path, method):
    rows = b"".join(b"%d,%d\n" % (i, i * i) for i in range(20_000))
    path = zipped(tmp_path / "a.zip", ("a.csv", b"1"), ("b.csv", rows), method=method)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    first, (name, part), *faults = take(path, tmp_path / "f")
    assert first == ("a.csv", b"1") and name == "b.csv" and part and rows.startswith(part)
    assert [code for code, _ in faults] == ["cut_short", "cut_short"]


def test_a_file_that_was_written_as_a_stream_and_cut_off(tmp_path):
    path = tmp_path / "a.zip"

    class Pipe:
        def __init__(self, file):
            self.write, self.flush = file.write, file.flush

    with path.open("wb") as file, zipfile.ZipFile(Pipe(file), "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("a.csv", "b.csv"):
            with archive.open(name, "w") as member:
                member.write(name.encode() * 5000)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"PK\x01\x02")])
    assert take(path, tmp_path / "f")[:2] == [("a.csv", b"a.csv" * 5000), ("b.csv", b"b.csv" * 5000)]


def test_a_damaged_member_and_an_unknown_method(tmp_path):
    path = zipped(tmp_path / "a.zip", ("a.csv", bytes(range(256)) * 50), ("b.csv", b"2"))
    data = bytearray(path.read_bytes())
    data[35:37] = b"\xff\xff"
    path.write_bytes(data)
    assert take(path, tmp_path / "f") == [("member_refused", "damaged"), ("b.csv", b"2")]
    path = zipped(tmp_path / "c.zip", ("a.csv", b"1"), method=zipfile.ZIP_BZIP2)
    assert take(path, tmp_path / "f") == [("member_refused", "packed by method 12")]


def test_gzip_whole_in_members_cut_off_and_damaged(tmp_path):
    path = tmp_path / "门诊.csv.gz"
    body = os.urandom(100_000)
    path.write_bytes(gzip.compress(body) + gzip.compress(b"more") + bytes(10))
    assert take(path, tmp_path / "f") == [("门诊.csv", body + b"more")]
    path.write_bytes(gzip.compress(body)[:50_000])
    (_, part), fault = take(path, tmp_path / "f")
    assert body.startswith(part) and len(part) > 40_000 and fault[0] == "cut_short"
    path.write_bytes(gzip.compress(bytes(64 << 20), 9))
    with pytest.raises(InputRefused) as caught:
        take(path, tmp_path / "f")
    assert caught.value.code == "zip_bomb"
    path.write_bytes(b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 20)
    with pytest.raises(InputRefused) as caught:
        take(path, tmp_path / "f2")
    assert caught.value.code == "zip_invalid"


def test_what_a_zip_file_is(tmp_path):
    for names, kind in ((["xl/workbook.xml"], "xlsx"), (["word/document.xml", "[Content_Types].xml"], "docx"), (["a.csv"], "zip"),
                        (["[Content_Types].xml", "ppt/x.xml"], "office"), (["mimetype", "content.xml"], "office")):
        assert zip_kind(zipped(tmp_path / "a.zip", *((name, b"") for name in names))) == kind


def test_overlapping_entries_are_counted_each(tmp_path):
    path = zipped(tmp_path / "a.zip", ("a", bytes(1 << 20)))
    data = path.read_bytes()
    at = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[at:end]
    tail = bytearray(data[end:])
    struct.pack_into("<2H2L", tail, 8, 500, 500, len(entry) * 500, at)
    path.write_bytes(data[:at] + entry * 500 + bytes(tail))
    with pytest.raises(InputRefused) as caught:
        take(path, tmp_path / "f", limits=ZipLimits(total_bytes=100 << 20))
    assert caught.value.code == "zip_bomb"


@pytest.mark.parametrize(("name", "shown"), [
    ("a/b:c!d.csv", "b?c?d.csv"), ("\u202egpj.csv\n", "?gpj.csv?"), ("", "?"), ("x" * 300, "x" * 120)])
def test_names_as_they_may_be_shown(name, shown):
    assert shown_name(name) == shown

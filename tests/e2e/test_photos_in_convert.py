"""`tcmstruct convert --image-root`: photographs beside the records, good ones and every kind of bad one, with the shipped model.

All photos are drawn. Whatever is wrong with one, its record's text gives what it gives without a photo.
"""

import csv
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import openpyxl
import pytest
from drawn_tongue import DrawnTongue, draw
from PIL import Image

from examples.draw_photos import PHOTOS
from tcmstruct import cli
from tcmstruct.runtime.memory import PHOTO_BYTES

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links, pipes and peak memory are asked of POSIX")

ROOT = Path(__file__).resolve().parents[2]
PEAK_MB = 500
"""Cap on the resident set of a run over all bad inputs and the costliest admissible ones, 400 measured."""

OPEN, SAME, OTHER = "反复咳嗽3天，咳黄痰，无发热。脉滑数。", "咽痛2天。舌淡白，苔黄腻，脉滑。", "头痛3天，无呕吐。舌红，苔白，脉弦。"
"""Texts that say nothing of the tongue; what the good photo shows; something else."""

GOOD = {  # id → (text, path as the record gives it)
    "补": (OPEN, "好.jpg"), "证": (SAME, "好.jpg"), "冲": (OTHER, "好.jpg"), "反斜": (OPEN, "子夹\\好.jpg"), "四色": (OPEN, "四色.jpg"),
    "横": (OPEN, "横拍.jpg"), "链内": (OPEN, "内链.jpg"),
}
BAD = {  # id → (path as the record gives it, reasons of which one is named)
    "上": ("../外.jpg", {"path_traversal"}), "反上": ("..\\..\\外.jpg", {"path_traversal"}),
    "藏": ("子夹/../../外.jpg", {"path_traversal"}),
    "绝": ("/etc/passwd", {"path_absolute"}), "盘": ("C:\\外.jpg", {"path_absolute"}), "盘二": ("C:外.jpg", {"path_absolute"}),
    "共享": ("\\\\主机\\共享\\外.jpg", {"path_unc"}),
    "链": ("外链.jpg", {"path_outside_root"}), "链夹": ("外夹/外.jpg", {"path_outside_root"}),
    "网址": ("http://127.0.0.1/a.jpg", {"path_url"}), "文件网址": ("file:///etc/passwd", {"path_url"}),
    "无": ("没有.jpg", {"not_found"}), "夹": ("子夹", {"not_a_file"}), "管": ("管道.jpg", {"not_a_file"}),
    "空": ("空.jpg", {"file_empty"}), "断": ("断.jpg", {"truncated"}), "网页": ("网页.jpg", {"format_unsupported"}),
    "巨": ("巨.png", {"too_many_pixels"}), "无舌": ("无舌.jpg", {"no_tongue"}), "黑": ("黑.jpg", {"no_tongue"}),
    "糊": ("糊.jpg", {"blurred", "no_tongue"}), "长": ("长" * 2000, {"path_invalid"}),
}


def drawn(**what):
    return Image.fromarray(draw(DrawnTongue(**{"height_px": 560, "width_px": 520, "body": "淡白", "coating": "黄", **what}))[0])


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    outside = tmp_path_factory.mktemp("e2e")
    folder = outside / "照片"
    (folder / "子夹").mkdir(parents=True)
    good = drawn()
    for path in (folder / "好.jpg", folder / "子夹" / "好.jpg", outside / "外.jpg"):
        good.save(path, quality=92)
    good.convert("CMYK").save(folder / "四色.jpg", quality=92)
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera lay on its side; upright after a quarter turn clockwise
    good.transpose(Image.Transpose.ROTATE_90).save(folder / "横拍.jpg", quality=92, exif=turned)
    drawn(tongue=False).save(folder / "无舌.jpg")
    drawn(blur_px=9).save(folder / "糊.jpg")
    Image.new("RGB", (400, 300)).save(folder / "黑.jpg")
    data = (folder / "好.jpg").read_bytes()
    (folder / "断.jpg").write_bytes(data[: len(data) // 3])
    (folder / "空.jpg").write_bytes(b"")
    (folder / "网页.jpg").write_bytes(b"<!doctype html><html>404</html>")
    (folder / "巨.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
                                   + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))
    (folder / "内链.jpg").symlink_to(folder / "子夹" / "好.jpg")
    (folder / "外链.jpg").symlink_to(outside / "外.jpg")
    (folder / "外夹").symlink_to(outside)
    os.mkfifo(folder / "管道.jpg")
    return folder


def write(path, rows):
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("病历号", "病历内容", "舌象照片"), *rows])
    return path


@pytest.fixture(scope="module")
def table(photos):
    rows = [(id, *told) for id, told in GOOD.items()]
    rows += [(id, (OPEN, SAME, OTHER)[n % 3], path) for n, (id, (path, _)) in enumerate(BAD.items())]
    return write(photos.parent / "门诊.csv", [*rows, ("没照", OPEN, ""), ("没照二", OTHER, "")])


def convert(*arguments):
    return cli.run(["convert", *map(str, arguments)])


def lines(out):
    return {line["id"]: line for line in map(json.loads, (out / "records.jsonl").read_text("utf-8").splitlines())}


def manifest(out):
    return json.loads((out / "manifest.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def plain(table, photos):
    assert convert(table, "-o", photos.parent / "无照片", "--workers", 1, "--format", "jsonl", "--no-report") == 0
    return photos.parent / "无照片"


@pytest.fixture(scope="module")
def seen(table, photos):
    assert convert(table, "-o", photos.parent / "有照片", "--image-root", photos, "--workers", 1) == 0
    return photos.parent / "有照片"


@pytest.mark.parametrize("id", BAD)
def test_a_bad_photo_is_named_and_costs_the_text_nothing(plain, seen, id):
    line = lines(seen)[id]
    (warning,) = line["warnings"]
    assert warning.removeprefix("image_") in BAD[id][1] and line["tongue"] is None
    assert json.dumps({**line, "warnings": []}) == json.dumps(lines(plain)[id])


def test_records_without_a_photo_are_the_same_byte_for_byte(plain, seen):
    def raw(out):
        return [line for line in (out / "records.jsonl").read_bytes().splitlines() if json.loads(line)["id"].startswith("没照")]

    assert raw(seen) == raw(plain) and len(raw(seen)) == 2


@pytest.mark.parametrize("id", GOOD)
def test_a_good_photo_adds_and_never_overrules(plain, seen, id):
    line, text = lines(seen)[id], lines(plain)[id]
    assert line["warnings"] == [] and line["tongue"]["image"] == GOOD[id][1] and line["tongue"]["quality"] == "ok"
    assert {**line, "fields": 0, "tongue": 0} == {**text, "fields": 0, "tongue": 0}
    for name, value in line["fields"].items():
        if value["source"] == "image":
            assert name not in text["fields"] and value["review"] and value["evidence"] == ""
        else:
            assert {**value, "source": 0, "review": 0} == {**text["fields"][name], "source": 0, "review": 0}


def test_it_fills_confirms_and_contradicts(seen):
    found = lines(seen)
    assert (found["补"]["fields"]["苔色"]["value"], found["补"]["fields"]["苔色"]["source"]) == (["黄"], "image")
    assert found["证"]["fields"]["苔色"]["source"] == found["证"]["fields"]["舌色"]["source"] == "both"
    against = found["冲"]
    assert {c["field"] for c in against["tongue"]["conflicts"]} == {"舌色", "苔色"}
    assert against["fields"]["苔色"]["value"] == ["白"] and against["fields"]["苔色"]["review"]


def test_two_records_may_name_one_photo_and_a_turned_one_is_upright(seen):
    found = lines(seen)
    once, again = ([found[id]["tongue"][part] for part in ("quality", "attributes", "measures")] for id in ("补", "证"))
    assert once == again  # what the photo says by itself; with the text it depends on the text
    assert found["补"]["tongue"]["fused"] != found["证"]["tongue"]["fused"]
    assert found["横"]["tongue"]["measures"]["length_width_ratio"] == pytest.approx(
        found["补"]["tongue"]["measures"]["length_width_ratio"], abs=0.05)


def test_counts_add_up_and_name_the_reasons(seen):
    told = manifest(seen)
    n = len(GOOD) + len(BAD) + 2
    assert told["counts"] == {"in": n, "ok": len(GOOD) + 2, "warned": len(BAD), "rejected": 0}
    assert told["photos"]["named"] == len(GOOD) + len(BAD) and told["photos"]["used"] == len(GOOD)
    assert sum(told["photos"]["refused"].values()) == len(BAD) and told["photos"]["refused"]["path_traversal"] == 3
    assert told["settings"]["image_root"] == "照片" and str(seen.parent) not in json.dumps(told, ensure_ascii=False)
    assert told["inputs"][0]["notes"] == []
    assert told["photo_models"].keys() == {"tongue", "fusion"} and all(len(f) == 16 for f in told["photo_models"].values())


def test_the_tables_and_the_report_show_what_photos_did(seen):
    with open(seen / "table.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert "苔色（补充）" in rows["补"]["照片字段"] and "苔色（印证）" in rows["证"]["照片字段"]
    assert "苔色：文字 白，照片 黄" in rows["冲"]["图文冲突"] and "苔色" in rows["冲"]["需复核字段"] and rows["冲"]["苔色"] == "白"
    assert rows["没照"]["照片字段"] == rows["没照"]["图文冲突"] == "" and rows["黑"]["警告"] == "image_no_tongue"
    sheet = openpyxl.load_workbook(seen / "table.xlsx")["数据"]
    assert {"照片字段", "图文冲突"} <= {cell.value for cell in sheet[1]}
    page = (seen / "report.html").read_text("utf-8")
    section = page[page.index('id="photos"') : page.index('<section id="fields"')]
    assert "path_traversal" in section and "冲" in section and "苔色" in section


def test_without_image_root_the_option_is_named(plain, table, photos, tmp_path, capfd):
    assert convert(table, "-o", tmp_path / "o", "--workers", 1) == 0
    assert "--image-root" in capfd.readouterr().err
    told = manifest(tmp_path / "o")
    assert told["inputs"][0]["notes"] == ["photos_not_read"] and told["settings"]["image_root"] is None
    assert told["photos"] == {"named": len(GOOD) + len(BAD), "used": 0, "refused": {}}
    header = (tmp_path / "o" / "table.csv").read_text("utf-8-sig").splitlines()[0]
    assert "图文冲突" not in header and (tmp_path / "o" / "records.jsonl").read_bytes() == (plain / "records.jsonl").read_bytes()
    assert 'id="photos"' not in (tmp_path / "o" / "report.html").read_text("utf-8")


def test_a_folder_that_is_missing_and_a_column_that_is_missing_are_said(table, photos, tmp_path, capfd):
    for root in (tmp_path / "没有", table):
        assert convert(table, "-o", tmp_path / "o", "--image-root", root) == 2
        told = capfd.readouterr().err
        assert root.name in told and str(root.parent) not in told and not (tmp_path / "o").exists()
    without = tmp_path / "无列.csv"
    without.write_text(f"病历号,病历内容\n1,{OPEN}\n", encoding="utf-8")
    assert convert(without, "-o", tmp_path / "p", "--image-root", photos, "--workers", 1) == 0
    assert "--map 列=image" in capfd.readouterr().err and manifest(tmp_path / "p")["inputs"][0]["notes"] == ["no_image_column"]


def test_the_terminal_names_no_photo(table, photos, tmp_path, capfd):
    named = write(tmp_path / "t.csv", [("1", OPEN, "张三丰.jpg"), ("2", OPEN, "../李四光.jpg")])
    assert convert(named, "-o", tmp_path / "o", "--image-root", photos, "--workers", 1) == 0
    told = capfd.readouterr()
    assert "not_found 1" in told.err and "张三丰" not in told.err + told.out and "李四光" not in told.err + told.out
    assert "张三丰" not in (tmp_path / "o" / "manifest.json").read_text("utf-8")


def tcmstruct(*arguments):
    """In a process of its own: exit code, largest resident set in MB, stderr."""
    measure = ("import resource, subprocess, sys; code = subprocess.call([sys.executable, '-m', 'tcmstruct', *sys.argv[1:]]); "
               "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", measure, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          encoding="utf-8", timeout=300)
    return done.returncode, int(done.stdout), done.stderr


def test_workers_and_memory_limits_change_no_byte(photos, tmp_path):
    """70 records, so that two workers are really started; and the tightest memory limit, which trims the text's batches."""
    named = ["好.jpg", "断.jpg", "", "四色.jpg", "../外.jpg", "", "", "", "", ""]
    rows = write(tmp_path / "多.csv", [(f"{n:03}", (OPEN, SAME, OTHER)[n % 3] * (1 + n % 3), named[n % len(named)]) for n in range(70)])
    common = ("convert", rows, "--image-root", photos, "--format", "jsonl,csv", "--no-report", "-o")
    code, _, told = tcmstruct(*common, tmp_path / "不足", "--workers", 1, "--memory-limit", "100MB")
    assert code == 2 and "model and a photograph need" in told
    limit = int(re.search(r"need (\d+) MB", told)[1]) + 20
    settings = {"一": ("--workers", 1), "二": ("--workers", 2), "紧": ("--workers", 1, "--memory-limit", f"{limit}MiB")}
    for name, options in settings.items():
        code, peak, told = tcmstruct(*common, tmp_path / name, *options)
        assert code == 0, told
    assert peak < limit
    assert manifest(tmp_path / "二")["settings"]["workers"] == 2
    for file in ("records.jsonl", "table.csv", "rejects.jsonl"):
        assert len({(tmp_path / name / file).read_bytes() for name in settings}) == 1


def test_memory_stays_under_its_cap_whatever_the_photos_are(table, photos, tmp_path):
    """All of the bad ones, and of the admissible ones those that cost most: PNG with alpha and with 16 bits, at the pixel cap."""
    Image.new("RGBA", (4990, 4990), (200, 120, 120, 200)).save(photos / "大.png", compress_level=1)
    Image.fromarray(np.full((4990, 4990), 30_000, np.uint16)).save(photos / "深.png", compress_level=1)
    large = write(tmp_path / "大.csv", [("大", OTHER, "大.png"), ("深", OTHER, "深.png")])
    code, peak, told = tcmstruct("convert", table, large, "-o", tmp_path / "o", "--image-root", photos, "--workers", 1,
                                 "--format", "jsonl", "--memory-limit", f"{PEAK_MB}MiB")
    assert code == 0, told
    assert {lines(tmp_path / "o")[id]["warnings"][0] for id in ("大", "深")} == {"image_no_tongue"}
    assert PHOTO_BYTES // 2**20 < peak < PEAK_MB


def test_the_examples_are_drawings_that_show_every_outcome(tmp_path):
    folder = ROOT / "examples" / "photos"
    assert {path.name for path in folder.iterdir()} == PHOTOS.keys()
    for name, what in PHOTOS.items():
        assert (folder / name).stat().st_size < 60_000
        with Image.open(folder / name) as image:
            assert np.abs(np.asarray(image).astype(float) - draw(what)[0]).mean() < 4
    assert convert(ROOT / "examples" / "records.csv", "-o", tmp_path / "o", "--image-root", folder, "--workers", 1) == 0
    found = lines(tmp_path / "o")
    spoke = {value["source"] for line in found.values() for value in line["fields"].values()}
    assert spoke == {"text", "image", "both"} and [c["field"] for c in found["SY0005"]["tongue"]["conflicts"]] == ["苔色"]
    assert {id: line["warnings"] for id, line in found.items() if line["warnings"]} == {"SY0007": ["image_blurred"]}

import csv
import json
import os
import stat
import zlib
from functools import cache
from io import BytesIO, StringIO
from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw
from PIL import Image
from rich.console import Console

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.recipes.tongue_import import tongue_import
from tcmstruct.training.photo_sets import FAULTS

SIDE = 160
NAMES = ["jiankangshe", "botaishe", "hongshe", "zishe", "pangdashe", "shoushe", "hongdianshe", "liewenshe", "chihenshe",
         "baitaishe", "huangtaishe"]
WHOLE = (20, 30, 100, 110)  # x, y, width, height in pixels


@cache
def drawn(seed):
    return draw(DrawnTongue(SIDE, SIDE, seed=seed))


def encoded(seed, kind=".jpg"):
    return cv2.imencode(kind, drawn(seed)[0][..., ::-1])[1].tobytes()


def mask_bytes(seed, top=255, kind=".png"):
    return cv2.imencode(kind, drawn(seed)[1].astype(np.uint8) * top)[1].tobytes()


def put(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


PHOTOS = {  # name: (seed, class and box)
    "a (1).jpg": (1, [("baitaishe", (40, 30, 50, 60)), ("liewenshe", (50, 60, 10, 30)), ("pangdashe", WHOLE)]),
    "b.jpg": (2, [("huangtaishe", (40, 30, 50, 60)), ("zishe", WHOLE)]),
    "c.jpg": (3, [("hongshe", WHOLE)]),
    "d.jpg": (4, [("baitaishe", (40, 30, 50, 60)), ("huangtaishe", (40, 60, 50, 60)), ("chihenshe", (20, 60, 10, 40))]),
}


def coco(root, photos=PHOTOS, split="train", **more):
    for name, (seed, _) in photos.items():
        put(root / split / "images" / name, encoded(seed))
    table = {
        "images": [{"id": n, "file_name": name, "width": SIDE, "height": SIDE} for n, name in enumerate(photos)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(NAMES)],
        "annotations": [{"id": 0, "image_id": n, "category_id": NAMES.index(of), "bbox": list(box)}
                        for n, (_, boxes) in enumerate(photos.values()) for of, box in boxes],
    }
    table |= more
    put(root / split / "annotations" / f"{split}.json", json.dumps(table))
    return table


def yolo(root, photos=PHOTOS, split="train", classes=True):
    for name, (seed, boxes) in photos.items():
        put(root / split / "images" / name, encoded(seed))
        lines = [f"{NAMES.index(of)} {(x + w / 2) / SIDE} {(y + h / 2) / SIDE} {w / SIDE} {h / SIDE}" for of, (x, y, w, h) in boxes]
        put(root / split / "labels" / f"{Path(name).stem}.txt", "\n".join(lines))
    if classes:
        put(root / split / "labels" / "classes.txt", "\n".join(NAMES))


def voc_text(name, boxes):
    objects = "".join(f"<object><name>{of}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + w}</xmax>"
                      f"<ymax>{y + h}</ymax></bndbox></object>" for of, (x, y, w, h) in boxes)
    return (f"<annotation><folder>images</folder><filename>{name}</filename><path>D:\\x\\{name}</path>"
            f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>{objects}</annotation>")


def voc(root, photos=PHOTOS, split="train", inner="labels"):
    for name, (seed, boxes) in photos.items():
        put(root / split / "images" / name, encoded(seed))
        put(root / split / inner / f"{Path(name).stem}.xml", voc_text(name, boxes))


LABELS = ("TonguePale", "TipSideRed", "Spot", "Ecchymosis", "Crack", "Toothmark", "FurThick", "FurYellow")


def tonguedx(root, rows, table="train_fold1.csv"):
    """rows: (id, image_path, the labels that are 1)."""
    (root / "list").mkdir(parents=True, exist_ok=True)
    with open(root / "list" / table, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "Gender", "Age", *LABELS, "image_path", "Heart"])
        for person, path, ones in rows:
            writer.writerow([person, 1, 40, *(int(label in ones) for label in LABELS), path, 0])


def biohit(root, seeds=(1, 2, 3), photos="dataset", masks="groundtruth/mask"):
    for seed in seeds:
        put(root / photos / f"{seed}.bmp", encoded(seed, ".bmp"))
        put(root / masks / f"{seed}.bmp", mask_bytes(seed, kind=".bmp"))


@pytest.fixture
def told():
    return Console(record=True, width=200, file=StringIO())


def run(name, folder, out, told, **more):
    return tongue_import(name, folder, out, console=told, **more)


def rows_of(out):
    return [json.loads(line) for line in (out / "tongue" / "labels.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("make", [coco, yolo, voc, lambda root: yolo(root, classes=False), lambda root: voc(root, inner="Annotations")])
def test_every_edition_of_tcm_tongue_says_the_same(tmp_path, told, make):
    root = tmp_path / "shezhen datasets" / "shezhenv3" / "shezhenv3"
    make(root)
    summary = run("shezhenv3", tmp_path / "shezhen datasets", tmp_path / "out", told)
    assert (summary.photos, summary.listed, summary.exit_code) == (4, 4, 0)
    assert {code: n for code, n in summary.faults.items() if n} == {"labels_disagree": 1}
    by_labels = {tuple(sorted(row["labels"].items())): row for row in rows_of(tmp_path / "out")}
    assert set(by_labels) == {(("苔色", "白"), ("裂纹有无", "有")), (("舌色", "暗紫"),), (), (("齿痕有无", "有"),)}
    assert by_labels[(("舌色", "暗紫"),)]["box_cxcywh"] == pytest.approx([70 / SIDE, 85 / SIDE, 100 / SIDE, 110 / SIDE], abs=1e-5)
    assert "box_cxcywh" not in by_labels[(("齿痕有无", "有"),)]  # no class of the whole tongue
    assert all(row["split"] == "train" and "train_colour" not in row for row in by_labels.values())


def test_what_is_written_is_private_clean_and_named_by_us(tmp_path, told):
    coco(tmp_path / "in")
    run("tcm-tongue", tmp_path / "in", tmp_path / "deep" / "out", told)
    out = tmp_path / "deep" / "out"
    assert {stat.S_IMODE(p.stat().st_mode) for p in out.rglob("*") if p.is_file()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in [out, *out.rglob("*")] if p.is_dir()} == {0o700}
    assert all(p.stem.startswith("tcm-tongue-") for p in (out / "tongue" / "tcm-tongue").iterdir())
    assert os.listdir(tmp_path / "deep") == ["out"]
    kept = {p.read_bytes() for p in (out / "tongue" / "tcm-tongue").glob("*.jpg")}
    assert kept == {encoded(seed) for seed in (1, 2, 3, 4)}  # clean JPEG: byte for byte
    facts = json.loads((out / "tongue" / "import.json").read_text(encoding="utf-8"))
    assert facts["photos"] == 4 and facts["licence"].startswith("CC0") and facts["labels"]["苔色=白"] == 1
    assert "a (1)" not in (out / "tongue" / "labels.jsonl").read_text(encoding="utf-8")


def test_out_is_never_replaced_unasked(tmp_path, told):
    coco(tmp_path / "in")
    out = tmp_path / "out"
    run("tcm-tongue", tmp_path / "in", out, told)
    with pytest.raises(UsageError, match="--fresh"):
        run("tcm-tongue", tmp_path / "in", out, told)
    run("tcm-tongue", tmp_path / "in", out, told, fresh=True, train_colour=True)
    assert all(row["train_colour"] for row in rows_of(out))
    other = put(tmp_path / "mine" / "thesis.doc", "x").parent
    with pytest.raises(UsageError, match="no earlier import"):
        run("tcm-tongue", tmp_path / "in", other, told, fresh=True)
    assert (other / "thesis.doc").exists()
    for inside in (tmp_path / "in", tmp_path / "in" / "out", tmp_path):
        with pytest.raises(UsageError, match="lies in the folder"):
            run("tcm-tongue", tmp_path / "in", inside, told, fresh=True)
    (tmp_path / "link").symlink_to(out)
    with pytest.raises(UsageError):
        run("tcm-tongue", tmp_path / "in", tmp_path / "link", told, fresh=True)
    assert sorted(os.listdir(tmp_path)) == ["in", "link", "mine", "out"]


def test_a_failed_import_keeps_the_earlier_one(tmp_path, told):
    coco(tmp_path / "in")
    run("tcm-tongue", tmp_path / "in", tmp_path / "out", told)
    before = rows_of(tmp_path / "out")
    for photo in (tmp_path / "in" / "train" / "images").iterdir():
        photo.write_bytes(photo.read_bytes()[:1500])  # the header is whole, the picture is not
    with pytest.raises(InputRefused, match="truncated 4"):
        run("tcm-tongue", tmp_path / "in", tmp_path / "out", told, fresh=True)
    assert rows_of(tmp_path / "out") == before and sorted(os.listdir(tmp_path)) == ["in", "out"]


def test_check_only_writes_nothing(tmp_path, told):
    coco(tmp_path / "in")
    summary = run("tcm-tongue", tmp_path / "in", None, told)
    assert summary.photos == 4 and os.listdir(tmp_path) == ["in"]
    text = told.export_text()
    for words in ("nothing: 苔色 淡黄 or 黄", "nothing: 红 is not among", "labels_disagree", "checked only"):
        assert words in text


def test_metadata_ends_here_and_a_turned_photo_keeps_its_labels_only(tmp_path, told):
    root = tmp_path / "in"
    coco(root, {"a.jpg": (1, [("liewenshe", (50, 60, 10, 30)), ("hongshe", WHOLE)]), "b.png": (2, [("chihenshe", (50, 60, 10, 30))])})
    pixels = drawn(1)[0][:, :120]  # 120 wide, 160 high, stored lying
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "SECRET-CAMERA"
    buffer = BytesIO()
    Image.fromarray(np.rot90(pixels)).save(buffer, "JPEG", exif=exif, comment=b"SECRET-NOTE")
    put(root / "train" / "images" / "a.jpg", buffer.getvalue())
    put(root / "train" / "images" / "b.png", encoded(2, ".png"))
    summary = run("tcm-tongue", root, tmp_path / "out", told)
    assert summary.faults["turned"] == 1 and summary.boxes == 0 and summary.labels == {"裂纹有无=有": 1, "齿痕有无=有": 1}
    written = list((tmp_path / "out" / "tongue" / "tcm-tongue").glob("*.jpg"))
    assert len(written) == 2 and all(b"SECRET" not in p.read_bytes() and b"Exif" not in p.read_bytes() for p in written)
    assert sorted(cv2.imread(str(p)).shape[:2] for p in written) == [(160, 120), (160, 160)]


def test_one_photo_in_two_splits_is_one_photo_of_no_split(tmp_path, told):
    coco(tmp_path / "in", {"a.jpg": (1, [("baitaishe", (40, 30, 50, 60))])})
    coco(tmp_path / "in", {"z.jpg": (1, [("liewenshe", (40, 30, 50, 60))])}, split="val")
    summary = run("tcm-tongue", tmp_path / "in", tmp_path / "out", told)
    (row,) = rows_of(tmp_path / "out")
    assert row["labels"] == {"苔色": "白", "裂纹有无": "有"} and "split" not in row
    assert (summary.faults["duplicate"], summary.exit_code) == (1, 0)


def test_bad_photos_and_annotations_are_counted_not_followed(tmp_path, told):
    root = tmp_path / "in"
    table = coco(root)
    outside = put(tmp_path / "outside.jpg", encoded(9))
    images = root / "train" / "images"
    (images / "link.jpg").symlink_to(outside)
    put(images / "empty.jpg", b"")
    put(images / "page.jpg", "<html>" * 100)
    head = b"IHDR" + (60000).to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    begin = b"\x89PNG\r\n\x1a\n\x00\x00\x00\r" + head + zlib.crc32(head).to_bytes(4, "big")
    put(images / "huge.png", begin + b"\x00\x00\x00\x10IDAT" + b"\x00" * 40)
    put(images / "alone.jpg", encoded(8))
    bad = ["link.jpg", "empty.jpg", "page.jpg", "huge.png", "../../../outside.jpg", "/etc/passwd", "C:\\x\\a.jpg",
           "http://x/y.jpg", "gone.jpg"]
    table["images"] += [{"id": 100 + n, "file_name": name, "width": SIDE, "height": SIDE} for n, name in enumerate(bad)]
    table["images"] += [{"id": 200}, "x", {"id": [1], "file_name": "a"}]
    table["annotations"] += [
        {"image_id": 100 + n, "category_id": 7, "bbox": [1, 1, 9, 9]} for n in range(len(bad))]
    table["annotations"] += [
        {"image_id": 999, "category_id": 7, "bbox": [1, 1, 9, 9]}, {"image_id": 0, "category_id": 21, "bbox": [1, 1, 9, 9]},
        {"image_id": 0, "category_id": 7, "bbox": [1, 1, 900, 9]}, {"image_id": 0, "category_id": 7, "bbox": "x"},
        {"image_id": 0, "category_id": 7, "bbox": [5, 5, 0, 5]}, {"image_id": {}}, 7]
    put(root / "train" / "annotations" / "train.json", json.dumps(table))
    summary = run("tcm-tongue", root, tmp_path / "out", told)
    assert summary.photos == 4 and summary.exit_code == 3 and len(list((tmp_path / "out" / "tongue" / "tcm-tongue").iterdir())) == 4
    assert {code: n for code, n in summary.faults.items() if n} == {
        "path_outside_root": 1, "file_empty": 1, "format_unsupported": 1, "too_many_pixels": 1, "path_traversal": 1,
        "path_absolute": 2, "path_url": 1, "annotation_without_photo": 2, "annotation_damaged": 5, "class_unknown": 1,
        "box_damaged": 3, "labels_disagree": 1, "photo_without_annotation": 1}
    assert not any(name in told.export_text() for name in ("outside.jpg", "passwd", "page.jpg"))


def test_details_beyond_the_tongue_make_its_box_doubtful(tmp_path, told):
    coco(tmp_path / "in", {"a.jpg": (1, [("hongshe", (60, 60, 30, 30)), ("liewenshe", (5, 5, 150, 150))])})
    summary = run("tcm-tongue", tmp_path / "in", tmp_path / "out", told)
    assert summary.faults["box_doubtful"] == 1 and summary.boxes == 0


@pytest.mark.parametrize("text", [
    '<!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><annotation>&b;</annotation>',
    '<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "<annotation>", "", "<a>" * 5000, "<annotation/>", "\x00\x01",
    voc_text("b.jpg", []).replace("<width>160", "<width>0"), voc_text("b.jpg", []).replace("<width>160", "<width>wide")])
def test_xml_that_declares_or_is_damaged_costs_its_photo_only(tmp_path, told, text):
    voc(tmp_path / "in")
    put(tmp_path / "in" / "train" / "labels" / "b.xml", text)
    summary = run("tcm-tongue", tmp_path / "in", tmp_path / "out", told)
    assert summary.photos == 3 and summary.faults["annotation_damaged"] == 1


def test_yolo_lines_that_are_none_and_class_names_that_differ(tmp_path, told):
    root = tmp_path / "in"
    yolo(root)
    label = root / "train" / "labels" / "b.txt"
    label.write_text(label.read_text() + "\n8 0.5\nx 1 1 1 1\n99 0.5 0.5 0.1 0.1\n-1 0.5 0.5 0.1 0.1\n8 nan 0.5 0.1 0.1\n8 0.5 0.5 9 9\n")
    put(root / "train" / "images" / "b.png", encoded(7, ".png"))  # a second photo of that stem
    put(root / "x.yaml", "names:\n" + "\n".join(f"  {n}: {'liewenshe' if name == 'chihenshe' else name}" for n, name in enumerate(NAMES)))
    put(root / "train" / "labels" / "lonely.txt", "")
    summary = run("tcm-tongue", root, tmp_path / "out", told)
    assert summary.photos == 2 and summary.faults["name_twice"] == 1
    assert summary.faults["annotation_without_photo"] == 2  # b, whose photo is not one, and lonely
    assert summary.faults["class_unknown"] == 1 and "齿痕有无=有" not in summary.labels  # the two lists name class 8 differently
    (root / "train" / "images" / "b.png").unlink()
    (root / "x.yaml").unlink()
    summary = run("tcm-tongue", root, None, told)
    assert summary.photos == 4 and (summary.faults["annotation_damaged"], summary.faults["class_unknown"]) == (2, 2)
    assert summary.faults["box_damaged"] == 2 and summary.labels["齿痕有无=有"] == 2


@pytest.mark.parametrize("text", ["[]", "{}", '{"images": {}, "annotations": [], "categories": []}', "{", "[" * 5000, "\xff\xfe"])
def test_json_of_another_shape_is_refused(tmp_path, told, text):
    coco(tmp_path / "in")
    put(tmp_path / "in" / "train" / "annotations" / "train.json", text)
    with pytest.raises(InputRefused) as error:
        run("tcm-tongue", tmp_path / "in", tmp_path / "out", told)
    assert error.value.code == "annotation_unreadable" and "train.json" in str(error.value) and os.listdir(tmp_path) == ["in"]


def test_other_layouts_and_sets_are_refused_with_found_against_expected(tmp_path, told):
    put(tmp_path / "other" / "pictures" / "a.jpg", encoded(1))
    put(tmp_path / "other" / "readme.md", "x")
    for name in ("tcm-tongue", "tonguedx", "biohit"):
        with pytest.raises(InputRefused, match=r"found pictures/, 1 \.md files; expected .*") as error:
            run(name, tmp_path / "other", tmp_path / "out", told)
        assert error.value.code == "layout_unknown"
    with pytest.raises(InputRefused, match="no such folder"):
        run("biohit", tmp_path / "gone", None, told)
    with pytest.raises(UsageError, match="unknown set 'imagenet'; known: tcm-tongue, tonguedx, biohit"):
        run("imagenet", tmp_path / "other", None, told)
    coco(tmp_path / "both" / "shezhenv3-coco")
    yolo(tmp_path / "both" / "shezhenv3-txt")
    with pytest.raises(InputRefused, match=r"shezhenv3-coco \(coco\), shezhenv3-txt \(yolo\)"):
        run("tcm-tongue", tmp_path / "both", None, told)
    yolo(tmp_path / "both" / "shezhenv3-coco")
    with pytest.raises(InputRefused, match=r"2 formats in one folder \(coco, yolo\)"):
        run("tcm-tongue", tmp_path / "both" / "shezhenv3-coco", None, told)
    coco(tmp_path / "cats", categories=[{"id": n, "name": f"cat{n}"} for n in range(11)])
    with pytest.raises(InputRefused, match="none of the classes is one of TCM-Tongue's"):
        run("tcm-tongue", tmp_path / "cats", None, told)


def test_tonguedx_labels_masks_and_people(tmp_path, told):
    root = tmp_path / "TongueDx2" / "release"
    rows = [("17", "1/17_1.jpg", {"Crack", "FurYellow", "FurThick"}), ("17", "1/17_2.jpg", {"Toothmark", "TonguePale"}),
            ("18", "origin/1/18_1.jpg", {"Spot"}), ("19", "1\\19_1.jpg", {"Crack"}), ("20", "1/20_1.jpg", {"Crack"}),
            ("21", "../../outside.jpg", {"Crack"}), ("22", "1/gone.jpg", {"Crack"}), ("23", "/etc/passwd", {"Crack"})]
    put(tmp_path / "TongueDx2" / "outside.jpg", encoded(9))
    tonguedx(root, rows)
    tonguedx(root, rows[:1], "val_fold2.csv")
    for seed, name in enumerate(("17_1", "17_2", "18_1", "19_1", "20_1"), 1):
        put(root / "origin" / "1" / f"{name}.jpg", encoded(seed))
        pixels, mask = drawn(seed)
        cut = np.where(mask[..., None], pixels, np.uint8(0))
        cut = cut[:100] if name == "19_1" else pixels if name == "20_1" else cut  # of another size; not cut out
        put(root / "seg" / "1" / f"{name}.jpg", cv2.imencode(".jpg", cut[..., ::-1])[1].tobytes())
    summary = run("tonguedx", tmp_path / "TongueDx2", tmp_path / "out", told)
    assert {code: n for code, n in summary.faults.items() if n} == {
        "path_traversal": 1, "annotation_without_photo": 1, "path_absolute": 1, "mask_size": 1, "not_cut_out": 1}
    found = rows_of(tmp_path / "out")
    assert sorted(tuple(sorted(row["labels"].items())) for row in found) == sorted(
        [(("裂纹有无", "有"),)] * 3 + [()] + [(("舌色", "淡白"), ("齿痕有无", "有"))])
    assert [row.get("mask_by") for row in found].count("another system") == 3
    people = [row["person"] for row in found]
    assert len(set(people)) == 4 and "17" not in people and all("split" not in row for row in found)
    assert sum(summary.classes[f"Crack={n}"] for n in (0, 1)) == 5


def test_tonguedx_tables_that_are_none(tmp_path, told):
    put(tmp_path / "in" / "origin" / "1.jpg", encoded(1))
    put(tmp_path / "in" / "list" / "train.csv", "id,image_path,Crack\n1,1.jpg,1\n")
    with pytest.raises(InputRefused, match=r"columns TonguePale, .* are missing; found id, image_path, Crack"):
        run("tonguedx", tmp_path / "in", None, told)
    put(tmp_path / "in" / "list" / "train.csv", b"\xff\xfe\x00")
    with pytest.raises(InputRefused, match="no table in UTF-8"):
        run("tonguedx", tmp_path / "in", None, told)
    put(tmp_path / "in" / "list" / "train.csv", f"image_path,{','.join(LABELS)}\n1.jpg,0,0,0,0,yes,1,,0\n1.jpg,0,0,0,0,1.0,0,0,0\n")
    summary = run("tonguedx", tmp_path / "in", None, told)  # 齿痕 1 in a row and 0 in another
    assert summary.labels == {"裂纹有无=有": 1} and (summary.faults["value_unknown"], summary.faults["labels_disagree"]) == (1, 1)


@pytest.mark.parametrize(("photos", "masks"), [("dataset", "groundtruth/mask"), ("groundtruth/images", "groundtruth/mask1"),
                                               ("origin_Image", "origin_GT")])
def test_biohit_layouts(tmp_path, told, photos, masks):
    biohit(tmp_path / "TongeImageDataset" / "extracted", photos=photos, masks=masks)
    summary = run("biohit", tmp_path / "TongeImageDataset", tmp_path / "out", told)
    assert (summary.photos, summary.masks, summary.boxes, summary.exit_code) == (3, 3, 3, 0)
    assert summary.layout == f"{photos} with {masks}" and not summary.labels
    for row in rows_of(tmp_path / "out"):
        mask = cv2.imread(str(tmp_path / "out" / "tongue" / "biohit" / f"{row['id']}.mask.png"), cv2.IMREAD_UNCHANGED)
        assert mask.dtype == np.uint8 and set(np.unique(mask)) == {0, 255}
        cx, cy, w, h = row["box_cxcywh"]
        rows, columns = np.nonzero(mask)
        assert [cx - w / 2, cy - h / 2] == pytest.approx([columns.min() / SIDE, rows.min() / SIDE], abs=1e-5)
        assert [cx + w / 2, cy + h / 2] == pytest.approx([(columns.max() + 1) / SIDE, (rows.max() + 1) / SIDE], abs=1e-5)


def test_masks_that_cannot_be_used_are_counted_with_the_reason(tmp_path, told):
    root = tmp_path / "in"
    biohit(root, seeds=range(1, 9))
    masks = root / "groundtruth" / "mask"
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8)
    put(masks / "1.bmp", mask_bytes(1, 0, ".bmp"))  # the trap: nothing but zeros
    put(masks / "2.bmp", cv2.imencode(".bmp", np.full((SIDE, SIDE), 255, np.uint8))[1].tobytes())
    put(masks / "3.bmp", cv2.imencode(".bmp", noise)[1].tobytes())
    put(masks / "4.bmp", cv2.imencode(".bmp", np.zeros((99, SIDE), np.uint8))[1].tobytes())
    put(masks / "5.bmp", b"BM")
    (masks / "6.bmp").unlink()
    put(masks / "7.bmp", mask_bytes(7, 1, ".bmp"))  # 0 and 1: all black to the eye, a mask to us
    put(masks / "77.bmp", mask_bytes(1))
    summary = run("biohit", root, tmp_path / "out", told)
    assert (summary.photos, summary.masks) == (2, 2) and summary.exit_code == 3
    assert {code: n for code, n in summary.faults.items() if n} == {
        "mask_empty": 1, "mask_full": 1, "mask_not_binary": 1, "mask_size": 1, "mask_damaged": 1, "mask_missing": 1,
        "annotation_without_photo": 1, "teaches_nothing": 6}
    assert summary.faults.keys() <= FAULTS.keys()


def test_a_set_whose_masks_are_all_empty_is_refused(tmp_path, told):
    biohit(tmp_path / "in")
    for path in (tmp_path / "in" / "groundtruth" / "mask").iterdir():
        path.write_bytes(mask_bytes(1, 0, ".bmp"))
    with pytest.raises(InputRefused, match="none of 3 photos can be used: mask_empty 3"):
        run("biohit", tmp_path / "in", tmp_path / "out", told)
    assert "every mask of in that could be read is empty" in told.export_text() and os.listdir(tmp_path) == ["in"]


def test_the_trainer_reads_what_was_written(tmp_path, told):
    pytest.importorskip("torch")
    from tcmstruct.training.photos import HEADS, load_mask, load_pixels, read_photos

    coco(tmp_path / "tcm")
    run("tcm-tongue", tmp_path / "tcm", tmp_path / "plain", told)
    run("tcm-tongue", tmp_path / "tcm", tmp_path / "coloured", told, train_colour=True)
    biohit(tmp_path / "biohit")
    run("biohit", tmp_path / "biohit", tmp_path / "masks", told)

    plain, coloured = (sorted(tuple(p.labels.items()) for p in read_photos(tmp_path / name)) for name in ("plain", "coloured"))
    assert plain == sorted([(("裂纹有无", 1),), (("齿痕有无", 1),), (), ()])
    assert {head for labels in coloured for head, _ in labels} == {"苔色", "舌色", "裂纹有无", "齿痕有无"}
    assert (("舌色", HEADS["舌色"].index("暗紫")),) in coloured
    for photo in read_photos(tmp_path / "plain"):
        assert photo.human == set(photo.labels) and load_mask(tmp_path / "plain", photo) is None
        assert load_pixels(tmp_path / "plain", photo).shape == (SIDE, SIDE, 3)
    for photo in read_photos(tmp_path / "masks"):
        mask = load_mask(tmp_path / "masks", photo) > 0
        pixels = load_pixels(tmp_path / "masks", photo).astype(int)
        seed = min((1, 2, 3), key=lambda s: np.abs(pixels - drawn(s)[0]).mean())
        assert (mask == drawn(seed)[1]).mean() > 0.995 and np.abs(pixels - drawn(seed)[0]).mean() < 3
        assert photo.box is not None and photo.present

"""`tcmstruct tongue` on drawn photographs, and on what is none: a line and a reason each, never a failure of the rest."""

import json
import stat
import struct
import zlib

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw

from tcmstruct import cli
from tcmstruct.image.examine import TongueExaminer
from tcmstruct.image.refusal import ImageRefused

NOT_ASSESSED = {"红", "绛", "紫", "胖瘦", "点刺", "瘀斑", "剥", "润燥"}


def run(*arguments):
    return cli.run([str(argument) for argument in arguments])


def lines(capfdbinary):
    return [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for name, what in {"好": DrawnTongue(height_px=700, width_px=600), "无舌": DrawnTongue(height_px=700, width_px=600, tongue=False),
                       "糊": DrawnTongue(height_px=700, width_px=600, blur_px=9)}.items():
        (folder / f"{name}.png").write_bytes(cv2.imencode(".png", draw(what)[0][..., ::-1])[1].tobytes())
    (folder / "黑.png").write_bytes(cv2.imencode(".png", np.zeros((300, 300, 3), np.uint8))[1].tobytes())
    good = cv2.imencode(".jpg", draw(DrawnTongue(height_px=700, width_px=600))[0])[1].tobytes()
    (folder / "断.jpg").write_bytes(good[: len(good) // 3])
    (folder / "空.jpg").write_bytes(b"")
    (folder / "网页.jpg").write_bytes(b"<html>404</html>")

    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    (folder / "巨.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0))
                                   + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b""))
    return folder


def test_a_good_photo_is_answered_or_abstained_from(folder, tmp_path, capfdbinary):
    assert run("tongue", folder / "好.png", "--mask-dir", tmp_path / "m") == 0
    (line,) = lines(capfdbinary)
    assert line.keys() == {"image", "quality", "attributes", "measures"}
    assert line["image"] == "好.png" and line["quality"] == {"status": "ok", "reasons": []}
    for name, answer in line["attributes"].items():
        assert answer["status"] in ("answered", "unsure", "not_assessed")
        assert (answer["value"] is not None) == (answer["status"] == "answered")
        assert (answer["status"] == "not_assessed") == (name in NOT_ASSESSED)
        assert 0 <= answer["confidence"] <= 1
    assert {"苔色", "舌色", "裂纹", "齿痕", "腻"} | NOT_ASSESSED == line["attributes"].keys()
    mask = tmp_path / "m" / "好.png"
    drawn = cv2.imread(str(mask), cv2.IMREAD_UNCHANGED) if mask.name.isascii() else cv2.imdecode(np.fromfile(mask, np.uint8), -1)
    truth = cv2.resize(draw(DrawnTongue(height_px=700, width_px=600))[1].astype(np.uint8), drawn.shape[::-1],
                       interpolation=cv2.INTER_NEAREST) > 0
    assert 2 * ((drawn > 0) & truth).sum() / ((drawn > 0).sum() + truth.sum()) > 0.9
    assert stat.S_IMODE(mask.stat().st_mode) == 0o600


@pytest.mark.parametrize(("name", "reasons"), [
    ("无舌.png", {"no_tongue"}), ("黑.png", {"no_tongue"}), ("糊.png", {"blurred", "no_tongue"}), ("断.jpg", {"truncated", "damaged"}),
    ("空.jpg", {"file_empty"}), ("网页.jpg", {"format_unsupported"}), ("巨.png", {"too_many_pixels"}), ("没有.jpg", {"not_found"})])
def test_what_cannot_be_used_says_why(folder, name, reasons, capfdbinary):
    assert run("tongue", folder / name) == 3
    (line,) = lines(capfdbinary)
    assert line["quality"]["status"] == "refused" and set(line["quality"]["reasons"]) & reasons
    assert line["attributes"] == {} and line["measures"] == {}


def test_one_bad_photo_does_not_stop_the_others(folder, capfdbinary):
    assert run("tongue", folder / "空.jpg", folder / "好.png", folder / "网页.jpg") == 3
    assert [line["quality"]["status"] for line in lines(capfdbinary)] == ["refused", "ok", "refused"]


def test_masks_of_one_name_are_refused_before_anything_is_done(folder, tmp_path, capfd):
    other = tmp_path / "好.jpg"
    other.write_bytes(b"")
    assert run("tongue", folder / "好.png", other, "--mask-dir", tmp_path / "m") == 2
    assert not (tmp_path / "m").exists() and "same name" in capfd.readouterr().err


@pytest.mark.parametrize("named", ["../好.png", "/好.png", "\\\\host\\好.png", "http://host/好.png"])
def test_a_records_path_stays_in_the_image_folder(folder, named):
    with pytest.raises(ImageRefused):
        TongueExaminer().examine(named, root=folder)


def test_the_same_photo_gives_the_same_line_alone_and_in_company(folder, capfdbinary):
    run("tongue", folder / "好.png")
    alone = lines(capfdbinary)
    run("tongue", folder / "糊.png", folder / "好.png")
    assert lines(capfdbinary)[1:] == alone


def test_a_public_set_is_checked_converted_and_read_back(tmp_path, capfd):
    photos, masks = tmp_path / "BioHit" / "dataset", tmp_path / "BioHit" / "groundtruth" / "mask"
    photos.mkdir(parents=True)
    masks.mkdir(parents=True)
    for number in range(3):
        pixels, mask = draw(DrawnTongue(height_px=160, width_px=160, seed=number))
        for folder, plane in ((photos, pixels[..., ::-1]), (masks, mask.astype(np.uint8) * 255)):
            (folder / f"{number + 1}.bmp").write_bytes(cv2.imencode(".bmp", plane)[1].tobytes())
    assert run("tongue-import", "biohit", tmp_path / "BioHit") == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["BioHit"]  # without -o it only looks
    assert run("tongue-import", "biohit", tmp_path / "BioHit", "-o", tmp_path / "舌象") == 0
    rows = [json.loads(line) for line in (tmp_path / "舌象" / "tongue" / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == 3 and all(row["source"] == "biohit" for row in rows)
    assert run("tongue-import", "biohit", tmp_path / "BioHit", "-o", tmp_path / "舌象") == 2
    assert run("tongue-import", "tonguedx", tmp_path / "BioHit") == 4
    assert "docs/tongue-data.md" in capfd.readouterr().err

import subprocess
import sys
from io import BytesIO

import cv2
import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw
from PIL import Image

from tcmstruct.image.refusal import ImageRefused
from tcmstruct.training.photo_files import as_jpeg, box_of, header, is_clean_jpeg, mask_of_cut_out, pixels_of, read_mask
from tcmstruct.training.photo_layouts import READERS, whole_tongue
from tcmstruct.training.photo_sets import Box, photo_sets, settle

PIXELS, MASK = draw(DrawnTongue(160, 160))
JPEG = cv2.imencode(".jpg", PIXELS[..., ::-1])[1].tobytes()


def saved(form, pixels=PIXELS, **more):
    buffer = BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(buffer, form, **more)
    return buffer.getvalue()


def said(key, *names):
    return settle(photo_sets()[key].classes[name] for name in names)


def test_the_table_names_heads_and_values_that_are_trained():
    photos = pytest.importorskip("tcmstruct.training.photos")
    assert set(photo_sets()) == set(READERS)
    for photo_set in photo_sets().values():
        for known in photo_set.classes.values():
            assert bool(known.head) or known.why, known
            assert len(known.values) == 1 or known.why or known.head == "苔色" or known.head == "舌色", known
            assert set(known.values) <= set(photos.HEADS.get(known.head, ())), known


@pytest.mark.parametrize(("names", "labels", "disagreeing"), [
    (["baitaishe", "liewenshe"], {"苔色": "白", "裂纹有无": "有"}, []), (["huangtaishe"], {}, []), (["hongshe"], {}, []),
    (["白苔舌", "黄苔舌"], {}, ["苔色"]), (["baitaishe", "heitaishe"], {}, ["苔色"]), (["hongshe", "zishe"], {}, ["舌色"]),
    (["baitaishe", "白苔舌"], {"苔色": "白"}, []), (["huangtaishe", "heitaishe"], {}, ["苔色"]),
    (["jiankangshe", "baotaishe", "shenquao", "piweitu"], {}, []), ([], {}, [])])
def test_classes_of_one_photo_are_settled(names, labels, disagreeing):
    assert said("tcm-tongue", *names) == (labels, disagreeing)


def test_tonguedx_not_pale_and_yellow_name_no_single_value():
    assert said("tonguedx", "TonguePale=0", "FurYellow=1", "Crack=0", "Toothmark=0") == ({}, [])
    assert said("tonguedx", "TonguePale=0", "TonguePale=1", "Crack=1") == ({"裂纹有无": "有"}, ["舌色"])


def test_the_whole_tongue_holds_all_whole_boxes():
    known = photo_sets()["tcm-tongue"].classes
    two = [Box("hongshe", 0.2, 0.2, 0.7, 0.7), Box("pangdashe", 0.25, 0.1, 0.8, 0.6), Box("liewenshe", 0.15, 0.3, 0.4, 0.5)]
    around, doubtful = whole_tongue(two, known)
    assert not doubtful and (around.x0, around.y0, around.x1, around.y1) == (0.2, 0.1, 0.8, 0.7)
    assert whole_tongue([*two, Box("chihenshe", 0.05, 0.3, 0.4, 0.5)], known) == (None, True)
    assert whole_tongue(two[2:], known) == (None, False)


def test_a_clean_jpeg_is_kept_and_everything_else_is_written_anew():
    assert as_jpeg(JPEG) == (JPEG, 160, 160)
    exif = b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00"
    dirty = {
        "exif": saved("JPEG", exif=exif), "comment": saved("JPEG", comment=b"name"), "progressive": saved("JPEG", progressive=True),
        "cmyk": saved("JPEG", Image.fromarray(PIXELS).convert("CMYK")), "behind the end": JPEG + b"hidden",
        "a second picture": JPEG + JPEG, "png": saved("PNG"), "bmp": saved("BMP"), "webp": saved("WEBP"),
    }
    for name, data in dirty.items():
        assert not is_clean_jpeg(data), name
        clean, width, height = as_jpeg(data)
        assert is_clean_jpeg(clean) and (width, height) == (160, 160), name
        assert np.abs(pixels_of(clean).astype(int) - PIXELS).mean() < 8, name


@pytest.mark.parametrize("cut", [0, 2, 3, 20, 300, len(JPEG) - 40])
def test_a_jpeg_that_ends_early_is_neither_clean_nor_written(cut):
    assert not is_clean_jpeg(JPEG[:cut])
    with pytest.raises(ImageRefused):
        as_jpeg(JPEG[:cut])


def test_bmp_is_read_exactly_and_headers_say_size_and_turn():
    assert np.array_equal(pixels_of(saved("BMP")), PIXELS)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved("JPEG", PIXELS[:100], exif=exif)
    assert header(turned) == (160, 100, True) and header(JPEG) == (160, 160, False)
    assert as_jpeg(turned)[1:] == (100, 160)
    with pytest.raises(ImageRefused, match="too few"):
        header(saved("PNG", PIXELS[:20]))
    side = (60000).to_bytes(4, "little")
    huge = b"BM" + b"\x00" * 8 + b"\x36\x00\x00\x00\x28\x00\x00\x00" + side * 2 + b"\x01\x00\x18\x00" + b"\x00" * 24
    with pytest.raises(ImageRefused, match="too many"):
        header(huge)
    with pytest.raises(ImageRefused):
        pixels_of(saved("BMP")[:5000])


@pytest.mark.parametrize("data", [
    saved("PNG", MASK.astype(np.uint8)), saved("PNG", MASK.astype(np.uint8) * 255), saved("BMP", Image.fromarray(MASK)),
    saved("PNG", MASK.astype(np.uint16) * 65535), saved("PNG", np.where(MASK[..., None], np.uint8([128, 0, 0]), np.uint8(0))),
    saved("JPEG", MASK.astype(np.uint8) * 255)])
def test_masks_are_read_however_they_are_written(data):
    mask, fault = read_mask(data, 160, 160)
    assert fault == "" and ((mask > 0) == MASK).mean() > 0.999 and set(np.unique(mask)) == {0, 255}


def test_the_box_of_a_mask_and_a_cut_out():
    plane = np.zeros((100, 200), np.uint8)
    plane[20:60, 50:150] = 255
    assert box_of(plane) == (0.25, 0.2, 0.75, 0.6)
    cut = np.where(MASK[..., None], PIXELS, np.uint8(0))
    mask, fault = mask_of_cut_out(saved("JPEG", cut), 160, 160)
    assert fault == "" and ((mask > 0) == MASK).mean() > 0.98
    assert mask_of_cut_out(saved("PNG", PIXELS * 0), 160, 160) == (None, "mask_empty")
    assert mask_of_cut_out(saved("PNG"), 160, 160) == (None, "not_cut_out")
    assert mask_of_cut_out(b"nothing", 160, 160) == (None, "mask_damaged")


def test_importing_needs_no_torch():
    code = "import sys, tcmstruct.recipes.tongue_import; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

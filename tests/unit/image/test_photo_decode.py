"""Photographs as they come: formats, sizes, orientations, colour models, and files that are none."""

import io
import struct
import zlib

import numpy as np
import pytest
from drawn_tongue import DrawnTongue, draw
from PIL import Image

from tcmstruct.image.decode import TARGET_SIDE_PX, decode, sniff
from tcmstruct.image.refusal import ImageRefused


@pytest.fixture(scope="module")
def drawn():
    return draw(DrawnTongue(height_px=240, width_px=320, seed=3))[0]


def encoded(pixels, format, **options):
    file = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(file, format, **options)
    return file.getvalue()


def mean_difference(a, b):
    return np.abs(a.astype(int) - b.astype(int)).mean()


@pytest.mark.parametrize(("format", "options", "tolerance"), [
    ("PNG", {}, 0), ("JPEG", {"quality": 95}, 3), ("JPEG", {"quality": 95, "progressive": True}, 3), ("WEBP", {"lossless": True}, 0)])
def test_three_formats_give_the_same_photo(drawn, format, options, tolerance):
    photo = decode(encoded(drawn, format, **options))
    assert (photo.format, photo.width_px, photo.height_px, photo.notes) == (format, 320, 240, ())
    assert photo.pixels.dtype == np.uint8 and photo.pixels.flags.c_contiguous
    assert mean_difference(photo.pixels, drawn) <= tolerance


def test_a_large_photo_is_scaled_down_and_says_by_how_much():
    large = np.kron(draw(DrawnTongue(height_px=300, width_px=400))[0], np.ones((6, 6, 1), np.uint8))
    photo = decode(encoded(large, "JPEG"))
    assert max(photo.pixels.shape[:2]) <= TARGET_SIDE_PX
    assert (photo.width_px, photo.height_px) == (2400, 1800)
    assert photo.scale == pytest.approx(photo.pixels.shape[1] / 2400)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_honoured_and_metadata_ends_here(drawn, orientation):
    back = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.swapaxes(0, 1),
            6: lambda a: np.rot90(a), 7: lambda a: a[::-1, ::-1].swapaxes(0, 1), 8: lambda a: np.rot90(a, -1)}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a patient's name"
    photo = decode(encoded(np.ascontiguousarray(back(drawn)), "PNG", exif=exif))
    assert np.array_equal(photo.pixels, drawn)
    assert (photo.width_px, photo.height_px) == (320, 240)
    assert "name" not in repr(photo.notes)


def test_grey_alpha_wide_and_cmyk_become_rgb(drawn):
    grey = decode(encoded(Image.fromarray(drawn).convert("L"), "PNG"))
    assert "grey" in grey.notes and (grey.pixels[..., 0] == grey.pixels[..., 2]).all()
    wide = decode(encoded(Image.fromarray(drawn[..., 1].astype(np.uint16) * 256), "PNG"))
    assert "16_bit" in wide.notes and np.array_equal(wide.pixels[..., 0], drawn[..., 1])
    tall = np.arange(600 * 100, dtype=np.uint16).reshape(600, 100)  # taller than a band
    assert np.array_equal(decode(encoded(Image.fromarray(tall), "PNG"), target_side=600).pixels[..., 2], tall >> 8)
    alpha = np.dstack([drawn, np.where(np.arange(320) < 160, 255, 0)[None].repeat(240, 0).astype(np.uint8)])
    through = decode(encoded(alpha, "PNG"))
    assert "transparent" in through.notes
    assert np.array_equal(through.pixels[:, :160], drawn[:, :160]) and not through.pixels[:, 160:].any()
    cmyk = decode(encoded(Image.fromarray(drawn).convert("CMYK"), "JPEG", quality=95))
    assert "cmyk" in cmyk.notes and mean_difference(cmyk.pixels, drawn) < 12


def test_of_an_animation_the_first_frame_is_taken(drawn):
    frames = [Image.fromarray(drawn), Image.fromarray(255 - drawn)]
    for format in ("PNG", "WEBP"):
        data = encoded(frames[0], format, save_all=True, append_images=frames[1:], lossless=True)
        photo = decode(data)
        assert "animated" in photo.notes and mean_difference(photo.pixels, drawn) < 1


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""
    def chunk(name, body):
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
            + chunk(b"IDAT", zlib.compress(b"\0" * 9)) + chunk(b"IEND", b""))


@pytest.mark.parametrize(("data", "reason"), [
    (b"", "file_empty"),
    (b"<html><body>not found</body></html>", "format_unsupported"),
    (b"GIF89a" + b"\0" * 50, "format_unsupported"),
    (b"%PDF-1.7", "format_unsupported"),
    (b"\xff\xd8\xff\xe0" + b"\0" * 40, "damaged"),
    (png_header(60_000, 60_000), "too_many_pixels"),
    (png_header(8, 9), "too_few_pixels"),
], ids=["empty", "html", "gif", "pdf", "no_jpeg", "huge", "tiny"])
def test_what_is_no_photo_is_refused_with_a_reason(data, reason):
    with pytest.raises(ImageRefused) as refused:
        decode(data)
    assert refused.value.reason == reason


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP"])
def test_a_cut_file_is_refused_and_never_filled_up(drawn, format):
    data = encoded(drawn, format)
    with pytest.raises(ImageRefused) as refused:
        decode(data[: len(data) // 2])
    assert refused.value.reason in ("truncated", "damaged")


def test_limits_are_told_with_what_was_found(drawn):
    with pytest.raises(ImageRefused, match=r"320 x 240, 1000 allowed"):
        decode(encoded(drawn, "PNG"), max_pixels=1000)
    with pytest.raises(ImageRefused) as refused:
        decode(encoded(drawn, "PNG"), max_bytes=100)
    assert refused.value.reason == "file_too_large"


def test_the_name_of_a_file_is_not_asked(drawn, tmp_path):
    path = tmp_path / "舌.txt"
    path.write_bytes(encoded(drawn, "PNG"))
    assert decode(path).format == "PNG" == sniff(path.read_bytes())

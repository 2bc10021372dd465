"""Photographs and masks of foreign sets → clean files of ours: JPEG without metadata, masks of 0 and 255.

A JPEG that holds nothing but a picture is kept byte for byte; every other photo is decoded as `image.decode` does
(upright, sRGB, 8 bit) and written anew at its own size. BMP, which phones never write but data sets do, is read here.
"""

from __future__ import annotations

import io
import warnings

import cv2
import numpy as np
from PIL import Image

from tcmstruct.image.crop import clean_mask
from tcmstruct.image.decode import MIN_SIDE_PX, decode
from tcmstruct.image.refusal import ImageRefused

JPEG_QUALITY = 95
MAX_PIXELS = 50_000_000
"""Width × height; photos are decoded whole here, in about 10 bytes a pixel."""
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP")
_BEFORE_SCAN = {0xC0, 0xC4, 0xDB, 0xDD, 0xE0}
"""Segments of a clean JPEG: SOF0, DHT, DQT, DRI, JFIF (ITU-T T.81, table B.1)."""
_BLACK = 12
"""Cut-outs are JPEG, whose black is not quite 0."""
_MIN_BLACK_SHARE = 0.03
_BETWEEN_SHARE = 0.05
"""Share of pixels between the two values that a mask may have: JPEG masks blur at the outline."""


def header(data: bytes) -> tuple[int, int, bool]:
    """Width and height as stored, and whether EXIF turns the photo; no pixel is decoded.

    Raises:
        ImageRefused: an unknown format, a damaged header, or too many or too few pixels.
    """
    with _opened(data) as image:
        width, height = image.size
        try:
            turned = int(image.getexif().get(0x0112, 1)) in range(2, 9)
        except Exception:  # damaged metadata is no reason to lose the photo
            turned = False
    if width * height > MAX_PIXELS:
        raise ImageRefused("too_many_pixels", f"{width} x {height}, {MAX_PIXELS} allowed")
    if min(width, height) < MIN_SIDE_PX:
        raise ImageRefused("too_few_pixels", f"{width} x {height}, at least {MIN_SIDE_PX} on each side")
    return width, height, turned


def _opened(data: bytes) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused("too_many_pixels") from None
    except Exception:  # foreign bytes: Pillow's plugins raise many kinds
        raise ImageRefused("damaged" if _known(data) else "format_unsupported") from None
    return image


def _known(data: bytes) -> bool:
    return data[:2] in (b"\xff\xd8", b"BM") or data[:4] in (b"\x89PNG", b"RIFF")


def pixels_of(data: bytes) -> np.ndarray:
    """(H, W, 3) uint8 sRGB, upright, at full size.

    Raises:
        ImageRefused: it cannot be decoded, or is too large.
    """
    header(data)
    if data[:2] != b"BM":
        return decode(data, target_side=MAX_PIXELS).pixels
    return np.ascontiguousarray(np.asarray(_loaded(data).convert("RGB")))


def _loaded(data: bytes) -> Image.Image:
    image = _opened(data)
    try:
        image.load()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning, MemoryError):
        raise ImageRefused("too_many_pixels") from None
    except Exception as error:
        raise ImageRefused("truncated" if "truncated" in str(error).lower() else "damaged") from None
    return image


def as_jpeg(data: bytes) -> tuple[bytes, int, int]:
    """A photo as a JPEG that holds a picture and nothing else.

    Returns:
        The bytes, which are `data` itself where that is such a JPEG already, and width and height of the upright photo.

    Raises:
        ImageRefused: it cannot be decoded, or is too large.
    """
    pixels = pixels_of(data)  # a clean JPEG is decoded too: it may end too early
    height, width = pixels.shape[:2]
    if is_clean_jpeg(data):
        return data, width, height
    settings = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", pixels[..., ::-1], settings)[1].tobytes(), width, height


def is_clean_jpeg(data: bytes) -> bool:
    """Whether a file is a baseline JPEG of one or three components with no segment that could carry anything but the
    picture: no EXIF, XMP, colour profile, thumbnail, comment, and nothing after its end."""
    if data[:2] != b"\xff\xd8":
        return False
    at = 2
    while True:
        if at + 4 > len(data) or data[at] != 0xFF:
            return False
        kind, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if kind == 0xDA:
            break
        body = data[at + 4 : at + 2 + length]
        if kind not in _BEFORE_SCAN or length < 2:
            return False
        if kind == 0xE0 and (body[:5] != b"JFIF\x00" or len(body) != 14 or body[12:14] != b"\x00\x00"):
            return False  # another APP0, or a JFIF thumbnail
        if kind == 0xC0 and body[5:6] not in (b"\x01", b"\x03"):
            return False
        at += 2 + length
    scan = np.frombuffer(data, np.uint8, offset=at + 2 + length)
    marks = scan[1:][scan[:-1] == 0xFF]
    inner = marks[:-1]
    restarts = (inner >= 0xD0) & (inner <= 0xD7)
    return bool(len(marks) and marks[-1] == 0xD9 and data.endswith(b"\xff\xd9") and np.all((inner == 0) | restarts))


def read_mask(data: bytes, width: int, height: int) -> tuple[np.ndarray | None, str]:
    """A mask file → (H, W) uint8 0 and 255.

    The tongue is what is brighter than half of the brightest value: sets write 255, 1 or a colour.

    Args:
        width, height: of the photo.

    Returns:
        The mask and "", or None and the code of a fault (see `photo_sets.FAULTS`).
    """
    try:
        with _opened(data) as opened:
            if opened.size != (width, height):
                return None, "mask_size"
        image = _loaded(data)
        plane = np.asarray(image) if image.mode.startswith("I") else np.asarray(image.convert("RGB")).max(axis=2)
    except ImageRefused:
        return None, "mask_damaged"
    top = int(plane.max())
    if top <= 0:
        return None, "mask_empty"
    if ((plane > 0.25 * top) & (plane < 0.75 * top)).mean() > _BETWEEN_SHARE:
        return None, "mask_not_binary"
    inside = plane > top / 2
    if inside.all():
        return None, "mask_full"
    return inside.astype(np.uint8) * 255, ""


def mask_of_cut_out(data: bytes, width: int, height: int) -> tuple[np.ndarray | None, str]:
    """A photo on black → the outline of what is not black, as `read_mask`."""
    try:
        pixels = pixels_of(data)
    except ImageRefused:
        return None, "mask_damaged"
    if pixels.shape[:2] != (height, width):
        return None, "mask_size"
    shown = pixels.max(axis=2) > _BLACK
    if not shown.any():
        return None, "mask_empty"
    if 1 - shown.mean() < _MIN_BLACK_SHARE:
        return None, "not_cut_out"
    return clean_mask(shown).astype(np.uint8) * 255, ""


def box_of(mask: np.ndarray) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of a mask's inside as shares of width and height."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    height, width = mask.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height

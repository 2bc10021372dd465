"""A photograph as a phone or a tongue box makes it → upright 8-bit sRGB pixels of bounded size, and nothing else.

Pillow decodes: unlike OpenCV it says when a file is truncated (OpenCV fills up with grey), knows which CMYK files are
inverted, applies colour profiles (phones write Display P3), and can be held to three formats. The size is read from
the header and checked before a pixel is decoded. JPEG is decoded at 1/2, 1/4 or 1/8 where that suffices. Metadata
(EXIF with place and time, XMP, comments) ends here.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageCms

from tcmstruct.image.paths import MAX_FILE_BYTES, check_length, read_file, resolve
from tcmstruct.image.refusal import ImageRefused

TARGET_SIDE_PX = 512
"""Longer side after decoding: at 1/8 a 12-megapixel photo comes out at 500–504, and the networks read 224."""
MAX_PIXELS = 80_000_000
"""Width × height in the header; a bound on time."""
MAX_WORKING_BYTES = 200_000_000
"""What decoding may need; a bound on memory, by `_WORKING_BYTES_PER_PIXEL`."""
MIN_SIDE_PX = 64

_DRAFT_SHARE = 0.9
"""A scaled JPEG may come out this much below the target side: 1/8 is worth a tenth of the side."""
_WORKING_BYTES_PER_PIXEL = {"PNG": 8, "WEBP": 16, "JPEG progressive": 6}
"""Of the full image, measured on 12 megapixels with alpha; a sequential JPEG is decoded scaled, line by line."""
_MAX_PROFILE_BYTES = 2_000_000

SIGNATURES: tuple[tuple[str, Callable[[bytes], bool]], ...] = (
    ("JPEG", lambda head: head.startswith(b"\xff\xd8\xff")),
    ("PNG", lambda head: head.startswith(b"\x89PNG\r\n\x1a\n")),
    ("WEBP", lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP"),
)

_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a),
}
"""EXIF orientation → what makes it upright (Exif 2.32, tag 0x0112)."""
_ORIENTATION_TAG = 0x0112

_WIDE_GREY = ("I;16", "I;16B", "I;16L", "I;16N", "I")


@dataclass(frozen=True, slots=True)
class Photo:
    """A decoded photograph.

    Attributes:
        pixels: (H, W, 3) uint8, R G B in sRGB, upright, C-contiguous.
        width_px, height_px: of the upright photo before it was scaled down.
        format: "JPEG", "PNG" or "WEBP", by the bytes.
        notes: what was met on the way, of "animated" (first frame taken), "cmyk", "grey", "transparent" (laid on
            black), "16_bit", "profile" (converted to sRGB), "profile_ignored", "turned" (by EXIF).
    """

    pixels: np.ndarray
    width_px: int
    height_px: int
    format: str
    notes: tuple[str, ...] = ()

    @property
    def scale(self) -> float:
        """Decoded pixels per pixel of the file, ≤ 1."""
        return self.pixels.shape[1] / self.width_px


def decode(source: str | Path | bytes, *, root: Path | None = None, max_pixels: int = MAX_PIXELS,
           target_side: int = TARGET_SIDE_PX, max_bytes: int = MAX_FILE_BYTES) -> Photo:
    """Decodes one photograph.

    Args:
        source: the bytes; or a path. With `root` the path is foreign text, see `paths.resolve`; without, it is
            taken as the user's own.
        root: the image folder that the path must stay in.
        max_pixels: width × height allowed in the header.
        target_side: longer side of the result, pixels; smaller photos stay as they are.
        max_bytes: file size allowed.

    Raises:
        ImageRefused: with one of `refusal.REASONS`.
    """
    if isinstance(source, bytes):
        data = check_length(source, max_bytes)
    else:
        data = read_file(Path(source) if root is None else resolve(str(source), root), max_bytes)
    kind = sniff(data)
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            _check_size(image, kind, max_pixels)
            return _decode(image, kind, target_side, data)
    except ImageRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused("too_many_pixels", f"{max_pixels} allowed") from None
    except MemoryError:
        raise ImageRefused("too_many_pixels") from None
    except Exception as error:  # foreign bytes: Pillow's plugins raise many kinds (OSError, SyntaxError, struct.error …)
        raise ImageRefused("truncated" if _is_cut(kind, data, str(error).lower()) else "damaged") from None


def sniff(data: bytes) -> str:
    """"JPEG", "PNG" or "WEBP" by the first bytes; the name of the file is not asked.

    Raises:
        ImageRefused: `format_unsupported`.
    """
    for kind, matches in SIGNATURES:
        if matches(data[:16]):
            return kind
    raise ImageRefused("format_unsupported")


def _is_cut(kind: str, data: bytes, words: str) -> bool:
    if kind == "WEBP":  # the RIFF header says how long the file is (RFC 9649, 2.4)
        return len(data) < 8 + int.from_bytes(data[4:8], "little")
    return any(word in words for word in ("truncated", "premature", "unexpected end", "not enough"))


def _check_size(image: Image.Image, kind: str, max_pixels: int) -> None:
    width, height = image.size
    pixels = width * height
    if pixels > max_pixels:
        raise ImageRefused("too_many_pixels", f"{width} x {height}, {max_pixels} allowed")
    per_pixel = _WORKING_BYTES_PER_PIXEL.get(f"{kind} progressive" if image.info.get("progressive") else kind, 0)
    if pixels * per_pixel > MAX_WORKING_BYTES:
        raise ImageRefused("too_many_pixels",
                           f"{width} x {height}, {MAX_WORKING_BYTES // per_pixel} allowed in this kind of file")
    if min(width, height) < MIN_SIDE_PX:
        raise ImageRefused("too_few_pixels", f"{width} x {height}, at least {MIN_SIDE_PX} on each side")


def _decode(image: Image.Image, kind: str, target_side: int, data: bytes) -> Photo:
    notes: list[str] = []
    width, height = image.size
    orientation = _orientation(image)
    profile = image.info.get("icc_profile")
    if getattr(image, "is_animated", False):
        notes.append("animated")
        image.seek(0)
    if kind == "PNG" and data[24] == 16:  # bit depth in IHDR (ISO/IEC 15948, 11.2.2)
        notes.append("16_bit")
    share = min(1.0, _DRAFT_SHARE * target_side / max(width, height))
    image.draft(None, (round(width * share), round(height * share)))
    image.load()
    if image.mode == "CMYK":
        notes.append("cmyk")
    if image.mode in ("L", "LA", "1", *_WIDE_GREY):
        notes.append("grey")
    pixels = _to_rgb(_shrink(image, target_side), profile, notes)
    side = max(pixels.shape[:2])
    if side > target_side:
        size = tuple(max(1, round(n * target_side / side)) for n in (pixels.shape[1], pixels.shape[0]))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    if orientation in _UPRIGHT:
        notes.append("turned")
        pixels = _UPRIGHT[orientation](pixels)
        if orientation >= 5:
            width, height = height, width
    return Photo(np.ascontiguousarray(pixels), width, height, kind, tuple(notes))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # damaged metadata is no reason to lose the photo
        return 1


def _shrink(image: Image.Image, target_side: int) -> Image.Image:
    """By a whole factor, so that the conversions that follow touch few pixels."""
    if image.mode == "P" or image.mode == "1":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    elif image.mode in ("RGB", "L") and "transparency" in image.info:
        image = image.convert("RGBA")
    factor = int(max(image.size) / target_side)
    return image.reduce(factor) if factor > 1 and image.mode not in _WIDE_GREY else image


def _to_rgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> np.ndarray:
    """(H, W, 3) uint8 in sRGB."""
    if image.mode in _WIDE_GREY:
        return np.repeat(_high_byte(image)[..., None], 3, axis=2)
    alpha = None
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        image = image.convert("RGB")
    if profile and image.mode in ("RGB", "CMYK"):
        image = _to_srgb(image, profile, notes)
    pixels = np.asarray(image.convert("RGB"))
    if alpha is not None and alpha.min() < 255:
        notes.append("transparent")
        pixels = (pixels.astype(np.uint16) * alpha[..., None] // 255).astype(np.uint8)
    return pixels


def _high_byte(image: Image.Image, rows: int = 256) -> np.ndarray:
    """(H, W) uint8 of 16-bit grey, some rows at a time: 25 megapixels at once in a wider type would take 450 MB."""
    bands = (image.crop((0, top, image.width, min(top + rows, image.height))) for top in range(0, image.height, rows))
    return np.concatenate([(np.clip(np.asarray(band), 0, 65535) >> 8).astype(np.uint8) for band in bands])


def _to_srgb(image: Image.Image, profile: bytes, notes: list[str]) -> Image.Image:
    """Through the embedded ICC profile; a profile that is sRGB already, or broken, changes nothing."""
    try:
        if len(profile) > _MAX_PROFILE_BYTES:
            raise ImageCms.PyCMSError("too large")
        embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if image.mode == "RGB" and "srgb" in ImageCms.getProfileDescription(embedded).lower():
            return image
        converted = ImageCms.profileToProfile(image, embedded, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, TypeError, ValueError):
        notes.append("profile_ignored")
        return image
    notes.append("profile")
    return converted if converted is not None else image

"""A tongue photograph as a page shows it: small and without metadata, the outline of its mask, and where the model looked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tcmstruct.image.crop import Crop, clean_mask, crop_tongue, outline_of
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.record import StructuredRecord

MAX_SIDE_PX = 480
MAX_OUTLINE_POINTS = 96
GRID_SIDE = 7
"""Cells of the attention map on each side: 224 pixels of the crop by the 32 of a cell."""
MAX_JPEG_BYTES = 33_000
"""In base64 and times 200 records this is under 9 MB, beside some 3 MB of text."""

_TRIES = ((MAX_SIDE_PX, 82), (MAX_SIDE_PX, 70), (MAX_SIDE_PX, 55), (400, 50), (320, 45), (240, 40))
"""(longer side, JPEG quality), the first that keeps `MAX_JPEG_BYTES` is taken; the last in any case."""
_OUTLINE_SHARE = 0.001
"""Tolerance of the outline's first simplification, share of the photo's longer side."""


@dataclass(frozen=True, slots=True)
class PhotoShown:
    """One photo, ready for a page.

    Attributes:
        jpeg: re-encoded pixels without metadata, longer side at most `MAX_SIDE_PX`.
        width, height: of that JPEG, pixels.
        outline: closed polygon around the tongue, (x, y) in shares 0–1 of width and height, at most
            `MAX_OUTLINE_POINTS`; empty where no tongue was found.
        grid_to_photo: a b c d e f as in SVG `matrix()`: a grid of 7 × 7 cells of side 1 (x to the right, y down, 0–7)
            → pixels of the JPEG, whose first pixel reaches from 0 to 1.
        attention: number of the entity in the record's entities → 49 weights, row by row, sum 1.
        gate: number of the entity → mean gate, 0–1.

    Raises:
        ValueError: a map has not 49 weights, or a number is negative or not finite.
    """

    jpeg: bytes
    width: int
    height: int
    outline: Sequence[tuple[float, float]] = ()
    grid_to_photo: tuple[float, float, float, float, float, float] = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    attention: Mapping[int, Sequence[float]] = field(default_factory=dict)
    gate: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, weights in self.attention.items():
            if len(weights) != GRID_SIDE**2 or not all(math.isfinite(w) and w >= 0 for w in weights):
                raise ValueError(f"attention of entity {number}: {GRID_SIDE**2} finite weights of 0 or more are allowed")
        if not all(math.isfinite(n) for n in (*self.grid_to_photo, *self.gate.values())):
            raise ValueError("grid_to_photo and gate must be finite")


def shown_photo(pixels: np.ndarray, mask: np.ndarray | None, crop: Crop | None,
                attention: Mapping[int, Sequence[float]], gate: Mapping[int, float]) -> PhotoShown:
    """Makes a photo ready for a page.

    Args:
        pixels: (H, W, 3) uint8, R G B, as `decode` gives it.
        mask: (H, W) bool, the tongue; None or empty shows no outline.
        crop: of `crop_tongue` on the same photo and mask; None where there is no tongue, and then no map.
        attention: number of the entity → 49 weights over the crop, row by row.
        gate: number of the entity → mean gate.

    Raises:
        ValueError: as `PhotoShown`.
    """
    jpeg, width, height = _encoded(pixels)
    across, down = width / pixels.shape[1], height / pixels.shape[0]
    outline = [] if mask is None else _outline(mask)
    if crop is None:
        return PhotoShown(jpeg, width, height, outline)
    return PhotoShown(jpeg, width, height, outline, _grid_to_photo(crop, across, down), dict(attention), dict(gate))


def photo_of(structurer: Any, record: StructuredRecord, root: Path) -> PhotoShown | None:
    """The photograph that a record names, looked at again; None where it names none.

    Args:
        structurer: a `pipeline.Structurer`.
        root: folder that the record's path starts from and may not leave.

    Raises:
        ImageRefused: it cannot be opened any more.
    """
    named = record.tongue.get("image") if isinstance(record.tongue, Mapping) else None
    if named is None:
        return None
    if not isinstance(named, str):
        raise ImageRefused("path_invalid")
    found = structurer.photo_side.examiner.examine(named, root=root)
    if found.crop is not None:
        return shown_photo(found.photo.pixels, found.mask, found.crop, *structurer.attention(record.text, found, record.entities))
    mask = found.mask
    crop = crop_tongue(found.photo.pixels, mask) if mask is not None and mask.any() else None
    return shown_photo(found.photo.pixels, mask, crop, {}, {})


def _encoded(pixels: np.ndarray) -> tuple[bytes, int, int]:
    height, width = pixels.shape[:2]
    for side, quality in _TRIES:
        share = min(1.0, side / max(width, height))
        size = max(1, round(width * share)), max(1, round(height * share))
        small = pixels if share == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1])[1]
        if data.size <= MAX_JPEG_BYTES:
            break
    return data.tobytes(), *size


def _grid_to_photo(crop: Crop, across: float, down: float) -> tuple[float, float, float, float, float, float]:
    """`Crop.matrix` speaks of pixel centres, a page of their edges; the halves are what lies between them."""
    cell = crop.mask.shape[0] / GRID_SIDE
    corners = np.array([[0, 0], [1, 0], [0, 1]], float)
    origin, right, below = (crop.to_photo(corners * cell - 0.5) + 0.5) * (across, down)
    a, b, c, d, e, f = (float(n) for n in (*(right - origin), *(below - origin), *origin))
    return a, b, c, d, e, f


def _outline(mask: np.ndarray) -> list[tuple[float, float]]:
    """The largest piece, simplified (Ramer 1972; Douglas and Peucker 1973) as little as the number of points allows."""
    height, width = mask.shape
    # At twice the size the outline runs a quarter of a pixel inside of the edge; through pixel centres it would be half.
    twice = cv2.resize(clean_mask(mask).astype(np.uint8), (2 * width, 2 * height), interpolation=cv2.INTER_NEAREST)
    pieces = outline_of(twice)
    if not pieces:
        return []
    tolerance = 2 * _OUTLINE_SHARE * max(width, height)
    points = cv2.approxPolyDP(pieces[0], tolerance, True)
    while len(points) > MAX_OUTLINE_POINTS:
        tolerance *= 1.3
        points = cv2.approxPolyDP(pieces[0], tolerance, True)
    return [(float(x), float(y)) for x, y in (points[:, 0] + 0.5) / (2 * width, 2 * height)]

"""A 24-patch colour card in the photo: measured colours instead of an estimated light.

Supported: the classic card of 6 × 4 patches (ColorChecker Classic and its copies), lying flat, unshadowed, whole in the
photo, when its four corners are given (`read_card`). `find_card` looks for it by itself where the installed OpenCV has
a card detector (`cv2.mcc`: OpenCV 5, or 4 with contrib); what it finds counts only if the patches read like the card.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from tcmstruct.image.colour import linear_to_lab, linear_to_srgb, srgb_to_lab, srgb_to_linear

PATCHES_SRGB = np.array([
    (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177), (103, 189, 170),
    (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108), (157, 188, 64), (224, 163, 46),
    (56, 61, 150), (70, 148, 73), (175, 54, 60), (231, 199, 31), (187, 86, 149), (8, 133, 161),
    (243, 243, 242), (200, 200, 200), (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52)], np.uint8)
"""Row by row from the brown patch; the maker's sRGB values (X-Rite, ColorChecker Classic)."""
N_COLUMNS, N_ROWS = 6, 4
MAX_ERROR_DELTA_E = 8.0
"""Mean ΔE*ab after the fit above which what was read is no such card."""

_CELL_PX = 24
_CORE = slice(7, 17)
"""The middle of a patch, away from frame and blur."""
_MIN_CARD_SIDE_PX = 60


@dataclass(frozen=True, slots=True)
class CardReading:
    """What a card says of the photo's colours.

    Attributes:
        matrix: (3, 3) linear sRGB of the photo → linear sRGB under D65, for `colour.apply_matrix`.
        error_before_delta_e, error_delta_e: mean ΔE*ab of the 24 patches to their known colours, before and after.
        corners: (4, 2) x, y of the card's corners, clockwise from that at the brown patch.
    """

    matrix: np.ndarray
    error_before_delta_e: float
    error_delta_e: float
    corners: np.ndarray

    @property
    def is_card(self) -> bool:
        return self.error_delta_e <= MAX_ERROR_DELTA_E


def read_card(pixels: np.ndarray, corners: Sequence[Sequence[float]] | np.ndarray) -> CardReading:
    """Reads a card whose corners are known.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        corners: (4, 2) x, y of the outer corners of the patches' grid, clockwise from that at the brown patch.

    Raises:
        ValueError: not four corners, or a card of fewer than 60 pixels.
    """
    at = np.asarray(corners, np.float32)
    if at.shape != (4, 2) or cv2.contourArea(at) < _MIN_CARD_SIDE_PX**2:
        raise ValueError(f"four corners of a card of at least {_MIN_CARD_SIDE_PX} pixels are needed")
    width, height = N_COLUMNS * _CELL_PX, N_ROWS * _CELL_PX
    square = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    flat = cv2.warpPerspective(pixels, cv2.getPerspectiveTransform(at, square), (width, height))
    cells = flat.reshape(N_ROWS, _CELL_PX, N_COLUMNS, _CELL_PX, 3).transpose(0, 2, 1, 3, 4)[:, :, _CORE, _CORE]
    read = np.median(srgb_to_linear(cells).reshape(N_ROWS * N_COLUMNS, -1, 3), axis=1).astype(np.float64)
    known = srgb_to_linear(PATCHES_SRGB).astype(np.float64)
    usable = cells.reshape(len(known), -1, 3).max(axis=(1, 2)) < 254  # a burnt-out patch says nothing
    usable = usable if usable.sum() >= 12 else np.ones(len(known), bool)
    weight = 1 / np.sqrt(known.mean(axis=1, keepdims=True) + 0.02)  # dark patches count nearly as the eye sees them
    solution = np.linalg.lstsq((read * weight)[usable], (known * weight)[usable], rcond=None)[0]
    matrix = solution.T
    target = srgb_to_lab(PATCHES_SRGB)
    return CardReading(matrix, _distance(read, target), _distance(read @ solution, target), at)


def find_card(pixels: np.ndarray) -> CardReading | None:
    """Looks for one card; None where none is found for certain or OpenCV has no detector. About 0.1 s a photo."""
    if not hasattr(cv2, "mcc"):
        return None
    detector = cv2.mcc.CCheckerDetector_create()
    if not detector.process(np.ascontiguousarray(pixels[..., ::-1]), cv2.mcc.MCC24):
        return None
    box = np.asarray(detector.getBestColorChecker().getBox(), np.float32)
    if box.shape != (4, 2) or cv2.contourArea(box) < _MIN_CARD_SIDE_PX**2:
        return None
    turns = [np.roll(order, -k, axis=0) for order in (box, box[::-1]) for k in range(4)]
    best = min((read_card(pixels, turned) for turned in turns), key=lambda reading: reading.error_delta_e)
    return best if best.is_card else None


def _distance(linear: np.ndarray, target_lab: np.ndarray) -> float:
    shown = linear_to_srgb(linear)
    return float(np.linalg.norm(linear_to_lab(srgb_to_linear(shown)) - target_lab, axis=-1).mean())

"""From a mask to the upright, square piece of the photo that the networks and measurements look at, and back.

The way back matters as much: an attention map over the crop is drawn on the photo that the doctor sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

CROP_SIDE_PX = 224
MARGIN = 0.06
"""Free border on each side, share of the crop's side."""
MAX_ANGLE_DEG = 30.0
_ROUND, _LONG = 1.05, 1.25
"""Ratio of the mask's principal spreads: below, its axis means nothing; above, it is fully trusted."""
GREY = 127
"""What lies outside of the photo, and what `Crop.masked` lays outside of the tongue: zero after normalisation."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A square, upright piece of a photo around the tongue.

    Attributes:
        pixels: (S, S, 3) uint8, R G B.
        mask: (S, S) bool.
        matrix: (2, 3) float64, pixel centres of the photo (x, y, 1) → pixel centres of the crop (x, y).
        angle_deg: by how much the photo was turned, counter-clockwise.
        photo_shape: (H, W) of the photo.
    """

    pixels: np.ndarray
    mask: np.ndarray
    matrix: np.ndarray
    angle_deg: float
    photo_shape: tuple[int, int]

    @property
    def scale(self) -> float:
        """Crop pixels per photo pixel; above 1 the crop shows no more than the photo does."""
        return float(np.hypot(self.matrix[0, 0], self.matrix[0, 1]))

    def masked(self, fill: int = GREY) -> np.ndarray:
        """(S, S, 3) uint8 with everything outside of the tongue set to `fill`."""
        return np.where(self.mask[..., None], self.pixels, np.uint8(fill))

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) x, y of the photo → (N, 2) x, y of the crop."""
        return np.asarray(points, float) @ self.matrix[:, :2].T + self.matrix[:, 2]

    def to_photo(self, points: np.ndarray) -> np.ndarray:
        """(N, 2) x, y of the crop → (N, 2) x, y of the photo."""
        back = cv2.invertAffineTransform(self.matrix)
        return np.asarray(points, float) @ back[:, :2].T + back[:, 2]

    def plane_on_photo(self, plane: np.ndarray) -> np.ndarray:
        """A map over the crop, of any resolution (an attention grid of 7 × 7), drawn on the photo.

        Args:
            plane: (h, w) float over the whole crop.

        Returns:
            (H, W) float32 as large as the photo; 0 outside of the crop.
        """
        side = self.mask.shape[0]
        full = cv2.resize(plane.astype(np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
        height, width = self.photo_shape
        return cv2.warpAffine(full, self.matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def clean_mask(mask: np.ndarray) -> np.ndarray:
    """The largest connected piece of a mask, its holes filled.

    Args:
        mask: (H, W) bool or number; above 0 is inside.

    Returns:
        (H, W) bool; all False for an empty mask.
    """
    outlines = outline_of(mask)
    filled = np.zeros(mask.shape, np.uint8)
    if outlines:
        cv2.drawContours(filled, [max(outlines, key=cv2.contourArea)], 0, 1, thickness=cv2.FILLED)
    return filled.astype(bool)


def outline_of(mask: np.ndarray) -> list[np.ndarray]:
    """Outer outlines of all pieces (8-connected) of a mask, each (N, 1, 2) int32 x, y."""
    return list(cv2.findContours((mask > 0).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])


def upright_angle_deg(mask: np.ndarray, max_angle_deg: float = MAX_ANGLE_DEG) -> float:
    """By how much the mask has to be turned (counter-clockwise as seen) until its axis stands upright.

    The axis is the principal one nearest to the vertical (a broad tongue lies across). The rounder the mask, the less
    its axis means and the less it is followed; the result is bounded and continuous in the mask's spreads.
    """
    moments = cv2.moments(mask.astype(np.uint8), binaryImage=True)
    if moments["m00"] == 0:
        return 0.0
    xx, yy, xy = (moments[name] / moments["m00"] for name in ("mu20", "mu02", "mu11"))
    spreads, axes = np.linalg.eigh(np.array([[xx, xy], [xy, yy]]))
    ratio = float(np.sqrt(max(spreads[1], 1e-9) / max(spreads[0], 1e-9)))
    x, y = axes[:, np.argmax(np.abs(axes[1]))]
    lean = float(np.degrees(np.arctan2(x, y)))  # of the downward axis towards the right, −45 … 45 after the next line
    lean = (lean + 90) % 180 - 90
    trust = float(np.clip((ratio - _ROUND) / (_LONG - _ROUND), 0, 1))
    return float(np.clip(-lean * trust, -max_angle_deg, max_angle_deg))


def crop_tongue(pixels: np.ndarray, mask: np.ndarray, *, side: int = CROP_SIDE_PX, margin: float = MARGIN,
                max_angle_deg: float = MAX_ANGLE_DEG) -> Crop:
    """The upright square around the tongue.

    Args:
        pixels: (H, W, 3) uint8.
        mask: (H, W), above 0 is tongue; cleaned here (largest piece, holes filled).
        side: S, pixels of the crop.
        margin: free border on each side, share of S, below 0.5.
        max_angle_deg: bound of the turn; 0 keeps the photo as it stands.

    Raises:
        ValueError: the mask is empty or of another size than the photo.
    """
    if mask.shape != pixels.shape[:2]:
        raise ValueError(f"mask is {mask.shape}, photo is {pixels.shape[:2]}")
    tongue = clean_mask(mask)
    if not tongue.any():
        raise ValueError("the mask is empty")
    angle = upright_angle_deg(tongue, max_angle_deg)
    cos, sin = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    turn = np.array([[cos, sin], [-sin, cos]])  # y points down: a positive angle turns counter-clockwise as seen
    outline = np.concatenate([piece[:, 0] for piece in outline_of(tongue)])
    turned = outline @ turn.T
    low, high = turned.min(axis=0) - 0.5, turned.max(axis=0) + 0.5
    scale = side * (1 - 2 * margin) / float((high - low).max())
    offset = (side - 1) / 2 - scale * (low + high) / 2
    matrix = np.column_stack([scale * turn, offset])
    return Crop(_warp(pixels, matrix, side), _warp(tongue.astype(np.uint8) * 255, matrix, side) > 127, matrix, angle,
                (int(mask.shape[0]), int(mask.shape[1])))


def _warp(plane: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    """Through `matrix`; a strong reduction is averaged first, since bilinear sampling would skip pixels."""
    shrink = 2 * float(np.hypot(matrix[0, 0], matrix[0, 1]))
    matrix = matrix.copy()
    if shrink < 1:
        height, width = plane.shape[:2]
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        plane = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
        factors = np.array([width / size[0], height / size[1]])
        matrix[:, 2] += matrix[:, :2] @ ((factors - 1) / 2)  # pixel centres, not corners
        matrix[:, :2] *= factors
    border = (GREY, GREY, GREY) if plane.ndim == 3 else 0
    return cv2.warpAffine(plane, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT,
                          borderValue=border)

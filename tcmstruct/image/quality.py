"""Whether a photograph can be used, and why not: measures with units, a gate with named reasons.

The gate asks how the photo was taken, never what the tongue looks like: a purple, pale or black-coated tongue passes.
Colour casts are therefore measured beside the tongue only; lightness limits lie far outside of what tongues show.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import cv2
import numpy as np

from tcmstruct.image.colour import Light, brightest_channel, estimate_light, lightness, luminance, pixels_of

REASONS: dict[str, str] = {
    "no_tongue": "照片中没有找到舌。No tongue was found.",
    "tongue_too_small": "舌在照片中太小，请靠近拍摄。The tongue is too small; come closer.",
    "tongue_cut": "舌被画面边缘截断。The tongue is cut by the photo's edge.",
    "blurred": "照片模糊，请对焦后重拍。The photo is blurred.",
    "too_dark": "照片过暗。The photo is too dark.",
    "too_bright": "照片过亮。The photo is too bright.",
    "clipped": "反光或过曝，细节丢失。Highlights are burnt out.",
    "colour_cast": "光线偏色严重，颜色不可信。The light is coloured beyond repair.",
}
"""Reason → what to tell the person who took the photo."""

NORMAL_SIDE_PX = 160
"""Square root of the tongue's area after scaling down; sharpness is compared at this size."""
_CLIPPED = 250


@dataclass(frozen=True, slots=True)
class QualityMeasures:
    """How a photo was taken.

    Attributes:
        tongue_side_px: square root of the tongue's area in the decoded photo, pixels.
        cut_share: share of the tongue's outline that lies on the photo's edge.
        sharpness: standard deviation of the Laplacian of L* on the tongue, its rim left out, at `NORMAL_SIDE_PX`.
        lightness: median L* of the tongue (0–100).
        clipped_share: share of the tongue's pixels with R, G or B at 250 or more: their colour is lost.
        cast_spreads: distance of the surroundings' colour from well-lit ones, in their spreads; None where nothing
            surrounds the tongue.
        light: the light it is taken from, for who corrects the photo afterwards.
    """

    tongue_side_px: float
    cut_share: float
    sharpness: float
    lightness: float
    clipped_share: float
    cast_spreads: float | None
    light: Light | None = None


@dataclass(frozen=True, slots=True)
class Quality:
    """status: "ok" or "refused"; reasons: of `REASONS`, in their order; measures: None where there is no tongue."""

    status: str
    reasons: tuple[str, ...]
    measures: QualityMeasures | None = None


@cache
def thresholds() -> dict[str, float]:
    """`data/quality.toml`; the comments there say where each number comes from."""
    return {name: float(value) for name, value in
            tomllib.loads(files("tcmstruct.image").joinpath("data/quality.toml").read_text("utf-8"))["thresholds"].items()}


def measure_quality(pixels: np.ndarray, mask: np.ndarray) -> QualityMeasures:
    """Measures a photo.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        mask: (H, W) bool, not empty: the tongue.
    """
    inside = mask.astype(np.uint8)
    area = int(np.count_nonzero(inside))
    side = float(np.sqrt(area))
    on_outline = area - int(np.count_nonzero(cv2.erode(inside, np.ones((3, 3), np.uint8), borderValue=0)))
    on_edge = area - int(np.count_nonzero(inside[1:-1, 1:-1]))
    tongue = pixels_of(pixels, mask)
    light = estimate_light(pixels, mask)
    return QualityMeasures(
        tongue_side_px=side,
        cut_share=on_edge / max(1, on_outline),
        sharpness=_sharpness(pixels, inside, side),
        lightness=float(lightness(np.median(luminance(tongue)))),
        clipped_share=float((brightest_channel(tongue) >= _CLIPPED).mean()),
        cast_spreads=None if light is None else light.spreads,
        light=light,
    )


def _sharpness(pixels: np.ndarray, inside: np.ndarray, side: float) -> float:
    """See `QualityMeasures`; 0 for a tongue that is all rim."""
    scale = min(1.0, NORMAL_SIDE_PX / side)
    size = max(3, round(inside.shape[1] * scale)), max(3, round(inside.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    reach = max(3, round(0.06 * min(side, NORMAL_SIDE_PX))) | 1
    inner = cv2.erode(cv2.resize(inside, size, interpolation=cv2.INTER_NEAREST), np.ones((reach, reach), np.uint8), borderValue=0)
    left, top, width, height = cv2.boundingRect(inner)
    if not width:
        return 0.0
    # eroded from the photo's edge by at least a pixel, so there is one on every side for the Laplacian
    box = np.s_[top - 1 : top + height + 1, left - 1 : left + width + 1]
    sharp = cv2.Laplacian(lightness(luminance(small[box])), cv2.CV_32F)
    return float(sharp[inner[box] > 0].std())


def judge(measures: QualityMeasures | None) -> Quality:
    """The gate; None stands for a photo without a tongue."""
    if measures is None:
        return Quality("refused", ("no_tongue",))
    limit = thresholds()
    failed = {
        "tongue_too_small": measures.tongue_side_px < limit["least_tongue_side_px"],
        "tongue_cut": measures.cut_share > limit["most_cut_share"],
        "blurred": measures.sharpness < limit["least_sharpness"],
        "too_dark": measures.lightness < limit["least_lightness"],
        "too_bright": measures.lightness > limit["most_lightness"],
        "clipped": measures.clipped_share > limit["most_clipped_share"],
        "colour_cast": measures.cast_spreads is not None and measures.cast_spreads > limit["most_cast_spreads"],
    }
    reasons = tuple(reason for reason in REASONS if failed.get(reason))
    return Quality("refused" if reasons else "ok", reasons, measures)

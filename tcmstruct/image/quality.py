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

from tcmstruct.image.colour import estimate_light, srgb_to_lab

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
    """

    tongue_side_px: float
    cut_share: float
    sharpness: float
    lightness: float
    clipped_share: float
    cast_spreads: float | None


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
    area = int(mask.sum())
    side = float(np.sqrt(area))
    outline = mask & ~cv2.erode(mask.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=0).astype(bool)
    edge = np.zeros_like(mask)
    edge[[0, -1], :] = edge[:, [0, -1]] = True
    scale = min(1.0, NORMAL_SIDE_PX / side)
    size = max(3, round(mask.shape[1] * scale)), max(3, round(mask.shape[0] * scale))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    inner = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    reach = max(3, round(0.06 * min(side, NORMAL_SIDE_PX))) | 1
    inner = cv2.erode(inner, np.ones((reach, reach), np.uint8), borderValue=0).astype(bool)
    light = estimate_light(pixels, mask)
    lightness = srgb_to_lab(small)[..., 0]
    sharp = cv2.Laplacian(lightness.astype(np.float32), cv2.CV_32F)
    return QualityMeasures(
        tongue_side_px=side,
        cut_share=float((outline & edge).sum() / max(1, outline.sum())),
        sharpness=float(sharp[inner].std()) if inner.any() else 0.0,
        lightness=float(np.median(srgb_to_lab(pixels[mask])[:, 0])),
        clipped_share=float((pixels[mask].max(axis=-1) >= _CLIPPED).mean()),
        cast_spreads=None if light is None else light.spreads,
    )


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

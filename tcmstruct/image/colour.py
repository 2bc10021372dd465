"""Colour as numbers, and the colour of the light, estimated beside the tongue and never on it.

What surrounds a tongue on a photograph is mostly skin, lips and teeth, so their mean is not grey (the grey-world
assumption would turn every photo blue). A cast is therefore measured as the distance of the surroundings' colour from
the surroundings of well-lit photos. A yellow coating or a purple body does not enter.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SRGB_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
"""Linear sRGB → CIE XYZ, Y of white = 1 (IEC 61966-2-1:1999, D65, 2° observer)."""
WHITE_XYZ = SRGB_TO_XYZ.sum(axis=1)
"""What sRGB white maps to; taken from the matrix, so that every grey has a* = b* = 0 exactly."""
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
"""XYZ → sharpened cone responses (Lam 1985; ICC.1:2022, annex E)."""

_STEPS = np.arange(256) / 255
_LINEAR = np.where(_STEPS <= 0.04045, _STEPS / 12.92, ((_STEPS + 0.055) / 1.055) ** 2.4).astype(np.float32)
_LIGHT = np.linspace(0, 1, 65536)
_ENCODED = np.rint(255 * np.where(_LIGHT <= 0.0031308, _LIGHT * 12.92, 1.055 * _LIGHT ** (1 / 2.4) - 0.055)).astype(np.uint8)
_EPSILON, _KAPPA = (6 / 29) ** 3, (29 / 3) ** 3 / 116

NEUTRAL_SURROUNDINGS = (0.871, -0.382)
"""(ln R/G, ln B/G), linear, of the surroundings on well-lit photos: median over `tonguexpert` batch A."""
USUAL_SPREAD = (0.096, 0.098)
"""Standard deviations there (robust), mostly of skins: they hardly go with the tongue's colour (r −0.08 and 0.23)."""
FREE_SPREADS = 2.0
"""Up to so many spreads nothing is corrected: what is usual among skins is no evidence of a cast."""
MAX_GAIN = 1.35
"""Bound of a channel's gain relative to green; a stronger cast is not mended, it is a reason to refuse."""
_CLIPPED, _DARK = 250, 12
_MIN_PIXELS = 400
_ASKED_PIXELS = 20_000


@dataclass(frozen=True, slots=True)
class Light:
    """The colour of the light, by the surroundings of the tongue.

    Attributes:
        log_rg, log_bg: ln(R/G) and ln(B/G), linear, minus those of well-lit surroundings; 0, 0 is no cast.
        n_pixels: how many pixels were asked.
    """

    log_rg: float
    log_bg: float
    n_pixels: int

    @property
    def spreads(self) -> float:
        """Distance from well-lit surroundings in their own spreads; 2 is passed by about one well-lit photo in eight."""
        return float(np.hypot(self.log_rg / USUAL_SPREAD[0], self.log_bg / USUAL_SPREAD[1]))

    @property
    def rgb(self) -> np.ndarray:
        """(3,) linear R G B of what ought to be white, G = 1."""
        return np.exp([self.log_rg, 0.0, self.log_bg])

    @property
    def cast_ab(self) -> tuple[float, float]:
        """(a*, b*) that a mid grey takes on in this light; a* > 0 reddish, b* > 0 yellowish."""
        grey = self.rgb * 0.2 / (self.rgb @ SRGB_TO_XYZ[1])
        lab = linear_to_lab(grey)
        return float(lab[1]), float(lab[2])


def srgb_to_linear(pixels: np.ndarray) -> np.ndarray:
    """uint8 sRGB → float32 0–1, linear in light (IEC 61966-2-1)."""
    return _LINEAR.take(pixels)


def linear_to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear 0–1 (clipped here) → uint8 sRGB (IEC 61966-2-1), by table: exact for all 256 values."""
    steps = np.clip(linear, 0, 1)
    steps *= len(_ENCODED) - 1
    return _ENCODED.take(np.rint(steps, out=steps).astype(np.uint16))


def linear_to_lab(linear: np.ndarray) -> np.ndarray:
    """Linear sRGB (…, 3) → CIE 1976 L*a*b* (…, 3), D65, 2° (CIE 15:2018, 8.2.1)."""
    ratio = linear @ (SRGB_TO_XYZ / WHITE_XYZ[:, None]).T.astype(linear.dtype)
    f = _cube_root(ratio)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def srgb_to_lab(pixels: np.ndarray) -> np.ndarray:
    """uint8 sRGB (…, 3) → float32 L* (0–100), a*, b* (…, 3)."""
    return linear_to_lab(srgb_to_linear(pixels))


def luminance(pixels: np.ndarray) -> np.ndarray:
    """uint8 sRGB (…, 3) → float32 Y of CIE XYZ (…), white = 1."""
    return srgb_to_linear(pixels) @ SRGB_TO_XYZ[1].astype(np.float32)


def lightness(y: np.ndarray) -> np.ndarray:
    """Y of CIE XYZ, white = 1 → L* (0–100) alone; a third of the work of `linear_to_lab`."""
    return 116 * _cube_root(y / WHITE_XYZ[1].astype(np.float32)) - 16


def _cube_root(ratio: np.ndarray) -> np.ndarray:
    """f of CIE 15:2018, 8.2.1: a cube root with a straight foot."""
    f = np.cbrt(ratio)
    return np.where(ratio > _EPSILON, f, _KAPPA * ratio + 16 / 116) if np.min(ratio, initial=1) <= _EPSILON else f


def pixels_of(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3), (H, W) bool → (N, 3): `pixels[mask]`, which takes several times as long."""
    return pixels.reshape(-1, 3).take(np.flatnonzero(mask), axis=0)


def brightest_channel(pixels: np.ndarray) -> np.ndarray:
    """(…, 3) → (…); numpy's maximum over an axis of three takes thirty times as long."""
    return np.maximum(np.maximum(pixels[..., 0], pixels[..., 1]), pixels[..., 2])


def surroundings(pixels: np.ndarray, tongue: np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels that may tell of the light: not the tongue nor its rim (where lips and shadow are its
    own colour's neighbours), not black background, not burnt out."""
    rim = max(3, round(0.03 * np.sqrt(tongue.sum() + 1))) | 1
    near = cv2.dilate(tongue.astype(np.uint8), np.ones((rim, rim), np.uint8)) > 0
    brightest = brightest_channel(pixels)
    return ~near & (brightest < _CLIPPED) & (brightest > _DARK)


def estimate_light(pixels: np.ndarray, tongue: np.ndarray) -> Light | None:
    """Estimates the light from outside of the tongue.

    The brighter half of the surroundings is asked (skin in the light; lips, beard and the mouth's shadow are darker),
    and of its pixels' ln R/G and ln B/G the median is taken. Over well-lit photos this spreads less than grey world,
    shades of grey or grey edge do.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        tongue: (H, W) bool.

    Returns:
        None where too little surrounds the tongue (a cut-out on black): the cast is then unknown, not zero.
    """
    asked = np.flatnonzero(surroundings(pixels, tongue))
    n_pixels = len(asked)
    if n_pixels < max(_MIN_PIXELS, 0.02 * tongue.size):
        return None
    light = srgb_to_linear(pixels.reshape(-1, 3).take(asked[:: max(1, n_pixels // _ASKED_PIXELS)], axis=0))
    y = light @ SRGB_TO_XYZ[1].astype(np.float32)
    logs = np.log(light[y >= np.median(y)] + 1e-4)
    red, blue = (float(np.median(logs[:, i] - logs[:, 1])) for i in (0, 2))
    return Light(red - NEUTRAL_SURROUNDINGS[0], blue - NEUTRAL_SURROUNDINGS[1], n_pixels)


def correct_cast(pixels: np.ndarray, light: Light, *, free_spreads: float = FREE_SPREADS,
                 max_gain: float = MAX_GAIN) -> np.ndarray:
    """Takes away the part of the cast that lies beyond what is usual among well-lit photos.

    Args:
        pixels: (H, W, 3) uint8 sRGB.
        light: of `estimate_light`.
        free_spreads: what is left alone, in spreads of well-lit photos.
        max_gain: bound of R/G and B/G gains, above 1.

    Returns:
        (H, W, 3) uint8; the very same array where there is nothing to correct.

    Source: von Kries adaptation in Bradford cone responses (ICC.1:2022, annex E).
    """
    spreads = light.spreads
    if spreads <= free_spreads:
        return pixels
    share = 1 - free_spreads / spreads
    bound = np.log(max_gain)
    excess = np.clip(np.array([light.log_rg, 0.0, light.log_bg]) * share, -bound, bound)
    source = SRGB_TO_XYZ @ np.exp(excess)
    cones = BRADFORD @ (source / source[1])
    to_cones = BRADFORD @ SRGB_TO_XYZ
    matrix = np.linalg.inv(to_cones) @ np.diag((BRADFORD @ WHITE_XYZ) / cones) @ to_cones
    return apply_matrix(pixels, matrix)


def apply_matrix(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """A 3 × 3 matrix on linear R G B; (H, W, 3) uint8 → the same."""
    return linear_to_srgb(cv2.transform(srgb_to_linear(pixels), matrix.astype(np.float32)))

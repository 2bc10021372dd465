"""Tongue photographs drawn by code: no patient, every property known.

    pixels, mask = draw(DrawnTongue(body="淡白", coating="黄", cracks=3))

Colours are plausible, shapes and textures are drawings: for tests and demonstrations, never for training or measuring.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

BODIES = {"淡白": (214, 168, 166), "淡红": (201, 121, 122), "红": (190, 92, 96), "绛": (146, 44, 58), "紫": (150, 96, 118)}
COATINGS = {"白": (222, 206, 200), "淡黄": (214, 190, 140), "黄": (199, 154, 110), "灰黑": (74, 64, 58)}
BACKGROUNDS = ("face", "black", "grey")


@dataclass(frozen=True)
class DrawnTongue:
    """What is to be seen.

    Attributes:
        height_px, width_px: of the photo.
        body: key of `BODIES`. coating: key of `COATINGS` or None.
        coating_share: of the tongue's length that is coated, from the root.
        coating_thickness: 0–1.
        cracks: number of cracks. tooth_marks: dents on each side.
        size: of the tongue, share of the photo's shorter side. centre: of the tongue, x, y in shares of the photo.
        length_ratio: length by width. lean_deg: turn of the head, counter-clockwise.
        background: "face" (skin, lips, teeth, mouth), "black" (cut out) or "grey" (a wall behind).
        light: gains of linear R, G, B. exposure_ev: in stops. blur_px: Gaussian sigma. noise: sigma of 255.
        tongue: False draws a closed mouth.
        seed: of texture and noise.
    """

    height_px: int = 480
    width_px: int = 480
    body: str = "淡红"
    coating: str | None = "白"
    coating_share: float = 0.6
    coating_thickness: float = 0.7
    cracks: int = 0
    tooth_marks: int = 0
    size: float = 0.62
    centre: tuple[float, float] = (0.5, 0.56)
    length_ratio: float = 1.15
    lean_deg: float = 0.0
    background: str = "face"
    light: tuple[float, float, float] = (1.0, 1.0, 1.0)
    exposure_ev: float = 0.0
    blur_px: float = 0.0
    noise: float = 2.0
    tongue: bool = True
    seed: int = 0


def draw(what: DrawnTongue = DrawnTongue()) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 sRGB and (H, W) bool mask."""
    rng = np.random.default_rng(what.seed)
    height, width = what.height_px, what.width_px
    across, along, half = _tongue_axes(what)
    mask = _tongue_mask(what, across, along) & what.tongue
    canvas = _background(what, across, along, rng)
    if what.tongue:
        tongue = _tongue_surface(what, across, along, rng)
        soft = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(0.8, half / 110))[..., None]
        canvas = canvas * (1 - soft) + tongue * soft
    if what.blur_px:
        canvas = cv2.GaussianBlur(canvas, (0, 0), what.blur_px)
    linear = (np.clip(canvas, 0, 255) / 255) ** 2.2 * np.array(what.light) * 2.0**what.exposure_ev
    noisy = 255 * np.clip(linear, 0, 1) ** (1 / 2.2) + rng.normal(0, what.noise, (height, width, 3))
    return np.clip(np.rint(noisy), 0, 255).astype(np.uint8), mask


def _tongue_axes(what: DrawnTongue) -> tuple[np.ndarray, np.ndarray, float]:
    """Coordinates of each pixel on the tongue: across −1…1, along −1 (root) … 1 (tip); and half the width in pixels."""
    half = what.size * min(what.height_px, what.width_px) / 2
    y, x = np.mgrid[: what.height_px, : what.width_px].astype(np.float32)
    x, y = x - what.centre[0] * (what.width_px - 1), y - what.centre[1] * (what.height_px - 1)
    cos, sin = np.cos(np.radians(what.lean_deg)), np.sin(np.radians(what.lean_deg))
    return (x * cos - y * sin) / half, (x * sin + y * cos) / (half * what.length_ratio), half


def _tongue_mask(what: DrawnTongue, across: np.ndarray, along: np.ndarray) -> np.ndarray:
    """A rounded shape, blunt at the root and narrower at the tip, with dents along the sides."""
    taper = 1 - 0.16 * np.clip(along, -1, 1) - 0.06 * np.clip(along, -1, 1) ** 2
    reach = np.abs(across) / taper
    if what.tooth_marks:
        middle = np.clip(1 - (along / 0.85) ** 2, 0, 1)
        reach = reach + 0.07 * middle * (0.5 + 0.5 * np.cos(along * np.pi * what.tooth_marks * 1.2)) ** 2
    power = np.where(along < 0, 4.0, 2.4)
    return reach**2.4 + np.abs(along) ** power <= 1


def _clouds(shape: tuple[int, int], rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Smooth noise of mean 0 and deviation 1."""
    grid = max(4, round(shape[0] / max(sigma, 1))), max(4, round(shape[1] / max(sigma, 1)))
    field = cv2.resize(rng.normal(0, 1, grid).astype(np.float32), shape[::-1], interpolation=cv2.INTER_CUBIC)
    return (field - field.mean()) / (field.std() + 1e-6)


def _tongue_surface(what: DrawnTongue, across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shape = across.shape
    unit = what.size * min(shape) / 100
    colour = np.broadcast_to(np.array(BODIES[what.body], np.float32), (*shape, 3)).copy()
    if what.coating:
        reach = -1 + 2 * what.coating_share + 0.12 * _clouds(shape, rng, 8 * unit)
        cover = 1 / (1 + np.exp((along - reach) * 7)) * np.clip(1.25 - 1.1 * np.abs(across) ** 3, 0, 1)
        cover = np.clip(cover * what.coating_thickness * (1 + 0.12 * _clouds(shape, rng, 3 * unit)), 0, 0.95)[..., None]
        colour = colour * (1 - cover) + np.array(COATINGS[what.coating], np.float32) * cover
    papillae = _clouds(shape, rng, 1.3 * unit) * 4.5 + _clouds(shape, rng, 5 * unit) * 2.5
    dome = 1.04 - 0.20 * np.abs(across) ** 3 - 0.10 * np.clip(-along, 0, 1) ** 2
    colour = (colour + papillae[..., None]) * dome[..., None]
    furrow = np.exp(-(across / 0.035) ** 2) * np.clip(0.8 - along**2, 0, 1)
    colour *= (1 - 0.10 * furrow)[..., None]
    for k in range(what.cracks):
        colour *= (1 - 0.55 * _crack(what, k, across, along, rng))[..., None]
    shine = np.exp(-((across - 0.25) / 0.20) ** 2 - ((along - 0.45) / 0.16) ** 2) * np.clip(_clouds(shape, rng, 2.5 * unit), 0, 2)
    return colour + 22 * shine[..., None]


def _crack(what: DrawnTongue, k: int, across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    start, length = (k / max(1, what.cracks) - 0.5) * 0.9, 0.5 + 0.3 * rng.random()
    wave = 0.05 * np.sin(along * 9 + 6 * rng.random()) + rng.normal(0, 0.05)
    ends = np.clip(1 - ((along + 0.05) / length) ** 2, 0, 1)
    return np.exp(-(((across - start * (1 + 0.2 * along) - wave) / 0.016) ** 2)) * ends


def _background(what: DrawnTongue, across: np.ndarray, along: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    shape = across.shape
    if what.background == "black":
        return np.zeros((*shape, 3), np.float32)
    if what.background == "grey":
        return np.full((*shape, 3), 150, np.float32) + 2 * _clouds(shape, rng, 2)[..., None]
    unit = what.size * min(shape) / 100
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    skin = np.array((196, 144, 116), np.float32) + 3 * _clouds(shape, rng, 2 * unit)[..., None]
    skin = skin * (1.05 - 0.25 * np.abs(x / shape[1] - 0.5) ** 1.5 - 0.12 * np.abs(y / shape[0] - 0.5))[..., None]
    along = along if what.tongue else (along + 0.35) * 2.6
    lips = (across / 1.32) ** 2 + ((along + 0.10) / 1.28) ** 2
    mouth = (across / 1.14) ** 2 + ((along + 0.14) / 1.12) ** 2
    lip_colour = np.array((176, 96, 94), np.float32) + 5 * _clouds(shape, rng, 3 * unit)[..., None]
    canvas = _blend(skin, lip_colour, 1 / (1 + np.exp(np.minimum((lips - 1) * 16, 60))))
    if not what.tongue:
        return canvas * (1 - 0.5 * np.exp(-(along + 0.1) ** 2 * 60) * (np.abs(across) < 1.2))[..., None]
    canvas = _blend(canvas, np.array((58, 26, 26), np.float32), 1 / (1 + np.exp(np.minimum((mouth - 1) * 24, 60))))
    teeth = (mouth < 0.97) & (along < -0.93) & (along > -1.12) & (np.abs(np.sin(across * np.pi * 2.4)) > 0.10)
    return _blend(canvas, np.array((226, 216, 196), np.float32), cv2.GaussianBlur(teeth.astype(np.float32), (0, 0), 1.0))


def _blend(below: np.ndarray, above: np.ndarray, share: np.ndarray) -> np.ndarray:
    return below * (1 - share[..., None]) + above * share[..., None]

"""Numbers of a tongue crop that the heads read beside the encoder's features: colours, lines of the body, the rim.

They are plain measurements, with nothing trained in them. On the photos at hand they say more of colour than the
features of a network that was trained to see objects in any light, and of cracks and tooth marks as much, in other words:
the two vote together (`docs/tongue-networks.md`).
"""

from __future__ import annotations

import cv2
import numpy as np

from tcmstruct.image.crop import Crop

N_COLOURS, N_LINES, N_RIM = 84, 131, 292
PLACES = 14
"""Side of the encoder's grid that `places_of` weighs."""
_COLOUR_SIDE_PX = 56
_GLARE = 245  # a channel above it: wet spots that mirror the lamp
_SHARES = (0.5, 0.1, 0.9)


def numbers_of(crop: Crop) -> np.ndarray:
    """(N_COLOURS + N_LINES + N_RIM,) float32; zeros for a mask without area."""
    if crop.mask.sum() < 400:
        return np.zeros(N_COLOURS + N_LINES + N_RIM, np.float32)
    return np.concatenate([colour_numbers(crop), line_numbers(crop), rim_numbers(crop)])


def places_of(crop: Crop) -> np.ndarray:
    """(2, 14, 14) float32 0–1: how much of each place of the grid is the tongue's body, and how much is its rim."""
    side = crop.mask.shape[0]
    inside = crop.mask.astype(np.uint8)
    deep = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 3)[1:-1, 1:-1] > 0.07 * side
    reach = 2 * round(0.035 * side) + 1
    near = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (reach, reach)))
    planes = (deep.astype(np.float32), near - deep.astype(np.float32))
    return np.stack([cv2.resize(p, (PLACES, PLACES), interpolation=cv2.INTER_AREA) for p in planes]).clip(0, 1)


def colour_numbers(crop: Crop) -> np.ndarray:
    """(84,) float32: Lab colour of seven regions of the tongue, each median, spread, 10 % and 90 % of L*, a*, b*.

    Regions: the body without its rim, its root, centre and tip thirds, the rim, the middle stripe, the sides. What
    lies beside the tongue is left out: a skin is no witness of a tongue.
    """
    side = _COLOUR_SIDE_PX
    small = cv2.resize(crop.pixels, (side, side), interpolation=cv2.INTER_AREA)
    inside = cv2.resize(crop.mask.astype(np.uint8) * 255, (side, side), interpolation=cv2.INTER_AREA) > 160
    if inside.sum() < 20:
        return np.zeros(N_COLOURS, np.float32)
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    matt = small.max(axis=2) < _GLARE
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    down, aside = _directions(inside)
    body = depth > 3
    regions = (body, body & (down < 0.33), body & (down >= 0.33) & (down < 0.66) & (aside < 0.45), body & (down >= 0.66), inside & ~body,
               body & (aside < 0.35) & (down < 0.6), body & (aside > 0.55))
    numbers = []
    for region in regions:
        colours = lab[region & matt]
        if len(colours) < 8:
            colours = lab[inside]
        spread = colours.std(axis=0)
        colours = np.sort(colours, axis=0)
        middle, low, high = (colours[int(share * (len(colours) - 1))] for share in _SHARES)
        numbers += [middle, spread, low, high]
    return np.concatenate(numbers).astype(np.float32)


def _directions(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, 1) 0 at the root … 1 at the tip, and (1, W) 0 on the middle line … 1 at the sides."""
    rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    down = ((np.arange(inside.shape[0]) - top) / (bottom - top + 1))[:, None]
    return down, np.abs((np.arange(inside.shape[1]) - (left + right) / 2) / ((right - left) / 2 + 1))[None]


def line_numbers(crop: Crop) -> np.ndarray:
    """(131,) float32: how many dark lines, how deep, how long, in the body and along its middle.

    Two views of a line on the green channel: black top-hat at four widths, and the ridge strength of second
    derivatives at three scales (Lindeberg 1998). Each as shares and quantiles over the body and over its middle.
    """
    inside = crop.mask.astype(np.uint8)
    green = np.where(crop.mask, crop.pixels[..., 1], np.uint8(np.median(crop.pixels[..., 1][crop.mask]))).astype(np.uint8)
    side = inside.shape[0]
    depth = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    body = depth > 0.05 * side
    if body.sum() < 300:
        body = crop.mask
    down, aside = _directions(crop.mask)
    middle = body & (down > 0.12) & (down < 0.85) & (aside < 0.5)
    if middle.sum() < 100:
        middle = body
    numbers: list[float] = []
    soft = cv2.GaussianBlur(green, (0, 0), 1.0)
    for width in (5, 9, 15, 23):
        dark = cv2.morphologyEx(soft, cv2.MORPH_BLACKHAT, cv2.getStructuringElement(cv2.MORPH_RECT, (width, width)))
        for region in (body, middle):
            numbers += _levels(dark[region], (0.75, 0.9, 0.95, 0.98, 0.995), (8, 14, 22))
        if width in (9, 15):
            numbers += _pieces((dark > 14) & body)
    plain = green.astype(np.float32)
    for scale in (1.2, 2.2, 3.6):
        f = cv2.GaussianBlur(plain, (0, 0), scale)
        xx, yy, xy = (cv2.Sobel(f, cv2.CV_32F, *order) * scale**2 for order in ((2, 0), (0, 2), (1, 1)))
        half, root = (xx + yy) / 2, np.sqrt(((xx - yy) / 2) ** 2 + xy**2)
        ridge = np.maximum(half + root, 0) - np.abs(half - root) / 2
        ridge8 = np.clip(2 * ridge, 0, 255).astype(np.uint8)
        for region in (body, middle):
            numbers += _levels(ridge8[region], (0.8, 0.9, 0.95, 0.98, 0.995), ())
        for second in (xx, yy):
            values = np.clip(2 * second, 0, 255).astype(np.uint8)[middle]
            numbers += _levels(values, (0.98,), ())
    numbers.append(float(plain[body].std()))
    return np.array(numbers, np.float32)


def _levels(values: np.ndarray, quantiles: tuple[float, ...], above: tuple[int, ...]) -> list[float]:
    """Mean, quantiles, and shares above levels, of 8-bit values, by their histogram."""
    counts = np.bincount(values, minlength=256)
    share = np.cumsum(counts) / max(1, len(values))
    mean = float((counts * np.arange(256)).sum() / max(1, len(values)))
    return [mean, *(float(np.searchsorted(share, q)) for q in quantiles), *(float(1 - share[a]) for a in above)]


def _pieces(lines: np.ndarray) -> list[float]:
    """Area of the largest piece and of five, length of the longest and of five, number of pieces above 20 pixels."""
    n, _, stats, _ = cv2.connectedComponentsWithStats(lines.astype(np.uint8))
    if n < 2:
        return [0.0] * 5
    areas = np.sort(stats[1:, cv2.CC_STAT_AREA])[::-1]
    lengths = np.sort(np.hypot(stats[1:, cv2.CC_STAT_WIDTH], stats[1:, cv2.CC_STAT_HEIGHT]))[::-1]
    return [float(v) for v in (areas[0], areas[:5].sum(), lengths[0], lengths[:5].sum(), (areas > 20).sum())]


_AROUND = 512  # places along the outline
_OFFSETS_PX = np.arange(-9, 27, 1.75)  # across it, inwards, at 224 px: 21 places
_BANDS = ((6, 14), (14, 28), (28, 60), (60, 120))  # waves around the outline


def rim_numbers(crop: Crop) -> np.ndarray:
    """(292,) float32: what runs along the outline, from outside to inside.

    The rim is unrolled to 512 places around × 21 across. A tooth-marked edge shows as waves of colour along it, and as
    an edge that wanders against the smooth outline.
    """
    outlines = cv2.findContours(crop.mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    outline = max(outlines, key=cv2.contourArea)[:, 0].astype(np.float32)
    points, length = _evenly(outline)
    smooth = _running_mean(points, 8)
    along = np.roll(smooth, -1, 0) - np.roll(smooth, 1, 0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-6
    inwards = np.stack([-along[:, 1], along[:, 0]], 1)
    if ((smooth.mean(0) - smooth) * inwards).sum() < 0:
        inwards = -inwards
    offsets = _OFFSETS_PX * crop.mask.shape[0] / 224
    at = (smooth[:, None] + inwards[:, None] * offsets[None, :, None]).astype(np.float32)
    lab = cv2.GaussianBlur(cv2.cvtColor(crop.pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB), (0, 0), 0.8)
    strip = cv2.remap(lab, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # (512, 21, 3)
    height = smooth[:, 1]
    free = height > height.min() + 0.3 * (height.max() - height.min())  # sides and tip; the root is in the mouth
    waves = np.abs(np.fft.rfft(strip[:, ::2] - strip[:, ::2].mean(0), axis=0)) / _AROUND
    bands = np.stack([waves[a:b].sum(0) for a, b in _BANDS], -1)  # (11, 3, 4)
    detail = (strip - _running_mean(strip.reshape(_AROUND, -1), 20).reshape(strip.shape))[free]
    ordered = np.sort(detail[..., :2], axis=0)
    n = len(ordered)
    tails = [ordered[int(share * (n - 1))] for share in (0.05, 0.95)]
    numbers = [bands.ravel(), detail.std(0).ravel(), tails[0].ravel(), tails[1].ravel()]
    for channel in (0, 1):
        steps = np.abs(np.diff(strip[:, :12, channel], axis=1))
        edge = steps.argmax(1).astype(np.float32)[:, None]
        wander = np.abs(edge - _running_mean(edge, 20))[free]
        strength = steps.max(1)[free]
        numbers.append(np.array([np.sqrt((wander**2).mean()), np.quantile(wander, 0.9), strength.mean(), strength.std()]))
    area = cv2.contourArea(outline)
    hull = cv2.contourArea(cv2.convexHull(outline))
    away = np.abs(points - smooth)
    width, length_px = np.ptp(outline[:, 0]) + 1, np.ptp(outline[:, 1]) + 1
    numbers.append(np.array([area / max(hull, 1), length**2 / max(area, 1), away.mean(), away[free].max(), width / length_px]))
    return np.nan_to_num(np.concatenate(numbers)).astype(np.float32)


def _evenly(outline: np.ndarray) -> tuple[np.ndarray, float]:
    """A closed outline (N, 2) → 512 points at equal steps along it, and its length."""
    closed = np.concatenate([outline, outline[:1]])
    run = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    steps = np.linspace(0, run[-1], _AROUND + 1)[:-1]
    return np.stack([np.interp(steps, run, closed[:, i]) for i in (0, 1)], 1), float(run[-1])


def _running_mean(values: np.ndarray, reach: int) -> np.ndarray:
    """Mean over 2 · reach + 1 places along the closed first axis."""
    around = np.concatenate([values[-reach:], values, values[:reach]])
    total = np.cumsum(np.concatenate([np.zeros_like(around[:1], float), around.astype(float)]), axis=0)
    width = 2 * reach + 1
    return (total[width:] - total[:-width]) / width

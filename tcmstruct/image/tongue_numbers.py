"""Numbers of a tongue crop that the heads read beside the encoder's features: colours, lines of the body, the rim.

They are plain measurements, with nothing trained in them. On the photos at hand they say more of colour than the
features of a network that was trained to see objects in any light, and of cracks and tooth marks as much, in other words:
the two vote together (`docs/tongue-networks.md`).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from tcmstruct.image.crop import GREY, Crop

N_COLOURS, N_LINES, N_RIM = 177, 131, 292
_REGION = 12  # numbers of a region in one telling: median, spread, 10 %, 90 % of three
FAMILIAR = (*(7 * _REGION + _REGION * region + i for region in range(7) for i in range(3)), *range(14 * _REGION, N_COLOURS))
"""Numbers by which a camera is known: the regions' median logarithms of channels, and those of what surrounds the tongue."""
PLACES = 14
"""Side of the encoder's grid that `places_of` weighs."""
_COLOUR_SIDE_PX = 56
_GLARE = 245  # a channel above it: wet spots that mirror the lamp
_BURNT, _BLACK = 250, 12  # what surrounds the tongue is asked between
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
    """(177,) float32: colour of seven regions of the tongue, each median, spread, 10 % and 90 % of three numbers, in two
    tellings: Lab, and logarithms of channels (ln R/G, ln B/G, mean), where another exposure or light adds a constant;
    then the logarithms of what surrounds the tongue (median, median of its brighter half, mean), which moves by that
    same constant. A reader may weigh one against the other.

    Regions: the body without its rim, its root, centre and tip thirds, the rim, the middle stripe, the sides.
    """
    side = _COLOUR_SIDE_PX
    small = cv2.resize(crop.pixels, (side, side), interpolation=cv2.INTER_AREA)
    covered = cv2.resize(crop.mask.astype(np.uint8) * 255, (side, side), interpolation=cv2.INTER_AREA)
    inside = covered > 160
    if inside.sum() < 20:
        return np.zeros(N_COLOURS, np.float32)
    floats = small.astype(np.float32)
    log = 100 * np.log(floats + 2)
    logs = np.stack([log[..., 0] - log[..., 1], log[..., 2] - log[..., 1], log.mean(axis=2)], axis=-1)
    views = np.concatenate([cv2.cvtColor(floats / 255, cv2.COLOR_RGB2LAB), logs], axis=-1)
    brightest = small.max(axis=2)
    matt = brightest < _GLARE
    depth = cv2.distanceTransform(np.pad(inside, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
    down, aside = _directions(inside)
    body = depth > 3
    regions = (body, body & (down < 0.33), body & (down >= 0.33) & (down < 0.66) & (aside < 0.45), body & (down >= 0.66), inside & ~body,
               body & (aside < 0.35) & (down < 0.6), body & (aside > 0.55))
    numbers = []
    for region in regions:
        colours = views[region & matt]
        if len(colours) < 8:
            colours = views[inside]
        spread = colours.std(axis=0)
        colours = np.sort(colours, axis=0)
        middle, low, high = (colours[int(share * (len(colours) - 1))] for share in _SHARES)
        numbers.append([middle, spread, low, high])
    both = np.array(numbers)  # (7, 4, 6)
    return np.concatenate([both[..., :3].ravel(), both[..., 3:].ravel(), _surroundings(small, covered, brightest, logs)]).astype(np.float32)


def _surroundings(small: np.ndarray, covered: np.ndarray, brightest: np.ndarray, logs: np.ndarray) -> np.ndarray:
    """(9,) logarithms beside the tongue; zeros where hardly anything is (a cut-out)."""
    near = cv2.dilate((covered > 20).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    beyond_photo = (small == GREY).all(axis=2)
    asked = logs[~near & (brightest < _BURNT) & (brightest > _BLACK) & ~beyond_photo]
    if len(asked) < 60:
        return np.zeros(9, np.float32)
    brighter = asked[asked[:, 2] >= np.median(asked[:, 2])]
    return np.concatenate([np.median(asked, axis=0), np.median(brighter, axis=0), asked.mean(axis=0)])


def _directions(inside: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, 1) 0 at the root … 1 at the tip, and (1, W) 0 on the middle line … 1 at the sides."""
    rows, columns = np.nonzero(inside.any(1))[0], np.nonzero(inside.any(0))[0]
    top, bottom, left, right = rows[0], rows[-1], columns[0], columns[-1]
    down = ((np.arange(inside.shape[0]) - top) / (bottom - top + 1))[:, None]
    return down, np.abs((np.arange(inside.shape[1]) - (left + right) / 2) / ((right - left) / 2 + 1))[None]


_LINE_WIDTHS_PX = (5, 9, 15, 23)
_KERNELS = {width: cv2.getStructuringElement(cv2.MORPH_RECT, (width, width)) for width in _LINE_WIDTHS_PX}
_RIDGES = ((1, 1.2), (2, 1.1), (2, 1.8))  # reduction, scale in reduced pixels: 1.2, 2.2 and 3.6 px of the crop
_QUANTILES = np.array((0.75, 0.9, 0.95, 0.98, 0.995))
_ABOVE = [8, 14, 22]  # grey levels
_NORMAL_RGB = np.array((160.0, 105.0, 105.0))
"""Median colour that lines and rim are brought to: how dark a crack is shall not depend on the exposure."""


def line_numbers(crop: Crop) -> np.ndarray:
    """(131,) float32: how many dark lines, how deep, how long, in the body and along its middle.

    Two views of a line on the green channel, its median brought to a fixed level: black top-hat at four widths, and the
    ridge strength of second derivatives at three scales (Lindeberg 1998). Each as shares and quantiles over the body
    and over its middle.
    """
    rows, columns = np.nonzero(crop.mask.any(1))[0], np.nonzero(crop.mask.any(0))[0]
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    mask = crop.mask[box]
    inside = mask.astype(np.uint8)
    green = np.ascontiguousarray(crop.pixels[box][..., 1])
    level = int(_NORMAL_RGB[1])
    gain = level / max(_median(green, inside), 8)
    green = cv2.LUT(green, np.clip(np.arange(256) * gain, 0, 255).round().astype(np.uint8))
    green[~mask] = level
    depth = cv2.distanceTransform(np.pad(inside, 1), cv2.DIST_L2, 3)[1:-1, 1:-1]
    body = depth > 0.05 * crop.mask.shape[0]
    if body.sum() < 300:
        body = mask
    down, aside = _directions(mask)
    middle = body & ((down > 0.12) & (down < 0.85)) & (aside < 0.5)
    if middle.sum() < 100:
        middle = body
    regions = [body.astype(np.uint8), middle.astype(np.uint8)]
    darker: list[np.ndarray] = []
    pieces: list[float] = []
    soft = cv2.GaussianBlur(green, (0, 0), 1.0)
    for width in _LINE_WIDTHS_PX:
        dark = cv2.morphologyEx(soft, cv2.MORPH_BLACKHAT, _KERNELS[width])
        darker += [_counts(dark, region) for region in regions]
        if width in (9, 15):
            pieces += _pieces(cv2.threshold(dark, 14, 1, cv2.THRESH_BINARY)[1] & regions[0])
    plain = green.astype(np.float32)
    size = (max(1, plain.shape[1] // 2), max(1, plain.shape[0] // 2))
    seen = {1: (plain, *regions),
            2: (cv2.resize(plain, size, interpolation=cv2.INTER_AREA),
                *(cv2.resize(r, size, interpolation=cv2.INTER_NEAREST) for r in regions))}
    ridges: list[np.ndarray] = []
    seconds: list[np.ndarray] = []
    for reduction, scale in _RIDGES:
        surface, whole, inner = seen[reduction]
        ridge, across, along = _ridge(surface, scale)
        ridges += [_counts(ridge, whole), _counts(ridge, inner)]
        seconds += [_counts(across, inner), _counts(along, inner)]
    spread = cv2.meanStdDev(plain, mask=regions[0])[1].ravel()
    return np.concatenate([_levels(darker, _ABOVE).ravel(), pieces, _levels(ridges).ravel(), _levels(seconds)[:, [0, 4]].ravel(),
                           spread]).astype(np.float32)


def _ridge(surface: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """uint8 strength of dark ridges, and of dark lines across and along: larger second derivative less its deviation
    from a pure line."""
    soft = cv2.GaussianBlur(surface, (0, 0), scale)
    xx, yy, xy = (cv2.Sobel(soft, cv2.CV_32F, *order, scale=scale**2) for order in ((2, 0), (0, 2), (1, 1)))
    half = cv2.addWeighted(xx, 0.5, yy, 0.5, 0)
    root = cv2.magnitude(cv2.subtract(half, yy), xy)
    ridge = cv2.scaleAdd(cv2.absdiff(half, root), -0.5, cv2.max(cv2.add(half, root), 0))
    return tuple(cv2.convertScaleAbs(cv2.max(plane, 0), alpha=2) for plane in (ridge, xx, yy))


def _counts(values: np.ndarray, region: np.ndarray) -> np.ndarray:
    """(256,) histogram of 8-bit values inside of a region."""
    return cv2.calcHist([values], [0], region, [256], [0, 256]).ravel()


def _median(values: np.ndarray, region: np.ndarray) -> float:
    share = np.cumsum(_counts(values, region))
    return float(np.searchsorted(share, share[-1] / 2))


def _levels(counts: list[np.ndarray], above: Sequence[int] = ()) -> np.ndarray:
    """(N, 6 + levels): mean, quantiles, and shares above levels, of N histograms."""
    counts = np.array(counts, float)
    total = counts.sum(1).clip(1)
    share = np.cumsum(counts, axis=1) / total[:, None]
    quantiles = (share[:, None] < _QUANTILES[:, None]).sum(2)
    return np.column_stack([counts @ np.arange(256) / total, quantiles, *(1 - share[:, a] for a in above)])


def _pieces(lines: np.ndarray) -> list[float]:
    """Area of the largest piece and of five, length of the longest and of five, number of pieces above 20 pixels."""
    n, _, stats, _ = cv2.connectedComponentsWithStats(lines)
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

    The rim is unrolled to 512 places around × 21 across, its channels scaled by what brings the tongue's median to a
    fixed colour. A tooth-marked edge shows as waves of colour along it, and as an edge that wanders against the smooth
    outline.
    """
    inside = crop.mask.astype(np.uint8)
    outlines = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
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
    soft = cv2.GaussianBlur(crop.pixels, (0, 0), 0.8).astype(np.float32)
    strip = cv2.remap(soft, at[..., 0], at[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)  # (512, 21, 3)
    medians = [_median(np.ascontiguousarray(crop.pixels[..., i]), inside) for i in range(3)]
    gains = _NORMAL_RGB / np.maximum(medians, 8) / 255
    strip = cv2.cvtColor(np.minimum(strip * gains.astype(np.float32), 1), cv2.COLOR_RGB2LAB)
    height = smooth[:, 1]
    free = height > height.min() + 0.3 * (height.max() - height.min())  # sides and tip; the root is in the mouth
    waves = np.abs(np.fft.rfft(strip[:, ::2] - strip[:, ::2].mean(0), axis=0)[: _BANDS[-1][1]]) / _AROUND
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
    return cv2.blur(around, (1, 2 * reach + 1))[reach:-reach].reshape(values.shape)

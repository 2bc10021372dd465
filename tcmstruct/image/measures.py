"""Numbers beside the networks' answers, so that a doctor sees what was measured: colours, coating, shape.

Plain image arithmetic on the upright crop. The parting into body and coating is a guess by redness alone: moss that is as red
as the body, gloss, and shadow are taken for the wrong side, and a tongue of one colour has no parting at all.
"""

from __future__ import annotations

import cv2
import numpy as np

from tcmstruct.image.colour import pixels_of, srgb_to_lab
from tcmstruct.image.crop import Crop

_LEAST_CONTRAST = 6.0
"""Difference of median a* below which body and coating are not told apart."""
_RIM_SHARE = 0.04


def measure(crop: Crop) -> dict[str, float | None]:
    """Measures a crop of `crop_tongue`.

    Returns:
        body_L, body_a, body_b, coating_L, coating_a, coating_b: medians of CIE L*a*b* (D65, 2°; CIE 15:2018).
        coating_area_ratio: coated share of the tongue's visible area, 0–1.
        length_width_ratio: of the upright tongue.
        What cannot be measured is None: coating figures where redness (a*) does not part the tongue (Otsu 1979).
    """
    reach = max(1, round(_RIM_SHARE * crop.mask.shape[0])) | 1
    inner = cv2.erode(crop.mask.astype(np.uint8), np.ones((reach, reach), np.uint8), borderValue=0).astype(bool)
    if not inner.any():
        inner = crop.mask
    rows, columns = np.nonzero(crop.mask.any(axis=1))[0], np.nonzero(crop.mask.any(axis=0))[0]
    out: dict[str, float | None] = dict.fromkeys(
        ("body_L", "body_a", "body_b", "coating_L", "coating_a", "coating_b", "coating_area_ratio"))
    out["length_width_ratio"] = _rounded((rows[-1] - rows[0] + 1) / (columns[-1] - columns[0] + 1), 3)
    soft = cv2.GaussianBlur(crop.pixels, (0, 0), 1.5)[::2, ::2]  # of what is this soft every second pixel says all
    lab = srgb_to_lab(pixels_of(np.ascontiguousarray(soft), np.ascontiguousarray(inner[::2, ::2])))
    redness = np.clip(lab[:, 1] * 2 + 100, 0, 255).astype(np.uint8)  # a* of −50 … 77 in half steps
    threshold, _ = cv2.threshold(redness[None], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    body = redness > threshold
    parted = body.any() and not body.all() and \
        float(np.median(lab[body, 1]) - np.median(lab[~body, 1])) >= _LEAST_CONTRAST
    for part, chosen in (("body", body if parted else np.ones(len(lab), bool)), ("coating", ~body if parted else None)):
        if chosen is not None:
            for axis, value in zip("Lab", np.median(lab[chosen], axis=0), strict=True):
                out[f"{part}_{axis}"] = _rounded(value, 1)
    if parted:
        out["coating_area_ratio"] = _rounded(float((~body).mean()), 3)
    return out


def _rounded(value: float, digits: int) -> float:
    return round(float(value), digits)

"""What the fusion with the text reads of a photograph: a vector for each of its places, and how it was taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from tcmstruct.image.colour import srgb_to_lab
from tcmstruct.image.crop import Crop
from tcmstruct.image.quality import QualityMeasures
from tcmstruct.image.tongue_model import Answer, Seen
from tcmstruct.image.tongue_numbers import places_of

GRID = 7
"""Places a side; a place is 32 px of the 224 px crop."""
N_QUALITY = 7
ATTRIBUTES: dict[str, tuple[str, ...]] = {"苔色": ("白", "淡黄", "黄"), "舌色": ("淡白", "淡红", "暗紫"), "腻": ("不腻", "腻", "厚腻")}
"""What the text around a tongue says something of; 裂纹 and 齿痕 are left to the photograph alone."""
TONGUE_COLUMNS = (115, 117)
"""Which of a place's numbers say how much of it is the tongue's body and rim."""
N_SAID = sum(map(len, ATTRIBUTES.values()))
"""The last numbers of a place: what the photo's own heads say."""
_UNKNOWN_CAST = 2.0
_LAB_SCALE = 25.0


def photo_places(crop: Crop, seen: Seen) -> np.ndarray:
    """(49, W) float32: the encoder's vector of each place (112), its colour L* a* b* (3; /25), how much of it is the tongue's
    body and rim (2), and, the same everywhere, the log-probabilities that the photo's own heads give (9)."""
    small = cv2.resize(crop.masked(), (8 * GRID, 8 * GRID), interpolation=cv2.INTER_AREA)
    colours = cv2.resize(srgb_to_lab(small).astype(np.float32), (GRID, GRID), interpolation=cv2.INTER_AREA)
    parts = cv2.resize(places_of(crop).transpose(1, 2, 0), (GRID, GRID), interpolation=cv2.INTER_AREA)
    said = np.broadcast_to(log_probabilities(seen.answers), (GRID * GRID, N_SAID))
    return np.concatenate([seen.grid, colours.reshape(-1, 3) / _LAB_SCALE, parts.reshape(-1, 2), said], axis=1).astype(np.float32)


def photo_quality(measures: QualityMeasures) -> np.ndarray:
    """(7,) float32: ln tongue side in px, cut share, ln sharpness, L*, ln clipped share, cast in spreads, 1 where the cast is unknown."""
    unknown = measures.cast_spreads is None
    return np.array([np.log(measures.tongue_side_px), measures.cut_share, np.log(measures.sharpness + 0.1), measures.lightness,
                     np.log(measures.clipped_share + 1e-3), _UNKNOWN_CAST if unknown else measures.cast_spreads,
                     float(unknown)], np.float32)


def log_probabilities(answers: Mapping[str, Answer]) -> np.ndarray:
    """(9,) ln of the probabilities of all classes, attribute by attribute."""
    found: Sequence[float] = [answers[name].probabilities[c] for name, classes in ATTRIBUTES.items() for c in classes]
    return np.log(np.asarray(found) + 1e-3)

"""Labelled photographs as record-level heads read them: nine numbers each, to be put beside records that state the same tongue.

No set at hand holds a record, its photograph and a diagnosis together: every pair is *simulated* (see `training.pairs`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tcmstruct.errors import InputRefused
from tcmstruct.training.data import IGNORE
from tcmstruct.training.suggestions import PhotoOf

_NEEDED = ("probabilities", "labels", "fold", "variant")


@dataclass(frozen=True)
class PhotoDeck:
    """Photos of `image.fusion_input.ATTRIBUTES`.

    Attributes:
        numbers: (P, Q) float32, ln of what the photo's own heads give each class (cross-fitted).
        labels: (P, attributes) what a person saw, or `IGNORE`.
        fold: (P,).
    """

    numbers: np.ndarray
    labels: np.ndarray
    fold: np.ndarray

    @classmethod
    def load(cls, path: Path) -> PhotoDeck:
        """From the `photos.npz` of a run of `recipes.fusion_train`; photos in worse light are left out.

        Raises:
            InputRefused: no such file, or one that holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as kept:
                probabilities, labels, fold, variant = (kept[name] for name in _NEEDED)
        except (OSError, KeyError, ValueError) as error:
            raise InputRefused(f"holds no photos ({type(error).__name__})", where=path.name, code="no_photos",
                               hint="name photos.npz of a run of tcmstruct.recipes.fusion_train") from None
        clean = variant == 0
        return cls(np.log(probabilities[clean] + 1e-3).astype(np.float32), labels[clean], fold[clean])

    def beside(self, tongues: np.ndarray, chosen: np.ndarray, shuffled: bool = False) -> PhotoOf:
        """Draws a photo for a record: one that a person labelled as the record's own words do, on one attribute that they state.

        Args:
            tongues: (D, attributes) classes that the records state, or `IGNORE`.
            chosen: (P,) bool, photos that may be drawn.
            shuffled: draw anybody's.
        """
        anyone = np.nonzero(chosen)[0]

        def draw(i: int, rng: np.random.Generator) -> np.ndarray | None:
            stated = np.nonzero(tongues[i] != IGNORE)[0]
            if not len(stated):
                return None
            a = rng.choice(stated)
            alike = anyone if shuffled else np.nonzero(chosen & (self.labels[:, a] == tongues[i, a]))[0]
            return self.numbers[rng.choice(alike)] if len(alike) else None

        return draw

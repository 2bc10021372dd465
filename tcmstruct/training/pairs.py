"""Texts and photographs put side by side → batches for the one training loop. Axes: B batch, T characters, P places.

No set at hand holds a record, its photograph and labels together. A pair is therefore *simulated*: a record whose text states
an attribute (the statement itself is taken out) beside a photo that a person labelled with the same class. What is learnt is
how far a record's other words foretell its tongue, and how far a photo of this quality is to be believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tcmstruct.image.fusion_input import ATTRIBUTES
from tcmstruct.model.fusion import FusionNet
from tcmstruct.training.data import IGNORE

_STATEMENT = re.compile(r"[^，。；、,;.\n]*[舌苔][^，。；、,;.\n]*[，。；、,;.]?")
TEXT_CLASSES: dict[str, dict[str, int]] = {
    "苔色": {"白": 0, "淡黄": 1, "黄": 2},
    "舌色": {"淡白": 0, "淡红": 1, "紫暗": 2, "淡紫": 2, "暗红": 2, "暗": 2, "淡暗": 2},
}
"""Field → value of the text → class of `fusion_input.ATTRIBUTES`; what a photo cannot tell (红, 绛, 灰, 黑) is no class."""


def without_tongue(text: str) -> str:
    """The text without the clauses that speak of the tongue."""
    return _STATEMENT.sub("", text)


def classes_of(values: Mapping[str, Sequence[str]]) -> np.ndarray:
    """Field → values of a text → (attributes,) class numbers, `IGNORE` where the text says nothing or two things."""
    out = np.full(len(ATTRIBUTES), IGNORE, np.int64)
    for number, name in enumerate(ATTRIBUTES):
        if name in TEXT_CLASSES:
            said = values.get(name, ())
            if len(said) == 1:
                out[number] = TEXT_CLASSES[name].get(said[0], IGNORE)
        elif (coating := set(values.get("苔质", ()))) and not coating & {"无", "剥", "少"}:
            out[number] = (2 if "厚" in coating else 1) if "腻" in coating else 0
    return out


@dataclass(frozen=True)
class Texts:
    """Character vectors of records without their tongue, and of the same records as they stand.

    Attributes:
        hidden, whole: (characters of all records, H) float16; starts, whole_starts: (N + 1,) where each record begins.
        labels: (N, attributes) class numbers or `IGNORE`.
        ids, sources: (N,).
    """

    hidden: np.ndarray
    starts: np.ndarray
    whole: np.ndarray
    whole_starts: np.ndarray
    labels: np.ndarray
    ids: np.ndarray
    sources: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def vectors(self, i: int, whole: bool = False) -> np.ndarray:
        """(T, H) of record i, as it stands or without its tongue."""
        source, starts = (self.whole, self.whole_starts) if whole else (self.hidden, self.starts)
        return source[starts[i] : starts[i + 1]]


@dataclass(frozen=True)
class Photos:
    """Photos as the fusion reads them, several variants of each.

    Attributes:
        places: (N, P, W); quality: (N, Q); both float32.
        labels: (N, attributes) class numbers or `IGNORE`.
        probabilities: (N, classes of all attributes) that the photo's own heads give, cross-fitted.
        variant: (N,) 0 the photo as it is, above it in another light, focus, compression. fold: (N,) by photo.
    """

    places: np.ndarray
    quality: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    variant: np.ndarray
    fold: np.ndarray

    def rows(self, chosen: np.ndarray) -> list[list[np.ndarray]]:
        """Attribute → class → rows among `chosen` (N,) bool."""
        return [[np.nonzero(chosen & (self.labels[:, a] == c))[0] for c in range(len(classes))]
                for a, classes in enumerate(ATTRIBUTES.values())]


@dataclass
class PairBatch:
    """hidden (B, T, H), mask (B, T), places (B, P, W), quality (B, Q), present (B,), labels (B, attributes)."""

    hidden: Tensor
    mask: Tensor
    places: Tensor
    quality: Tensor
    present: Tensor
    labels: Tensor

    @property
    def n_characters(self) -> int:
        """What the loop's schedule counts: here a pair is one."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> PairBatch:
        return PairBatch(*(getattr(self, f.name).to(device) for f in fields(self)))


def padded(vectors: Sequence[np.ndarray]) -> tuple[Tensor, Tensor]:
    """(T, H) of several records → (B, T, H) float32 and its mask (B, T)."""
    length = max(map(len, vectors))
    hidden = np.zeros((len(vectors), length, vectors[0].shape[1]), np.float32)
    mask = np.zeros((len(vectors), length), bool)
    for row, v in enumerate(vectors):
        hidden[row, : len(v)], mask[row, : len(v)] = v, True
    return torch.from_numpy(hidden), torch.from_numpy(mask)


def pair_batches(texts: Sequence[tuple[Texts, np.ndarray]], photos: Photos, chosen: np.ndarray, rng: np.random.Generator, *,
                 size: int = 48, without_photo: float = 0.25, wrong_photo: float = 0.05, whole_text: float = 0.25,
                 most_characters: int = 160) -> Iterator[PairBatch]:
    """One pass: every record once for each attribute that it states, beside a photo drawn anew.

    Args:
        texts: sets of texts with the records to take of each.
        chosen: (N,) bool, photos that may be drawn.
        without_photo: share of pairs that come without their photo (modality dropout).
        wrong_photo: share whose photo is anybody's while the text stays right: photos are misfiled, and heads err.
        whole_text: share of records that keep their tongue, as records do in use.
        most_characters: of a record in a pass, drawn at random: the fusion reads each character by itself.
    """
    rows, anyone = photos.rows(chosen), np.nonzero(chosen)[0]
    pairs = [(t, i, a) for t, members in texts for i in members for a in range(len(ATTRIBUTES)) if t.labels[i, a] != IGNORE]
    order = rng.permutation(len(pairs))
    for at in range(0, len(order), size):
        batch = [pairs[j] for j in order[at : at + size]]
        vectors = []
        for t, i, _ in batch:
            v = t.vectors(i, whole=rng.random() < whole_text)
            vectors.append(v if len(v) <= most_characters else v[np.sort(rng.choice(len(v), most_characters, replace=False))])
        drawn = np.array([rng.choice(rows[a][t.labels[i, a]]) for t, i, a in batch])
        wrong = rng.random(len(batch)) < wrong_photo
        drawn = np.where(wrong, rng.choice(anyone, len(batch)), drawn)
        present = (rng.random(len(batch)) >= without_photo).astype(np.float32)
        labels = np.stack([t.labels[i] for t, i, _ in batch])
        # with its photo only what both say alike is true of the pair
        paired = (present[:, None] > 0) & ~wrong[:, None]
        labels = np.where(paired & (photos.labels[drawn] != labels), IGNORE, labels)
        hidden, mask = padded(vectors)
        yield PairBatch(hidden, mask, torch.from_numpy(photos.places[drawn]), torch.from_numpy(photos.quality[drawn]),
                        torch.from_numpy(present), torch.from_numpy(labels))


class PairObjective:
    """Cross-entropy of every attribute that the pair knows.

    Args:
        class_weights: attribute → (classes,).
    """

    def __init__(self, class_weights: Mapping[str, Tensor]) -> None:
        self.class_weights = class_weights

    def loss(self, model: FusionNet, batch: PairBatch) -> Tensor:
        out = model(batch.hidden, batch.mask, batch.places, batch.quality, batch.present)
        loss = torch.zeros((), device=batch.hidden.device)
        for number, name in enumerate(ATTRIBUTES):
            labels = batch.labels[:, number]
            if (labels != IGNORE).any():
                loss = loss + F.cross_entropy(out.scores[name], labels, weight=self.class_weights[name], ignore_index=IGNORE)
        return loss


def class_weights(labels: np.ndarray, power: float = 0.5) -> dict[str, Tensor]:
    """(N, attributes) labels → attribute → weights against imbalance; `power` 1 lets all classes weigh alike, 0 none."""
    out = {}
    for number, (name, classes) in enumerate(ATTRIBUTES.items()):
        known = labels[:, number][labels[:, number] != IGNORE]
        counts = np.bincount(known, minlength=len(classes)).clip(1)
        out[name] = torch.tensor((counts.sum() / counts / len(classes)) ** power, dtype=torch.float32)
    return out

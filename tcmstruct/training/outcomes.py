"""Records with outcomes → batches for the one training loop; what teachers and students of outcomes learn by.

Axes: W windows, T characters, R records, L outcomes.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tcmstruct.model.outcome import OutcomeNet
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import windows

WINDOW_CHARS = 400


@dataclass
class OutcomeBatch:
    """ids (W, T), owner (W,) the record of a window, targets (R, L) with NaN where not known; there is no lexicon channel."""

    ids: Tensor
    owner: Tensor
    targets: Tensor
    lexicon: None = None

    @property
    def n_characters(self) -> int:
        return int((self.ids != 0).sum())

    def to(self, device: torch.device | str) -> OutcomeBatch:
        return OutcomeBatch(self.ids.to(device), self.owner.to(device), self.targets.to(device))


def encoded(texts: Sequence[str], table: CharacterTable) -> list[list[np.ndarray]]:
    """The windows of each text, without overlap; all of it is read."""
    out = []
    for text in map(normalise, texts):
        ids = table.encode(text)
        out.append([ids[w.start : w.end] for w in windows(text, WINDOW_CHARS, 0)])
    return out


def batch_of(records: Sequence[Sequence[np.ndarray]], targets: np.ndarray) -> OutcomeBatch:
    """Pads the windows of some records."""
    pieces = [(number, piece) for number, record in enumerate(records) for piece in record]
    ids = torch.zeros(len(pieces), max(len(piece) for _, piece in pieces), dtype=torch.long)
    for row, (_, piece) in zip(ids, pieces, strict=True):
        row[: len(piece)] = torch.from_numpy(piece.astype(np.int64))
    return OutcomeBatch(ids, torch.tensor([number for number, _ in pieces]), torch.from_numpy(targets.astype(np.float32)))


def outcome_batches(records: Sequence[Sequence[np.ndarray]], targets: np.ndarray, members: Sequence[int], rng: random.Random,
                    chars_per_batch: int = 2400) -> Iterator[OutcomeBatch]:
    """One pass over `members`: records of like length together, batches in random order."""
    order = sorted(members, key=lambda i: sum(map(len, records[i])) + rng.random() * 40)
    groups: list[list[int]] = [[]]
    held = 0
    for i in order:
        size = sum(map(len, records[i]))
        if groups[-1] and held + size > chars_per_batch:
            groups.append([])
            held = 0
        groups[-1].append(i)
        held += size
    rng.shuffle(groups)
    for group in groups:
        yield batch_of([records[i] for i in group], targets[group])


class KnownOutcomes:
    """Binary cross-entropy of the outcomes that are known, the rare answer weighted by the root of its rarity.

    Args:
        truth: (N, L) of the records that are trained on.
    """

    def __init__(self, truth: np.ndarray) -> None:
        positive, known = np.nansum(truth, 0), (~np.isnan(truth)).sum(0)
        self.weight = torch.tensor(((known - positive).clip(1) / positive.clip(1)) ** 0.5, dtype=torch.float32)

    def loss(self, model: OutcomeNet, batch: OutcomeBatch) -> Tensor:
        scores = model.of_records(batch.ids, batch.owner, len(batch.targets))
        known = ~batch.targets.isnan()
        each = F.binary_cross_entropy_with_logits(scores, batch.targets.nan_to_num(), pos_weight=self.weight, reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)


class TeachersScores:
    """Mean squared distance to the teachers' scores (matching of logits, Ba and Caruana 2014)."""

    def loss(self, model: OutcomeNet, batch: OutcomeBatch) -> Tensor:
        return F.mse_loss(model.of_records(batch.ids, batch.owner, len(batch.targets)), batch.targets)


@torch.inference_mode()
def scores_of(model: OutcomeNet, records: Sequence[Sequence[np.ndarray]], chars_per_batch: int = 4000) -> np.ndarray:
    """(N, L) scores."""
    model.eval()
    out = np.zeros((len(records), model.head.out_features), np.float32)
    order = sorted(range(len(records)), key=lambda i: sum(map(len, records[i])))
    at = 0
    while at < len(order):
        end, held = at, 0
        while end < len(order) and (end == at or held + sum(map(len, records[order[end]])) <= chars_per_batch):
            held += sum(map(len, records[order[end]]))
            end += 1
        chosen = order[at:end]
        batch = batch_of([records[i] for i in chosen], np.zeros((len(chosen), 1)))
        out[chosen] = model.of_records(batch.ids, batch.owner, len(chosen)).numpy()
        at = end
    return out

"""Clause vectors of records → batches for the one training loop, and the objectives of record-level heads.

Axes: B batch, N clauses, H hidden, L labels, Q numbers of a photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from tcmstruct.errors import InputRefused
from tcmstruct.model.suggestion import FollowsNet, SuggestionNet
from tcmstruct.runtime.clause_states import RecordStates
from tcmstruct.training.pairs import padded

PhotoOf = Callable[[int, np.random.Generator], np.ndarray | None]
"""Number of a record → the numbers (Q,) of a photo put beside it, or None."""


@dataclass
class RecordBatch:
    """hidden (B, N, H), mask (B, N), said (B, L) by the words, labels (B, L) with NaN where not known, photo (B, Q), present (B,)."""

    hidden: Tensor
    mask: Tensor
    said: Tensor
    labels: Tensor
    photo: Tensor
    present: Tensor

    @property
    def n_characters(self) -> int:
        """What the loop's schedule counts: here records."""
        return len(self.labels)

    def to(self, device: torch.device | str) -> RecordBatch:
        return RecordBatch(*(getattr(self, f.name).to(device) for f in fields(self)))


def record_batches(states: Sequence[RecordStates], said: np.ndarray, labels: np.ndarray, members: np.ndarray, rng: np.random.Generator,
                   *, size: int = 32, others: Sequence[RecordStates] | None = None, photo_of: PhotoOf | None = None, n_photo: int = 0,
                   share: float = 0.5) -> Iterator[RecordBatch]:
    """One pass over `members` in random order.

    Args:
        states: of every record; one without a clause is left out.
        said: (D, L) by the words of each, of a table that did not see it.
        labels: (D, L).
        others: the same records told otherwise (without their tongue): drawn in place of `states` for a `share` of them, half of
            these beside a photo, if `photo_of` gives one.
    """
    order = [i for i in rng.permutation(members) if len(states[i].vectors)]
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        photo, present = np.zeros((len(rows), n_photo), np.float32), np.zeros(len(rows), np.float32)
        chosen = []
        for place, i in enumerate(rows):
            told = states[i]
            if others is not None and len(others[i].vectors) and rng.random() < share:
                told = others[i]
                drawn = photo_of(i, rng) if photo_of is not None and rng.random() < 0.5 else None
                if drawn is not None:
                    photo[place], present[place] = drawn, 1.0
            chosen.append(told)
        hidden, mask = padded([told.vectors for told in chosen])
        yield RecordBatch(hidden, mask, torch.from_numpy(said[rows]),
                          torch.from_numpy(labels[rows]), torch.from_numpy(photo), torch.from_numpy(present))


def check_outcomes(labels: np.ndarray, where: str) -> None:
    """
    Raises:
        InputRefused: no record, or labels of one kind only: nothing can be told apart (`data_empty`, `data_one_class`).
    """
    known = labels[~np.isnan(labels)]
    if not len(known):
        raise InputRefused("no record with a known label", where=where, code="data_empty", hint="give labelled records")
    if len(np.unique(known)) < 2:
        raise InputRefused(f"all {len(known):,} labels are {'positive' if known[0] > 0.5 else 'negative'}", where=where,
                           code="data_one_class", hint="give records of both kinds")


class LabelLoss:
    """Binary cross-entropy of every known label, the rare outcome weighted, easy negatives played down if asked.

    Args:
        labels: (D, L) of the training records, for the weights.
        power: 0 leaves labels as they are; 1 lets positives and negatives of a label weigh alike.
        focus: exponent that plays easy negatives down (asymmetric loss, Ridnik et al. 2021); 0 for none.
    """

    def __init__(self, labels: np.ndarray, power: float = 0.5, focus: float = 0.0) -> None:
        positive, known = np.nansum(labels, 0), (~np.isnan(labels)).sum(0)
        self.positive_weight = torch.tensor(((known - positive).clip(1) / positive.clip(1)) ** power, dtype=torch.float32)
        self.focus = focus

    def loss(self, model: SuggestionNet, batch: RecordBatch) -> Tensor:
        scores = model(batch.hidden, batch.mask, batch.said, batch.photo, batch.present)
        known = ~batch.labels.isnan()
        truth = torch.where(known, batch.labels, 0.0)
        each = F.binary_cross_entropy_with_logits(scores, truth, pos_weight=self.positive_weight.to(scores.device), reduction="none")
        if self.focus:
            each = each * torch.where(truth > 0.5, 1.0, scores.sigmoid() ** self.focus)
        return (each * known).sum() / known.sum().clamp_min(1)


@dataclass
class PairBatch:
    """hidden (B, N, H), mask (B, N), of_candidate (B, N), follows (B,)."""

    hidden: Tensor
    mask: Tensor
    of_candidate: Tensor
    follows: Tensor

    @property
    def n_characters(self) -> int:
        """What the loop's schedule counts: here pairs."""
        return len(self.follows)

    def to(self, device: torch.device | str) -> PairBatch:
        return PairBatch(*(getattr(self, f.name).to(device) for f in fields(self)))


def pair_batch(states: Sequence[np.ndarray], n_premise: Sequence[int], follows: np.ndarray, rows: Sequence[int]) -> PairBatch:
    """The pairs `rows`; the clauses from `n_premise` on are the candidate's."""
    hidden, mask = padded([states[i] for i in rows])
    of_candidate = torch.arange(hidden.shape[1])[None] >= torch.tensor([n_premise[i] for i in rows])[:, None]
    return PairBatch(hidden, mask, of_candidate & mask, torch.from_numpy(follows[rows].astype(np.float32)))


def pair_batches(states: Sequence[np.ndarray], n_premise: Sequence[int], follows: np.ndarray, members: np.ndarray,
                 rng: np.random.Generator, size: int = 64) -> Iterator[PairBatch]:
    """One pass over `members` in random order."""
    order = rng.permutation(members)
    for at in range(0, len(order), size):
        yield pair_batch(states, n_premise, follows, order[at : at + size])


class FollowsLoss:
    """Binary cross-entropy."""

    def loss(self, model: FollowsNet, batch: PairBatch) -> Tensor:
        scores = model(batch.hidden, batch.mask, batch.of_candidate)
        return F.binary_cross_entropy_with_logits(scores, batch.follows)

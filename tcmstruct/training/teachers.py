"""Several teachers that answer as one: weighted scores, soft targets, and weights chosen on labelled text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.errors import ModelError, UsageError
from tcmstruct.model.checkpoint import load_tagger
from tcmstruct.model.config import ModelConfig
from tcmstruct.model.crf import Crf
from tcmstruct.model.tagger import CharTagger, TaggerOutput
from tcmstruct.runtime.decode import Transitions, posteriors
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.data import IGNORE, Batch, Example, collate

_LEAST = 1e-6
"""Probability below which a tag counts as impossible in a target."""


def check_labels(configs: Sequence[ModelConfig], names: Sequence[str], readouts: Sequence[str]) -> None:
    """Refuses models that do not mean the same by their character rows, tags and statuses.

    Raises:
        ModelError: tables of another size, a readout that is missing or has other labels, another number of statuses.
    """
    first = configs[0]
    for config, name in zip(configs[1:], names[1:], strict=True):
        if config.n_characters != first.n_characters:
            raise ModelError(f"{name} has {config.n_characters} character rows, {names[0]} has {first.n_characters}",
                             code="character_tables_differ", hint="models that learn from each other read with one character table")
        if config.n_statuses != first.n_statuses:
            raise ModelError(f"{name} tells {config.n_statuses} statuses apart, {names[0]} {first.n_statuses}", code="labels_differ")
    for readout in readouts:
        for config, name in zip(configs, names, strict=True):
            if readout not in config.readouts:
                raise ModelError(f"{name} has no readout {readout!r}; it has {', '.join(config.readouts) or 'none'}",
                                 code="labels_differ")
            if list(config.readouts[readout]) != list(first.readouts[readout]):
                raise ModelError(f"labels of the readout {readout!r}: {name} has {', '.join(config.readouts[readout])}; "
                                 f"{names[0]} has {', '.join(first.readouts[readout])}", code="labels_differ",
                                 hint="train the teachers with the same label set")


def normalised_weights(weights: Sequence[float] | None, n: int) -> tuple[float, ...]:
    """Weights that sum to 1; None means equal ones.

    Raises:
        UsageError: another number of weights than models, a weight that is negative or no number, or all are zero.
    """
    if weights is None:
        return (1.0 / n,) * n
    if len(weights) != n:
        raise UsageError(f"{len(weights)} weights for {n} teachers", code="ensemble_weights", hint="give one weight a teacher")
    if any(not math.isfinite(w) or w < 0 for w in weights) or not sum(weights):
        raise UsageError(f"weights {', '.join(map(str, weights))}: each must be a number of 0 or more, one above 0",
                         code="ensemble_weights")
    return tuple(w / sum(weights) for w in weights)


class Ensemble(nn.Module):
    """Teachers whose scores are averaged with weights; it is asked, and scored, like one `CharTagger`.

    Encoders may differ; the character table, statuses and the labels of shared readouts may not. The mean is taken over
    scores before the softmax (a logarithmic opinion pool), so a CRF's tables are averaged alike: a path's score is then the
    weighted mean of the members' scores of that path, a member without a CRF giving every legal move 0.

    Args:
        teachers: one or more; put into evaluation mode.
        weights: one a teacher, normalised to sum 1 (None: equal).
        names: of the teachers, for messages.

    Raises:
        UsageError: no teacher, or weights that cannot be used.
        ModelError: teachers that do not mean the same by their rows and tags.
    """

    def __init__(self, teachers: Sequence[CharTagger], weights: Sequence[float] | None = None, names: Sequence[str] | None = None) -> None:
        super().__init__()
        if not teachers:
            raise UsageError("no teacher is named", code="no_teacher", hint="name at least one checkpoint folder")
        names = names or [f"teacher {i + 1}" for i in range(len(teachers))]
        configs = [t.config for t in teachers]
        self.readouts = [r for r in configs[0].readouts if all(r in c.readouts for c in configs)]
        check_labels(configs, names, self.readouts)
        if not self.readouts:
            raise ModelError("the teachers share no readout: " + "; ".join(f"{n}: {', '.join(c.readouts) or 'none'}"
                             for n, c in zip(names, configs, strict=True)), code="labels_differ")
        self.teachers = nn.ModuleList(teachers).eval()
        self.weights = normalised_weights(weights, len(teachers))
        self.crf = nn.ModuleDict({r: crf for r in self.readouts if (crf := mean_crf(teachers, self.weights, r)) is not None})

    @classmethod
    def load(cls, folders: Sequence[Path], weights: Sequence[float] | None = None) -> tuple[Ensemble, CharacterTable]:
        """The ensemble of checkpoint folders, and their character table.

        Raises:
            ModelError: the folders' character tables differ.
        """
        if not folders:
            return cls([], weights), CharacterTable("")  # refused above
        tables = [CharacterTable.load(f / "characters.txt") for f in folders]
        for folder, table in zip(folders, tables, strict=True):
            if table.characters != tables[0].characters:
                raise ModelError(f"its {len(table)} character rows are not the {len(tables[0])} of {folders[0]}", where=str(folder),
                                 code="character_tables_differ", hint="take teachers that were adapted from one start")
        return cls([load_tagger(f) for f in folders], weights, [str(f) for f in folders]), tables[0]

    @torch.no_grad()
    def forward(self, ids: Tensor, lexicon: Tensor | None = None, only: str | None = None) -> TaggerOutput:
        """Weighted mean scores of the shared readouts, or of the one named by `only`; `hidden` is the members' side by side."""
        outputs = [t(ids, lexicon if t.config.lexicon_features else None, only) for t in self.teachers]
        names = self.readouts if only is None else [only]
        return TaggerOutput(torch.cat([o.hidden for o in outputs], -1), {n: self._mean([o.tags[n] for o in outputs]) for n in names},
                            self._mean([o.status for o in outputs]))

    def _mean(self, scores: Sequence[Tensor]) -> Tensor:
        return sum(w * s for w, s in zip(self.weights, scores, strict=True))

    def label(self, examples: Iterable[Example], readouts: Sequence[str], chars_per_batch: int = 8192, lexicon=None,
              say: Callable[[str], None] = print, chained: bool = True) -> None:
        """Writes the mean scores into `example.soft` as float16: `tags:NAME` (T, K) and `status` (T, S).

        Where the teachers have a CRF, what they believe of a character depends on its neighbours: such a readout's targets are the
        logarithms of the CRF's probabilities of each tag (forward–backward), so that a student without CRF learns it too. A student that
        has the same CRF is better told the scores that enter it: `chained` False.

        Raises:
            ModelError: a readout that the teachers do not share.
        """
        missing = [r for r in readouts if r not in self.readouts]
        if missing:
            raise ModelError(f"the teachers share no readout {missing[0]!r}; they share {', '.join(self.readouts)}",
                             code="labels_differ")
        order = sorted(examples, key=len)
        tables = {f"tags:{name}": Transitions(*crf.tables()) for name, crf in self.crf.items() if chained}
        at, done = 0, 0
        while at < len(order):
            size = max(1, chars_per_batch // max(1, len(order[min(len(order) - 1, at + 63)])))
            group = order[at : at + size]
            at += size
            batch = collate([Example(e.ids, text=e.text) for e in group], lexicon)
            with torch.inference_mode():
                output = self(batch.ids, batch.lexicon)
            for key, scores in [(f"tags:{n}", output.tags[n]) for n in readouts] + [("status", output.status)]:
                crf = tables.get(key)
                for row, e in zip(scores.float().numpy(), group, strict=True):
                    own = row[: len(e)]
                    soft = own if crf is None else np.log(np.maximum(posteriors([own], crf)[0], _LEAST))
                    e.soft[key] = soft.astype(np.float16)
            before, done = done, done + sum(map(len, group))
            if done // 200_000 != before // 200_000:
                say(f"soft targets: {done:,} characters")


def mean_crf(teachers: Sequence[CharTagger], weights: Sequence[float], readout: str) -> Crf | None:
    """The weighted mean of the members' tables; None where no member has any."""
    if not any(readout in t.crf for t in teachers):
        return None
    crf = Crf(1 + 2 * len(teachers[0].config.readouts[readout])).requires_grad_(False)
    with torch.no_grad():
        for teacher, weight in zip(teachers, weights, strict=True):
            if readout in teacher.crf:
                for own, theirs in zip(crf.parameters(), teacher.crf[readout].parameters(), strict=True):
                    own += weight * theirs
    return crf


def choose_weights(teachers: Sequence[CharTagger], labelled: Iterable[Batch], rounds: int = 20) -> tuple[float, ...]:
    """Weights under which the mean scores give labelled text the highest likelihood, by greedy selection with
    replacement (Caruana et al. 2004): each round adds the teacher that helps most; a weight is its share of the rounds.

    Args:
        labelled: batches of text that no teacher was trained on; every teacher is asked once.
        rounds: weights are multiples of 1 / rounds.

    Raises:
        UsageError: no labelled text.
    """
    Ensemble(teachers)  # refuses teachers that do not fit together
    asked: list[tuple[Batch, list[Tensor]]] = []
    for batch in labelled:
        with torch.no_grad():
            asked.append((batch, [t(batch.ids, batch.lexicon if t.config.lexicon_features else None, batch.readout).tags[batch.readout]
                                  for t in teachers]))
    if not asked:
        raise UsageError("no labelled text to choose the teachers' weights on", code="no_labelled_text")

    def loss(counts: Sequence[int]) -> float:
        weights = [c / sum(counts) for c in counts]
        crfs = {r: mean_crf(teachers, weights, r) for r in {b.readout for b, _ in asked}}
        total = n = 0.0
        for batch, scores in asked:
            mean = torch.stack([w * s for w, s in zip(weights, scores, strict=True)]).sum(0)
            crf, n_here = crfs[batch.readout], batch.n_characters
            with torch.no_grad():
                here = (F.cross_entropy(mean.flatten(0, 1), batch.tags.flatten(), ignore_index=IGNORE) if crf is None
                        else crf.negative_log_likelihood(mean, batch.ids != 0, batch.tags))
            total, n = total + here.item() * n_here, n + n_here
        return total / n

    counts = [0] * len(teachers)
    for _ in range(rounds):
        options = [[c + (i == j) for j, c in enumerate(counts)] for i in range(len(teachers))]
        counts = min(options, key=loss)
    return tuple(c / rounds for c in counts)

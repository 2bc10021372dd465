"""This project's tagger as a base of adapters: terms on its encoder's linear layers; step two also on the readout and the status."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jieba
import numpy as np
import torch
from torch import nn

from tcmstruct.errors import InputRefused, ModelError
from tcmstruct.model.checkpoint import save_tagger
from tcmstruct.model.tagger import CharTagger
from tcmstruct.runtime.adapter_folder import Step
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.adapter_beside import TaggingBeside, answered
from tcmstruct.training.adapters import Labels, Task, batch_chars
from tcmstruct.training.data import Batch, Example, batches, labelled, unlabelled
from tcmstruct.training.objectives import MaskedLM, Tagging
from tcmstruct.training.pretraining import word_numbers

PARTS: dict[str, tuple[str, ...]] = {
    "attention": ("query", "key", "value", "output"),
    "feed-forward": ("feed_in", "feed_out"),
}
"""Part of an encoder → last names of its linear layers."""
PASS_CHARS = 500_000
"""Characters of one pass at most, drawn anew each time: a run that is interrupted loses no more than that."""


class TaggerBase:
    """See `training.adapters.Base`.

    Args:
        model: its readout is part of the base, so adapters go on it; with `fresh_head` it is trained in full instead.
        readout: which one the labels train.
        parts: keys of `PARTS` that adapters go on.
        max_chars, chars_per_batch: of windows, and of batches at most.
    """

    kind = "tagger"

    def __init__(self, model: CharTagger, table: CharacterTable, lexicon: Lexicon | None, fingerprint: str, *, readout: str = "gold",
                 parts: Sequence[str] = tuple(PARTS), fresh_head: bool = False, max_chars: int = 384, chars_per_batch: int = 2048) -> None:
        self.network, self.table, self.lexicon, self.fingerprint, self.readout = model, table, lexicon, fingerprint, readout
        self._max_chars, self._chars_per_batch = max_chars, chars_per_batch
        self._beside: list[Example] = []
        last = {name for part in parts for name in PARTS[part]}
        self._encoder = [name for name, module in model.named_modules()
                         if name.startswith("encoder.") and isinstance(module, nn.Linear) and name.rpartition(".")[2] in last]
        head = (f"readouts.{readout}", "status")
        self._head = () if fresh_head else head
        self.own: tuple[str, ...] = (*head, *((f"crf.{readout}",) if readout in model.crf else ())) if fresh_head else ()

    def targets(self, step: Step) -> list[str]:
        return [*self._encoder, *(self._head if step == "downstream" else ())]

    def domain(self, texts: Sequence[str], seed: int) -> Task:
        """Masked LM with whole words masked. The lexicon channel is left out: it would give the masked words away."""
        examples = unlabelled(texts, self.table, min(self._max_chars, 255))
        jieba.setLogLevel(60)
        for e in examples:
            e.soft["word"] = word_numbers(e.text)
        return self._task(self._masked_lm(examples), examples, len(texts), seed, None)

    def _masked_lm(self, examples: Sequence[Example]) -> MaskedLM:
        """Its output layer starts as a guess of scale one at how often each character comes. The base has none any more, and the first
        steps of one that is far too sure would be spent on the adapter."""
        config = self.network.config
        objective = MaskedLM(config.encoder.hidden, len(self.table), character_width=config.character_width)
        rows = self.network.embedding.character.weight.detach()
        counts = torch.bincount(torch.from_numpy(np.concatenate([e.ids for e in examples])).long(), minlength=len(rows))
        with torch.no_grad():
            objective.norm.weight.fill_(1 / float(rows[3:].norm(dim=1).mean()))
            objective.bias.copy_(((counts + 0.1) / counts.sum()).log())
        return objective

    def labels(self, rows: Sequence[Mapping[str, Any]]) -> Labels:
        has = self.network.config.readouts[self.readout]
        counts = Counter(entity["type"] for row in rows for entity in row["entities"])
        unknown = sorted(counts.keys() - set(has))
        if unknown:
            raise ModelError(f"the labels hold {len(unknown)} types that the model does not have, the first is {unknown[0][:20]!r}",
                             where=f"readout {self.readout}", code="adapter_other_labels", hint=f"types: {', '.join(has)}")
        if len(counts) < 2:
            raise InputRefused("the labels hold no mention" if not counts else "the labels hold mentions of one type only",
                               where=f"{len(rows)} records", code="no_labels" if not counts else "one_class",
                               hint="an adapter that sees one type unlearns the others: label all types of the guide")
        return {self.readout: tuple(has)}

    def take_labels(self, labels: Labels) -> None:
        if labels != {self.readout: tuple(self.network.config.readouts.get(self.readout, ()))}:
            raise ModelError("the label set is not the model's", where=f"readout {self.readout}", code="adapter_other_labels")

    def beside(self, texts: Sequence[str]) -> None:
        self._beside = answered(self.network, self.table, self.lexicon, texts, self._max_chars)

    def downstream(self, rows: Sequence[Mapping[str, Any]], labels: Labels, seed: int) -> Task:
        examples = labelled(rows, self.readout, self.table, self._max_chars)
        objective = TaggingBeside(list(self.network.readouts), self.readout) if self._beside else Tagging()
        return self._task(objective, examples, len(rows), seed, self.lexicon, self._beside)

    def save(self, out: Path) -> None:
        save_tagger(self.network, self.table, out)

    def _task(self, objective: Any, examples: Sequence[Example], n_records: int, seed: int, lexicon: Lexicon | None,
              beside: Sequence[Example] = ()) -> Task:
        """`beside`: as many windows of it as of `examples` are drawn anew for every pass."""
        rng, n_characters = random.Random(seed), sum(map(len, examples))
        a_pass = min(len(examples), -(-len(examples) * PASS_CHARS // max(1, n_characters)))
        n_beside = min(len(beside), a_pass)
        size = batch_chars(n_characters, self._chars_per_batch)

        def one_pass() -> Iterator[Batch]:
            return batches([*rng.sample(examples, a_pass), *rng.sample(beside, n_beside)], size, rng, lexicon)

        of_beside = n_beside * sum(map(len, beside)) // max(1, len(beside))
        return Task(objective, one_pass, rng, n_records, n_characters + of_beside)

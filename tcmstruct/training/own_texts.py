"""Learning from a hospital's records without labels: masked language model and self-training, held by what the start model reads.

Two things are learnt at once. The encoder guesses masked words of the hospital's own text (Gururangan et al. 2020). And the tagger reads a
noised text as the start model read the clean one (noisy student, Xie et al. 2020), so that a finding is recognised by its surroundings too.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import UNKNOWN
from tcmstruct.training.data import Batch
from tcmstruct.training.objectives import MaskedLM
from tcmstruct.training.own_labels import OwnLabels


class OwnTexts(nn.Module):
    """Masked LM, and nearness of the noised reading to the start model's clean one.

    Args:
        start: the model that is started from; it stays as it is, and a head of its own learns to guess from its vectors, for comparison.
        lm_weight: weight of the masked LM.
        noise: share of characters that the tagger does not see; 0 makes the nearness that of the clean text.

    Uses what `OwnLabels` uses, and `batch.soft["word"]`.
    """

    def __init__(self, start: CharTagger, lm_weight: float = 0.1, noise: float = 0.15, mask_rate: float = 0.3) -> None:
        super().__init__()
        config = start.config
        heads = [MaskedLM(config.encoder.hidden, config.n_characters, mask_rate, character_width=config.character_width) for _ in range(2)]
        self.head, self.head_before = heads
        self._start = [start]  # in a list: it is neither trained nor stored
        self._near = OwnLabels()
        self.lm_weight, self.noise = lm_weight, noise

    def loss(self, model: CharTagger, batch: Batch) -> Tensor:
        total = self._near.loss(model, self._noised(batch)) if self.noise else self._near.loss(model, batch)
        if self.lm_weight:
            bare = replace(batch, lexicon=None)  # the terms of the vocabulary would give the masked words away
            total = total + self.lm_weight * (self.head.loss(model, bare) + self.head_before.loss(_Asked(self._start[0]), bare))
        return total

    @torch.no_grad()
    def held_out(self, model: CharTagger, batches: list[Batch], seed: int = 0) -> tuple[float, float]:
        """Loss of masked words that were not learnt from: by the model, and by the start model; the same words are masked."""
        losses, n = [0.0, 0.0], 0
        with torch.random.fork_rng(devices=[]):
            for number, batch in enumerate(batches):
                bare = replace(batch, lexicon=None)
                for k, (head, asked) in enumerate(((self.head, model), (self.head_before, self._start[0]))):
                    torch.manual_seed(seed * 1000 + number)
                    losses[k] += head.loss(asked, bare).item() * batch.n_characters
                n += batch.n_characters
        return losses[0] / max(1, n), losses[1] / max(1, n)

    def _noised(self, batch: Batch) -> Batch:
        hidden = (torch.rand(batch.ids.shape, device=batch.ids.device) < self.noise) & (batch.ids != 0)
        lexicon = None if batch.lexicon is None else batch.lexicon * ~hidden.unsqueeze(-1)
        return replace(batch, ids=torch.where(hidden, UNKNOWN, batch.ids), lexicon=lexicon)


class _Asked:
    """The start model for a head that learns from its vectors: nothing flows back into it."""

    def __init__(self, model: CharTagger) -> None:
        self.embedding = _Rows(model)
        self._model = model

    def encode(self, ids: Tensor, lexicon: Tensor | None = None) -> Tensor:
        with torch.no_grad():
            return self._model.encode(ids, lexicon)


class _Rows:
    def __init__(self, model: CharTagger) -> None:
        self.character = nn.Module()
        self.character.weight = model.embedding.character.weight.detach()

"""The tagger: characters in, tags and statuses out; several readouts over one encoder.

Every labelled set has its own label space and its own readout (a linear map to O, B-x, I-x), so that a set never
punishes a type that it does not label, and guides that differ do not blur each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tcmstruct.model.config import ModelConfig
from tcmstruct.model.crf import Crf
from tcmstruct.model.encoder import ENCODERS, EncoderTrace


@dataclass
class TaggerOutput:
    """Scores before the softmax.

    Attributes:
        hidden: (B, T, H) contextual vectors.
        tags: readout → (B, T, 1 + 2·labels) scores of O, B-x, I-x …
        status: (B, T, statuses).
    """

    hidden: Tensor
    tags: dict[str, Tensor]
    status: Tensor


class CharacterEmbedding(nn.Module):
    """Sum of the character's row, its hashed bigrams, and the lexicon channel, each projected to H.

    The lexicon projection starts at zero: at step 0 the model is what it was without the channel.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden = config.encoder.hidden
        width = config.character_width or hidden
        self.n_buckets = config.n_bigram_buckets
        self.character = nn.Embedding(config.n_characters, width, padding_idx=0)
        self.project = nn.Linear(width, hidden, bias=False) if width != hidden else nn.Identity()
        self.bigram = nn.Embedding(self.n_buckets, config.bigram_width) if self.n_buckets else None
        self.project_bigram = nn.Linear(2 * config.bigram_width, hidden, bias=False) if self.n_buckets else None
        self.lexicon = nn.Linear(config.lexicon_features, hidden, bias=False) if config.lexicon_features else None
        if self.lexicon is not None:
            nn.init.zeros_(self.lexicon.weight)
        if self.bigram is not None:
            nn.init.normal_(self.bigram.weight, std=0.5)
            nn.init.normal_(self.project_bigram.weight, std=0.02)

    def forward(self, ids: Tensor, lexicon: Tensor | None = None) -> Tensor:
        """ids (B, T) int64, lexicon (B, T, F) → (B, T, H)."""
        x = self.project(self.character(ids))
        if self.bigram is not None:
            # the pair (left neighbour, character); the pair to the right is the next position's left pair
            left = torch.cat([torch.zeros_like(ids[:, :1]), ids[:, :-1]], dim=1)
            rows = self.bigram((left * 31337 + ids) % self.n_buckets)
            # nothing stands to the right of the last character, whether padding follows it or not
            rows = rows * (ids != 0).unsqueeze(-1)
            after = torch.cat([rows[:, 1:], torch.zeros_like(rows[:, :1])], dim=1)
            x = x + self.project_bigram(torch.cat([rows, after], dim=-1))
        if self.lexicon is not None and lexicon is not None:
            x = x + self.lexicon(lexicon.to(x.dtype))
        return x


class CharTagger(nn.Module):
    """Embedding → encoder → readouts."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.encoder.hidden
        self.embedding = CharacterEmbedding(config)
        self.encoder = ENCODERS[config.encoder.kind](config.encoder, config.dropout)
        self.readouts = nn.ModuleDict({name: nn.Linear(hidden, 1 + 2 * len(labels)) for name, labels in config.readouts.items()})
        self.crf = nn.ModuleDict({name: Crf(1 + 2 * len(config.readouts[name])) for name in config.crf_readouts})
        self.status = nn.Linear(hidden, config.n_statuses)
        self.dropout = nn.Dropout(config.dropout)

    def encode(self, ids: Tensor, lexicon: Tensor | None = None) -> Tensor:
        """ids (B, T), 0 on padding → (B, T, H)."""
        return self.encoder(self.embedding(ids, lexicon), ids != 0)

    def forward(self, ids: Tensor, lexicon: Tensor | None = None, only: str | None = None) -> TaggerOutput:
        """Scores of all readouts, or of the one named by `only` (a batch of one set needs no other)."""
        return self._read(self.encode(ids, lexicon), only)

    def trace(self, ids: Tensor, lexicon: Tensor | None = None) -> tuple[TaggerOutput, EncoderTrace]:
        """As `forward`, and what every layer of the encoder gave (for objectives that compare layers)."""
        trace = self.encoder.trace(self.embedding(ids, lexicon), ids != 0)
        return self._read(trace.hidden[-1]), trace

    def _read(self, encoded: Tensor, only: str | None = None) -> TaggerOutput:
        hidden = self.dropout(encoded)
        names = list(self.readouts) if only is None else [only]
        return TaggerOutput(hidden, {n: self.readouts[n](hidden) for n in names}, self.status(hidden))

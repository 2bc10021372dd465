"""A record as a whole → outcomes: an encoder, and one score an outcome and character whose mean is the record's.

Being a mean over characters, the score of a record is the same in however many windows it is read.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tcmstruct.model.config import ModelConfig
from tcmstruct.model.encoder import ENCODERS
from tcmstruct.model.tagger import CharacterEmbedding


class OutcomeNet(nn.Module):
    """Axes: W windows, T characters, R records, L outcomes.

    Args:
        config: of the encoder; its readouts are not made.
        n_outcomes: L.
    """

    def __init__(self, config: ModelConfig, n_outcomes: int) -> None:
        super().__init__()
        self.config = config
        self.embedding = CharacterEmbedding(config)
        self.encoder = ENCODERS[config.encoder.kind](config.encoder, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.encoder.hidden, n_outcomes)

    def encode(self, ids: Tensor, lexicon: Tensor | None = None) -> Tensor:
        """ids (W, T), 0 on padding → (W, T, H); there is no lexicon channel."""
        return self.encoder(self.embedding(ids, lexicon), ids != 0)

    def forward(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """ids (W, T), 0 on padding → sums (W, L) over the characters of a window, and their number (W, 1)."""
        real = ids != 0
        scores = self.head(self.dropout(self.encode(ids))) * real.unsqueeze(-1)
        return scores.sum(1), real.sum(1, keepdim=True).to(scores.dtype)

    def of_records(self, ids: Tensor, owner: Tensor, n_records: int) -> Tensor:
        """Scores (R, L) of records whose windows ids (W, T) are; owner (W,) is the record of each."""
        sums, counts = self(ids)
        total = torch.zeros(n_records, sums.shape[1]).index_add(0, owner, sums)
        return total / torch.zeros(n_records, 1).index_add(0, owner, counts).clamp_min(1)

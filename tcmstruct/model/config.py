"""The shape of a model: what a checkpoint's `config.json` holds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class EncoderConfig:
    """Shape of an encoder.

    Attributes:
        kind: "transformer" (BERT layers, global attention), "shared" (one BERT layer run `n_layers` times, with adapters
            of its own for every run) or "conv" (convolutions, local context).
        hidden: width H of every character's vector.
        n_layers: number of layers, or of runs through the shared one.
        n_heads: attention heads (transformer, shared).
        feed: inner width of the feed-forward part.
        kernel: width in characters of a convolution (conv).
        attention_after: numbers of the layers (from 1) after which one attention over the window follows (conv).
        max_positions: longest window in characters, plus one (transformer, shared).
        norm_eps: epsilon of layer normalisation.
        adapter: inner width of the bottleneck adapters, 0 for none (shared).
    """

    kind: Literal["transformer", "shared", "conv"] = "transformer"
    hidden: int = 384
    n_layers: int = 12
    n_heads: int = 12
    feed: int = 1536
    kernel: int = 7
    attention_after: tuple[int, ...] = ()
    max_positions: int = 512
    norm_eps: float = 1e-12
    adapter: int = 0


@dataclass(frozen=True)
class ModelConfig:
    """Shape of a whole tagger.

    Attributes:
        encoder: the encoder's shape.
        n_characters: rows of the character table, the special ones included.
        character_width: width of the character table (None: the encoder's hidden width).
        n_bigram_buckets: rows of the hashed bigram table, 0 for none.
        bigram_width: width of the bigram table.
        lexicon_features: width F of the lexicon channel, 0 for none.
        readouts: readout name → its labels (each gives B and I tags, besides one O).
        crf_readouts: readouts whose tags are decoded by a CRF.
        n_statuses: statuses told apart for a mention that carries one.
        dropout: share of hidden units dropped in training.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    n_characters: int = 8000
    character_width: int | None = None
    n_bigram_buckets: int = 0
    bigram_width: int = 0
    lexicon_features: int = 0
    readouts: dict[str, list[str]] = field(default_factory=dict)
    crf_readouts: tuple[str, ...] = ()
    n_statuses: int = 4
    dropout: float = 0.1

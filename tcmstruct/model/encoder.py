"""Encoders: character vectors in, contextual vectors out. Axes: B batch, T characters, H hidden."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.model.config import EncoderConfig


@dataclass
class EncoderTrace:
    """What an encoder computes on its way, for objectives that compare layers.

    Attributes:
        hidden: n_layers + 1 tensors (B, T, H): what enters the first layer, then what each layer gives; the last is the
            encoder's output.
        attention: one tensor (B, heads, S, S) a layer: scores QKᵀ/√d before the softmax, asking × asked, without the
            padding's bias. S = T + 1: the start vector comes first. Empty where the layers have none ("conv").
        seen: (B, S) True on the start vector and on characters.
    """

    hidden: list[Tensor]
    attention: list[Tensor]
    seen: Tensor


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017)."""

    def __init__(self, hidden: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, H), additive bias (B, 1, 1, T) → (B, T, H)."""
        return self._mix(*self._heads(x), bias)

    def trace(self, x: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """As `forward`, and the scores (B, heads, T, T) that the fused kernel keeps to itself."""
        query, key, value = self._heads(x)
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1])
        return self._mix(query, key, value, bias), scores

    def _heads(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        batch, length, _ = x.shape

        def heads(y: Tensor) -> Tensor:  # pruning may have left fewer heads than H holds
            return y.view(batch, length, self.n_heads, -1).transpose(1, 2)

        return heads(self.query(x)), heads(self.key(x)), heads(self.value(x))

    def _mix(self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None) -> Tensor:
        # no dropout on the attention weights: it would switch the fused kernel off, for little
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        batch, n_heads, length, width = mixed.shape
        return self.output(mixed.transpose(1, 2).reshape(batch, length, n_heads * width))


class Adapter(nn.Module):
    """Bottleneck adapter with a residual sum and a normalisation (Houlsby et al. 2019, as MiniALBERT places it)."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(config.hidden, config.adapter), nn.Linear(config.adapter, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        for part in (self.down, self.up):
            nn.init.normal_(part.weight, std=0.02)
            nn.init.zeros_(part.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x + self.up(F.gelu(self.down(x))))


class RunAdapters(nn.Module):
    """The two adapters of one run through the shared layer: before its attention and before its feed-forward part."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.attention, self.feed = Adapter(config), Adapter(config)


class TransformerLayer(nn.Module):
    """A BERT layer (Devlin et al. 2019): normalisation after each residual sum."""

    def __init__(self, config: EncoderConfig, dropout: float) -> None:
        super().__init__()
        self.attention = SelfAttention(config.hidden, config.n_heads)
        self.attention_norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.feed_in = nn.Linear(config.hidden, config.feed)
        self.feed_out = nn.Linear(config.feed, config.hidden)
        self.output_norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, bias: Tensor | None, adapters: RunAdapters | None = None) -> Tensor:
        x = x if adapters is None else adapters.attention(x)
        return self._feed(self.attention_norm(x + self.dropout(self.attention(x, bias))), adapters)

    def trace(self, x: Tensor, bias: Tensor | None, adapters: RunAdapters | None = None) -> tuple[Tensor, Tensor]:
        """As `forward`, and the attention's scores."""
        x = x if adapters is None else adapters.attention(x)
        mixed, scores = self.attention.trace(x, bias)
        return self._feed(self.attention_norm(x + self.dropout(mixed)), adapters), scores

    def _feed(self, x: Tensor, adapters: RunAdapters | None) -> Tensor:
        x = x if adapters is None else adapters.feed(x)
        return self.output_norm(x + self.dropout(self.feed_out(F.gelu(self.feed_in(x)))))


class TransformerEncoder(nn.Module):
    """BERT encoder over characters; every character sees its whole window.

    A start vector stands before the first character, as the pre-trained weights expect (their attention leans on
    it), and is cut off again: a window holds at most `max_positions` − 1 characters.
    """

    def __init__(self, config: EncoderConfig, dropout: float) -> None:
        super().__init__()
        self.start = nn.Parameter(torch.zeros(config.hidden))
        self.position = nn.Embedding(config.max_positions, config.hidden)
        self.embedding_norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(TransformerLayer(config, dropout) for _ in range(self._n_own_layers(config)))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H), mask (B, T) True on characters → (B, T, H)."""
        x, mask = self._enter(x, mask)
        bias = attention_bias(mask, x.dtype)
        for layer, adapters in self._runs():
            x = layer(x, bias, adapters)
        return x[:, 1:]

    def trace(self, x: Tensor, mask: Tensor) -> EncoderTrace:
        """As `forward`, with all layers' vectors and attention scores; takes memory for them, so for training only."""
        x, mask = self._enter(x, mask)
        bias = attention_bias(mask, x.dtype)
        hidden, attention = [x[:, 1:]], []
        for layer, adapters in self._runs():
            x, scores = layer.trace(x, bias, adapters)
            hidden.append(x[:, 1:])
            attention.append(scores)
        return EncoderTrace(hidden, attention, mask)

    @staticmethod
    def _n_own_layers(config: EncoderConfig) -> int:
        return config.n_layers

    def _runs(self) -> list[tuple[TransformerLayer, RunAdapters | None]]:
        return [(layer, None) for layer in self.layers]

    def _enter(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.cat([self.start.expand(x.shape[0], 1, -1), x], dim=1)
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        return self.dropout(self.embedding_norm(x + self.position.weight[: x.shape[1]])), mask


class SharedEncoder(TransformerEncoder):
    """One BERT layer run `n_layers` times (ALBERT, Lan et al. 2020), with bottleneck adapters of its own for every run
    (MiniALBERT, Nouriborji et al. 2023): the weights of one layer, the time of all."""

    def __init__(self, config: EncoderConfig, dropout: float) -> None:
        super().__init__(config, dropout)
        self.n_runs = config.n_layers
        self.adapters = nn.ModuleList(RunAdapters(config) for _ in range(config.n_layers if config.adapter else 0))

    @staticmethod
    def _n_own_layers(config: EncoderConfig) -> int:
        return 1

    def _runs(self) -> list[tuple[TransformerLayer, RunAdapters | None]]:
        return [(self.layers[0], adapters) for adapters in self.adapters or [None] * self.n_runs]


class ConvLayer(nn.Module):
    """Depth-wise convolution over characters, then a feed-forward part, each with a residual sum.

    After ConvNeXt (Liu et al. 2022) in one dimension: the cheap mixing of neighbours that an old processor can pay.
    """

    def __init__(self, config: EncoderConfig, dilation: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.hidden, eps=1e-6)
        self.mix = nn.Conv1d(config.hidden, config.hidden, config.kernel, groups=config.hidden, dilation=dilation,
                             padding=dilation * (config.kernel // 2))
        self.feed_in = nn.Linear(config.hidden, config.feed)
        self.feed_out = nn.Linear(config.feed, config.hidden)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, keep: Tensor) -> Tensor:
        # padding is zeroed before the neighbours are mixed: a record's result must not depend on its batch
        mixed = self.mix((x * keep).transpose(1, 2)).transpose(1, 2)
        return x + self.dropout(self.feed_out(F.gelu(self.feed_in(self.norm(mixed)))))


class ConvEncoder(nn.Module):
    """Convolutional encoder; dilations 1, 2, 4, 1, 2, 4 … widen what a character sees.

    Convolutions carry no far context (is this 咳嗽 of the history, or of today?), so attention over the window may
    follow chosen layers. Positions come from the convolutions; there is no longest window.
    """

    def __init__(self, config: EncoderConfig, dropout: float) -> None:
        super().__init__()
        self.embedding_norm = nn.LayerNorm(config.hidden, eps=1e-6)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(ConvLayer(config, 2 ** (i % 3), dropout) for i in range(config.n_layers))
        self.attention = nn.ModuleDict({str(n): SelfAttention(config.hidden, config.n_heads) for n in config.attention_after})
        self.attention_norm = nn.ModuleDict({str(n): nn.LayerNorm(config.hidden, eps=1e-6) for n in config.attention_after})
        self.output_norm = nn.LayerNorm(config.hidden, eps=1e-6)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H), mask (B, T) True on characters → (B, T, H)."""
        for walked in self._walk(x, mask):
            x = walked
        return self.output_norm(x)

    def trace(self, x: Tensor, mask: Tensor) -> EncoderTrace:
        """As `forward`, with all layers' vectors; no attention scores, because most layers have none."""
        *hidden, last = self._walk(x, mask)
        return EncoderTrace([*hidden, self.output_norm(last)], [], torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1))

    def _walk(self, x: Tensor, mask: Tensor) -> Iterator[Tensor]:
        keep = mask.unsqueeze(-1).to(x.dtype)
        bias = attention_bias(mask, x.dtype)
        x = self.dropout(self.embedding_norm(x))
        yield x
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, keep)
            if str(number) in self.attention:
                x = x + self.dropout(self.attention[str(number)](self.attention_norm[str(number)](x), bias))
            yield x


def attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Mask (B, T) → additive bias (B, 1, 1, T): 0 on characters, −10⁴ on padding."""
    return ((~mask).to(dtype) * -1e4)[:, None, None, :]


ENCODERS = {"transformer": TransformerEncoder, "shared": SharedEncoder, "conv": ConvEncoder}

"""Encoders: character vectors in, contextual vectors out. Axes: B batch, T characters, H hidden."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.model.config import EncoderConfig


class SelfAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017)."""

    def __init__(self, hidden: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query, self.key, self.value, self.output = (nn.Linear(hidden, hidden) for _ in range(4))

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        """(B, T, H), additive bias (B, 1, 1, T) → (B, T, H)."""
        batch, length, hidden = x.shape

        def heads(y: Tensor) -> Tensor:
            return y.view(batch, length, self.n_heads, hidden // self.n_heads).transpose(1, 2)

        # no dropout on the attention weights: it would switch the fused kernel off, for little
        mixed = F.scaled_dot_product_attention(heads(self.query(x)), heads(self.key(x)), heads(self.value(x)), attn_mask=bias)
        return self.output(mixed.transpose(1, 2).reshape(batch, length, hidden))


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

    def forward(self, x: Tensor, bias: Tensor | None) -> Tensor:
        x = self.attention_norm(x + self.dropout(self.attention(x, bias)))
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
        self.layers = nn.ModuleList(TransformerLayer(config, dropout) for _ in range(config.n_layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, H), mask (B, T) True on characters → (B, T, H)."""
        x = torch.cat([self.start.expand(x.shape[0], 1, -1), x], dim=1)
        mask = torch.cat([torch.ones_like(mask[:, :1]), mask], dim=1)
        x = self.dropout(self.embedding_norm(x + self.position.weight[: x.shape[1]]))
        bias = attention_bias(mask, x.dtype)
        for layer in self.layers:
            x = layer(x, bias)
        return x[:, 1:]


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
        keep = mask.unsqueeze(-1).to(x.dtype)
        bias = attention_bias(mask, x.dtype)
        x = self.dropout(self.embedding_norm(x))
        for number, layer in enumerate(self.layers, start=1):
            x = layer(x, keep)
            if str(number) in self.attention:
                x = x + self.dropout(self.attention[str(number)](self.attention_norm[str(number)](x), bias))
        return self.output_norm(x)


def attention_bias(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """Mask (B, T) → additive bias (B, 1, 1, T): 0 on characters, −10⁴ on padding."""
    return ((~mask).to(dtype) * -1e4)[:, None, None, :]


ENCODERS = {"transformer": TransformerEncoder, "conv": ConvEncoder}

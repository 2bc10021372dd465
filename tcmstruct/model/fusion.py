"""Gated fusion: every character asks the photograph, and a gate decides how much of the answer it takes.

    A = softmax(Q Kᵀ / √d + ln s) V Q from the text's vectors, K and V from the photo's places (Vaswani et al. 2017); s is the
                                    share of a place that is tongue, so that nobody looks beside it
    g = σ(W [H; A; q])              q: how the photo was taken (Arevalo et al. 2017, gated multimodal units)
    F = H + m · g ⊙ A               m = 0 without a photo: F is H, bit for bit

What F is read for are the tongue's colours: the text around (痰黄, 口苦, 畏寒 …) and the photo answer together what the
text leaves open. Mentions are read from H alone: a photo never changes what the text says.

Axes: B batch, T characters, P places of the photo, H hidden, W width of a place, Q quality measures, C classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MOST_LOG_WEIGHT = 4.0
"""Bound of a character's log-weight in the pool, so that sums over the windows of any record stay finite."""


@dataclass(frozen=True)
class FusionConfig:
    """Shape of the fusion.

    Attributes:
        hidden: H of the text encoder.
        token_width: W of a photo's place.
        n_quality: Q.
        n_heads: attention heads.
        width: inner width of the attention, all heads together.
        attributes: attribute → its classes.
        tongue_columns: first and last + 1 of a place's numbers that say how much of it is tongue (shares, added up).
        gated: False leaves the gate open (the paper's row without adaptive gating).
        reach: dimensions of H that the photo can change, ascending; None: all of them. Pruning shuts the others for good.
        dropout: share of a record's hidden dimensions that training hides, so that the text is not learnt by heart.
    """

    hidden: int
    token_width: int
    n_quality: int
    attributes: Mapping[str, Sequence[str]]
    tongue_columns: tuple[int, int]
    n_heads: int = 8
    width: int = 128
    gated: bool = True
    reach: tuple[int, ...] | None = None
    dropout: float = 0.3


@dataclass
class FusionOutput:
    """What the fusion gives.

    Attributes:
        scores: attribute → (B, C) scores of its classes.
        gate: (B, T) mean over H of the gate, 0 without a photo.
        attention: (B, T, P) mean over the heads; rows sum to 1.
        fused: (B, T, H).
    """

    scores: dict[str, Tensor]
    gate: Tensor
    attention: Tensor
    fused: Tensor


class GatedFusion(nn.Module):
    """Text vectors, a photo's places and its quality → fused vectors, gate and attention."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.n_heads, self.gated = config.n_heads, config.gated
        self.norm = nn.LayerNorm(config.token_width)
        self.query = nn.Linear(config.hidden, config.width)
        self.key, self.value = (nn.Linear(config.token_width, config.width) for _ in range(2))
        reached = config.hidden if config.reach is None else len(config.reach)
        self.output = nn.Linear(config.width, reached)
        self.gate_hidden = nn.Linear(config.hidden, reached)
        self.gate_answer = nn.Linear(reached, reached, bias=False)
        self.gate_quality = nn.Linear(config.n_quality, reached, bias=False)
        self.reach: Tensor | None
        self.register_buffer("reach", None if config.reach is None else torch.tensor(config.reach), persistent=False)

    def forward(self, hidden: Tensor, places: Tensor, tongue: Tensor, quality: Tensor,
                present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, H), (B, P, W), tongue (B, P) 0–1, (B, Q), present (B,) 0 or 1 → fused (B, T, H), gate (B, T, H), attention
        (B, T, P). H of the gate: the dimensions that the photo reaches."""
        batch, length, _ = hidden.shape
        places = self.norm(places)

        def heads(x: Tensor) -> Tensor:
            return x.view(batch, x.shape[1], self.n_heads, -1).transpose(1, 2)

        query, key, value = heads(self.query(hidden)), heads(self.key(places)), heads(self.value(places))
        beside = (tongue + 1e-3).log()[:, None, None]
        attention = (query @ key.transpose(2, 3) / query.shape[-1] ** 0.5 + beside).softmax(-1)
        answer = self.output((attention @ value).transpose(1, 2).reshape(batch, length, -1))
        there = present[:, None, None]
        if self.gated:
            gate = (self.gate_hidden(hidden) + self.gate_answer(answer) + self.gate_quality(quality)[:, None]).sigmoid()
        else:
            gate = torch.ones_like(answer)
        gate = gate * there
        change = gate * answer
        fused = hidden + change if self.reach is None else hidden.index_add(2, self.reach, change)
        return fused, gate, attention.mean(1)


class FusionNet(nn.Module):
    """Fusion, a weighted pool over the characters, and linear readouts of the attributes."""

    def __init__(self, config: FusionConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("token_mean", torch.zeros(config.token_width))
        self.register_buffer("token_spread", torch.ones(config.token_width))
        self.register_buffer("quality_mean", torch.zeros(config.n_quality))
        self.register_buffer("quality_spread", torch.ones(config.n_quality))
        self.fusion = GatedFusion(config)
        self.weight = nn.Linear(config.hidden, 1)
        self.readouts = nn.ModuleDict({name: nn.Linear(config.hidden, len(classes)) for name, classes in config.attributes.items()})

    def standardise(self, places: Tensor, quality: Tensor) -> None:
        """Takes means and spreads from training photos: places (N, P, W), quality (N, Q)."""
        flat = places.flatten(0, 1)
        self.token_mean.copy_(flat.mean(0))
        self.token_spread.copy_(flat.std(0).clamp_min(1e-3))
        self.quality_mean.copy_(quality.mean(0))
        self.quality_spread.copy_(quality.std(0).clamp_min(1e-3))

    def fuse(self, hidden: Tensor, places: Tensor, quality: Tensor, present: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `GatedFusion.forward`, on raw places and quality."""
        first, end = self.config.tongue_columns
        tongue = places[..., first:end].sum(-1).clamp(0, 1)
        places = ((places - self.token_mean) / self.token_spread).clamp(-5, 5)
        quality = ((quality - self.quality_mean) / self.quality_spread).clamp(-3, 3)
        return self.fusion(hidden, places, tongue, quality, present)

    def mean_gate(self, gate: Tensor) -> Tensor:
        """(B, T, reached) → (B, T): over all of H; where the photo does not reach, the gate is shut."""
        return gate.sum(2) / self.config.hidden

    def log_weight(self, fused: Tensor) -> Tensor:
        """(B, T, H) → (B, T): what a character weighs in the pool, within ± `MOST_LOG_WEIGHT`."""
        return MOST_LOG_WEIGHT * torch.tanh(self.weight(fused).squeeze(-1) / MOST_LOG_WEIGHT)

    def forward(self, hidden: Tensor, mask: Tensor, places: Tensor, quality: Tensor, present: Tensor) -> FusionOutput:
        """hidden (B, T, H), mask (B, T) True on characters, places (B, P, W), quality (B, Q), present (B,)."""
        if self.training and self.config.dropout:
            hidden = hidden * F.dropout(torch.ones_like(hidden[:, :1]), self.config.dropout)
        fused, gate, attention = self.fuse(hidden, places, quality, present)
        share = self.log_weight(fused).masked_fill(~mask, float("-inf")).softmax(1)
        pooled = (share[:, :, None] * fused).sum(1)
        return FusionOutput({name: readout(pooled) for name, readout in self.readouts.items()}, self.mean_gate(gate), attention, fused)


class WindowSums(nn.Module):
    """What the ONNX graph computes of one window of a record: hidden (T, H), places (P, W), quality (Q,) → sums (C + 1,)
    of the weighted scores of all attributes and of the weights, gate (T,), attention (T, P).

    Sums of windows add up, so that a record of any length is read with the memory of one window; scores are
    sums[:-1] / sums[-1].
    """

    def __init__(self, net: FusionNet) -> None:
        super().__init__()
        self.net = net
        parts = list(net.readouts.values())
        self.head = nn.Linear(net.config.hidden, sum(p.out_features for p in parts))
        self.head.weight.data = torch.cat([p.weight.data for p in parts])
        self.head.bias.data = torch.cat([p.bias.data for p in parts])

    def forward(self, hidden: Tensor, places: Tensor, quality: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        fused, gate, attention = self.net.fuse(hidden[None], places[None], quality[None], torch.ones(1))
        weight = self.net.log_weight(fused)[0].exp()
        scores = self.head(fused[0])
        sums = torch.cat([(weight[:, None] * scores).sum(0), weight.sum()[None]])
        return sums, self.net.mean_gate(gate)[0], attention[0]

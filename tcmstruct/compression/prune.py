"""The pruning environment over the fused model: the image encoder's channel groups, the fusion's heads and gate groups.

`rl_pruner` decides what goes; this room says what there is to remove, removes it, refits the rest and measures. Every plan
is fine-tuned before it is judged (the projections of the cut blocks by least squares, see `channels.refit`): what a channel
is worth is what the others cannot make good.

Memory is what torch's allocator hands out over one photograph's pass and one record's fusion, plus the weights: every
tensor counts once. Blocks do not share tensors, so a plan's memory is the sum of its parts, each measured once for every
number of groups kept; what `measure` then finds on the whole pruned model is the same number, and a test holds that. The
peak at one moment is measured beside it; a wall on the peak alone would cut one block only (docs/rl_pruner.md).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

from rl_pruner import Measurement, Plan, PruningEnv, Unit
from tcmstruct.compression.allocations import Allocations, allocations
from tcmstruct.compression.channels import (
    Cut,
    block_outputs,
    channel_groups,
    prunable_blocks,
    pruned_fusion,
    refit,
    without_channels,
)
from tcmstruct.model.fusion import FusionNet
from tcmstruct.model.image_encoder import PLACES, SIDE_PX, ImageEncoder

CHANNEL, HEAD, GATE = "channel group", "fusion head", "gate group"


@dataclass(frozen=True)
class FusedModel:
    """What is pruned.

    Attributes:
        encoder: of photographs, folded (`channels.folded`).
        fusions: nets of one shape; the first is the one that is measured, all are cut alike (one a fold, so that no net is
            asked about a record that it learnt from).
    """

    encoder: ImageEncoder
    fusions: tuple[FusionNet, ...]

    def n_parameters(self) -> int:
        """Of the encoder and of one fusion."""
        return sum(p.numel() for part in (self.encoder, self.fusions[0]) for p in part.parameters())


@dataclass(frozen=True)
class Importance:
    """What each part is worth by a criterion, before anything is removed.

    Attributes:
        channels: block → (C,) of its expansion channels.
        heads: (heads,); reach: (H,) of the fusion's dimensions.
    """

    channels: Mapping[str, Tensor]
    heads: Tensor
    reach: Tensor


@dataclass(frozen=True)
class _Part:
    """What a unit stands for: `block`'s channels, or heads, or reached dimensions."""

    kind: str
    block: str
    members: tuple[int, ...]


class FusedPruning(PruningEnv):
    """The fused model seen by a search.

    Args:
        model: see `FusedModel`.
        importance: criterion → importance; "taylor" also says which channels form a group.
        calibration: (B, 3, S, S) photos on which the rest is refitted after a cut.
        quality: what a pruned model is worth, 0–1.
        tune: adjusts in place what is left of the fusions, after the encoder was refitted.
        mean_gate: (H,) mean opening of the gate, for the controller.
        n_groups: channel groups a block; n_gate_groups: of the fusion's dimensions.
        n_characters: of the record whose fusion is measured.
        identity: of weights and data behind `quality`, for the cache of measurements.
    """

    def __init__(self, model: FusedModel, importance: Mapping[str, Importance], calibration: Tensor,
                 quality: Callable[[FusedModel], float], tune: Callable[[FusedModel], None], *, mean_gate: Tensor, n_groups: int = 4,
                 n_gate_groups: int = 8, n_characters: int = 400, identity: str = "") -> None:
        self.model, self.quality, self.tune, self._calibration = model, quality, tune, calibration
        self._targets = block_outputs(model.encoder, calibration)
        self._n_characters, self._identity = n_characters, identity
        leading = importance["taylor"]
        parts = [_Part(CHANNEL, name, tuple(group)) for name, block in prunable_blocks(model.encoder).items()
                 for group in channel_groups(leading.channels[name], n_groups)]
        parts += [_Part(HEAD, "", (int(h),)) for h in leading.heads.argsort(descending=True)]
        parts += [_Part(GATE, "", tuple(sorted(group))) for group in channel_groups(leading.reach, n_gate_groups)]
        self.parts = tuple(parts)
        self._importance, self._mean_gate = importance, mean_gate

    @cached_property
    def fixed_bytes(self) -> int:  # type: ignore[override]
        """Memory that no plan removes: all that the smallest plan holds."""
        return self.memory_bytes(Plan(tuple(unit.required for unit in self.units())))

    def units(self) -> Sequence[Unit]:
        """Blocks from the bottom up, four groups each, then heads, then gate groups; the first of each stays."""
        return self._units

    @cached_property
    def _units(self) -> tuple[Unit, ...]:
        full = self._bytes([True] * len(self.parts))
        out, n_of = [], Counter((p.kind, p.block) for p in self.parts)
        seen: Counter[tuple[str, str]] = Counter()
        for place, part in enumerate(self.parts):
            keep = [i != place for i in range(len(self.parts))]
            key = (part.kind, part.block)
            name = f"{part.block or part.kind}/{seen[key]}"
            seen[key] += 1
            last = part.kind != CHANNEL or n_of[key] > 1
            scores = {criterion: self._score(found, part) for criterion, found in self._importance.items()}
            gate = float(self._mean_gate[list(part.members)].mean()) if part.kind == GATE else 1.0
            out.append(Unit(name, part.kind, self._size(part), full - self._bytes(keep), scores, gate,
                            required=seen[key] == 1 and last))
        return tuple(out)

    def _score(self, found: Importance, part: _Part) -> float:
        values = {CHANNEL: found.channels.get(part.block), HEAD: found.heads, GATE: found.reach}[part.kind]
        return float(values[list(part.members)].sum())

    def _size(self, part: _Part) -> int:
        if part.kind == CHANNEL:
            block = prunable_blocks(self.model.encoder)[part.block]
            each = block.conv_pw.in_channels + 1 + block.conv_dw.weight[0].numel() + 1 + block.conv_pwl.out_channels
            return each * len(part.members)
        config = self.model.fusions[0].config
        if part.kind == HEAD:
            width = config.width // config.n_heads
            return width * (config.hidden + 2 * config.token_width + 3 + config.hidden)
        return len(part.members) * (config.width + 2 * config.hidden + config.n_quality + 2)

    def memory_bytes(self, plan: Plan) -> int:
        """Weights and all tensors of one pass."""
        return self._bytes(plan.keep)

    def _bytes(self, keep: Sequence[bool]) -> int:
        kept = Counter((p.kind, p.block) for p, k in zip(self.parts, keep, strict=True) if k)
        channels = Counter()
        for part, k in zip(self.parts, keep, strict=True):
            if k and part.kind == CHANNEL:
                channels[part.block] += len(part.members)
        reach = sum(len(p.members) for p, k in zip(self.parts, keep, strict=True) if k and p.kind == GATE)
        return (self._encoder_base + sum(self._block_bytes(name, channels[name]) for name in prunable_blocks(self.model.encoder))
                + self._fusion_bytes(kept[HEAD, ""], reach))

    @cached_property
    def _encoder_base(self) -> int:
        """Of the encoder without its prunable blocks."""
        whole = encoder_allocations(self.model.encoder).total + _weight_bytes(self.model.encoder)
        return whole - sum(self._block_bytes(name, block.conv_pw.out_channels)
                           for name, block in prunable_blocks(self.model.encoder).items())

    @lru_cache  # noqa: B019 - one environment a search
    def _block_bytes(self, name: str, n_channels: int) -> int:
        block = prunable_blocks(self.model.encoder)[name]
        if n_channels < block.conv_pw.out_channels:
            gone = range(n_channels, block.conv_pw.out_channels)
            block = prunable_blocks(without_channels(self.model.encoder, {name: list(gone)}))[name]
        image = self._block_inputs[name]
        return allocations(lambda: block(image)).total + sum(p.numel() * p.element_size() for p in block.parameters())

    @cached_property
    def _block_inputs(self) -> dict[str, Tensor]:
        out = {}
        with torch.inference_mode():
            x = self.model.encoder.stem(torch.zeros(1, 3, SIDE_PX, SIDE_PX))
            for s, stage in enumerate(self.model.encoder.stages):
                for b, block in enumerate(stage):
                    out[f"{s}.{b}"] = x.clone()
                    x = block(x)
        return out

    @lru_cache  # noqa: B019
    def _fusion_bytes(self, n_heads: int, n_reach: int) -> int:
        net = pruned_fusion(self.model.fusions[0], range(n_heads), range(n_reach))
        return fusion_allocations(net, self._n_characters).total + _weight_bytes(net)

    def apply(self, plan: Plan) -> FusedModel:
        """The model without what the plan removes, not yet refitted."""
        cut = self.cut(plan)
        return FusedModel(without_channels(self.model.encoder, cut.removed),
                          tuple(pruned_fusion(net, cut.heads, cut.reach) for net in self.model.fusions))

    def cut(self, plan: Plan) -> Cut:
        """What a plan removes and keeps, by layer."""
        removed: dict[str, list[int]] = {}
        heads: list[int] = []
        reach: list[int] = []
        for part, kept in zip(self.parts, plan.keep, strict=True):
            if part.kind == CHANNEL:
                if not kept:
                    removed.setdefault(part.block, []).extend(part.members)
            elif kept:
                (heads if part.kind == HEAD else reach).extend(part.members)
        return Cut(removed, sorted(heads), sorted(reach))

    def tuned(self, pruned: FusedModel) -> FusedModel:
        """The pruned model with encoder and fusions adjusted, in place."""
        refit(pruned.encoder, self._calibration, self._targets)
        self.tune(pruned)
        return pruned

    def measure(self, pruned: FusedModel) -> Measurement:
        """Quality after fine-tuning; memory of the whole pruned model, measured."""
        return Measurement(self.quality(self.tuned(pruned)), self.allocated(pruned).total)

    def allocated(self, model: FusedModel) -> Allocations:
        """Weights and what is allocated over one pass, and the peak with the weights."""
        weights = _weight_bytes(model.encoder) + _weight_bytes(model.fusions[0])
        encoder, fusion = encoder_allocations(model.encoder), fusion_allocations(model.fusions[0], self._n_characters)
        return Allocations(weights + encoder.total + fusion.total, weights + max(encoder.peak, fusion.peak))

    def fingerprint(self) -> str:
        """Weights, calibration photos and the identity given."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(self._identity.encode())
        for part in (self.model.encoder, *self.model.fusions):
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        digest.update(self._calibration.contiguous().numpy().tobytes())
        return digest.hexdigest()


def encoder_allocations(encoder: ImageEncoder) -> Allocations:
    """Of one photograph at the product's size."""
    images, places = torch.zeros(1, 3, SIDE_PX, SIDE_PX), torch.ones(1, 2, PLACES, PLACES)
    return allocations(lambda: encoder(images, places))


def fusion_allocations(net: FusionNet, n_characters: int) -> Allocations:
    """Of one record beside one photograph."""
    config = net.config
    given = (torch.zeros(1, n_characters, config.hidden), torch.ones(1, n_characters, dtype=torch.bool),
             torch.zeros(1, 49, config.token_width), torch.zeros(1, config.n_quality), torch.ones(1))
    return allocations(lambda: net(*given))


def _weight_bytes(module: torch.nn.Module) -> int:
    return sum(p.numel() * p.element_size() for p in module.parameters())

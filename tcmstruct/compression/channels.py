"""Cuts channels and heads out of the image encoder and the fusion: removal is physical, what is left is refitted.

Axes: B batch, C channels, P places, H hidden. What hangs together when a channel goes (the expansion, its depthwise
filters, the projection's input) is found by torch-pruning (Fang et al. 2023, DepGraph); what the rest must then do is a
least-squares problem a block, solved in closed form (He, Zhang & Sun 2017, Channel Pruning, eq. 3), each block on the
inputs that the pruned blocks before it give, so that errors are made good and do not add up.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from tcmstruct.errors import MissingExtra
from tcmstruct.model.fusion import FusionNet
from tcmstruct.model.image_encoder import ImageEncoder

_RIDGE = 1e-3  # of the mean square of a block's inputs; keeps channels that hardly ever fire from weighing much
_MOST_ROWS = 20_000  # pixels of calibration photos a block is refitted on


def folded(encoder: ImageEncoder) -> ImageEncoder:
    """A copy whose batch normalisation is part of the convolutions, as it is in the shipped graph: same outputs."""
    out = copy.deepcopy(encoder).eval()
    conv, norm = out.stem
    out.stem = nn.Sequential(fuse_conv_bn_eval(conv, norm), norm.act)
    for _, block in named_blocks(out):
        pairs = (("conv_pw", "bn1"), ("conv_dw", "bn2"), ("conv_pwl", "bn3")) if hasattr(block, "conv_pwl") else (
            ("conv_dw", "bn1"), ("conv_pw", "bn2"))
        for conv_name, norm_name in pairs:
            norm = getattr(block, norm_name)
            setattr(block, conv_name, fuse_conv_bn_eval(getattr(block, conv_name), norm))
            setattr(block, norm_name, norm.act)
    return out


def named_blocks(encoder: ImageEncoder) -> Iterator[tuple[str, nn.Module]]:
    """("stage.block", block) from the bottom up."""
    for s, stage in enumerate(encoder.stages):
        for b, block in enumerate(stage):
            yield f"{s}.{b}", block


def prunable_blocks(encoder: ImageEncoder) -> dict[str, nn.Module]:
    """The blocks that expand their channels before the depthwise convolution: only there a channel is nobody else's."""
    return {name: block for name, block in named_blocks(encoder) if hasattr(block, "conv_pwl")}


def channel_groups(importance: Tensor, n_groups: int) -> list[list[int]]:
    """(C,) importance → channels in `n_groups` groups of like size, the most important first."""
    order = importance.argsort(descending=True)
    return [part.tolist() for part in order.tensor_split(n_groups)]


def without_channels(encoder: ImageEncoder, removed: Mapping[str, Sequence[int]], side_px: int = 64) -> ImageEncoder:
    """A copy of a folded encoder without the named expansion channels.

    Args:
        encoder: see `folded`.
        removed: block → numbers of its channels that go.

    Raises:
        MissingExtra: torch-pruning is not installed.
    """
    try:
        import torch_pruning
    except ImportError:
        raise MissingExtra("channel pruning", "train") from None
    out = copy.deepcopy(encoder).requires_grad_(True)
    blocks = prunable_blocks(out)
    if not any(removed.values()):
        return out
    example = {"images": torch.zeros(1, 3, side_px, side_px), "places": torch.ones(1, 2, side_px // 16, side_px // 16)}
    graph = torch_pruning.DependencyGraph().build_dependency(
        out, example, forward_fn=lambda model, given: model(**given).grid,
        output_transform=lambda grid: grid.sum())
    for name, channels in removed.items():
        if len(channels):
            graph.get_pruning_group(blocks[name].conv_pw, torch_pruning.prune_conv_out_channels, list(channels)).prune()
    return out.eval()


@dataclass(frozen=True)
class Cut:
    """What a plan says.

    Attributes:
        removed: block → channels that go. heads, reach: of the fusion, kept (see `pruned_fusion`).
    """

    removed: Mapping[str, Sequence[int]]
    heads: Sequence[int]
    reach: Sequence[int]


def save_pruned(encoder: ImageEncoder, cut: Cut, folder: Path) -> Path:
    """Keeps a pruned encoder: what went, and the weights of the rest; and what is to be kept of the fusion."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in encoder.state_dict().items()}, folder / "encoder.safetensors")
    (folder / "cut.json").write_text(json.dumps(asdict(cut)) + "\n")
    return folder


def load_cut(folder: Path) -> Cut:
    """What `save_pruned` kept beside the weights."""
    return Cut(**json.loads((folder / "cut.json").read_text()))


def load_pruned(whole: ImageEncoder, folder: Path) -> ImageEncoder:
    """The encoder that `save_pruned` kept.

    Args:
        whole: of the same build, with any weights.
    """
    out = without_channels(folded(whole), load_cut(folder).removed)
    out.load_state_dict(load_file(folder / "encoder.safetensors"))
    return out.eval()


def _stages(encoder: ImageEncoder, images: Tensor) -> Iterator[tuple[str, nn.Module, Tensor]]:
    """(name, block, its input) as the encoder runs; the block runs after the caller has seen, and maybe changed, it."""
    x = encoder.stem(images)
    for name, block in named_blocks(encoder):
        yield name, block, x
        x = block(x)


def block_outputs(encoder: ImageEncoder, images: Tensor) -> dict[str, Tensor]:
    """Block → what it gives (B, C, h, w): the targets of `refit`."""
    out = {}
    with torch.inference_mode():
        for name, block, x in _stages(encoder, images):
            out[name] = block(x)
    return out


def refit(pruned: ImageEncoder, images: Tensor, targets: Mapping[str, Tensor], seed: int = 0) -> None:
    """Refits in place the projections of all blocks from the first that lost channels, so that blocks give what they gave.

    Args:
        images: (B, 3, S, S) calibration photos.
        targets: `block_outputs` of the whole encoder on the same photos.
    """
    draw = torch.Generator().manual_seed(seed)
    differs = False
    with torch.no_grad():
        for name, block, x in _stages(pruned, images):
            if not hasattr(block, "conv_pwl"):
                continue
            inner = block.bn2(block.conv_dw(block.bn1(block.conv_pw(x))))
            wanted = targets[name] - (x if block.has_skip else 0)
            differs = differs or not torch.allclose(block(x), targets[name], atol=1e-4)
            if differs:
                _least_squares(block.conv_pwl, inner, wanted, draw)


def _least_squares(conv: nn.Conv2d, inputs: Tensor, wanted: Tensor, draw: torch.Generator) -> None:
    """The weights and bias of a 1 × 1 convolution, with a ridge toward those it has."""
    x, y = (t.permute(0, 2, 3, 1).reshape(-1, t.shape[1]) for t in (inputs, wanted))
    if len(x) > _MOST_ROWS:
        rows = torch.randperm(len(x), generator=draw)[:_MOST_ROWS]
        x, y = x[rows], y[rows]
    weight, bias = fitted(x, y, conv.weight.flatten(1), conv.bias)
    conv.weight.copy_(weight[:, :, None, None])
    conv.bias.copy_(bias)


def fitted(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """x (N, in), y (N, out) → weight (out, in) and bias (out,) of least squares with a ridge toward those given."""
    x, y = F.pad(x, (0, 1), value=1.0).double(), y.double()
    start = torch.cat([weight, bias[:, None]], 1).T.double()
    moment = x.T @ x / len(x)
    ridge = _RIDGE * moment.diagonal().mean() * torch.eye(len(moment), dtype=torch.float64)
    fitted = (start + torch.linalg.solve(moment + ridge, x.T @ (y - x @ start) / len(x))).T.float()
    return fitted[:, :-1].contiguous(), fitted[:, -1].contiguous()


def pruned_fusion(net: FusionNet, heads: Sequence[int], reach: Sequence[int]) -> FusionNet:
    """A copy with the named attention heads, whose photo reaches only the named of the H dimensions of the text's vectors.

    Args:
        heads: kept, at least one.
        reach: kept dimensions; the others' gate is shut for good, and what opened it is gone.
    """
    own, width = net.fusion, net.config.width // net.config.n_heads
    rows = torch.tensor([h * width + i for h in heads for i in range(width)])
    own_reach = list(net.config.reach) if net.config.reach is not None else list(range(net.config.hidden))
    kept = torch.tensor([own_reach.index(d) for d in reach])
    whole = len(reach) == net.config.hidden
    out = FusionNet(replace(net.config, n_heads=len(heads), width=len(rows), reach=None if whole else tuple(reach)))
    state = net.state_dict()
    for part in ("query", "key", "value"):
        for leaf in ("weight", "bias"):
            state[f"fusion.{part}.{leaf}"] = getattr(getattr(own, part), leaf)[rows]
    state["fusion.output.weight"] = own.output.weight[kept][:, rows]
    state["fusion.gate_answer.weight"] = own.gate_answer.weight[kept][:, kept]
    for name in ("fusion.output.bias", "fusion.gate_hidden.weight", "fusion.gate_hidden.bias", "fusion.gate_quality.weight"):
        state[name] = state[name][kept]
    out.load_state_dict(state)
    return out.eval()


def refit_fusion(pruned: FusionNet, whole: FusionNet, hidden: Tensor, mask: Tensor, places: Tensor, quality: Tensor) -> None:
    """Refits in place the output of the heads that are left, so that the dimensions that are left get the answer they got.

    Args:
        hidden: (B, T, H); mask: (B, T); places: (B, P, W); quality: (B, Q): records beside photos.
    """
    seen = []
    for net in (pruned, whole):
        hook = net.fusion.output.register_forward_hook(lambda module, given, out: seen.append((given[0][mask], out[mask])))
        with torch.no_grad():
            net.fuse(hidden, places, quality, torch.ones(len(hidden)))
        hook.remove()
    (inputs, _), (_, answers) = seen
    if pruned.config.reach is not None:
        answers = answers[:, list(pruned.config.reach)]
    output = pruned.fusion.output
    output.weight.data, output.bias.data = fitted(inputs, answers, output.weight.detach(), output.bias.detach())

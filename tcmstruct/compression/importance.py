"""What channels, heads and dimensions are worth, by a criterion: L1 norm of the weights, or first-order Taylor expansion."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor

from tcmstruct.compression.channels import prunable_blocks
from tcmstruct.compression.prune import FusedModel, Importance

Loss = Callable[[], Tensor]


def l1(model: FusedModel, group_size: Callable[[int], float]) -> Importance:
    """L1 norm of what makes a channel, a head or a dimension (Li et al. 2017), relative to the mean of its layer.

    Args:
        group_size: channels of a block → channels of a group; a group's importance is then its mean, whatever its layer's width.
    """
    fusion = model.fusions[0]
    per_input = fusion.fusion.output.weight.detach().abs().sum(0).view(fusion.config.n_heads, -1).sum(1)
    per_output = fusion.fusion.output.weight.detach().abs().sum(1)
    channels = {}
    for name, block in prunable_blocks(model.encoder).items():
        norm = block.conv_pw.weight.detach().abs().flatten(1).sum(1)
        channels[name] = norm / norm.mean() / group_size(len(norm))
    return Importance(channels, per_input / per_input.mean(), per_output / per_output.mean() / group_size(len(per_output)))


def taylor(model: FusedModel, encoder_losses: Iterable[Loss], fusion_losses: Iterable[Loss]) -> Importance:
    """|mean of activation × gradient| (Molchanov et al. 2017, eq. 8): how far the loss moves, to first order, without it;
    each layer's values divided by their norm (eq. 11), because layers differ in scale by orders.

    Args:
        encoder_losses: each computes the loss of one batch through `model.encoder`.
        fusion_losses: each through `model.fusions[0]`.
    """
    blocks = prunable_blocks(model.encoder)
    with _masked({name: (block.bn2, block.conv_pw.out_channels, 1) for name, block in blocks.items()}) as masks:
        channels = _accumulated(masks, encoder_losses)
    fusion = model.fusions[0]
    width = fusion.config.width // fusion.config.n_heads
    # the heads' answers enter `output`, the dimensions leave it
    with _masked({"reach": (fusion.fusion.output, fusion.fusion.output.out_features, -1)}) as masks, \
            _masked_input(fusion.fusion.output, fusion.config.n_heads, width) as heads:
        found = _accumulated({**masks, "heads": heads}, fusion_losses)
    channels = {name: values / values.norm() for name, values in channels.items()}
    return Importance(channels, *(found[name] / found[name].norm() for name in ("heads", "reach")))


def _accumulated(masks: dict[str, Tensor], losses: Iterable[Loss]) -> dict[str, Tensor]:
    out = {name: torch.zeros(len(mask)) for name, mask in masks.items()}
    for loss in losses:
        for name, gradient in zip(masks, torch.autograd.grad(loss(), list(masks.values())), strict=True):
            out[name] += gradient.abs()
    return out


@contextmanager
def _masked(places: dict[str, tuple[torch.nn.Module, int, int]]):
    """Multiplies the outputs of modules by ones that carry a gradient; name → (module, channels, their axis)."""
    masks = {name: torch.ones(n, requires_grad=True) for name, (_, n, _) in places.items()}

    def hook(name: str, axis: int) -> Callable:
        def multiply(module: torch.nn.Module, given: tuple, out: Tensor) -> Tensor:
            shape = [1] * out.ndim
            shape[axis] = -1
            return out * masks[name].view(shape)

        return multiply

    hooks = [module.register_forward_hook(hook(name, axis)) for name, (module, _, axis) in places.items()]
    try:
        yield masks
    finally:
        for h in hooks:
            h.remove()


@contextmanager
def _masked_input(module: torch.nn.Module, n_heads: int, width: int):
    mask = torch.ones(n_heads, requires_grad=True)
    hook = module.register_forward_pre_hook(lambda m, given: (given[0] * mask.repeat_interleave(width),))
    try:
        yield mask
    finally:
        hook.remove()

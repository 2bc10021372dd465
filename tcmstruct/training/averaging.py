"""The mean of several trainings of one model (model soups, Wortsman et al. 2022): the accuracy of several at the cost of one.

It works where the trainings come from common weights, so that no barrier lies between them; measure before it is believed.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import nn


def averaged(models: Sequence[nn.Module], shares: Sequence[float]) -> nn.Module:
    """A copy of the first whose weights are Σ share · weight; what is no floating-point number is the first's.

    Args:
        models: of the same shape.
        shares: one a model, together 1.

    Raises:
        ValueError: shapes differ, or shares do not add up to 1.
    """
    states = [model.state_dict() for model in models]
    if len(shares) != len(models) or abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"{len(models)} models need as many shares that add up to 1, not {list(shares)}")
    shapes = [{name: tensor.shape for name, tensor in state.items()} for state in states]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError("the models differ in shape")
    out = copy.deepcopy(models[0])
    out.load_state_dict({name: sum(share * state[name] for share, state in zip(shares, states, strict=True))
                         if torch.is_floating_point(tensor) else tensor for name, tensor in states[0].items()})
    return out

"""The LSTM that reads the units in order and decides on each: keep or remove."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .environment import Plan, Unit
from .errors import SettingInvalid
from .problem import PruningProblem

HIDDEN_SIZES = (64, 128, 192, 256)
_PACE = (0.05, 0.95)  # bounds of the pace: no decision is foregone before it is learned
_N_CHANGING = 3  # budget left, last action kept, last action removed


def unit_features(units: Sequence[Unit]) -> Tensor:
    """What the controller knows of each unit before it starts.

    One-hot kind; log size and share of memory; every score, standardised over the units; mean gate; the place in the
    order as sines and cosines (without it, units that look alike could be told apart by counting only).

    Returns:
        n_units × n_features, float32.
    """
    kinds = list(dict.fromkeys(unit.kind for unit in units))
    one_hot = torch.tensor([[float(unit.kind == kind) for kind in kinds] for unit in units])
    sizes = torch.tensor([math.log1p(unit.size) for unit in units])
    memory = torch.tensor([float(unit.memory_bytes) for unit in units])
    columns = [sizes / sizes.max().clamp(min=1), memory / memory.max().clamp(min=1)]
    for name in sorted(units[0].scores):
        values = torch.tensor([float(unit.scores[name]) for unit in units], dtype=torch.float64)
        spread = values.std(correction=0)
        columns.append(((values - values.mean()) / spread if spread > 0 else torch.zeros_like(values)).float())
    columns.append(torch.tensor([float(unit.mean_gate) for unit in units]))
    place = torch.arange(len(units)) / len(units)
    for turns in (0.5, 1, 2, 4):
        columns += [torch.sin(2 * math.pi * turns * place), torch.cos(2 * math.pi * turns * place)]
    return torch.cat([one_hot, torch.stack(columns, dim=1)], dim=1)


@dataclass
class Rollout:
    """K sampled plans with what REINFORCE needs of them.

    Args:
        plans: K plans, all within the limit.
        log_prob: K, log probability of each plan; carries the gradient.
        entropy: K, entropy in nats of each plan's decisions, summed; carries the gradient.
    """

    plans: list[Plan]
    log_prob: Tensor
    entropy: Tensor


class Controller(nn.Module):
    """LSTM over the units, one keep logit a step, added to that of the pace.

    The pace is the share of the undecided memory that the limit still has room for: kept with that probability, the
    units fill the limit evenly whatever was decided before. Without it, the first thing to learn is that keeping more
    scores more; the early units then take all the room, the wall decides on the rest, and the search has settled
    before it has told one unit from another.

    Args:
        n_features: columns of `unit_features`.
        hidden: LSTM width, one of `HIDDEN_SIZES`.
        seed: of the weights; the global random state is left alone.

    Raises:
        SettingInvalid: another width.
    """

    def __init__(self, n_features: int, hidden: int, seed: int) -> None:
        super().__init__()
        if hidden not in HIDDEN_SIZES:
            raise SettingInvalid(f"hidden is {hidden}, allowed are {list(HIDDEN_SIZES)}")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.cell = nn.LSTMCell(n_features + _N_CHANGING, hidden)
            self.keep_logit = nn.Linear(hidden, 1)
        nn.init.zeros_(self.keep_logit.weight)
        nn.init.zeros_(self.keep_logit.bias)

    def sample(self, problem: PruningProblem, features: Tensor, n_samples: int, generator: torch.Generator,
               follow: Plan | None = None) -> Rollout:
        """Draws plans; a decision that the wall or `required` forces has probability 1 and entropy 0.

        Args:
            problem: gives limit and memory. A choice after which the limit could no longer be met is masked (AMC, He et al.
                2018, clips the action for the same end).
            features: n_units × n_features from `unit_features(problem.units)`.
            n_samples: K.
            generator: source of randomness.
            follow: decide as this plan does wherever a decision is free, instead of drawing; what is asked for is then its
                log probability.
        """
        limit = problem.limit_bytes
        chance = torch.rand(len(features), n_samples, generator=generator)
        prefixes: list[list[bool]] = [[] for _ in range(n_samples)]
        spent = [problem.smallest_bytes] * n_samples  # memory if everything removable from here on is removed
        undecided = [0 if unit.required else unit.memory_bytes for unit in problem.units]  # bytes, here and after each unit
        undecided = list(itertools.accumulate(reversed(undecided)))[::-1]
        state = (torch.zeros(n_samples, self.cell.hidden_size), torch.zeros(n_samples, self.cell.hidden_size))
        logits, free = [], []
        for place, unit in enumerate(problem.units):
            changing = torch.tensor([
                [(limit - n_bytes) / max(limit, 1), float(prefix[-1:] == [True]), float(prefix[-1:] == [False])]
                for prefix, n_bytes in zip(prefixes, spent, strict=True)
            ])
            state = self.cell(torch.cat([features[place].expand(n_samples, -1), changing], dim=1), state)
            pace = torch.tensor([(limit - n_bytes) / max(undecided[place], 1) for n_bytes in spent])
            logits.append(self.keep_logit(state[0]).squeeze(1) + torch.logit(pace.clamp(*_PACE)))
            wanted = (chance[place] < torch.sigmoid(logits[-1].detach())).tolist() if follow is None else [follow.keep[place]] * n_samples
            free.append([False] * n_samples)
            for sample, prefix in enumerate(prefixes):
                if_kept = spent[sample] if unit.required else problem.bytes_at_least((*prefix, True))
                fits = if_kept <= limit
                free[-1][sample] = fits and not unit.required
                keep = wanted[sample] if free[-1][sample] else fits
                prefix.append(keep)
                spent[sample] = if_kept if keep else spent[sample]
        logit, is_free, kept = torch.stack(logits, dim=1), torch.tensor(free).T, torch.tensor(prefixes)
        log_keep, log_remove = nn.functional.logsigmoid(logit), nn.functional.logsigmoid(-logit)
        log_prob = torch.where(is_free, torch.where(kept, log_keep, log_remove), 0.0).sum(dim=1)
        surprise = -(log_keep.exp() * log_keep + log_remove.exp() * log_remove)
        entropy = torch.where(is_free, surprise, 0.0).sum(dim=1)
        return Rollout([Plan(tuple(prefix)) for prefix in prefixes], log_prob, entropy)


def leave_one_out_advantage(rewards: Tensor) -> Tensor:
    """Each reward minus the mean of the other samples' rewards (Kool et al. 2019).

    Args:
        rewards: K ≥ 2.

    Returns:
        K.
    """
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1)

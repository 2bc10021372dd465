"""The search: sample plans, measure them, move the controller toward those that did better than their siblings."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .checkpoint import STATE_FILE, check_units, load_checkpoint, save_checkpoint, write_whole
from .controller import HIDDEN_SIZES, Controller, leave_one_out_advantage, unit_features
from .environment import Measurement, Plan, units_as_json
from .errors import CheckpointInvalid, SettingInvalid, UnitsChanged
from .plot import plot_history
from .problem import REWARDS, Evaluation, Outcome, PruningProblem, better

_SEED_STEP = 1_000_003
_MOST_HINT_STEPS = 200
_SETTLED_SHARE = 0.05  # fewer new plans than this share of the samples: the controller only repeats itself
_MAY_CHANGE = {"n_iterations", "max_evaluations", "checkpoint_every"}


@dataclass(frozen=True)
class SearchConfig:
    """Settings of a search. On resuming, only `n_iterations`, `max_evaluations` and `checkpoint_every` may differ.

    Args:
        hidden: LSTM width, one of `HIDDEN_SIZES`.
        n_iterations: controller updates.
        samples_per_iteration: plans an update, K ≥ 2 (leave-one-out needs a sibling).
        learning_rate: of Adam.
        entropy_weight: weight of the entropy term at the start, in units of the rewards' spread a nat.
        entropy_decay: factor on that weight an iteration, above 0 and at most 1.
        follow_hint: see `LstmSearch.hint`, above 0.5 and below 1.
        patience: iterations with hardly a new plan after which the controller starts afresh, with other weights; the best
            plan so far and all measurements stay.
        max_evaluations: no iteration starts that could measure more distinct plans than this; None for no bound.
        checkpoint_every: iterations between checkpoints.
        seed: of controller weights and samples.

    Raises:
        SettingInvalid: a value outside what is allowed.
    """

    hidden: int = 64
    n_iterations: int = 200
    samples_per_iteration: int = 16
    learning_rate: float = 0.01
    entropy_weight: float = 0.3
    entropy_decay: float = 0.98
    follow_hint: float = 0.8
    patience: int = 5
    max_evaluations: int | None = None
    checkpoint_every: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        allowed = {
            "hidden": (self.hidden in HIDDEN_SIZES, f"one of {list(HIDDEN_SIZES)}"),
            "n_iterations": (self.n_iterations >= 1, "at least 1"),
            "samples_per_iteration": (self.samples_per_iteration >= 2, "at least 2"),
            "learning_rate": (math.isfinite(self.learning_rate) and self.learning_rate > 0, "above 0"),
            "entropy_weight": (math.isfinite(self.entropy_weight) and self.entropy_weight >= 0, "at least 0"),
            "entropy_decay": (0 < self.entropy_decay <= 1, "above 0 and at most 1"),
            "follow_hint": (0.5 < self.follow_hint < 1, "above 0.5 and below 1"),
            "patience": (self.patience >= 1, "at least 1"),
            "max_evaluations": (self.max_evaluations is None or self.max_evaluations >= self.samples_per_iteration,
                                f"None or at least samples_per_iteration ({self.samples_per_iteration})"),
            "checkpoint_every": (self.checkpoint_every >= 1, "at least 1"),
            "seed": (self.seed >= 0, "at least 0"),
        }
        for name, (fine, rule) in allowed.items():
            if not fine:
                raise SettingInvalid(f"{name} is {getattr(self, name)}, allowed is {rule}")


@dataclass(frozen=True)
class IterationSummary:
    """One line of the log: means over the iteration's plans, and the best plan so far.

    `entropy` is in nats a plan, `n_plans` counts distinct plans, `start` the times the controller began (1 = the first).
    """

    iteration: int
    mean_reward: float
    best_reward: float
    mean_f1: float
    best_f1: float
    mean_memory_bytes: float
    best_memory_bytes: int
    mean_kept: float
    entropy: float
    n_plans: int
    start: int


@dataclass(frozen=True)
class LstmSearch:
    """REINFORCE (Williams 1992) with a leave-one-out baseline (Kool et al. 2019) over an LSTM controller.

    With a folder it writes `evaluations.jsonl` (every measurement), a checkpoint (`state.json`, safetensors),
    `search.log`, `search.svg` and `best.json`. A search that was interrupted and resumed ends as an undisturbed one
    does, on one machine with one torch version.

    Args:
        config: settings.
        hint: a plan to begin from, a greedy one for instance: it is measured first, and the controller learns to
            follow it before it samples, until it would make a free decision as the hint does with a probability of
            `SearchConfig.follow_hint`. It then has all of its freedom to leave it.
        folder: where to write; None writes nothing.
        resume: go on from the folder's checkpoint if it has one. Without it, a folder with a checkpoint is refused.
        progress: called after every iteration.
    """

    config: SearchConfig = SearchConfig()
    folder: Path | None = None
    resume: bool = False
    progress: Callable[[IterationSummary], None] | None = None
    hint: Plan | None = None
    name: str = "lstm-rl"

    def run(self, problem: PruningProblem) -> Outcome:
        """The best plan measured.

        Raises:
            UnitsChanged: the checkpoint belongs to another unit list or environment.
            CheckpointInvalid: it is damaged, belongs to other settings, or stands in the way of a fresh start.
            PrunerError: whatever `PruningProblem.evaluate` raises; the last checkpoint stays as it is.
        """
        run = _Run(self.config, problem, self.folder, self.hint)
        if self.folder is not None:
            if (self.folder / STATE_FILE).exists():
                if not self.resume:
                    raise CheckpointInvalid(f"{self.folder} already holds a search", hint="resume it, or use a new folder")
                run.restore(self.folder)
            if problem.cache.path is None:
                problem.cache.save_to(self.folder / "evaluations.jsonl")
        if not run.history:
            run.measure_hint()
            run.save()
        while not run.finished():
            summary = run.step()
            if self.progress is not None:
                self.progress(summary)
            if summary.iteration % self.config.checkpoint_every == 0 or run.finished():
                run.save()
        assert run.best is not None
        return Outcome(self.name, run.best, len(run.seen))


class _Run:
    """The moving parts of one search."""

    def __init__(self, config: SearchConfig, problem: PruningProblem, folder: Path | None, hint: Plan | None) -> None:
        self.config, self.problem, self.folder, self.hint = config, problem, folder, hint
        self.features = unit_features(problem.units)
        self.begin(1)
        self.generator = torch.Generator().manual_seed(config.seed)
        # Largest spread of an iteration's rewards so far, as a rule the first one's: the unit of advantages, so that learning
        # rate and entropy weight mean the same in every environment. Not each iteration's own: a controller that
        # has nearly settled would then take noise for signal.
        self.scale = torch.zeros((), dtype=torch.float64)
        self.history: list[IterationSummary] = []
        self.seen: dict[str, None] = {}  # keys of the plans asked for, in order
        self.best: Evaluation | None = None

    def begin(self, start: int) -> None:
        """Fresh weights and optimiser; `start` 1 is the first."""
        self.start = start
        self.controller = Controller(self.features.shape[1], self.config.hidden, self.config.seed + _SEED_STEP * (start - 1))
        self.optimizer = torch.optim.Adam(self.controller.parameters(), lr=self.config.learning_rate)
        if self.hint is not None:
            self.learn_hint()

    def learn_hint(self) -> None:
        """Moves a fresh controller toward the hint; measures nothing."""
        for _ in range(_MOST_HINT_STEPS):
            rollout = self.controller.sample(self.problem, self.features, 1, torch.Generator(), follow=self.hint)
            n_free = max(1, sum(not unit.required for unit in self.problem.units))
            loss = -rollout.log_prob.mean() / n_free
            if not loss.requires_grad or loss.item() <= -math.log(self.config.follow_hint):
                break
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
        self.optimizer = torch.optim.Adam(self.controller.parameters(), lr=self.config.learning_rate)

    def measure_hint(self) -> None:
        """The hint is the first plan to beat."""
        if self.hint is not None:
            self.best = self.problem.evaluate(self.hint)
            self.seen[self.hint.key] = None

    def settled(self) -> bool:
        """Whether the last iterations of this start brought hardly a new plan."""
        patience = self.config.patience
        before = self.history[:-patience]
        if not before or before[-1].start != self.start:
            return False
        n_new = self.history[-1].n_plans - before[-1].n_plans
        return n_new < _SETTLED_SHARE * patience * self.config.samples_per_iteration

    def finished(self) -> bool:
        if len(self.history) >= self.config.n_iterations:
            return True
        bound = self.config.max_evaluations
        return bound is not None and len(self.seen) + self.config.samples_per_iteration > bound

    def step(self) -> IterationSummary:
        """One iteration; nothing of it is kept if a measurement fails."""
        config, done = self.config, len(self.history)
        if self.settled():
            self.begin(self.start + 1)
        rollout = self.controller.sample(self.problem, self.features, config.samples_per_iteration, self.generator)
        evaluations = [self.problem.evaluate(plan) for plan in rollout.plans]
        rewards = torch.tensor([evaluation.reward for evaluation in evaluations], dtype=torch.float64)
        self.scale = torch.maximum(self.scale, rewards.std(correction=0))
        advantage = (leave_one_out_advantage(rewards) / self.scale.clamp(min=1e-12)).float()
        age = sum(summary.start == self.start for summary in self.history)
        entropy_weight = config.entropy_weight * config.entropy_decay**age
        loss = -(advantage * rollout.log_prob).mean() - entropy_weight * rollout.entropy.mean()
        self.optimizer.zero_grad()
        if loss.requires_grad:
            loss.backward()
            nn.utils.clip_grad_norm_(self.controller.parameters(), 1.0)
            self.optimizer.step()
        for evaluation in evaluations:
            self.seen[evaluation.plan.key] = None
            self.best = better(self.best, evaluation)
        count = len(evaluations)
        summary = IterationSummary(
            iteration=done + 1,
            mean_reward=float(rewards.mean()),
            best_reward=self.best.reward,
            mean_f1=sum(e.measurement.f1 for e in evaluations) / count,
            best_f1=self.best.measurement.f1,
            mean_memory_bytes=sum(e.measurement.memory_bytes for e in evaluations) / count,
            best_memory_bytes=self.best.measurement.memory_bytes,
            mean_kept=sum(sum(e.plan.keep) for e in evaluations) / count,
            entropy=float(rollout.entropy.detach().mean()),
            n_plans=len(self.seen),
            start=self.start,
        )
        self.history.append(summary)
        return summary

    def identity(self) -> dict[str, Any]:
        """What a checkpoint must share with the search that resumes it."""
        return {"limit_bytes": self.problem.limit_bytes, "reward": self.problem.reward_name,
                "hint": self.hint.key if self.hint else None,
                **{key: value for key, value in asdict(self.config).items() if key not in _MAY_CHANGE}}

    def save(self) -> None:
        """Writes checkpoint, log, plot and best plan, if there is a folder."""
        if self.folder is None:
            return
        best = self.best
        state = {
            "iteration": len(self.history),
            "config": asdict(self.config),
            "limit_bytes": self.problem.limit_bytes,
            "reward": self.problem.reward_name,
            "hint": self.hint.key if self.hint else None,
            "units": units_as_json(self.problem.units),
            "fingerprint": self.problem.fingerprint,
            "full": asdict(self.problem.full),
            "best": None if best is None else {"plan": best.plan.key, **asdict(best.measurement)},
            "seen": list(self.seen),
            "history": [list(dataclasses.astuple(summary)) for summary in self.history],
        }
        save_checkpoint(self.folder, state, self._tensors())
        write_whole(self.folder / "search.log", self.log())
        write_whole(self.folder / "search.svg", self.plot())
        if best is not None:
            named = list(zip(self.problem.units, best.plan.keep, strict=True))
            whole = {
                "reward": best.reward, **asdict(best.measurement), "limit_bytes": self.problem.limit_bytes,
                "kept": [unit.name for unit, kept in named if kept],
                "removed": [unit.name for unit, kept in named if not kept],
            }
            write_whole(self.folder / "best.json", json.dumps(whole, ensure_ascii=False, indent=1, allow_nan=False) + "\n")

    def restore(self, folder: Path) -> None:
        """Takes up a checkpoint after checking that it belongs to this search; writes nothing."""
        state, tensors = load_checkpoint(folder)
        path = folder / STATE_FILE
        check_units(path, state["units"], units_as_json(self.problem.units))
        if state["fingerprint"] != self.problem.fingerprint:
            raise UnitsChanged(f"{path} belongs to the environment {state['fingerprint'][:12]}…, this one is "
                               f"{self.problem.fingerprint[:12]}…", hint="the same units of other weights or data: "
                               "start the search in a new folder")
        saved = {"limit_bytes": state["limit_bytes"], "reward": state["reward"], "hint": state["hint"], **state["config"]}
        for key, value in self.identity().items():
            if saved.get(key) != value:
                raise CheckpointInvalid(f"{path} was made with {key} {saved.get(key)}, this search has {value}",
                                        hint="keep the setting, or start the search in a new folder")
        try:
            history = [IterationSummary(*row) for row in state["history"]]
            if len(history) != state["iteration"]:
                raise ValueError("history")
            self.begin(history[-1].start if history else 1)
            self._load_tensors(tensors)
            full, best = Measurement(**state["full"]), state["best"]
            found = None if best is None else Measurement(best["f1"], best["memory_bytes"])
            if found is not None:
                reward = REWARDS[self.problem.reward_name](found, full)
                self.best = Evaluation(Plan.from_key(best["plan"]), found, reward)
        except (KeyError, TypeError, ValueError, RuntimeError) as fault:
            raise CheckpointInvalid(f"{path} and its tensors do not fit this search",
                                    hint="start the search in a new folder") from fault
        self.history, self.seen = history, dict.fromkeys(state["seen"])
        self.problem.use_full(full)

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"controller.{name}": value.detach().clone() for name, value in self.controller.state_dict().items()}
        for place, slots in self.optimizer.state_dict()["state"].items():
            tensors.update({f"adam.{place}.{slot}": value.clone() for slot, value in slots.items()})
        return {**tensors, "generator": self.generator.get_state(), "scale": self.scale}

    def _load_tensors(self, tensors: dict[str, Tensor]) -> None:
        own, slots = "controller.", {}
        self.controller.load_state_dict({key.removeprefix(own): v for key, v in tensors.items() if key.startswith(own)})
        for key, value in tensors.items():
            if key.startswith("adam."):
                _, place, slot = key.split(".")
                slots.setdefault(int(place), {})[slot] = value
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": slots})
        self.generator.set_state(tensors["generator"])
        self.scale = tensors["scale"]

    def log(self) -> str:
        """The search as text: what it was asked, a line an iteration, the best plan."""
        problem, config, best = self.problem, self.config, self.best
        lines = [
            f"rl_pruner: {len(problem.units)} units, limit {problem.limit_bytes} bytes "
            f"(smallest plan {problem.smallest_bytes}, full model {problem.full.memory_bytes})",
            f"full model F1 {problem.full.f1:.4f}; reward {problem.reward_name}",
            "; ".join(f"{key} {value}" for key, value in asdict(config).items()),
            "",
            "iteration |  reward mean    best |  F1 mean    best | memory mean, bytes          best |  kept | entropy |  plans | start",
        ]
        for s in self.history:
            lines.append(
                f"{s.iteration:9d} | {s.mean_reward:12.4f} {s.best_reward:7.4f} | {s.mean_f1:8.4f} {s.best_f1:7.4f} | "
                f"{s.mean_memory_bytes:18.0f} {s.best_memory_bytes:13d} | "
                f"{s.mean_kept:5.1f} | {s.entropy:7.4f} | {s.n_plans:6d} | {s.start:5d}")
        if best is not None:
            lines += ["", f"best plan {best.plan.key}: reward {best.reward:.4f}, F1 {best.measurement.f1:.4f} "
                      f"({best.measurement.f1 / problem.full.f1:.1%} of the full model), {best.measurement.memory_bytes} bytes "
                      f"({best.measurement.memory_bytes / problem.limit_bytes:.1%} of the limit)"]
        return "\n".join(lines) + "\n"

    def plot(self) -> str:
        """Reward, memory and F1 over the iterations as SVG."""
        history, problem = self.history, self.problem
        return plot_history(
            [s.iteration for s in history],
            {
                "reward": {"mean": [s.mean_reward for s in history], "best": [s.best_reward for s in history]},
                "memory, bytes": {"mean": [s.mean_memory_bytes for s in history],
                                  "best": [s.best_memory_bytes for s in history],
                                  "limit": problem.limit_bytes},
                "F1": {"mean": [s.mean_f1 for s in history], "best": [s.best_f1 for s in history],
                       "full model": problem.full.f1},
            },
            f"Pruning search: {len(problem.units)} units, reward {problem.reward_name}",
        )

"""A search problem: an environment, a memory limit that no plan may cross, a reward, and what is measured already."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from .environment import Measurement, Plan, PruningEnv, checked_units, environment_fingerprint
from .errors import (
    BudgetUnreachable,
    CheckpointInvalid,
    EnvironmentInvalid,
    PlanOverLimit,
    RewardNotFinite,
    SettingInvalid,
    UnitsChanged,
)


def compression(found: Measurement, full: Measurement) -> float:
    """C of N2N: the share of the full model that is gone, 0 (nothing) to 1. Counted in bytes, as the limit is."""
    return 1 - found.memory_bytes / full.memory_bytes


def n2n_reward(found: Measurement, full: Measurement) -> float:
    """C(2−C)·F1/F1_full (Ashok et al. 2018, N2N Learning, eq. for R with C the compression ratio)."""
    c = compression(found, full)
    return c * (2 - c) * found.f1 / full.f1


def relative_f1(found: Measurement, full: Measurement) -> float:
    """F1/F1_full: the limit alone asks for compression. The reward for comparisons at equal memory."""
    return found.f1 / full.f1


REWARDS: dict[str, Callable[[Measurement, Measurement], float]] = {"n2n": n2n_reward, "relative_f1": relative_f1}
"""Reward by name, from the measurements of a plan and of the full model."""


@dataclass(frozen=True)
class Evaluation:
    """A plan with what was measured and the reward that follows."""

    plan: Plan
    measurement: Measurement
    reward: float


@dataclass(frozen=True)
class Outcome:
    """What a policy found: its best plan, and how many distinct plans it asked for."""

    policy: str
    best: Evaluation
    n_evaluations: int


class Policy(Protocol):
    """One way to choose a plan."""

    name: str

    def run(self, problem: PruningProblem) -> Outcome:
        """The best plan that this policy finds within the problem's memory limit."""
        ...


class PlanCache:
    """Measurements by plan key, kept in memory and, with a path, in a journal of one JSON object a line.

    The first line names the environment. A last line cut short by an interruption is dropped; any other damage is an
    error. A measurement depends on neither limit nor reward, so one journal serves all policies and limits.

    Args:
        path: journal file, made on the first measurement; None keeps the cache in memory only.
        fingerprint: identity of the environment.
        n_units: length of a plan.

    Raises:
        UnitsChanged: the journal was made with another environment.
        CheckpointInvalid: a line of the journal cannot be read.
    """

    def __init__(self, path: Path | None, fingerprint: str, n_units: int) -> None:
        self.path, self._fingerprint, self._n_units = path, fingerprint, n_units
        self._measured: dict[str, Measurement] = {}
        if path is not None and path.exists():
            self._read(path)

    def __len__(self) -> int:
        return len(self._measured)

    def get(self, key: str) -> Measurement | None:
        """The measurement of a plan, or None."""
        return self._measured.get(key)

    def put(self, key: str, measurement: Measurement) -> None:
        """Keeps a measurement, on disk before this returns."""
        if self.path is not None:
            lines = [] if self.path.exists() else [{"environment": self._fingerprint, "n_units": self._n_units}]
            lines.append({"plan": key, **asdict(measurement)})
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as journal:
                journal.write("".join(json.dumps(line, allow_nan=False) + "\n" for line in lines))
                journal.flush()
                os.fsync(journal.fileno())
        self._measured[key] = measurement

    def save_to(self, path: Path) -> None:
        """Moves the cache into a journal: reads what stands there and adds what it lacks."""
        here = self._measured
        there = PlanCache(path, self._fingerprint, self._n_units)
        for key in here.keys() - there._measured.keys():
            there.put(key, here[key])
        self.path, self._measured = path, there._measured

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if not whole:  # cut short within its first line: nothing was measured yet
            path.unlink()
            return
        if len(whole) < len(data):
            os.truncate(path, len(whole))
        for number, line in enumerate(whole.decode("utf-8", "replace").splitlines(), start=1):
            try:
                row = json.loads(line)
                if number == 1:
                    self._check_header(path, row["environment"], row["n_units"])
                    continue
                key, measured = row["plan"], Measurement(float(row["f1"]), int(row["memory_bytes"]))
                if len(key) != self._n_units or set(key) - {"0", "1"} or not math.isfinite(measured.f1):
                    raise ValueError(key)
            except (ValueError, KeyError, TypeError) as fault:
                raise CheckpointInvalid(f"{path}:{number} is not a measurement of {self._n_units} units",
                                        hint="remove the line, or the file to measure anew") from fault
            self._measured[key] = measured

    def _check_header(self, path: Path, fingerprint: str, n_units: int) -> None:
        if (fingerprint, n_units) != (self._fingerprint, self._n_units):
            raise UnitsChanged(
                f"{path} was measured with {n_units} units (environment {str(fingerprint)[:12]}), "
                f"now there are {self._n_units} (environment {self._fingerprint[:12]})",
                hint="use another folder, or remove the file to measure anew",
            )


class PruningProblem:
    """One environment under one hard memory wall.

    Args:
        env: the network to prune.
        limit_bytes: memory that a plan may need at most.
        reward: a name in `REWARDS`.
        cache_file: journal of measurements, shared by all policies; None keeps them in memory.

    Raises:
        EnvironmentInvalid: see `checked_units`; or a memory that is not a positive number.
        BudgetUnreachable: the limit lies below the plan that keeps only the required units.
        SettingInvalid: an unknown reward.
    """

    def __init__(self, env: PruningEnv, limit_bytes: int, *, reward: str = "n2n", cache_file: Path | None = None) -> None:
        if reward not in REWARDS:
            raise SettingInvalid(f"reward is {reward!r}, allowed are {sorted(REWARDS)}")
        self.env, self.limit_bytes, self.reward_name = env, limit_bytes, reward
        self.units = checked_units(env)
        self._floor = tuple(unit.required for unit in self.units)
        self.smallest_bytes = env.memory_bytes(Plan(self._floor))
        self.full_bytes = env.memory_bytes(Plan.full(len(self.units)))
        if not 0 <= self.smallest_bytes <= self.full_bytes or self.full_bytes == 0:
            raise EnvironmentInvalid(f"the smallest plan needs {self.smallest_bytes} bytes and the full one "
                                     f"{self.full_bytes}; 0 ≤ smallest ≤ full and full > 0 are needed")
        if limit_bytes < self.smallest_bytes:
            raise BudgetUnreachable(f"the memory limit is {limit_bytes} bytes, the smallest possible plan needs "
                                    f"{self.smallest_bytes}", hint="raise the limit or require fewer units")
        self.fingerprint = environment_fingerprint(env, self.units)
        self.cache = PlanCache(cache_file, self.fingerprint, len(self.units))
        self._full: Measurement | None = None

    @property
    def full(self) -> Measurement:
        """The unpruned network, measured once. It is the yardstick and no plan: the limit does not apply to it.

        Raises:
            RewardNotFinite: its F1 is not a finite number above 0.
        """
        if self._full is None:
            plan = Plan.full(len(self.units))
            found = self.cache.get(plan.key)
            if found is None:
                found = self._measure(plan)
            if not (math.isfinite(found.f1) and found.f1 > 0 and found.memory_bytes > 0):
                raise RewardNotFinite(f"the full model has F1 {found.f1} at {found.memory_bytes} bytes; both must be finite "
                                      "and above 0", hint="check the model and the data that measure() uses")
            if self.cache.get(plan.key) is None:
                self.cache.put(plan.key, found)
            self._full = found
        return self._full

    def use_full(self, found: Measurement) -> None:
        """Takes over an earlier measurement of the unpruned network, so that a resumed search keeps its yardstick."""
        self._full = found

    def bytes_at_least(self, prefix: Sequence[bool]) -> int:
        """Memory of the cheapest plan that starts with these decisions: everything removable after them removed."""
        return self.env.memory_bytes(Plan((*prefix, *self._floor[len(prefix):])))

    def evaluate(self, plan: Plan) -> Evaluation:
        """Measures a plan, or takes it from the cache.

        Raises:
            PlanOverLimit: the plan needs more than the limit, by prediction (before it is built) or as measured.
            EnvironmentInvalid: the plan removes a required unit or has another length than the units.
            RewardNotFinite: measurement or reward is NaN or infinite; nothing of it is kept.
        """
        if len(plan.keep) != len(self.units):
            raise EnvironmentInvalid(f"the plan decides on {len(plan.keep)} units, the environment has {len(self.units)}")
        lost = [unit.name for unit, kept in zip(self.units, plan.keep, strict=True) if unit.required and not kept]
        if lost:
            raise EnvironmentInvalid(f"the plan {plan.key} removes the required unit {lost[0]!r}")
        self._hold_wall(plan, self.env.memory_bytes(plan), "is predicted at")
        full = self.full
        found = self.cache.get(plan.key)
        cached = found is not None
        if found is None:
            found = self._measure(plan)
        self._hold_wall(plan, found.memory_bytes, "was measured at")
        reward = REWARDS[self.reward_name](found, full)
        if not (math.isfinite(found.f1) and math.isfinite(reward)):
            raise RewardNotFinite(f"the plan {plan.key} has reward {reward} from F1 {found.f1} (full model {full.f1}) at "
                                  f"{found.memory_bytes} bytes", hint="make measure() return a finite F1")
        if not cached:
            self.cache.put(plan.key, found)
        return Evaluation(plan, found, reward)

    def _measure(self, plan: Plan) -> Measurement:
        found = self.env.measure(self.env.apply(plan))
        return Measurement(float(found.f1), int(found.memory_bytes))  # plain numbers, whatever the environment counts in

    def _hold_wall(self, plan: Plan, n_bytes: int, how: str) -> None:
        if n_bytes > self.limit_bytes:
            raise PlanOverLimit(f"the plan {plan.key} {how} {n_bytes} bytes, the limit is {self.limit_bytes}",
                                hint="memory_bytes() must be monotone and never below what measure() finds")


def better(first: Evaluation | None, second: Evaluation) -> Evaluation:
    """The higher reward; on a tie the smaller plan, then the one that came first."""
    if first is None:
        return second
    rank = (second.reward, -second.measurement.memory_bytes) > (first.reward, -first.measurement.memory_bytes)
    return second if rank else first

"""The policies to beat, all under the same memory wall: none, random, greedy by a score, evenly smaller, every plan."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .environment import Plan
from .errors import FullModelTooLarge, SettingInvalid
from .problem import Outcome, Policy, PruningProblem, better

MAX_BRUTE_FORCE_UNITS = 16


@dataclass(frozen=True)
class NoPruning:
    """Keeps everything; refuses where everything does not fit."""

    name: str = "none"

    def run(self, problem: PruningProblem) -> Outcome:
        """The full plan.

        Raises:
            FullModelTooLarge: it does not fit under the limit.
        """
        if problem.full_bytes > problem.limit_bytes:
            raise FullModelTooLarge(f"without pruning the model needs {problem.full_bytes} bytes, the limit is "
                                    f"{problem.limit_bytes}", hint="raise the limit or choose a policy that prunes")
        return Outcome(self.name, problem.evaluate(Plan.full(len(problem.units))), 1)


@dataclass(frozen=True)
class RandomPlans:
    """The best of `n_evaluations` distinct random plans.

    Each plan goes through the units in a random order and keeps what still fits with an even chance; the plans thus
    differ in memory as the controller's do.

    Args:
        n_evaluations: distinct plans to measure; fewer where the environment has no more to offer.
        seed: of this policy's own random numbers.
    """

    n_evaluations: int = 100
    seed: int = 0
    name: str = "random"

    def run(self, problem: PruningProblem) -> Outcome:
        """The best plan drawn.

        Raises:
            SettingInvalid: `n_evaluations` below 1.
        """
        if self.n_evaluations < 1:
            raise SettingInvalid(f"n_evaluations is {self.n_evaluations}, at least 1 is needed")
        rng = random.Random(self.seed)
        seen: set[str] = set()
        best = None
        for _ in range(20 * self.n_evaluations):  # a bound on redrawing plans seen already
            if len(seen) == self.n_evaluations:
                break
            plan = self._draw(problem, rng)
            if plan.key not in seen:
                seen.add(plan.key)
                best = better(best, problem.evaluate(plan))
        assert best is not None
        return Outcome(self.name, best, len(seen))

    @staticmethod
    def _draw(problem: PruningProblem, rng: random.Random) -> Plan:
        order = list(range(len(problem.units)))
        rng.shuffle(order)
        wanted = (place for place in order if rng.random() < 0.5)
        return _fill(problem, wanted)


@dataclass(frozen=True)
class Greedy:
    """Keeps the units of the highest score as long as they fit: L1, Taylor or another criterion of the environment.

    Args:
        score: a name in `Unit.scores`.
        per_byte: rank by score per byte of memory instead of by score.
    """

    score: str
    per_byte: bool = False

    @property
    def name(self) -> str:
        """The criterion's name."""
        return f"{self.score}/byte" if self.per_byte else self.score

    def run(self, problem: PruningProblem) -> Outcome:
        """The one greedy plan.

        Raises:
            SettingInvalid: the environment does not give this score.
        """
        known = sorted(problem.units[0].scores)
        if self.score not in known:
            raise SettingInvalid(f"score is {self.score!r}, the environment gives {known}")

        def rank(place: int) -> float:
            unit = problem.units[place]
            return unit.scores[self.score] / (max(unit.memory_bytes, 1) if self.per_byte else 1)

        order = sorted(range(len(problem.units)), key=rank, reverse=True)
        return Outcome(self.name, problem.evaluate(_fill(problem, order)), 1)


@dataclass(frozen=True)
class Uniform:
    """A smaller model of the same shape: every layer keeps the same share of its units, as large as the limit allows.

    A layer is what unit names have in common before their "/", and its units go from its last to its first. Where the limit
    lies between two shares, layers get one unit more from the first on, as long as it fits.
    """

    name: str = "uniform"

    def run(self, problem: PruningProblem) -> Outcome:
        """The one plan."""
        layers: dict[str, list[int]] = {}
        for place, unit in enumerate(problem.units):
            layers.setdefault(unit.name.partition("/")[0], []).append(place)
        rank = {place: ((i + 1) / len(places), layer) for layer, places in enumerate(layers.values()) for i, place in enumerate(places)}
        return Outcome(self.name, problem.evaluate(_fill(problem, sorted(rank, key=lambda place: rank[place]))), 1)


@dataclass(frozen=True)
class BruteForce:
    """Measures every plan that fits: the yardstick for small environments."""

    name: str = "brute force"

    def run(self, problem: PruningProblem) -> Outcome:
        """The best of all plans.

        Raises:
            SettingInvalid: more than `MAX_BRUTE_FORCE_UNITS` units.
        """
        n_units = len(problem.units)
        if n_units > MAX_BRUTE_FORCE_UNITS:
            raise SettingInvalid(f"brute force over {n_units} units, at most {MAX_BRUTE_FORCE_UNITS} are allowed")
        choices = [(True,) if unit.required else (False, True) for unit in problem.units]
        best, n_evaluations = None, 0
        for keep in itertools.product(*choices):
            if problem.env.memory_bytes(Plan(keep)) <= problem.limit_bytes:
                best, n_evaluations = better(best, problem.evaluate(Plan(keep))), n_evaluations + 1
        assert best is not None
        return Outcome(self.name, best, n_evaluations)


def _fill(problem: PruningProblem, order: Iterable[int]) -> Plan:
    """Keeps the required units and then, in this order, each unit that still fits."""
    keep = [unit.required for unit in problem.units]
    for place in order:
        tried = [*keep[:place], True, *keep[place + 1:]]
        if problem.env.memory_bytes(Plan(tuple(tried))) <= problem.limit_bytes:
            keep = tried
    return Plan(tuple(keep))


@dataclass(frozen=True)
class Comparison:
    """One line of a comparison: an outcome, or why the policy has none."""

    policy: str
    outcome: Outcome | None
    reason: str = ""


def compare(problem: PruningProblem, policies: Sequence[Policy]) -> list[Comparison]:
    """Runs the policies on one problem; a policy whose plan does not fit stands in the list with the reason."""
    rows = []
    for policy in policies:
        try:
            outcome = policy.run(problem)
            rows.append(Comparison(outcome.policy, outcome))
        except FullModelTooLarge as over:
            rows.append(Comparison(policy.name, None, over.what))
    return rows


def format_comparison(problem: PruningProblem, rows: Sequence[Comparison]) -> str:
    """The comparison as a Markdown table, the full model first."""
    n_units, full = len(problem.units), problem.full
    lines = [
        f"Memory limit {problem.limit_bytes} bytes, reward {problem.reward_name}.",
        "",
        "| policy | F1 | memory, bytes | units kept | reward | plans measured |",
        "|---|---:|---:|---:|---:|---:|",
        f"| (full model) | {full.f1:.4f} | {full.memory_bytes} | {n_units}/{n_units} | – | – |",
    ]
    for row in rows:
        if row.outcome is None:
            lines.append(f"| {row.policy} | – | – | – | – | {row.reason} |")
            continue
        best = row.outcome.best
        lines.append(f"| {row.policy} | {best.measurement.f1:.4f} | {best.measurement.memory_bytes} | "
                     f"{sum(best.plan.keep)}/{n_units} | {best.reward:.4f} | {row.outcome.n_evaluations} |")
    return "\n".join(lines) + "\n"

"""Networks made of numbers: what a plan scores is known, so the best plan is known."""

from __future__ import annotations

import random
from collections.abc import Sequence

from rl_pruner import Measurement, Plan, PruningEnv, Unit


class ToyEnv(PruningEnv):
    """F1 = (base + Σ gains kept + Σ pair bonuses kept) / the same of the full plan; memory is additive."""

    fixed_bytes = 100

    def __init__(self, gains: Sequence[float], memory: Sequence[int], *, scores: Sequence[float] | None = None,
                 pairs: dict[tuple[int, int], float] | None = None, required: Sequence[int] = ()) -> None:
        self.gains, self.memory, self.pairs = list(gains), list(memory), pairs or {}
        self.scores, self.required = list(scores or gains), set(required)
        self.measured: list[str] = []
        self._units = [
            Unit(f"u{i}", "head" if i % 2 else "channels", size=m // 4, memory_bytes=m, mean_gate=0.5,
                 scores={"taylor": self.scores[i], "l1": -self.scores[i]}, required=i in self.required)
            for i, m in enumerate(self.memory)
        ]

    def units(self) -> list[Unit]:
        return self._units

    def apply(self, plan: Plan) -> Plan:
        return plan

    def quality(self, keep: Sequence[bool]) -> float:
        alone = sum(gain for gain, kept in zip(self.gains, keep, strict=True) if kept)
        return 5.0 + alone + sum(bonus for (a, b), bonus in self.pairs.items() if keep[a] and keep[b])

    def measure(self, pruned: Plan) -> Measurement:
        self.measured.append(pruned.key)
        return Measurement(0.9 * self.quality(pruned.keep) / self.quality((True,) * len(self.gains)), self.memory_bytes(pruned))


def misleading_env(seed: int, n_units: int) -> ToyEnv:
    """Pairs matter more than single units, and the given score is half noise: greedy does not find the best plan."""
    rng = random.Random(seed)
    gains = [rng.uniform(0.0, 1.0) for _ in range(n_units)]
    memory = [rng.randrange(50, 200) for _ in range(n_units)]
    pairs = {(a, b): rng.uniform(-0.6, 1.2) for a in range(n_units) for b in range(a + 1, n_units) if rng.random() < 0.25}
    return ToyEnv(gains, memory, pairs=pairs, scores=[gain + rng.uniform(-0.5, 0.5) for gain in gains])

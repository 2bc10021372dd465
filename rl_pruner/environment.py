"""What a search needs to know of a network: its removable units, how to remove them, how good the rest is."""

from __future__ import annotations

import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .errors import EnvironmentInvalid


@dataclass(frozen=True)
class Unit:
    """One part of the network that is removed whole or kept whole.

    Args:
        name: unique among the units.
        kind: what it is (an attention head, a channel group …); the controller reads it as a category.
        size: parameters that disappear with it.
        memory_bytes: memory it takes when kept, in bytes.
        scores: importance by name of the criterion ("taylor", "l1" …); every unit carries the same names.
        mean_gate: mean opening of the gate in front of it, 0–1; 1 where there is none.
        required: never removed (the last channel group of a layer, say).
    """

    name: str
    kind: str
    size: int
    memory_bytes: int
    scores: Mapping[str, float] = field(default_factory=dict)
    mean_gate: float = 1.0
    required: bool = False


@dataclass(frozen=True)
class Plan:
    """One keep decision per unit, in the order of `PruningEnv.units()`."""

    keep: tuple[bool, ...]

    @classmethod
    def from_key(cls, key: str) -> Plan:
        """Inverse of `key`."""
        return cls(tuple(mark == "1" for mark in key))

    @classmethod
    def full(cls, n_units: int) -> Plan:
        """The plan that removes nothing."""
        return cls((True,) * n_units)

    @property
    def key(self) -> str:
        """One character a unit, `1` kept and `0` removed; the name of the plan in cache and log."""
        return "".join("1" if kept else "0" for kept in self.keep)


@dataclass(frozen=True)
class Measurement:
    """What a pruned network does: `f1` in 0–1, `memory_bytes` after physical removal."""

    f1: float
    memory_bytes: int


class PruningEnv(ABC):
    """A network seen from outside. `units`, `apply` and `measure` are all that a search asks of it.

    Memory is a hard wall, so it must be known before a plan is built: `memory_bytes` predicts it. The default is
    additive; override it where units share memory (a convolution's weights are input × output channels). It must
    never fall when a further unit is kept, and never be below what `measure` then finds.
    """

    fixed_bytes: int = 0
    """Memory that no plan removes."""

    @abstractmethod
    def units(self) -> Sequence[Unit]:
        """The removable units in the order in which they are decided; the same at every call."""

    @abstractmethod
    def apply(self, plan: Plan) -> Any:
        """A copy of the network with the units of `plan` physically removed; the original is left alone."""

    @abstractmethod
    def measure(self, pruned: Any) -> Measurement:
        """Quality and memory of what `apply` returned."""

    def memory_bytes(self, plan: Plan) -> int:
        """Predicted memory of a plan in bytes."""
        return self.fixed_bytes + sum(unit.memory_bytes for unit, kept in zip(self.units(), plan.keep, strict=True) if kept)

    def fingerprint(self) -> str:
        """Whatever else a measurement depends on (sha256 of weights and test data); part of the cache's identity."""
        return ""


def checked_units(env: PruningEnv) -> tuple[Unit, ...]:
    """The environment's units, or an error that names the first one that is not usable.

    Raises:
        EnvironmentInvalid: no units, a name twice, a negative size, a score that is missing or not finite.
    """
    units = tuple(env.units())
    if not units:
        raise EnvironmentInvalid("the environment has 0 prunable units, at least 1 is needed")
    names: dict[str, int] = {}
    for place, unit in enumerate(units):
        where = f"unit {place} ({unit.name!r})"
        if unit.name in names:
            raise EnvironmentInvalid(f"{where} has the name of unit {names[unit.name]}", hint="give every unit its own name")
        names[unit.name] = place
        if unit.size < 0 or unit.memory_bytes < 0:
            raise EnvironmentInvalid(f"{where}: size {unit.size}, memory {unit.memory_bytes} bytes; both must be 0 or more")
        if set(unit.scores) != set(units[0].scores):
            raise EnvironmentInvalid(f"{where} has the scores {sorted(unit.scores)}, unit 0 has {sorted(units[0].scores)}",
                                     hint="give every unit the same scores")
        for score, value in (*unit.scores.items(), ("mean_gate", unit.mean_gate)):
            if not math.isfinite(value):
                raise EnvironmentInvalid(f"{where}: {score} is {value}, a finite number is needed")
    return units


def units_as_json(units: Sequence[Unit]) -> list[dict[str, Any]]:
    """The units as plain values, for checkpoints."""
    return [
        {"name": unit.name, "kind": unit.kind, "size": int(unit.size), "memory_bytes": int(unit.memory_bytes),
         "scores": {name: float(value) for name, value in sorted(unit.scores.items())},
         "mean_gate": float(unit.mean_gate), "required": bool(unit.required)}
        for unit in units
    ]


def environment_fingerprint(env: PruningEnv, units: Sequence[Unit]) -> str:
    """sha256 over what a measurement depends on. Scores stay out: a plan's F1 does not change with them."""
    identity = [[unit[key] for key in ("name", "kind", "size", "memory_bytes", "required")] for unit in units_as_json(units)]
    text = json.dumps([env.fingerprint(), int(env.fixed_bytes), identity], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()

"""Two-step parameter-efficient adaptation (LoRA, Hu et al. 2022; clinical and downstream adapter, Gema et al. 2023) with `peft`.

A domain adapter learns from text without labels, a downstream adapter from labels, and both act at once. What kind of network they stand in
is unknown here: a `Base` says which layers they go on, and what a step learns from.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from peft import LoraConfig, LoraModel
from peft.functional import set_requires_grad
from torch import Tensor, nn

from tcmstruct.errors import ModelError
from tcmstruct.runtime.adapter_folder import STEPS, Adapter, Step, StepFacts
from tcmstruct.training.loop import Batch
from tcmstruct.training.objectives import Objective

Labels = dict[str, tuple[str, ...]]
"""Readout → its labels in order."""


LEAST_BATCHES, LEAST_CHARS = 32, 256
"""Of a pass: fifty records in batches for a thousand would be a handful of steps."""


def batch_chars(n_characters: int, most: int) -> int:
    """Characters (or tokens) of a batch, for a pass over `n_characters`."""
    return min(most, max(LEAST_CHARS, n_characters // LEAST_BATCHES))


@dataclass(frozen=True)
class LoraShape:
    """Attributes: rank: R of A and B; alpha: the term is scaled by alpha/R; dropout: of what enters A, in training."""

    rank: int = 4
    alpha: float = 8.0
    dropout: float = 0.0


@dataclass
class Task:
    """What a step learns from.

    Attributes:
        one_pass: gives the batches of one pass, or of a bounded share of it, drawn with `rng`.
        n_characters: of all of them (or tokens).
    """

    objective: Objective
    one_pass: Callable[[], Iterable[Batch]]
    rng: random.Random
    n_records: int
    n_characters: int


class Base(Protocol):
    """A model that adapters stand in.

    Attributes:
        kind: as the adapter's manifest names it.
        fingerprint: sha256 of what the model computes.
        network: the adapters are put into it in place.
        own: modules that the base does not have and that step two therefore trains in full.
    """

    kind: str
    fingerprint: str
    network: nn.Module
    own: tuple[str, ...]

    def targets(self, step: Step) -> list[str]:
        """Names of the linear layers that the step's adapter goes on."""

    def domain(self, texts: Sequence[str], seed: int) -> Task: ...

    def beside(self, texts: Sequence[str]) -> None:
        """Notes what the base answers on records without labels, which step two then keeps to; called before an adapter is put in.
        Raises UsageError where the base has no answers of the labels' kind."""

    def labels(self, rows: Sequence[Mapping[str, Any]]) -> Labels:
        """The label set of labelled rows. Raises InputRefused where nothing can be learnt from them."""

    def take_labels(self, labels: Labels) -> None:
        """Makes room for a label set. Raises ModelError where it is not the base's."""

    def downstream(self, rows: Sequence[Mapping[str, Any]], labels: Labels, seed: int) -> Task: ...

    def save(self, out: Path) -> None:
        """Writes the network as plain weights, once the adapters are fused."""


@dataclass
class Adapted:
    """A base, frozen, with its adapters; all that are there act, whatever is trained."""

    base: Base
    shapes: dict[Step, LoraShape] = field(default_factory=dict)
    _tuner: LoraModel | None = None

    def __post_init__(self) -> None:
        self.base.network.requires_grad_(False)

    def add(self, step: Step, shape: LoraShape, start: Mapping[str, Tensor] | None = None) -> None:
        """Puts an adapter in and makes all of them act; a new one changes no result before it is trained (B starts at zero).

        Args:
            start: `STEP/MODULE/A` and `/B` to begin with.
        """
        targets = self.base.targets(step)
        config = LoraConfig(r=shape.rank, lora_alpha=shape.alpha, lora_dropout=shape.dropout, target_modules=list(targets))
        if self._tuner is None:
            self._tuner = LoraModel(self.base.network, config, step)
        else:
            self._tuner.peft_config[step] = config
            self._tuner.inject_adapter(self.base.network, step)
        if set(self._tuner.targeted_module_names) != set(targets):
            raise ValueError(f"{len(targets)} layers were named, {len(self._tuner.targeted_module_names)} took an adapter")
        self.shapes[step] = shape
        for module in targets if start is not None else ():
            with torch.no_grad():
                for part, own in zip("AB", self._matrices(step, module), strict=True):
                    own.copy_(start[f"{step}/{module}/{part}"])
        self._tuner.set_adapter(list(self.shapes))  # a second adapter is not active by itself; this also makes both trainable

    def load(self, adapter: Adapter, steps: Sequence[Step] = STEPS) -> None:
        """Puts a stored adapter's steps in, and its own parts, if step two is among them.

        Raises:
            ModelError: it names layers that this base does not adapt.
        """
        stored = {name: torch.from_numpy(values) for name, values in adapter.tensors.items()}
        for step in [s for s in steps if s in adapter.manifest.steps]:
            facts = adapter.manifest.steps[step]
            if set(facts.modules) != set(self.base.targets(step)):
                raise ModelError("it goes on other layers than this base's adapters do", where=adapter.name, code="adapter_no_place")
            self.add(step, LoraShape(facts.rank, facts.alpha), stored)
        if "downstream" in steps:
            own = self.own()
            with torch.no_grad():
                for name in adapter.manifest.own:
                    own[name].copy_(stored[f"own/{name}"])

    def train_only(self, *steps: Step) -> None:
        """These adapters learn, the others and the base do not; the base's own new parts learn with step two."""
        for step in self.shapes:
            set_requires_grad(self.base.network, step, requires_grad=step in steps)
        for parameter in self.own().values():
            parameter.requires_grad_("downstream" in steps)

    def own(self) -> dict[str, nn.Parameter]:
        """Parameters of the modules that the base does not have, by name."""
        return {f"{module}.{name}": p for module in self.base.own for name, p in self.base.network.get_submodule(module).named_parameters()}

    def n_trained(self) -> int:
        """Parameters that learn."""
        return sum(p.numel() for p in self.base.network.parameters() if p.requires_grad)

    def facts(self, learnt: Mapping[Step, Mapping[str, Any]]) -> dict[Step, StepFacts]:
        """For the manifest; `learnt`: what each step learnt from."""
        return {step: StepFacts(rank=shape.rank, alpha=float(shape.alpha), modules=tuple(self.base.targets(step)),
                                learnt=dict(learnt[step]))
                for step, shape in self.shapes.items()}

    def tensors(self) -> dict[str, Tensor]:
        """As they are stored; see `runtime.adapter_folder`."""
        out = {f"{step}/{module}/{part}": own.detach().float().cpu().contiguous() for step in self.shapes
               for module in self.base.targets(step) for part, own in zip("AB", self._matrices(step, module), strict=True)}
        if "downstream" in self.shapes:
            out |= {f"own/{name}": p.detach().float().cpu().contiguous() for name, p in self.own().items()}
        return out

    def fuse(self) -> nn.Module:
        """Adds all terms to the base's weights and takes the adapters out: the network as it was built, with other numbers.

        Raises:
            ModelError: a weight would not be finite.
        """
        if self._tuner is not None:
            try:
                self._tuner.merge_and_unload(safe_merge=True, adapter_names=list(self.shapes))
            except ValueError:
                raise ModelError("a fused weight would not be finite", where="adapter", code="adapter_invalid") from None
        self._tuner, self.shapes = None, {}
        return self.base.network

    def _matrices(self, step: Step, module: str) -> tuple[Tensor, Tensor]:
        layer = self.base.network.get_submodule(module)
        return layer.lora_A[step].weight, layer.lora_B[step].weight

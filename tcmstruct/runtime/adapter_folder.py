"""A hospital's adapter: a folder of two plain files, checked in full before a number of it is used.

| file | what |
|---|---|
| `adapter.json` | format, kind and fingerprint of the base model, label set, each step's rank and modules, sha256 of the weights |
| `adapter.safetensors` | fp32: `STEP/MODULE/A` (R, in), `STEP/MODULE/B` (out, R), `own/MODULE` (a part that the base does not have) |

A step's term of a module is B·A·alpha/R; the terms of all steps are added, so both steps act at once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tcmstruct.errors import ModelError
from tcmstruct.runtime.model_folder import UNSAFE_SUFFIXES, ModelFolder, refuse_unsafe
from tcmstruct.runtime.tensor_file import read_tensors

MANIFEST, WEIGHTS = "adapter.json", "adapter.safetensors"

_MAX_MANIFEST_BYTES = 4 << 20
TRAINING = ".training"
"""Ends the name of the folder in which an adapter is being trained (`recipes.own_run`)."""

Step = Literal["domain", "downstream"]
STEPS: tuple[Step, ...] = ("domain", "downstream")
"""In the order of training: on text without labels, then on labels."""

_Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Names = Annotated[tuple[str, ...], Field(max_length=10_000)]


class StepFacts(BaseModel):
    """One step of an adapter.

    Attributes:
        rank, alpha: R, and the numerator of the term's scale alpha/R.
        modules: names of the linear layers that have a term.
        learnt: what it was trained on: records, characters, seed …
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    rank: Annotated[int, Field(ge=1, le=1024)]
    alpha: Annotated[float, Field(gt=0, le=1e4, allow_inf_nan=False)]
    modules: _Names
    learnt: dict[str, float | int | str] = Field(default_factory=dict)


class Manifest(BaseModel):
    """`adapter.json`. An unknown key is refused.

    Attributes:
        kind: what the base model is: "tagger" (this project's encoder) or "llama".
        base: fingerprint of the base model's weights.
        labels: readout → its labels in order, of what was trained on labels; empty for a domain adapter alone.
        own: modules whose weights are here in full.
        sha256: of the weights' file.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    format: Literal[1]
    kind: Literal["tagger", "llama"]
    base: _Sha
    labels: dict[str, tuple[str, ...]]
    steps: dict[Step, StepFacts]
    own: _Names = ()
    sha256: _Sha
    bytes: int


@dataclass(frozen=True)
class Adapter:
    """A checked adapter.

    Attributes:
        name: of its folder.
        fingerprint: sha256 of `adapter.json`, which names the weights' sha256.
        tensors: as they are stored.
    """

    name: str
    manifest: Manifest
    fingerprint: str
    tensors: Mapping[str, np.ndarray]

    def require_base(self, kind: str, base: str, labels: Mapping[str, Any] | None = None) -> None:
        """
        Args:
            labels: readout → labels of the base, or of the data; None: not compared.

        Raises:
            ModelError: it was trained for another base (code `adapter_other_base`), or the label set changed
                (`adapter_other_labels`).
        """
        own = self.manifest
        if (own.kind, own.base) != (kind, base):
            raise ModelError(f"it was trained for the {own.kind} {own.base[:12]}…, this is the {kind} {base[:12]}…", where=self.name,
                             code="adapter_other_base", hint="train it anew for this model, or use the model that it was trained for")
        for readout, had in own.labels.items() if labels is not None else ():
            has = tuple(labels.get(readout, ()))
            if has != had:
                raise ModelError(f"it was trained for {len(had)} labels of {readout[:20]!r}, here are {len(has)}; the first that differs "
                                 f"is number {_first_difference(had, has) + 1}", where=self.name, code="adapter_other_labels",
                                 hint="the label set changed: train the adapter anew")

    def terms(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Module → (A (in, R), B (R, out)) so that the term of x is (x·A)·B: all steps side by side, their scales in B."""
        parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
        for step, facts in self.manifest.steps.items():
            for module in facts.modules:
                a, b = self.tensors[f"{step}/{module}/A"], self.tensors[f"{step}/{module}/B"]
                parts.setdefault(module, []).append((a.T, b.T * np.float32(facts.alpha / facts.rank)))
        return {module: (np.concatenate([a for a, _ in two], 1), np.concatenate([b for _, b in two], 0)) for module, two in parts.items()}


def open_adapter(folder: Path) -> Adapter:
    """Reads and checks an adapter.

    Raises:
        ModelError: no such folder, a file of a kind that is never loaded (code `adapter_unsafe_file`), or a content that is not what
            the manifest says (`adapter_invalid`, `adapter_altered`).
    """
    manifest, raw = _manifest(folder)
    size = (folder / WEIGHTS).stat().st_size
    if size != manifest.bytes:
        raise ModelError(f"{WEIGHTS} was altered: {size:,} bytes, {MANIFEST} says {manifest.bytes:,}", where=folder.name,
                         code="adapter_altered", hint="copy the adapter anew")
    data = (folder / WEIGHTS).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != manifest.sha256:
        raise ModelError(f"{WEIGHTS} was altered: sha256 {found[:12]}…, {MANIFEST} says {manifest.sha256[:12]}…", where=folder.name,
                         code="adapter_altered", hint="copy the adapter anew")
    try:
        tensors = read_tensors(data)
    except ValueError as error:
        raise _invalid(folder, f"{WEIGHTS}: {error}") from None
    _fits(folder, manifest, tensors)
    return Adapter(folder.name, manifest, hashlib.sha256(raw).hexdigest(), tensors)


def open_shelf(folder: Path) -> dict[str, Adapter]:
    """All adapters of a folder of adapters, by name. Raises as `open_adapter`, and where there is none."""
    if not folder.is_dir():
        raise ModelError("no such folder of adapters", where=folder.name, code="adapter_missing")
    places = [place for place in sorted(folder.iterdir()) if place.is_dir() and place.name[0] != "." and not place.name.endswith(TRAINING)]
    found = {place.name: open_adapter(place) for place in places}
    if not found:
        raise ModelError("holds no adapter", where=folder.name, code="adapter_missing",
                         hint="give the folder whose folders `tcmstruct adapter train` wrote")
    return found


def base_fingerprint(folder: ModelFolder) -> str:
    """Of what a text model computes: its graph, characters and lexicon; the card may be calibrated anew without another base."""
    parts = [folder.sha256.get(name, "") for name in ("model.onnx", "characters.txt", "lexicon.txt")]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()


def refuse_pickles(folder: Path) -> None:
    """As `refuse_unsafe`, of an adapter's folder or its base's: arrays of numpy may hold a program too."""
    refuse_unsafe(folder, (*UNSAFE_SUFFIXES, ".npy", ".npz"), "adapter_unsafe_file")


def _manifest(folder: Path) -> tuple[Manifest, bytes]:
    if not folder.is_dir():
        raise ModelError("no such folder", where=folder.name, code="adapter_missing")
    refuse_pickles(folder)
    for place in sorted(folder.iterdir()):
        if place.name not in (MANIFEST, WEIGHTS) or not place.is_file() or place.is_symlink():
            raise ModelError(f"{place.name} does not belong to an adapter", where=folder.name, code="adapter_unsafe_file",
                             hint=f"an adapter is {MANIFEST} and {WEIGHTS}, nothing else")
    for name in (MANIFEST, WEIGHTS):
        if not (folder / name).is_file():
            raise ModelError(f"{name} is missing", where=folder.name, code="adapter_missing", hint="copy the adapter anew")
    if (folder / MANIFEST).stat().st_size > _MAX_MANIFEST_BYTES:
        raise _invalid(folder, f"{MANIFEST} is larger than {_MAX_MANIFEST_BYTES:,} bytes")
    raw = (folder / MANIFEST).read_bytes()
    try:
        return Manifest.model_validate_json(raw), raw
    except ValidationError as error:
        told = "; ".join(f"{'.'.join(map(str, fault['loc']))[:60]}: {fault['msg']}"
                         for fault in error.errors(include_url=False, include_input=False)[:3])
        raise _invalid(folder, f"{MANIFEST}: {told}") from None


def _fits(folder: Path, manifest: Manifest, tensors: Mapping[str, np.ndarray]) -> None:
    """The tensors are those that the manifest names, and a module's sizes agree in all of its steps."""
    expected = {f"own/{module}" for module in manifest.own}
    sizes: dict[str, tuple[int, int]] = {}
    for step, facts in manifest.steps.items():
        for module in facts.modules:
            names = f"{step}/{module}/A", f"{step}/{module}/B"
            expected.update(names)
            a, b = (tensors.get(name) for name in names)
            if a is None or b is None or a.ndim != 2 or b.ndim != 2 or a.shape[0] != facts.rank or b.shape[1] != facts.rank:
                raise _invalid(folder, f"{module[:60]}: its two matrices are not of rank {facts.rank}")
            if sizes.setdefault(module, (b.shape[0], a.shape[1])) != (b.shape[0], a.shape[1]):
                raise _invalid(folder, f"{module[:60]}: the steps disagree about its size")
    if tensors.keys() != expected or not manifest.steps:
        raise _invalid(folder, f"{WEIGHTS} holds {len(tensors)} tensors, {MANIFEST} names {len(expected)}, or others")


def _invalid(folder: Path, what: str) -> ModelError:
    return ModelError(what, where=folder.name, code="adapter_invalid", hint="copy or train the adapter anew")


def _first_difference(one: tuple[str, ...], other: tuple[str, ...]) -> int:
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def manifest_bytes(manifest: Manifest) -> bytes:
    """`adapter.json` as it is written."""
    return (json.dumps(manifest.model_dump(), ensure_ascii=False, indent=1) + "\n").encode()

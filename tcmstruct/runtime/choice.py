"""Which backend, graph and number of threads a model folder runs with on this machine.

An argument comes first, then the environment variable `TCMSTRUCT_BACKEND`, then what `tcmstruct doctor --tune` measured for this
model on this machine with these library versions, then onnxruntime. What is stored and does not fit is left aside, without a word.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from tcmstruct.runtime import backends, machine_cache
from tcmstruct.runtime.model_folder import ModelFolder

GRAPHS = ("model.onnx", "model-fp32.onnx")
"""Graphs that a model folder may hold; the second, where there is one, is the first one's fp32 parent."""


@dataclass(frozen=True, slots=True)
class Choice:
    """What a folder runs with.

    Attributes:
        backend: a name of `runtime.backends.BACKENDS`.
        threads: of one matrix product; None: all cores.
        file: one of `GRAPHS`.
        source: who chose.
    """

    backend: str = backends.DEFAULT
    threads: int | None = None
    file: str = GRAPHS[0]
    source: Literal["asked", "measured", "default"] = "default"

    def to_dict(self) -> dict[str, Any]:
        """For the manifest (docs/formats.md)."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Stored:
    """What a measurement found best.

    Attributes:
        threads: number of threads of the fastest choice of all.
        by_threads: number of threads → (backend, file) of the fastest.
    """

    threads: int
    by_threads: Mapping[int, tuple[str, str]]


def decide(folder: ModelFolder, asked: str | None = None, threads: int | None = None) -> Choice:
    """
    Args:
        asked: name of a backend.
        threads: that the caller gives the model; None leaves them to what was measured.

    Raises:
        UsageError: the backend asked for is unknown, or cannot be used on this machine.
        MissingExtra: its library is not installed.
    """
    asked = asked or os.environ.get(backends.VARIABLE) or None
    if asked is not None:
        return Choice(backends.backend_named(asked).name, threads, source="asked")
    stored = remembered(folder)
    if stored is not None:
        wanted = threads or stored.threads
        if wanted in stored.by_threads:
            backend, file = stored.by_threads[wanted]
            return Choice(backend, wanted, file, "measured")
    return Choice(threads=threads)


def choice_file() -> Path:
    """Where choices are remembered."""
    return machine_cache.cache_folder() / "backends.json"


def remember(folder: ModelFolder, stored: Stored) -> bool:
    """Writes a choice for this machine and model; False where the cache folder cannot be written."""
    place = choice_file()
    return machine_cache.write_cache(place, {**machine_cache.read_cache(place), machine_key(folder): {
        "threads": stored.threads, "by_threads": {str(n): list(pair) for n, pair in stored.by_threads.items()}}})


def remembered(folder: ModelFolder) -> Stored | None:
    """The choice for this machine and model, if there is one that can be used here."""
    entry = machine_cache.read_cache(choice_file()).get(machine_key(folder))
    try:
        pairs = {int(n): (str(backend), str(file)) for n, (backend, file) in entry["by_threads"].items()}
        stored = Stored(int(entry["threads"]), pairs)
    except (TypeError, KeyError, ValueError, AttributeError, OverflowError):
        return None
    usable = all(backend in backends.BACKENDS and file in folder.sha256 and file in GRAPHS and 1 <= n <= 1024
                 for n, (backend, file) in pairs.items())
    needed = {backend for backend, _ in pairs.values()} & backends.BACKENDS.keys()
    if not usable or stored.threads not in pairs or any(backends.BACKENDS[name].why_not() for name in needed):
        return None
    return stored


def machine_key(folder: ModelFolder) -> str:
    """Of the model, the processor with its flags and cores, and the libraries' versions."""
    parts = (folder.fingerprint, machine_cache.processor(), machine_cache.cpu_line("flags") or machine_cache.cpu_line("Features"),
             _cores(), platform.machine(), platform.platform(), *backends.versions())
    return sha256(repr(parts).encode()).hexdigest()[:32]


def _cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

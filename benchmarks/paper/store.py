"""What was measured already: one JSON line a cell, found again by everything it depends on."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from tcmstruct.errors import InputRefused

CELLS = "cells.jsonl"


class NotMeasured(Exception):
    """A cell that cannot be measured here, and why; it is printed in its row and asked for again by the next run."""


@dataclass(frozen=True)
class Cell:
    """What a measured figure depends on.

    Attributes:
        table, row, what: where it stands, and which of the row's figures it holds.
        quick: measured by a quick run; part of the key, so that quick and full cells never meet.
        seed: of weights and draws, where there is one.
        settings: numbers of records, steps, repeats …
        weights: name → sha256 of models and data.
        code: sha256 of the source that measures it (`code_of`).
        machine: of times and memory: processor, cores, threads, library versions; empty where none of them matters.
    """

    table: str
    row: str
    what: str
    quick: bool
    seed: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    code: str = ""
    machine: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """32 hex digits over all of it."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


class Store:
    """`cells.jsonl` of a folder. A last line that was cut off while it was written is dropped; every other fault is told.

    Args:
        folder: made if it is not there.
        noted: put into every new line beside the cell (date, commit).

    Raises:
        InputRefused: a line that is no cell.
    """

    def __init__(self, folder: Path, noted: Mapping[str, Any] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.path, self.noted = folder / CELLS, dict(noted or {})
        self._found: dict[str, dict[str, Any]] = {}
        if self.path.exists():
            self._load()

    def __len__(self) -> int:
        return len(self._found)

    def _load(self) -> None:
        content = self.path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):  # the last line has no end: the run was broken off while it wrote
            os.truncate(self.path, whole)
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                cell = json.loads(line)
                self._found[cell["key"]] = cell["result"]
            except (ValueError, KeyError, TypeError):
                raise InputRefused("the line is no measured cell", where=f"{self.path}:{number}", code="cells_unreadable",
                                   hint="take the line out, or give another --work") from None

    def get(self, cell: Cell) -> dict[str, Any] | None:
        return self._found.get(cell.key)

    def put(self, cell: Cell, result: Mapping[str, Any]) -> None:
        """Writes one line at once.

        Raises:
            ValueError: a figure that is no finite number.
        """
        line = json.dumps({"key": cell.key, **asdict(cell), **self.noted, "result": dict(result)}, ensure_ascii=False, allow_nan=False)
        with open(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as file:
            file.write(line.encode() + b"\n")
            os.fsync(file.fileno())
        self._found[cell.key] = json.loads(line)["result"]

    def measured(self, cell: Cell, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """The cell's result, measured if it is not known yet.

        Raises:
            NotMeasured: `measure` cannot; nothing is kept of it.
        """
        known = self.get(cell)
        if known is None:
            self.put(cell, measure())
            known = self.get(cell)
        return known


def code_of(*parts: Callable[..., Any] | ModuleType | Path) -> str:
    """sha256 over the source of functions and classes, of modules, and of files or all sources below a folder."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            files = sorted(p for p in part.rglob("*") if p.suffix in (".py", ".toml", ".tsv") and p.is_file()) if part.is_dir() else [part]
            for file in files:
                digest.update(file.name.encode() + b"\0" + file.read_bytes())
        else:
            digest.update(_source(part))
    return digest.hexdigest()[:16]


@cache
def _source(part: Callable[..., Any] | ModuleType) -> bytes:
    """As it stood when it was first asked for: who edits a file while it runs changes no later cell's key."""
    return inspect.getsource(part).encode()


def content_of(paths: Sequence[Path]) -> str:
    """sha256 over the bytes of files, in the given order.

    Raises:
        NotMeasured: one is not there.
    """
    digest = hashlib.sha256()
    for path in paths:
        if not path.is_file():
            raise NotMeasured(f"{path.name} is not there")
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:32]

"""The folder in which a hospital's own model is trained: what was asked, where the run stands, and its progress on stderr."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from tcmstruct.batch.progress import clock, remaining_s
from tcmstruct.errors import UsageError
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, sha256_of
from tcmstruct.training.loop import Progress
from tcmstruct.whole_file import whole_file

SECONDS_BETWEEN_LINES = 5.0


def current_model(out: Path, model: Path | None, replace: bool) -> Path:
    """The model that is started from and that has to be beaten: the one named; else the one that stands at `out`; else the shipped one.

    Raises:
        UsageError: `out` is there and may not be replaced, or another model than the one it would replace was named.
    """
    aside = aside_of(out)
    if not out.exists() and aside.exists():  # a run was ended in the very moment of replacing
        aside.rename(out)
    if not out.exists():
        return model or DEFAULT_FOLDER
    if not replace:
        raise UsageError("is there already", where=out.name, code="out_exists",
                         hint="name another folder with -o, or --replace: it is replaced only by a model that beats it")
    if model is not None and model.resolve() != out.resolve():
        raise UsageError("a model is replaced only by one that beat it, and another was named with --model", where=out.name,
                         code="out_exists", hint="leave --model out, or name another folder with -o")
    return out


def aside_of(out: Path) -> Path:
    """Where a model stands while another takes its place."""
    return out.with_name(f".{out.name}.before")


class RunFolder:
    """`OUT.training` beside the model folder, for its owner only: plan, checkpoint, best weights, log, report. No record text.

    Args:
        out: model folder that is to be made.
        plan: all that decides the run's result, as plain data; a run goes on only where it is the same.
        fresh: begin anew.

    Raises:
        UsageError: another plan's run stands there, or it is being run now.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any], fresh: bool = False) -> None:
        self.path = out.with_name(out.name + ".training")
        self.path.mkdir(parents=True, exist_ok=True)
        self.path.chmod(0o700)
        self._lock = FileLock(self.path / ".lock")
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UsageError("is being trained by another process", where=self.path.name, code="folder_in_use") from None
        told = json.dumps(plan, ensure_ascii=False, sort_keys=True, indent=1)
        file = self.path / "plan.json"
        unfinished = any(place.exists() for place in self._checkpoints())
        if unfinished and not fresh and (not file.exists() or file.read_text(encoding="utf-8") != told):
            self.close()
            raise UsageError("holds an unfinished run with other labels or settings", where=self.path.name, code="other_run",
                             hint="give the same command to go on with it, or --fresh to begin anew")
        self.goes_on = unfinished and not fresh
        if not self.goes_on:
            self._clear()
        write_json(file, plan)

    @property
    def run(self) -> Path:
        """Checkpoint and log of the loop."""
        return self.path / "run"

    @property
    def best(self) -> Path:
        """Weights of the best pass."""
        return self.path / "best"

    def finish(self) -> None:
        """What was made on the way goes, whether a model was written or refused; plan, log, figures and report stay."""
        for folder in (self.best, *(self.path / name for name in ("mean", "fp32", "model")), *self._checkpoints()):
            shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checkpoints(self) -> list[Path]:
        """Where the loop's checkpoint is, also where it was ended between two renames."""
        return [self.run / name for name in ("checkpoint", "checkpoint.new", "checkpoint.old")]

    def _clear(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != ".lock":
                entry.unlink()


def fingerprints(files: Iterable[Path]) -> list[list[str]]:
    """Name and sha256 of each file, or of all files of a folder."""
    out = []
    for file in files:
        if file.is_dir():
            parts = "".join(sha256_of(part) for part in sorted(file.rglob("*")) if part.is_file())
            out.append([file.name, hashlib.sha256(parts.encode()).hexdigest()])
        elif file.exists():
            out.append([file.name, sha256_of(file)])
    return out


def write_json(path: Path, data: Any) -> None:
    """Whole, 0600."""
    with whole_file(path) as file:
        file.write(json.dumps(data, ensure_ascii=False, sort_keys=True, indent=1).encode())


class Told:
    """Progress of a run on stderr: a line that stays on a terminal, a line every few seconds elsewhere."""

    def __init__(self) -> None:
        self._began = self._next = time.monotonic()
        self._first: int | None = None
        self._live = sys.stderr.isatty()

    def step(self, progress: Progress, n_characters: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = progress.n_characters
        if now < self._next:
            return
        self._next = now + (0.3 if self._live else SECONDS_BETWEEN_LINES)
        elapsed, todo = now - self._began, max(1, n_characters - self._first)
        share = (progress.n_characters - self._first) / todo
        line = (f"pass {len(progress.passes) + 1} · {min(1, progress.n_characters / n_characters):.0%} · "
                f"{clock(progress.seconds)} elapsed · at most {clock(remaining_s(elapsed, share))} left")
        print(f"\r\x1b[K{line}" if self._live else line, end="" if self._live else "\n", file=sys.stderr, flush=True)

    def say(self, line: str) -> None:
        print(f"\r\x1b[K{line}" if self._live else line, file=sys.stderr, flush=True)

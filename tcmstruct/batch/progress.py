"""How far a batch is, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TextIO

_SECONDS_BETWEEN_LINES = 5.0


def remaining_s(elapsed_s: float, fraction: float | None) -> float | None:
    """Seconds that are left if the rest goes as fast as what is done; None where that is unknown."""
    if not fraction or fraction <= 0:
        return None
    return elapsed_s * (1 - min(1.0, fraction)) / fraction


def clock(seconds: float | None) -> str:
    """Seconds as 1:02:03; "?" where unknown."""
    if seconds is None:
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


class Progress:
    """Says nothing; the two below speak."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        pass

    def step(self, done: int, rejected: int, fraction: float | None) -> None:
        """Called after every chunk with the totals so far."""

    def say(self, what: str) -> None:
        """Called once for each later stage, for example the writing of a table."""

    def line(self, done: int, rejected: int, fraction: float | None) -> str:
        elapsed = time.monotonic() - self._start
        share = f" ({fraction:.0%})" if fraction is not None else ""
        return (f"{done:,} records{share} · {done / max(elapsed, 1e-9):,.1f}/s · rejected {rejected:,} · "
                f"{clock(elapsed)} elapsed · {clock(remaining_s(elapsed, fraction))} left")


class PlainProgress(Progress):
    """A line every few seconds, for logs."""

    def __init__(self, stream: TextIO | None = None, seconds: float = _SECONDS_BETWEEN_LINES) -> None:
        super().__init__()
        self._stream, self._seconds, self._next = stream or sys.stderr, seconds, self._start + seconds

    def step(self, done: int, rejected: int, fraction: float | None) -> None:
        if time.monotonic() >= self._next:
            self._next = time.monotonic() + self._seconds
            print(self.line(done, rejected, fraction), file=self._stream, flush=True)

    def say(self, what: str) -> None:
        if time.monotonic() - self._start >= self._seconds:
            print(what, file=self._stream, flush=True)


class BarProgress(Progress):
    """A bar that stays on one line of a terminal."""

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars

        self._bars = Bars(BarColumn(bar_width=24), TextColumn("{task.description}"),
                          console=Console(file=stream or sys.stderr), transient=True)
        self._task = self._bars.add_task("", total=None)

    def __enter__(self) -> Progress:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def step(self, done: int, rejected: int, fraction: float | None) -> None:
        total, completed = (None, 0.0) if fraction is None else (1.0, fraction)
        self._bars.update(self._task, total=total, completed=completed, description=self.line(done, rejected, fraction))

    def say(self, what: str) -> None:
        self._bars.update(self._task, total=None, description=what)


def progress_for(stream: TextIO | None = None) -> Progress:
    """A bar where stderr is a terminal, else plain lines."""
    stream = stream or sys.stderr
    return BarProgress(stream) if stream.isatty() else PlainProgress(stream)

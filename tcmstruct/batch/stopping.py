"""SIGTERM and Ctrl-C during a batch: the chunk at hand is finished and made safe, then the run ends; a second signal ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

from tcmstruct.errors import TcmstructError

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Stopped(TcmstructError):
    """A batch was asked to stop and did, in good order."""

    default_code = "stopped"

    def __init__(self, rows: int, signal_number: int) -> None:
        super().__init__(f"stopped; {rows:,} rows are done and kept",
                         hint="the same command goes on from there, --fresh begins anew")
        self.exit_code = 128 + signal_number


class StopRequest:
    """Whether a signal has asked for the end, within a `with`; `number` names it. Only a main thread hears signals."""

    def __init__(self, say: Callable[[str], None] = lambda _: None) -> None:
        self.number: int | None = None
        self._say = say
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._heard) for number in _SIGNALS}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        for one, handler in self._before.items():
            signal.signal(one, handler)  # the second of the same kind does what it did before
        self._say("stopping: what is at hand is finished first")

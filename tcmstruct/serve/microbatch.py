"""Requests that wait at the same time are worked on together: one call for many costs less than one call for each.

Nothing waits for company that may not come: what has gathered while the slots were busy goes out as soon as one is free.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from math import ceil
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")

MOST = 64
"""Items of one call."""
LINGER_S = 0.002
"""While other calls run, a free slot waits this long for more: clients whose answers went out together ask again together."""


class MicroBatcher(Generic[T, R]):
    """Joins items into calls of `run`, at most `slots` of which are under way at once.

    Args:
        run: items in, one result for each in order. If it raises, all of its items fail with that error.
        slots: calls at once, for example one per worker process.
        size: of an item; a call takes at most `most_size` of them together, unless it is of one item.
        most: items of one call.
    """

    def __init__(self, run: Callable[[list[T]], Awaitable[Sequence[R]]], slots: int, *, size: Callable[[T], int] = lambda _: 1,
                 most_size: int | None = None, most: int = MOST, linger_s: float = LINGER_S) -> None:
        self._run, self._slots, self._size, self._most_size = run, slots, size, most_size
        self._most, self._linger_s = most, linger_s
        self._urgent: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._patient: deque[tuple[T, asyncio.Future[R]]] = deque()
        self._filled = asyncio.Event()
        self._loops: list[asyncio.Task[None]] = []
        self.running = 0

    @property
    def waiting(self) -> int:
        return len(self._urgent) + len(self._patient)

    def put(self, item: T, *, urgent: bool = True) -> asyncio.Future[R]:
        """Adds an item; a cancelled future takes it out again. What is not urgent lets everything urgent pass."""
        if not self._loops:
            self._loops = [asyncio.create_task(self._loop()) for _ in range(self._slots)]
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._patient).append((item, future))
        self._filled.set()
        return future

    async def close(self) -> None:
        """Ends the loops; items that still wait are cancelled."""
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)
        for queue in (self._urgent, self._patient):
            while queue:
                queue.popleft()[1].cancel()
        self._loops = []

    async def _loop(self) -> None:
        while True:
            await self._filled.wait()
            if self.running and self.waiting < self._most:
                await asyncio.sleep(self._linger_s)
            taken = self._take()
            if not taken:
                continue
            self.running += 1
            try:
                results = await self._run([item for item, _ in taken])
                for (_, future), result in zip(taken, results, strict=True):
                    if not future.done():
                        future.set_result(result)
            except BaseException as error:
                for _, future in taken:
                    if not future.done():
                        future.cancel() if isinstance(error, asyncio.CancelledError) else future.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            finally:
                self.running -= 1

    def _take(self) -> list[tuple[T, asyncio.Future[R]]]:
        """The next items, in order; free slots share what waits."""
        share = min(self._most, ceil(self.waiting / max(1, self._slots - self.running)))
        taken: list[tuple[T, asyncio.Future[R]]] = []
        held = 0
        for queue in (self._urgent, self._patient):
            while queue and len(taken) < share:
                item, future = queue[0]
                if not future.done():
                    size = self._size(item)
                    if taken and self._most_size is not None and held + size > self._most_size:
                        return taken
                    held += size
                    taken.append((item, future))
                queue.popleft()
        if not self.waiting:
            self._filled.clear()
        return taken

"""Memory of a computation, measured and not estimated: what torch's allocator handed out while it ran."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler else tells of every start and stop on stderr

import torch


@dataclass(frozen=True)
class Allocations:
    """Bytes beyond what was held before; scratch space of the kernels counts, weights and inputs made beforehand do not.

    Attributes:
        total: handed out over the whole run: what it needs where nothing is given back, and how much it moves.
        peak: most that was held at one moment.
    """

    total: int
    peak: int


def allocations(run: Callable[[], object]) -> Allocations:
    """Watches `run` on the CPU, by the profiler's record of every allocation.

    Runs twice: the first time unwatched, because kernels are chosen then.
    """
    with torch.inference_mode():
        run()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
            kept = run()
            del kept
    recorded = sorted((e.start_ns(), e.nbytes()) for e in profile.profiler.kineto_results.events() if e.name() == "[memory]")
    changes = [change for _, change in recorded]
    return Allocations(sum(c for c in changes if c > 0), max(accumulate(changes, initial=0)))

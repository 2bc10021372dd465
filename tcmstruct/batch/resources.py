"""What this machine lets a batch use: cores, memory, and how many worker processes follow from them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from tcmstruct.errors import UsageError
from tcmstruct.runtime.memory import PHOTO_BYTES

WORKER_BYTES = 320 * 1024**2
"""Memory that one worker process is reckoned with: interpreter, onnxruntime, a small model and its working set."""

_UNITS = {"": 1, "B": 1, "K": 1000, "KB": 1000, "KIB": 1024, "M": 1000**2, "MB": 1000**2, "MIB": 1024**2,
          "G": 1000**3, "GB": 1000**3, "GIB": 1024**3}
_CGROUP = Path("/sys/fs/cgroup")


def parse_bytes(text: str) -> int:
    """"1GB", "512MiB", "800000000" → bytes.

    Raises:
        UsageError: not a size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    if not found or found[2].upper() not in _UNITS or float(found[1]) <= 0:
        raise UsageError("is not a size in memory", where="--memory-limit", code="size_invalid",
                         hint="for example 1GB, 512MiB")
    return int(float(found[1]) * _UNITS[found[2].upper()])


def available_cores() -> int:
    """Cores this process may use: its affinity, cut by a container's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _words(_CGROUP / "cpu.max")
    if len(quota) == 2 and quota[0].isdigit():
        cores = min(cores, max(1, int(quota[0]) // int(quota[1])))
    return max(1, cores)


def available_bytes() -> int | None:
    """Memory that is free to use, cut by a container's limit; None where the system does not say."""
    found = [int(words[1]) * 1024 for line in _lines(Path("/proc/meminfo"))
             if (words := line.split()) and words[0] == "MemAvailable:"]
    limit, used = _words(_CGROUP / "memory.max"), _words(_CGROUP / "memory.current")
    if limit and used and limit[0].isdigit():
        found.append(max(0, int(limit[0]) - int(used[0])))
    return min(found) if found else None


def default_workers(memory_limit_bytes: int | None = None, photos: bool = False) -> int:
    """One process per core, as far as memory allows, at least one; each needs more where it looks at photographs."""
    memory = memory_limit_bytes if memory_limit_bytes is not None else available_bytes()
    each = WORKER_BYTES + (PHOTO_BYTES if photos else 0)
    return max(1, min(available_cores(), memory // each if memory is not None else available_cores()))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()

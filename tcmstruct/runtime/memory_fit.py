"""What a batch takes on this machine, fitted once: a few batches run in a child process, and its largest resident set is read, or what is
taken of the graphics card. Apart from `memory`, since it loads the backends: a process that only hands out work needs none.
"""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.errors import TcmstructError
from tcmstruct.runtime import backends, machine_cache
from tcmstruct.runtime.memory import BatchMemory, status

_CLEAR = Path("/proc/self/clear_refs")

SHAPES: tuple[tuple[int, int], ...] = ((8, 64), (1, 256), (16, 64), (1, 512), (4, 256), (2, 512), (32, 64), (8, 256), (4, 512))
"""(windows, characters) of the batches that are fitted to, each costlier than the one before: onnxruntime's arena keeps what
the largest batch needed, so only a new largest can be seen."""


def remembered_fit(model: Path, model_sha256: str, threads: int | None, backend: str = backends.DEFAULT) -> BatchMemory:
    """The fit for this machine and model: from the cache, else made and cached; the constants where it cannot be made.

    Args:
        model: `model.onnx`.
        model_sha256: its fingerprint.
        threads: of the backend; each has scratch space of its own.
    """
    key, place = _key(model_sha256, threads, backend), cache_file()
    known = machine_cache.read_cache(place)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        return _checked(known[key])
    found = fit(model, threads, backend)
    if found.source == "fitted":
        machine_cache.write_cache(place, {**known, key: asdict(found)})
    return found


def fit(model: Path, threads: int | None = None, backend: str = backends.DEFAULT, timeout_s: float = 120) -> BatchMemory:
    """Runs `SHAPES` through the model in a process of its own and fits a, b·h and c to what it took at most.

    Takes about a second. A child that fails, or a system that does not tell, gives the constants.
    """
    command = [sys.executable, "-m", "tcmstruct.runtime.memory_fit", str(model.resolve()), str(threads or 0), backend]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=True, cwd=Path(__file__).parents[2])
        return fitted_to([(*shape, grown) for shape, grown in zip(SHAPES, json.loads(done.stdout), strict=True)])
    except (OSError, subprocess.SubprocessError, ValueError, TypeError):
        return BatchMemory()


def fitted_to(points: list[tuple[int, int, int]]) -> BatchMemory:
    """(windows, characters, bytes grown by) → the model with the smallest relative errors and no negative coefficient.

    Raises:
        ValueError: the points do not grow as batches do.
    """
    b, chars, grown = np.array(points, np.float64).T
    if (grown <= 0).any():
        raise ValueError("a batch took no memory")
    columns = np.stack([b * chars, b * chars**2, np.ones_like(b)], 1) / grown[:, None]
    kept = np.arange(3)
    while True:  # coefficients that come out negative are left out (three columns: no need for a solver)
        solution = np.linalg.lstsq(columns[:, kept], np.ones(len(b)), rcond=None)[0]
        if (solution >= 0).all():
            break
        kept = kept[solution > solution.min()]
    coefficients = np.zeros(3)
    coefficients[kept] = solution
    # the fit may lie below a point; the margin is for what was not measured
    coefficients *= max(1.0, float((1 / (columns @ coefficients)).max()))
    return _checked({**dict(zip(("per_char", "per_pair", "fixed"), map(float, coefficients), strict=True)), "source": "fitted"})


def _checked(data: dict[str, Any]) -> BatchMemory:
    found = BatchMemory(**data)
    if not (100 <= found.per_char <= 1e7 and 0 <= found.per_pair <= 1e5 and 0 <= found.fixed <= 1e9 and found.source == "fitted"):
        raise ValueError("figures that no batch has")
    return found


def cache_file() -> Path:
    """Where fits are remembered."""
    return machine_cache.cache_folder() / "memory.json"


def _key(model_sha256: str, threads: int | None, backend: str) -> str:
    parts = (model_sha256, *backends.versions(), backend, threads or 0, platform.machine(), platform.platform(), machine_cache.processor(),
             SHAPES)
    return sha256(repr(parts).encode()).hexdigest()[:32]


def _grown(model: str, threads: int, backend: str) -> list[int]:
    """In the child: bytes that the process (or the card) has taken at most above the loaded model, after each of `SHAPES`."""
    session = backends.backend_named(backend).open(Path(model), threads, None)

    def run(windows: int, chars: int) -> None:
        session.run(["scores"], backends.zeros(session, windows, chars))

    run(1, 16)
    taken = resident_meter() if session.device_bytes is None else device_meter(backends.device_used_bytes)
    out = []
    for shape in SHAPES:
        run(*shape)
        out.append(taken())
    return out


def resident_meter() -> Callable[[], int]:
    """Tells how far the largest resident set from now on lies above that of now.

    Raises:
        OSError: the system does not tell.
    """
    with contextlib.suppress(OSError):
        _CLEAR.write_text("5")  # the largest so far becomes that of now (proc_pid_clear_refs(5)); loading is not counted
    loaded = status("VmRSS")
    if not loaded or status("VmHWM") > loaded + 4 * 1024**2:
        raise OSError("the largest resident set cannot be told on this system")
    return lambda: status("VmHWM") - loaded


def device_meter(used_bytes: Callable[[], int]) -> Callable[[], int]:
    """The same of a graphics card, whose arena gives nothing back between batches: what it holds is the most it held.

    Args:
        used_bytes: what is taken of the card now (`backends.device_used_bytes`). Other programs' share counts; one that comes or goes
            meanwhile makes points that `fitted_to` refuses or figures that are too large, never too small by more than it freed.
    """
    loaded, most = used_bytes(), 0

    def taken() -> int:
        nonlocal most
        most = max(most, used_bytes() - loaded)
        return most

    return taken


if __name__ == "__main__":
    try:
        print(json.dumps(_grown(sys.argv[1], int(sys.argv[2]), sys.argv[3])))
    except TcmstructError:
        sys.exit(1)

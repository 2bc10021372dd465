"""How much memory a batch takes on this machine, and how large a batch may be under a limit.

    peak = W + a·B·L + b·h·B·L² + c

W is what the process holds when the model is loaded, B the windows of a batch, L their padded characters, h the attention
heads. a, b·h and c are fitted once for a machine, a model and a backend, by running a few batches in a child process and reading
its largest resident set, or what is taken of the graphics card (`fit`); where that cannot be done the constants below stand in.
Batches are trimmed to what fits, a record never is. With a graphics card the limit is of the card's memory.
"""

from __future__ import annotations

import contextlib
import json
import platform
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.errors import TcmstructError, UsageError
from tcmstruct.runtime import backends, machine_cache

_KIB = 1024
_MIB = 1024**2
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

MIN_CHARS_PER_BATCH = 512
"""The smallest batch that a limit must leave room for: one window at full length."""

MAX_CHARS_PER_BATCH = 3072
"""Padded characters of a batch where memory does not matter; larger ones are no faster."""

MARGIN = 1.15
"""Factor on what a batch is reckoned with; the fit itself lies above every batch that it was made from (`fitted_to`)."""

CHUNK_CHARS = 131_072
"""Characters of the texts that are structured together: what becomes of them is held until it is written. A longer text is
structured alone."""

WORK_BYTES = 64 * _MIB
"""What structuring takes beside the model and its batch, for texts of `CHUNK_CHARS`: scores that wait for decoding, decoding,
mentions, fields, result lines (half of it, measured by `python -m benchmarks.memory work`), and the modules and tables that are
loaded or written later. A longer text takes about 250 bytes more for each character beyond."""

PHOTO_BYTES = 256 * _MIB
"""What looking at one photo may take beside the loaded networks: the costliest that the gate of `image.decode` lets through
(its file, and `MAX_WORKING_BYTES` for its pixels), measured by `python -m benchmarks.memory photos`, with a margin of a tenth.
Photos are looked at one at a time; what the text side's batches took stays with it meanwhile, so these two add up."""

SHAPES: tuple[tuple[int, int], ...] = ((8, 64), (1, 256), (16, 64), (1, 512), (4, 256), (2, 512), (32, 64), (8, 256), (4, 512))
"""(windows, characters) of the batches that are fitted to, each costlier than the one before: onnxruntime's arena keeps what
the largest batch needed, so only a new largest can be seen."""


def resident_bytes() -> int:
    """Resident set of this process now."""
    return _status("VmRSS") or _most_by_getrusage() or 150 * _MIB


def peak_resident_bytes() -> int:
    """Largest resident set that this process ever had."""
    return _status("VmHWM") or _most_by_getrusage() or resident_bytes()


def _status(key: str) -> int:
    with contextlib.suppress(OSError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith(f"{key}:"):
                return int(line.split()[1]) * _KIB
    return 0


def _most_by_getrusage() -> int:
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * _KIB


@dataclass(frozen=True, slots=True)
class BatchMemory:
    """What a batch adds to the loaded model, in bytes.

    Attributes:
        per_char: a, for each padded character.
        per_pair: b·h, for each pair of characters of a window, all attention heads together.
        fixed: c.
        source: "fitted" on this machine, or "constants".
    """

    per_char: float = 10_000
    per_pair: float = 40
    fixed: float = 1_000_000
    source: str = "constants"

    def bytes(self, windows: int, chars: int) -> int:
        """Of a batch of `windows` windows of `chars` padded characters, with the margin."""
        return int(MARGIN * (self.fixed + windows * self._window(chars)))

    def windows(self, room_bytes: int, chars: int) -> int:
        """How many windows of `chars` padded characters fit into `room_bytes`, at least one: a window is never cut."""
        return max(1, int((room_bytes / MARGIN - self.fixed) // self._window(chars)))

    def _window(self, chars: int) -> float:
        return self.per_char * chars + self.per_pair * chars * chars


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """What a process may hold in all, and what is left of it for a batch.

    Attributes:
        limit_bytes: of the process.
        loaded_bytes: W.
        reserved_bytes: for all else: `WORK_BYTES`, or `PHOTO_BYTES` where photos are looked at.
        batch: what a batch adds.
    """

    limit_bytes: int
    loaded_bytes: int
    reserved_bytes: int
    batch: BatchMemory

    @property
    def room_bytes(self) -> int:
        return self.limit_bytes - self.loaded_bytes - self.reserved_bytes

    def windows(self, chars: int) -> int:
        """Windows of `chars` padded characters that a batch may hold."""
        return self.batch.windows(self.room_bytes, chars)

    def to_dict(self) -> dict[str, Any]:
        """For the manifest (docs/formats.md)."""
        return {"limit_bytes": self.limit_bytes, "loaded_bytes": self.loaded_bytes, "reserved_bytes": self.reserved_bytes,
                "bytes_per_char": round(self.batch.per_char), "bytes_per_pair": round(self.batch.per_pair, 2),
                "bytes_fixed": round(self.batch.fixed), "margin": MARGIN, "source": self.batch.source}


def budget(limit_bytes: int, batch: BatchMemory, photos: bool = False, device_bytes: int | None = None) -> MemoryBudget:
    """Shares a limit out, after the model was loaded.

    Args:
        limit_bytes: of the process, or of the graphics card where the model was loaded there.
        batch: what a batch takes (`remembered_fit`).
        photos: photos are looked at too.
        device_bytes: what the loaded model takes of a graphics card; None where it is computed on the processor.

    Raises:
        UsageError: the limit lies below what the loaded model and the smallest batch take; both numbers are named.
    """
    if device_bytes is not None:
        needed = device_bytes + batch.bytes(1, MIN_CHARS_PER_BATCH)
        if limit_bytes < needed:
            raise UsageError(f"the memory limit is {limit_bytes // _MIB} MB of the graphics card, the model needs {needed // _MIB + 1} MB",
                             code="memory_limit_too_small", hint="give a larger --memory-limit, or another backend")
        return MemoryBudget(limit_bytes, device_bytes, 0, batch)
    # photos are looked at before the texts of a chunk are read, so the two never need their share at once
    loaded, reserved = resident_bytes(), max(WORK_BYTES, PHOTO_BYTES if photos else 0)
    needed = loaded + reserved + batch.bytes(1, MIN_CHARS_PER_BATCH)
    if limit_bytes < needed:
        what = "the model and a photograph need" if photos else "the model needs"
        raise UsageError(f"the memory limit is {limit_bytes // _MIB} MB a process, {what} {needed // _MIB + 1} MB",
                         code="memory_limit_too_small", hint="give a larger --memory-limit, or fewer --workers")
    return MemoryBudget(limit_bytes, loaded, reserved, batch)


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
    command = [sys.executable, "-m", "tcmstruct.runtime.memory", str(model.resolve()), str(threads or 0), backend]
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
    loaded = _status("VmRSS")
    if not loaded or _status("VmHWM") > loaded + 4 * _MIB:
        raise OSError("the largest resident set cannot be told on this system")
    return lambda: _status("VmHWM") - loaded


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

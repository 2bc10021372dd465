"""How much memory a batch takes on this machine, and how large a batch may be under a limit.

    peak = W + a·B·L + b·h·B·L² + c

W is what the process holds when the model is loaded, B the windows of a batch, L their padded characters, h the attention
heads. a, b·h and c are fitted once for a machine, a model and a backend (`memory_fit`); where that cannot be done the constants
below stand in. Batches are trimmed to what fits, a record never is. With a graphics card the limit is of the card's memory.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcmstruct.errors import UsageError

_KIB = 1024
_MIB = 1024**2
_STATUS = Path("/proc/self/status")

MIN_CHARS_PER_BATCH = 512
"""The smallest batch that a limit must leave room for: one window at full length."""

MAX_CHARS_PER_BATCH = 3072
"""Padded characters of a batch where memory does not matter; larger ones are no faster."""

MARGIN = 1.15
"""Factor on what a batch is reckoned with; the fit itself lies above every batch that it was made from (`memory_fit.fitted_to`)."""

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


def resident_bytes() -> int:
    """Resident set of this process now."""
    return status("VmRSS") or _most_by_getrusage() or 150 * _MIB


def peak_resident_bytes() -> int:
    """Largest resident set that this process ever had."""
    return status("VmHWM") or _most_by_getrusage() or resident_bytes()


def status(key: str) -> int:
    """Bytes that Linux tells of this process under a name such as "VmRSS"; 0 where it does not."""
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
        batch: what a batch takes (`memory_fit.remembered_fit`).
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

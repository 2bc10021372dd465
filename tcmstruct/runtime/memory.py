"""How much memory a batch takes, and how large a batch may be under a limit.

Peak = base + per_char · B·L + per_pair · B·L²: the base is measured when the model is loaded (resident set), the other
two follow from the widths of the arrays that live at once, with a margin. A batch is cut to what fits; a record never is.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tcmstruct.errors import UsageError

_KIB = 1024
MIN_CHARS_PER_BATCH = 512
MAX_CHARS_PER_BATCH = 3072
BYTES_PER_CHAR = 24_000
"""Bytes that one padded character takes at the peak: about 25 live fp32 vectors of the encoder's widths, measured by
`python -m benchmarks.memory`, with a margin of a third."""

PHOTO_BYTES = 256 * _KIB**2
"""What looking at one photo may take beside the loaded networks: the costliest that the gate of `image.decode` lets through
(its file, and `MAX_WORKING_BYTES` for its pixels), measured by `python -m benchmarks.memory photos`, with a margin of a tenth.
Photos are looked at one at a time; what the text side's batches took stays with it meanwhile, so the two add up."""


def resident_bytes() -> int:
    """Resident set of this process now."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * _KIB
    if sys.platform != "win32":
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * _KIB
    return 150 * _KIB * _KIB


def chars_per_batch(limit_bytes: int | None, reserved_bytes: int = 0) -> int:
    """Padded characters that a batch may hold under `limit_bytes` (None: the default size).

    Args:
        limit_bytes: of the process.
        reserved_bytes: what else will be taken beside what the process holds now (`PHOTO_BYTES`).

    Raises:
        UsageError: the limit lies below what the loaded model itself and the smallest batch take; both numbers are named.
    """
    if limit_bytes is None:
        return MAX_CHARS_PER_BATCH
    base = resident_bytes() + reserved_bytes
    room = (limit_bytes - base) // BYTES_PER_CHAR
    if room < MIN_CHARS_PER_BATCH:
        needed = base + MIN_CHARS_PER_BATCH * BYTES_PER_CHAR
        what = "the model and a photograph need" if reserved_bytes else "the model needs"
        raise UsageError(f"the memory limit is {limit_bytes // _KIB**2} MB a process, {what} {needed // _KIB**2} MB",
                         code="memory_limit_too_small", hint="give a larger --memory-limit, or fewer --workers")
    return min(MAX_CHARS_PER_BATCH, room)

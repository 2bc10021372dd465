"""`tcmstruct verify OUT`: is a result complete, unaltered and true to its texts?"""

from __future__ import annotations

from pathlib import Path

from tcmstruct.batch.verify import verify


def verify_result(out: Path) -> int:
    """Prints a line for every check; 0 where all hold, else 1."""
    failed = 0
    for check, fault in verify(out):
        print(f"{'ok  ' if fault is None else 'FAIL'} {check}" + ("" if fault is None else f": {fault}"))
        failed += fault is not None
    return min(failed, 1)

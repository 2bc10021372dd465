"""What was measured on this machine, remembered for the next process: small JSON files of figures in the user's cache folder.

Never record text. A file that is damaged, or of another machine, is as good as none; a folder that cannot be written only costs
the next run its measurement.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from pathlib import Path
from typing import Any

CPUINFO = Path("/proc/cpuinfo")


def cache_folder() -> Path:
    """XDG Base Directory Specification 0.8."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path("~/.cache").expanduser()) / "tcmstruct"


def read_cache(place: Path) -> dict[str, Any]:
    """What `place` holds; {} where it holds nothing that can be used."""
    try:
        known = json.loads(place.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def write_cache(place: Path, known: dict[str, Any]) -> bool:
    """Replaces `place` as a whole, readable by its owner alone; False where that cannot be done."""
    part = place.with_name(f"{place.name}.{os.getpid()}")
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(known, file)
        os.replace(part, place)
        return True
    return False


def processor() -> str:
    """The processor's name as the system gives it."""
    return cpu_line("model name") or platform.processor()


def cpu_line(key: str) -> str:
    """The first line of /proc/cpuinfo that begins with `key`; "" where there is none."""
    with contextlib.suppress(OSError):
        for line in CPUINFO.read_text().splitlines():
            if line.startswith(key):
                return line
    return ""

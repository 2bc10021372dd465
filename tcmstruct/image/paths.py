"""From what a record says about its photo to an open file inside the image folder, or a refusal.

The path in a record is foreign text. It may only lead downward from the image folder, through no link that leaves it,
to an ordinary file; what is read is the file that was checked (it is opened once and asked through its descriptor).
"""

from __future__ import annotations

import errno
import os
import re
import stat
from pathlib import Path, PurePosixPath

from tcmstruct.errors import UsageError
from tcmstruct.image.refusal import ImageRefused

MAX_FILE_BYTES = 40_000_000
MAX_PATH_CHARACTERS = 1000

_REFUSED_SHAPES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]"), "path_invalid"),
    (re.compile(r"^\s*$"), "path_invalid"),
    (re.compile(r"^\s*[\\/]{2}"), "path_unc"),
    (re.compile(r"^\s*[A-Za-z][A-Za-z0-9+.-]+:"), "path_url"),
    (re.compile(r"^\s*[A-Za-z]:"), "path_absolute"),
    (re.compile(r"^\s*[\\/~]"), "path_absolute"),
    (re.compile(r"(^|[\\/])\s*\.\.\s*([\\/]|$)"), "path_traversal"),
)
"""Tried in this order; Windows forms are refused on every system, since records travel between systems."""

_ERRNO_REASONS = {errno.ENOENT: "not_found", errno.ENOTDIR: "not_found", errno.ENAMETOOLONG: "not_found",
                  errno.ELOOP: "path_outside_root", errno.EACCES: "unreadable", errno.EPERM: "unreadable",
                  errno.EISDIR: "not_a_file", errno.ENXIO: "not_a_file"}


def image_folder(root: str | Path) -> Path:
    """The image folder, as the user names it.

    Raises:
        UsageError: there is no such folder; its last part only is repeated.
    """
    root = Path(root)
    if not root.is_dir():
        raise UsageError("no such folder of photographs", where=root.name, code="not_a_folder",
                         hint="--image-root names the folder that the paths in the records start from")
    return root


def resolve(named: str, root: Path) -> Path:
    """The place that a record's path means, inside `root`.

    Args:
        named: as it stands in the record; `\\` and `/` both part folders.
        root: the image folder.

    Raises:
        ImageRefused: `path_*`, `not_found`.
    """
    for shape, reason in _REFUSED_SHAPES:
        if shape.search(named):
            raise ImageRefused(reason)
    if len(named) > MAX_PATH_CHARACTERS:
        raise ImageRefused("path_invalid", f"{len(named)} characters, {MAX_PATH_CHARACTERS} allowed")
    try:
        base = root.resolve(strict=True)
        place = (base / PurePosixPath(named.strip().replace("\\", "/"))).resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:  # RuntimeError: a circle of links, before Python 3.13
        raise ImageRefused(_reason(error)) from None
    if not place.is_relative_to(base):
        raise ImageRefused("path_outside_root")
    return place


def read_file(path: Path, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """The bytes of an ordinary file; a pipe or device is not waited for.

    Raises:
        ImageRefused: `not_found`, `not_a_file`, `unreadable`, `file_empty`, `file_too_large`.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except (OSError, ValueError) as error:
        raise ImageRefused("not_a_file" if _is_folder(path) else _reason(error)) from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        raise ImageRefused("not_a_file")
    with os.fdopen(descriptor, "rb") as file:
        if facts.st_size > max_bytes:
            raise ImageRefused("file_too_large", f"{facts.st_size} bytes, {max_bytes} allowed")
        try:
            data = file.read(max_bytes + 1)
        except OSError:
            raise ImageRefused("unreadable") from None
    return check_length(data, max_bytes)


def check_length(data: bytes, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """`data`, unless it is empty or too long."""
    if not data:
        raise ImageRefused("file_empty")
    if len(data) > max_bytes:
        raise ImageRefused("file_too_large", f"more than {max_bytes} bytes")
    return data


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return _ERRNO_REASONS.get(error.errno or 0, "not_found")
    return "path_outside_root" if isinstance(error, RuntimeError) else "path_invalid"

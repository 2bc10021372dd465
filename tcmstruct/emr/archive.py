"""zip and gzip archives: their files, one at a time, each unpacked to a temporary file of this program's own naming.

A name inside an archive is never a path here. What would lead out of the archive, is no file, or is locked becomes one
`Fault`; the other files are read. Sizes are counted while they are unpacked, and before that once for a zip as a whole.
"""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from tcmstruct.emr.rows import Fault
from tcmstruct.emr.zipparts import LIMITS, Part, PartBroken, Parts, ZipLimits, bomb
from tcmstruct.errors import InputRefused

GZIP_MAGIC = b"\x1f\x8b\x08"
_CHUNK = 1 << 18
_GZIP_INFLATED = 64 * 1024**3
"""A gzip holds one file that is read as a stream, so it may be larger than a zip's parts; the ratio still holds."""
_GZIP_RATIO = 1_000
_SYSTEM = re.compile(r"(^|/)(__MACOSX/|\.DS_Store$|Thumbs\.db$|desktop\.ini$|\._)", re.I)
_DRIVE = re.compile(r"^[A-Za-z]:")
_LONGEST_NAME = 120


class Member(NamedTuple):
    """A file of an archive, unpacked.

    Attributes:
        name: as it may be shown.
        path: where it lies; whoever asks for it deletes it.
        broken: only its beginning is there.
    """

    name: str
    path: Path
    broken: bool = False


def member_kind(names: list[str]) -> str:
    """What a zip file is, by the names of its parts: "xlsx", "docx", "office" (another Office file) or "zip"."""
    lower = {name.lower() for name in names}
    if "xl/workbook.xml" in lower or any(name.startswith("xl/worksheets/") for name in lower):
        return "xlsx"
    if "word/document.xml" in lower:
        return "docx"
    office = "[content_types].xml" in lower or "mimetype" in lower
    return "office" if office else "zip"


def zip_kind(path: Path, label: str = "") -> str:
    """`member_kind` of a zip file, also of one that was cut off.

    Raises:
        InputRefused: damaged (`zip_invalid`), or too many parts (`zip_bomb`).
    """
    with Parts(path, label or path.name) as parts:
        return member_kind([part.name for part in parts.parts])


def unpack(path: Path, folder: Path, *, label: str = "", limits: ZipLimits = LIMITS) -> Iterator[Member | Fault]:
    """The files of an archive, in its order.

    Args:
        path: a zip or gzip file.
        folder: an own folder; a file is written there just before it is yielded, under a name of ours, mode 0600.
        label: for messages; the file's name by default.
        limits: what a zip may inflate to.

    Yields:
        Each file that can be used. A `Fault("member_refused")` for each entry that cannot, and `Fault("cut_short")` last where
        the archive was cut off.

    Raises:
        InputRefused: damaged (`zip_invalid`), or too large to unpack (`zip_bomb`).
    """
    label = label or path.name
    with path.open("rb") as file:
        magic = file.read(3)
    if magic == GZIP_MAGIC:
        yield from _gunzip(path, folder, label)
    else:
        yield from _unzip(path, folder, label, limits)


def _unzip(path: Path, folder: Path, label: str, limits: ZipLimits) -> Iterator[Member | Fault]:
    seen: dict[str, int] = {}
    with Parts(path, label, limits) as parts:
        parts.check()
        for number, part in enumerate(parts.parts, 1):
            if _SYSTEM.search(part.name.replace("\\", "/")):
                continue
            refusal = _refusal(part)
            if refusal:
                yield Fault("member_refused", refusal, f"entry {number}")
                continue
            target = folder / f"member-{number:05}"
            broken = ""
            try:
                _write(target, parts.stream(part))
            except PartBroken as error:
                broken = str(error)
            if broken and not target.stat().st_size:
                target.unlink()
                yield Fault("member_refused", broken, f"entry {number}")
                continue
            name = shown_name(part.name)
            seen[name] = count = seen.get(name, 0) + 1
            yield Member(name if count == 1 else f"{name}~{count}", target, bool(broken))
            if broken:
                yield Fault("member_refused" if not parts.cut else "cut_short", f"only its beginning was read: {broken}",
                            f"entry {number}")
        if parts.cut:
            yield Fault("cut_short", "the archive has no directory: files behind the break are lost", "end")


def _refusal(part: Part) -> str:
    """Why an entry is not read, or ""."""
    name = part.name.replace("\\", "/")
    if part.encrypted:
        return "locked with a password"
    if part.link:
        return "a symbolic link"
    if "\0" in name or name.startswith("/") or _DRIVE.match(name) or ".." in PurePosixPath(name).parts:
        return "its name leads out of the archive"
    return ""


def shown_name(name: str) -> str:
    """The last part of a name, as messages and ids may show it: printable, short, without what parts paths or places."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    shown = "".join(char if char.isprintable() and char not in ":!" and not 0xD800 <= ord(char) < 0xE000 else "?" for char in last)
    return shown[-_LONGEST_NAME:] or "?"


def _write(target: Path, pieces: Iterator[bytes]) -> None:
    with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        for piece in pieces:
            file.write(piece)


def _gunzip(path: Path, folder: Path, label: str) -> Iterator[Member | Fault]:
    target = folder / "member-00001"
    broken = ""

    def pieces() -> Iterator[bytes]:
        nonlocal broken
        size = packed = 0
        with path.open("rb") as file:
            inflator = zlib.decompressobj(16 + zlib.MAX_WBITS)
            chunk = b""
            while chunk or (chunk := file.read(_CHUNK)):
                if inflator.eof:
                    if not chunk.startswith(GZIP_MAGIC[: len(chunk)]):
                        return  # padding behind the last member
                    inflator = zlib.decompressobj(16 + zlib.MAX_WBITS)
                before = len(chunk)
                try:
                    piece = inflator.decompress(chunk, _CHUNK)
                except zlib.error:
                    broken = "damaged"
                    return
                chunk = inflator.unused_data if inflator.eof else inflator.unconsumed_tail
                packed += before - len(chunk)
                size += len(piece)
                if size > _GZIP_INFLATED or (size > LIMITS.free_bytes and size > _GZIP_RATIO * packed):
                    raise bomb(label, f"{size:,} bytes from {packed:,}")
                yield piece
            while not inflator.eof and (piece := inflator.flush()):
                yield piece
            if not inflator.eof:
                broken = "cut off"

    try:
        _write(target, pieces())
    except InputRefused:
        target.unlink()
        raise
    if broken and not target.stat().st_size:
        target.unlink()
        raise InputRefused("is a damaged gzip file", where=label, code="zip_invalid", hint="copy it again")
    name = shown_name(path.name)
    yield Member(name[:-3] if name.lower().endswith(".gz") and len(name) > 3 else name, target, bool(broken))
    if broken:
        yield Fault("cut_short", f"only its beginning was read: {broken}", "end")

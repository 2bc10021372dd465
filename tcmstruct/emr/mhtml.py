"""MHTML (.mht, and tables that Excel saves as a web page in one file): its HTML pages, each on a temporary file of our own.

A name inside is never a path here, and nothing that a page refers to is fetched. Source: RFC 2557, 2045, 2046.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message
from io import BufferedReader
from pathlib import Path

from tcmstruct.emr.archive import Member, shown_name
from tcmstruct.emr.rows import Fault
from tcmstruct.errors import InputRefused

_FIRST = re.compile(rb"(?:mime-version|from|subject|date|content-type|snapshot-content-location)[ \t]*:", re.I)
_MULTIPART = re.compile(rb"content-type[ \t]*:[ \t]*multipart/(?:related|mixed)", re.I)
_LINE = 1 << 16
_LONGEST_HEADER = 1 << 18
_MOST_PARTS = 10_000
_FRAMES = re.compile(rb"<frameset[\s>]", re.I)


def looks_like(head: bytes) -> bool:
    """Whether the beginning of a file is MHTML."""
    return _FIRST.match(head) is not None and _MULTIPART.search(head[:8192]) is not None


def unpack(path: Path, folder: Path, *, label: str = "") -> Iterator[Member | Fault]:
    """The pages of a file, in its order; a frameset, which has no text, is left out with what belongs to the layout.

    Args:
        path: the file.
        folder: an own folder; a page is written there just before it is yielded, mode 0600.
        label: for messages.

    Raises:
        InputRefused: no parts, or no page among them (`html_invalid`).
    """
    label = label or path.name
    pages = 0
    with path.open("rb") as file:
        boundary = _header(file).get_boundary()
        if not boundary:
            raise _refused(label, "has no parts")
        mark = b"--" + boundary.encode("ascii", "replace")  # bytes beyond ASCII come as U+FFFD, and match no line
        ended = _skip(file, mark)
        for number in range(1, _MOST_PARTS + 1):
            if ended is not False:
                break
            header = _header(file)
            if header.get_content_type() != "text/html":
                ended = _skip(file, mark)
                continue
            target = folder / f"member-{number:05}"
            with os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                ended = _decode(file, mark, str(header.get("Content-Transfer-Encoding", "")).strip().lower(), out.write)
            if _is_frame(target):
                target.unlink()
                continue
            pages += 1
            yield Member(shown_name(str(header.get("Content-Location") or f"page {pages}")), target, ended is None)
    if ended is None:
        yield Fault("cut_short", "the last part is not closed", "end")
    elif not pages:
        raise _refused(label, "holds no page")


def _refused(label: str, what: str) -> InputRefused:
    return InputRefused(f"is an MHTML file that {what}", where=label, code="html_invalid",
                        hint="open it in Excel or a browser and save it as .xlsx or .html")


def _header(file: BufferedReader) -> Message:
    """The header that begins here, up to its blank line."""
    lines: list[bytes] = []
    size = 0
    while (line := file.readline(_LINE)).strip() and size < _LONGEST_HEADER:
        lines.append(line)
        size += len(line)
    return message_from_bytes(b"".join(lines))


def _skip(file: BufferedReader, mark: bytes) -> bool | None:
    """Goes to the next boundary. False: another part follows; True: it was the last; None: the file ends before."""
    return _decode(file, mark, "", lambda _: None)


def _decode(file: BufferedReader, mark: bytes, coding: str, write: Callable[[bytes], object]) -> bool | None:
    """Writes the body that begins here; returns as `_skip`."""
    rest = b""
    while line := file.readline(_LINE):
        if line.startswith(mark):
            end = line[len(mark) :].strip()
            if end in (b"", b"--"):
                return end == b"--"
        if coding == "quoted-printable":
            line = binascii.a2b_qp(line)
        elif coding == "base64":
            rest += b"".join(line.split())
            whole = len(rest) // 4 * 4
            line, rest = _base64(rest[:whole]), rest[whole:]
        write(line)
    return None


def _base64(data: bytes) -> bytes:
    try:
        return binascii.a2b_base64(data)
    except binascii.Error:
        return b""


def _is_frame(path: Path) -> bool:
    with path.open("rb") as file:
        return _FRAMES.search(file.read(_LINE)) is not None

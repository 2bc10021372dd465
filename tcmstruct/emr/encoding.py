"""Which encoding a text file is in: byte order mark → UTF-8 → GB18030 → refusal that names the byte.

Being *valid* UTF-8 proves little for a short file: the GBK bytes of 头痛 (CD B7 CD B4) are valid UTF-8 and read "ͷʹ".
So both readings of a sample are scored by how plausible their characters are in a Chinese record, and UTF-8 starts
with a lead. A few damaged rows do not change the answer for the file: they are rejected one by one when they are read.
"""

from __future__ import annotations

import codecs
import os
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

from tcmstruct.errors import InputRefused, UsageError

BOMS: tuple[tuple[bytes, str], ...] = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; the four-byte ones first, since that of UTF-32-LE begins with that of UTF-16-LE."""

MARK_BAD_BYTES = "tcmstruct.mark"
"""Name of the decoding error handler that turns an undecodable byte into a lone surrogate U+DC80–U+DCFF, so that
its row, and only its row, is rejected."""

WHOLE_FILE_BYTES = 2 * 1024 * 1024
"""Up to this size the sample is the whole file; beyond it, blocks spread over the file."""
_BLOCK_BYTES = 64 * 1024
_BLOCKS = 16

_UTF8_LEAD = 0.6
"""What UTF-8 has ahead of GB18030 in mean plausibility: valid UTF-8 of more than a few characters is no accident."""
_LEAST_PLAUSIBLE = 0.0
_NOT_TEXT = -4.0
_SCORED_BYTES = 256 * 1024


def _mark(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeDecodeError):
        raise error
    bad = error.object[error.start : error.end]
    return "".join(chr(0xDC80 | byte & 0x7F) for byte in bad), error.end


codecs.register_error(MARK_BAD_BYTES, _mark)


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a file and why it was chosen.

    Attributes:
        name: a Python codec name; "utf-8-sig" where a mark has to be skipped.
        reason: "given", "byte order mark", "ascii only", "declared", "plausible".
    """

    name: str
    reason: str


@lru_cache(maxsize=8192)
def _weight(char: str) -> float:
    """Plausibility of one non-ASCII character in a Chinese clinical text, from 1 (common) to −4 (not text)."""
    code = ord(char)
    if 0xD800 <= code <= 0xDFFF:
        return -4.0  # an undecodable byte
    if 0x80 <= code < 0xA0:
        return -2.0  # C1 controls
    if 0xA0 <= code < 0x100:
        return 0.5  # ° ± × é
    try:
        lead = char.encode("gb2312")[0]
        if 0xB0 <= lead <= 0xD7:
            return 1.0  # level 1: the 3,755 common characters
        return 0.8 if lead >= 0xD8 else 1.0 if lead <= 0xA3 else 0.5
    except UnicodeEncodeError:
        pass
    try:
        if char.encode("big5")[0] <= 0xC6:
            return 0.7  # level 1 of the traditional set
    except UnicodeEncodeError:
        pass
    match unicodedata.category(char):
        case "Co":
            return -1.0
        case "Cn" | "Cc":
            return -2.0
        case "So" | "Sm" | "Cf" | "Po":
            return 0.3  # emoji, zero-width marks
        case _:
            return 0.1


def plausibility(text: str) -> float | None:
    """Mean weight of the non-ASCII characters of a text; None where there are none."""
    counts = {char: n for char, n in Counter(text).items() if char > "\x7f"}
    total = sum(counts.values())
    return sum(_weight(char) * n for char, n in counts.items()) / total if total else None


_DECLARED_LEAD = 0.3
"""What the encoding that a file states about itself has ahead: it is a hint, often left over from a template."""
_GB = frozenset(("gb2312", "gbk", "gb18030", "cp936", "hz"))
_LADDER = ("utf-8", "gb18030")


def known_codec(name: str | None) -> str | None:
    """The codec that a file names ("GB 18030-2000", "UNICODE UTF-8", "8859/1"), or None where it is none of text."""
    if not name:
        return None
    plain = name.strip().lower().removeprefix("unicode").strip().replace("8859/", "iso8859-")
    plain = re.sub(r"^gb[ _-]*(2312|k|18030).*", r"gb\1", plain)
    try:
        "".encode(plain)
        codec = codecs.lookup(plain).name
    except (LookupError, ValueError, UnicodeError):
        return None
    return "gb18030" if codec in _GB else codec


def decide(sample: bytes, where: str = "", declared: str | None = None) -> Encoding:
    """The encoding of a sample that starts at the beginning of its file.

    Args:
        sample: bytes.
        where: for messages.
        declared: what the file says about itself (an XML declaration, MSH-18 of HL7); believed where it reads at least
            about as plausibly as UTF-8 and GB18030 do.

    Raises:
        InputRefused: neither reading looks like text (code `encoding_unknown`).
    """
    for mark, name in BOMS:
        if sample.startswith(mark):
            return Encoding(name, "byte order mark")
    if sample.isascii():
        return Encoding("utf-8", "ascii only")
    hint = known_codec(declared)
    names = _LADDER if hint in (None, *_LADDER) else (*_LADDER, hint)
    part = _spread(sample)
    scores = {name: _score(part, name) for name in names}
    leads = {"utf-8": _UTF8_LEAD, **({hint: max(_UTF8_LEAD * (hint == "utf-8"), _DECLARED_LEAD)} if hint else {})}
    best = max(names, key=lambda name: scores[name] + leads.get(name, 0.0))
    if scores[best] <= _LEAST_PLAUSIBLE:
        found = "; ".join(f"{name} fails at byte {offset}" for name in scores
                          if (offset := _first_bad_byte(sample, name)) is not None)
        raise InputRefused("the file is text neither in UTF-8 nor in GB18030" + (f" ({found})" if found else ""),
                           where=where, code="encoding_unknown",
                           hint="name its encoding with --encoding, or save it as UTF-8")
    return Encoding(best, "declared" if best == hint else "plausible")


def _spread(sample: bytes) -> bytes:
    """Pieces of a large sample, cut at line ends, that stand for it; the sample itself where they are all ASCII."""
    if len(sample) <= _SCORED_BYTES:
        return sample
    size = _SCORED_BYTES // _BLOCKS
    pieces = []
    for k in range(_BLOCKS):
        at = k * (len(sample) - size) // (_BLOCKS - 1)
        piece = sample[at : at + size]
        start = 0 if k == 0 else piece.find(b"\n") + 1
        pieces.append(piece[start : piece.rfind(b"\n") + 1 or len(piece)])
    part = b"".join(pieces)
    return sample if part.isascii() else part


def _score(sample: bytes, name: str) -> float:
    for errors in ("surrogateescape", MARK_BAD_BYTES):  # the first is written in C, and knows bytes from 0x80 only
        try:
            return plausibility(sample.decode(name, errors)) or 0.0
        except (UnicodeError, LookupError):
            continue
    return _NOT_TEXT


def _first_bad_byte(sample: bytes, name: str) -> int | None:
    try:
        sample.decode(name)
    except UnicodeDecodeError as error:
        return error.start
    return None


def given(name: str) -> Encoding:
    """The encoding that the user named.

    Raises:
        UsageError: Python knows no such text encoding.
    """
    try:
        "".encode(name)
        return Encoding(codecs.lookup(name).name, "given")
    except (LookupError, ValueError):
        raise UsageError("--encoding names no text encoding", code="encoding_invalid",
                         hint="for example utf-8, utf-8-sig, gb18030, utf-16") from None


def take_sample(file: BinaryIO) -> bytes:
    """The whole of a small file; of a large one its beginning and blocks spread over it, cut at line ends.

    A line feed byte is never part of a longer character in UTF-8 or GB18030, so the cuts split none.
    """
    size = os.fstat(file.fileno()).st_size
    file.seek(0)
    if size <= WHOLE_FILE_BYTES:
        return file.read()
    blocks = []
    for k in range(_BLOCKS):
        file.seek(k * (size - _BLOCK_BYTES) // (_BLOCKS - 1))
        block = file.read(_BLOCK_BYTES)
        start = 0 if k == 0 else block.find(b"\n") + 1
        blocks.append(block[start : block.rfind(b"\n") + 1 or len(block)])
    return b"".join(blocks)


def sniff_encoding(path: Path, forced: str | None = None, where: str = "", declared: str | None = None) -> Encoding:
    """The encoding of a file: the one that the user named, else what `decide` says of its sample."""
    if forced is not None:
        return given(forced)
    with path.open("rb") as file:
        return decide(take_sample(file), where or path.name, declared)


def decode_bytes(data: bytes, forced: str | None = None, where: str = "") -> str:
    """A whole small text.

    Raises:
        InputRefused: a byte that is not text in the encoding chosen (code `undecodable`), with its offset.
    """
    encoding = given(forced) if forced else decide(data, where)
    try:
        return data.decode(encoding.name)
    except UnicodeDecodeError as error:
        raise InputRefused(f"byte {error.start} is not text in {encoding.name}", where=where, code="undecodable",
                           hint="name the encoding with --encoding") from None

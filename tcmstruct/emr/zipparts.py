"""A zip file as a list of parts that are inflated as streams, counted before anything is parsed.

Workbooks, Word documents and archives of exports all come through here. The directory at the end of the file is believed
for names and places only: sizes are counted by inflating, and a file that was cut off, and has no directory any more,
is gone through from its beginning, part by part (PKWARE APPNOTE 6.3.10, 4.3).
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tcmstruct.emr.encoding import plausibility
from tcmstruct.errors import InputRefused

_LOCAL = struct.Struct("<4s5H3L2H")
_LOCAL_MAGIC = b"PK\x03\x04"
_DESCRIPTOR_MAGIC = b"PK\x07\x08"
_ENCRYPTED, _DESCRIBED, _UTF8 = 0x1, 0x8, 0x800
_STORED, _DEFLATED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
_CHUNK = 1 << 16
_UNICODE_PATH = 0x7075


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """What a zip file may inflate to.

    Attributes:
        total_bytes: of all entries together. Texts of a workbook are laid on a
            temporary file of at most this size while it is read.
        ratio: inflated to packed, counted only beyond `free_bytes`; real workbooks stay below 60, bombs lie near 1,000.
        free_bytes: inflated size up to which the ratio is not asked.
        entries: number of parts.
    """

    total_bytes: int = 1024**3
    ratio: int = 200
    free_bytes: int = 32 * 1024**2
    entries: int = 10_000


LIMITS = ZipLimits()


class PartBroken(Exception):
    """A part ends before its end, or its bytes are no deflate stream; `text` is what kind of fault, without content."""


@dataclass(frozen=True, slots=True)
class Part:
    """One entry of a zip file.

    Attributes:
        name: as the archive has it, with its bytes read as UTF-8 or, where they are none, as GB18030.
        offset: of its local header.
        packed: bytes as packed; None in a file that was cut off and did not say.
        method: 0 stored, 8 deflated.
        encrypted: locked with a password.
        link: a symbolic link (Unix mode).
    """

    name: str
    offset: int
    packed: int | None
    method: int
    encrypted: bool = False
    link: bool = False


class Parts:
    """The parts of a zip file. Use as a context manager.

    Attributes:
        parts: in the order of the directory (or of the file, where it was cut off).
        cut: the file has no directory: it was cut off, and its last part may be incomplete.
    """

    def __init__(self, path: Path, label: str, limits: ZipLimits = LIMITS) -> None:
        """Reads the directory.

        Raises:
            InputRefused: no zip file at all (`zip_invalid`), or too many parts (`zip_bomb`).
        """
        self._label, self._limits = label, limits
        self._file: BinaryIO = path.open("rb")
        self.cut = False
        try:
            self.parts = self._directory() or self._walk()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Parts:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def find(self, name: str) -> Part | None:
        """The part of a name; names of Office parts are compared without case (ECMA-376 part 2, 6.2.2.3)."""
        wanted = name.lower()
        return next((part for part in self.parts if part.name.lower() == wanted), None)

    def _directory(self) -> list[Part]:
        try:
            with zipfile.ZipFile(self._file) as archive:
                infos = archive.infolist()
        except (zipfile.BadZipFile, struct.error, EOFError, OSError, NotImplementedError, ValueError):
            return []
        self._allow(len(infos))
        return [Part(_name(info.orig_filename.encode("cp437", "replace"), info.extra, False)
                     if not info.flag_bits & _UTF8 else info.orig_filename,
                     info.header_offset, info.compress_size, info.compress_type, bool(info.flag_bits & _ENCRYPTED),
                     info.external_attr >> 28 == 0xA) for info in infos if not info.filename.endswith("/")]

    def _allow(self, n_parts: int) -> None:
        if n_parts > self._limits.entries:
            raise bomb(self._label, f"{n_parts:,} parts against {self._limits.entries:,} allowed")

    def _walk(self) -> list[Part]:
        """Parts of a file without a directory, from its beginning."""
        self.cut = True
        parts: list[Part] = []
        at = total = 0
        while True:
            self._file.seek(at)
            head = self._file.read(_LOCAL.size)
            if len(head) < _LOCAL.size or head[:4] != _LOCAL_MAGIC:
                break
            _, _, flags, method, _, _, _, packed, _, name_size, extra_size = _LOCAL.unpack(head)
            raw, extra = self._file.read(name_size), self._file.read(extra_size)
            if len(raw) + len(extra) < name_size + extra_size:
                break
            known = None if flags & _DESCRIBED and not packed else packed
            part = Part(_name(raw, extra, bool(flags & _UTF8)), at, known, method, bool(flags & _ENCRYPTED))
            if not part.name.endswith("/"):
                parts.append(part)
                self._allow(len(parts))
            at += _LOCAL.size + name_size + extra_size
            if known is not None:
                at += known
            elif method == _DEFLATED:
                try:
                    for piece in self.stream(part):
                        total += len(piece)
                        if total > self._limits.total_bytes:
                            raise bomb(self._label, f"it inflates beyond {self._limits.total_bytes:,} bytes")
                except PartBroken:
                    break
                at = self._end
            else:
                break
            if flags & _DESCRIBED:
                self._file.seek(at)
                at += 16 if self._file.read(4) == _DESCRIPTOR_MAGIC else 12
        if not parts:
            raise InputRefused("is a damaged zip file", where=self._label, code="zip_invalid",
                               hint="export it again, or copy it again: it may have been cut off on the way")
        return parts

    def check(self) -> None:
        """Inflates every part once, counting and keeping nothing: the sizes that a zip states about itself can lie.

        Raises:
            InputRefused: too large to unpack (`zip_bomb`).
        """
        total = 0
        for part in self.parts:
            if part.encrypted or part.method not in (_STORED, _DEFLATED):
                continue
            size = 0
            try:
                for piece in self.stream(part):
                    size += len(piece)
                    if total + size > self._limits.total_bytes:
                        raise bomb(self._label, f"it inflates beyond {self._limits.total_bytes:,} bytes")
                    if size > self._limits.free_bytes and size > self._limits.ratio * max(1, self._consumed):
                        raise bomb(self._label, f"a part inflates more than {self._limits.ratio} times")
            except PartBroken:
                pass
            total += size

    def stream(self, part: Part) -> Iterator[bytes]:
        """The content of a part, at most 64 KiB at a time.

        Raises:
            PartBroken: it ends too early, is no deflate stream, is locked, or packed by another method; what came
                before has been yielded.
        """
        if part.encrypted:
            raise PartBroken("locked with a password")
        if part.method not in (_STORED, _DEFLATED):
            raise PartBroken(f"packed by method {part.method}")
        head = self._read_at(part.offset, _LOCAL.size)
        if len(head) < _LOCAL.size or head[:4] != _LOCAL_MAGIC:
            raise PartBroken("no header")
        at = part.offset + _LOCAL.size + sum(_LOCAL.unpack(head)[-2:])
        left = part.packed
        inflator = zlib.decompressobj(-zlib.MAX_WBITS)
        self._consumed = 0
        while left is None or left > 0:
            chunk = self._read_at(at, _CHUNK if left is None else min(left, _CHUNK))
            if not chunk:
                raise PartBroken("cut off")
            at += len(chunk)
            left = None if left is None else left - len(chunk)
            self._consumed += len(chunk)
            if part.method == _STORED:
                yield chunk
                continue
            while chunk and not inflator.eof:
                try:
                    piece = inflator.decompress(chunk, _CHUNK)
                except zlib.error:
                    raise PartBroken("damaged") from None
                chunk = inflator.unconsumed_tail
                if piece:
                    yield piece
            if inflator.eof:
                self._end = at - len(inflator.unused_data)
                return
        if part.method == _DEFLATED and not inflator.eof:
            while piece := inflator.decompress(inflator.unconsumed_tail, _CHUNK):
                yield piece
            if not inflator.eof:
                raise PartBroken("cut off")
        self._end = at

    def _read_at(self, at: int, size: int) -> bytes:
        """Bytes at a place that the file itself states, so that it may be none."""
        try:
            self._file.seek(at)
            return self._file.read(size)
        except (OSError, ValueError, OverflowError):
            return b""

    def read(self, part: Part, most: int) -> bytes:
        """A small part at once.

        Raises:
            InputRefused: it is larger than `most` bytes (`zip_bomb`).
            PartBroken: see `stream`.
        """
        pieces, size = [], 0
        for piece in self.stream(part):
            size += len(piece)
            if size > most:
                raise bomb(self._label, f"a part of more than {most:,} bytes where a few thousand are usual")
            pieces.append(piece)
        return b"".join(pieces)


def bomb(label: str, found: str) -> InputRefused:
    """The refusal of a zip file that would fill the memory or the disk."""
    return InputRefused(f"is refused as too large to unpack: {found}", where=label, code="zip_bomb",
                        hint="split the table, or save it as CSV")


def _name(raw: bytes, extra: bytes, utf8: bool) -> str:
    """A part's name. Chinese Windows writes GBK and says nothing; some programs add the name in UTF-8 (APPNOTE 4.6.9)."""
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<2H", extra)
        field = extra[4 : 4 + size]
        if kind == _UNICODE_PATH and size > 5 and field[0] == 1 and struct.unpack_from("<L", field, 1)[0] == zlib.crc32(raw):
            return field[5:].decode("utf-8", "replace")
        extra = extra[4 + size :]
    if utf8 or raw.isascii():
        return raw.decode("utf-8", "replace")
    readings = {name: raw.decode(name, "replace") for name in ("utf-8", "gb18030")}
    return max(readings.values(), key=lambda text: (plausibility(text) or 0.0) - 4 * text.count("\ufffd"))

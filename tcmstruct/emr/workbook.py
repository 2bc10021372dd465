"""XLSX as rows, sheet by sheet, after a look at what the zip would inflate to."""

from __future__ import annotations

import re
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from tcmstruct.errors import InputRefused


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """What a workbook may inflate to.

    Attributes:
        total_bytes: of all entries together. Excel keeps all texts of a workbook in one part that is held in memory
            while it is read, about twice its size.
        ratio: inflated to packed, counted only beyond `free_bytes`; real workbooks stay below 60, bombs lie near 1,000.
        free_bytes: inflated size up to which the ratio is not asked.
        entries: number of parts.
    """

    total_bytes: int = 1024**3
    ratio: int = 200
    free_bytes: int = 32 * 1024**2
    entries: int = 10_000


LIMITS = ZipLimits()

_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")
_CHUNK = 1 << 20


def check_zip(path: Path, limits: ZipLimits = LIMITS) -> None:
    """Inflates every part once, counting and keeping nothing: the sizes that a zip states about itself can lie.

    Raises:
        InputRefused: damaged (`xlsx_invalid`), not a workbook (`format_unsupported`), or too large (`zip_bomb`).
    """
    where = path.name
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as raw:
            infos = archive.infolist()
            if len(infos) > limits.entries:
                raise _bomb(where, f"{len(infos):,} parts against {limits.entries:,} allowed")
            if not any(info.filename == "xl/workbook.xml" for info in infos):
                raise InputRefused("is a zip file but no XLSX workbook", where=where, code="format_unsupported",
                                   hint="export the records as CSV, XLSX or JSON Lines")
            total = 0
            for info in infos:
                if info.flag_bits & 1:
                    raise InputRefused("is encrypted", where=where, code="format_unsupported",
                                       hint="save it without a password")
                for inflated, packed in _inflate(raw, info):
                    if total + inflated > limits.total_bytes:
                        raise _bomb(where, f"it inflates beyond {limits.total_bytes:,} bytes")
                    if inflated > limits.free_bytes and inflated > limits.ratio * packed:
                        raise _bomb(where, f"a part inflates more than {limits.ratio} times")
                total += inflated
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError, ValueError) as error:
        raise InputRefused(f"is a damaged XLSX file ({type(error).__name__})", where=where, code="xlsx_invalid",
                           hint="open it in Excel or WPS and save it again") from None


def _bomb(where: str, found: str) -> InputRefused:
    return InputRefused(f"is refused as too large to unpack: {found}", where=where, code="zip_bomb",
                        hint="split the table, or save it as CSV")


def _inflate(raw: BinaryIO, info: zipfile.ZipInfo) -> Iterator[tuple[int, int]]:
    """(bytes inflated, bytes packed) of one part so far, ever further; at least once."""
    raw.seek(info.header_offset)
    name_size, extra_size = struct.unpack("<26x2H", raw.read(30))
    raw.seek(name_size + extra_size, 1)
    left, inflated, packed = info.compress_size, 0, 0
    stored = info.compress_type == zipfile.ZIP_STORED
    if not stored and info.compress_type != zipfile.ZIP_DEFLATED:
        raise NotImplementedError
    inflator = zlib.decompressobj(-zlib.MAX_WBITS)
    yield 0, 0
    while left > 0:
        chunk = raw.read(min(left, 1 << 16))
        if not chunk:
            raise EOFError
        left -= len(chunk)
        packed += len(chunk)
        if stored:
            inflated += len(chunk)
            yield inflated, packed
            continue
        while chunk:
            inflated += len(inflator.decompress(chunk, _CHUNK))
            chunk = inflator.unconsumed_tail
            yield inflated, packed


@contextmanager
def open_sheets(path: Path) -> Iterator[Iterator[tuple[str, Iterator[tuple[Any, ...]]]]]:
    """The sheets of a workbook: (name, rows), rows as tuples of str, number, bool, date or None.

    The extent that a sheet states about itself is not believed: some programs write "A1", and a stray cell at the
    far corner must cost nothing.

    Raises:
        InputRefused: the workbook cannot be opened (`xlsx_invalid`).
    """
    import openpyxl  # a quarter of a second that other formats need not wait for

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True, keep_links=False)
    except Exception as error:  # openpyxl raises whatever a broken part makes it raise
        raise InputRefused(f"is a damaged XLSX file ({type(error).__name__})", where=path.name, code="xlsx_invalid",
                           hint="open it in Excel or WPS and save it again") from None
    try:
        yield ((sheet.title, _rows(sheet, path.name)) for sheet in book.worksheets)
    finally:
        book.close()


def _rows(sheet: Any, where: str) -> Iterator[tuple[Any, ...]]:
    try:
        if hasattr(sheet, "reset_dimensions"):
            sheet.reset_dimensions()
        for row in sheet.iter_rows(values_only=True):
            yield tuple(_unescape(cell) if isinstance(cell, str) else cell for cell in row)
    except Exception as error:
        raise InputRefused(f"a sheet is damaged ({type(error).__name__})", where=where, code="xlsx_invalid",
                           hint="open it in Excel or WPS and save it again") from None


def _unescape(text: str) -> str:
    """`_x000D_` → carriage return: how a workbook writes characters that XML cannot hold (ECMA-376 ST_Xstring)."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), text) if "_x" in text else text

"""Old binary workbooks (.xls, BIFF2 to BIFF8) as rows, and what else may stand in the same kind of container.

Read by xlrd, row by row as far as cells go. A reader that lays a sheet out as a full rectangle needs 1 GB for a file of
6 KB with one stray cell, and one that copies a shared text into every cell 4 GB for one of 400 KB.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Sequence
from datetime import datetime, time
from pathlib import Path
from typing import Any, BinaryIO, Literal

from tcmstruct.emr.encoding import decide
from tcmstruct.emr.rows import Fault
from tcmstruct.emr.source import FileFacts, Given, Table
from tcmstruct.errors import InputRefused, TcmstructError

OLE_MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
BARE_MAGICS: tuple[bytes, ...] = (b"\x09\x00\x04\x00", b"\x09\x00\x06\x00", b"\x09\x02\x06\x00", b"\x09\x04\x06\x00", b"\x09\x08\x08\x00",
                                  b"\x09\x08\x10\x00")
"""First bytes of a workbook without a container, as small export libraries write it."""

MAX_BYTES = 128 * 1024**2
"""Size beyond which an .xls is refused: the library holds a sheet's cells, four times the file's size at most."""

_LATIN = frozenset(("iso-8859-1", "iso8859-1", "latin_1", "latin-1", "cp1252", "ascii", "cp437", "cp850"))
_SAMPLE_TEXTS = 500

OleKind = Literal["xls", "encrypted", "doc", "other"]


def ole_kind(path: Path) -> OleKind:
    """What an OLE container (MS-CFB) holds, by the names in its directory: "xls", "encrypted" (an XLSX or DOCX with a
    password), "doc" (a Word document), "other" (anything else, or damaged)."""
    with path.open("rb") as file:
        names = set(_directory(file))
    if names & {"Workbook", "Book"}:
        return "xls"
    if "EncryptedPackage" in names:
        return "encrypted"
    return "doc" if "WordDocument" in names else "other"


def _directory(file: BinaryIO) -> Iterator[str]:
    """Names of a container's streams; at most a few hundred sectors are looked at."""
    head = file.read(512)
    if len(head) < 512 or head[:8] != OLE_MAGIC:
        return
    shift, = struct.unpack_from("<H", head, 30)
    if not 7 <= shift <= 16:
        return
    size = 1 << shift
    n_fat, sector = struct.unpack_from("<2L", head, 44)
    fat_sectors = struct.unpack_from(f"<{min(n_fat, 109)}L", head, 76)
    for _ in range(256):
        file.seek((sector + 1) << shift)
        block = file.read(size)
        for at in range(0, len(block) - 127, 128):
            length, = struct.unpack_from("<H", block, at + 64)
            if 2 < length <= 64:
                yield block[at : at + length - 2].decode("utf-16-le", "replace")
        table, entry = divmod(sector, size // 4)
        if len(block) < size or table >= len(fat_sectors):
            return
        file.seek(((fat_sectors[table] + 1) << shift) + 4 * entry)
        link = file.read(4)
        if len(link) < 4:
            return
        sector, = struct.unpack("<L", link)
        if sector >= 0xFFFFFFFA:
            return


def open_tables(given: Given, facts: FileFacts) -> Iterator[Table]:
    """The sheets of an .xls; see `source.TableReader`.

    Texts of the versions before Excel 97 are in the code page that the file names. Many exports name none, or the
    Western one, and hold GBK: their texts are then judged as those of a text file are (`encoding.decide`).

    Raises:
        InputRefused: damaged (`xls_invalid`), locked with a password or no workbook (`format_unsupported`), or larger
            than `MAX_BYTES` (`xls_too_large`).
    """
    path, label = given.path, given.label
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise InputRefused(f"is an .xls of {size:,} bytes against {MAX_BYTES:,} allowed", where=label, code="xls_too_large",
                           hint="save it as .xlsx or CSV, which are read at any size")
    with path.open("rb") as file:
        in_container = file.read(8) == OLE_MAGIC
    match ole_kind(path) if in_container else "xls":
        case "encrypted":
            raise InputRefused("is a workbook or document locked with a password", where=label, code="format_unsupported",
                               hint="open it and save it without a password")
        case "doc":
            raise InputRefused("is an old Word document (.doc)", where=label, code="format_unsupported",
                               hint="open it in Word or WPS and save it as .docx or .rtf")
        case "other":
            raise InputRefused("is an OLE container that holds no workbook", where=label, code="format_unsupported",
                               hint="export the records as CSV, XLSX or JSON Lines")
    import xlrd  # other formats need not wait for it

    book = _open(path, label, given.encoding)
    try:
        if book.biff_version < 80:
            chosen = given.encoding or _judged(book, label)
            if chosen and chosen != book.encoding:
                book.release_resources()
                book = _open(path, label, chosen)
            facts.encoding, facts.encoding_reason = book.encoding, "given" if given.encoding else "plausible" if chosen else "declared"
        for index, name in enumerate(book.sheet_names()):
            sheet = _guard(label, lambda index=index: book.sheet_by_index(index))
            yield Table(_rows(sheet, book.datemode, xlrd), name)
            book.unload_sheet(index)
    finally:
        book.release_resources()


def _open(path: Path, label: str, encoding: str | None) -> Any:
    import xlrd

    return _guard(label, lambda: xlrd.open_workbook(str(path), logfile=io.StringIO(), on_demand=True, ragged_rows=True,
                                                    encoding_override=encoding))


def _guard(label: str, job: Any) -> Any:
    try:
        return job()
    except TcmstructError:
        raise
    except Exception as error:  # the library raises whatever a broken record makes it raise
        if "encrypted" in str(error):
            raise InputRefused("is a workbook locked with a password", where=label, code="format_unsupported",
                               hint="open it and save it without a password") from None
        raise InputRefused(f"is a damaged .xls file ({type(error).__name__})", where=label, code="xls_invalid",
                           hint="open it in Excel or WPS and save it as .xlsx") from None


def _judged(book: Any, label: str) -> str | None:
    """The encoding of a file whose stated one holds no Chinese; None where the stated one may stand."""
    if book.encoding not in _LATIN:
        return None
    sheet = _guard(label, lambda: book.sheet_by_index(0))
    texts = [cell.encode(book.encoding, "replace") for row in range(sheet.nrows)
             for cell in sheet.row_values(row) if isinstance(cell, str)][:_SAMPLE_TEXTS]
    book.unload_sheet(0)
    sample = b"\n".join(texts)
    return None if sample.isascii() else decide(sample, label).name


def _rows(sheet: Any, datemode: int, xlrd: Any) -> Iterator[tuple[int, Sequence[Any] | Fault]]:
    for number in range(sheet.nrows):
        cells = zip(sheet.row_types(number), sheet.row_values(number), strict=True)
        yield number + 1, tuple(_cell(kind, value, datemode, xlrd) for kind, value in cells)


def _cell(kind: int, value: Any, datemode: int, xlrd: Any) -> Any:
    match kind:
        case xlrd.XL_CELL_TEXT:
            return value
        case xlrd.XL_CELL_NUMBER:
            return int(value) if value.is_integer() and abs(value) < 1e15 else value
        case xlrd.XL_CELL_BOOLEAN:
            return bool(value)
        case xlrd.XL_CELL_DATE:
            return _moment(value, datemode, xlrd)
        case xlrd.XL_CELL_ERROR:
            return xlrd.error_text_from_code.get(value, "#ERROR")
        case _:
            return None


def _moment(value: float, datemode: int, xlrd: Any) -> datetime | time | float:
    try:
        moment = xlrd.xldate.xldate_as_datetime(value, datemode)
    except (ValueError, OverflowError, xlrd.xldate.XLDateError):
        return value
    return moment.time() if 0 <= value < 1 else moment.replace(microsecond=0)

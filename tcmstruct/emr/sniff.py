"""What kind of file it is, by its bytes; the suffix is not asked."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from tcmstruct.errors import InputRefused

FORMATS: tuple[str, ...] = ("delimited", "jsonl", "xlsx", "empty")
"""What this version reads; "empty" is a file without any text in it."""

_HEAD_BYTES = 4096
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1a\x1b"))
_CONTROLS_ALLOWED = 4
_CONTROL_SHARE_ALLOWED = 0.02


@dataclass(frozen=True, slots=True)
class Foreign:
    """A format that is recognised in order to refuse it by name."""

    magic: bytes
    name: str
    hint: str


FOREIGN: tuple[Foreign, ...] = (
    Foreign(b"\xd0\xcf\x11\xe0", "an old .xls or .doc file, or a workbook locked with a password",
            "open it in Excel or WPS and save it as .xlsx without a password"),
    Foreign(b"%PDF", "a PDF", "export the records as CSV, XLSX or JSON Lines"),
    Foreign(b"{\\rtf", "an RTF document", "export the records as CSV, XLSX or JSON Lines"),
    Foreign(b"\x1f\x8b", "a gzip archive", "unpack it first"),
    Foreign(b"7z\xbc\xaf", "a 7z archive", "unpack it first"),
    Foreign(b"Rar!", "a RAR archive", "unpack it first"),
    Foreign(b"SQLite format 3", "an SQLite database", "export the table as CSV"),
    Foreign(b"PAR1", "a Parquet file", "export the table as CSV or JSON Lines"),
    Foreign(b"MSH|", "an HL7 v2 message", "export the records as CSV, XLSX or JSON Lines"),
    Foreign(b"<", "XML or HTML", "export the records as CSV, XLSX or JSON Lines"),
    Foreign(b"\x89PNG", "a picture", "a photograph is named in a column of the table, not given as an input"),
    Foreign(b"\xff\xd8\xff", "a picture", "a photograph is named in a column of the table, not given as an input"),
)

_BLANKS = b" \t\r\n"


def sniff_format(path: Path, encoding: str | None = None) -> str:
    """One of `FORMATS`.

    Args:
        path: the file.
        encoding: the encoding that the user named; a file in UTF-16 holds NUL bytes rightly.

    Raises:
        InputRefused: not a readable file (`not_a_file`, `unreadable`), or a format that is not read
            (`format_unsupported`).
    """
    if not path.exists():
        raise InputRefused("no such file", where=path.name, code="not_a_file", hint="check the path")
    if not path.is_file():
        raise InputRefused("is not a file", where=path.name, code="not_a_file", hint="name the files one by one")
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError as error:
        raise InputRefused(f"cannot be read ({type(error).__name__})", where=path.name, code="unreadable",
                           hint="check the permissions of the file") from None
    if head.startswith(b"PK\x03\x04"):
        return "xlsx"
    named = encoding is not None or head.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    start = head.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    for foreign in FOREIGN:
        if start.startswith(foreign.magic):
            raise InputRefused(f"is {foreign.name}, which is not read", where=path.name, code="format_unsupported",
                               hint=foreign.hint)
    if not start or head in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return "empty" if len(head) < _HEAD_BYTES else "delimited"
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if not named and controls > max(_CONTROLS_ALLOWED, _CONTROL_SHARE_ALLOWED * len(head)):
        raise InputRefused("holds control bytes: not a text file, or UTF-16 without a byte order mark", where=path.name,
                           code="format_unsupported", hint="for UTF-16 give --encoding utf-16-le")
    if start.startswith(b"["):
        after = start[1:].lstrip(_BLANKS)
        if after.startswith((b"{", b"]")):
            raise InputRefused("is one JSON list, which is not read", where=path.name, code="format_unsupported",
                               hint="write one object a line (JSON Lines), for example with: jq -c '.[]'")
    return "jsonl" if start.startswith(b"{") else "delimited"

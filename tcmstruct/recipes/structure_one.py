"""`tcmstruct structure TEXT|FILE|-`: one record as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.emr.columns import ColumnMap
from tcmstruct.emr.encoding import decode_bytes
from tcmstruct.emr.rows import MAX_ROW_CHARS, Reject, assemble
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.record import StructuredRecord

_MAX_BYTES = MAX_ROW_CHARS * 4


def structure_one(source: str, *, schema: Sequence[str] = ("all",), model: Path | None = None, codes: Path | None = None,
                  tongue: Path | None = None, encoding: str | None = None, suggest: bool | Path = False, adapter: Path | None = None,
                  stdin: Any = None, make: Callable[[], Any] | None = None) -> StructuredRecord:
    """Structures one record.

    Args:
        source: "-" for standard input, the path of a text file, or the text itself.
        schema: names of shipped packs, or TOML files.
        model: model folder; None takes the shipped one.
        codes: CSV of the hospital's own diagnosis codes, added to the shipped ones.
        tongue: tongue photograph, a second witness beside the text (docs/tongue-photos.md).
        encoding: of a file or of standard input, overruling what is found.
        suggest: add suggestions (docs/suggestions.md); a path names the head's folder.
        adapter: folder of the hospital's adapter (docs/adapters.md).
        stdin: binary stream in place of standard input.
        make: makes the structurer, in place of the shipped pipeline.

    Raises:
        InputRefused: not a text, or one that cannot be a record (the codes of rejects.jsonl).
        UsageError: the photograph does not exist.
    """
    text = read_text(source, stdin, encoding)
    checked = assemble((text,), ColumnMap(names=("text",), text=(0,)), "text", "1")
    if isinstance(checked, Reject):
        raise InputRefused(checked.reason, where="the record", code=checked.code)
    if tongue is not None and not tongue.is_file():
        raise UsageError("no such photograph", where=tongue.name, code="not_a_file")
    if make is None:
        from tcmstruct.pipeline import Structurer

        return Structurer(model, list(schema), codes=codes, suggest=suggest, adapter=adapter).structure(text, tongue)
    return make().structure(text, tongue)


def print_json(record: StructuredRecord, stream: Any = None) -> None:
    """Writes a record as indented JSON in UTF-8, whatever the terminal's own encoding."""
    out = stream or sys.stdout.buffer
    out.write(orjson.dumps(record.to_dict(),
                           option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY))
    out.flush()


def read_text(source: str, stdin: Any = None, encoding: str | None = None) -> str:
    """The text that `source` means.

    Raises:
        InputRefused: bytes that are not text, or too many for one record.
    """
    if source == "-":
        data, where = (stdin or sys.stdin.buffer).read(_MAX_BYTES + 1), "standard input"
    elif _is_file(source):
        where = Path(source).name
        with Path(source).open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    else:
        return source
    if len(data) > _MAX_BYTES:
        raise InputRefused("is too long for one record", where=where, code="row_too_long",
                           hint="tcmstruct convert takes files of many records")
    if data.startswith((b"PK\x03\x04", b"%PDF", b"\xd0\xcf\x11\xe0")):
        raise InputRefused("is not a plain text file", where=where, code="format_unsupported",
                           hint="tcmstruct convert takes XLSX, CSV and JSON Lines files")
    return decode_bytes(data, encoding, where)


def _is_file(source: str) -> bool:
    try:
        return Path(source).is_file()
    except (OSError, ValueError):  # a text that is too long for a name, or holds NUL
        return False

"""JSON Lines as rows: one object a line, read strictly (RFC 8259: UTF-8, no NaN, no key twice)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BufferedReader
from typing import Any, BinaryIO

from tcmstruct.emr.encoding import given as given_encoding
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.source import FileFacts, Given


class _DuplicateKey(ValueError):
    pass


class _NotJsonNumber(ValueError):
    pass


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        raise _DuplicateKey
    return out


def _refuse_constant(_: str) -> float:
    raise _NotJsonNumber


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_refuse_constant)


def parse_line(line: bytes, encoding: str) -> dict[str, Any] | Fault:
    """One line as an object, or the fault that it has."""
    try:
        text = line.decode(encoding)
    except UnicodeDecodeError as error:
        return Fault("undecodable", f"byte {error.start} of the line is not {encoding}")
    try:
        value = _DECODER.decode(text)
    except _DuplicateKey:
        return Fault("json_duplicate_key")
    except _NotJsonNumber:
        return Fault("json_not_a_number")
    except RecursionError:
        return Fault("json_too_deep")
    except json.JSONDecodeError as error:
        return Fault("json_invalid", f"{error.msg.split(':')[0]} at character {error.pos}")
    except ValueError:  # an integer of more digits than Python reads
        return Fault("json_invalid", "a number with too many digits")
    return value if isinstance(value, dict) else Fault("json_not_an_object")


def cut_lines(file: BinaryIO, encoding: str = "utf-8") -> Iterator[dict[str, Any] | Fault | None]:
    """Objects of the lines of a file; None for a blank line, so that line numbers stay true."""
    while line := file.readline(MAX_ROW_CHARS + 1):
        if len(line) > MAX_ROW_CHARS:
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_ROW_CHARS)
            yield Fault("row_too_long")
        elif line.isspace():
            yield None
        else:
            yield parse_line(line, encoding)


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """One record a line; the columns are its keys, and may differ from line to line. See `source.RecordReader`."""
    facts.encoding, facts.encoding_reason = "utf-8", "JSON Lines are UTF-8"
    if given.encoding:
        facts.encoding, facts.encoding_reason = given_encoding(given.encoding).name, "given"
    with given.open() as file:
        skip_mark(file)
        for number, value in enumerate(cut_lines(file, facts.encoding), 1):
            match value:
                case None:
                    yield None
                case Fault():
                    yield Fault(value.code, value.detail, str(number))
                case _:
                    yield Found(str(number), value, document=False)


def skip_mark(file: BufferedReader) -> None:
    """Passes over a byte order mark at the beginning of UTF-8."""
    if file.peek(3)[:3] == b"\xef\xbb\xbf":
        file.read(3)

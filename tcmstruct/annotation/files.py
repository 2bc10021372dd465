"""Files of annotations: read as strict UTF-8, written whole, for their owner alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.errors import InputRefused
from tcmstruct.whole_file import whole_file

MAX_DOCUMENT_BYTES = 1024 * 2**20
"""Largest file of one JSON document, which is read whole."""
_KINDS = {dict: "objects", list: "lists", str: "texts"}


def text_of(path: Path) -> str:
    """The text of a file, a byte-order mark and all kinds of line ends kept.

    Raises:
        InputRefused: it is not UTF-8, or too large.
    """
    if (size := path.stat().st_size) > MAX_DOCUMENT_BYTES:
        raise InputRefused(f"{size} bytes, at most {MAX_DOCUMENT_BYTES} are read", where=path.name, code="too_large",
                           hint="split the file, or use a format of one record a line")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputRefused(f"not UTF-8 at byte {error.start}", where=path.name, code="not_utf8", hint="save it as UTF-8") from None


def json_lines(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:row, object) of each line that is not blank; a byte-order mark at the beginning of the file is no part of it.

    Raises:
        InputRefused: a line is not a JSON object.
    """
    with path.open("rb") as file:
        for row, line in enumerate(file, 1):
            line = line.removeprefix(b"\xef\xbb\xbf") if row == 1 else line
            if line.strip():
                yield f"{path.name}:{row}", _object(line, f"{path.name}:{row}")


def json_list(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file[number], object) of each member of a JSON array, from 1; an object by itself is an array of one.

    Raises:
        InputRefused: it is not an array of objects.
    """
    found = _loads(text_of(path).removeprefix("\ufeff").encode(), path.name)
    for number, item in enumerate(found if isinstance(found, list) else [found], 1):
        if not isinstance(item, dict):
            raise InputRefused("not an array of JSON objects", where=f"{path.name}[{number}]", code="not_json")
        yield f"{path.name}[{number}]", item


def _object(data: bytes, where: str) -> dict[str, Any]:
    found = _loads(data, where)
    if not isinstance(found, dict):
        raise InputRefused("not a JSON object", where=where, code="not_json")
    return found


def _loads(data: bytes, where: str) -> Any:
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        pass
    try:
        return json.loads(data)  # half surrogates, which orjson refuses and `require_sound` names
    except (ValueError, RecursionError):
        raise InputRefused("not JSON", where=where, code="not_json") from None


def write_json_lines(path: Path, objects: Iterable[dict[str, Any]]) -> None:
    with whole_file(path) as file:
        for one in objects:
            file.write(orjson.dumps(one, option=orjson.OPT_APPEND_NEWLINE))


def write_json_list(path: Path, objects: Iterable[dict[str, Any]]) -> None:
    """An array with one object a line, written as the objects come."""
    with whole_file(path) as file:
        file.write(b"[")
        for number, one in enumerate(objects):
            file.write((b",\n" if number else b"\n") + orjson.dumps(one))
        file.write(b"\n]\n")


def offset(value: Any, where: str) -> int:
    """
    Raises:
        InputRefused: an offset is not a whole number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputRefused(f"an offset is {type(value).__name__}, a whole number is needed", where=where, code="offset_missing")
    return value


def text_in(value: Any, where: str, key: str) -> str:
    """
    Raises:
        InputRefused: the key holds no text.
    """
    if not isinstance(value, str):
        raise InputRefused(f"{key!r} is {type(value).__name__}, a text is needed", where=where, code="key_missing")
    return value


def items_in(value: Any, where: str, key: str, kind: type = dict) -> list[Any]:
    """
    Raises:
        InputRefused: the key holds something else than a list of such items.
    """
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(one, kind) for one in value):
        raise InputRefused(f"{key!r} is no list of {_KINDS[kind]}", where=where, code="key_missing")
    return value


def id_in(value: Any, where: str) -> str:
    """The id as text, or the record's place for one that has none."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) and str(value) else where

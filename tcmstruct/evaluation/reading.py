"""Reads annotated records: gold files, NER sets, and what `structure` or `convert` wrote."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tcmstruct.errors import InputRefused
from tcmstruct.record import StructuredRecord

_HINT = "evaluate reads JSON Lines in UTF-8: one record a line, as in records.jsonl (not xlsx, csv or a JSON array)"


def read_annotated(path: str | Path) -> list[StructuredRecord]:
    """Reads a JSONL file of annotated or predicted records.

    A folder stands for the `records.jsonl` in it, so the output folder of `convert` can be given. Two things that
    `StructuredRecord` has no place for are kept in `extra`: `source` (the origin of a gold record) and, where a line
    holds no text, `text_sha256` (by which it is compared with the other side).

    Args:
        path: JSONL in UTF-8, with or without a byte-order mark; empty lines are skipped.

    Returns:
        The records in file order.

    Raises:
        InputRefused: unreadable, empty, not JSONL, a line without a usable id, an id that occurs twice, or a text
            that is not the one its `text_sha256` names. The message names file and row, never the text.
    """
    path = Path(path)
    if path.is_dir():
        path = path / "records.jsonl"
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise InputRefused(f"cannot be read: {error.strerror or type(error).__name__}", where=str(path),
                           code="unreadable") from None
    except UnicodeDecodeError as error:
        raise InputRefused(f"byte {error.start} is not UTF-8", where=str(path), code="not_utf8", hint=_HINT) from None

    records: list[StructuredRecord] = []
    rows: dict[str, int] = {}
    for row, line in enumerate(lines, 1):
        if not line.strip():
            continue
        record = _read_line(line, f"{path.name}:{row}")
        if record.id in rows:
            raise InputRefused(f"id {record.id!r} stands already in row {rows[record.id]}", where=f"{path.name}:{row}",
                               code="duplicate_id", hint="ids must be unique; they pair gold with predictions")
        rows[record.id] = row
        records.append(record)
    if not records:
        raise InputRefused("holds no record", where=path.name, code="empty", hint=_HINT)
    return records


def _read_line(line: str, where: str) -> StructuredRecord:
    try:
        data: Any = json.loads(line)
    except (ValueError, RecursionError):
        raise InputRefused("is not JSON", where=where, code="not_json", hint=_HINT) from None
    if not isinstance(data, dict):
        raise InputRefused(f"found a JSON {type(data).__name__}, allowed is an object", where=where,
                           code="not_json_object", hint=_HINT)
    record = StructuredRecord.from_dict(data, where=where)
    if isinstance(record.id, int) and not isinstance(record.id, bool):
        record.id = str(record.id)
    if not isinstance(record.id, str) or not record.id:
        raise InputRefused(f"id is a {type(record.id).__name__}, allowed is a non-empty string", where=where,
                           code="bad_id")
    if not isinstance(record.text, str):
        raise InputRefused(f"text is a {type(record.text).__name__}, allowed is a string", where=where, code="bad_text")

    kept: dict[str, str] = {}
    if isinstance(data.get("source"), str):
        kept["source"] = data["source"]
    digest = data.get("text_sha256")
    if digest and record.text and digest != text_digest(record.text):
        raise InputRefused(f"the text of id {record.id!r} is not the one its text_sha256 names", where=where,
                           code="text_altered", hint="the file was edited after it was written")
    if digest and not record.text:
        kept["text_sha256"] = str(digest)
    if kept:
        record.extra = {**record.extra, **kept}
    return record


def text_digest(text: str) -> str:
    """The `text_sha256` of a text, in hexadecimal, as `StructuredRecord.to_dict` writes it."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

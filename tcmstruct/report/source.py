"""Reads what `convert` wrote: records and rejects a line at a time, the manifest whole."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.errors import InputRefused

MAX_SMALL_FILE_BYTES = 64 * 2**20
"""Largest manifest or single-record file that is read whole."""


@dataclass(frozen=True, slots=True)
class Output:
    """A folder of `convert`, a `records.jsonl`, or one StructuredRecord as a JSON file.

    Attributes:
        records: file of records.
        rejects: file of rejects, or None.
        manifest: what the manifest says, {} where there is none.
        single: the record itself where `records` is one JSON document, else None.
    """

    records: Path
    rejects: Path | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    single: Mapping[str, Any] | None = None

    def lines(self) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """(row from 1, raw line, parsed record) in file order, one at a time.

        Raises:
            InputRefused: a line is not a JSON object, or not UTF-8.
        """
        if self.single is not None:
            yield 1, json.dumps(self.single, ensure_ascii=True), dict(self.single)
            return
        yield from read_jsonl(self.records)

    def reject_lines(self) -> Iterator[dict[str, Any]]:
        """Rejects in file order."""
        if self.rejects is not None:
            yield from (data for _, _, data in read_jsonl(self.rejects))

    def groups(self) -> dict[str, list[str]]:
        """Fields by schema pack, from the manifest's `fields`: {pack: [name]} or [name]; {} if it has none."""
        named = self.manifest.get("fields")
        if isinstance(named, Mapping):
            return {str(pack): [str(n) for n in names] for pack, names in named.items() if isinstance(names, list | tuple | dict)}
        if isinstance(named, list):
            return {"": [str(n) for n in named]}
        return {}


def open_output(path: Path) -> Output:
    """Finds the records, rejects and manifest behind a path.

    Args:
        path: folder written by `convert`, a `records.jsonl`, or a JSON file with one record.

    Raises:
        InputRefused: nothing readable is there.
    """
    path = Path(path)
    if path.is_dir():
        records = path / "records.jsonl"
        if not records.is_file():
            raise InputRefused("the folder holds no records.jsonl", where=str(path), code="no_records",
                               hint="give the folder that `tcmstruct convert … -o OUT` wrote")
        rejects, manifest = path / "rejects.jsonl", path / "manifest.json"
        return Output(records, rejects if rejects.is_file() else None,
                      _read_json(manifest) if manifest.is_file() else {})
    if not path.is_file():
        raise InputRefused("no such file or folder", where=str(path), code="not_found",
                           hint="give a folder of `convert`, a records.jsonl, or a JSON file with one record")
    if _is_lines(path):
        return Output(path)
    return Output(path, single=_read_json(path))


def read_jsonl(path: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(row from 1, raw line, object) of each non-empty line.

    Raises:
        InputRefused: a line is not a JSON object, or not UTF-8.
    """
    row = 0
    try:
        with path.open(encoding="utf-8", newline="\n") as file:
            for row, line in enumerate(file, 1):
                if not line.strip():
                    continue
                yield row, line, _object(line, f"{path}:{row}")
    except UnicodeDecodeError:
        raise InputRefused("the file is not UTF-8", where=f"{path}:{row + 1}", code="not_utf8",
                           hint="records.jsonl is UTF-8 as `convert` writes it") from None


def _object(text: str, where: str) -> dict[str, Any]:
    try:
        data = orjson.loads(text)
    except ValueError:
        try:  # what other tools write may hold NaN, or half a surrogate pair
            data = json.loads(text)
        except (ValueError, RecursionError):
            data = None
    if not isinstance(data, dict):
        raise InputRefused("not a JSON object", where=where, code="not_json",
                           hint="each line of records.jsonl is one JSON object; run `tcmstruct verify` on the folder")
    return data


def _read_json(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_SMALL_FILE_BYTES:
        raise InputRefused(f"{size} bytes, at most {MAX_SMALL_FILE_BYTES} are read", where=str(path), code="too_large",
                           hint="many records belong in a .jsonl file, one a line")
    try:
        return _object(path.read_text("utf-8-sig"), str(path))
    except UnicodeDecodeError:
        raise InputRefused("the file is not UTF-8", where=str(path), code="not_utf8", hint="save it as UTF-8") from None


def _is_lines(path: Path) -> bool:
    """Whether the file's first non-empty line is a JSON object by itself and others follow, or it is named .jsonl."""
    if path.suffix == ".jsonl":
        return True
    first = ""
    with path.open(encoding="utf-8-sig", errors="replace", newline="\n") as file:
        for line in file:
            if first and line.strip():
                return True
            if not first and line.strip():
                try:
                    json.loads(line)
                except ValueError:
                    return False
                first = line
    return False

"""The door of the room: a file becomes a stream of records and rejects, with facts about how it was read.

    for item in open_source(Path("门诊.csv")):
        match item: case ReadRecord(): …; case Reject(): …

Memory does not grow with a file's length: one record is held at a time, one file of an archive is unpacked at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from tcmstruct.emr import columns as col
from tcmstruct.emr.database import is_url, shown_url
from tcmstruct.emr.encoding import given as given_encoding
from tcmstruct.emr.members import ArchiveSource
from tcmstruct.emr.rows import ReadRecord, Reject
from tcmstruct.emr.sniff import DATABASE, find_format
from tcmstruct.emr.source import FILE_NOTES, EmptySource, FileFacts, Given, RecordsSource, Source, TableFacts, TablesSource
from tcmstruct.errors import InputRefused

__all__ = ["FILE_NOTES", "FileFacts", "ReadRecord", "Reject", "Source", "TableFacts", "open_source", "open_sources"]


def open_source(path: Path | str, *, label: str | None = None, encoding: str | None = None,
                overrides: Mapping[str, str] | None = None) -> Source:
    """Opens a file of any format of `sniff.FORMATS`, told apart by content, or a table of a database.

    Args:
        path: the file, or a database's SQLAlchemy URL (see `database.open_tables`).
        label: how messages and made ids name it; the file's name by default.
        encoding: a codec name that overrules the ladder of `encoding.py`.
        overrides: column → role, see `columns.parse_overrides`.

    Raises:
        InputRefused: the file as a whole cannot be used; the message names the columns found, or the byte.
        UsageError: an unknown encoding.
        MissingExtra: the format needs an optional part of the installation.
    """
    if encoding is not None:
        given_encoding(encoding)
    if isinstance(path, str) and is_url(path):
        given = Given(Path(), label or shown_url(path), encoding, overrides or {}, url=path)
        return TablesSource(given, DATABASE.name, _load(DATABASE.reader))
    path = Path(path)
    return _open(Given(path, label or _shown(path), encoding, overrides or {}), _ARCHIVES_WITHIN)


_ARCHIVES_WITHIN = 2
"""An archive may hold archives; those within hold files only."""


def _open(given: Given, archives: int) -> Source:
    format = find_format(given.path, given.encoding)
    match format.kind:
        case "empty":
            return EmptySource(given)
        case "tables":
            return TablesSource(given, format.name, _load(format.reader))
        case "records":
            return RecordsSource(given, format.name, _load(format.reader))
        case "archive":
            if not archives:
                raise InputRefused("is an archive within an archive within an archive", where=given.label,
                                   code="format_unsupported", hint="unpack it first")
            return ArchiveSource(given, format.name, _load(format.reader), lambda member: _open(member, archives - 1))


def _load(reader: str) -> Any:
    module, _, function = reader.partition(":")
    return getattr(import_module(f"tcmstruct.emr.{module}"), function)


def open_sources(paths: Sequence[Path | str], *, encoding: str | None = None,
                 overrides: Mapping[str, str] | None = None, photos: bool = False) -> list[Source]:
    """Opens all inputs of a batch, with different labels; see `open_source`.

    Args:
        paths, encoding, overrides: as for `open_source`.
        photos: the photographs that records name will be looked at.

    Raises:
        InputRefused: also where a `--map` names a column that none of the inputs has.
    """
    sources = [open_source(path, label=label, encoding=encoding, overrides=overrides)
               for path, label in zip(paths, _labels_of(paths), strict=True)]
    for source in sources if photos else ():
        source.facts.photos_are_read()
    if overrides:
        headers = [header for source in sources for header in source.headers()]
        widest = max((len(header) for header in headers), default=0)
        known = dict.fromkeys(chain.from_iterable(headers))
        numbers = {f"#{n}": role for n, role in ((n, overrides.get(f"#{n}")) for n in range(1, widest + 1)) if role}
        if headers:
            col.check_overrides(tuple(known), {k: v for k, v in overrides.items() if k not in numbers},
                                ", ".join(source.facts.label for source in sources))
    return sources


def _labels_of(paths: Sequence[Path | str]) -> list[str]:
    """File names, with "~2", "~3" … where the same name comes again from another folder."""
    seen: dict[str, int] = {}
    out = []
    for path in paths:
        name = shown_url(path) if isinstance(path, str) and is_url(path) else _shown(Path(path))
        seen[name] = count = seen.get(name, 0) + 1
        out.append(name if count == 1 else f"{name}~{count}")
    return out


def _shown(path: Path) -> str:
    """The file's name as text; bytes of it that are no UTF-8 become "?", since ids and messages are made of it."""
    return path.name.encode("utf-8", "replace").decode()

"""The door of the room: a file becomes a stream of records and rejects, with facts about how it was read.

    for item in open_source(Path("门诊.csv")):
        match item: case ReadRecord(): …; case Reject(): …

Memory does not grow with a text file's length: one row is held at a time (a workbook's texts are held together, see
`workbook.ZipLimits`).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from tcmstruct.emr import columns as col
from tcmstruct.emr.columns import ColumnMap, map_columns
from tcmstruct.emr.delimited import Fault, cut_rows, open_text, sniff_delimiter
from tcmstruct.emr.encoding import given, sniff_encoding
from tcmstruct.emr.jsonlines import cut_lines
from tcmstruct.emr.rows import ReadRecord, Reject, assemble, cell_text, reject, spoiled
from tcmstruct.emr.sniff import sniff_format
from tcmstruct.emr.workbook import check_zip, open_sheets
from tcmstruct.errors import InputRefused

_JSON_SAMPLE_ROWS = 100
_JSON_SAMPLE_BYTES = 4 * 1024 * 1024
_MAPS_KEPT = 512

FILE_NOTES: dict[str, str] = {
    "empty_input": "the file is empty",
    "no_rows": "the table has a header and no rows",
    "no_id_column": "no column is known to hold an id: ids are made from file and row (--map 列=id)",
    "photos_not_read": "photographs are named in a column and are not looked at: convert takes their folder by --image-root DIR",
    "no_image_column": "--image-root is given, and no column is known to name photographs (--map 列=image)",
    "sheet_skipped": "a sheet has no column that is known to hold record text",
}
"""Notes about a whole input, for people and the manifest."""


@dataclass(slots=True)
class TableFacts:
    """How one table (a file, or a sheet of a workbook) was understood.

    Attributes:
        name: the sheet's name, or "".
        header: the names of its columns as they stand in the file.
        columns: what each is used for.
        first_row: per column the kind and length of the first row's cell, for `inspect`; never its content.
    """

    name: str
    header: tuple[str, ...]
    columns: ColumnMap
    first_row: tuple[str, ...] = ()


@dataclass(slots=True)
class FileFacts:
    """What is known about an input; complete once it has been read to its end.

    Attributes:
        label: the file's name, made different from that of the other inputs; used in `where` and made ids.
        bytes: size of the file.
        format: one of `sniff.FORMATS`.
        encoding: codec of a text file, with the reason it was chosen.
        delimiter: of delimited text.
        tables: one per table that is read.
        notes: keys of `FILE_NOTES`.
        blank_rows: rows without anything in them, which count neither as record nor as reject.
        sha256: of the bytes, once they have all been read.
    """

    label: str
    bytes: int
    format: str
    encoding: str | None = None
    encoding_reason: str | None = None
    delimiter: str | None = None
    tables: list[TableFacts] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    blank_rows: int = 0
    sha256: str | None = None

    def note(self, key: str) -> None:
        if key not in self.notes:
            self.notes.append(key)

    def photos_are_read(self) -> None:
        """Takes back the note that they are not; notes where no column names any."""
        if "photos_not_read" in self.notes:
            self.notes.remove("photos_not_read")
        elif self.tables:
            self.note("no_image_column")

    def to_dict(self) -> dict[str, Any]:
        """For the manifest."""
        return {"file": self.label, "bytes": self.bytes, "sha256": self.sha256, "format": self.format,
                "encoding": self.encoding, "encoding_reason": self.encoding_reason, "delimiter": self.delimiter,
                "columns": [{name: t.columns.role(i) for i, name in enumerate(_labels(t))} for t in self.tables],
                "blank_rows": self.blank_rows, "notes": self.notes}


def _labels(table: TableFacts) -> tuple[str, ...]:
    """Names as a manifest may show them; made different, since they become keys."""
    return col.unique_names(col.safe_labels(table.columns.names))


class _Hashing(io.RawIOBase):
    """A file that is hashed and counted as it is read."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._hash = hashlib.sha256()
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        n = self._file.readinto(buffer) or 0
        self._hash.update(memoryview(buffer)[:n])
        self.count += n
        return n

    def close(self) -> None:
        self._file.close()
        super().close()

    def hexdigest(self) -> str:
        return self._hash.hexdigest()


class Source:
    """One input file, opened and understood; iterating reads it once, from the beginning.

    Opening raises what is wrong with the file as a whole (`InputRefused`), so that a batch of files is refused
    before any work is done; iterating yields what is wrong with a row as a `Reject`.
    """

    facts: FileFacts

    def __iter__(self) -> Iterator[ReadRecord | Reject]:
        raise NotImplementedError

    def headers(self) -> list[tuple[str, ...]]:
        """The header of each table that is read."""
        return [table.header for table in self.facts.tables]

    def fraction(self) -> float | None:
        """How much of the file has been read, 0–1; None where it is not known."""
        return None

    def _describe(self, table: TableFacts) -> TableFacts:
        self.facts.tables.append(table)
        if table.columns.id is None:
            self.facts.note("no_id_column")
        if table.columns.image is not None:
            self.facts.note("photos_not_read")
        return table

    def _row(self, cells: Sequence[Any], table: TableFacts, where: str) -> ReadRecord | Reject | None:
        """A row of a table with a header; None for a blank one."""
        width = len(table.header)
        if len(cells) != width:
            if all(map(_blank, cells)):
                cells = ()
            elif len(cells) > width and all(map(_blank, cells[width:])):
                cells = cells[:width]
            else:
                fault = spoiled(cells)
                code = fault[0] if fault else "ragged_row"
                return reject(code, where, detail=f"{len(cells)} cells against {width} in the header")
        if all(map(_blank, cells)):
            self.facts.blank_rows += 1
            return None
        if not table.first_row:
            table.first_row = tuple(map(shape, cells))
        return assemble(cells, table.columns, where, where)


def _blank(cell: Any) -> bool:
    return cell is None or (isinstance(cell, str) and (not cell or cell.isspace()))


def shape(cell: Any) -> str:
    """Kind and length of a cell, for people; never its content."""
    if _blank(cell):
        return "empty"
    if isinstance(cell, str):
        return f"{len(cell)} characters"
    return f"{type(cell).__name__}, {len(cell_text(cell))} characters"


class EmptySource(Source):
    """A file without anything in it: no records, and a note."""

    def __init__(self, path: Path, label: str) -> None:
        data = path.read_bytes()
        self.facts = FileFacts(label, len(data), "empty", notes=["empty_input"],
                               sha256=hashlib.sha256(data).hexdigest())

    def __iter__(self) -> Iterator[ReadRecord | Reject]:
        return iter(())


class _StreamSource(Source):
    """A file that is read from its beginning to its end and hashed on the way."""

    _raw: _Hashing | None = None

    def fraction(self) -> float | None:
        return min(1.0, self._raw.count / max(1, self.facts.bytes)) if self._raw else 0.0

    def _finish(self, raw: _Hashing) -> None:
        while raw.read(1 << 20):
            pass
        self.facts.sha256 = raw.hexdigest()


class DelimitedSource(_StreamSource):
    """CSV, TSV and the like."""

    def __init__(self, path: Path, label: str, encoding: str | None, overrides: Mapping[str, str]) -> None:
        self._path = path
        chosen = sniff_encoding(path, encoding, label)
        self._encoding = chosen.name
        delimiter = sniff_delimiter(path, chosen.name)
        self.facts = FileFacts(label, path.stat().st_size, "delimited", chosen.name, chosen.reason, delimiter)
        with open_text(path.open("rb"), chosen.name) as file:
            header = next((row for row in cut_rows(file, delimiter) if row), [])
        if isinstance(header, Fault):
            raise InputRefused("the header cannot be read as one row of cells", where=f"{label}:1", code=header.code,
                               hint="check the quotes of the first line")
        mapped = map_columns(header, overrides)
        if not mapped.text:
            raise col.no_text_column(header, label)
        self._table = self._describe(TableFacts("", tuple(header), mapped))

    def __iter__(self) -> Iterator[ReadRecord | Reject]:
        raw = self._raw = _Hashing(self._path)
        assert self.facts.delimiter is not None
        rows_seen = 0
        self.facts.blank_rows = 0
        with open_text(io.BufferedReader(raw, 1 << 18), self._encoding) as file:
            header_seen = False
            for number, cells in enumerate(cut_rows(file, self.facts.delimiter), 1):
                where = f"{self.facts.label}:{number}"
                if isinstance(cells, Fault):
                    header_seen, rows_seen = True, rows_seen + 1
                    yield reject(cells.code, where, detail=cells.detail)
                elif not header_seen:
                    header_seen = bool(cells)
                else:
                    item = self._row(cells, self._table, where)
                    if item is not None:
                        rows_seen += 1
                        yield item
            self._finish(raw)
        if not rows_seen:
            self.facts.note("no_rows")


class JsonLinesSource(_StreamSource):
    """One JSON object a line; the columns are its keys, and may differ from line to line."""

    def __init__(self, path: Path, label: str, encoding: str | None, overrides: Mapping[str, str]) -> None:
        self._path, self._overrides = path, overrides
        chosen = given(encoding) if encoding else None
        self._encoding = chosen.name if chosen else "utf-8"
        self.facts = FileFacts(label, path.stat().st_size, "jsonl", self._encoding,
                               chosen.reason if chosen else "JSON Lines are UTF-8")
        self._maps: dict[tuple[str, ...], ColumnMap] = {}
        keys: dict[str, None] = {}
        usable = False
        with path.open("rb") as file:
            self._skip_mark(file)
            for value, _ in zip(cut_lines(file, self._encoding), range(_JSON_SAMPLE_ROWS), strict=False):
                if isinstance(value, dict):
                    keys.update(dict.fromkeys(value))
                    usable = usable or bool(self._map(tuple(value)).text)
                if file.tell() > _JSON_SAMPLE_BYTES:
                    break
        if keys and not usable:
            raise col.no_text_column(tuple(keys), label)
        header = tuple(keys)
        self._table = self._describe(TableFacts("", header, self._map(header)))
        self._maps.clear()

    def _map(self, keys: tuple[str, ...]) -> ColumnMap:
        found = self._maps.get(keys)
        if found is None:
            if len(self._maps) >= _MAPS_KEPT:
                self._maps.clear()
            found = self._maps[keys] = map_columns(keys, self._overrides, ignored=col.annotation_keys())
        return found

    @staticmethod
    def _skip_mark(file: Any) -> None:
        if file.peek(3)[:3] == b"\xef\xbb\xbf":
            file.read(3)

    def __iter__(self) -> Iterator[ReadRecord | Reject]:
        raw = self._raw = _Hashing(self._path)
        self.facts.blank_rows = 0
        with io.BufferedReader(raw, 1 << 18) as file:
            self._skip_mark(file)
            for number, value in enumerate(cut_lines(file, self._encoding), 1):
                where = f"{self.facts.label}:{number}"
                if value is None:
                    self.facts.blank_rows += 1
                elif isinstance(value, Fault):
                    yield reject(value.code, where, detail=value.detail)
                else:
                    keys, cells = tuple(value), tuple(value.values())
                    bad_key = spoiled(keys)
                    if bad_key:
                        yield reject(bad_key[0], where, detail=f"key {bad_key[1]}")
                        continue
                    if not self._table.first_row:
                        first = {key: shape(cell) for key, cell in value.items()}
                        self._table.first_row = tuple(first.get(key, "empty") for key in self._table.header)
                    yield assemble(cells, self._map(keys), where, where)
            self._finish(raw)


class WorkbookSource(Source):
    """XLSX: every sheet whose first row has a text column is read, the others are skipped with a note."""

    def __init__(self, path: Path, label: str, overrides: Mapping[str, str]) -> None:
        check_zip(path)
        self._path = path
        self.facts = FileFacts(label, path.stat().st_size, "xlsx")
        self._stack = ExitStack()
        self._sheets: list[tuple[TableFacts, int, Iterator[tuple[Any, ...]]]] = []
        headers = []
        for name, rows in self._stack.enter_context(open_sheets(path)):
            number, first = next(((n, row) for n, row in enumerate(rows, 1) if not all(map(_blank, row))), (0, ()))
            while first and _blank(first[-1]):
                first = first[:-1]
            header = tuple("" if cell is None else cell_text(cell) for cell in first)
            headers.append(header)
            mapped = map_columns(header, overrides)
            if mapped.text:
                self._sheets.append((self._describe(TableFacts(name, header, mapped)), number, rows))
            elif header:
                self.facts.note("sheet_skipped")
        if not any(headers):
            self.facts.note("empty_input")
        elif not self._sheets:
            raise col.no_text_column(next(filter(None, headers)), label)

    def __iter__(self) -> Iterator[ReadRecord | Reject]:
        with self._path.open("rb") as file:
            self.facts.sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        rows_seen = 0
        with self._stack:
            for table, header_row, rows in self._sheets:
                sheet = f"[{table.name}]" if len(self._sheets) > 1 else ""
                for number, cells in enumerate(rows, header_row + 1):
                    cells = cells + (None,) * (len(table.header) - len(cells))
                    item = self._row(cells, table, f"{self.facts.label}{sheet}:{number}")
                    if item is not None:
                        rows_seen += 1
                        yield item
        if self._sheets and not rows_seen:
            self.facts.note("no_rows")


def open_source(path: Path, *, label: str | None = None, encoding: str | None = None,
                overrides: Mapping[str, str] | None = None) -> Source:
    """Opens a CSV, TSV, XLSX or JSON Lines file, told apart by content.

    Args:
        path: the file.
        label: how messages and made ids name it; the file's name by default.
        encoding: a codec name that overrules the ladder of `encoding.py`.
        overrides: column → role, see `columns.parse_overrides`.

    Raises:
        InputRefused: the file as a whole cannot be used; the message names the columns found, or the byte.
        UsageError: an unknown encoding.
    """
    if encoding is not None:
        given(encoding)
    label = label or _shown(path)
    match sniff_format(path, encoding):
        case "empty":
            return EmptySource(path, label)
        case "xlsx":
            return WorkbookSource(path, label, overrides or {})
        case "jsonl":
            return JsonLinesSource(path, label, encoding, overrides or {})
        case _:
            return DelimitedSource(path, label, encoding, overrides or {})


def open_sources(paths: Sequence[Path], *, encoding: str | None = None,
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


def _labels_of(paths: Sequence[Path]) -> list[str]:
    """File names, with "~2", "~3" … where the same name comes again from another folder."""
    seen: dict[str, int] = {}
    out = []
    for path in paths:
        name = _shown(path)
        seen[name] = count = seen.get(name, 0) + 1
        out.append(name if count == 1 else f"{name}~{count}")
    return out


def _shown(path: Path) -> str:
    """The file's name as text; bytes of it that are no UTF-8 become "?", since ids and messages are made of it."""
    return path.name.encode("utf-8", "replace").decode()

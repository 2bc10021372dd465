"""What stands between a file format and a stream of records: facts about the input, tables under a header, documents.

A reader module knows one format and yields rows (`Table`) or whole records (`rows.Found`); the two sources of this module
do the rest for all of them: header, columns, ids, joined text, rejects, hash and progress.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from tcmstruct.emr import columns as col
from tcmstruct.emr.columns import ColumnMap, map_columns
from tcmstruct.emr.rows import Fault, Found, ReadRecord, Reject, assemble, assemble_found, cell_text, is_blank, reject, spoiled
from tcmstruct.errors import InputRefused

FILE_NOTES: dict[str, str] = {
    "empty_input": "the file is empty",
    "no_rows": "the table has a header and no rows",
    "id_numbers": "ids are numbers in the spreadsheet: zeros before them may be lost (store the column as text)",
    "no_id_column": "no column is known to hold an id: ids are made from file and row (--map 列=id)",
    "photos_not_read": "photographs are named in a column and are not looked at: convert takes their folder by --image-root DIR",
    "no_image_column": "--image-root is given, and no column is known to name photographs (--map 列=image)",
    "sheet_skipped": "a sheet has no column that is known to hold record text",
    "title_rows": "rows above the header were taken for titles and skipped",
    "records_cut": "the document holds several records and was cut where the heading of a patient is repeated",
    "headings_repeated": "the heading of a patient is repeated, but not every part has text of its own: kept as one record",
    "pictures_skipped": "pictures within the archive are not read",
    "cut_short": "the file ends too early: what was complete before the break was kept",
}
"""Notes about a whole input, for people and the manifest."""

TITLE_ROWS = 10
"""Rows above a header that may be titles ("某某医院门诊病历导出", a date, a blank row)."""
_HEAD_ROWS = 30
_TITLE_SHARE = 2
"""A title row fills at most half as many cells as the header; a row of data below an unknown header fills as many."""
_SPREADSHEETS = frozenset(("xlsx", "xls", "xml_table"))
_SAMPLE_RECORDS = 100
_SAMPLE_CHARS = 4 * 1024 * 1024
_MAPS_KEPT = 512


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
        format: the name of a `sniff.Format`.
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

    def hexdigest(self) -> str:
        """Of what has been read, also after closing."""
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


@dataclass(slots=True)
class Given:
    """What a reader module is given.

    Attributes:
        path: a regular file; unused where `url` is given.
        label: how messages, `where` and made ids name the input.
        encoding: the codec that the user named; it overrules what the file says about itself.
        overrides: column → role, see `columns.parse_overrides`; the door alone uses it.
        url: SQLAlchemy URL of a database.
    """

    path: Path
    label: str
    encoding: str | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    _raw: _Hashing | None = None

    @contextmanager
    def peeking(self) -> Iterator[None]:
        """What is read meanwhile is no progress."""
        try:
            yield
        finally:
            self._raw = None

    def open(self) -> io.BufferedReader:
        """The bytes from the beginning, to be read once and in order; what is read counts as progress and is hashed."""
        self._raw = _Hashing(self.path)
        return io.BufferedReader(self._raw, 1 << 18)


@dataclass(slots=True)
class Table:
    """Rows as a reader finds them: title rows, header and blank rows among them.

    Attributes:
        rows: (number of the row as a person counts, from 1; its cells or what is wrong with it).
        name: of the sheet or view; "" where there is only one.
        padded: a short row stands for one whose last cells are empty, as in a spreadsheet; otherwise it is a fault.
    """

    rows: Iterator[tuple[int, Sequence[Any] | Fault]]
    name: str = ""
    padded: bool = True


TableReader = Callable[[Given, FileFacts], Iterator[Table]]
RecordReader = Callable[[Given, FileFacts], Iterator[Found | Fault | None]]


class Source:
    """One input, opened and understood; iterating reads it once, from the beginning.

    Opening raises what is wrong with the file as a whole (`InputRefused`), so that a batch of files is refused
    before any work is done; iterating yields what is wrong with a row as a `Reject`.
    """

    facts: FileFacts
    cut = False
    """The file breaks off, and its format may not show it: the last record may lack its end, and is rejected."""
    _started = False

    def __init__(self, given: Given, format: str) -> None:
        self.given = given
        self.facts = FileFacts(given.label, given.path.stat().st_size if given.url is None else 0, format)

    def __iter__(self) -> Iterator[ReadRecord | Reject]:
        self.facts.blank_rows = 0
        self._started = True
        try:
            yield from self._without_the_last() if self.cut else self._items()
        except InputRefused as error:  # what was read stays; the file was usable as far as its beginning told
            self.facts.note("cut_short")
            yield reject("rest_unreadable", self.given.label, detail=error.what)
        if self.given.url is None:
            self.facts.sha256 = self._hash()

    def _items(self) -> Iterator[ReadRecord | Reject]:
        raise NotImplementedError

    def _without_the_last(self) -> Iterator[ReadRecord | Reject]:
        """Items of a file that breaks off; the last record is believed only where its reader saw the break behind it."""
        last: ReadRecord | Reject | None = None
        for item in self._items():
            if last is not None:
                yield last
            last = item
        if isinstance(last, ReadRecord) and "cut_short" not in self.facts.notes:
            last = reject("cut_short", last.where or self.given.label, id=last.id)
        if last is not None:
            yield last

    def _hash(self) -> str:
        raw = self.given._raw
        if raw is not None and raw.count == self.facts.bytes:
            return raw.hexdigest()
        with self.given.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def headers(self) -> list[tuple[str, ...]]:
        """The header of each table that is read."""
        return [table.header for table in self.facts.tables]

    def fraction(self) -> float | None:
        """How much of the file has been read, 0–1; None where it is not known."""
        raw = self.given._raw
        if raw is not None:
            return min(1.0, raw.count / max(1, self.facts.bytes))
        return None if self._started else 0.0

    def _describe(self, table: TableFacts) -> TableFacts:
        self.facts.tables.append(table)
        if table.columns.id is None:
            self.facts.note("no_id_column")
        if table.columns.image is not None:
            self.facts.note("photos_not_read")
        return table


class EmptySource(Source):
    """A file without anything in it: no records, and a note."""

    def __init__(self, given: Given, format: str = "empty") -> None:
        super().__init__(given, format)
        self.facts.note("empty_input")
        self.facts.sha256 = self._hash()

    def _items(self) -> Iterator[ReadRecord | Reject]:
        return iter(())


class TablesSource(Source):
    """Rows under a header: delimited text, sheets of a workbook, a table of a page, a view of a database."""

    def __init__(self, given: Given, format: str, read: TableReader) -> None:
        super().__init__(given, format)
        self._read = read
        self._headers: dict[int, int] = {}
        found: list[tuple[str, ...]] = []
        tables = read(given, self.facts)
        with closing(tables), given.peeking():
            for index, table in enumerate(tables):
                at, header = self._find_header(table)
                found.append(header)
                mapped = map_columns(header, given.overrides)
                col.check_repeated(header, given.overrides, f"{given.label}[{table.name}]" if table.name else given.label)
                if mapped.text:
                    self._headers[index] = at
                    self._describe(TableFacts(table.name, header, mapped))
                elif header:
                    self.facts.note("sheet_skipped")
        if not any(found):
            self.facts.note("empty_input")
        elif not self._headers:
            raise col.no_text_column(next(filter(None, found)), given.label)

    def _find_header(self, table: Table) -> tuple[int, tuple[str, ...]]:
        """The number of the header's row, and its names: the first row, or the first with a text column below titles.

        Raises:
            InputRefused: the first row cannot be read as cells, so that nothing below it has a name.
        """
        first: tuple[int, tuple[str, ...]] | None = None
        widest = seen = 0
        for number, cells in islice(table.rows, _HEAD_ROWS):
            if isinstance(cells, Fault):
                if first is None:
                    raise InputRefused("the header cannot be read as one row of cells", where=f"{self.given.label}:{number}",
                                       code=cells.code, hint="check the quotes of the first line")
                continue
            if all(map(is_blank, cells)):
                continue
            header = _names(cells)
            width = sum(not is_blank(cell) for cell in cells)
            if widest * _TITLE_SHARE <= width and map_columns(header, self.given.overrides).text:
                if first is not None:
                    self.facts.note("title_rows")
                return number, header
            first, widest, seen = first or (number, header), max(widest, width), seen + 1
            if seen > TITLE_ROWS:
                break
        return first or (0, ())

    def _items(self) -> Iterator[ReadRecord | Reject]:
        rows_seen = 0
        facts = iter(self.facts.tables)
        tables = self._read(self.given, self.facts)
        with closing(tables):
            for index, table in enumerate(tables):
                at = self._headers.get(index)
                if at is None:
                    continue
                described = next(facts)
                sheet = f"[{table.name}]" if len(self._headers) > 1 else ""
                prefix = f"{self.given.label}{sheet}:"
                for number, cells in table.rows:
                    if number <= at:
                        continue
                    item = self._row(cells, described, f"{prefix}{number}", table.padded)
                    if item is not None:
                        rows_seen += 1
                        yield item
        if self._headers and not rows_seen:
            self.facts.note("no_rows")

    def _row(self, cells: Sequence[Any] | Fault, table: TableFacts, where: str, padded: bool) -> ReadRecord | Reject | None:
        """A row of a table with a header; None for a blank one."""
        if isinstance(cells, Fault):
            return reject(cells.code, where, detail=cells.detail)
        width = len(table.header)
        if len(cells) != width:
            if all(map(is_blank, cells)):
                cells = ()
            elif len(cells) > width and all(map(is_blank, cells[width:])):
                cells = cells[:width]
            elif padded and len(cells) < width:
                cells = [*cells, *[None] * (width - len(cells))]
            else:
                fault = spoiled(cells)
                code = fault[0] if fault else "ragged_row"
                return reject(code, where, detail=f"{len(cells)} cells against {width} in the header")
        if all(map(is_blank, cells)):
            self.facts.blank_rows += 1
            return None
        if not table.first_row:
            table.first_row = tuple(map(shape, cells))
        if self.facts.format in _SPREADSHEETS and table.columns.id is not None and isinstance(cells[table.columns.id], int | float):
            self.facts.note("id_numbers")
        return assemble(cells, table.columns, where, where)


def _names(cells: Sequence[Any]) -> tuple[str, ...]:
    """Cells of a header row as names, without the empty ones at its end that a spreadsheet adds."""
    names = ["" if cell is None else cell_text(cell) for cell in cells]
    while names and not names[-1] and cells[len(names) - 1] is None:
        names.pop()
    return tuple(names)


class RecordsSource(Source):
    """Whole records, each with its own names: JSON objects, documents, messages."""

    def __init__(self, given: Given, format: str, read: RecordReader) -> None:
        super().__init__(given, format)
        self._read = read
        self._maps: dict[tuple[str, ...], ColumnMap] = {}
        names: dict[str, None] = {}
        titles: dict[str, None] = {}
        usable, size = False, 0
        records = read(given, self.facts)
        with closing(records), given.peeking():
            for item in islice(records, _SAMPLE_RECORDS):
                if isinstance(item, Found):
                    names.update(dict.fromkeys(item.facts))
                    titles.update(dict.fromkeys(title for title, _ in item.sections))
                    usable = usable or item.document or bool(self._map(item).text)
                    size += item.size()
                    if size > _SAMPLE_CHARS:
                        break
        if names and not usable:
            raise col.no_text_column(tuple(names), given.label)
        header = (*names, *(title for title in titles if title not in names))
        self._maps.clear()
        self._table = TableFacts("", header, self._roles(header, frozenset(titles)))
        if header:
            self._describe(self._table)
        self.facts.blank_rows = 0

    def _roles(self, names: tuple[str, ...], titles: frozenset[str]) -> ColumnMap:
        return map_columns(names, self.given.overrides, ignored=col.annotation_keys(), titles=titles)

    def _map(self, found: Found) -> ColumnMap:
        names = found.names()
        mapped = self._maps.get(names)
        if mapped is None:
            if len(self._maps) >= _MAPS_KEPT:
                self._maps.clear()
            mapped = self._maps[names] = self._roles(names, frozenset(title for title, _ in found.sections))
        return mapped

    def _items(self) -> Iterator[ReadRecord | Reject]:
        label, table = self.given.label, self._table
        seen = False
        records = self._read(self.given, self.facts)
        with closing(records):
            for item in records:
                if item is None:
                    self.facts.blank_rows += 1
                    continue
                seen = True
                where = f"{label}:{item.place}" if item.place else label
                if isinstance(item, Fault):
                    yield reject(item.code, where, detail=item.detail)
                    continue
                bad_name = spoiled(item.names())
                if bad_name:
                    yield reject(bad_name[0], where, detail=f"key {bad_name[1]}")
                    continue
                if not table.first_row:
                    first = {name: shape(cell) for name, cell in chain(item.facts.items(), item.sections)}
                    table.first_row = tuple(first.get(name, "empty") for name in table.header)
                yield assemble_found(item, self._map(item), where)
        if not seen:
            self.facts.note("no_rows")


def shape(cell: Any) -> str:
    """Kind and length of a cell, for people; never its content."""
    if is_blank(cell):
        return "empty"
    if isinstance(cell, str):
        return f"{len(cell)} characters"
    return f"{type(cell).__name__}, {len(cell_text(cell))} characters"

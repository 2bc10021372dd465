"""XLSX as rows, sheet by sheet, in memory that does not grow with the workbook.

Its texts are laid aside by `xlsx_strings`. The format is ECMA-376 (ISO/IEC 29500) part 1, 18.3 and 18.8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, time, timedelta
from typing import Any

from tcmstruct.emr.officexml import PARSE_ERRORS, PartParser, fault_kind, parse_small
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault
from tcmstruct.emr.source import FileFacts, Given, Table
from tcmstruct.emr.xlsx_strings import SharedStrings, unescape
from tcmstruct.emr.zipparts import Part, PartBroken, Parts
from tcmstruct.errors import InputRefused

MAX_ROWS, MAX_COLUMNS = 1_048_576, 16_384
_WIDEST_ROW = 1_024
"""Columns beyond which a cell makes its row ragged: a stray cell at the far right must not cost 16,384 cells a row."""
MOST_CELLS = MAX_ROWS * _WIDEST_ROW
"""Of a stated extent: as many rows as a sheet can have, each as wide as a row is read."""

_SHEET = re.compile(r"xl/worksheets/[^/]+\.xml", re.I)
_EXTENT = re.compile(rb"<(?:\w+:)?dimension\s[^<>]*?\bref\s*=\s*[\"'][A-Za-z]{1,3}\d{1,7}:([A-Za-z]{1,3})(\d{1,7})[\"']")
_QUOTED = re.compile(r'"[^"]*"|\\.|\[(?!h+\]|m+\]|s+\])[^\]]*\]|_.|\*.', re.I)
_DATE_MARK = re.compile(r"[dmyhs年月日]", re.I)
_DATE_IDS = frozenset((*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)))
"""Built-in number formats that are dates; 27–36 and 50–58 are those of Chinese, Japanese and Korean Excel (18.8.30)."""


def open_tables(given: Given, facts: FileFacts) -> Iterator[Table]:
    """The sheets of a workbook; see `source.TableReader`. Cells are str, int, float, bool, datetime, time or None.

    The extent that a sheet states about itself is not believed: some programs write "A1". One that no table has refuses the
    workbook before anything of it is parsed. A workbook that was cut off gives the rows before the break.

    Raises:
        InputRefused: not a workbook that can be opened (`xlsx_invalid`, `format_unsupported`), too large to unpack
            (`zip_bomb`), or a sheet states more than `MOST_CELLS` (`xlsx_extent`).
    """
    with Parts(given.path, given.label) as parts:
        if not facts.tables:
            parts.check()
            _check_extents(parts, given.label)
        try:
            book = _Book(parts, given.label)
        except PARSE_ERRORS as error:
            raise _invalid(given.label, f"is a damaged XLSX file ({fault_kind(error)})") from None
        try:
            for name, part in book.sheets:
                with closing(_sheet_rows(parts, part, book, facts, given.label)) as rows:
                    yield Table(rows, name)
        finally:
            book.strings.close()


def _check_extents(parts: Parts, label: str) -> None:
    """Reads the first block of each sheet, where its extent stands (18.3.1.35)."""
    for part in (part for part in parts.parts if _SHEET.fullmatch(part.name)):
        try:
            stated = _EXTENT.search(next(parts.stream(part), b""))
        except PARSE_ERRORS:
            continue  # a broken sheet is told where its rows are read
        if stated is None:
            continue
        columns, rows = _number_of(stated[1].decode()), int(stated[2])
        if columns * rows > MOST_CELLS:
            raise InputRefused(f"a sheet states {rows:,} rows × {columns:,} columns, more than {MOST_CELLS:,} cells", where=label,
                               code="xlsx_extent", hint="whole columns are formatted, or it was made to fill the memory: copy the "
                               "cells in use to a new workbook, or save it as CSV")


def _number_of(letters: str) -> int:
    """Column from 1 of "AB"."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def _invalid(label: str, what: str) -> InputRefused:
    return InputRefused(what, where=label, code="xlsx_invalid", hint="open it in Excel or WPS and save it again")


class _Book:
    """What the rows of the sheets need to know: the sheets' names and parts, which styles are dates, the texts."""

    def __init__(self, parts: Parts, label: str) -> None:
        self.label = label
        self.epoch = datetime(1899, 12, 30)
        self.dates: list[bool] = []
        self.sheets: list[tuple[str, Part]] = []
        book = parts.find("xl/workbook.xml") or parts.find("xl/workbook2.xml")
        if book is None and not parts.cut:
            raise InputRefused("is a zip file but no XLSX workbook", where=label, code="format_unsupported",
                               hint="export the records as CSV, XLSX or JSON Lines")
        if any(part.encrypted for part in parts.parts):
            raise InputRefused("is encrypted", where=label, code="format_unsupported", hint="save it without a password")
        listed: list[tuple[str, str]] = []
        targets: dict[str, str] = {}

        def on_book(name: str, attributes: dict[str, str]) -> None:
            if name == "workbookPr" and attributes.get("date1904") in ("1", "true"):
                self.epoch = datetime(1904, 1, 1)
            elif name == "sheet":
                key = next((value for key, value in attributes.items() if key.rpartition(":")[2] == "id" and ":" in key), "")
                listed.append((attributes.get("name", ""), key))

        def on_rels(name: str, attributes: dict[str, str]) -> None:
            if name == "Relationship":
                target = attributes.get("Target", "")
                targets[attributes.get("Id", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"

        rels = parts.find("xl/_rels/workbook.xml.rels")
        for part, handler in ((book, on_book), (rels, on_rels)):
            try:
                if part:
                    parse_small(parts, part, handler)
            except PARSE_ERRORS:
                if not parts.cut:
                    raise
        for name, key in listed:
            part = parts.find(targets.get(key, ""))
            if part and "sheet" in part.name.lower().rpartition("/")[0]:  # not chart sheets
                self.sheets.append((name, part))
        if not listed and parts.cut:
            self.sheets = [("", part) for part in parts.parts if _SHEET.fullmatch(part.name)]
        styles = parts.find("xl/styles.xml")
        if styles:
            self._read_styles(parts, styles)
        strings = parts.find("xl/sharedStrings.xml")
        self.strings = SharedStrings(parts, strings, label)

    def _read_styles(self, parts: Parts, part: Part) -> None:
        own: dict[str, bool] = {}
        inside = False

        def on_style(name: str, attributes: dict[str, str]) -> None:
            nonlocal inside
            if name == "numFmt":
                own[attributes.get("numFmtId", "")] = _is_date_code(attributes.get("formatCode", ""))
            elif name in ("cellXfs", "cellStyleXfs", "cellStyles", "dxfs"):
                inside = name == "cellXfs"
            elif name == "xf" and inside:
                key = attributes.get("numFmtId", "0")
                self.dates.append(own[key] if key in own else key.isdigit() and int(key[:9]) in _DATE_IDS)

        try:
            parse_small(parts, part, on_style)
        except PARSE_ERRORS:
            if not parts.cut:
                raise


def _is_date_code(code: str) -> bool:
    """Whether a number format shows a date or a time: `yyyy"年"m"月"`, `[h]:mm`, but not `0.00_);[Red]`."""
    first = _QUOTED.sub("", code[:1024].partition(";")[0])
    return "general" not in first.lower() and _DATE_MARK.search(first) is not None


class _Missing(Exception):
    """A cell names a text that the workbook does not have."""


class _Sheet:
    """The rows of one sheet as the parser meets them; finished ones stand in `done`."""

    def __init__(self, book: _Book) -> None:
        self.done: list[tuple[int, Any]] = []
        self._book = book
        self._columns: dict[str, int] = {}
        self._row: list[Any] = []
        self.number = 0
        self._fault: Fault | None = None
        self._chars = 0
        self._kind, self._style = "n", ""
        self._column = -1
        self._value: list[str] = []
        self._phonetic = False
        self.in_row = False
        self.parser = PartParser(self._start, self._end)

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == "c":
            self._kind, self._style = attributes.get("t", "n"), attributes.get("s", "")
            self._value = []
            self._column = self._place(attributes.get("r"))
        elif name == "v" or (name == "t" and not self._phonetic):
            self.parser.listen(self._add)
        elif name == "rPh":
            self._phonetic = True
        elif name == "row":
            self._open_row(attributes.get("r", ""))

    def _open_row(self, stated: str) -> None:
        number = int(stated) if stated.isdigit() and len(stated) < 9 else 0
        number = number if number > self.number else self.number + 1
        if number > MAX_ROWS:
            raise PartBroken(f"more than {MAX_ROWS:,} rows")
        self.number, self._row, self._fault, self._chars, self._column, self.in_row = number, [], None, 0, -1, True

    def _place(self, reference: str | None) -> int:
        """Column from 0 of "AB12"; the one after the last where the cell does not say."""
        if not reference:
            return self._column + 1
        letters = reference.rstrip("0123456789")
        known = self._columns.get(letters)
        if known is None:
            known = _number_of(letters[:4])
            if len(letters) > 3 or not letters.isalpha() or not 0 < known <= MAX_COLUMNS:
                raise PartBroken(f"a cell beyond column {MAX_COLUMNS:,}")
            known -= 1
            self._columns[letters] = known
        return known

    def _add(self, text: str) -> None:
        self._chars += len(text)
        if self._chars > MAX_ROW_CHARS:
            self._fault = Fault("row_too_long")
        else:
            self._value.append(text)

    def _end(self, name: str) -> None:
        if name in ("v", "t"):
            self.parser.listen(None)
        elif name == "c":
            if self._value:
                self._close_cell("".join(self._value))
        elif name == "rPh":
            self._phonetic = False
        elif name == "row":
            self.done.append((self.number, self._fault or tuple(self._row)))
            self.in_row = False

    def _close_cell(self, raw: str) -> None:
        try:
            value = self._cell(raw)
        except _Missing:
            self._fault = Fault("cut_short", "a text that the workbook does not hold")
            return
        if value is None or self._fault:
            return
        column, row = self._column, self._row
        if column >= _WIDEST_ROW:
            self._fault = Fault("ragged_row", f"a cell in column {column + 1:,}")
            return
        if self._kind == "s":
            self._chars += len(value)
            if self._chars > MAX_ROW_CHARS:
                self._fault = Fault("row_too_long")
                return
        if column < len(row):
            row[column] = value
            return
        if column > len(row):
            row.extend([None] * (column - len(row)))
        row.append(value)

    def _cell(self, raw: str) -> Any:
        match self._kind:
            case "s":
                text = self._book.strings.get(int(raw)) if raw.isdigit() and len(raw) < 10 else None
                if text is None:
                    raise _Missing
                return text
            case "b":
                return raw.strip() in ("1", "true")
            case "n":
                return self._number(raw)
            case "d":
                try:
                    return datetime.fromisoformat(raw.strip())
                except ValueError:
                    return raw
            case _:
                return unescape(raw)

    def _number(self, raw: str) -> Any:
        try:
            value: int | float = int(raw) if raw.isdigit() and len(raw) < 18 else float(raw)
        except ValueError:
            return raw
        style, dates = self._style, self._book.dates
        if style and style != "0" and style.isdigit() and len(style) < 6 and int(style) < len(dates) and dates[int(style)]:
            return _moment(value, self._book.epoch)
        return value


def _moment(serial: float, epoch: datetime) -> datetime | time | float:
    """A serial day as a moment; before 1 March 1900 Excel's days are one off (it believes in 29 February 1900)."""
    if 0 <= serial < 1 and epoch.year == 1899:
        seconds = round(serial * 86_400) % 86_400
        return time(seconds // 3600, seconds // 60 % 60, seconds % 60)
    try:
        moved = serial + 1 if epoch.year == 1899 and serial < 60 else serial
        return epoch + timedelta(seconds=round(moved * 86_400))
    except (OverflowError, ValueError):
        return serial


def _sheet_rows(parts: Parts, part: Part, book: _Book, facts: FileFacts, label: str) -> Iterator[tuple[int, Any]]:
    sheet = _Sheet(book)
    pieces = parts.stream(part)
    fault, told = "", 0
    while not fault:
        piece = b""
        try:
            piece = next(pieces, b"")
            sheet.parser.feed(piece)
        except PARSE_ERRORS as error:
            fault = fault_kind(error)
        for number, row in sheet.done:
            yield from ((gap, ()) for gap in range(told + 1, number))  # rows that the file leaves out are blank
            yield number, row
            told = number
        sheet.done.clear()
        if not piece:
            break
    if fault:
        if not sheet.number:
            raise _invalid(label, f"a sheet is damaged ({fault})")
        facts.note("cut_short")
        yield sheet.number + (not sheet.in_row), Fault("cut_short", fault)

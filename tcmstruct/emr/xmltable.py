"""XML Spreadsheet 2003: a workbook as one XML file, which reporting tools write and save as .xls.

Rows are read one by one with `xmlstream`, so its bounds hold. Source: Microsoft, XML Spreadsheet Reference (Office 2003),
elements Workbook, Worksheet, Table, Row, Cell, Data.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from itertools import groupby
from typing import Any
from xml.etree.ElementTree import Element

from tcmstruct.emr.rows import Fault
from tcmstruct.emr.source import FileFacts, Given, Table
from tcmstruct.emr.xmlstream import read_elements

_NAMESPACE = b"urn:schemas-microsoft-com:office:spreadsheet"
_WIDEST_ROW = 1_024
_NO_DAY = (date(1899, 12, 30), date(1899, 12, 31))
"""What stands for the day of a time of day."""


def looks_like(head: bytes) -> bool:
    """Whether the beginning of a file is such a workbook."""
    return head.startswith(b"<") and _NAMESPACE in head


def open_tables(given: Given, facts: FileFacts) -> Iterator[Table]:
    """The sheets of a workbook; see `source.TableReader`. Cells are str, int, float, bool, datetime, time or None."""
    sheets = _Sheets()
    rows = _numbered(read_elements(given, facts, sheets), sheets)
    for sheet, group in groupby(rows, key=lambda row: row[0]):
        yield Table(((number, cells) for _, number, cells in group), sheets.names[sheet])


class _Sheets:
    """Which elements are rows, and which sheet each row is of."""

    def __init__(self) -> None:
        self.names = [""]
        self._starts = [0]
        self._rows = 0

    def __call__(self, name: str, attributes: dict[str, str]) -> bool:
        if name == "Worksheet":
            self.names.append(_get(attributes, "Name") or "")
            self._starts.append(self._rows)
        self._rows += name == "Row"
        return name == "Row"

    def of_row(self, ordinal: int) -> int:
        """The number of a row's sheet, by the row's place in the file, from 1."""
        return bisect_right(self._starts, ordinal - 1) - 1


def _numbered(rows: Iterator[tuple[str, Element] | Fault], sheets: _Sheets) -> Iterator[tuple[int, int, Sequence[Any] | Fault]]:
    """(sheet, number of the row within it, cells)."""
    sheet = number = 0
    for item in rows:
        place, row = (item.place, None) if isinstance(item, Fault) else item
        its_sheet = sheets.of_row(int(place))
        number, sheet = number if its_sheet == sheet else 0, its_sheet
        stated = _figure(row.attrib, "Index") if row is not None else 0
        number = stated if stated > number else number + 1
        yield sheet, number, _cells(row) if row is not None else Fault(item.code, item.detail)  # type: ignore[union-attr]


def _cells(row: Element) -> Sequence[Any] | Fault:
    cells: list[Any] = []
    column = 0
    for cell in row:
        if cell.tag != "Cell":
            continue
        column = max(column, _figure(cell.attrib, "Index") - 1)
        if column >= _WIDEST_ROW:
            return Fault("ragged_row", f"a cell in column {column + 1:,}")
        data = cell.find("Data")
        if data is not None:
            cells += [None] * (column - len(cells))
            cells.append(_value("".join(data.itertext()), _get(data.attrib, "Type")))
        column += 1 + _figure(cell.attrib, "MergeAcross")
    return cells


def _value(text: str, kind: str | None) -> Any:
    match kind:
        case "Number":
            try:
                return int(text) if text.isdigit() and len(text) < 18 else float(text)
            except ValueError:
                return text
        case "Boolean":
            return text.strip() == "1"
        case "DateTime":
            try:
                moment = datetime.fromisoformat(text.strip())
            except ValueError:
                return text
            return time(moment.hour, moment.minute, moment.second) if moment.date() in _NO_DAY else moment
        case _:
            return text


def _get(attributes: dict[str, str], name: str) -> str | None:
    """An attribute, whatever prefix the file gives the namespace."""
    found = attributes.get(f"ss:{name}")
    return found if found is not None else next((value for key, value in attributes.items() if key.rpartition(":")[2] == name), None)


def _figure(attributes: dict[str, str], name: str) -> int:
    """A number that an attribute states; 0 where it states none."""
    value = (_get(attributes, name) or "") if attributes else ""
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else 0

"""From the cells of one row to a Record, or to a reject that says why not.

Every reader ends here, so a bad cell has the same code whichever format it came in.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from typing import Any

from tcmstruct.emr.columns import ColumnMap, plain_name
from tcmstruct.record import Record

SECTION_SEPARATOR = "\n"
"""Between two sections of a joined text; each section starts with `列名：`."""

MAX_ROW_CHARS = 16 * 1024 * 1024
"""Characters (delimited text) or bytes (JSON Lines) of one row beyond which it is rejected unread: what bounds
the memory of a reader. The longest real record met so far is below 0.1 % of it."""

REJECT_CODES: dict[str, str] = {
    "text_missing": "the text column is empty, null or absent",
    "text_too_short": "the text has fewer than two characters besides blanks",
    "text_not_a_string": "the text column holds a number, a truth value, a date, a list or an object",
    "nul_character": "the row holds a NUL character (a damaged export, or UTF-16 without its mark)",
    "undecodable": "the row holds bytes that are not text in the file's encoding",
    "lone_surrogate": "the row holds half of a UTF-16 pair (a JSON \\ud800 escape without its partner)",
    "ragged_row": "the row has more or fewer cells than the header",
    "quote_unclosed": "a quote is opened and not closed, or text follows a closing quote",
    "row_too_long": f"the row is longer than {MAX_ROW_CHARS:,} characters",
    "json_invalid": "the line is not one JSON object",
    "json_not_an_object": "the line is JSON, but a list, text or number",
    "json_duplicate_key": "the object names one key twice",
    "json_not_a_number": "the object holds NaN or Infinity, which JSON does not have",
    "json_too_deep": "lists or objects are nested too deep",
    "xml_invalid": "the XML is not well-formed",
    "xml_too_deep": "elements are nested too deep",
    "hl7_invalid": "the message is not HL7 v2: it does not begin with an MSH segment",
    "fhir_invalid": "the object is no FHIR Bundle or Composition",
    "document_invalid": "the document is damaged",
    "cut_short": "the file breaks off inside this record",
    "rest_unreadable": "the rest of the file cannot be read",
    "member_refused": "a file inside the archive cannot be used",
    "id_not_a_string": "the id is a list, an object or a truth value",
    "duplicate_id": "an earlier row of the batch has the same id",
}
"""Codes that a reader or the batch gives a row before it is structured, with their meaning (docs/formats.md)."""

WARNING_CODES: dict[str, str] = {
    "id_missing": "the id cell is empty; the id was made from file and row",
    "id_lost_digits": "the id is a rounded number (1.1E+17) whose digits are lost: the id was made from file and row, the number is "
                      "kept in extra",
}
"""Codes that a reader adds to `StructuredRecord.warnings`."""

_ROUNDED_NUMBER = re.compile(r"\s*\d(\.\d+)?[eE]\+?\d+\s*")
_NO_ID = (bool, list, dict)
_EXACT_FLOAT_LIMIT = 10.0**15
"""Spreadsheets keep 15 significant digits."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A row or record that could not be read.

    Attributes:
        code: one of `REJECT_CODES`.
        detail: numbers and names of the format, never record text.
        place: of a record within its file ("12", "section 2"); rows of a table have their number.
    """

    code: str
    detail: str = ""
    place: str = ""


@dataclass(slots=True)
class Found:
    """A record as its file holds it, before columns are mapped.

    Attributes:
        place: within its file, "" for a file that is one record; `where` becomes `file:place`.
        facts: name → cell: ids, sex, age, dates, diagnoses, or the keys of a JSON object. Roles come from the alias
            table; an unknown name goes to `Record.extra`.
        sections: (title, text) in file order. An unknown title is text too; "" is a text without a title.
        document: a document keeps its section's title even where it has one section only, and takes its own place for
            an id that it does not state; a table's single text column is taken as it is.
        warnings: codes of `WARNING_CODES`.
    """

    place: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    sections: Sequence[tuple[str, str]] = ()
    document: bool = True
    warnings: tuple[str, ...] = ()

    def names(self) -> tuple[str, ...]:
        """The names of the cells and sections, in the order in which columns are numbered."""
        return (*self.facts, *(title for title, _ in self.sections))

    def titles(self) -> list[str]:
        """What stands before each text."""
        return [*map(plain_name, self.facts), *(plain_name(title) for title, _ in self.sections)]

    def size(self) -> int:
        """Characters of its texts, about."""
        return (sum(len(cell) for cell in self.facts.values() if isinstance(cell, str))
                + sum(len(text) for _, text in self.sections))


@dataclass(frozen=True, slots=True)
class ReadRecord(Record):
    """A Record together with what its reader has to say about it.

    Attributes:
        warnings: codes of `WARNING_CODES`.
    """

    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that could not be used. Holds no cell of the row besides its id.

    Attributes:
        code: stable snake_case kind of the fault.
        reason: one sentence, without record text.
        where: file:row.
        id: the record's id where it could be read, else None.
    """

    code: str
    reason: str
    where: str
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"id": self.id, "where": self.where, "code": self.code, "reason": self.reason}


def reject(code: str, where: str, *, detail: str = "", id: str | None = None) -> Reject:
    """A reject whose reason is the meaning of its code, with `detail` after it."""
    return Reject(code, REJECT_CODES[code] + (f": {detail}" if detail else ""), where, id)


def shown_id(value: Any) -> tuple[str | None, tuple[str, ...]]:
    """The id as text, with warnings; None where the cell is empty."""
    if value is None:
        return None, ()
    if isinstance(value, str):
        text = value.strip()
        rounded = ("E" in text or "e" in text) and _ROUNDED_NUMBER.fullmatch(text)
        return text or None, (("id_lost_digits",) if rounded else ())
    lost = isinstance(value, float) and (abs(value) >= _EXACT_FLOAT_LIMIT or not value.is_integer())
    return cell_text(value), (("id_lost_digits",) if lost else ())


def cell_text(value: Any) -> str:
    """A cell that is not record text, as text: what a person sees in the spreadsheet.

    A whole number loses its ".0", midnight of a date its "00:00:00", a truth value reads TRUE or FALSE, a list or an
    object is JSON.
    """
    match value:
        case str():
            return value
        case bool():
            return "TRUE" if value else "FALSE"
        case float() if math.isfinite(value) and value.is_integer() and abs(value) < _EXACT_FLOAT_LIMIT:
            return str(int(value))
        case datetime():
            day_only = value.time() == time(0)
            return value.date().isoformat() if day_only else value.isoformat(sep=" ", timespec="seconds")
        case date() | time():
            return value.isoformat()
        case list() | dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def spoiled(cells: Sequence[Any]) -> tuple[str, int, int] | None:
    """The first fault of the characters of a row: its code, the number of its column and of the character within it (both from
    1); None where there is none."""
    try:
        whole = "".join(cells)  # most rows are text and sound: one look at all of it
        if "\0" not in whole:
            if not whole.isascii():
                whole.encode()  # the quickest way to look for surrogates
            return None
    except (TypeError, UnicodeEncodeError):
        pass
    for number, cell in enumerate(cells, 1):
        if not isinstance(cell, str):
            continue
        if "\0" in cell:
            return "nul_character", number, cell.index("\0") + 1
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            marked = 0xDC80 <= ord(cell[error.start]) <= 0xDCFF
            return ("undecodable" if marked else "lone_surrogate"), number, error.start + 1
    return None


def is_blank(cell: Any) -> bool:
    """A cell without anything in it."""
    return cell is None or (isinstance(cell, str) and (not cell or cell.isspace()))


def assemble_found(found: Found, columns: ColumnMap, where: str) -> ReadRecord | Reject:
    """Builds the Record of what a reader found; `columns` maps `found.names()`."""
    cells = (*found.facts.values(), *(text for _, text in found.sections))
    item = assemble(cells, columns, where, where, found.titles() if found.document else None)
    if found.warnings and isinstance(item, ReadRecord):
        return replace(item, warnings=(*item.warnings, *found.warnings))
    return item


def assemble(cells: Sequence[Any], columns: ColumnMap, where: str, fallback_id: str,
             titles: Sequence[str] | None = None) -> ReadRecord | Reject:
    """Builds the Record of one row.

    Args:
        cells: one per column of `columns`; str, or what a spreadsheet or JSON holds (number, bool, date, None, list).
        columns: role of each column.
        where: file:row, for messages.
        fallback_id: the id where the row has none.
        titles: titles of the text columns, kept even where there is only one; None: the column names, left out where
            the table has one text column.
    """
    fault = spoiled(cells)
    if fault:
        code, number, character = fault
        return reject(code, where, detail=f"column {number}, character {character}")
    titled = titles is not None

    warnings: tuple[str, ...] = ()
    id: str | None = None
    extra: dict[str, str] = {}
    if columns.id is not None:
        raw_id = cells[columns.id]
        if isinstance(raw_id, _NO_ID):
            return reject("id_not_a_string", where)
        id, warnings = shown_id(raw_id)
        if id is None:
            warnings = ("id_missing",)
        elif warnings:  # two patients may have the same rounded number: it is no key
            extra[columns.names[columns.id]], id = id, None
    id = id or fallback_id

    titles = titles or columns.titles or columns.names
    parts: list[tuple[str, str]] = []
    for index in columns.text:
        cell = cells[index]
        if cell is None:
            continue
        if not isinstance(cell, str):
            return reject("text_not_a_string", where, detail=f"column {index + 1} holds {_kind(cell)}", id=id)
        if cell and not cell.isspace():
            parts.append((titles[index], cell))
    if not parts:
        return reject("text_missing", where, id=id)
    text = join_sections(parts) if titled or len(columns.text) > 1 else parts[0][1]
    if len(parts[0][1].strip()) < 2 and sum(len(cell.strip()) for _, cell in parts) < 2:
        return reject("text_too_short", where, id=id)

    dept = cells[columns.dept] if columns.dept is not None else None
    image = cells[columns.image] if columns.image is not None else None
    for index in columns.extra:
        cell = cells[index]
        if cell is not None and cell != "":
            extra[columns.names[index]] = cell if type(cell) is str else cell_text(cell)
    return ReadRecord(id, text, _optional(dept), _optional(image), extra, where, warnings)


def join_sections(parts: Sequence[tuple[str, str]]) -> str:
    """Sections as one text, "主诉：头痛3天。\\n现病史：…", in the order given; each section's own text is unchanged.

    A section whose cell already begins with its name and a colon does not get it twice, one without a name gets none.
    """
    return SECTION_SEPARATOR.join([
        cell if not name or (name in cell and cell.lstrip().startswith((f"{name}：", f"{name}:"))) else f"{name}：{cell}"
        for name, cell in parts])


def _optional(cell: Any) -> str | None:
    if cell is None or isinstance(cell, (list, dict)):
        return None
    return (cell if isinstance(cell, str) else cell_text(cell)).strip() or None


def _kind(cell: Any) -> str:
    kinds = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return kinds.get(type(cell), "a date or time")

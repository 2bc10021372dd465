"""Word documents (.docx): paragraphs and tables in order, as text.

WordprocessingML of ECMA-376 (ISO/IEC 29500) part 1, 17.3 and 17.4. Headers and footers, comments, deleted text and field
codes are no text of a record; a text box stands where it is anchored, once.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcmstruct.emr.documents import found_records, row_lines
from tcmstruct.emr.officexml import PARSE_ERRORS, PartParser, fault_kind
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.emr.zipparts import Part, PartBroken, Parts
from tcmstruct.errors import InputRefused

_SKIPPED = frozenset(("del", "moveFrom", "Fallback", "instrText", "delText", "footnotePr", "pPr", "rPr", "tblPr", "sdtPr"))
_SIGNS = {"tab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "ptab": "\t"}
MAIN_PART = "word/document.xml"


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """The record, or records, of a Word document; see `source.RecordReader` and `documents.plan_cuts`.

    Raises:
        InputRefused: damaged (`document_invalid`), locked (`format_unsupported`), or too large to unpack (`zip_bomb`).
    """
    lines, fault = read_docx(given, facts)
    if lines or not fault:
        yield from found_records(lambda: lines, facts)
    if fault:
        facts.note("cut_short")
        yield Fault("cut_short", fault, "end")


def read_docx(given: Given, facts: FileFacts) -> tuple[list[str], str]:
    """(lines of the document, what is wrong behind them or "")."""
    with Parts(given.path, given.label) as parts:
        if not facts.tables:
            parts.check()
        part = parts.find(MAIN_PART)
        if part is None:
            raise InputRefused("is a damaged Word document (no main part)", where=given.label, code="document_invalid",
                               hint="open it in Word or WPS and save it again")
        if part.encrypted:
            raise InputRefused("is encrypted", where=given.label, code="format_unsupported", hint="save it without a password")
        page, fault = _Page(), ""
        try:
            _parse(parts, part, page)
        except _TooLong:
            return [], ""
        except PARSE_ERRORS as error:
            fault = fault_kind(error)
            if not page.lines or not (parts.cut or isinstance(error, PartBroken)):
                raise InputRefused(f"is a damaged Word document ({fault})", where=given.label, code="document_invalid",
                                   hint="open it in Word or WPS and save it again") from None
        return page.lines, fault


def _parse(parts: Parts, part: Part, page: _Page) -> None:
    for piece in parts.stream(part):
        page.parser.feed(piece)
    page.parser.feed(b"")


class _TooLong(Exception):
    pass


class _Page:
    """Lines as the parser meets them. Tables within tables give their lines to the cell that they stand in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.parser = PartParser(self._start, self._end)
        self._skipped = 0
        self._skip_name = ""
        self._paragraphs: list[list[str]] = []
        self._tables: list[list[str]] = []  # cells of the open row of each open table
        self._cells: list[list[str]] = []  # lines of each open cell
        self._size = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped:
            self._skipped += name == self._skip_name
        elif name == "t":
            self.parser.listen(self._add)
        elif name == "p":
            self._paragraphs.append([])
        elif name in _SIGNS:
            self._add(_SIGNS[name])
        elif name in _SKIPPED:
            self._skipped, self._skip_name = 1, name
        elif name == "tr":
            self._tables.append([])
        elif name == "tc":
            self._cells.append([])

    def _add(self, text: str) -> None:
        self._size += len(text)
        if self._size > MAX_ROW_CHARS:
            raise _TooLong
        if self._paragraphs:
            self._paragraphs[-1].append(text)

    def _end(self, name: str) -> None:
        if self._skipped:
            self._skipped -= name == self._skip_name
        elif name == "t":
            self.parser.listen(None)
        elif name == "p" and self._paragraphs:
            self._put("".join(self._paragraphs.pop()).split("\n"))
        elif name == "tc" and self._cells:
            cell = "\n".join(self._cells.pop()).strip("\n")
            if self._tables:
                self._tables[-1].append(cell)
        elif name == "tr" and self._tables:
            self._put([line for text in row_lines(self._tables.pop()) for line in text.split("\n")])

    def _put(self, lines: list[str]) -> None:
        (self._cells[-1] if self._cells else self.lines).extend(lines)

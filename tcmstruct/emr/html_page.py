"""HTML: tables that were saved as .xls, and pages that are documents.

Parsed by libxml2's HTML parser (lxml) as a stream of tags, without a tree: it follows no link and runs nothing. What a
browser would not show (script, style, head) is no text.
"""

from __future__ import annotations

import codecs
import io
import queue
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from typing import Any, BinaryIO

from lxml import etree

from tcmstruct.emr.columns import known_role
from tcmstruct.emr.documents import found_records, row_lines
from tcmstruct.emr.encoding import MARK_BAD_BYTES, sniff_encoding
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.source import FileFacts, Given, Table
from tcmstruct.errors import InputRefused

_CHUNK = 1 << 16
_LONGEST_TOKEN = 2 * MAX_ROW_CHARS
_WIDEST_ROW = 1_024
_MOST_ROWS_SPANNED = 65_534
"""What HTML allows (WHATWG 4.9.11)."""
_TABLE_SAMPLE = 1 << 18

_Row = tuple[int, int, Sequence[Any] | Fault]
"""(number of the table, of the row in it, cells)"""

_META = re.compile(rb"<meta\b[^>]{0,200}?charset\s*=\s*[\"']?\s*([\w.:-]{1,40})", re.I)
_HIDDEN = frozenset(("script", "style", "head", "title", "template", "noscript", "object", "iframe", "select", "xml", "svg", "math"))
_LINES = frozenset(("p", "div", "br", "hr", "li", "ul", "ol", "dl", "dt", "dd", "h1", "h2", "h3", "h4", "h5", "h6", "pre", "table",
                    "tr", "thead", "tbody", "tfoot", "caption", "section", "article", "header", "footer", "form", "fieldset",
                    "blockquote", "center", "address", "body"))
_BLANK_RUN = re.compile(r"[ \t\r\n\f\xa0]+")
_BREAKS = re.compile(r" ?\x01[ \x01]*")
_CJK = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")
_LINE_FEED = "\x01"
"""A line break that is meant, among blanks that are not; HTML cannot hold this character."""
_BAD_BASE = 0x10FE00
"""A byte that is no text travels through the parser as a character of the last private plane."""
_TO_PRIVATE = {0xDC80 | low: _BAD_BASE | low for low in range(128)}
_FROM_PRIVATE = {private: bad for bad, private in _TO_PRIVATE.items()}


def looks_like(head: bytes) -> bool:
    """Whether the beginning of a file is HTML."""
    return re.match(rb"(?:\s|<!--.{0,2000}?-->|<\?xml[^>]{0,200}>)*<(?:!doctype\s+html|html|head|body|meta|table|div|style|title|p|h[1-6])"
                    rb"[\s>/]", head.removeprefix(codecs.BOM_UTF8)[:8192], re.I | re.S) is not None


def is_table(given: Given) -> bool:
    """Whether a page is a table of records: early in it stands a row of which two cells or more are names of columns,
    and the row below it has none. A table of labels and values (姓名 | 某某) is part of a document."""
    facts = FileFacts(given.label, 0, "html")
    with given.path.open("rb") as file:
        head = file.read(_TABLE_SAMPLE)
    found: list[_Row] = []
    _Events(_encoding(given, facts), given.label, hand_over=found.extend).parse(io.BytesIO(head))
    rows = [(table, [cell for cell in cells if isinstance(cell, str) and cell.strip()]) for table, _, cells in found
            if not isinstance(cells, Fault)]
    rows = [(table, cells) for table, cells in rows if cells]
    for (table, cells), (after, below) in pairwise([*rows, (0, [])]):
        known = sum(known_role(cell) is not None for cell in cells)
        if known >= 2 and any(known_role(cell) == "text" for cell in cells) and (
                after != table or not any(known_role(cell) for cell in below)):
            return after == table or known * 2 > len(cells)
    return False


def open_tables(given: Given, facts: FileFacts) -> Iterator[Table]:
    """The tables of a page; see `source.TableReader`. All cells are texts.

    A cell that spans columns stands in the first of them, one that spans rows in each of them; of a header in two
    storeys the lower one is given. Tables within cells are tables of their own.
    """
    rows = _read(given, facts)
    for number, group in groupby(rows, key=lambda row: row[0]):
        yield Table(((line, cells) for _, line, cells in group), f"table {number}")


def _read(given: Given, facts: FileFacts) -> Iterator[_Row]:
    """The rows, from a thread of the parser's own.

    libxml2 lets go of what it has parsed only if it asks for its input itself, and then it holds its thread to the end; fed
    piece by piece, it keeps the whole file in memory.
    """
    handed: queue.Queue[list[_Row] | Exception | None] = queue.Queue(maxsize=2)
    events = _Events(_encoding(given, facts), given.label, hand_over=handed.put)

    def parse() -> None:
        end = None
        try:
            with given.open() as file:
                events.parse(file)
        except Exception as error:  # raised again where the rows are asked for
            end = error
        handed.put(end)

    thread = threading.Thread(target=parse, name="html", daemon=True)
    thread.start()
    item: list[_Row] | Exception | None = []
    try:
        while (item := handed.get()) is not None:
            if isinstance(item, Exception):
                raise item
            yield from item
    finally:
        events.stop()
        while thread.is_alive() and isinstance(item, list):  # nobody wants the rest
            item = handed.get()
        thread.join()


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """The record, or records, of a page; see `source.RecordReader` and `documents.plan_cuts`."""
    events = _Events(_encoding(given, facts), given.label)
    with given.open() as file:
        events.parse(file)
    if events.too_long:
        yield Fault("row_too_long")
        return
    yield from found_records(lambda: events.lines, facts)


def _encoding(given: Given, facts: FileFacts) -> str:
    if facts.encoding is None:
        with given.path.open("rb") as file:
            declared = _META.search(file.read(4096))
        chosen = sniff_encoding(given.path, given.encoding, given.label, declared and declared[1].decode("ascii", "replace"))
        facts.encoding, facts.encoding_reason = chosen.name, chosen.reason
    return facts.encoding


def clean(text: str) -> str:
    """Text as a browser shows it: runs of blanks are one, and a line break of the source between two Chinese characters
    is none. Line breaks that are meant come as U+0001."""
    def one(found: re.Match[str]) -> str:
        around = text[found.start() - 1 : found.start()], text[found.end() : found.end() + 1]
        return "" if "\n" in found[0] and all(map(_CJK.match, around)) else " "

    if " " in text or "\n" in text or _BLANK_RUN.search(text):
        text = _BLANK_RUN.sub(one, text)
    if _LINE_FEED in text:
        text = _BREAKS.sub("\n", text)
    return text.strip(" \n")


@dataclass(slots=True)
class _Cell:
    """An open cell of the table at a depth (1: not within another)."""

    depth: int
    across: int
    down: int
    pieces: list[str] = field(default_factory=list)


class _Grid:
    """The open row of one open table."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.row: list[tuple[str, int, int]] = []
        self.line = 0
        self.open = False
        self.spans: dict[int, tuple[int, str]] = {}  # column → (rows still to fill, text)
        self.skip_rows = 0
        self.header_seen = False

    def laid_out(self) -> Sequence[Any] | Fault | None:
        """The row with its spans; None for the upper storey of a header."""
        cells: list[Any] = []

        def fill() -> None:
            while len(cells) in self.spans:
                left, text = self.spans.pop(len(cells))
                if left > 1:
                    self.spans[len(cells)] = left - 1, text
                cells.append(text)

        below: dict[int, tuple[int, str]] = {}
        for text, across, down in self.row:
            fill()
            if len(cells) + across > _WIDEST_ROW:
                return Fault("ragged_row", f"more than {_WIDEST_ROW:,} columns")
            if down > 1:
                below[len(cells)] = down - 1, text
                below.update((len(cells) + k, (down - 1, "")) for k in range(1, across))
            cells += [text] + [None] * (across - 1)
        fill()
        for column in sorted(self.spans):
            if len(cells) <= column:
                cells += [None] * (column - len(cells))
                fill()
        self.spans.update(below)
        filled = sum(bool(cell) for cell in cells)
        if not self.header_seen and filled > 1:
            self.header_seen = True
            spanned = [down for _, _, down in self.row]
            if max(spanned) > 1 and min(spanned) == 1 and any(across > 1 for _, across, _ in self.row):
                self.skip_rows = max(spanned) - 1
        if self.skip_rows:
            self.skip_rows -= 1
            return None
        return cells


class _Events:
    """The parser's source and target: rows of tables, handed over block by block, or the lines of a page."""

    def __init__(self, encoding: str, label: str, hand_over: Callable[[list[_Row]], object] | None = None) -> None:
        self._decoder = codecs.getincrementaldecoder(encoding)(MARK_BAD_BYTES)
        self._label, self._page, self._hand_over = label, hand_over is None, hand_over
        self._file: BinaryIO = io.BytesIO()
        self._stopped = False
        self._quiet = 0
        self._hidden = 0
        self._hidden_name = ""
        self._line: list[str] = []  # outside of cells
        self._cells: list[_Cell] = []  # open ones, the innermost last
        self._size = 0
        self._tables: list[_Grid] = []
        self._n_tables = 0
        self._done: list[_Row] = []
        self._marked = False  # bytes that are no text were met
        self.lines: list[str] = []
        self.too_long = False

    def parse(self, file: BinaryIO) -> None:
        """Parses a file to its end.

        Raises:
            InputRefused: a tag without an end, or what the parser does not take (`html_invalid`).
        """
        self._file = file
        parser = etree.HTMLParser(target=self, encoding="utf-8", huge_tree=True, no_network=True)
        try:
            etree.parse(self, parser)
        except (etree.LxmlError, AssertionError):
            if self.lines or self._n_tables or self._quiet > len(codecs.BOM_UTF8):  # an empty page is none that is damaged
                raise self._invalid("it is not HTML that can be parsed") from None
        while self._tables:
            self._end_row()
            self._tables.pop()
        self._break()
        self._hand_rows()

    def stop(self) -> None:
        """Ends the parsing at the next block."""
        self._stopped = True

    def read(self, _: int = -1) -> bytes:
        """The next block of the file, as the parser asks for it: UTF-8, more than asked for (lxml keeps the rest)."""
        self._hand_rows()
        if self._quiet > _LONGEST_TOKEN:
            raise self._invalid("a tag without an end")
        text = ""
        while not text and not (self._stopped or (self.too_long and self._page)):
            piece = self._file.read(_CHUNK)
            text = self._decoder.decode(piece, not piece)
            if not piece:
                break
        try:
            data = text.encode()
        except UnicodeEncodeError:
            self._marked, data = True, text.translate(_TO_PRIVATE).encode("utf-8", "replace")
        self._quiet += len(data)
        return data.replace(b"\0", b"\xef\xbf\xbd")

    def _hand_rows(self) -> None:
        if self._done and self._hand_over is not None:
            self._hand_over(self._done)
            self._done = []

    def _invalid(self, what: str) -> InputRefused:
        return InputRefused(f"is damaged HTML: {what}", where=self._label, code="html_invalid",
                            hint="open it in a browser or Excel and save it again")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        self._quiet = 0
        if self._hidden:
            self._hidden += tag == self._hidden_name
        elif tag in _HIDDEN:
            self._hidden, self._hidden_name = 1, tag
        elif tag == "table":
            self._break()
            self._n_tables += 1
            self._tables.append(_Grid(self._n_tables))
        elif tag == "tr":
            self._end_row()
            if self._tables:
                self._tables[-1].open = True
                self._tables[-1].line += 1
        elif tag in ("td", "th") and self._tables:
            self._end_cell()
            if not self._tables[-1].open:
                self._tables[-1].open = True
                self._tables[-1].line += 1
            across = down = 1
            if attributes:
                across, down = _span(attributes.get("colspan"), 1_000), _span(attributes.get("rowspan"), _MOST_ROWS_SPANNED)
            self._cells.append(_Cell(len(self._tables), across, down))
        elif tag in _LINES:
            self._break()

    def end(self, tag: str) -> None:
        self._quiet = 0
        if self._hidden:
            self._hidden -= tag == self._hidden_name
        elif tag in ("td", "th"):
            self._end_cell()
        elif tag == "tr":
            self._end_row()
        elif tag == "table" and self._tables:
            self._end_row()
            self._tables.pop()
        elif tag in _LINES and tag != "br":
            self._break()

    def data(self, text: str) -> None:
        self._quiet = 0
        if self._hidden:
            return
        self._size += len(text)
        if self._size > MAX_ROW_CHARS:
            self.too_long = True
            return
        (self._cells[-1].pieces if self._cells else self._line).append(text)

    def comment(self, text: str) -> None:
        self._quiet = 0

    def pi(self, target: str, data: str | None = None) -> None:
        self._quiet = 0

    def close(self) -> None:
        pass

    def _break(self) -> None:
        """The end of a line: within a cell a line feed, outside of cells a line of the page."""
        if self._cells:
            self._cells[-1].pieces.append(_LINE_FEED)
            return
        if self._page:
            line = self._plain(self._line)
            if line:
                self.lines += line.split("\n")
        else:
            self._size = 0
        self._line.clear()

    def _end_cell(self) -> None:
        if self._cells and self._cells[-1].depth == len(self._tables):
            cell = self._cells.pop()
            self._tables[-1].row.append((self._plain(cell.pieces), cell.across, cell.down))

    def _end_row(self) -> None:
        if not self._tables or not self._tables[-1].open:
            return
        self._end_cell()
        table = self._tables[-1]
        table.open = False
        self._size *= self._page
        if self._page:
            shown = [line for text in row_lines([text for text, _, _ in table.row]) for line in text.split("\n")]
            if self._cells:
                self._cells[-1].pieces.append(_LINE_FEED.join(["", *shown, ""]))
            else:
                self.lines += shown
        else:
            cells: Sequence[Any] | Fault | None = Fault("row_too_long") if self.too_long else table.laid_out()
            self.too_long = False
            if cells is not None:
                self._done.append((table.number, table.line, cells))
        table.row = []

    def _plain(self, pieces: list[str]) -> str:
        text = clean(pieces[0] if len(pieces) == 1 else "".join(pieces))
        return text.translate(_FROM_PRIVATE) if self._marked else text


def _span(value: str | None, most: int) -> int:
    """A colspan or rowspan; what is no number, or 0, is 1."""
    return max(1, min(int(value), most)) if value and value.isascii() and value.isdigit() and len(value) < 9 else 1

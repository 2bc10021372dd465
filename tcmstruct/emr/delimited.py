"""CSV and TSV as rows, one at a time, with the rest of the file saved from a bad row (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tcmstruct.emr.columns import map_columns
from tcmstruct.emr.encoding import MARK_BAD_BYTES, sniff_encoding
from tcmstruct.emr.jsonlines import skip_mark
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault
from tcmstruct.emr.source import TITLE_ROWS, FileFacts, Given, Table

DELIMITERS: tuple[str, ...] = (",", "\t", ";", "|")
"""Delimiters that are tried, the commonest first."""

_SNIFF_ROWS = 20
_BLOCK_CHARS = 1 << 18

csv.field_size_limit(MAX_ROW_CHARS)  # the module's own limit, 131,072 characters, is below a long record


class _RowTooLong(Exception):
    pass


class _Lines:
    """Lines of a file with those of the unfinished row kept, so that a broken row can be gone back over."""

    def __init__(self, file: io.TextIOBase, ahead: str) -> None:
        """`ahead` has been read from the file before; it ends with a line, or with the file."""
        self._file = file
        self._again = list(io.StringIO(ahead, newline=""))[::-1]
        self.row: list[str] = []
        self._row_chars = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._again.pop() if self._again else self._file.readline(MAX_ROW_CHARS + 1)
        if not line:
            raise StopIteration
        self.row.append(line)
        self._row_chars += len(line)
        if self._row_chars > MAX_ROW_CHARS:
            raise _RowTooLong
        return line

    def ahead_is_done(self) -> bool:
        return not self._again

    def start_row(self) -> None:
        self.row = []
        self._row_chars = 0

    def go_back(self) -> None:
        """Gives up the first line of the unfinished row; its other lines are read again."""
        first, *others = self.row
        if len(first) > MAX_ROW_CHARS:
            while first and not first.endswith(("\n", "\r")):
                first = self._file.readline(MAX_ROW_CHARS)
        self._again.extend(reversed(others))
        self.start_row()


def cut_rows(file: io.TextIOBase, delimiter: str) -> Iterator[list[str] | Fault]:
    """Rows of delimited text (RFC 4180 quoting), blank lines as `[]`.

    Whole lines are parsed a block at a time. A block in which a quote does not close, or that is too long, is gone through
    again row by row: a quote that never closes would swallow the rest of the file, so its row becomes a `Fault`, and reading
    goes on with the line after the one on which it began.
    """
    while block := file.read(_BLOCK_CHARS):
        if not block.endswith("\n"):
            block += file.readline(MAX_ROW_CHARS + 1)
        rows: list[list[str]] | None = None
        if len(block) <= MAX_ROW_CHARS:
            with suppress(csv.Error):
                rows = list(csv.reader(io.StringIO(block, newline=""), delimiter=delimiter, strict=True))
        yield from _careful_rows(_Lines(file, block), delimiter) if rows is None else rows


def _careful_rows(lines: _Lines, delimiter: str) -> Iterator[list[str] | Fault]:
    """Rows of what was read ahead, one by one; the last may go on behind it."""
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while not lines.ahead_is_done():
        lines.start_row()
        try:
            yield next(reader)
        except StopIteration:
            return
        except _RowTooLong:
            fault = Fault("row_too_long" if len(lines.row) == 1 else "quote_unclosed")
            lines.go_back()
            yield fault
        except csv.Error:
            lines.go_back()
            yield Fault("quote_unclosed")


def open_text(raw: io.BufferedReader, encoding: str) -> io.TextIOWrapper:
    """Decoded text with line ends as they are; undecodable bytes become marks (see `encoding.MARK_BAD_BYTES`)."""
    if encoding == "utf-8-sig":  # that codec is written in Python
        skip_mark(raw)
        encoding = "utf-8"
    return io.TextIOWrapper(raw, encoding, MARK_BAD_BYTES, newline="")


def sniff_delimiter(path: Path, encoding: str) -> str:
    """The delimiter whose header has the most known columns and whose first rows agree best on the number of cells.

    The header is sought among the first rows, since titles may stand above it.
    """
    def score(delimiter: str) -> tuple[int, int, float]:
        with open_text(path.open("rb"), encoding) as file:
            rows = []
            for row in cut_rows(file, delimiter):
                if row:
                    rows.append(row)
                if len(rows) == _SNIFF_ROWS:
                    break
        headers = [row for row in rows[: TITLE_ROWS + 1] if isinstance(row, list)]
        best = max(map(_known, headers), default=(0, 0))
        width = len(next((row for row in headers if _known(row) == best), []))
        widths = Counter(len(row) if isinstance(row, list) else 0 for row in rows)
        agree = widths[width] / len(rows) if rows else 0.0
        return *best, agree * (width > 1)

    return max(DELIMITERS, key=score)


def _known(row: list[str]) -> tuple[int, int]:
    """Whether a row names a text column, and how many columns it names that are known."""
    columns = map_columns(row)
    return int(bool(columns.text)), len(columns.text) + sum(i is not None for i in (columns.id, columns.dept, columns.image))


def open_tables(given: Given, facts: FileFacts) -> Iterator[Table]:
    """The one table of a delimited file; see `source.TableReader`."""
    if facts.encoding is None or facts.delimiter is None:
        chosen = sniff_encoding(given.path, given.encoding, given.label)
        facts.encoding, facts.encoding_reason = chosen.name, chosen.reason
        facts.delimiter = sniff_delimiter(given.path, chosen.name)
    with open_text(given.open(), facts.encoding) as file:
        yield Table(enumerate(cut_rows(file, facts.delimiter), 1), padded=False)

"""table.csv: the visit table for a spreadsheet."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from tcmstruct.batch.tables.columns import Columns, read_lines
from tcmstruct.emr.rows import cell_text

_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def defuse(text: str) -> str:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it (OWASP, CSV injection).

    Plain numbers with a sign stay as they are.
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text) else text


def write_csv(source: Path, columns: Columns, target: Path) -> list[str]:
    """UTF-8 with a byte order mark, so that Excel reads it as UTF-8; CRLF, RFC 4180 quotes, formulas defused."""
    with target.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([defuse(name) for name in columns.header()])
        for record in read_lines(source):
            writer.writerow(["" if cell is None else defuse(cell) if isinstance(cell, str) else cell_text(cell)
                             for cell in columns.row(record)])
    return []

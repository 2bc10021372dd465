"""table.xlsx: the visit table, the evidence and the codes as sheets of a workbook."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tcmstruct.batch.tables.columns import CODE_COLUMNS, EVIDENCE_COLUMNS, Columns, code_rows, evidence_rows, read_lines
from tcmstruct.emr.rows import cell_text

EXCEL_ROWS = 1_048_576
EXCEL_COLUMNS = 16_384
EXCEL_CELL_CHARS = 32_767
_CUT_MARK = "…〔超出单元格上限，全文见 records.jsonl〕"
_ROWS_MARK = "超出 Excel 行数上限，其余见 records.jsonl"
_CREATED = datetime(2000, 1, 1)
"""Fixed, so that the same records give the same bytes."""


class _Sheet:
    """A sheet that is written row after row and says once where it is full."""

    def __init__(self, sheet: Any, header: Sequence[str], bold: Any, limit: int) -> None:
        self._sheet, self._limit, self._next = sheet, limit, 1
        self.full = False
        sheet.freeze_panes(1, 1)
        for place, name in enumerate(header[:EXCEL_COLUMNS]):
            sheet.write_string(0, place, name, bold)

    def add(self, cells: Sequence[Any], style: Callable[[int], Any] = lambda _: None) -> None:
        """Adds a row; the last row that fits says that more was left out."""
        if self._next >= self._limit - 1:
            if not self.full:
                self._sheet.write_string(self._next, 0, _ROWS_MARK)
                self.full = True
            return
        for place, cell in enumerate(cells[:EXCEL_COLUMNS]):
            if cell is None:
                continue
            if isinstance(cell, int | float) and not isinstance(cell, bool) and math.isfinite(cell):
                self._sheet.write_number(self._next, place, cell, style(place))
            else:
                self._sheet.write_string(self._next, place, _fitting(cell_text(cell)), style(place))
        self._next += 1


def _fitting(text: str) -> str:
    # Excel counts UTF-16 units
    if len(text) * 2 <= EXCEL_CELL_CHARS or len(text.encode("utf-16-le")) // 2 <= EXCEL_CELL_CHARS:
        return text
    room = EXCEL_CELL_CHARS - len(_CUT_MARK)
    return text.encode("utf-16-le")[: room * 2].decode("utf-16-le", "ignore") + _CUT_MARK


def write_xlsx(source: Path, columns: Columns, target: Path, row_limit: int = EXCEL_ROWS) -> list[str]:
    """A workbook with the sheets 数据 (one row a visit), 证据 (one row a value) and 编码 (one row a diagnosis code), in
    constant memory.

    Text cells are stored as text, so no formula can arise. Values marked for review are shaded.

    Args:
        source: records.jsonl.
        columns: of the sheet 数据.
        target: file to make; its folder also takes the temporary files.
        row_limit: rows of a sheet, header included.

    Returns:
        Notes for the manifest: "xlsx_rows_capped" where a sheet was full.
    """
    import xlsxwriter

    book = xlsxwriter.Workbook(str(target), {"constant_memory": True, "tmpdir": str(target.parent)})
    book.use_zip64()
    book.set_properties({"title": "tcmstruct", "created": _CREATED})
    bold, shaded = book.add_format({"bold": True}), book.add_format({"bg_color": "#FFF2CC"})
    data = _Sheet(book.add_worksheet("数据"), columns.header(), bold, row_limit)
    evidence = _Sheet(book.add_worksheet("证据"), EVIDENCE_COLUMNS, bold, row_limit)
    codes = _Sheet(book.add_worksheet("编码"), CODE_COLUMNS, bold, row_limit)
    place_of = {2 + n: name for n, name in enumerate(columns.fields)}
    for record in read_lines(source):
        marked = {name for name, value in record["fields"].items() if value["review"]}
        data.add(columns.row(record),
                 (lambda place, marked=marked: shaded if place_of.get(place) in marked else None) if marked
                 else lambda _: None)
        for row in evidence_rows(record):
            evidence.add(row)
        for row in code_rows(record):
            codes.add(row)
    book.close()
    return ["xlsx_rows_capped"] if data.full or evidence.full or codes.full else []

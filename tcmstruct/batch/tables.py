"""Tables made of `records.jsonl`: one row a visit, one column a field.

The workbook also has a sheet of evidence, one row a value, and one of diagnosis codes, one row a code.

A table is a function of records.jsonl and of the columns: it is made in one pass when the records are complete, so a
new format is one class here and knows nothing of reading or structuring.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tcmstruct.emr.rows import cell_text

MAX_EXTRA_COLUMNS = 256
"""Extra columns of the tables; JSON Lines can name a new key in every line. All of them stay in records.jsonl."""

EXCEL_ROWS = 1_048_576
EXCEL_COLUMNS = 16_384
EXCEL_CELL_CHARS = 32_767
_CUT_MARK = "…〔超出单元格上限，全文见 records.jsonl〕"
_ROWS_MARK = "超出 Excel 行数上限，其余见 records.jsonl"

EVIDENCE_COLUMNS: tuple[str, ...] = ("id", "field", "value", "unit", "evidence", "start", "end", "confidence", "source",
                                     "review")
PHOTO_COLUMNS: tuple[str, ...] = ("照片字段", "图文冲突")
_SPOKE = {"image": "补充", "both": "印证"}
CODE_COLUMNS: tuple[str, ...] = ("id", "type", "text", "start", "end", "system", "code", "name", "rule", "score")
_FORMULA_STARTS = tuple("=+-@\t\r\n＝＋－＠")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_CREATED = datetime(2000, 1, 1)
"""Fixed, so that the same records give the same bytes."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of the visit table: id, dept, the fields, the review columns, warnings, the extra columns.

    Attributes:
        fields: names of the fields.
        extra: names of the input's own columns.
        photos: photographs were used: two columns say which fields they filled or confirmed, and where they contradict.
    """

    fields: tuple[str, ...]
    extra: tuple[str, ...]
    photos: bool = False

    def header(self) -> list[str]:
        own = ["id", "dept", *self.fields, "需复核数", "需复核字段", *(PHOTO_COLUMNS if self.photos else ()), "警告"]
        taken = set(own)
        return own + [name if name not in taken else f"{name}（原列）" for name in self.extra]

    def row(self, record: Mapping[str, Any]) -> list[Any]:
        """Values of a line of records.jsonl; None where a field is not mentioned (未提及)."""
        fields = record["fields"]
        review = [name for name, value in fields.items() if value["review"]]
        extra = record.get("extra", {})
        values = [joined(fields[name]["value"]) if name in fields else None for name in self.fields]
        return [record["id"], record.get("dept"), *values, len(review), "；".join(review) or None,
                *(photo_cells(record) if self.photos else ()), "；".join(record["warnings"]) or None,
                *(extra.get(name) for name in self.extra)]


def photo_cells(record: Mapping[str, Any]) -> list[str | None]:
    """What the photo did to the fields of a line of records.jsonl, as two cells (`PHOTO_COLUMNS`)."""
    spoke = [f"{name}（{_SPOKE[value['source']]}）" for name, value in record["fields"].items() if value["source"] in _SPOKE]
    against = [f"{c['field']}：文字 {joined(c['text'])}，照片 {c['image']}" for c in (record.get("tongue") or {}).get("conflicts", ())]
    return ["；".join(spoke) or None, "；".join(against) or None]


def joined(value: Any) -> Any:
    """A value as one cell: several values are joined by a full-width semicolon."""
    return "；".join(map(cell_text, value)) if isinstance(value, list) else value


def defuse(text: str) -> str:
    """A text that a spreadsheet would run as a formula, with an apostrophe before it (OWASP, CSV injection).

    Plain numbers with a sign stay as they are.
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) and not _NUMBER.fullmatch(text) else text


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a records.jsonl, one at a time."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def write_csv(records: Iterable[Mapping[str, Any]], columns: Columns, file: BinaryIO) -> list[str]:
    """UTF-8 with a byte order mark, so that Excel reads it as UTF-8; CRLF, RFC 4180 quotes, formulas defused.

    Returns:
        Notes for the manifest.
    """
    text = io.TextIOWrapper(file, "utf-8-sig", newline="", write_through=False)
    writer = csv.writer(text)
    writer.writerow([defuse(name) for name in columns.header()])
    for record in records:
        writer.writerow(["" if cell is None else defuse(cell) if isinstance(cell, str) else cell_text(cell)
                         for cell in columns.row(record)])
    text.flush()
    text.detach()
    return []


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


def write_xlsx(records: Iterable[Mapping[str, Any]], columns: Columns, path: Path,
               row_limit: int = EXCEL_ROWS) -> list[str]:
    """A workbook with the sheets 数据 (one row a visit), 证据 (one row a value) and 编码 (one row a diagnosis code), in
    constant memory.

    Text cells are stored as text, so no formula can arise. Values marked for review are shaded.

    Args:
        records: lines of records.jsonl.
        columns: of the sheet 数据.
        path: file to make; its folder also takes the temporary files.
        row_limit: rows of a sheet, header included.

    Returns:
        Notes for the manifest: "xlsx_rows_capped" where a sheet was full.
    """
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path), {"constant_memory": True, "tmpdir": str(path.parent)})
    book.use_zip64()
    book.set_properties({"title": "tcmstruct", "created": _CREATED})
    bold, shaded = book.add_format({"bold": True}), book.add_format({"bg_color": "#FFF2CC"})
    data = _Sheet(book.add_worksheet("数据"), columns.header(), bold, row_limit)
    evidence = _Sheet(book.add_worksheet("证据"), EVIDENCE_COLUMNS, bold, row_limit)
    codes = _Sheet(book.add_worksheet("编码"), CODE_COLUMNS, bold, row_limit)
    place_of = {2 + n: name for n, name in enumerate(columns.fields)}
    for record in records:
        marked = {name for name, value in record["fields"].items() if value["review"]}
        data.add(columns.row(record),
                 (lambda place, marked=marked: shaded if place_of.get(place) in marked else None) if marked
                 else lambda _: None)
        for name, value in record["fields"].items():
            evidence.add([record["id"], name, joined(value["value"]), value["unit"], value["evidence"], value["start"],
                          value["end"], value["confidence"], value["source"], "是" if value["review"] else None])
        for row in code_rows(record):
            codes.add(row)
    book.close()
    return ["xlsx_rows_capped"] if data.full or evidence.full or codes.full else []


def code_rows(record: Mapping[str, Any]) -> Iterator[list[Any]]:
    """A row of `CODE_COLUMNS` for each code of each mention; where several tables know a name, a row for each."""
    for entity in record["entities"]:
        for code in entity.get("codes", ()):
            words = entity["text"][code["start"] - entity["start"] : code["end"] - entity["start"]]
            for one in (code, *code.get("also", ())):
                yield [record["id"], entity["type"], words, code["start"], code["end"],
                       *(one[column] for column in CODE_COLUMNS[5:])]

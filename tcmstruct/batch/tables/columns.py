"""The three tables that lines of `records.jsonl` make: visits (one column a field), evidence (one row a value), codes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.emr.rows import cell_text

EVIDENCE_COLUMNS: tuple[str, ...] = ("id", "field", "value", "unit", "evidence", "start", "end", "confidence", "source",
                                     "review")
PHOTO_COLUMNS: tuple[str, ...] = ("照片字段", "图文冲突")
_SPOKE = {"image": "补充", "both": "印证"}
CODE_COLUMNS: tuple[str, ...] = ("id", "type", "text", "start", "end", "system", "code", "name", "rule", "score")


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


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a records.jsonl, one at a time."""
    with path.open("rb") as file:
        for line in file:
            yield orjson.loads(line)


def evidence_rows(record: Mapping[str, Any]) -> Iterator[list[Any]]:
    """A row of `EVIDENCE_COLUMNS` for each value."""
    for name, value in record["fields"].items():
        yield [record["id"], name, joined(value["value"]), value["unit"], value["evidence"], value["start"], value["end"],
               value["confidence"], value["source"], "是" if value["review"] else None]


def code_rows(record: Mapping[str, Any]) -> Iterator[list[Any]]:
    """A row of `CODE_COLUMNS` for each code of each mention; where several tables know a name, a row for each."""
    for entity in record["entities"]:
        for code in entity.get("codes", ()):
            words = entity["text"][code["start"] - entity["start"] : code["end"] - entity["start"]]
            for one in (code, *code.get("also", ())):
                yield [record["id"], entity["type"], words, code["start"], code["end"],
                       *(one[column] for column in CODE_COLUMNS[5:])]


Kind = type[str] | type[int] | type[float]

_KINDS: dict[str, Kind] = {"start": int, "end": int, "confidence": float, "score": float}


@dataclass(frozen=True, slots=True)
class Table:
    """A table for formats that know types.

    Attributes:
        name: "visits", "evidence" or "codes".
        columns: name → kind of all its cells that are not None; names are different also where case does not count.
    """

    name: str
    columns: Mapping[str, Kind]

    def rows(self, record: Mapping[str, Any], columns: Columns) -> Iterator[list[Any]]:
        """The rows that a line of records.jsonl makes, cells of the columns' kinds."""
        found = {"visits": lambda: iter([columns.row(record)]), "evidence": lambda: evidence_rows(record),
                 "codes": lambda: code_rows(record)}[self.name]()
        for row in found:
            yield [None if cell is None else cell_text(cell) if kind is str else kind(cell)
                   for cell, kind in zip(row, self.columns.values(), strict=True)]


def typed_tables(records: Iterable[Mapping[str, Any]], columns: Columns) -> list[Table]:
    """The three tables; a column of the visits is a number's where every value in the records is one (one pass)."""
    header = columns.header()
    kinds: list[Kind | None] = [None] * len(header)
    for record in records:
        for place, cell in enumerate(columns.row(record)):
            if cell is not None and kinds[place] is not str:
                kind = type(cell) if type(cell) is float or (type(cell) is int and abs(cell) < 2**63) else str
                kinds[place] = kind if kinds[place] in (None, kind) else str if kind is str else float
    visits = dict(zip(_different(header), (kind or str for kind in kinds), strict=True))
    return [Table("visits", visits), *(Table(name, {c: _KINDS.get(c, str) for c in names})
                                       for name, names in (("evidence", EVIDENCE_COLUMNS), ("codes", CODE_COLUMNS)))]


def _different(names: Iterable[str]) -> list[str]:
    """Names that a database tells apart, which may not look at case: the later of two gets a number."""
    taken: set[str] = set()
    out = []
    for name in names:
        new, number = name, 1
        while new.casefold() in taken:
            number += 1
            new = f"{name}~{number}"
        taken.add(new.casefold())
        out.append(new)
    return out

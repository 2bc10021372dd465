"""A result of `convert` as pandas frames with the types that the fields have.

A CSV does not say them: an id like 007 becomes a number, several values are one cell, and what is not mentioned looks like what is
denied. `records.jsonl` does, so the frames are made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcmstruct.errors import MissingExtra, UsageError
from tcmstruct.report.counters import number_of, values_of
from tcmstruct.report.source import open_output

if TYPE_CHECKING:
    import pandas as pd

VALUE_COLUMNS: dict[str, str] = {
    "id": "string", "field": "string", "value": "string", "number": "Float64", "unit": "string", "confidence": "Float64",
    "review": "boolean", "source": "string", "evidence": "string"}
CODE_COLUMNS: dict[str, str] = {
    "id": "string", "type": "string", "text": "string", "system": "string", "code": "string", "name": "string", "confidence": "Float64"}


@dataclass(frozen=True, slots=True)
class Frames:
    """A result in three frames.

    Attributes:
        visits: a row a record, by its id (string). `dept`, then the fields, then the input's own columns. A number's column is
            Float64, a choice's is string, one of several values holds lists; 未提及 is <NA> (None beside lists), 无 is "无".
        values: a row a single value (`VALUE_COLUMNS`): of several at once each has its own. `number` is the figure of a number, or
            times a day of a frequency.
        codes: a row a coded diagnosis or syndrome (`CODE_COLUMNS`).
    """

    visits: pd.DataFrame
    values: pd.DataFrame
    codes: pd.DataFrame


def read(out: Path | str, most: int | None = None) -> Frames:
    """Reads a folder of `convert`, or a `records.jsonl`, into memory.

    Args:
        out: the folder or file.
        most: records to read, from the first; None reads all (some 3 kB of memory each).

    Raises:
        MissingExtra: pandas is not installed.
        InputRefused: nothing readable is there.
    """
    try:
        import pandas as pd
    except ImportError:
        raise MissingExtra("reading a result into pandas", "pandas") from None
    output = open_output(Path(out))
    visits: list[dict[str, Any]] = []
    values: list[tuple[Any, ...]] = []
    codes: list[tuple[Any, ...]] = []
    names: dict[str, None] = dict.fromkeys(name for pack in output.groups().values() for name in pack)
    extra: dict[str, None] = {}
    for _, _, record in islice(output.lines(), most):
        fields, own = record.get("fields") or {}, record.get("extra") or {}
        names.update(dict.fromkeys(fields))
        extra.update(dict.fromkeys(own))
        visits.append({"id": record.get("id"), "dept": record.get("dept"), **{f"原列·{name}": cell for name, cell in own.items()},
                       **{f"字段·{name}": found.get("value") for name, found in fields.items()}})
        values += _values(record.get("id"), fields)
        codes += _codes(record)
    taken = {"dept", *names}
    columns = {"id": "id", "dept": "dept", **{f"字段·{name}": name for name in names},
               **{f"原列·{name}": name if name not in taken else f"{name}（原列）" for name in extra}}
    frame = pd.DataFrame(visits, columns=list(columns)).rename(columns=columns)
    frame = frame.apply(lambda column: _typed(column, column.name in names)).set_index("id")
    return Frames(frame, _frame(pd, values, VALUE_COLUMNS), _frame(pd, codes, CODE_COLUMNS))


def indicators(column: pd.Series) -> pd.DataFrame:
    """A column of choices or lists as a boolean column for each value; <NA> in the rows where the field is not mentioned.

    Raises:
        UsageError: the column holds numbers.
    """
    if str(column.dtype) == "Float64":
        raise UsageError("a column of numbers has no values to tell apart", where=f"indicators({column.name})")
    import pandas as pd

    rows = [values_of(value) if isinstance(value, list | str) else [] for value in column]
    names = dict.fromkeys(name for row in rows for name in row)
    return pd.DataFrame({name: pd.array([name in row if row else None for row in rows], dtype="boolean") for name in names},
                        index=column.index)


def _typed(column: pd.Series, field: bool) -> pd.Series:
    """A column in the type of its values; of several kinds it is text. The input's own columns stay text: 007 is no number."""
    kinds = {type(value) for value in column if value is not None and value == value}
    if list in kinds:
        return column.map(lambda value: [value] if isinstance(value, str) else value if isinstance(value, list) else None).astype(object)
    if field and kinds and kinds <= {int, float}:
        return column.astype("Float64")
    return column.map(lambda value: None if value is None or value != value else str(value)).astype("string")


def _values(id: Any, fields: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for name, found in fields.items():
        figure = number_of(found.get("value"), found.get("unit"))
        number, unit = figure or (None, None)
        for value in values_of(found.get("value")):
            yield (id, name, value, number, unit or found.get("unit"), found.get("confidence"), found.get("review"), found.get("source"),
                   found.get("evidence"))


def _codes(record: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for mention in record.get("entities") or ():
        for code in mention.get("codes") or ():
            yield (record.get("id"), mention["type"], mention.get("text"), code["system"], code["code"], code["name"],
                   mention.get("confidence"))


def _frame(pd: Any, rows: list[tuple[Any, ...]], columns: Mapping[str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns)).astype(dict(columns))

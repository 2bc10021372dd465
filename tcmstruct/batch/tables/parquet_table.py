"""table.parquet, evidence.parquet and codes.parquet: typed columns for pandas, DuckDB or Spark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from tcmstruct.batch.tables.columns import Columns, Table, read_lines, typed_tables

ROWS = 10_000
"""Rows of a row group: what is held in memory."""

_TYPES = {str: pa.string(), int: pa.int64(), float: pa.float64()}


def write_parquet(source: Path, columns: Columns, target: Path) -> list[str]:
    """One file a table beside `target`; texts are what they are, nothing is defused; missing values are null."""
    for table in typed_tables(read_lines(source), columns):
        file = target if table.name == "visits" else target.with_name(f"{table.name}.parquet")
        schema = pa.schema([(name, _TYPES[kind]) for name, kind in table.columns.items()])
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            rows = _rows(source, table, columns)
            while some := list(islice(rows, ROWS)):
                cells = [pa.array(column, kind) for column, kind in zip(zip(*some, strict=True), schema.types, strict=True)]
                writer.write_table(pa.Table.from_arrays(cells, schema=schema))
    return []


def _rows(source: Path, table: Table, columns: Columns) -> Iterator[list[Any]]:
    for record in read_lines(source):
        yield from table.rows(record, columns)

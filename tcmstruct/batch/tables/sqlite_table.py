"""table.sqlite: the three tables in one file that every language can ask."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tcmstruct.batch.tables.columns import Columns, Table, read_lines, typed_tables

_TYPES = {str: "TEXT", int: "INTEGER", float: "REAL"}


def write_sqlite(source: Path, columns: Columns, target: Path) -> list[str]:
    """Tables visits, evidence and codes; ids of visits are its key, those of the others are indexed."""
    tables = typed_tables(read_lines(source), columns)
    with closing(sqlite3.connect(target)) as base:
        base.execute("PRAGMA journal_mode = OFF")  # the file counts only when the whole result is there
        for table in tables:
            base.execute(f"CREATE TABLE {table.name} ({', '.join(_column(table, name) for name in table.columns)})")
        for record in read_lines(source):
            for table in tables:
                base.executemany(f"INSERT INTO {table.name} VALUES ({', '.join('?' * len(table.columns))})", table.rows(record, columns))
        for table in tables[1:]:
            base.execute(f"CREATE INDEX {table.name}_id ON {table.name} (id)")
        base.commit()
    return []


def _column(table: Table, name: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    return f"{quoted} {_TYPES[table.columns[name]]}" + (" PRIMARY KEY" if table.name == "visits" and name == "id" else "")

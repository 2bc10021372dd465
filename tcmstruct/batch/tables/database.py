"""The three tables of a finished result into a database, by SQLAlchemy URL, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import BigInteger, Column, Float, MetaData, String, Text, create_engine, exc, inspect
from sqlalchemy import Table as SqlTable

from tcmstruct.batch.tables.columns import Columns, Kind, read_lines, typed_tables
from tcmstruct.errors import InputRefused, UsageError

_ROWS = 1_000
_ID_CHARS = 255
_TYPES: Mapping[Kind, Any] = {str: Text(), int: BigInteger(), float: Float(53)}


def load_tables(source: Path, columns: Columns, url: str, *, prefix: str = "tcmstruct_", replace: bool = False) -> dict[str, int]:
    """Makes and fills `prefix` + visits, evidence and codes.

    Args:
        source: records.jsonl.
        columns: of the visits.
        url: of a database that the user may make tables in.
        prefix: of the tables' names; no other table is touched.
        replace: drop tables of these names first.

    Returns:
        Table → rows.

    Raises:
        UsageError: a table exists and `replace` is not given (code `table_exists`).
        InputRefused: no connection, no right, no room: nothing is changed (where the database can take back a CREATE). The driver's
            message is not shown: it may hold a password or a row.
    """
    try:
        engine = create_engine(url)
    except (exc.ArgumentError, exc.NoSuchModuleError, ImportError):
        raise InputRefused("is no database URL, or its driver is not installed", where=url.partition("://")[0][:32],
                           code="database_invalid", hint="for example postgresql+psycopg://user@host/research") from None
    try:
        with engine.begin() as connection:
            tables = typed_tables(read_lines(source), columns)
            there = [name for table in tables if inspect(connection).has_table(name := prefix + table.name)]
            if there and not replace:
                raise UsageError(f"already holds {', '.join(there)}", where=engine.name, code="table_exists",
                                 hint="replace them with --fresh, or name others with --prefix")
            meta, counts = MetaData(), {}
            for table in tables:
                made = SqlTable(prefix + table.name, meta, *(_column(table.name, name, kind) for name, kind in table.columns.items()))
                made.drop(connection, checkfirst=True)
                made.create(connection)
                rows = (dict(zip(table.columns, row, strict=True)) for record in read_lines(source) for row in table.rows(record, columns))
                counts[made.name] = 0
                while some := list(islice(rows, _ROWS)):
                    connection.execute(made.insert(), some)
                    counts[made.name] += len(some)
        return counts
    except exc.SQLAlchemyError as error:
        raise InputRefused(f"refused the tables ({type(error).__name__})", where=engine.name, code="database_failed",
                           hint="check server, user, rights and room") from None
    finally:
        engine.dispose()


def _column(table: str, name: str, kind: Kind) -> Column[Any]:
    if name == "id":  # a key has to have a length in some databases
        return Column(name, String(_ID_CHARS), primary_key=table == "visits", index=table != "visits")
    return Column(name, _TYPES[kind])

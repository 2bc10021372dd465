"""A table or view of a database as rows, by SQLAlchemy URL: streamed, and read only.

The last part of the URL's query says what is read: `…?tcm_table=门诊病历` or `…?tcm_query=SELECT …`, or it is given apart. Only a
name that the database itself lists, or one SELECT, is sent; the session is set to read only where the database can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tcmstruct.emr.rows import Fault
from tcmstruct.emr.source import FileFacts, Given, Table
from tcmstruct.errors import InputRefused, MissingExtra, TcmstructError

TABLE_KEY, QUERY_KEY = "tcm_table", "tcm_query"
_FETCH = 500
_URL = re.compile(r"[A-Za-z][\w+.-]*://")
_COMMENT = re.compile(r"--|/\*|#")
_SELECT = re.compile(r"\s*(?:SELECT|WITH)\b", re.I)
_LITERAL = re.compile(r"'(?:[^']|'')*+'|\"(?:[^\"]|\"\")*+\"|`(?:[^`]|``)*+`|\[[^\]]*+\]")
_FORBIDDEN = re.compile(
    r"\b(INSERT|UPDATE|DELETE|MERGE|UPSERT|INTO|DROP|ALTER|CREATE|TRUNCATE|GRANT|REVOKE|EXEC|EXECUTE|ATTACH|PRAGMA|OUTFILE|DUMPFILE|"
    r"LOAD_EXTENSION|LOAD_FILE|READFILE|WRITEFILE|XP_\w+|OPENROWSET|OPENQUERY|OPENDATASOURCE|DBMS_\w+|UTL_\w+|HTTPURITYPE|PG_READ_\w+|PG_LS_\w+|"
    r"PG_SLEEP\w*|PG_TERMINATE_BACKEND|LO_IMPORT|LO_EXPORT|DBLINK\w*|NEXTVAL|SETVAL|SET_CONFIG|SLEEP|BENCHMARK|GET_LOCK)\b", re.I)
"""What a statement that begins as a SELECT could still do: write (WITH … DELETE, INTO), reach files or the network, wait."""
_READ_ONLY: dict[str, str] = {
    "postgresql": "SET TRANSACTION READ ONLY", "mysql": "SET TRANSACTION READ ONLY", "mariadb": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
}
"""Sent as the first statement of the transaction; SQLite is opened with mode=ro instead."""


def is_url(text: str) -> bool:
    """Whether an input is the URL of a database rather than a file."""
    return _URL.match(text) is not None and not text.lower().startswith(("http://", "https://", "ftp://", "file://"))


def shown_url(url: str) -> str:
    """What messages, labels and the manifest may show of a URL: kind, host, database and table. No user, password, query."""
    try:
        made, table, query = _parts(url)
    except (TcmstructError, ImportError):
        return url.partition("://")[0][:32] + "://…"
    host = f"{made.host}" + (f":{made.port}" if made.port else "") if made.host else ""
    name = Path(made.database or "").name if made.drivername.startswith("sqlite") else made.database or ""
    what = table or ("query" if query else "")
    return f"{made.get_backend_name()}://{host}/{name}" + (f"#{what}" if what else "")


def _parts(url: str) -> tuple[Any, str | None, str | None]:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        made = make_url(url)
    except (ArgumentError, ValueError):
        raise InputRefused("is no database URL", where=url.partition("://")[0][:32], code="database_invalid",
                           hint="for example postgresql://user@host/his?tcm_table=门诊病历") from None
    table, query = (made.query.get(key) for key in (TABLE_KEY, QUERY_KEY))
    if not isinstance(table, str | None) or not isinstance(query, str | None):
        raise InputRefused("names more than one table", where=made.get_backend_name(), code="database_invalid", hint="name one")
    return made.difference_update_query((TABLE_KEY, QUERY_KEY)), table, query


def check_select(query: str, where: str = "") -> str:
    """One SELECT that only reads, as it may be sent.

    A guard beside the rights of the user and the read-only session, not instead of them.

    Raises:
        InputRefused: anything else (`database_not_a_select`); the statement is not shown.
    """
    statement = query.strip().rstrip(";").rstrip()
    bare = _LITERAL.sub("''", statement)
    found = _FORBIDDEN.search(bare)
    reason = ("it does not begin with SELECT or WITH" if not _SELECT.match(bare)
              else "it holds more than one statement" if ";" in bare
              else "it holds a comment" if _COMMENT.search(bare)
              else "a quote is not closed" if re.search("['\"`]", bare.replace("''", ""))
              else f"it holds {found[1].upper()}" if found else "")
    if reason:
        raise InputRefused(f"is refused, since only one SELECT is sent: {reason}", where=where, code="database_not_a_select",
                           hint="name a table or a view, or let the database's administrator make a view")
    return statement


def open_tables(given: Given, facts: FileFacts, *, table: str | None = None, query: str | None = None) -> Iterator[Table]:
    """The rows of one table, view or SELECT, its column names as the first row; see `source.TableReader`.

    Args:
        given: with `url`.
        facts: of the input.
        table: a table or view, "schema.name" where it lies in another schema; overrules the URL.
        query: one SELECT; overrules the URL.

    Raises:
        InputRefused: no such table (`database_table_missing`), not one SELECT (`database_not_a_select`), no connection
            (`database_failed`). Neither user nor password nor the driver's message is shown: it may hold them.
        MissingExtra: SQLAlchemy or the database's driver is not installed.
    """
    assert given.url is not None
    try:
        from sqlalchemy import exc
    except ImportError:
        raise MissingExtra("reading a database", "db") from None
    made, named, asked = _parts(given.url)
    if table or query:
        named, asked = table, query
    where = given.label
    if bool(named) == bool(asked):
        raise InputRefused("names neither a table nor a query" if not named else "names a table and a query", where=where,
                           code="database_invalid", hint=f"add ?{TABLE_KEY}=NAME (or &{TABLE_KEY}=NAME) to the URL")
    if asked:
        check_select(asked, where)
    try:
        with _connected(made, where) as connection:
            streamed = connection.execution_options(stream_results=True, max_row_buffer=_FETCH)
            if named:
                result = streamed.execute(_select(connection, named, where))
            else:  # as it is: a colon or a percent sign in it is no parameter
                result = streamed.execution_options(no_parameters=True).exec_driver_sql(check_select(str(asked), where))
            yield Table(_rows(result, exc, facts))
    except (exc.SQLAlchemyError, UnicodeDecodeError) as error:  # names of a damaged SQLite file are no UTF-8
        raise _failed(where, error) from None


def _failed(where: str, error: Exception) -> InputRefused:
    return InputRefused(f"the database could not be read ({type(error).__name__})", where=where, code="database_failed",
                        hint="check host, port, user, password and rights with the database's own client")


@contextmanager
def _connected(made: Any, where: str) -> Iterator[Any]:
    from sqlalchemy import create_engine, exc, text
    from sqlalchemy.pool import NullPool

    backend = made.get_backend_name()
    options: dict[str, Any] = {}
    if backend == "sqlite":
        path = Path(made.database or "")
        if not made.database or not path.is_file():
            raise InputRefused("no such database file", where=where, code="database_failed", hint="check the path")
        made = made.set(database=f"{path.resolve().as_uri()}", query={"mode": "ro", "uri": "true"})
    try:
        engine = create_engine(made, poolclass=NullPool, echo=False, hide_parameters=True, **options)
    except ModuleNotFoundError as error:
        raise InputRefused(f"the driver of this database is not installed ({error.name})", where=where, code="database_driver",
                           hint=f"pip install {error.name}") from None
    except (exc.ArgumentError, exc.NoSuchModuleError, TypeError, ValueError) as error:
        raise _failed(where, error) from None
    try:
        with engine.connect() as connection:
            if backend in _READ_ONLY:
                connection.execute(text(_READ_ONLY[backend]))
            elif backend == "sqlite":
                connection.execute(text("PRAGMA query_only = ON"))
            try:
                yield connection
            finally:
                connection.rollback()
    finally:
        engine.dispose()


def _select(connection: Any, name: str, where: str) -> Any:
    """SELECT * of a name that the database lists itself: it is compared, and quoted by the dialect, never pasted."""
    from sqlalchemy import column, inspect, select
    from sqlalchemy import table as table_of

    inspector = inspect(connection)

    def listed(schema: str | None) -> set[str]:
        return {*inspector.get_table_names(schema=schema), *inspector.get_view_names(schema=schema)}

    schema, bare = None, name
    if name not in listed(None):
        schema, _, bare = name.rpartition(".")
        if not schema or schema not in inspector.get_schema_names() or bare not in listed(schema):
            raise InputRefused("the database lists no such table or view", where=where, code="database_table_missing",
                               hint="copy its name as it stands in the database, with its schema: his.v_outpatient")
    names = [found["name"] for found in inspector.get_columns(bare, schema=schema)]
    return select(*(column(each) for each in names)).select_from(table_of(bare, schema=schema))


def _rows(result: Any, exc: Any, facts: FileFacts) -> Iterator[tuple[int, tuple[Any, ...] | Fault]]:
    """The names as row 1, then the rows. A connection that breaks ends them with a fault."""
    yield 1, tuple(result.keys())
    number = 1
    try:
        for number, row in enumerate(result, 2):
            yield number, tuple(map(_cell, row))
    except (exc.SQLAlchemyError, UnicodeDecodeError) as error:
        facts.note("cut_short")
        yield number + 1, Fault("cut_short", type(error).__name__)


def _cell(value: Any) -> Any:
    """Numbers of exact kind as numbers or text, bytes (a CLOB in some drivers) as text where they are."""
    match value:
        case None | str() | int() | float():
            return value
        case bytes() | bytearray() | memoryview():
            try:
                return bytes(value).decode("utf-8")
            except UnicodeDecodeError:
                return bytes(value).decode("gb18030", "tcmstruct.mark")
        case _:
            if type(value).__module__ == "decimal":
                return int(value) if value == value.to_integral_value() else str(value)
            return value if type(value).__module__ == "datetime" else str(value)

"""What reviewers decided: rows that are added and never changed, in SQLite or any database that SQLAlchemy reaches.

An undo is a row too. What holds now follows from the rows of a record (`standing`), so every step stays on the record:
who, when, what it was before, and with which model and schema the value was made.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import DDL, Column, Integer, MetaData, String, Table, Text, create_engine, event, func, insert, select
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from tcmstruct.errors import InputRefused, UsageError

ACTIONS = ("accept", "reject", "edit", "add", "done", "undo")
"""accept: it is right · reject: it is not so (a field is then 未提及) · edit: it is something else · add: it was missed ·
done: the record as a whole is right now · undo: an earlier row does not count."""
TARGETS = ("field", "mention", "record")
MAX_WHO = 100

_meta = MetaData()
CORRECTIONS = Table(
    "corrections", _meta,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("record_id", String(500), nullable=False, index=True),
    Column("text_sha256", String(64), nullable=False),
    Column("target", String(10), nullable=False),
    Column("name", String(200), nullable=False),
    Column("action", String(10), nullable=False),
    Column("old", Text, nullable=False),
    Column("new", Text, nullable=False),
    Column("undoes", Integer, nullable=True),
    Column("who", String(MAX_WHO), nullable=False, index=True),
    Column("at", String(32), nullable=False),
    Column("model", String(64), nullable=False),
    Column("schema", String(64), nullable=False),
    sqlite_autoincrement=True,  # no number is ever given twice
)
for _verb in ("UPDATE", "DELETE"):
    event.listen(CORRECTIONS, "after_create", DDL(
        f"CREATE TRIGGER corrections_no_{_verb.lower()} BEFORE {_verb} ON corrections "
        "BEGIN SELECT RAISE(ABORT, 'corrections are only ever added'); END").execute_if(dialect="sqlite"))


@dataclass(frozen=True, slots=True)
class Correction:
    """One decision.

    Attributes:
        record_id, text_sha256: the record, and the text that the decision was made on.
        target, name: "field" and its name; "mention" and "start:end:type"; "record" and "".
        action: of `ACTIONS`.
        old, new: {"value", "start", "end", "unit"} of a field, {"type", "status", "start", "end"} of a mention; None where
            there is or was none.
        undoes: number of the row that an undo takes back.
        who, at: reviewer, and UTC in ISO 8601.
        model, schema: fingerprints of what made the old value.
        id: number of the row; 0 before it is stored.
    """

    record_id: str
    text_sha256: str
    target: str
    name: str
    action: str
    old: dict[str, Any] | None = None
    new: dict[str, Any] | None = None
    undoes: int | None = None
    who: str = ""
    at: str = ""
    model: str = ""
    schema: str = ""
    id: int = 0


@dataclass(slots=True)
class Standing:
    """What holds for a record.

    Attributes:
        decisions: (target, name) → the last row that is not undone.
        done: the record was signed off, and nothing was decided after that.
        last: number of the last row, 0 where there is none.
    """

    decisions: dict[tuple[str, str], Correction] = field(default_factory=dict)
    done: Correction | None = None
    last: int = 0


def standing(rows: Iterable[Correction]) -> Standing:
    """What follows from a record's rows, in their order."""
    rows = list(rows)
    undone = {row.undoes for row in rows if row.action == "undo"}
    found = Standing(last=rows[-1].id if rows else 0)
    for row in rows:
        if row.action == "undo" or row.id in undone:
            continue
        if row.target == "record":
            found.done = row
        else:
            found.decisions[row.target, row.name] = row
            found.done = None
    return found


class Store:
    """Corrections of one database.

    Args:
        url: of SQLAlchemy; the table is made where it is not there. A SQLite file is made 0600.

    Raises:
        UsageError: the URL is none, or its driver is not installed.
        InputRefused: the database cannot be used.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
            if parsed.get_backend_name() == "sqlite":
                _make_private(parsed.database)
            self.engine: Engine = create_engine(parsed, pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError, ImportError):
            raise UsageError("is no SQLAlchemy URL, or its driver is not installed", where="--store", code="store_url",
                             hint="for example sqlite:///review.db, postgresql+psycopg://user@host/name") from None
        if parsed.get_backend_name() == "sqlite":
            event.listen(self.engine, "connect", _sqlite_settings)
        self.name = parsed.render_as_string(hide_password=True).rsplit("/", 1)[-1]
        with self._told():
            _meta.create_all(self.engine)

    def add(self, given: Correction) -> Correction:
        """Stores a decision with its time; the row as it stands in the database."""
        row = {f.name: getattr(given, f.name) for f in fields(given) if f.name != "id"}
        row |= {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "old": _dump(given.old), "new": _dump(given.new),
                "who": given.who[:MAX_WHO]}
        with self._told(), self.engine.begin() as connection:
            number = connection.execute(insert(CORRECTIONS).values(row)).inserted_primary_key[0]  # type: ignore[index]
        return _read({**row, "id": number})

    def of(self, record_id: str, text_sha256: str) -> list[Correction]:
        """The rows of a record in their order; those on another text of that id are left out."""
        table = CORRECTIONS.c
        query = select(CORRECTIONS).where(table.record_id == record_id, table.text_sha256 == text_sha256)
        return list(self._rows(query.order_by(table.id)))

    def last_of(self, who: str, record_ids: Sequence[str] = ()) -> Correction | None:
        """The last row of a reviewer that an undo could take back."""
        table = CORRECTIONS.c
        undone = select(table.undoes).where(table.action == "undo")
        query = select(CORRECTIONS).where(table.who == who[:MAX_WHO], table.action != "undo", table.id.not_in(undone))
        if record_ids:
            query = query.where(table.record_id.in_(record_ids))
        return next(iter(self._rows(query.order_by(table.id.desc()).limit(1))), None)

    def touched(self) -> Iterator[tuple[str, str]]:
        """(record id, text's sha256) of every record that has rows."""
        table = CORRECTIONS.c
        with self._told(), self.engine.connect() as connection:
            for row in connection.execution_options(yield_per=1000).execute(select(table.record_id, table.text_sha256).distinct()):
                yield row[0], row[1]

    def last(self) -> int:
        with self._told(), self.engine.connect() as connection:
            return connection.execute(select(func.max(CORRECTIONS.c.id))).scalar() or 0

    def since(self, number: int) -> list[tuple[str, str]]:
        """As `touched`, of rows after `number`: what another server on the same store has added."""
        table = CORRECTIONS.c
        with self._told(), self.engine.connect() as connection:
            rows = connection.execute(select(table.record_id, table.text_sha256).where(table.id > number).distinct())
            return [(row[0], row[1]) for row in rows]

    def close(self) -> None:
        self.engine.dispose()

    def _rows(self, query: Any) -> Iterator[Correction]:
        with self._told(), self.engine.connect() as connection:
            for row in connection.execute(query).mappings():
                yield _read(dict(row))

    def _told(self) -> _Told:
        return _Told(self.name)


class _Told:
    """Turns a database's own errors, which repeat values, into one that does not."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, SQLAlchemyError):
            raise InputRefused(f"the store of corrections cannot be used: {type(error).__name__}", where=self._name, code="store_unusable",
                               hint="see that it can be written and is not in use by another program") from None


def default_url(out: Path) -> str:
    """A SQLite file beside the folder: `convert --fresh` replaces the folder, never what people decided."""
    out = out.resolve()
    return f"sqlite:///{out.parent / (out.name + '.review.db')}"


def _make_private(path: str | None) -> None:
    if not path or path == ":memory:":
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise InputRefused(f"cannot be made: {error.strerror}", where=Path(path).name, code="store_unusable",
                           hint="name another place with --store") from None


def _sqlite_settings(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode=WAL")  # readers and the writer do not wait for each other
    connection.execute("PRAGMA synchronous=FULL")  # a decision that was confirmed outlives a power cut
    connection.execute("PRAGMA busy_timeout=10000")


def _dump(value: dict[str, Any] | None) -> str:
    return orjson.dumps(value).decode()


def _read(row: dict[str, Any]) -> Correction:
    return Correction(**{**row, "old": orjson.loads(row["old"]), "new": orjson.loads(row["new"])})

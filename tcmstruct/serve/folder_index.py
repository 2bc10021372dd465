"""Where each record of a large `records.jsonl` stands, and the few facts by which a reviewer finds it.

One pass over the file keeps some 40 bytes for a record; texts stay on the disk. While the pass runs, what it has read so
far can be searched already.
"""

from __future__ import annotations

import hashlib
import mmap
import threading
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from tcmstruct.errors import InputRefused
from tcmstruct.report.tally import conflicts, values_of

STATES = ("all", "flagged", "open", "touched", "done", "warned", "conflict")
"""flagged: values below the review threshold that nobody has decided · open: not signed off · touched: decided in part ·
done: signed off · warned, conflict: as the result says."""
ORDERS = ("file", "low")
PUBLISH_EVERY = 20_000
MAX_PAGE = 200
SEARCH_SLICE_BYTES = 4 * 2**20
"""Searched at once; between slices other requests get their turn."""

_WARNED, _CONFLICT = 1, 2
_STATUS_BITS = {"有": 4, "无": 8, "既往": 16, "不确定": 32}
OPEN, TOUCHED, DONE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Query:
    """What a reviewer looks for; empty parts ask for nothing.

    Attributes:
        words: each has to stand in the id, department, text, a field's name or a value; case does not count.
        status: records with a mention of this status.
        field: records with a value of this field.
        value: with this value of `field`.
    """

    words: str = ""
    dept: str = ""
    field: str = ""
    value: str = ""
    status: str = ""
    state: str = "all"
    order: str = "file"


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of an answer, in its order.

    Attributes:
        rows: numbers of records, from 0.
        first: place of the first of them among all that match, from 0.
        total: how many match.
    """

    rows: list[int]
    first: int
    total: int


@dataclass(slots=True)
class _Columns:
    """Facts of records, in file order."""

    offset: np.ndarray
    length: np.ndarray
    key: np.ndarray
    lowest: np.ndarray
    flagged: np.ndarray
    dept: np.ndarray
    bits: np.ndarray
    fields: np.ndarray

    @classmethod
    def joined(cls, parts: Sequence[_Columns], width: int) -> _Columns:
        wide = [np.pad(p.fields, ((0, 0), (0, width - p.fields.shape[1]))) for p in parts]
        return cls(*(np.concatenate([getattr(p, name) for p in parts]) for name in cls.__slots__[:-1]), np.concatenate(wide))


@dataclass(slots=True)
class FolderIndex:
    """Finds and reads the records of one file.

    Attributes:
        depts, fields: names with the number of records each.
        ready: whether the whole file was read.
        fault: why reading ended early, or None.
    """

    path: Path
    depts: dict[str, int] = field(default_factory=dict)
    fields: dict[str, int] = field(default_factory=dict)
    ready: bool = False
    fault: str | None = None
    share: float = 0.0
    state: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    decided: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint16))
    _columns: _Columns | None = None
    _by_low: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    _by_key: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _search: Any = None

    def __len__(self) -> int:
        return 0 if self._columns is None else len(self._columns.offset)

    @property
    def flagged(self) -> int:
        """Values below the review threshold."""
        return 0 if self._columns is None else int(self._columns.flagged.sum())

    def build(self, published: Callable[[int, int], None] = lambda first, end: None, stop: threading.Event | None = None) -> None:
        """Reads the file; `published(first, end)` is called whenever more rows can be found."""
        parts: list[_Columns] = []
        self._search = lru_cache(maxsize=16)(self._found)
        try:
            for part in self._parts(stop):
                parts.append(part)
                before = len(self)
                columns = _Columns.joined(parts, (len(self.fields) + 7) // 8)
                parts = [columns]
                with self._lock:
                    self._columns = columns
                    self._by_low = np.lexsort((np.arange(len(columns.offset)), columns.lowest))
                    self._by_key = np.argsort(columns.key, kind="stable")
                    self.state = np.concatenate([self.state, np.zeros(len(columns.offset) - before, np.uint8)])
                    self.decided = np.concatenate([self.decided, np.zeros(len(columns.offset) - before, np.uint16)])
                published(before, len(self))
        except (OSError, InputRefused) as error:
            self.fault = str(error) if isinstance(error, InputRefused) else f"cannot be read: {error.strerror}"
        self.ready = True

    def read(self, row: int) -> dict[str, Any]:
        """One record as it stands in the file.

        Raises:
            InputRefused: the file was changed under the server.
        """
        columns = self._columns
        if columns is None or not 0 <= row < len(columns.offset):
            raise IndexError(row)
        with self.path.open("rb") as file:
            file.seek(int(columns.offset[row]))
            line = file.read(int(columns.length[row]))
        data = _parsed(line)
        if data is None or _key(data.get("id")) != columns.key[row]:
            raise InputRefused("the file was changed since the server started", where=self.path.name, code="records_changed",
                               hint="start the server again")
        return data

    def row_of(self, id: str) -> int | None:
        """The row of an id, or None."""
        with self._lock:
            columns, by_key = self._columns, self._by_key
        if columns is None:
            return None
        key = _key(id)
        at = int(np.searchsorted(columns.key, key, sorter=by_key))
        while at < len(by_key) and columns.key[by_key[at]] == key:
            if self.read(int(by_key[at])).get("id") == id:
                return int(by_key[at])
            at += 1
        return None

    def page(self, query: Query, *, cursor: int | None = None, back: bool = False, limit: int = 50) -> Page:
        """The rows after `cursor` (before it, with `back`) in the query's order; the cursor's own row need not match any more."""
        rows = self._matching(query)
        if cursor is None:
            first = max(0, len(rows) - limit) if back else 0
        else:
            after = self._place(rows, query, cursor, after=not back)
            first = max(0, after - limit) if back else after
            limit = min(limit, after) if back else limit
        return Page([int(row) for row in rows[first:first + limit]], first, len(rows))

    def _place(self, rows: np.ndarray, query: Query, cursor: int, after: bool) -> int:
        """How many of `rows` come before the cursor's row, that row with them if `after`."""
        if query.order == "low" and self._columns is not None:
            low = self._columns.lowest
            same = low[rows] == low[cursor]
            before = (low[rows] < low[cursor]) | (same & ((rows <= cursor) if after else (rows < cursor)))
            return int(before.sum())
        return int(np.searchsorted(rows, cursor, side="right" if after else "left"))

    def _matching(self, query: Query) -> np.ndarray:
        with self._lock:
            columns, by_low, state, decided = self._columns, self._by_low, self.state, self.decided
        if columns is None:
            return np.zeros(0, np.int64)
        mask = np.ones(len(columns.offset), bool)
        if query.dept:
            mask &= columns.dept == list(self.depts).index(query.dept) if query.dept in self.depts else False
        if query.field:
            number = list(self.fields).index(query.field) if query.field in self.fields else -1
            here = 0 <= number < 8 * columns.fields.shape[1]
            mask &= (columns.fields[:, number // 8] >> (number % 8) & 1).astype(bool) if here else False
        if query.status:
            mask &= (columns.bits & _STATUS_BITS.get(query.status, 0)).astype(bool)
        match query.state:
            case "flagged":
                mask &= columns.flagged > decided
            case "open":
                mask &= state != DONE
            case "touched":
                mask &= state == TOUCHED
            case "done":
                mask &= state == DONE
            case "warned":
                mask &= (columns.bits & _WARNED).astype(bool)
            case "conflict":
                mask &= (columns.bits & _CONFLICT).astype(bool)
        if query.words.strip() or (query.field and query.value):
            mask &= self._search(query.words.strip().lower(), query.field, query.value, len(mask))
        return by_low[mask[by_low]] if query.order == "low" else np.flatnonzero(mask)

    def _found(self, words: str, name: str, value: str, rows: int) -> np.ndarray:
        """Mask of the first `rows` rows in which all words stand; kept for the next page of the same search."""
        columns = self._columns
        assert columns is not None
        found = np.zeros(rows, bool)
        parts = words.split()
        needle = max([*parts, value.lower()], key=len)
        if not rows:
            return found
        with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            for row in self._candidates(data, needle, columns, rows):
                start = int(columns.offset[row])
                record = _parsed(data[start:start + int(columns.length[row])]) or {}
                found[row] = (not (name and value) or value in values_of(((record.get("fields") or {}).get(name) or {}).get("value"))) and \
                    _holds(record, parts)
        return found

    def _candidates(self, data: mmap.mmap, needle: str, columns: _Columns, rows: int) -> Iterator[int]:
        """Rows whose bytes hold the needle; what they hold it as is not known yet."""
        wanted = orjson.dumps(needle)[1:-1]
        fold = wanted.lower() != wanted.upper()
        offsets = columns.offset[:rows]
        at, end = int(offsets[0]), int(offsets[-1] + columns.length[rows - 1])
        while at < end:
            until = min(end, at + SEARCH_SLICE_BYTES)
            part = data[at:min(end, until + len(wanted))]
            part, start = part.lower() if fold else part, 0
            while 0 <= (hit := part.find(wanted, start)) < until - at:
                row = int(np.searchsorted(offsets, at + hit, side="right")) - 1
                yield row
                start = int(offsets[row] + columns.length[row]) - at
            at = max(until, at + start)

    def _parts(self, stop: threading.Event | None) -> Iterator[_Columns]:
        size = max(1, self.path.stat().st_size)
        rows = _Rows()
        at = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if stop is not None and stop.is_set():
                    return
                start, at = at, at + len(line)
                if not line.strip():
                    continue
                data = _parsed(line)
                if data is None or not isinstance(data.get("id"), str):
                    raise InputRefused("not a record of convert", where=f"{self.path.name}:{number}", code="not_a_record",
                                       hint="run `tcmstruct convert` again")
                rows.add(data, start, len(line), self.depts, self.fields)
                if len(rows.offset) == PUBLISH_EVERY or (at > 2**20 and len(self) == 0):
                    self.share = at / size
                    yield rows.columns(len(self.fields))
                    rows = _Rows()
        self.share = 1.0
        if rows.offset or len(self) == 0:
            yield rows.columns(len(self.fields))


@dataclass(slots=True)
class _Rows:
    """Columns while they grow."""

    offset: array = field(default_factory=lambda: array("q"))
    length: array = field(default_factory=lambda: array("q"))
    key: array = field(default_factory=lambda: array("Q"))
    lowest: array = field(default_factory=lambda: array("f"))
    flagged: array = field(default_factory=lambda: array("H"))
    dept: array = field(default_factory=lambda: array("i"))
    bits: array = field(default_factory=lambda: array("B"))
    fields: list[list[int]] = field(default_factory=list)

    def add(self, data: dict[str, Any], offset: int, length: int, depts: dict[str, int], names: dict[str, int]) -> None:
        values = data.get("fields") or {}
        sure = [v.get("confidence", 1.0) for v in values.values()]
        statuses = {e.get("status") for e in data.get("entities") or ()}
        dept = str(data.get("dept") or "")
        depts[dept] = depts.get(dept, 0) + 1
        for name in values:
            names[name] = names.get(name, 0) + 1
        numbers = {name: number for number, name in enumerate(names)} if len(values) > 3 else None
        self.offset.append(offset)
        self.length.append(length)
        self.key.append(_key(data["id"]))
        self.lowest.append(min(sure, default=1.0))
        self.flagged.append(min(65535, sum(bool(v.get("review")) for v in values.values())))
        self.dept.append(list(depts).index(dept))
        self.bits.append((_WARNED if data.get("warnings") else 0) | (_CONFLICT if conflicts(data) else 0)
                         | sum(bit for status, bit in _STATUS_BITS.items() if status in statuses))
        self.fields.append([numbers[name] if numbers else list(names).index(name) for name in values])

    def columns(self, n_fields: int) -> _Columns:
        packed = np.zeros((len(self.offset), (n_fields + 7) // 8), np.uint8)
        for row, numbers in enumerate(self.fields):
            for number in numbers:
                packed[row, number // 8] |= 1 << number % 8
        return _Columns(*(np.array(getattr(self, name), dtype) for name, dtype in (
            ("offset", np.int64), ("length", np.int64), ("key", np.uint64), ("lowest", np.float32), ("flagged", np.uint16),
            ("dept", np.int32), ("bits", np.uint8))), packed)


def _holds(data: dict[str, Any], words: Sequence[str]) -> bool:
    """Whether all words stand in what a search looks through."""
    fields = data.get("fields") or {}
    parts = [str(data.get("id", "")), str(data.get("dept") or ""), str(data.get("text") or ""), *fields]
    parts += [one for value in fields.values() for one in values_of(value.get("value"))]
    text = "\n".join(parts).lower()
    return all(word in text for word in words)


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return data if isinstance(data, dict) else None


def _key(id: object) -> int:
    """64 bits of an id; two ids that share them are told apart by reading."""
    return int.from_bytes(hashlib.blake2b(str(id).encode("utf-8", "surrogatepass"), digest_size=8).digest())

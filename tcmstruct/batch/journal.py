"""The journal: what of a batch is done and safe on the disk, so that a run that was cut off goes on where it stopped.

Results are kept in shards, in input order. A shard is two files, records and rejects, and a marker that names their sizes and
sha256; the marker gets its name last, by one atomic rename, when all three are on the disk. So results and rejects of a shard are
there together or not at all, whatever ends the run: the power, a `kill -9`, a full disk.

    run.json              what the run is of (`identity`); another input, mapping or schema is refused
    running               there while a process is at work: found without its lock, that process was killed
    shard-000000.records  lines of records.jsonl
    shard-000000.rejects  lines of rejects.jsonl
    shard-000000.json     the marker
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tcmstruct.batch.chunks import ChunkResult, dump_line
from tcmstruct.batch.counts import Counts
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import UsageError
from tcmstruct.record import Record

SHARD_S = 10.0
"""A shard is closed when it has been open so long: what a power cut can cost."""
SHARD_BYTES = 64 * 1024**2

_PARTS = ("records", "rejects")


@dataclass(frozen=True, slots=True)
class Shard:
    """A marker: a shard that is safe.

    Attributes:
        items: rows of the input, records and the reader's rejects.
        digest: of these rows (`RowDigest`).
        files: part ("records", "rejects") → {"bytes", "sha256"}.
        counts: over the shard.
        told: what the structurer said about itself (`engine.Described`) as JSON.
    """

    items: int
    digest: str
    files: Mapping[str, Mapping[str, Any]]
    counts: Counts
    told: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"items": self.items, "digest": self.digest, "files": self.files, "counts": self.counts.to_dict(), "told": self.told}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Shard:
        return cls(value["items"], value["digest"], value["files"], Counts.from_dict(value["counts"]), value["told"])


class RowDigest:
    """Fingerprint of rows as the reader gave them: tells whether an input still says what it said (BLAKE2b)."""

    def __init__(self) -> None:
        self._hash, self.items = hashlib.blake2b(digest_size=16), 0

    def add(self, item: Record | Reject) -> None:
        known = (item.id, item.text, item.dept, item.image, item.extra) if isinstance(item, Record) else (item.id, item.code)
        self._hash.update(repr((known, item.where)).encode("utf-8", "backslashreplace"))
        self.items += 1

    @property
    def value(self) -> str:
        return self._hash.hexdigest()


class Journal:
    """The shards of one run in a folder of their own; `folder.open_folder` sees to it that one process has it."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        """Opens the folder, or begins it (0700).

        Args:
            path: of the folder.
            identity: what the results depend on, for a person to read: input → fingerprint, option → value.

        Raises:
            UsageError: the folder is of a run with another identity; nothing in it is touched then.
        """
        self.path = path
        self.shards: list[Shard] = []
        self.damaged = False
        """A shard was found that is not what its marker says; it and what follows are done again."""
        identity = orjson.loads(orjson.dumps(identity))
        if (path / "run.json").exists():
            _compare(identity, orjson.loads((path / "run.json").read_bytes()), path.parent.name)
        else:  # a folder without it was cut off in its first moment
            shutil.rmtree(path, ignore_errors=True)
            path.mkdir(mode=0o700)
            self._put("run.json", identity)
        self.was_killed = (path / "running").exists()
        """The process before this one ended without a word: it may have met a record that kills it."""
        self._put("running", os.getpid())
        self._load()
        self._shard = _OpenShard(path, len(self.shards))

    @property
    def items(self) -> int:
        """Rows of the input that are done."""
        return sum(shard.items for shard in self.shards)

    def add(self, rows: Sequence[Record | Reject], result: ChunkResult, told: Mapping[str, Any]) -> None:
        """Takes the rows of a chunk and what became of them; the shard is committed when it is old or large enough."""
        self._shard.add(rows, result)
        if self._shard.due:
            self.commit(told)

    def commit(self, told: Mapping[str, Any]) -> None:
        """Makes safe what has been taken."""
        if not self._shard.items:
            return
        shard = self._shard.close(told)
        self._put(f"{_name(len(self.shards))}.json", shard.to_dict())
        self.shards.append(shard)
        self._shard = _OpenShard(self.path, len(self.shards))

    def assemble(self, part: str, target: BinaryIO) -> None:
        """Writes "records" or "rejects" of all shards, in order."""
        for number in range(len(self.shards)):
            with (self.path / f"{_name(number)}.{part}").open("rb") as source:
                shutil.copyfileobj(source, target, 1 << 20)

    def close(self) -> None:
        """Lets go in good order: the next process need not think of a killer among the records."""
        self._shard.discard()
        (self.path / "running").unlink(missing_ok=True)

    def _load(self) -> None:
        """Reads the markers that stand in a row and forgets the rest; checks each shard against its marker."""
        while (marker := self.path / f"{_name(len(self.shards))}.json").exists():
            shard = Shard.from_dict(orjson.loads(marker.read_bytes()))
            if any(_fingerprint(self.path / f"{_name(len(self.shards))}.{part}") != shard.files[part] for part in _PARTS):
                self.damaged = True
                break
            self.shards.append(shard)
        known = {f"{_name(n)}{end}" for n in range(len(self.shards)) for end in (".json", *(f".{part}" for part in _PARTS))}
        for file in self.path.glob("shard-*"):
            if file.name not in known:
                file.unlink()

    def _put(self, name: str, value: object) -> None:
        """A small file, complete or not there at all."""
        part = self.path / f"{name}.part"
        with _create(part) as file:
            file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
            sync(file)
        os.replace(part, self.path / name)
        sync_folder(self.path)


class _OpenShard:
    """The shard that is being written; its files are those of a committed one, without a marker."""

    def __init__(self, folder: Path, number: int) -> None:
        self._paths = {part: folder / f"{_name(number)}.{part}" for part in _PARTS}
        self._files: dict[str, BinaryIO] = {}
        self._hashes = {part: hashlib.sha256() for part in _PARTS}
        self._bytes = dict.fromkeys(_PARTS, 0)
        self._rows, self._counts, self._began = RowDigest(), Counts(), time.monotonic()

    @property
    def items(self) -> int:
        return self._rows.items

    @property
    def due(self) -> bool:
        return time.monotonic() - self._began >= SHARD_S or sum(self._bytes.values()) >= SHARD_BYTES

    def add(self, rows: Sequence[Record | Reject], result: ChunkResult) -> None:
        if not self._files:
            self._files = {part: _create(path) for part, path in self._paths.items()}
        self._write("records", result.lines)
        self._write("rejects", b"".join(dump_line(reject.to_dict()) for reject in result.rejects))
        self._counts.add(result.counts)
        for item in rows:
            self._rows.add(item)

    def _write(self, part: str, data: bytes) -> None:
        self._files[part].write(data)
        self._hashes[part].update(data)
        self._bytes[part] += len(data)

    def close(self, told: Mapping[str, Any]) -> Shard:
        for file in self._files.values():
            sync(file)
            file.close()
        files = {part: {"bytes": self._bytes[part], "sha256": self._hashes[part].hexdigest()} for part in _PARTS}
        return Shard(self._rows.items, self._rows.value, files, self._counts, told)

    def discard(self) -> None:
        for part, file in self._files.items():
            with suppress(OSError):  # what could not be written before cannot be now
                file.close()
            self._paths[part].unlink(missing_ok=True)


def check_rows(shard: Shard, items: Iterator[Record | Reject], where: str) -> None:
    """Reads over the rows of a shard that is done.

    Raises:
        UsageError: the input does not hold the rows any more that the shard was made of.
    """
    rows = RowDigest()
    for item in items:
        rows.add(item)
        if rows.items == shard.items:
            break
    if rows.items != shard.items or rows.value != shard.digest:
        raise UsageError("the input is not the one that the unfinished result was made of", where=where, code="run_changed",
                         hint="restore the input, or begin anew with --fresh")


def _compare(identity: Mapping[str, Any], before: Mapping[str, Any], where: str) -> None:
    changed = [name for name in dict.fromkeys((*before, *identity)) if before.get(name) != identity.get(name)]
    if changed:
        raise UsageError(f"holds an unfinished run with another {', '.join(changed)}", where=where, code="run_changed",
                         hint="finish it with the same command as before, or begin anew with --fresh")


def _name(number: int) -> str:
    return f"shard-{number:06}"


def _create(path: Path) -> BinaryIO:
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb", buffering=1 << 18)


def _fingerprint(path: Path) -> dict[str, Any] | None:
    try:
        with path.open("rb") as file:
            return {"bytes": os.fstat(file.fileno()).st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
    except FileNotFoundError:
        return None


def sync(file: BinaryIO) -> None:
    """Puts what was written to a file on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Puts the names in a folder on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

"""The batch: records in, an output folder out, in a bounded window. What is done is safe (`journal`): a run that is cut off goes on.

    in = ok + warned + rejected

holds for every run: nothing that came in is silently lost.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

import orjson

import tcmstruct
from tcmstruct.batch.chunks import ChunkResult, StructureMany, chunked, fault_place
from tcmstruct.batch.counts import MAX_EXTRA_COLUMNS, Counts
from tcmstruct.batch.engine import Chunk, Described, Done, Engine, Factory, run_here
from tcmstruct.batch.folder import OutFolder, open_folder
from tcmstruct.batch.ids import IdLedger
from tcmstruct.batch.journal import Journal, check_rows
from tcmstruct.batch.processes import run_in_processes
from tcmstruct.batch.progress import Progress
from tcmstruct.batch.stopping import Stopped, StopRequest
from tcmstruct.batch.tables import FILES, TABLES, Columns
from tcmstruct.emr.rows import Reject, reject
from tcmstruct.errors import UsageError
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.memory import peak_resident_bytes

FORMATS: tuple[str, ...] = ("jsonl", *TABLES)
"""Result formats; records.jsonl is always written, since the others are made of it."""

WINDOW = 256
FIRST_WINDOW = 32
WORKER_CHUNK = 128
SMALL_BATCH = 64
"""Up to this many rows a batch stays in one process: starting others would cost more than it gains."""

RUN_NOTES: dict[str, str] = {
    "extra_columns_capped": f"tables hold the first {MAX_EXTRA_COLUMNS} extra columns; records.jsonl holds all",
    "xlsx_rows_capped": "a sheet of the workbook is full; records.jsonl holds all",
    "report_failed": "report.html could not be made",
    "shard_damaged": "a part of the unfinished result was damaged on the disk and was made again",
}
"""Notes about a whole run, for people and the manifest."""


@dataclass(slots=True)
class Memory:
    """What the processes of a run tell of their memory: process → the last that it told."""

    limit_bytes: int | None
    told: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, result: ChunkResult) -> None:
        if result.memory:
            self.told[result.memory["pid"]] = result.memory

    def to_dict(self) -> dict[str, Any]:
        """What each process held at most, this one now and the workers at their last chunk, and the largest batch of any."""
        here, told = os.getpid(), list(self.told.values())
        peaks = {"main": [peak_resident_bytes()], "worker": [m["peak_bytes"] for m in told if m["pid"] != here]}
        batches = [m["largest_batch"] for m in told if "largest_batch" in m]
        return {"limit_bytes": self.limit_bytes, "peak_bytes": sum(map(sum, peaks.values())),
                "processes": [{"process": name, "peak_bytes": peak} for name, some in peaks.items() for peak in some],
                "budget": next((m["budget"] for m in told if m.get("budget")), None),
                "largest_batch": max(batches, key=lambda b: b["windows"] * b["chars"] ** 2, default=None),
                "halvings": sum(m.get("halvings", 0) for m in told)}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to.

    Attributes:
        out: the output folder.
        counts: in, ok, warned, rejected.
        rejects: reject code → how many.
        notes: keys of `RUN_NOTES`.
        photos: see `Counts.photo_counts`.
        elapsed_s, records_per_s: from the first row read to the last file moved, over the rows of this process.
        resumed: rows that an earlier process had done.
        report: report.html, or None where none was asked for or it failed.
    """

    out: Path
    counts: Mapping[str, int]
    rejects: Mapping[str, int]
    notes: tuple[str, ...]
    elapsed_s: float
    records_per_s: float
    report: Path | None
    photos: Mapping[str, Any] = field(default_factory=dict)
    resumed: int = 0

    @property
    def exit_code(self) -> int:
        """0, or 3 where rows were rejected."""
        return 3 if self.counts["rejected"] else 0


def run_batch(
    records: Iterable[Record | Reject],
    structure_many: StructureMany | None,
    out: Path,
    *,
    factory: Factory | None = None,
    engine: Engine = run_in_processes,
    workers: int = 1,
    window: int = WINDOW,
    formats: Sequence[str] = ("jsonl",),
    fresh: bool = False,
    inputs: Sequence[Path] = (),
    identity: Mapping[str, Any] | None = None,
    facts: Callable[[], list[dict[str, Any]]] = list,
    settings: Mapping[str, Any] | None = None,
    memory_limit_bytes: int | None = None,
    fraction: Callable[[], float | None] = lambda: None,
    progress: Progress | None = None,
    write_report: Callable[[Path], Path] | None = None,
) -> RunSummary:
    """Structures a stream of records into an output folder, or goes on with a run that was cut off.

    Memory is that of the window, whatever the length of the stream: with one process at most `window` rows are
    taken ahead of what is written, with several at most two chunks of 128 rows per process; fewer where texts are long.

    Args:
        records: records and the reader's rejects, in input order; the same ones in the same order where a run goes on.
        structure_many: the structurer; None where `factory` is given.
        out: folder of the result, see `folder.open_folder`.
        factory: makes the structurer; needed for more than one worker (it has to be picklable).
        engine: what structures where more than one worker is asked for.
        workers: processes; a batch of up to 64 rows stays in this one.
        window: rows that one call of the structurer gets at most.
        formats: of `FORMATS`.
        fresh: replace an earlier result, and do not go on with an unfinished one.
        inputs: input files, which the result must not replace.
        identity: what the results depend on besides the structurer; a run goes on only where it is the same.
        facts: called at the end; what the manifest says about the inputs.
        settings: what the manifest says about the call.
        memory_limit_bytes: what the manifest names as the limit of all processes; the factory's structurers keep it.
        fraction: how much of the input has been read, 0–1.
        progress: told after every chunk.
        write_report: makes report.html in a folder that holds records.jsonl, rejects.jsonl and manifest.json; if it
            fails, the run does not.

    Returns:
        The summary; its `exit_code` is 3 where rows were rejected.

    Raises:
        MissingExtra: a format needs what is not installed.
        UsageError: unknown format, a folder that cannot be used, or an unfinished run that is not of this command.
        Stopped: SIGTERM or Ctrl-C; what is done is kept.
        TcmstructError: the structurer cannot be made, workers are lost, or the disk is full. What is done is kept here too.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or workers < 1 or window < 1:
        raise UsageError(f"formats are {', '.join(FORMATS)}; workers and window are at least 1", code="option_invalid",
                         where="convert")
    if factory is None:
        if structure_many is None or workers > 1:
            raise UsageError("more than one worker needs a factory", code="option_invalid", where="run_batch")
        factory = _Given(structure_many)
    tables = [table for name, table in TABLES.items() if name in formats]
    for table in tables:
        table.load()  # what is not installed is said before hours of structuring
    progress = progress or Progress()
    started = time.monotonic()
    memory, notes = Memory(memory_limit_bytes), []

    with open_folder(out, fresh=fresh, inputs=inputs, identity=identity) as folder, progress:
        journal, items = folder.journal, _unique(iter(records))
        counts, told = _go_on(journal, items, out, progress)
        resumed, first_record_s = journal.items, None
        results, workers = _results(factory, engine, items, workers, window, journal.was_killed)
        with StopRequest(progress.say) as stop, closing(results):
            for done in results:
                told = _same(told, done.told.to_dict(), out, resumed)
                if done.chunk:
                    journal.add(done.chunk, done.result, told)
                    counts.add(done.result.counts)
                    memory.add(done.result)
                    if first_record_s is None and done.result.lines:
                        first_record_s = time.monotonic() - started
                    progress.step(counts.done, counts.rejected, fraction())
                if stop.number is not None:
                    journal.commit(told)
                    raise Stopped(journal.items, stop.number)
            journal.commit(told)
        structuring_s = time.monotonic() - started

        for part in ("records", "rejects"):
            with folder.create(f"{part}.jsonl") as file:
                journal.assemble(part, file)
        described = Described(**told) if told else Described()
        names = dict.fromkeys((*chain.from_iterable(described.packs.values()), *counts.fields))
        columns = Columns(tuple(names), tuple(counts.extra), photos=counts.photos["used"] > 0)
        for table in tables:
            progress.say(f"writing {table.files[0]}")
            notes += table.load()(folder.path("records.jsonl"), columns, folder.path(table.files[0]))
        if counts.extra_capped:
            notes.append("extra_columns_capped")
        if journal.damaged:
            notes.append("shard_damaged")

        elapsed, here = time.monotonic() - started, counts.done - resumed
        total = {"in": journal.items, "ok": counts.ok, "warned": counts.warned, "rejected": counts.rejected}
        made = [name for name in ("records.jsonl", "rejects.jsonl", *FILES) if folder.path(name).exists()]
        manifest = {
            "tool": "tcmstruct", "version": tool_version(), "counts": total,
            "rejects": dict(sorted(counts.rejects.items())), "warnings": dict(sorted(counts.warnings.items())),
            "fields": dict(described.packs), "coverage": {name: counts.fields[name] for name in columns.fields},
            "photos": counts.photo_counts(), "review": counts.review, "review_threshold": described.review_threshold,
            "model": described.model, "photo_models": dict(described.photo_models), "schema": described.schema,
            "backend": dict(described.backend), "inputs": facts(),
            "outputs": folder.fingerprint(made), "notes": notes, "memory": memory.to_dict(),
            "settings": {**(settings or {}), "formats": list(dict.fromkeys(("jsonl", *formats))), "workers": workers,
                         "window": window},
            "timing": {"elapsed_s": round(elapsed, 3), "structuring_s": round(structuring_s, 3),
                       "first_record_s": None if first_record_s is None else round(first_record_s, 3),
                       "records_per_s": round(here / elapsed, 2) if elapsed else 0.0, "resumed": resumed},
        }
        folder.write("manifest.json", _pretty(manifest))
        report = _report(folder, write_report, manifest, notes, progress)
        manifest_sha256 = folder.fingerprint(["manifest.json"])["manifest.json"]["sha256"]
        folder.write("_SUCCESS", f"{manifest_sha256}  manifest.json\n".encode())
        folder.publish()

    return RunSummary(out, total, dict(counts.rejects), tuple(notes), elapsed, here / elapsed if elapsed else 0.0,
                      out / report.name if report else None, counts.photo_counts(), resumed)


def tool_version() -> str:
    """The version of this package."""
    return tcmstruct.__version__


@dataclass(frozen=True, slots=True)
class _Given:
    """A factory that hands out what it was given, for runs in one process."""

    structure_many: Callable[[Sequence[Record]], Sequence[StructuredRecord]]

    def __call__(self) -> _Given:
        return self


def _unique(items: Iterator[Record | Reject]) -> Iterator[Record | Reject]:
    """The stream with the second and later record of an id rejected: the id is the key that tables are joined by."""
    seen = IdLedger()
    for item in items:
        if isinstance(item, Record) and not seen.add(item.id):
            yield reject("duplicate_id", item.where, id=item.id)
        else:
            yield item


def _go_on(journal: Journal, items: Iterator[Record | Reject], out: Path, progress: Progress) -> tuple[Counts, dict[str, Any]]:
    """Reads over the rows that are done; their counts, and what the structurer said of itself then ({} where none is)."""
    counts = Counts()
    if journal.shards:
        progress.say(f"going on after {journal.items:,} rows that are done")
    for shard in journal.shards:
        check_rows(shard, items, out.name)
        counts.add(shard.counts)
    return counts, dict(journal.shards[-1].told) if journal.shards else {}


def _same(before: Mapping[str, Any], now: dict[str, Any], out: Path, resumed: int) -> dict[str, Any]:
    """What the structurer says of itself now, which is what it said where a run goes on."""
    changed = [name for name in _DECIDING if before.get(name) != now[name]] if resumed else []
    if changed:
        raise UsageError(f"holds an unfinished run with another {', '.join(changed)}", where=out.name, code="run_changed",
                         hint="finish it with the model and schema as before, or begin anew with --fresh")
    return now


_DECIDING = ("model", "schema", "photo_models")
"""What `Described` tells that results depend on."""


def _results(factory: Factory, engine: Engine, items: Iterator[Record | Reject], workers: int, window: int,
             was_killed: bool) -> tuple[Iterator[Done], int]:
    """The stream of results, and the number of processes that it takes.

    Where the process before this one was killed, a record may have done it: then even a single worker is a process of its own.
    """
    if workers > 1 or was_killed:
        head: Chunk = list(islice(items, SMALL_BATCH + 1))
        items = chain(head, items)
        if len(head) > SMALL_BATCH or (was_killed and head):
            return engine(factory, chunked(items, FIRST_WINDOW, min(window, WORKER_CHUNK)), workers), workers
    return run_here(factory, chunked(items, FIRST_WINDOW, window)), 1


def _report(folder: OutFolder, write_report: Callable[[Path], Path] | None, manifest: dict[str, Any], notes: list[str],
            progress: Progress) -> Path | None:
    """report.html; a page that fails is noted, since hours of structuring must not be lost for it."""
    if write_report is None:
        return None
    progress.say("writing report.html")
    try:
        return write_report(folder.staging)
    except Exception as error:
        notes.append("report_failed")
        folder.path("report.html").unlink(missing_ok=True)
        folder.write("manifest.json", _pretty({**manifest, "notes": notes, "report_error": fault_place(error)}))
        return None


def _pretty(value: object) -> bytes:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)

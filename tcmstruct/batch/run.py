"""The batch: records in, an output folder out, in a bounded window.

    in = ok + warned + rejected

holds for every run: nothing that came in is silently lost.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson

import tcmstruct
from tcmstruct.batch.chunks import ChunkResult, StructureMany, chunked, dump_line, fault_place
from tcmstruct.batch.engine import Chunk, Described, Factory, run_here, run_in_workers
from tcmstruct.batch.folder import OutFolder, open_folder
from tcmstruct.batch.ids import IdLedger
from tcmstruct.batch.progress import Progress
from tcmstruct.batch.tables import MAX_EXTRA_COLUMNS, Columns, read_lines, write_csv, write_xlsx
from tcmstruct.emr.rows import Reject, reject
from tcmstruct.errors import UsageError
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.memory import peak_resident_bytes

FORMATS: tuple[str, ...] = ("jsonl", "csv", "xlsx")
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
}
"""Notes about a whole run, for people and the manifest."""


@dataclass(slots=True)
class Tally:
    """Counts of a run, as they stand in the manifest."""

    read: int = 0
    ok: int = 0
    warned: int = 0
    rejected: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    warnings: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    extra: dict[str, None] = field(default_factory=dict)
    extra_capped: bool = False
    review: int = 0
    photos: Counter[str] = field(default_factory=Counter)
    memory: dict[int, Mapping[str, Any]] = field(default_factory=dict)

    def add(self, result: ChunkResult) -> None:
        self.ok += result.ok
        self.warned += result.warned
        self.rejected += len(result.rejects)
        self.rejects.update(r.code for r in result.rejects)
        self.warnings.update(result.warnings)
        self.fields.update(result.fields)
        self.review += result.review
        self.photos.update(result.photos)
        if result.memory:
            self.memory[result.memory["pid"]] = result.memory
        for name in result.extra:
            if name not in self.extra:
                if len(self.extra) >= MAX_EXTRA_COLUMNS:
                    self.extra_capped = True
                    break
                self.extra[name] = None

    @property
    def structured(self) -> int:
        return self.ok + self.warned

    def photo_counts(self) -> dict[str, Any]:
        """Records that name a photograph, those whose photograph was used, and why the others were not: reason → records."""
        refused = {code.removeprefix("image_"): n for code, n in sorted(self.warnings.items()) if code.startswith("image_")}
        return {"named": self.photos["named"], "used": self.photos["used"], "refused": refused}

    def memory_held(self, limit_bytes: int | None) -> dict[str, Any]:
        """What each process held at most, this one now and the workers at their last chunk, and the largest batch of any."""
        here, told = os.getpid(), list(self.memory.values())
        peaks = {"main": [peak_resident_bytes()], "worker": [m["peak_bytes"] for m in told if m["pid"] != here]}
        batches = [m["largest_batch"] for m in told if "largest_batch" in m]
        return {"limit_bytes": limit_bytes, "peak_bytes": sum(map(sum, peaks.values())),
                "processes": [{"process": name, "peak_bytes": peak} for name, some in peaks.items() for peak in some],
                "budget": next((m["budget"] for m in told if m.get("budget")), None),
                "largest_batch": max(batches, key=lambda b: b["windows"] * b["chars"] ** 2, default=None),
                "halvings": sum(m.get("halvings", 0) for m in told)}

    def to_dict(self) -> dict[str, int]:
        return {"in": self.read, "ok": self.ok, "warned": self.warned, "rejected": self.rejected}


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to.

    Attributes:
        out: the output folder.
        counts: in, ok, warned, rejected.
        rejects: reject code → how many.
        notes: keys of `RUN_NOTES`.
        photos: see `Tally.photo_counts`.
        elapsed_s, records_per_s: from the first row read to the last file moved.
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
    workers: int = 1,
    window: int = WINDOW,
    formats: Sequence[str] = ("jsonl",),
    fresh: bool = False,
    inputs: Sequence[Path] = (),
    facts: Callable[[], list[dict[str, Any]]] = list,
    settings: Mapping[str, Any] | None = None,
    memory_limit_bytes: int | None = None,
    fraction: Callable[[], float | None] = lambda: None,
    progress: Progress | None = None,
    write_report: Callable[[Path], Path] | None = None,
) -> RunSummary:
    """Structures a stream of records into an output folder.

    Memory is that of the window, whatever the length of the stream: with one process at most `window` rows are
    taken ahead of what is written, with several at most two chunks of 128 rows per process; fewer where texts are long.

    Args:
        records: records and the reader's rejects, in input order.
        structure_many: the structurer; None where `factory` is given.
        out: folder of the result, see `folder.open_folder`.
        factory: makes the structurer; needed for more than one worker (it has to be picklable).
        workers: processes; a batch of up to 64 rows stays in this one.
        window: rows that one call of the structurer gets at most.
        formats: of `FORMATS`.
        fresh: replace an earlier result.
        inputs: input files, which the result must not replace.
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
        UsageError: unknown format, or a folder that cannot be used.
        TcmstructError: the structurer cannot be made, or a worker was lost. Nothing is left in `out` then.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or workers < 1 or window < 1:
        raise UsageError(f"formats are {', '.join(FORMATS)}; workers and window are at least 1", code="option_invalid",
                         where="convert")
    if factory is None:
        if structure_many is None or workers > 1:
            raise UsageError("more than one worker needs a factory", code="option_invalid", where="run_batch")
        factory = _Given(structure_many)
    progress = progress or Progress()
    started = time.monotonic()
    tally, notes, first_record_s = Tally(), [], None

    with open_folder(out, fresh=fresh, inputs=inputs) as folder, progress:
        items = _counted(_unique(iter(records)), tally)
        with folder.create("records.jsonl") as lines, folder.create("rejects.jsonl") as rejects:
            described = Described()
            results, workers = _engine(factory, items, workers, window)
            with closing(results):
                for result, told in results:
                    described = told
                    lines.write(result.lines)
                    for r in result.rejects:
                        rejects.write(dump_line(r.to_dict()))
                    tally.add(result)
                    if first_record_s is None and tally.structured:
                        first_record_s = time.monotonic() - started
                    progress.step(tally.structured + tally.rejected, tally.rejected, fraction())
        structuring_s = time.monotonic() - started

        names = dict.fromkeys((*chain.from_iterable(described.packs.values()), *tally.fields))
        columns = Columns(tuple(names), tuple(tally.extra), photos=tally.photos["used"] > 0)
        for name in ("csv", "xlsx"):
            if name in formats:
                progress.say(f"writing table.{name}")
                notes += _TABLES[name](folder, columns)
        if tally.extra_capped:
            notes.append("extra_columns_capped")

        elapsed = time.monotonic() - started
        made = [n for n in ("records.jsonl", "rejects.jsonl", "table.csv", "table.xlsx") if folder.path(n).exists()]
        manifest = {
            "tool": "tcmstruct", "version": tool_version(), "counts": tally.to_dict(),
            "rejects": dict(sorted(tally.rejects.items())), "warnings": dict(sorted(tally.warnings.items())),
            "fields": dict(described.packs), "coverage": {name: tally.fields[name] for name in columns.fields},
            "photos": tally.photo_counts(), "review": tally.review, "review_threshold": described.review_threshold,
            "model": described.model, "photo_models": dict(described.photo_models), "schema": described.schema,
            "backend": dict(described.backend), "inputs": facts(),
            "outputs": folder.fingerprint(made), "notes": notes, "memory": tally.memory_held(memory_limit_bytes),
            "settings": {**(settings or {}), "formats": list(dict.fromkeys(("jsonl", *formats))), "workers": workers,
                         "window": window},
            "timing": {"elapsed_s": round(elapsed, 3), "structuring_s": round(structuring_s, 3),
                       "first_record_s": None if first_record_s is None else round(first_record_s, 3),
                       "records_per_s": round(tally.read / elapsed, 2) if elapsed else 0.0},
        }
        folder.write("manifest.json", _pretty(manifest))
        report = _report(folder, write_report, manifest, notes, progress)
        manifest_sha256 = folder.fingerprint(["manifest.json"])["manifest.json"]["sha256"]
        folder.write("_SUCCESS", f"{manifest_sha256}  manifest.json\n".encode())
        folder.publish()

    return RunSummary(out, tally.to_dict(), dict(tally.rejects), tuple(notes), elapsed,
                      tally.read / elapsed if elapsed else 0.0, out / report.name if report else None,
                      tally.photo_counts())


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


def _counted(items: Iterator[Record | Reject], tally: Tally) -> Iterator[Record | Reject]:
    for item in items:
        tally.read += 1
        yield item


def _engine(factory: Factory, items: Iterator[Record | Reject], workers: int,
            window: int) -> tuple[Iterator[tuple[ChunkResult, Described]], int]:
    """The stream of results, and the number of processes that it takes."""
    if workers > 1:
        head: Chunk = list(islice(items, SMALL_BATCH + 1))
        items = chain(head, items)
        if len(head) > SMALL_BATCH:
            return run_in_workers(factory, chunked(items, FIRST_WINDOW, min(window, WORKER_CHUNK)), workers), workers
    return run_here(factory, chunked(items, FIRST_WINDOW, window)), 1


def _write_csv(folder: OutFolder, columns: Columns) -> list[str]:
    file: BinaryIO
    with folder.create("table.csv") as file:
        return write_csv(read_lines(folder.path("records.jsonl")), columns, file)


def _write_xlsx(folder: OutFolder, columns: Columns) -> list[str]:
    return write_xlsx(read_lines(folder.path("records.jsonl")), columns, folder.path("table.xlsx"))


_TABLES: dict[str, Callable[[OutFolder, Columns], list[str]]] = {"csv": _write_csv, "xlsx": _write_xlsx}


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

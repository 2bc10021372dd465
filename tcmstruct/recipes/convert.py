"""`tcmstruct convert INPUT… -o OUT`: files of records in, a folder of structured records and tables out."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import file_digest
from importlib import import_module
from itertools import chain
from pathlib import Path
from typing import Any

from tcmstruct.batch.engine import Engine
from tcmstruct.batch.progress import Progress, progress_for
from tcmstruct.batch.resources import available_cores, default_workers
from tcmstruct.batch.run import RUN_NOTES, RunSummary, run_batch, tool_version
from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.database import is_url, shown_url
from tcmstruct.emr.reader import FILE_NOTES, open_sources
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import MissingExtra, UsageError
from tcmstruct.image.paths import image_folder
from tcmstruct.record import Record

ENGINES: dict[str, str] = {"local": "processes:run_in_processes", "ray": "ray_pool:run_in_ray"}
"""What structures a batch: processes of this machine, or actors of a Ray cluster (the extra [ray])."""

DEFAULT_FORMATS: tuple[str, ...] = ("jsonl", "xlsx", "csv")

MAIN_BYTES = 110 * 1024**2
"""What the process that reads and writes is reckoned with where others structure."""


@dataclass(frozen=True, slots=True)
class StructurerFactory:
    """Makes a `pipeline.Structurer`; picklable, so that each worker process makes its own.

    Attributes:
        model: model folder, or None for the shipped one.
        schema: pack names and TOML files.
        threads: threads of the model; None lets it decide.
        memory_limit_bytes: of this one structurer.
        codes: CSV of the hospital's own diagnosis codes.
        image_root: folder of the photographs that the records name, or None.
        suggest: whether suggestions are made, or the folder of the head that makes them.
        adapter, adapters: folder of an adapter for all records, and of adapters that a call names.
    """

    model: str | None = None
    schema: tuple[str, ...] = ("all",)
    threads: int | None = None
    memory_limit_bytes: int | None = None
    codes: str | None = None
    image_root: str | None = None
    suggest: bool | str = False
    adapter: str | None = None
    adapters: str | None = None

    def __call__(self) -> Any:
        from tcmstruct.pipeline import Structurer  # the model runtime is loaded in the process that uses it

        limit = {} if self.memory_limit_bytes is None else {"memory_limit_bytes": self.memory_limit_bytes}
        return Structurer(self.model, list(self.schema), threads=self.threads, codes=self.codes,
                          image_root=self.image_root, suggest=self.suggest, adapter=self.adapter, adapters=self.adapters, **limit)


def convert(
    inputs: Sequence[Path | str],
    out: Path,
    *,
    mapping: Sequence[str] = (),
    encoding: str | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
    schema: Sequence[str] = ("all",),
    model: Path | None = None,
    codes: Path | None = None,
    image_root: Path | None = None,
    memory_limit_bytes: int | None = None,
    workers: int | None = None,
    engine: str = "local",
    fresh: bool = False,
    report: bool = True,
    identified: bool = False,
    suggest: bool | Path = False,
    adapter: Path | None = None,
    factory: Any = None,
    progress: Progress | None = None,
) -> RunSummary:
    """Structures the records of one or several files.

    Args:
        inputs: files of any format of `emr.sniff.FORMATS`, or SQLAlchemy URLs, in the order of the result.
        out: folder of the result.
        mapping: "列=字段" pairs that overrule the alias table; a column may be named by its number, "#2".
        encoding: codec of the text files, overruling what is found.
        formats: of `batch.run.FORMATS`.
        schema: names of shipped packs, or TOML files.
        model: model folder; None takes the shipped one.
        codes: CSV of the hospital's own diagnosis codes, added to the shipped ones; its fingerprint stands in the manifest.
        image_root: folder that the paths in the image column start from; None looks at no photograph.
        memory_limit_bytes: for all processes together.
        workers: processes; None takes one per core as far as memory allows.
        engine: a key of `ENGINES`.
        fresh: replace an earlier result in `out`, and begin an unfinished one anew.
        report: make report.html.
        identified: report.html shows names, numbers and dates as they are; otherwise they are replaced there. The records and
            tables themselves always hold what the input held.
        suggest: add suggestions to the lines of records.jsonl, and to no table (docs/suggestions.md); a path names the head's folder.
        adapter: folder of the hospital's adapter (docs/adapters.md); results and manifest name it beside the model.
        factory: makes the structurer, in place of the shipped pipeline.
        progress: where to tell progress; stderr by default.

    Returns:
        Counts and notes; `exit_code` 3 where rows were rejected.

    Raises:
        InputRefused: a file, pack or model that cannot be used; nothing is written then.
        UsageError: options that do not fit.
    """
    if not inputs:
        raise UsageError("no input was named", where="convert", hint="tcmstruct convert FILE… -o OUT")
    inputs = [given if isinstance(given, str) and is_url(given) else Path(given) for given in inputs]
    files = [given for given in inputs if isinstance(given, Path)]
    twice = [path for n, path in enumerate(files) if path.resolve() in {p.resolve() for p in files[:n]}]
    if twice:
        raise UsageError("is named twice", where=twice[0].name, code="input_twice")
    if image_root is not None:
        image_folder(image_root)
    sources = open_sources(inputs, encoding=encoding, overrides=parse_overrides(mapping), photos=image_root is not None)
    for source in sources:
        for note in source.facts.notes:
            _warn(f"{source.facts.label}: {FILE_NOTES[note]}")

    if codes is not None:
        from tcmstruct.linking import Linker, read_codes

        for conflict in Linker(read_codes(codes)).conflicts:
            _warn(f"{codes.name}: {conflict}")

    workers = workers or default_workers(memory_limit_bytes, photos=image_root is not None)
    if factory is None:
        factory = StructurerFactory(
            None if model is None else str(model), tuple(schema),
            threads=max(1, available_cores() // workers),
            memory_limit_bytes=None if memory_limit_bytes is None else share_of_limit(memory_limit_bytes, workers),
            codes=None if codes is None else str(codes),
            image_root=None if image_root is None else str(image_root),
            suggest=suggest if isinstance(suggest, bool) else str(suggest), adapter=None if adapter is None else str(adapter))
    sizes = [source.facts.bytes for source in sources]

    def fraction() -> float | None:
        parts = [source.fraction() for source in sources]
        known = [part * size for part, size in zip(parts, sizes, strict=True) if part is not None]
        return sum(known) / max(1, sum(sizes)) if len(known) == len(parts) else None

    options = {"map": list(mapping), "encoding": encoding, "schema": [Path(s).name for s in schema],
               "codes": None if codes is None else {"file": codes.name, "sha256": _sha256(codes)},
               "image_root": None if image_root is None else image_root.resolve().name, "suggest": _head(suggest),
               "adapter": None if adapter is None else _adapter(adapter)}
    shown_before = {(s.facts.label, note) for s in sources for note in s.facts.notes}
    summary = run_batch(
        _chained(sources), None, out, factory=factory, engine=_engine(engine), workers=workers, formats=formats, fresh=fresh, inputs=files,
        facts=lambda: [source.facts.to_dict() for source in sources],
        identity={"version": tool_version(), "inputs": [_identity(given) for given in inputs], **options,
                  "schema files": [_sha256(Path(s)) for s in schema if Path(s).is_file()]},
        settings={**options, "memory_limit_bytes": memory_limit_bytes},
        memory_limit_bytes=memory_limit_bytes, fraction=fraction, progress=progress or progress_for(),
        write_report=_report_writer(identified) if report else None,
    )
    for source in sources:
        for note in source.facts.notes:
            if (source.facts.label, note) not in shown_before:
                _warn(f"{source.facts.label}: {FILE_NOTES[note]}")
    for note in summary.notes:
        _warn(RUN_NOTES[note])
    _tell(summary)
    return summary


def share_of_limit(limit_bytes: int, workers: int) -> int:
    """What one structurer may hold; where several share a limit, the process that reads and writes takes its part first."""
    return limit_bytes if workers == 1 else max(0, limit_bytes - MAIN_BYTES) // workers


def _engine(name: str) -> Engine:
    if name not in ENGINES:
        raise UsageError(f"is none of {', '.join(ENGINES)}", where="--engine", code="option_invalid")
    module, _, function = ENGINES[name].partition(":")
    try:
        return getattr(import_module(f"tcmstruct.batch.{module}"), function)
    except ImportError:
        raise MissingExtra(f"the engine {name}", name) from None


def _identity(given: Path | str) -> dict[str, str]:
    """What tells an input from another: the content of a file; of a database its name, for its rows are compared as they are read."""
    return {"url": shown_url(given)} if isinstance(given, str) else {"file": given.name, "sha256": _sha256(given)}


def _head(suggest: bool | Path) -> str | None:
    """Fingerprint of the head that makes suggestions; None where none is asked for."""
    if suggest is False:
        return None
    from tcmstruct.runtime.suggestion import open_head

    return open_head(None if suggest is True else suggest).fingerprint[:16]


def _adapter(folder: Path) -> dict[str, str]:
    from tcmstruct.runtime.adapter_folder import open_adapter

    found = open_adapter(folder)
    return {"name": found.name, "sha256": found.fingerprint}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _chained(sources: Sequence[Any]) -> Iterator[Record | Reject]:
    return chain.from_iterable(sources)


def _report_writer(identified: bool) -> Any:
    def write(folder: Path) -> Path:
        from tcmstruct.report import write_report

        return write_report(folder, identified=identified)

    return write


def _warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr)


def _tell(summary: RunSummary) -> None:
    """The outcome in three lines on stderr."""
    counts = summary.counts
    before = f" · {summary.resumed:,} of them before" if summary.resumed else ""
    print(f"{counts['in']:,} records: {counts['ok']:,} ok, {counts['warned']:,} with warnings, {counts['rejected']:,} rejected{before}"
          f" · {summary.elapsed_s:.1f} s · {summary.records_per_s:,.1f} records/s", file=sys.stderr)
    if summary.rejects:
        codes = ", ".join(f"{code} {n:,}" for code, n in sorted(summary.rejects.items()))
        print(f"rejected: {codes} → {summary.out / 'rejects.jsonl'}", file=sys.stderr)
    photos = summary.photos
    if photos.get("used") or photos.get("refused"):
        print(f"photos: {photos['named']:,} named, {photos['used']:,} used"
              + "".join(f", {reason} {n:,}" for reason, n in photos["refused"].items()), file=sys.stderr)
    shown = summary.report or summary.out
    print(f"result: {os.fspath(shown)}", file=sys.stderr)


"""`tcmstruct deidentify FILE|-`: texts or records without what names a person (docs/privacy.md)."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from tcmstruct.emr.encoding import decode_bytes
from tcmstruct.emr.reader import open_source
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.privacy import KINDS, Deidentifier, deidentify_line, read_key
from tcmstruct.report.source import open_output
from tcmstruct.whole_file import whole_file

PLAIN_SUFFIXES = ("", ".txt", ".text", ".md")
"""A file so named is one text. Every other is read as records, by its content."""
MAX_TEXT_BYTES = 256 * 2**20


@dataclass(slots=True)
class Summary:
    """What was done.

    Attributes:
        records: records written; 1 for a text.
        rejects: code → rows that could not be read.
        replaced: kind → pieces replaced in texts.
    """

    records: int = 0
    rejects: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)


class _Counting(Deidentifier):
    """Counts what it replaces."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.replaced: Counter[str] = Counter()

    def deidentify(self, *arguments: Any, **options: Any) -> Any:
        done = super().deidentify(*arguments, **options)
        self.replaced.update(done.counts())
        return done


def deidentify_file(source: str, out: Path | None = None, *, key_file: Path | None = None, dates: str = "shift",
                    keep: Sequence[str] = (), encoding: str | None = None, stdin: Any = None) -> Summary:
    """De-identifies a text or a file of records.

    Args:
        source: "-" for a text on standard input; a text file; a folder or `records.jsonl` of `convert`; or any file of records
            that `convert` reads. Records are written as JSON Lines, in order.
        out: file to write (0600, replaced as a whole); None writes to standard output.
        key_file: the hospital's key; made where it is not there. None: $TCMSTRUCT_KEY, else the default file.
        dates: "shift", "cut" or "keep".
        keep: kinds (`tcmstruct.privacy.KINDS`) that stay.
        encoding: of a text or table, overruling what is found.
        stdin: binary stream in place of standard input.

    Raises:
        InputRefused: the input or the key cannot be used.
        UsageError: no such file, an unknown kind, or OUT is the input.
    """
    if source != "-" and not Path(source).exists():
        raise UsageError("no such file", where=Path(source).name, code="not_found", hint="name a file, or - for standard input")
    if out is not None and source != "-" and out.exists() and out.resolve() == Path(source).resolve():
        raise UsageError("would replace the input", where=out.name, code="out_is_input", hint="name another file with -o")
    deidentifier = _Counting(read_key(key_file), dates=dates, keep=keep)
    summary = Summary(replaced=deidentifier.replaced)
    with private_writer(out) as to:
        for data in _inputs(source, encoding, stdin, summary):
            if isinstance(data, str):
                to.write(deidentifier.deidentify(data).text.encode("utf-8", "surrogatepass"))
            else:
                to.write(orjson.dumps(deidentify_line(data, deidentifier), option=orjson.OPT_APPEND_NEWLINE))
            summary.records += 1
    _tell(summary, dates, keep)
    return summary


def _inputs(source: str, encoding: str | None, stdin: Any, summary: Summary) -> Iterator[str | dict[str, Any]]:
    if source == "-":
        yield _text((stdin or sys.stdin.buffer).read(MAX_TEXT_BYTES + 1), encoding, "standard input")
        return
    path = Path(source)
    if path.is_file() and path.suffix.lower() in PLAIN_SUFFIXES:
        with path.open("rb") as file:
            yield _text(file.read(MAX_TEXT_BYTES + 1), encoding, path.name)
    elif path.is_dir() or path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        for _, _, data in open_output(path).lines():
            yield data
    else:
        for row in open_source(path, encoding=encoding):
            if isinstance(row, Reject):
                summary.rejects[row.code] += 1
                continue
            told = {"id": row.id, "dept": row.dept, "text": row.text, "image": row.image, "extra": dict(row.extra)}
            yield {key: value for key, value in told.items() if value}


def _text(data: bytes, encoding: str | None, where: str) -> str:
    if len(data) > MAX_TEXT_BYTES:
        raise InputRefused(f"is longer than {MAX_TEXT_BYTES:,} bytes", where=where, code="text_too_long",
                           hint="records belong in a table or JSON Lines, which are read one at a time")
    return decode_bytes(data, encoding, where)


@contextmanager
def private_writer(out: Path | None) -> Iterator[BinaryIO]:
    """Standard output, or a file that has its name only when it is whole."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    with whole_file(out) as file:
        yield file


def _tell(summary: Summary, dates: str, keep: Sequence[str]) -> None:
    told = ", ".join(f"{kind} {summary.replaced[kind]:,}" for kind in KINDS if summary.replaced[kind]) or "nothing"
    print(f"{summary.records:,} {'record' if summary.records == 1 else 'records'}; replaced: {told}; dates: {dates}"
          + (f"; kept: {', '.join(keep)}" if keep else ""), file=sys.stderr)
    if summary.rejects:
        print(f"rows that could not be read: {', '.join(f'{code} {n:,}' for code, n in sorted(summary.rejects.items()))}", file=sys.stderr)
    print("a person should read a sample before the data leave: no program finds every name", file=sys.stderr)

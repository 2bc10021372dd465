"""`tcmstruct annotation convert|check`: annotations from format to format, and what is off with their offsets."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tcmstruct.annotation import CODES, Annotated, Span, Summary, check_all, guess, named, require_sound
from tcmstruct.errors import UsageError
from tcmstruct.privacy import DeidentifiedText, Deidentifier, read_key
from tcmstruct.privacy.fold import fold

LEFT_OUT = {"predictions": "predictions, which this format does not hold",
            "nested_or_overlapping": "spans within or across a longer one, which this format does not hold"}


@dataclass(slots=True)
class Converted:
    """What was done.

    Attributes:
        left_out: what the format could not hold → how many.
    """

    records: int = 0
    spans: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


def convert_annotations(source: Path, out: Path, *, to: str, from_: str | None = None, identified: bool = False) -> Converted:
    """Reads annotations in one format and writes them in another.

    Args:
        source: file or folder.
        out: file (0600) or folder to make; must not be there.
        to: name of a format of `annotation.FORMATS`.
        from_: the format of `source`; None finds it by its content.
        identified: write texts and ids as they are. Otherwise what goes into a format of others is de-identified, with its spans
            moved along (docs/privacy.md); what comes into `gold` is not touched.

    Raises:
        UsageError: an unknown format, no such file, or `out` is there already.
        InputRefused: the file is not of its format, a span is no piece of its text, or the target cannot hold a label.
    """
    target = named(to, "--to", writes=True)
    _require(source, out)
    reader = named(from_ or guess(source), "--from").read
    done = Converted()
    deidentifier = None if identified or target.ours else Deidentifier(read_key())
    assert target.write is not None
    target.write(out, _counted(map(require_sound, reader(source)), deidentifier, done), done.left_out)
    _tell(done, to, deidentifier is not None)
    return done


def check_annotations(source: Path, *, from_: str | None = None, mend: Path | None = None, n_places: int = 10) -> Summary:
    """Looks for offsets that are off.

    Args:
        source: file or folder.
        from_: its format; None finds it by its content.
        mend: writes the file corrected, in the same format.
        n_places: places told of each fault.

    Raises:
        UsageError: an unknown format, no such file, or `mend` is there already.
        InputRefused: the file is not of its format.
    """
    name = from_ or guess(source) if source.exists() else from_ or ""
    _require(source, mend)
    format, summary = named(name, "--from", writes=mend is not None), Summary()
    records: Iterable[Annotated] = check_all(format.read(source), summary, n_places)
    if mend is None:
        for _ in records:
            pass
    else:
        assert format.write is not None
        format.write(mend, map(require_sound, records), Counter())
    return summary


def as_text(summary: Summary) -> str:
    """Findings as a person reads them: codes, numbers, ids and offsets."""
    lines = [f"{summary.records:,} records, {summary.spans:,} spans: "
             + (f"{sum(summary.counts.values()):,} findings" if summary.counts else "nothing is off")]
    for code, number in sorted(summary.counts.items(), key=lambda item: (-item[1], item[0])):
        lines.append(f"{code} {number:,}: {CODES[code]}")
        places = [f"{place.id} [{place.start}, {place.end})" for place in summary.places[code]]
        lines.append("  " + " · ".join(places) + (" …" if number > len(places) else ""))
    if summary.without_words:
        lines.append(f"note: {summary.without_words:,} spans without their words in the file: a shift within the text cannot be seen there")
    return "\n".join(lines)


def deidentified(record: Annotated, deidentifier: Deidentifier) -> Annotated:
    """The record without what names a person; a span that touches a replaced piece holds the whole replacement."""
    moved = deidentifier.deidentify(record.text, otherwise=record.id)
    return Annotated(deidentifier.word("record_number", fold(record.id)), moved.text, [_moved(span, moved) for span in record.spans],
                     [_moved(span, moved) for span in record.predictions], record.where)


def _moved(span: Span, moved: DeidentifiedText) -> Span:
    return Span(moved.to_new(span.start, "start"), moved.to_new(span.end, "end"), span.label, span.status, span.score)


def _counted(records: Iterable[Annotated], deidentifier: Deidentifier | None, done: Converted) -> Iterator[Annotated]:
    for record in records:
        done.records += 1
        done.spans += len(record.spans) + len(record.predictions)
        yield record if deidentifier is None else deidentified(record, deidentifier)


def _require(source: Path, out: Path | None) -> None:
    if not source.exists():
        raise UsageError("no such file or folder", where=source.name, code="not_found")
    if out is not None and out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError("is there already", where=out.name, code="out_exists", hint="name another with -o, or remove it")


def _tell(done: Converted, to: str, hidden: bool) -> None:
    print(f"{done.records:,} records, {done.spans:,} spans written as {to}"
          + ("; de-identified, ids too: --identified leaves them as they are" if hidden else ""), file=sys.stderr)
    for what, number in done.left_out.items():
        if number:
            print(f"left out: {number:,} {LEFT_OUT[what]}", file=sys.stderr)

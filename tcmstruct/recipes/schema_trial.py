"""`tcmstruct schema test FILE RECORDS`: what a pack would extract from one's own records."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.batch.progress import Progress, progress_for
from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.database import is_url
from tcmstruct.emr.reader import open_sources
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.privacy import Deidentifier
from tcmstruct.recipes.convert import StructurerFactory
from tcmstruct.recipes.schema_pack import counted, pack_file, read_bytes, refuse_faults
from tcmstruct.record import Record
from tcmstruct.report.shown import plain
from tcmstruct.report.source import Output, open_output
from tcmstruct.trial import FieldTrial, TrialRecord, check_pack, sample_of, try_fields
from tcmstruct.trial.context import around, page_deidentifier
from tcmstruct.trial.records import from_line
from tcmstruct.trial.trying import shown_values
from tcmstruct.trial.wording import reason_said

MOST_RECORDS = 2000
AT_ONCE = 32
"""Records that the model is given together."""
SIDE = 14
"""Characters shown on either side of a hit or near miss."""
_SHOWN_VALUES = 8


@dataclass(slots=True)
class Records:
    """Records of a trial.

    Attributes:
        rejected: rows that could not be read.
        cut: True where the input holds more than were taken.
        by_model: True where the model was asked now; else the mentions stood in the input.
    """

    records: list[TrialRecord]
    rejected: int = 0
    cut: bool = False
    by_model: bool = False


def read_records(source: Path | str, *, mapping: Sequence[str] = (), encoding: str | None = None, model: Path | None = None,
                 most: int = MOST_RECORDS, make: Callable[[], Any] | None = None, progress: Progress | None = None) -> Records:
    """The records of a trial with their mentions.

    A folder of `convert` (or its records.jsonl) brings its mentions along, and gives a sample of all its records; of any other file
    the first records are taken, and the model reads them.

    Args:
        source: file, database URL, or folder of `convert`.
        mapping, encoding, model: as for `convert`.
        most: records to take at most.
        make: makes the structurer, in place of the shipped pipeline.
        progress: where to tell progress; stderr by default.

    Raises:
        InputRefused: the input cannot be used, or holds no record.
    """
    if is_result(source):
        seen = 0

        def each() -> Iterator[TrialRecord]:
            nonlocal seen
            for record in trial_lines(open_output(Path(source))):
                seen += 1
                yield record

        found = Records(sample_of(each(), most))
        found.cut = seen > len(found.records)
    else:
        found = _structured(source, mapping, encoding, model, most, make, progress or progress_for())
    if not found.records:
        raise InputRefused("holds no record that can be read", where=Path(str(source)).name, code="no_records",
                           hint="tcmstruct inspect FILE tells how it is read")
    return found


def trial_lines(output: Output) -> Iterator[TrialRecord]:
    """The records of a result that hold their text, with their mentions; rows count as on the review page."""
    for row, (_, _, data) in enumerate(output.lines()):
        if data.get("text"):
            yield from_line(data, row)


def is_result(source: Path | str) -> bool:
    """Whether this is what `convert` writes: a folder with records.jsonl, or lines with text and entities."""
    if isinstance(source, str) and is_url(source):
        return False
    path = Path(source)
    if path.is_dir():
        return True
    if path.suffix.lower() != ".jsonl" or not path.is_file():
        return False
    with path.open("rb") as file:
        try:
            first = orjson.loads(file.readline())
        except orjson.JSONDecodeError:
            return False
    return isinstance(first, dict) and {"id", "text", "entities"} <= first.keys()


def _structured(source: Path | str, mapping: Sequence[str], encoding: str | None, model: Path | None, most: int,
                make: Callable[[], Any] | None, progress: Progress) -> Records:
    (opened,) = open_sources([source], encoding=encoding, overrides=parse_overrides(mapping))
    structurer = (make or StructurerFactory(None if model is None else str(model), ("general",)))()
    found, items = Records([], by_model=True), iter(opened)
    with progress:
        while chunk := list(islice(items, AT_ONCE)):
            records = [item for item in chunk if not isinstance(item, Reject)]
            found.rejected += len(chunk) - len(records)
            room = most - len(found.records)
            found.cut = found.cut or len(records) > room
            for one in structurer.structure_many([Record(r.id, r.text, r.dept) for r in records[:room]]):
                found.records.append(TrialRecord(one.id, len(found.records), one.text, tuple(one.entities)))
            progress.step(len(found.records), found.rejected, opened.fraction())
            if len(found.records) >= most:
                found.cut = found.cut or next(items, None) is not None
                break
    return found


def trial(pack: str, source: Path | str, *, fields: Sequence[str] = (), sample: int = 10, mapping: Sequence[str] = (),
          encoding: str | None = None, model: Path | None = None, most: int = MOST_RECORDS, identified: bool = False,
          make: Callable[[], Any] | None = None, progress: Progress | None = None) -> dict[str, Any]:
    """Tries a pack on records.

    Args:
        pack: TOML file, or the name of a pack that comes with the package.
        source, mapping, encoding, model, most, make, progress: as for `read_records`.
        fields: only these; none are all.
        sample: hits and near misses shown of a field.
        identified: show names, numbers and dates of records as they are.

    Returns:
        pack, records, rejected, cut, mentions ("model" or "result"), fields (counts as `FieldTrial.to_dict`, `hits` and `near`).

    Raises:
        InputRefused: the pack has a fault, or the records cannot be used.
        UsageError: a field is not in the pack.
    """
    file = pack_file(pack)
    checked = check_pack(read_bytes(file), file.name, doubtful=False)
    refuse_faults(file, checked)
    if unknown := [name for name in fields if name not in checked.names]:
        raise UsageError(f"the pack has no field {unknown[0]}", where="--field", code="option_invalid",
                         hint=f"its fields are {', '.join(checked.names)}")
    if checked.schema is None or not checked.names:
        raise InputRefused("has no field yet", where=file.name, code="no_fields", hint="see docs/schema.md")
    found = read_records(source, mapping=mapping, encoding=encoding, model=model, most=most, make=make, progress=progress)
    tried = try_fields(checked.schema, list(fields) or checked.names, found.records)
    deidentifier = None if identified else page_deidentifier()
    return {"pack": file.name, "records": len(found.records), "rejected": found.rejected, "cut": found.cut,
            "mentions": "model" if found.by_model else "result", "identified": identified,
            "fields": [{**one.to_dict(), "hits": _hits(one, found.records, sample, deidentifier),
                        "near": _near(one, found.records, sample, deidentifier)} for one in tried.values()]}


def _hits(one: FieldTrial, records: Sequence[TrialRecord], most: int, deidentifier: Deidentifier | None) -> list[dict[str, Any]]:
    return [{"row": records[hit.record].row + 1, "value": shown_values(hit.value.value), "confidence": round(hit.value.confidence, 3),
             **_words(records[hit.record], hit.value.start, hit.value.end, deidentifier)} for hit in one.some_hits(most)]


def _near(one: FieldTrial, records: Sequence[TrialRecord], most: int, deidentifier: Deidentifier | None) -> list[dict[str, Any]]:
    return [{"row": records[miss.record].row + 1, "reason": miss.reason, "zh": reason_said(miss.reason, miss.given, "zh"),
             "en": reason_said(miss.reason, miss.given), **_words(records[miss.record], miss.start, miss.end, deidentifier)}
            for miss in one.some_misses(most)]


def _words(record: TrialRecord, start: int, end: int, deidentifier: Deidentifier | None) -> dict[str, str]:
    before, words, behind = around(record, start, end, SIDE, deidentifier)
    return {"before": before, "words": words, "behind": behind}


def as_text(found: dict[str, Any]) -> str:
    """The trial as a person reads it on a terminal; the words that gave a value, or did not, stand in brackets."""
    n = found["records"]
    lines = [f"{found['pack']}: {counted(len(found['fields']), 'field')} on {counted(n, 'record')}"
             + (f", {found['rejected']:,} rows rejected" if found["rejected"] else "") + (" (a part of the input)" if found["cut"] else "")
             + ("" if found["identified"] else " · de-identified; --identified shows records as they are")]
    for one in found["fields"]:
        unit = f", {one['unit']}" if one["unit"] else ""
        lines += ["", f"{one['name']} ({one['type']}{unit}): {one['stated']:,}/{n:,} = {one['stated'] / n:.0%}"
                  + f" · 无 {one['denied']:,} · 未提及 {one['missing']:,} · near misses {one['near_misses']:,}"]
        if one["figures"]:
            lines.append("  values  {:g} to {:g}, median {:g}".format(one["figures"][0], one["figures"][2], one["figures"][1]))
        elif one["values"]:
            lines.append("  values  " + " · ".join(f"{value} {count:,}" for value, count in one["values"][:_SHOWN_VALUES])
                         + (f" · … ({len(one['values']):,} in all)" if len(one["values"]) > _SHOWN_VALUES else ""))
        lines += [f"  hit   #{hit['row']} {'、'.join(hit['value'])}  {_line(hit)}" for hit in one["hits"]]
        lines += [f"  near  #{miss['row']} {miss['zh']} · {miss['en']}  {_line(miss)}" for miss in one["near"]]
    return "\n".join(map(plain, lines))


def _line(place: dict[str, Any]) -> str:
    return " ".join(f"{place['before']}[{place['words']}]{place['behind']}".split())


def tell(found: dict[str, Any]) -> None:
    """What a reader of the figures should know, on stderr."""
    if found["cut"]:
        print("note: the input holds more records; --limit takes more", file=sys.stderr)
    if found["mentions"] == "model":
        print("note: the model read the records; try changes faster on the folder that `tcmstruct convert` made of them", file=sys.stderr)

"""A hospital's labels: read from any annotation format, checked, and parted into what trains, what tunes and what judges."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tcmstruct.annotation import Annotated, guess, named, require_sound
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import read_annotated
from tcmstruct.labels import ENTITY_TYPES, GOLD_TYPES, READOUTS
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.training.own_labels import CLINICAL

TRAINABLE: tuple[str, ...] = tuple(READOUTS[CLINICAL])
"""Types of the annotation guide, which a hospital's labels can train."""
GROUPS: dict[str, tuple[str, ...]] = {"舌象": ("舌质", "舌苔"), "舌脉": ("舌质", "舌苔", "脉象"), "诊断": ("西医诊断", "中医诊断")}
"""Names for several types at once."""
JUDGE_SHARE, TUNE_SHARE = 0.3, 0.15
"""Of all labelled records (the second: of those that are left where a held-out file judges)."""
LEAST_TRAINED, LEAST_TUNED, LEAST_JUDGED = 4, 2, 4
"""Records below which no part can do its work."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Labelled records by what they are for; no text stands in two parts.

    Attributes:
        train: learnt from.
        tune: chooses the epoch, the share of the start weights, and the calibration.
        judge: never looked at before the new model is compared with the current one.
        types: what the files label, of `TRAINABLE`.
        notes: what was left out, for the user.
    """

    train: list[StructuredRecord]
    tune: list[StructuredRecord]
    judge: list[StructuredRecord]
    types: tuple[str, ...]
    notes: tuple[str, ...] = ()


def read_parts(files: Sequence[Path], *, heldout: Path | None = None, wanted: Sequence[str] = (), from_: str | None = None,
               seed: int = 0) -> Parts:
    """Reads and parts labels.

    Args:
        files: gold JSON Lines (`review export`), or any format of `tcmstruct.annotation`.
        heldout: labels that judge; None takes a share of `files`, by record, drawn with `seed`.
        wanted: types or names of `GROUPS` that are trained and judged; empty: those that the files hold.
        from_: format of `files`; None finds it by their content.

    Raises:
        InputRefused: a file that cannot be read, a span that is no piece of its text, an id in two files, a type that the model has no
            label for, no labels, or too few records for a part.
        UsageError: a wanted type that does not exist.
    """
    asked = wanted_types(wanted)
    notes: list[str] = []
    records = _distinct(files, from_)
    judge = _read(heldout, None) if heldout is not None else []
    types = _types(records, asked, files, notes)  # what the held-out file labels beyond them is not known to be absent here
    records, judge = ([_guide(record, types) for record in some] for some in (records, judge))
    if heldout is not None:
        held = {record.text for record in judge}
        kept = [record for record in records if record.text not in held]
        if len(kept) < len(records):
            notes.append(f"{len(records) - len(kept)} labelled records stand in the held-out file too; they are not learnt from")
        records = kept
    train, tune, judge = _parted(records, judge, seed)
    for what, part, least in (("learn from", train, LEAST_TRAINED), ("tune on", tune, LEAST_TUNED), ("judge on", judge, LEAST_JUDGED)):
        if len(part) < least:
            raise InputRefused(f"{len(part)} records to {what}, at least {least} are needed ({len(train)} + {len(tune)} + {len(judge)} in "
                               "all)", where=_names(files), code="too_few_labels",
                               hint="label more records: tcmstruct suggest says which")
    if not any(record.entities for record in train) or not any(record.entities for record in judge):
        raise InputRefused("no labelled mention among the records to learn from, or among those to judge on",
                           where=_names(files), code="no_labels", hint="label more records, or take another --seed")
    return Parts(train, tune, judge, types, tuple(notes))


def read_judge(file: Path) -> tuple[list[StructuredRecord], tuple[str, ...]]:
    """Labelled records that only judge, and the types that they label.

    Raises:
        InputRefused: as `read_parts`.
    """
    records = _read(file, None)
    types = _types(records, (), [file], [])
    return [_guide(record, types) for record in records], types


def wanted_types(wanted: Iterable[str]) -> tuple[str, ...]:
    """
    Raises:
        UsageError: a name that is neither a type nor a group of types.
    """
    out: list[str] = []
    for name in wanted:
        if name not in GROUPS and GOLD_TYPES.get(name) is None:
            raise UsageError(f"there is no type {name[:20]!r} that labels can train", where="--labels", code="unknown_type",
                             hint=f"types: {', '.join(TRAINABLE)}; groups: {', '.join(GROUPS)}")
        out += GROUPS.get(name) or (GOLD_TYPES[name],)
    return tuple(t for t in TRAINABLE if t in out)


def as_labelled(record: StructuredRecord) -> dict[str, Any]:
    """The record as `training.data.labelled` reads it."""
    entities = [{"type": m.type, "start": m.start, "end": m.end, "status": m.status} for m in record.entities]
    return {"text": record.text, "entities": entities}


def _names(files: Sequence[Path]) -> str:
    return ", ".join(file.name for file in files)


def _distinct(files: Sequence[Path], from_: str | None) -> list[StructuredRecord]:
    if not files:
        raise UsageError("no file of labels was named", where="train", hint="tcmstruct train LABELS… -o MODELDIR")
    found: dict[str, StructuredRecord] = {}
    for file in files:
        for record in _read(file, from_):
            if record.id in found:
                raise InputRefused(f"id {record.id!r} stands in two of the files", where=file.name, code="duplicate_id",
                                   hint="name each record once")
            found[record.id] = record
    return list(found.values())


def _read(file: Path, from_: str | None) -> list[StructuredRecord]:
    if not file.exists():
        raise InputRefused("no such file", where=file.name, code="not_found")
    format = from_ or guess(file)
    if format == "records":
        raise InputRefused("holds what a model read, not what a person marked", where=file.name, code="not_labels",
                           hint="tcmstruct review export OUT -o gold.jsonl writes what reviewers settled")
    annotated = [require_sound(record) for record in named(format, "--from").read(file)]
    if format == "gold":  # fields too, which annotations of others do not have
        return read_annotated(file)
    return [_structured(record) for record in annotated]


def _structured(record: Annotated) -> StructuredRecord:
    return StructuredRecord(record.id, record.text, [Mention(span.label, span.start, span.end, span.status) for span in record.spans])


def _types(records: Sequence[StructuredRecord], asked: Sequence[str], files: Sequence[Path], notes: list[str]) -> tuple[str, ...]:
    counts = Counter(mention.type for record in records for mention in record.entities)
    if not counts:
        raise InputRefused("holds no labelled mention", where=_names(files), code="no_labels",
                           hint="give gold JSON Lines with `entities`, as tcmstruct review export writes them")
    unknown = sorted(name for name in counts if name not in GOLD_TYPES and name not in ENTITY_TYPES)
    if unknown and not asked:
        raise InputRefused(f"{len(unknown)} types of labels are unknown to the model, the first is {unknown[0][:20]!r}",
                           where=_names(files), code="unknown_type",
                           hint=f"types: {', '.join(TRAINABLE)}; rename them, or name those to train with --labels")
    beside = {name: n for name, n in counts.items() if name not in GOLD_TYPES}
    if beside:
        notes.append("not trained, for the clinical readout has no such type: "
                     + ", ".join(f"{name[:20]} ({n})" for name, n in beside.items()))
    found = {GOLD_TYPES[name] for name in counts if name in GOLD_TYPES}
    missing = [t for t in asked if t not in found]
    if missing:
        notes.append(f"no label of the type {', '.join(missing)}")
    types = tuple(t for t in TRAINABLE if t in found and (not asked or t in asked))
    if not types:
        raise InputRefused("none of the types to train is labelled", where=_names(files), code="no_labels",
                           hint=f"labelled are: {', '.join(sorted(counts))[:120]}")
    return types


def _guide(record: StructuredRecord, types: Sequence[str]) -> StructuredRecord:
    """The record with the guide's types, of those that are trained."""
    entities = [replace(m, type=GOLD_TYPES[m.type]) for m in record.entities if GOLD_TYPES.get(m.type) in types]
    return replace(record, entities=entities)


def _parted(records: Sequence[StructuredRecord], judge: list[StructuredRecord], seed: int,
            ) -> tuple[list[StructuredRecord], list[StructuredRecord], list[StructuredRecord]]:
    """Draws by text, so that a text that stands twice is in one part."""
    by_text: dict[str, list[StructuredRecord]] = {}
    for record in sorted(records, key=lambda r: r.id):
        by_text.setdefault(record.text, []).append(record)
    groups = list(by_text.values())
    random.Random(seed).shuffle(groups)
    n_judged = 0 if judge else round(JUDGE_SHARE * len(groups))
    n_tuned = max(min(LEAST_TUNED, len(groups) - n_judged - 1), round(TUNE_SHARE * len(groups)))
    flat = [[record for group in part for record in group]
            for part in (groups[n_judged + n_tuned :], groups[n_judged : n_judged + n_tuned], groups[:n_judged])]
    return flat[0], flat[1], judge or flat[2]

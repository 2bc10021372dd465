"""`tcmstruct suggest RECORDS… -o F`: the records that are most worth labelling, each with its reasons."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.batch.progress import Progress, progress_for
from tcmstruct.batch.tables.csv_table import defuse
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import read_annotated
from tcmstruct.evaluation.worth import Doubt, Pick, choose
from tcmstruct.labels import GOLD_TYPES, READOUTS
from tcmstruct.pipeline import Structurer
from tcmstruct.privacy import Deidentifier, deidentify_line, read_key
from tcmstruct.recipes.evaluate import write_private
from tcmstruct.recipes.unlabelled_files import read_records
from tcmstruct.record import Record
from tcmstruct.runtime.decode import Transitions, log_softmax, posteriors
from tcmstruct.runtime.tagger import WindowScores

CHUNK = 64
"""Records that are read by the model together."""
MOST_COMPARED = 3000
"""Records, those of most doubt, that are compared with each other; keeps memory bounded."""
LIKELY = 0.3
"""A mention that is missed with so much probability counts as a type that the record may hold."""
COLUMNS = ("rank", "id", "score", "expected_errors", "per_100_chars", "doubted", "rare", "likeness", "chars", "why")
_CLINICAL = "gold"


@dataclass(frozen=True, slots=True)
class Suggested:
    """One line of the listing."""

    record: Record
    doubt: Doubt
    pick: Pick

    def figures(self, rank: int) -> dict[str, Any]:
        doubt, pick = self.doubt, self.pick
        most = sorted(doubt.doubted.items(), key=lambda kv: -kv[1])[:3]
        return {"rank": rank, "id": self.record.id, "score": round(pick.score, 3), "expected_errors": round(doubt.wrong + doubt.missed, 2),
                "per_100_chars": round(doubt.density, 2), "doubted": "、".join(f"{name} {n:.1f}" for name, n in most if n >= 0.05),
                "rare": "、".join(pick.rare), "likeness": round(pick.likeness, 2), "chars": doubt.n_chars, "why": self.why}

    @property
    def why(self) -> str:
        """For a person."""
        reasons = [f"预计约 {self.doubt.wrong + self.doubt.missed:.1f} 处错误 expected errors"]
        if self.pick.rare:
            reasons.append(f"含少见类型 rare: {'、'.join(self.pick.rare)}")
        if self.pick.likeness < 0.3:
            reasons.append("与已选病历不同 unlike the others")
        return "；".join(reasons)


def suggest(inputs: Sequence[Path], out: Path, *, count: int = 50, model: Path | None = None, labelled: Sequence[Path] = (),
            with_text: bool = False, identified: bool = False, mapping: Sequence[str] = (), encoding: str | None = None, seed: int = 0,
            progress: Progress | None = None) -> int:
    """Writes the listing (0600): ids and figures, and texts with the model's reading only where asked for.

    Args:
        inputs: files of any format that `convert` reads.
        out: `.csv`, or `.jsonl`, whose lines with texts are those of `records.jsonl`: `annotation convert` and `serve` read them.
        count: how many.
        model: model folder; None takes the shipped one.
        labelled: gold JSON Lines; records with one of these texts are not suggested, and what is like them less.
        with_text: texts and predictions too, de-identified unless `identified`; ids are then pseudonyms.
        seed: breaks ties.

    Returns:
        Number of rows that could not be read.

    Raises:
        UsageError: another ending than .csv and .jsonl, or `out` is an input.
        InputRefused: a file that cannot be used, or no record with a text.
    """
    if out.suffix not in (".csv", ".jsonl"):
        raise UsageError(f"ends in {out.suffix[:10]!r}, allowed are .csv and .jsonl", where=out.name, code="usage")
    if out.resolve() in {path.resolve() for path in (*inputs, *labelled)}:
        raise UsageError("is one of the inputs", where=out.name, hint="name another file with -o")
    known = {record.text: None for file in labelled for record in read_annotated(file)}
    records, rejected = read_records(inputs, mapping=mapping, encoding=encoding)
    distinct = list({record.text: record for record in reversed(records) if record.text not in known}.values())[::-1]
    if not distinct:
        raise InputRefused("no record that has a text and no labels", where=", ".join(p.name for p in inputs), code="no_records")
    structurer = Structurer(model)
    with progress or progress_for() as shown:
        doubts = list(_doubts(structurer, distinct, shown))
    order = sorted(range(len(distinct)), key=lambda n: -doubts[n].density)[:MOST_COMPARED]
    picks = choose([distinct[n].text for n in order], [doubts[n] for n in order], count, list(known), seed)
    chosen = [Suggested(distinct[order[p.number]], doubts[order[p.number]], p) for p in picks]
    lines = [one.figures(rank) for rank, one in enumerate(chosen, 1)]
    if with_text:
        deidentifier = None if identified else Deidentifier(read_key())
        lines = [_with_text(line, one, structurer, deidentifier) for line, one in zip(lines, chosen, strict=True)]
    write_private(out, _as_csv(lines, with_text) if out.suffix == ".csv" else
                  "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    _tell(chosen, len(records), len(distinct), rejected, out, with_text, identified)
    return rejected


def _doubts(structurer: Structurer, records: Sequence[Record], progress: Progress) -> Iterator[Doubt]:
    table = structurer.folder.card.get("transitions", {}).get(_CLINICAL)
    crf = Transitions(*(np.array(table[key], np.float32) for key in ("first", "moves", "last"))) if table else None
    for at in range(0, len(records), CHUNK):
        texts = [record.text for record in records[at : at + CHUNK]]
        scores = list(structurer.tagger.stream(texts))
        found = structurer.mentions.read(iter(scores), len(texts))
        missed: list[Counter[str]] = [Counter() for _ in texts]
        for number, _, part in scores:
            missed[number] += _missed(part, crf, {(m.start, m.end) for m in found[number]})
        for text, mentions, absent in zip(texts, found, missed, strict=True):
            wrong: Counter[str] = Counter()
            for mention in mentions:
                if mention.type in GOLD_TYPES:
                    wrong[GOLD_TYPES[mention.type]] += 1 - mention.confidence
            types = frozenset(wrong) | {name for name, n in absent.items() if n >= LIKELY}
            yield Doubt(sum(wrong.values()), sum(absent.values()), len(text), types, wrong + absent)
        progress.step(min(at + CHUNK, len(records)), 0, min(at + CHUNK, len(records)) / len(records))


def _missed(part: WindowScores, crf: Transitions | None, read: set[tuple[int, int]]) -> Counter[str]:
    """Type → expected number of mentions that begin in the window's own part where nothing was read."""
    scores, window = part.tags[_CLINICAL], part.window
    p = posteriors([scores], crf)[0] if crf is not None else np.exp(log_softmax(scores))
    free = np.zeros(len(p), bool)
    free[window.keep_start - window.start : window.keep_end - window.start] = True
    for start, end in read:
        free[max(0, start - window.start) : max(0, end - window.start)] = False
    begins = p[free][:, 1::2].sum(0)
    return Counter({label: float(n) for label, n in zip(READOUTS[_CLINICAL], begins, strict=True)})


def _with_text(line: dict[str, Any], one: Suggested, structurer: Structurer, deidentifier: Deidentifier | None) -> dict[str, Any]:
    told = structurer.structure_many([one.record])[0].to_dict()
    if deidentifier is not None:
        told = deidentify_line(told, deidentifier)
    return {**told, "suggested": {key: value for key, value in line.items() if key != "id"}}


def _as_csv(lines: Sequence[dict[str, Any]], with_text: bool) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *(["text"] if with_text else [])])
    for line in lines:
        flat = {**line.get("suggested", {}), **line}
        writer.writerow([defuse(str(flat[name])) for name in [*COLUMNS, *(["text"] if with_text else [])]])
    return "\ufeff" + text.getvalue()


def _tell(chosen: Sequence[Suggested], read: int, distinct: int, rejected: int, out: Path, with_text: bool, identified: bool) -> None:
    doubted: Counter[str] = Counter()
    for one in chosen:
        doubted.update(one.doubt.doubted)
    print(f"{read:,} records read, {rejected:,} rows rejected, {distinct:,} distinct without labels; {len(chosen)} written to {out.name}",
          file=sys.stderr)
    print("expected errors in them: " + ", ".join(f"{name} {n:.0f}" for name, n in doubted.most_common()), file=sys.stderr)
    if with_text:
        print("the file holds record text" + ("" if identified else ", de-identified, ids too: --identified leaves them as they are"),
              file=sys.stderr)

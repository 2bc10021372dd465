"""The accuracy tables: every system on the same splits in one run, trained on train alone, scored on dev.

    python -m benchmarks.accuracy [--data DIR] [--teacher DIR] [--student DIR] [--int8 DIR] [--only NAMES]
                                  [--out FILE.json] [--markdown]

Table 1, clinical records (gold/dev): field values and entities for each style and the whole, with document-bootstrap
95 % intervals. Table 2, labelled sets (ner/*.dev): strict F1 with each set's own types. Trained baselines are kept in
runs/benchmarks, so that the tables can be repeated without training.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.baselines import Fit, as_records, grammar, keywords
from benchmarks.machine import describe_line, describe_machine
from tcmstruct.errors import ModelError
from tcmstruct.evaluation import EvaluationResult, evaluate, read_annotated
from tcmstruct.evaluation.results import Estimate
from tcmstruct.pipeline import Structurer
from tcmstruct.record import StructuredRecord
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER
from tcmstruct.schema import load_schema

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TCMSTRUCT_DATA", ROOT / ".." / "shared" / "data"))
CACHE = ROOT / "runs" / "benchmarks"
NER_SETS = ("cshan", "journal", "formula")
STYLES = {"tcmchat": "in-patient", "tcmeval_sdt": "published", "best4sdt": "outpatient"}
"""Source of a gold record → style of its text, in the order of the table."""
WHOLE = "all"
NOT_BUILT = "not built"
SHIPPED = " (shipped)"
LABELLED_PASSES = 3
"""Passes of the CNN-BiLSTM-CRF over a labelled set (8 over gold, which is smaller); more would cost hours of two cores."""

FLOORS: Mapping[str, Mapping[str, float]] = {
    "in-patient": {"field_micro_f1": 0.96, "field_macro_f1": 0.92, "entity_strict_f1": 0.90, "status_accuracy": 0.96},
    "published": {"field_micro_f1": 0.91, "entity_strict_f1": 0.80, "status_accuracy": 0.96},
    "outpatient": {"field_micro_f1": 0.91, "entity_strict_f1": 0.80, "status_accuracy": 0.96},
}
"""Style → figure → the least that the shipped model is to reach."""


NOTE = ("Baselines: train alone. Teacher and students: also the texts and readings of the model card, none of dev; what was chosen or "
        "calibrated on dev stands there too. Every type and field of the guide counts, also those that dev never holds; macro-F1 "
        "is over the fields with five or more gold values in the part. ECE over the whole: raw confidences of the baselines and the "
        "teacher; of the students with calibration fitted on four fifths of dev and judged on the last, five times over.")


class NotBuilt(Exception):
    """A system of the table that is not there; its row says so."""


@dataclass(frozen=True)
class System:
    """A row of the tables.

    Attributes:
        title: as printed.
        clinical: makes the system for gold.
        labelled: makes the system for a labelled set (by name), or None where it has none.
        has_entities: whether it finds mentions.
        ece: calibration error where that of the predictions would be too kind, or None.
    """

    title: str
    clinical: Callable[[], Fit]
    labelled: Callable[[str], Fit] | None = None
    has_entities: bool = True
    ece: Callable[[Sequence[StructuredRecord]], dict[str, float]] | None = None


def systems(teacher: Path | None, student: Path | None, int8: Path | None, cache: Path | None = CACHE) -> dict[str, System]:
    """All rows by name, in the order of the table. Nothing is loaded before it is asked for."""
    schema = load_schema("all")

    def crf(with_schema: bool) -> Fit:
        from benchmarks.baselines.crf import make_fit

        return make_fit(schema if with_schema else None, cache)

    def neural(with_schema: bool) -> Fit:
        from benchmarks.baselines.cnn_bilstm_crf import Shape, make_fit

        return make_fit(schema, cache) if with_schema else make_fit(None, cache, Shape(n_passes=LABELLED_PASSES))

    def torch_teacher(readout: str) -> Fit:
        if teacher is None:
            raise NotBuilt
        from benchmarks.baselines.trained import make_teacher

        return make_teacher(teacher, schema if readout == "gold" else None, readout)

    def structurer(folder: Path | None) -> Structurer:
        try:
            return Structurer(folder)
        except ModelError as error:
            if error.code == "model_altered":
                raise
            print(str(error), file=sys.stderr)
            raise NotBuilt from None

    def exported(title: str, folder: Path | None, wanted: bool = True) -> System:
        from benchmarks.baselines.trained import cross_fitted_ece, make_student, make_student_readout

        def built() -> Structurer:
            if not wanted:
                raise NotBuilt
            return structurer(folder)

        is_shipped = wanted and (folder is None or folder.resolve() == DEFAULT_FOLDER)
        return System(title + (SHIPPED if is_shipped else ""), lambda: make_student(built()),
                      lambda name: make_student_readout(built().tagger, name), ece=lambda gold: cross_fitted_ece(built(), gold))

    return {
        "keywords": System("keywords", lambda: keywords.fit, has_entities=False),
        "lexicon": System("lexicon + schema grammar, no model", lambda: grammar.make_fit(schema)),
        "crf": System("CRF (sklearn-crfsuite)", lambda: crf(True), lambda name: crf(False)),
        "cnn_bilstm_crf": System("CNN-BiLSTM-CRF", lambda: neural(True), lambda name: neural(False)),
        "teacher": System("teacher", lambda: torch_teacher("gold"), torch_teacher),
        "student": exported("student", student),
        "int8": exported("student int8", int8, wanted=int8 is not None),
    }


def predictions(fit: Fit, train: Sequence[StructuredRecord], gold: Sequence[StructuredRecord]) -> list[StructuredRecord]:
    """Trains on `train`, reads the texts of `gold` and nothing else of it."""
    return as_records(gold, fit(train)([r.text for r in gold]))


def clinical_rows(system: System, train: Sequence[StructuredRecord], gold: Sequence[StructuredRecord],
                  n_boot: int = 1000) -> dict[str, dict[str, Any]]:
    """Style (and the whole) → figures. Every type and field of the guide counts, also those that dev never holds."""
    result = evaluate(gold, predictions(system.clinical(), train, gold), count_all=True, n_boot=n_boot)
    rows = {}
    groups = result.groups.get("source", {})
    for source in [s for s in STYLES if s in groups]:
        g = groups[source]
        rows[STYLES[source]] = {
            "n_records": g.n_records, "field_micro_f1": _estimate(g.fields.f1 if g.fields else None),
            "field_precision": _estimate(g.fields.precision if g.fields else None),
            "field_recall": _estimate(g.fields.recall if g.fields else None), "field_macro_f1": _estimate(g.macro_f1),
            **(_mention_figures(g.entities["strict"].f1 if g.entities else None, g.status_accuracy) if system.has_entities else {})}
    rows[WHOLE] = {"n_records": result.n_records, **_whole(result, system.has_entities)}
    if system.ece is not None:
        rows[WHOLE] |= {f"ece_{name}": ece for name, ece in system.ece(gold).items()}
    return rows


def _whole(result: EvaluationResult, has_entities: bool) -> dict[str, Any]:
    fields, calibration = result.fields, result.calibration
    out: dict[str, Any] = {}
    if fields:
        out |= {"field_micro_f1": _estimate(fields.micro.f1), "field_precision": _estimate(fields.micro.precision),
                "field_recall": _estimate(fields.micro.recall), "field_macro_f1": _estimate(fields.macro_f1),
                "macro_fields": fields.macro_fields}
    if has_entities:
        out |= _mention_figures(result.entities["strict"].f1, result.status.accuracy if result.status else None)
    return out | {f"ece_{name}": c.ece for name, c in calibration.items()}


def _mention_figures(strict: Estimate | None, status: Estimate | None) -> dict[str, Any]:
    return {"entity_strict_f1": _estimate(strict), "status_accuracy": _estimate(status)}


def _estimate(estimate: Estimate | None) -> list[float | None] | None:
    """[value, low, high] of the 95 % interval."""
    return None if estimate is None else [estimate.value, estimate.low, estimate.high]


def labelled_row(fit: Fit, train: Sequence[StructuredRecord], gold: Sequence[StructuredRecord], n_boot: int = 1000) -> dict[str, Any]:
    """Strict F1 on one labelled set with its own types."""
    result = evaluate(gold, predictions(fit, train, gold), raw_types=True, n_boot=n_boot)
    return {"n_records": result.n_records, "entity_strict_f1": _estimate(result.entities["strict"].f1)}


# ---------------------------------------------------------------- printing

FIGURES = {"field_micro_f1": "field micro-F1", "field_macro_f1": "field macro-F1", "entity_strict_f1": "entity strict F1",
           "status_accuracy": "status acc.", "ece_entities": "ECE entities", "ece_fields": "ECE fields"}
_WITH_INTERVAL = ("field_micro_f1", "entity_strict_f1")


def cell(value: Any, interval: bool = True) -> str:
    """0.912 [0.901, 0.923]; – where there is nothing to say."""
    if isinstance(value, list):
        point, low, high = value
        if point is None:
            return "–"
        return f"{point:.3f}" + (f" [{low:.3f}, {high:.3f}]" if interval and low is not None else "")
    return "–" if value is None else f"{value:.3f}"


def clinical_table(rows: Mapping[str, Mapping[str, Any] | str], titles: Mapping[str, str]) -> list[list[str]]:
    """Head and lines: styles one after the other, the systems in each."""
    table = [["style (records)", "system", *FIGURES.values()]]
    styles = [*STYLES.values(), WHOLE]
    for style in styles:
        n = next((row[style]["n_records"] for row in rows.values() if not isinstance(row, str) and style in row), None)
        if n is None:
            continue
        for name, row in rows.items():
            if isinstance(row, str):
                table.append([f"{style} ({n})", titles[name], row, *[""] * (len(FIGURES) - 1)])
            elif style in row:
                cells = [cell(row[style].get(key), key in _WITH_INTERVAL) for key in FIGURES]
                table.append([f"{style} ({n})", titles[name], *cells])
    return table


def labelled_table(rows: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str]) -> list[list[str]]:
    """Head and lines: a system a line, a labelled set a column."""
    sets = [s for s in NER_SETS if any(s in row for row in rows.values())]
    counts = {s: next((r[s]["n_records"] for r in rows.values() if isinstance(r.get(s), dict)), "–") for s in sets}
    return [["system", *[f"{s} ({counts[s]})" for s in sets]],
            *[[titles[name], *[row[s] if isinstance(row[s], str) else cell(row[s]["entity_strict_f1"]) for s in sets]]
              for name, row in rows.items()]]


def floors_table(row: Mapping[str, Any]) -> list[list[str]]:
    """What the shipped model is to reach on each style, and whether it does."""
    table = [["style", "figure", "floor", "measured", ""]]
    for style, floors in FLOORS.items():
        for key, floor in floors.items():
            found = row.get(style, {}).get(key)
            if found and found[0] is not None:
                table.append([style, FIGURES[key], f"{floor:.2f}", cell(found), "met" if found[0] >= floor else "missed"])
    return table


def render(table: Sequence[Sequence[str]], markdown: bool) -> str:
    """Markdown, or columns for a terminal."""
    if markdown:
        lines = ["| " + " | ".join(row) + " |" for row in table]
        return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])
    widths = [max(_width(row[i]) for row in table) for i in range(len(table[0]))]
    return "\n".join("  ".join(text + " " * (w - _width(text)) for text, w in zip(row, widths, strict=True)).rstrip() for row in table)


def _width(text: str) -> int:
    return sum(2 if "\u2e80" <= c <= "\uffef" else 1 for c in text)


# ---------------------------------------------------------------- command

def run(data: Path, chosen: Mapping[str, System], ner: Iterable[str] = NER_SETS, n_boot: int = 1000) -> dict[str, Any]:
    """Both tables as plain data."""
    train, gold = read_annotated(data / "gold" / "train.jsonl"), read_annotated(data / "gold" / "dev.jsonl")
    clinical: dict[str, Any] = {}
    labelled: dict[str, Any] = {}
    for name, system in chosen.items():
        clinical[name] = _try(name, "gold", lambda s=system: clinical_rows(s, train, gold, n_boot))
    for set_name in ner:
        set_train, set_gold = (read_annotated(data / "ner" / f"{set_name}.{split}.jsonl") for split in ("train", "dev"))
        for name, system in chosen.items():
            if system.labelled is not None:
                labelled.setdefault(name, {})[set_name] = _try(
                    name, set_name, lambda s=system, n=set_name, t=set_train, g=set_gold: labelled_row(s.labelled(n), t, g, n_boot))
    return {"clinical": clinical, "labelled": labelled}


def _try(name: str, what: str, job: Callable[[], dict[str, Any]]) -> dict[str, Any] | str:
    began = time.monotonic()
    try:
        figures: dict[str, Any] | str = job()
    except NotBuilt:
        figures = NOT_BUILT
    note = f" ({figures})" if isinstance(figures, str) else ""
    print(f"{name} on {what}: {time.monotonic() - began:.0f} s{note}", file=sys.stderr, flush=True)
    return figures


def parse_systems(arguments: argparse.Namespace) -> dict[str, System]:
    """The systems that the common options choose."""
    known = systems(arguments.teacher, arguments.student, arguments.int8, arguments.cache)
    names = arguments.only.split(",") if arguments.only else list(known)
    unknown = [n for n in names if n not in known]
    if unknown:
        raise SystemExit(f"unknown system {', '.join(unknown)}; allowed: {', '.join(known)}")
    return {n: known[n] for n in known if n in names}


def common_options(parser: argparse.ArgumentParser) -> None:
    """Options that both accuracy benchmarks have."""
    parser.add_argument("--data", type=Path, default=DATA, help="data folder (default: TCMSTRUCT_DATA)")
    parser.add_argument("--teacher", type=Path, help="checkpoint folder of the teacher")
    parser.add_argument("--student", type=Path, help="model folder (default: the shipped one)")
    parser.add_argument("--int8", type=Path, help="model folder of the quantised student")
    parser.add_argument("--only", default="", help="systems, comma-separated")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where trained baselines are kept")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--markdown", action="store_true", help="tables as Markdown")
    parser.add_argument("--n-boot", type=int, default=1000, help="resamples of the documents")


def write_json(path: Path, figures: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(figures, ensure_ascii=False, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    common_options(parser)
    parser.add_argument("--ner", default=",".join(NER_SETS), help="labelled sets of table 2, comma-separated ('' for none)")
    arguments = parser.parse_args()
    if not (arguments.data / "gold" / "dev.jsonl").exists():
        raise SystemExit("the labelled records are not there: set TCMSTRUCT_DATA or give --data")
    chosen = parse_systems(arguments)
    machine = describe_machine()
    figures = run(arguments.data, chosen, [n for n in arguments.ner.split(",") if n], arguments.n_boot)
    titles = {name: system.title for name, system in chosen.items()}
    heading = "### " if arguments.markdown else ""
    print(f"{describe_line(machine)}\n")
    print(f"{heading}Clinical records: gold/dev, 95 % intervals by document bootstrap\n")
    print(render(clinical_table(figures["clinical"], titles), arguments.markdown))
    if figures["labelled"]:
        print(f"\n{heading}Labelled sets: strict F1 on dev, each set's own types\n")
        print(render(labelled_table(figures["labelled"], titles), arguments.markdown))
    print(f"\n{NOTE}")
    for name, title in titles.items():
        if title.endswith(SHIPPED) and isinstance(figures["clinical"][name], dict):
            print(f"\n{heading}Floors: {title}\n")
            print(render(floors_table(figures["clinical"][name]), arguments.markdown))
    if arguments.out:
        write_json(arguments.out, {"machine": machine, **figures})


if __name__ == "__main__":
    main()

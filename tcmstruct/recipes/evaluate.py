"""`tcmstruct evaluate GOLD PRED`: how far the predictions can be trusted."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path

from rich.console import Console

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import EvaluationResult, evaluate, list_errors, read_annotated
from tcmstruct.evaluation.page import render_page
from tcmstruct.evaluation.table import as_tables
from tcmstruct.record import StructuredRecord
from tcmstruct.whole_file import whole_file

_MIN_WIDTH = 120
"""Columns of a table that is not shown on a terminal (a pipe or a file has no width of its own)."""


def evaluate_files(gold: Path, pred: Path, *, against: Path | None = None, train: Path | None = None,
                   json_out: bool = False, html: Path | None = None, errors: Path | None = None, context: int = 20,
                   raw_types: bool = False, count_all: bool = False, min_gold: int = 5, n_boot: int = 1000,
                   seed: int = 0) -> EvaluationResult:
    """Compares two JSONL files and prints the figures on stdout, warnings on stderr.

    Args:
        gold: annotated records (a gold file, an NER set, or a `records.jsonl`).
        pred: predictions on the same texts: JSONL, or the output folder of `convert`.
        against: a second system's predictions, for the paired difference.
        train: the file that was trained on, for seen and unseen mentions.
        json_out: print JSON instead of tables.
        html: write a self-contained page there (0600; figures only).
        errors: write every error with its words there, one JSON object a line (0600; holds record text).
        context: characters of text on either side of an error.
        raw_types: compare types as they stand.
        count_all: what gold never holds is spurious (for a gold file that annotates the whole guide).
        min_gold: gold values a field needs to enter macro-F1.
        n_boot: resamples; 0 for none.
        seed: of the resamples.

    Returns:
        The figures that were printed.

    Raises:
        InputRefused: a file that cannot be used, or files that do not belong together.
        UsageError: an output that would overwrite an input or another output, or a number out of range.
    """
    inputs = {"gold": gold, "pred": pred, "against": against, "train": train}
    paths = {role: _file(path) for role, path in inputs.items() if path is not None}
    _check_outputs([path for path in (html, errors) if path is not None], list(paths.values()))
    if context < 0:
        raise UsageError(f"context is {context}, allowed is 0 or more characters")
    records = {role: read_annotated(path) for role, path in paths.items()}
    result = evaluate(records["gold"], records["pred"], against=records.get("against"), train=records.get("train"),
                      raw_types=raw_types, count_all=count_all, min_gold=min_gold, n_boot=n_boot, seed=seed)
    result = dataclasses.replace(result, inputs={role: _describe(paths[role], records[role]) for role in paths})

    for line in result.warnings:
        print(f"warning: {line}", file=sys.stderr)
    if errors is not None:
        cases = list_errors(records["gold"], records["pred"], context=context, raw_types=raw_types,
                            count_all=count_all)
        write_private(errors, "".join(json.dumps(case.to_dict(), ensure_ascii=False) + "\n" for case in cases))
        print(f"{len(cases)} errors written to {errors} (holds record text)", file=sys.stderr)
    if html is not None:
        write_private(html, render_page(result))
        print(f"page written to {html}", file=sys.stderr)
    if json_out:
        print(json.dumps(result.to_dict(), ensure_ascii=False, indent=2, allow_nan=False))
    else:
        console = Console(file=sys.stdout, highlight=False)
        if not console.is_terminal:
            console.width = max(console.width, _MIN_WIDTH)
        console.print(as_tables(result))
    return result


def write_private(path: Path, text: str) -> None:
    """Writes UTF-8 text that only its owner may read (0600), whole or not at all.

    Raises:
        InputRefused: the place cannot be written.
    """
    try:
        with whole_file(path) as out:
            out.write(text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise InputRefused(f"cannot be written: {error.strerror}", where=str(path), code="unwritable") from None


def _file(path: Path) -> Path:
    return path / "records.jsonl" if path.is_dir() else path


def _check_outputs(outputs: list[Path], inputs: list[Path]) -> None:
    taken = {path.resolve() for path in inputs}
    for path in outputs:
        if path.resolve() in taken:
            raise UsageError("is an input or another output of this call", where=str(path),
                             hint="choose another name")
        taken.add(path.resolve())


def _describe(path: Path, records: list[StructuredRecord]) -> dict[str, str | int | list[str]]:
    made_by = sorted({name for record in records for name in (record.model, record.schema) if name})
    described: dict[str, str | int | list[str]] = {"name": path.name, "records": len(records),
                                                   "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    if made_by:
        described["made_by"] = made_by
    return described

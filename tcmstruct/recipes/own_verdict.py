"""From trained weights to a model folder that takes the current one's place, or a refusal with its figures."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tcmstruct.compression.export import export
from tcmstruct.compression.quantise import quantise
from tcmstruct.evaluation import EvaluationResult, evaluate
from tcmstruct.labels import GOLD_TYPES, READOUTS
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.acceptance import Check, Verdict, judge, predict
from tcmstruct.recipes.calibrate import fit, judged
from tcmstruct.recipes.own_run import aside_of
from tcmstruct.record import StructuredRecord
from tcmstruct.runtime.model_folder import amend_card
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.own_labels import CLINICAL

LEAST_KEPT = 0.9
"""Strict F1 of what no label speaks of, with the current model's reading as gold: below it too much was forgotten."""
LEAST_OTHERS = 20
"""Mentions that no label speaks of, read by either model, from which that figure is more than chance."""
N_BOOT = 2000
MAIN = "entities_strict_f1"
NOT_WORSE = {"status_accuracy": "status accuracy", "fields_micro_f1": "field micro-F1"}
"""Figures in which the new model must not be shown to be worse."""
CARRIED = ("name", "not_a_diagnostic_device", "review_below", "side_threshold", "min_probability", "calibration")
"""Keys of the current card that hold for the new model too."""


@dataclass(frozen=True, slots=True)
class Compared:
    """New model against the current one on records that neither training nor tuning saw.

    Attributes:
        new, current: figures of each; `new.differences` holds the paired differences. None without labelled records.
        kept: strict F1 of what is not labelled, with the current model's reading as gold; None where hardly any is read.
        checks: what decides.
        gate: of the int8 graph against its fp32 parent.
    """

    new: EvaluationResult | None
    current: EvaluationResult | None
    kept: float | None
    checks: tuple[Check, ...]
    gate: Verdict
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def better(self) -> bool:
        return all(check.ok for check in self.checks)

    @property
    def reason(self) -> str:
        return "; ".join(f"{c.what} {c.found}, asked {c.allowed}" for c in self.checks if not c.ok)

    def to_dict(self) -> dict[str, Any]:
        return {"better": self.better, "checks": [[c.what, c.found, c.allowed, c.ok] for c in self.checks], "gate": self.gate.to_card(),
                "kept": self.kept, "new": None if self.new is None else self.new.to_dict(),
                "current": None if self.current is None else self.current.to_dict(), **self.more}


def make_folder(checkpoint: Path, current: Structurer, lexicon: Lexicon | None, texts: Sequence[str], work: Path,
                card: Mapping[str, Any]) -> tuple[Path, Verdict]:
    """Exports the checkpoint, in int8 where that passes the gate of `recipes.acceptance`, else in fp32.

    Args:
        current: whose card's decoding, calibration and thresholds are carried over.
        texts: every second fixes the ranges of the int8 activations, the others judge.
        work: folder to write into.
        card: provenance, added to the card.
    """
    fp32, narrow = work / "fp32", work / "model"
    held = current.folder.card
    carried = {key: held[key] for key in CARRIED if key in held}
    export(checkpoint, fp32, lexicon=lexicon, card={**carried, **card, "precision": "fp32"}, window_chars=held["window_chars"],
           window_overlap_chars=held["window_overlap_chars"])
    quantise(fp32, narrow, texts[::2])
    gate = judge(fp32, narrow, texts[1::2] or texts)
    if not gate.accepted:
        shutil.rmtree(narrow)
        shutil.copytree(fp32, narrow)
    shutil.rmtree(fp32)
    amend_card(narrow, accepted=gate.to_card())
    return narrow, gate


def recalibrate(folder: Path, tune: Sequence[StructuredRecord]) -> list[str]:
    """Fits what a confidence means on the tuning records, for the groups that have enough of them; the others keep the map they had.
    Returns the groups' names."""
    structurer = Structurer(folder, threads=1)
    labelled = {m.type for g in tune for m in g.entities}
    if not any(m.status for g in tune for m in g.entities):
        labelled -= {"症状"}  # a reading tells a status too; without labels of it nobody knows whether it is right
    asked = {f"entity:{name}" for name in labelled}
    with_fields = any(g.fields for g in tune)
    tables = fit([e for e in judged(structurer, tune) if e.name in asked or (with_fields and e.name.startswith("field:"))])
    if labelled != set(READOUTS[CLINICAL]):
        tables.pop("entity", None)  # of some types alone; it would speak for all
    if tables:
        amend_card(folder, calibration={**structurer.folder.card.get("calibration", {}), **tables})
    return sorted(tables)


def compare(new: Path, current: Structurer, gold: Sequence[StructuredRecord], types: Sequence[str], gate: Verdict) -> Compared:
    """Both models on labelled records; the new one is better where the interval of the difference lies above 0.

    Args:
        gold: labelled records that judge; only `types` of them are labelled.
    """
    candidate = Structurer(new, threads=1)
    read_new, read_old = predict(candidate, gold), predict(current, gold)
    result = evaluate(gold, read_new, against=read_old, n_boot=N_BOOT)
    before = evaluate(gold, read_old, n_boot=N_BOOT)
    kept = agreement(read_new, read_old, types)
    return Compared(result, before, kept, (_gain(result), *_not_worse(result), *_kept(kept)), gate)


def compare_readings(new: Path, current: Structurer, texts: Sequence[str], gate: Verdict, lm: tuple[float, float]) -> Compared:
    """Both models on texts without labels: nothing may be lost, and masked words of the hospital's text must be guessed better. Whether
    findings are read better cannot be seen without labels.

    Args:
        texts: that were not learnt from.
        lm: loss of masked words in them, of the new model and of the current one.
    """
    records = [StructuredRecord(str(n), text) for n, text in enumerate(texts)]
    old = predict(current, records)
    same = evaluate(old, predict(Structurer(new, threads=1), records), raw_types=True, n_boot=0).entities["strict"].f1.value or 0.0
    checks = (Check("masked words of held-out texts, loss", f"{lm[1]:.3f} → {lm[0]:.3f}", "lower than the current model's", lm[0] < lm[1]),
              Check("mentions as the current model reads them, strict F1", f"{same:.3f}", f"at least {LEAST_KEPT}", same >= LEAST_KEPT))
    return Compared(None, None, same, checks, gate)


def agreement(new: Sequence[StructuredRecord], old: Sequence[StructuredRecord], labelled: Sequence[str]) -> float | None:
    """Strict F1 of the mentions that no label speaks of, the old reading as gold; None where both models read fewer than `LEAST_OTHERS`."""
    def others(records: Sequence[StructuredRecord]) -> list[StructuredRecord]:
        return [StructuredRecord(r.id, r.text, [m for m in r.entities if GOLD_TYPES.get(m.type) not in labelled]) for r in records]

    before, after = others(old), others(new)
    if max(sum(len(r.entities) for r in records) for records in (before, after)) < LEAST_OTHERS:
        return None
    if not any(r.entities for r in before):
        return 0.0
    return evaluate(before, after, raw_types=True, n_boot=0).entities["strict"].f1.value


def _gain(result: EvaluationResult) -> Check:
    d = result.differences[MAIN]
    low, high = d.difference.low, d.difference.high
    told = (f"{_number(d.against)} → {_number(d.pred)}, {100 * (d.difference.value or 0):+.1f} points"
            + (f" (95 %: {100 * low:+.1f} to {100 * high:+.1f})" if low is not None else " (no interval: one record holds all)"))
    return Check("entity strict F1 on the held-out records", told, "interval above 0", low is not None and low > 0)


def _not_worse(result: EvaluationResult) -> list[Check]:
    out = []
    for key, name in NOT_WORSE.items():
        d = result.differences.get(key)
        if d is not None and d.difference.value is not None:
            high = d.difference.high if d.difference.high is not None else d.difference.value
            told = f"{_number(d.against)} → {_number(d.pred)}, {100 * d.difference.value:+.1f} points"
            out.append(Check(name, told, "not shown to be worse", high >= 0))
    return out


def _kept(kept: float | None) -> list[Check]:
    return [] if kept is None else [Check("what is not labelled, as the current model reads it, strict F1", f"{kept:.3f}",
                                          f"at least {LEAST_KEPT}", kept >= LEAST_KEPT)]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def install(made: Path, out: Path) -> None:
    """Puts the folder in its place; what stood there goes only once the new one is whole beside it."""
    aside = aside_of(out)
    shutil.rmtree(aside, ignore_errors=True)
    if out.exists():
        out.rename(aside)
    made.rename(out)
    shutil.rmtree(aside, ignore_errors=True)


def tell(compared: Compared, report: Path) -> None:
    """The verdict on stderr."""
    for check in compared.checks:
        print(check, file=sys.stderr)
    print(f"int8 gate: {'passed' if compared.gate.accepted else 'not passed, the graph stays fp32'}", file=sys.stderr)
    print(f"report: {report}", file=sys.stderr)

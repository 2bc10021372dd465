"""Is a compressed model good enough to take its parent's place? One gate, for what is shipped and for `tcmstruct quantize`.

An artefact is accepted only if, in this very run,
- the trained model (where a checkpoint is given), its fp32 graph and the artefact agree: entity strict F1 on labelled records differs by at
  most 0.3 points from the parent's;
- it is smaller on disk than its parent;
- it is faster than its parent: paired, alternating passes over the same texts; the lower end of the ratio's interval lies above 1.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.errors import UsageError
from tcmstruct.evaluation import evaluate, read_annotated
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.tagger import OnnxTagger

MOST_F1_CHANGE = 0.003
"""Entity strict F1 may change by so much against the fp32 parent."""
LEAST_SAME = 0.97
"""Where no labelled records are given: strict F1 of the artefact's mentions with the parent's as gold. A mention that both read alike
cannot change F1; the shipped static int8 model reaches 0.99."""
REPETITIONS = 9
SPEED_CHARS = 8_000
"""Characters of one timed pass."""


@dataclass(frozen=True, slots=True)
class Check:
    """One number against what is allowed."""

    what: str
    found: str
    allowed: str
    ok: bool

    def __str__(self) -> str:
        return f"{'ok' if self.ok else 'REFUSED':8s}{self.what}: {self.found} (allowed: {self.allowed})"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate found."""

    checks: tuple[Check, ...]

    @property
    def accepted(self) -> bool:
        return all(check.ok for check in self.checks)

    def to_card(self) -> dict[str, Any]:
        """For `card.json`: what was found against what was allowed."""
        return {"accepted": self.accepted, **{c.what: {"found": c.found, "allowed": c.allowed, "ok": c.ok} for c in self.checks}}

    def __str__(self) -> str:
        return "\n".join([*map(str, self.checks), "accepted" if self.accepted else "not accepted"])


@dataclass(frozen=True, slots=True)
class Ratio:
    """Parent's time over the artefact's, of paired passes: median, and a 95 % interval by resampling the pairs."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} × (95 %: {self.low:.2f}–{self.high:.2f})"


def judge(parent: Path, artefact: Path, texts: Sequence[str], *, labelled: Sequence[StructuredRecord] | None = None,
          checkpoint: Path | None = None, backend: str | None = None, repetitions: int = REPETITIONS) -> Verdict:
    """Measures an artefact against its parent.

    Args:
        parent: fp32 model folder.
        artefact: the folder made from it.
        texts: records for the measurement of speed, and of agreement where there are no labelled ones. Not those that fixed ranges.
        labelled: annotated records; F1 is measured on them.
        checkpoint: trained tagger that the parent was exported from.
        backend: that both run on; None: onnxruntime.
        repetitions: timed passes of each; at least 5.

    Raises:
        UsageError: no texts, or fewer than five repetitions.
    """
    if not any(text.strip() for text in texts):
        raise UsageError("no texts to measure speed on", where="acceptance", code="no_texts", hint="give records with --texts FILE")
    if repetitions < 5:
        raise UsageError(f"{repetitions} repetitions, at least 5 are needed for an interval", where="acceptance")
    name = backend or "onnxruntime"
    own, candidate = (Structurer(folder, threads=1, backend=name) for folder in (parent, artefact))
    checks = []
    if labelled is not None:
        f1_parent = entity_f1(labelled, predict(own, labelled))
        if checkpoint is not None:
            f1_torch = entity_f1(labelled, _torch(parent, checkpoint, labelled))
            checks.append(_agrees("entity strict F1, torch against fp32 ONNX", f1_torch, f1_parent))
        checks.append(_agrees("entity strict F1, artefact against fp32 ONNX", entity_f1(labelled, predict(candidate, labelled)), f1_parent))
    else:
        records = [StructuredRecord(str(n), text) for n, text in enumerate(texts)]
        same = entity_f1(predict(own, records), predict(candidate, records))
        checks.append(Check("mentions as the parent reads them, strict F1 (no labelled records)", f"{same:.4f}", f"at least {LEAST_SAME}",
                            same >= LEAST_SAME))
    sizes = [size_of(folder) for folder in (parent, artefact)]
    checks.append(Check("size on disk", f"{sizes[1] / 1e6:.2f} MB", f"less than the parent's {sizes[0] / 1e6:.2f} MB", sizes[1] < sizes[0]))
    ratio = speed_ratio(own.tagger, candidate.tagger, _some(texts), repetitions, wall=name == "cuda")
    checks.append(Check("speed against the parent", f"{ratio} in {repetitions} pairs", "interval above 1 ×", ratio.low > 1))
    return Verdict(tuple(checks))


def _agrees(what: str, found: float, parent: float) -> Check:
    change = found - parent
    return Check(what, f"{found:.4f} against {parent:.4f}, {100 * change:+.2f} points", f"±{100 * MOST_F1_CHANGE:.1f} points",
                 abs(change) <= MOST_F1_CHANGE + 1e-9)


def _torch(parent: Path, checkpoint: Path, labelled: Sequence[StructuredRecord]) -> list[StructuredRecord]:
    from tcmstruct.compression.torch_session import TorchSession

    structurer = Structurer(parent, threads=1, backend="onnxruntime")
    structurer.tagger = OnnxTagger(structurer.folder, threads=1, session=TorchSession(checkpoint, list(structurer.folder.card["readouts"])))
    return predict(structurer, labelled)


def predict(structurer: Structurer, gold: Sequence[StructuredRecord]) -> list[StructuredRecord]:
    return structurer.structure_many([Record(g.id, g.text) for g in gold])


def entity_f1(gold: Sequence[StructuredRecord], predicted: Sequence[StructuredRecord]) -> float:
    """Strict micro-F1 of mentions."""
    return evaluate(list(gold), list(predicted), n_boot=0).entities["strict"].f1.value or 0.0


def size_of(folder: Path) -> int:
    """Bytes of a model folder's graph: all else is the same in parent and artefact, or says how it was judged."""
    return (folder / "model.onnx").stat().st_size


def _some(texts: Sequence[str]) -> list[str]:
    """Texts of about `SPEED_CHARS` characters together, spread over all."""
    taken, held, step = [], 0, max(1, len(texts) // 64)
    for text in [text for at in range(step) for text in texts[at::step] if text.strip()]:
        if held >= SPEED_CHARS:
            break
        taken.append(text[:SPEED_CHARS])
        held += len(taken[-1])
    return taken


def speed_ratio(parent: OnnxTagger, artefact: OnnxTagger, texts: Sequence[str], repetitions: int, wall: bool = False) -> Ratio:
    """How many times faster `artefact` computes the scores of `texts`; the two take turns, so that other load meets both.

    Args:
        wall: time by the clock, for a graphics card; else by processor time, which other load hardly touches (one thread).
    """
    clock = time.perf_counter if wall else time.process_time
    for tagger in (parent, artefact):
        _drain(tagger, texts)
    ratios = []
    for n in range(repetitions):
        pair = ((parent, artefact), (artefact, parent))[n % 2]
        spent = {id(tagger): _timed(clock, tagger, texts) for tagger in pair}
        ratios.append(spent[id(parent)] / max(spent[id(artefact)], 1e-9))
    return ratio_of(ratios)


def ratio_of(ratios: Sequence[float], draws: int = 2000, seed: int = 0) -> Ratio:
    """Median of paired ratios and its 95 % percentile interval."""
    values = np.asarray(ratios, np.float64)
    drawn = np.random.default_rng(seed).integers(0, len(values), (draws, len(values)))
    low, high = np.percentile(np.median(values[drawn], axis=1), (2.5, 97.5))
    return Ratio(statistics.median(ratios), float(low), float(high))


def _timed(clock: Callable[[], float], tagger: OnnxTagger, texts: Sequence[str]) -> float:
    began = clock()
    _drain(tagger, texts)
    return clock() - began


def _drain(tagger: OnnxTagger, texts: Sequence[str]) -> None:
    for _ in tagger.stream(texts):
        pass


def read_labelled(file: Path) -> list[StructuredRecord]:
    """Annotated records that hold their texts.

    Raises:
        UsageError: none of them has an annotated mention.
        InputRefused: the file cannot be read.
    """
    records = read_annotated(file)
    if not any(record.entities for record in records):
        raise UsageError("no record has an annotated mention", where=file.name, code="not_labelled",
                         hint="give a gold file (docs/evaluation.md), or leave --labelled out")
    return records

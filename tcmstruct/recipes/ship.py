"""From a trained student to the shipped folder: export, quantise, choose the thresholds on dev, calibrate, write the card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tcmstruct.compression.export import export
from tcmstruct.compression.quantise import quantise
from tcmstruct.evaluation import evaluate, read_annotated
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.calibrate import fit, judged
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.model_folder import write_manifest
from tcmstruct.text.lexicon import Lexicon

THRESHOLDS = (0.0, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5)


REVIEW_BELOW = 0.9
"""Calibrated confidence below which a value is marked for review: more than one in ten of such values is wrong."""
MOST_F1_LOST = 0.003
"""An int8 model that loses more entity F1 on dev than this is not shipped; the fp32 one is."""


def ship(checkpoint: Path, out: Path, lexicon: Lexicon | None, dev: Path, texts: Sequence[str], fp32: Path) -> Path:
    """Writes the model folder `out` from `checkpoint`, and its fp32 parent to `fp32`.

    Args:
        texts: training records; they fix the ranges of the int8 activations.
        dev: gold records that chose the model; they choose the threshold of a mention and the calibration.
    """
    card: dict[str, Any] = {"name": "tcmstruct text", "not_a_diagnostic_device": True, "card": "docs/model-card.md",
                            "review_below": {"field": REVIEW_BELOW, "entity": REVIEW_BELOW}, "side_threshold": 0.6}
    export(checkpoint, fp32, lexicon=lexicon, card={**card, "precision": "fp32"})
    gold = read_annotated(dev)
    quantise(fp32, out, texts[:: max(1, len(texts) // 100)])
    _amend(out, precision="int8, static ranges")
    before, after = (entity_f1(gold, predict(Structurer(f), gold)) for f in (fp32, out))
    print(f"entity F1 on dev: fp32 {before:.4f}, int8 {after:.4f}")
    if before - after > MOST_F1_LOST or (out / "model.onnx").stat().st_size > (fp32 / "model.onnx").stat().st_size:
        shutil.rmtree(out)
        shutil.copytree(fp32, out)
    scores = {}
    for threshold in THRESHOLDS:
        _amend(out, min_probability=threshold)
        scores[threshold] = entity_f1(gold, predict(Structurer(out), gold))
    best = max(scores, key=lambda t: scores[t])
    _amend(out, min_probability=best)
    examples = judged(Structurer(out), gold)
    tables = fit(examples)
    _amend(out, calibration=tables, chosen_on_dev={"entity_strict_f1_by_min_probability": {str(t): round(f, 4) for t, f in scores.items()}})
    return out


def predict(structurer: Structurer, gold: list[StructuredRecord]) -> list[StructuredRecord]:
    return structurer.structure_many([Record(g.id, g.text) for g in gold])


def entity_f1(gold: list[StructuredRecord], predicted: list[StructuredRecord]) -> float:
    """Strict micro-F1 of mentions."""
    return evaluate(gold, predicted, n_boot=0).entities["strict"].f1.value or 0.0


def _amend(folder: Path, **changes: Any) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, **changes}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    write_manifest(folder)

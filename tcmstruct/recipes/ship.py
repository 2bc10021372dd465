"""From a trained student to the shipped folder: export, quantise, choose the thresholds on dev, calibrate, write the card."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tcmstruct.compression.export import export
from tcmstruct.compression.quantise import quantise
from tcmstruct.evaluation import read_annotated
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.acceptance import entity_f1, judge, predict
from tcmstruct.recipes.calibrate import fit, judged
from tcmstruct.runtime.model_folder import amend_card
from tcmstruct.text.lexicon import Lexicon

THRESHOLDS = (0.0, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5)

REVIEW_BELOW = 0.9
"""Calibrated confidence below which a value is marked for review: more than one in ten of such values is wrong."""


def ship(checkpoint: Path, out: Path, lexicon: Lexicon | None, dev: Path, texts: Sequence[str], fp32: Path) -> Path:
    """Writes the model folder `out` from `checkpoint`, and its fp32 parent to `fp32`. An int8 model that does not pass the gate of
    `recipes.acceptance` is not shipped; the fp32 one is. The card says what was found either way.

    Args:
        texts: training records; they fix the ranges of the int8 activations.
        dev: gold records that chose the model; they choose the threshold of a mention and the calibration.
    """
    card: dict[str, Any] = {"name": "tcmstruct text", "not_a_diagnostic_device": True, "card": "docs/model-card.md",
                            "review_below": {"field": REVIEW_BELOW, "entity": REVIEW_BELOW}, "side_threshold": 0.6}
    export(checkpoint, fp32, lexicon=lexicon, card={**card, "precision": "fp32"})
    gold = read_annotated(dev)
    quantise(fp32, out, texts)
    verdict = judge(fp32, out, [g.text for g in gold], labelled=gold, checkpoint=checkpoint)
    print(verdict)
    if not verdict.accepted:
        shutil.rmtree(out)
        shutil.copytree(fp32, out)
    amend_card(out, accepted=verdict.to_card())
    scores = {}
    for threshold in THRESHOLDS:
        amend_card(out, min_probability=threshold)
        scores[threshold] = entity_f1(gold, predict(Structurer(out), gold))
    best = max(scores, key=lambda t: scores[t])
    amend_card(out, min_probability=best)
    examples = judged(Structurer(out), gold)
    tables = fit(examples)
    amend_card(out, calibration=tables,
               chosen_on_dev={"entity_strict_f1_by_min_probability": {str(t): round(f, 4) for t, f in scores.items()}})
    return out

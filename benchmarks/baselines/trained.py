"""The package's own models behind the same interface: a torch checkpoint (teacher) and a model folder (student)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.baselines import Fit, Found, Predict, with_fields
from tcmstruct.evaluation.calibration import calibrate
from tcmstruct.labels import READOUTS
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Mention, Record, StructuredRecord
from tcmstruct.runtime.decode import greedy_spans
from tcmstruct.runtime.mentions import Calibration
from tcmstruct.runtime.tagger import OnnxTagger
from tcmstruct.schema import Schema


def make_teacher(folder: Path, schema: Schema | None, readout: str = "gold") -> Fit:
    """A checkpoint folder read by torch; confidences are raw (calibration comes with the shipped model).

    Args:
        readout: whose labels are read; "gold" has status.
    """
    from tcmstruct.model.checkpoint import load_tagger
    from tcmstruct.text.characters import CharacterTable
    from tcmstruct.text.lexicon import Lexicon
    from tcmstruct.training.tagging import predict_entities

    def fit(train: Sequence[StructuredRecord]) -> Predict:
        """Trained already, on the training sets alone."""
        model = load_tagger(folder).eval()
        table = CharacterTable.load(folder / "characters.txt")
        lexicon = Lexicon.load(folder / "lexicon.txt") if (folder / "lexicon.txt").exists() else None

        def read(text: str) -> Found:
            found = predict_entities(model, table, text, readout, lexicon=lexicon)
            return with_fields(schema, text, [Mention(e["type"], e["start"], e["end"], e["status"], e["confidence"]) for e in found])

        return lambda texts: [read(text) for text in texts]

    return fit


def make_student(structurer: Structurer) -> Fit:
    """The pipeline as users run it."""

    def fit(train: Sequence[StructuredRecord]) -> Predict:
        """Trained already, on the training sets alone."""
        def predict(texts: Sequence[str]) -> list[Found]:
            results = structurer.structure_many([Record(str(i), text) for i, text in enumerate(texts)])
            return [Found(r.entities, r.fields) for r in results]

        return predict

    return fit


def make_student_readout(tagger: OnnxTagger, readout: str) -> Fit:
    """One readout of the exported model, with the types of its own labelled set."""
    labels = list(READOUTS[readout])

    def fit(train: Sequence[StructuredRecord]) -> Predict:
        """Trained already, on the training sets alone."""
        def predict(texts: Sequence[str]) -> list[Found]:
            return [Found([Mention(labels[s.label], w.start + s.start, w.start + s.end, None, s.probability)
                           for part in parts for w in [part.window] for s in greedy_spans(part.tags[readout])
                           if w.keep_start <= w.start + s.start < w.keep_end])
                    for parts in tagger.scores(texts)]

        return predict

    return fit


def cross_fitted_ece(structurer: Structurer, gold: Sequence[StructuredRecord], n_folds: int = 5) -> dict[str, float]:
    """Calibration error of records that the calibration was not fitted on.

    The tables of a model folder are fitted on all of dev, where its own error would be too kind: here each fold of the
    documents is judged by tables that the other folds gave.

    Returns:
        "entities" and "fields" → expected calibration error over all folds together.
    """
    from tcmstruct.recipes.calibrate import fit, judged

    folds = [judged(structurer, gold[k::n_folds]) for k in range(n_folds)]
    pairs: dict[str, list[tuple[float, bool]]] = {"entity": [], "field": []}
    for k, fold in enumerate(folds):
        calibration = Calibration(fit([e for j, other in enumerate(folds) if j != k for e in other]))
        for e in fold:
            pairs[e.name.split(":")[0]].append((calibration(e.name, e.raw), e.right))
    names = {"entity": "entities", "field": "fields"}
    return {names[kind]: calibrate(np.array([c for c, _ in found]), np.array([r for _, r in found], dtype=bool)).ece
            for kind, found in pairs.items() if found}

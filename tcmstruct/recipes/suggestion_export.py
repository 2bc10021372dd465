"""Trained heads → their model folder: one small ONNX graph, and a card with labels, calibration, thresholds and limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from tcmstruct.compression.export import halve
from tcmstruct.errors import ModelError
from tcmstruct.evaluation.multilabel import best_threshold
from tcmstruct.model.suggestion import SuggestionGraph, SuggestionNet
from tcmstruct.recipes.suggestion_states import Task
from tcmstruct.runtime.model_folder import open_folder, replacing
from tcmstruct.runtime.record_words import N_BUCKETS
from tcmstruct.runtime.suggestion import check_base, probabilities
from tcmstruct.training.case_labels import Label

DATA = ["TCMChat medical_case (in-patient)", "TCM-BEST4SDT (out-patient, classical)", "TCMEval-SDT (published)", "tcm_bert (case books)"]


def calibration_of(scores: np.ndarray, truth: np.ndarray, one_of: bool) -> dict[str, Any]:
    """Slope and offset of the logistic curve (Platt 1999) from scores to probabilities, one for all labels of a task.

    Args:
        scores, truth: (D, L), of records that the head had not seen.
    """
    known = ~np.isnan(truth).all(1)
    scores, truth = scores[known], np.nan_to_num(truth[known])

    def loss(x: np.ndarray) -> float:
        p = np.clip(probabilities(scores, {"slope": x[0], "offset": x[1], "one_of": one_of}), 1e-9, 1 - 1e-9)
        return float(-(truth * np.log(p)).sum() if one_of else -(truth * np.log(p) + (1 - truth) * np.log(1 - p)).sum())

    found = minimize(loss, np.array([1.0, 0.0]), method="Nelder-Mead")
    return {"slope": round(float(found.x[0]), 4), "offset": 0.0 if one_of else round(float(found.x[1]), 4), "one_of": one_of}


def card_of(said: Mapping[str, tuple[Task, np.ndarray, np.ndarray]], base: str, n_photo: int, least: int) -> dict[str, Any]:
    """Task → (task, (S, D, L) out-of-fold scores of each seed, (D, L) truth) → the card."""
    tasks: dict[str, Any] = {}
    for name, (task, scores, truth) in said.items():
        flat, repeated = scores.reshape(-1, scores.shape[-1]), np.tile(truth, (len(scores), 1))
        own = calibration_of(flat, repeated, task.one_of)
        own["threshold"] = round(best_threshold(repeated, probabilities(flat, own)), 4)
        tasks[name] = {**own, "n_records": len(truth), "labels": [label.to_dict() for label in task.labels]}
    return {"format": 1, "kind": "suggestions", "name": "tcmstruct suggestions", "not_a_diagnostic_device": True, "text_model_sha256": base,
            "n_photo": n_photo, "n_buckets": N_BUCKETS, "least_cases": least, "tasks": tasks, "data": DATA,
            "photos": "simulated: records and photographs of different people, joined by what both say of the tongue" if n_photo else None}


def check_saved(out: Path, labels: Mapping[str, Sequence[Label]], base: str, fresh: bool) -> None:
    """Refuses to replace a head of another text model, or whose labels changed, unless that was asked for.

    Raises:
        ModelError: such a head stands in `out`, or what stands there is no verified model folder (a file altered, pickled weights).
    """
    if not out.exists() or not any(out.iterdir()):
        return
    saved = open_folder(out, needed=("card.json", "model.onnx"))
    if fresh:
        return
    check_base(saved.card, base, out.name)
    before = {name: [(one["system"], one["code"], one["name"]) for one in task["labels"]] for name, task in saved.card["tasks"].items()}
    now = {name: [(one.system, one.code, one.name) for one in own] for name, own in labels.items()}
    for name in {**before, **now}:
        old, new = set(before.get(name, ())), set(now.get(name, ()))
        if old != new:
            raise ModelError(f"the labels of {name!r} changed: {len(new - old)} are new, {len(old - new)} are gone", where=out.name,
                             code="labels_changed", hint="name another --out, or replace the head with --fresh")


def export(heads: Sequence[SuggestionNet], card: dict[str, Any], out: Path) -> Path:
    """Writes the model folder, replacing `out` as a whole."""
    config = heads[0].config
    n_photo = max(head.config.n_photo for head in heads)
    example = (torch.zeros(7, config.hidden), torch.arange(9), torch.ones(9), torch.zeros(max(1, n_photo)), torch.zeros(1))
    clauses, words = torch.export.Dim("N", min=1, max=65536), torch.export.Dim("M", min=1, max=2**24)
    with replacing(out, card) as fresh:
        torch.onnx.export(SuggestionGraph(list(heads)).eval(), example, str(fresh / "model.onnx"), dynamo=True, external_data=False,
                          verbose=False, input_names=["clauses", "buckets", "shares", "photo", "present"],
                          output_names=["scores", "by_clause", "by_word"],
                          dynamic_shapes=({0: clauses}, {0: words}, {0: words}, None, None))
        halve(fresh / "model.onnx")
    return out

"""Suggestions of a TCM disease, syndrome and specialty for a whole record: a small head beside the text model. No torch here.

| file | what |
|---|---|
| `model.onnx` | clause vectors (N, H), words (M,), a photo's numbers (Q,), present (1,) → scores (L,), what each clause and word gave |
| `card.json` | tasks with their labels and codes, calibration, thresholds, the text model it was trained with, figures, data |
| `manifest.json` | sha256 of every other file |

A suggestion is an opinion of the machine about the record as a whole. It is no finding: no words of the text state it, it never
enters `entities` or `fields`, and it is made only where it was asked for. Clauses that name a diagnosis are not read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from tcmstruct.errors import ModelError
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.runtime.clause_states import ClauseStates
from tcmstruct.runtime.model_folder import ModelFolder, open_folder
from tcmstruct.runtime.record_words import Words, record_words
from tcmstruct.runtime.tagger import HiddenReader

SUGGESTION_FOLDER = Path(__file__).resolve().parents[1] / "models" / "suggestions"
NOTE = "建议，非病历所见，非诊断。Suggestion, not a finding, not a diagnosis."
TOP_K = 3
LEAST_PROBABILITY = 0.05
"""Less likely ones are not told."""
N_CLAUSES = 2
"""Clauses named with a suggestion: those that gave the most to it."""
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One label that the record may deserve.

    Attributes:
        name: the standard's name, or the training data's own.
        system, code: of the standard (GB/T 16751), or None.
        probability: calibrated, in [0, 1].
        likely: whether it lies above the task's threshold, chosen for F1.
        clauses: `[start, end)` of the clauses that spoke most for it.
    """

    name: str
    system: str | None
    code: str | None
    probability: float
    likely: bool
    clauses: tuple[tuple[int, int], ...]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "system": self.system, "code": self.code, "probability": round(self.probability, 3),
                "likely": self.likely, "clauses": [list(span) for span in self.clauses]}


class Suggester:
    """The heads of a model folder.

    Args:
        folder: None takes the shipped one; verified before use.
        text_model_sha256: of the text model's `model.onnx`, whose vectors will be read.
        top_k: suggestions a task at most.
        threads: of onnxruntime.

    Raises:
        ModelError: a file is missing or altered, or of a kind that is never loaded; the card is of another format; the head was
            trained on another text model (`head_of_another_model`).
    """

    def __init__(self, folder: Path | None = None, text_model_sha256: str | None = None, top_k: int = TOP_K, threads: int = 1) -> None:
        self.folder = open_head(folder)
        path = self.folder.path
        self.card: dict[str, Any] = self.folder.card
        if self.card.get("kind") != "suggestions" or self.card.get("format") != _FORMAT:
            raise ModelError(f"its card is of kind {str(self.card.get('kind'))[:30]!r}, format {str(self.card.get('format'))[:10]}; "
                             f"allowed: suggestions, {_FORMAT}", where=path.name, code="model_invalid")
        check_base(self.card, text_model_sha256, path.name)
        self.top_k = top_k
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_cpu_mem_arena = False
        self._session = ort.InferenceSession(str(path / "model.onnx"), options, providers=["CPUExecutionProvider"])
        n_labels = sum(len(task["labels"]) for task in self.card["tasks"].values())
        if self._session.get_outputs()[0].shape != [n_labels]:
            raise ModelError(f"the card names {n_labels} labels, the graph scores {self._session.get_outputs()[0].shape}", where=path.name,
                             code="labels_changed", hint="train the head anew")
        self.n_photo: int = self.card["n_photo"]

    @property
    def fingerprint(self) -> str:
        return self.folder.fingerprint[:16]

    def scores(self, clauses: np.ndarray, words: Words, photo: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """clauses (N, H) float32, N ≥ 1, photo (Q,) → (L,) scores before calibration, (N, L) what each clause gave, its words included."""
        given = np.zeros(max(1, self.n_photo), np.float32) if photo is None else photo.astype(np.float32)
        feed = {"clauses": np.ascontiguousarray(clauses), "buckets": words.buckets, "shares": words.shares, "photo": given,
                "present": np.array([float(photo is not None)], np.float32)}
        wanted = {i.name for i in self._session.get_inputs()}
        scores, gave, by_word = self._session.run(["scores", "by_clause", "by_word"], {n: v for n, v in feed.items() if n in wanted})
        np.add.at(gave, words.clauses, by_word)
        return scores, gave

    def listen(self, records: Sequence[Record], readers: dict[int, HiddenReader]) -> list[ClauseStates]:
        """Adds itself to those who are handed the records' vectors, beside who is there already; what it will have heard."""
        heard = [ClauseStates(record.text) for record in records]
        for number, states in enumerate(heard):
            readers[number] = _both(readers[number], states.read) if number in readers else states.read
        return heard

    def suggest(self, record: StructuredRecord, states: ClauseStates, answers: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """What `StructuredRecord.suggestions` holds.

        Args:
            record: with the mentions that were found in it.
            states: of the same record, read whole.
            answers: attribute → `image.tongue_model.Answer` of its photograph; empty where none was looked at. A photo of an
                unfamiliar camera is left out.
        """
        photo = None
        if answers and self.n_photo and not any(answer.status == "unfamiliar" for answer in answers.values()):
            from tcmstruct.image.fusion_input import log_probabilities  # brings OpenCV, which text alone does without

            photo = log_probabilities(answers)
        out: dict[str, Any] = {"note": NOTE, "head": self.fingerprint, "with_photo": photo is not None, "tasks": {}}
        vectors = states.vectors()
        if not len(vectors):  # nothing but diagnoses: there is nothing to conclude from
            out["tasks"] = {name: [] for name in self.card["tasks"]}
            return out
        scores, gave = self.scores(vectors, record_words(record.text, states.spans, record.entities, self.card["n_buckets"]), photo)
        at = 0
        for name, task in self.card["tasks"].items():
            columns = slice(at, at + len(task["labels"]))
            at = columns.stop
            p = probabilities(scores[columns], task)
            out["tasks"][name] = [one.to_dict() for one in self._best(task, p, gave[:, columns], states.spans)]
        return out

    def _best(self, task: dict[str, Any], p: np.ndarray, gave: np.ndarray, spans: Sequence[tuple[int, int]]) -> list[Suggestion]:
        found = []
        for i in np.argsort(-p, kind="stable")[: self.top_k]:
            if p[i] < LEAST_PROBABILITY:
                break
            spoke = [n for n in np.argsort(-gave[:, i], kind="stable")[:N_CLAUSES] if gave[n, i] > 0]
            label = task["labels"][i]
            found.append(Suggestion(label["name"], label["system"], label["code"], float(p[i]), bool(p[i] >= task["threshold"]),
                                    tuple(spans[n] for n in spoke)))
        return found


def open_head(folder: Path | None = None) -> ModelFolder:
    """The verified folder of a head; None takes the shipped one.

    Raises:
        ModelError: there is none, or a file is missing, altered or of a kind that is never loaded.
    """
    path = folder or SUGGESTION_FOLDER
    if not path.is_dir():
        raise ModelError("there is no head for suggestions", where=path.name, code="model_missing",
                         hint="train one: python -m tcmstruct.recipes.suggestion_train, see docs/suggestions.md")
    return open_folder(path, needed=("card.json", "model.onnx"))


def _both(first: HiddenReader, second: HiddenReader) -> HiddenReader:
    def read(hidden: np.ndarray, start: int) -> None:
        first(hidden, start)
        second(hidden, start)

    return read


def probabilities(scores: np.ndarray, task: dict[str, Any]) -> np.ndarray:
    """Calibrated probabilities of a task's scores (…, L): a logistic curve fitted on records that the head had not seen (Platt
    1999), one a task. With `one_of` exactly one label holds, and the curve is a softmax."""
    z = task["slope"] * scores.astype(np.float64) + (0.0 if task["one_of"] else task["offset"])
    if task["one_of"]:
        raised = np.exp(z - z.max(-1, keepdims=True))
        return raised / raised.sum(-1, keepdims=True)
    return 1 / (1 + np.exp(-np.clip(z, -50, 50)))


def check_base(card: dict[str, Any], text_model_sha256: str | None, where: str) -> None:
    """
    Raises:
        ModelError: the head was trained on another text model's vectors (`head_of_another_model`).
    """
    trained_on = str(card.get("text_model_sha256", ""))
    if text_model_sha256 is not None and trained_on != text_model_sha256:
        raise ModelError(f"the head was trained on the text model {trained_on[:12] or 'none'}…, this one is {text_model_sha256[:12]}…",
                         where=where, code="head_of_another_model",
                         hint="train the head anew for this text model, or name the model it was made for")

"""What record-level heads are trained on: cases, their labels and folds, and their clause vectors, each record read once and kept.

A run folder holds vectors and hashes, and no text.
"""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tcmstruct.runtime.clause_states import RecordStates, Spans, states_of
from tcmstruct.runtime.mentions import Calibration, MentionReader
from tcmstruct.runtime.model_folder import open_folder, refuse_unsafe
from tcmstruct.runtime.tagger import OnnxTagger
from tcmstruct.text.clauses import clauses
from tcmstruct.training.case_labels import Label, Normaliser, label_cases
from tcmstruct.training.case_leaks import MODES, own_words, without_answer
from tcmstruct.training.case_splits import COMMON, LEAST, SHARE, SHINGLE, folds_of, near_duplicates
from tcmstruct.training.cases import Case, read_case_books, read_cases
from tcmstruct.training.pairs import classes_of, without_tongue

N_FOLDS = 5
NO_TONGUE = "no tongue"
MOST_BOOKS = 2500
"""Case books that are read, by the hash of their text; more change the specialty's figures little and take hours of a slow machine."""


@dataclass
class Corpus:
    """Cases of one kind with their splits.

    Attributes:
        cases: each text once.
        folds: (D,) 0 … 4, or −1 for what is never trained on.
        groups: (D,) near-duplicates share one.
        normaliser: of their conclusions.
    """

    cases: list[Case]
    folds: np.ndarray
    groups: np.ndarray
    normaliser: Normaliser

    def texts(self, mode: str = "leak-free") -> list[str]:
        """The texts with what `case_leaks` leaves of them; `NO_TONGUE` is leak-free without the clauses on the tongue."""
        wanted = "leak-free" if mode == NO_TONGUE else mode
        found = [without_answer(case.text, words, wanted) for case, words in zip(self.cases, self._words, strict=True)]
        return [without_tongue(text) for text in found] if mode == NO_TONGUE else found

    @cached_property
    def _words(self) -> list[list[str]]:
        return [own_words((said for task, said in case.said.items() if task != "specialty"),
                          (name for task, said in case.said.items() if task != "specialty" for name in self.normaliser.names(task, said)))
                for case in self.cases]

    @cached_property
    def tongues(self) -> np.ndarray:
        """(D, attributes) classes of the tongue that the records state."""
        return np.stack([classes_of(case.tongue or {}) for case in self.cases])


def read_corpus(data: Path, run: Path, books: bool = False) -> Corpus:
    """The cases of the data folder, or `MOST_BOOKS` of its case books; splits are kept in `run`, for they take a minute."""
    cases = sorted(read_case_books(data), key=lambda case: case.key)[:MOST_BOOKS] if books else read_cases(data)
    kept = run / ("splits-books.npz" if books else "splits.npz")
    key = _digest([f"{SHINGLE} {COMMON} {SHARE} {LEAST}", *(case.key for case in cases)])
    if kept.exists():
        with np.load(kept, allow_pickle=False) as found:
            if str(found["key"]) == key:
                return Corpus(cases, found["folds"], found["groups"], Normaliser())
    groups = near_duplicates([case.text for case in cases])
    folds = folds_of(cases, groups, N_FOLDS)
    np.savez(kept, key=np.array(key), folds=folds, groups=groups)
    return Corpus(cases, folds, groups, Normaliser())


@dataclass(frozen=True)
class Task:
    """One head's question over a corpus.

    Attributes:
        name: "disease", "syndrome" or "specialty".
        labels: what can be answered.
        truth: (D, L), NaN where not known.
        one_of: whether a record has exactly one of the labels.
    """

    name: str
    labels: tuple[Label, ...]
    truth: np.ndarray
    one_of: bool = False

    @property
    def known(self) -> np.ndarray:
        """(D,) whether the record's answer is known."""
        return ~np.isnan(self.truth).all(1)


def make_task(corpus: Corpus, name: str, least: int) -> Task:
    """The task of a corpus; labels are made of what is not held out."""
    labels, truth = label_cases(corpus.cases, name, least, corpus.normaliser, corpus.groups)
    return Task(name, labels.labels, truth, one_of=name == "specialty")


class StateStore:
    """Clause vectors by one text model, kept in a run folder.

    Args:
        run: the folder; refused where it holds files of a kind that may run code.
        model: text model folder; None takes the shipped one.

    Raises:
        ModelError: a file of an unsafe kind, or a model that is missing or altered.
    """

    def __init__(self, run: Path, model: Path | None = None) -> None:
        run.mkdir(parents=True, exist_ok=True)
        refuse_unsafe(run)
        self.run, self.folder = run, open_folder(model)
        self.base = self.folder.sha256["model.onnx"]

    @cached_property
    def tagger(self) -> OnnxTagger:
        return OnnxTagger(self.folder, threads=1)

    @cached_property
    def mentions(self) -> MentionReader:
        return MentionReader(self.folder.card, Calibration(self.folder.card.get("calibration")))

    def states(self, name: str, texts: Sequence[str], spans: Spans = clauses) -> list[RecordStates]:
        """The states of each text; read again only where texts or model are others than those kept under `name`."""
        path = self.run / f"states-{name.replace(' ', '-')}.npz"
        key = _digest([self.base, *texts])
        if path.exists():
            with np.load(path, allow_pickle=False) as kept:
                if str(kept["key"]) == key:
                    vectors, words = np.split(kept["vectors"], kept["starts"]), np.split(kept["words"], kept["word_starts"])
                    return [RecordStates(v, w) for v, w in zip(vectors, words, strict=True)]
        began, n = time.monotonic(), len(texts)
        found = states_of(self.tagger, self.mentions, texts, spans, told=lambda done: _tell(name, done, n, began))
        width = max((one.vectors.shape[1] for one in found), default=0)
        found = [one if len(one.vectors) else RecordStates(np.zeros((0, width), np.float16), one.words) for one in found]
        fresh = path.with_suffix(".new.npz")
        np.savez(fresh, key=np.array(key),
                 vectors=np.concatenate([one.vectors for one in found]), starts=_starts(one.vectors for one in found),
                 words=np.concatenate([one.words for one in found]), word_starts=_starts(one.words for one in found))
        fresh.replace(path)
        return found


def _starts(arrays: Iterable[np.ndarray]) -> np.ndarray:
    return np.cumsum([len(array) for array in arrays])[:-1]


def _digest(parts: Sequence[str]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return found.hexdigest()


def _tell(name: str, done: int, of: int, began: float) -> None:
    print(f"{name}: {done:,} of {of:,} records read, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


__all__ = ["MODES", "NO_TONGUE", "N_FOLDS", "Corpus", "StateStore", "Task", "make_task", "read_corpus"]

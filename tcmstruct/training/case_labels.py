"""Conclusions as their authors wrote them → labels of the national standards, rare ones folded into what they are a kind of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np

from tcmstruct.errors import InputRefused
from tcmstruct.linking import SYSTEMS, Code, Linker, shipped_codes
from tcmstruct.training.cases import Case

KIND_OF_TASK: dict[str, str] = {"disease": "disease_tcm", "syndrome": "syndrome"}
"""Task → kind of the linker; a task that is missing here is taken as it is written."""
_LEAST_DEPTH = 2
"""Chapters of the standards are no diagnoses."""


@dataclass(frozen=True, slots=True)
class Label:
    """One thing that a head can suggest.

    Attributes:
        name: the standard's, or the authors' own where it knows none.
        system, code: of the standard, or None.
        n: cases that it stands for in the data it was made of, those of kinds folded into it included; copies of a case count once.
    """

    name: str
    system: str | None
    code: str | None
    n: int

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


class Normaliser:
    """From the words of a conclusion to codes, and from a code to what it is a kind of. Make one for many cases."""

    @cached_property
    def linker(self) -> Linker:
        return Linker()

    @cached_property
    def codes(self) -> dict[tuple[str, str], Code]:
        return {(code.system, code.code): code for code in shipped_codes()}

    def keys(self, task: str, said: str) -> list[tuple[str | None, str]]:
        """(system, code) of each part, or (None, the part's own words) where the standards know none."""
        kind = KIND_OF_TASK.get(task)
        if kind is None:
            return [(None, said)]
        system, found = SYSTEMS[kind], []
        parts = self.linker.parts(said.replace(";", "；").replace("/", "；"), {"disease": "中医病名", "syndrome": "证候"}[task])
        for part in parts:
            if part.link is None:
                found.append((None, part.text))
            elif part.link.system == system:  # a syndrome told with a disease is not this task's
                found.append((system, part.link.code))
        return list(dict.fromkeys(found))

    def names(self, task: str, said: str) -> list[str]:
        """All names of the codes of a conclusion, for `case_leaks.own_words`."""
        found = [self.codes[key] for key in self.keys(task, said) if key in self.codes]
        return [name for code in found for name in (code.name, *code.aliases)]

    def parent(self, key: tuple[str | None, str]) -> tuple[str | None, str] | None:
        """What a code is a kind of; None for a chapter's own, and for words without a code."""
        system, code = key
        while system is not None and code.count(".") >= _LEAST_DEPTH:
            code = code.rpartition(".")[0]
            if (system, code) in self.codes:
                return system, code
        return None


@dataclass(frozen=True)
class LabelSet:
    """The labels of one task, and where every code of the data went.

    Attributes:
        labels: by falling number of cases.
        place: key of a conclusion → number of its label; keys that are too rare and have no parent are missing.
    """

    labels: tuple[Label, ...]
    place: dict[tuple[str | None, str], int]

    def row(self, keys: Sequence[tuple[str | None, str]]) -> np.ndarray:
        """(L,) 1.0 for the labels of a case's keys."""
        row = np.zeros(len(self.labels), np.float32)
        row[[self.place[key] for key in keys if key in self.place]] = 1.0
        return row


def make_labels(keys_of: Sequence[Sequence[tuple[str | None, str]]], groups: Sequence[int], normaliser: Normaliser, least: int,
                task: str) -> LabelSet:
    """Labels that at least `least` cases have; a rarer one gives its cases to its parent, from the deepest up.

    Args:
        keys_of: a case's keys, for every case.
        groups: a case's group of near-duplicates, for every case: a form filled in sixteen times is one case.

    Raises:
        InputRefused: nothing is frequent enough, or everything is one label (code `labels_too_few`).
    """
    goes = {key: key for keys in keys_of for key in keys}
    while True:
        counts = Counter(key for key, _ in {(goes[k], group) for keys, group in zip(keys_of, groups, strict=True) for k in keys})
        rare = [key for key, n in counts.items() if n < least and normaliser.parent(key) is not None]
        if not rare:
            break
        deepest = max(key[1].count(".") for key in rare)
        folded = {key: normaliser.parent(key) for key in rare if key[1].count(".") == deepest}
        goes = {key: folded.get(to, to) for key, to in goes.items()}
    kept = sorted((key for key, n in counts.items() if n >= least), key=lambda key: (-counts[key], key[1]))
    if len(kept) < 2:
        raise InputRefused(f"{len(kept)} of {len(counts)} labels have {least} cases or more; at least 2 are needed", where=task,
                           code="labels_too_few", hint="give more records, or lower --least")
    number = {key: i for i, key in enumerate(kept)}
    labels = tuple(Label(normaliser.codes[key].name if key in normaliser.codes else key[1], key[0],
                         key[1] if key[0] else None, counts[key]) for key in kept)
    return LabelSet(labels, {key: number[to] for key, to in goes.items() if to in number})


def label_cases(cases: Sequence[Case], task: str, least: int, normaliser: Normaliser,
                groups: Sequence[int] | None = None) -> tuple[LabelSet, np.ndarray]:
    """The labels of a task, made of the cases that are not held out, and (N, L) float32 of every case: 1 it has the label, 0 it
    has not, NaN not known. A case whose conclusion is rare or unlinked has none of the labels, which is known.

    Args:
        groups: of `case_splits.near_duplicates`; None takes no case for another's copy.
    """
    keys = [normaliser.keys(task, case.said[task]) if task in case.said else None for case in cases]
    of_case = range(len(cases)) if groups is None else groups
    known = [(k, int(g)) for k, g, case in zip(keys, of_case, cases, strict=True) if k is not None and not case.held_out]
    labels = make_labels([k for k, _ in known], [g for _, g in known], normaliser, least, task)
    truth = np.full((len(cases), len(labels.labels)), np.nan, np.float32)
    for i, own in enumerate(keys):
        if own:
            truth[i] = labels.row(own)
    return labels, truth

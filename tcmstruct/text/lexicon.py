"""The lexicon channel: which vocabulary terms cover a character, and at which place of the term it stands.

General encoders miss rare terms (癃闭, 瘰疬, 芤脉); the channel tells the encoder that a term of a category begins,
goes on or ends here. One linear Aho–Corasick pass over the normalised text finds all terms (Aho & Corasick 1975); the
place marks B/M/E/S follow the soft lexicon of Ma et al. 2020 ("Simplify the Usage of Lexicon in Chinese NER").
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import ahocorasick
import numpy as np

from tcmstruct.errors import InputRefused, ModelError
from tcmstruct.text.normalise import normalise

GROUP_OF_KIND: Mapping[str, str] = {
    "symptom": "症状体征",
    "stool_sputum": "症状体征",
    "tongue_body": "舌质",
    "tongue_coating": "舌苔",
    "pulse": "脉象",
    "syndrome": "证候",
    "pathogenesis": "病因病机",
    "treatment_principle": "治则功效",
    "disease_tcm": "中医病名",
    "disease_western": "西医诊断",
    "formula": "方剂",
    "herb": "中药",
    "patent_medicine": "中成药",
    "western_drug": "西药",
    "procedure": "手术检查",
    "acupoint": "穴位疗法",
    "therapy": "穴位疗法",
    "body_part": "身体部位",
    "medical": "其他医学",
}
"""Kind of a vocabulary table (`vocab/tables/*.tsv`) → group of the channel. Several kinds may share a group."""

GROUPS: tuple[str, ...] = tuple(dict.fromkeys(GROUP_OF_KIND.values()))
PLACES = "BMES"
"""Begin, middle, end of a term; single is for terms of one character, which only a lexicon made with
`min_characters=1` holds."""

_MAGIC = "tcmstruct-lexicon 1"


def _steps(term: str) -> str:
    """The term as the automaton walks it: its UTF-8 bytes, a letter each.

    Nodes of the automaton search their edges one by one, and thousands of first characters leave the root: by bytes
    the walk is three times as long and still three times as fast. UTF-8 is self-synchronising, so no match can begin
    or end inside a character.
    """
    return term.encode().decode("latin-1")


class NamedTerm(Protocol):
    """What `Lexicon.from_terms` reads of a term; `vocab.reader.Term` is one."""

    @property
    def kind(self) -> str: ...

    @property
    def names(self) -> tuple[str, ...]: ...


class Lexicon:
    """Terms by group, and the features they give to each character of a text.

    Args:
        groups: names of the groups in the order of the feature blocks.
        terms: normalised term → indices of its groups, ascending.

    Attributes:
        groups: as given.
        n_features: F = 4 · number of groups; group k at place "BMES"[p] is column 4k + p.
        fingerprint: sha256 over groups and terms; a model runs with the lexicon of its own fingerprint only.
    """

    def __init__(self, groups: Iterable[str], terms: Mapping[str, tuple[int, ...]]) -> None:
        self.groups = tuple(groups)
        self.n_features = len(PLACES) * len(self.groups)
        self._terms = dict(sorted(terms.items()))
        self.fingerprint = hashlib.sha256(self._body().encode()).hexdigest()
        self._automaton = ahocorasick.Automaton()
        for term, indices in self._terms.items():
            self._automaton.add_word(_steps(term), (len(term), indices))
        if self._terms:
            self._automaton.make_automaton()

    def __len__(self) -> int:
        return len(self._terms)

    def __contains__(self, term: str) -> bool:
        return normalise(term) in self._terms

    def items(self) -> Iterable[tuple[str, tuple[int, ...]]]:
        """The normalised terms, in order, with the indices of their groups."""
        return self._terms.items()

    @classmethod
    def from_terms(
        cls,
        terms: Iterable[NamedTerm],
        group_of_kind: Mapping[str, str] = GROUP_OF_KIND,
        min_characters: int = 2,
    ) -> Lexicon:
        """Builds the lexicon from vocabulary terms (all their names, normalised).

        Args:
            terms: e.g. `vocab.reader.load_terms()`.
            group_of_kind: kind → group; the groups keep the order in which they appear here.
            min_characters: shorter names are left out.

        Raises:
            InputRefused: a kind that `group_of_kind` does not name.
        """
        groups = tuple(dict.fromkeys(group_of_kind.values()))
        index = {kind: groups.index(group) for kind, group in group_of_kind.items()}
        found: dict[str, set[int]] = {}
        for term in terms:
            if term.kind not in index:
                raise InputRefused(f"unknown kind of term {term.kind!r}; allowed: {', '.join(index)}",
                                   code="unknown_kind", hint="map the kind onto a group in group_of_kind")
            for name in term.names:
                if len(name) >= min_characters:
                    found.setdefault(normalise(name), set()).add(index[term.kind])
        return cls(groups, {name: tuple(sorted(indices)) for name, indices in found.items()})

    def matches(self, text: str) -> list[tuple[int, int, int]]:
        """All terms in the text, per group only those that no longer term of the same group contains.

        Args:
            text: any text; it is normalised here (code point by code point, so offsets hold).

        Returns:
            (start, end, group index), `[start, end)` in code points; matches of a group may overlap, never nest.
        """
        kept: list[list[tuple[int, int]]] = [[] for _ in self.groups]
        if self._terms:
            utf8 = normalise(text).encode()
            ends = np.cumsum((np.frombuffer(utf8, np.uint8) & 0xC0) != 0x80).tolist()  # byte → characters up to it
            for last_byte, (length, indices) in self._automaton.iter(utf8.decode("latin-1")):
                end = ends[last_byte]
                start = end - length
                # Matches come by rising end, and at the same end the longest first: a stack per group is enough.
                for k in indices:
                    stack = kept[k]
                    if stack and stack[-1][1] == end:
                        continue
                    while stack and stack[-1][0] >= start:
                        stack.pop()
                    stack.append((start, end))
        return [(start, end, k) for k, stack in enumerate(kept) for start, end in stack]

    def features(self, text: str) -> np.ndarray:
        """Multi-hot marks of the terms that cover each character.

        Args:
            text: T code points, raw or normalised.

        Returns:
            uint8 (T, F); column 4k + p is 1 where a term of group k has place "BMES"[p].
        """
        width = self.n_features
        marks = bytearray(len(text) * width)
        for start, end, k in self.matches(text):
            column = len(PLACES) * k
            if end - start == 1:
                marks[start * width + column + 3] = 1
                continue
            marks[start * width + column] = 1
            marks[(end - 1) * width + column + 2] = 1
            if end - start > 2:
                marks[(start + 1) * width + column + 1 : (end - 1) * width : width] = b"\x01" * (end - start - 2)
        return np.frombuffer(marks, np.uint8).reshape(len(text), width)

    def _body(self) -> str:
        rows = (f"{term}\t{','.join(map(str, indices))}" for term, indices in self._terms.items())
        return "\n".join(("\t".join(self.groups), *rows)) + "\n"

    def save(self, path: Path) -> None:
        """Writes the lexicon as UTF-8 rows: magic and fingerprint, the groups, then term and its group indices."""
        private = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(private, "w", encoding="utf-8", newline="\n") as out:
            out.write(f"{_MAGIC}\t{self.fingerprint}\n{self._body()}")

    @classmethod
    def load(cls, path: Path) -> Lexicon:
        """Reads what `save` wrote.

        Raises:
            ModelError: no such file, not a lexicon, or changed since it was saved.
        """
        hint = "restore the file from the model's release; a model runs only with the lexicon it was trained with"
        try:
            first, groups, *rows = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
            magic, fingerprint = first.split("\t")
            terms = {}
            for row in rows:
                term, indices = row.split("\t")
                terms[term] = tuple(map(int, indices.split(",")))
            if magic != _MAGIC:
                raise ValueError("magic")
        except FileNotFoundError:
            raise ModelError("no such file", where=str(path), code="lexicon_missing", hint=hint) from None
        except ValueError:
            raise ModelError(f"not a lexicon of the form {_MAGIC!r}", where=str(path), code="lexicon_invalid",
                             hint=hint) from None
        lexicon = cls(groups.split("\t"), terms)
        if lexicon.fingerprint != fingerprint:
            raise ModelError(f"fingerprint is {lexicon.fingerprint[:12]}…, the file names {fingerprint[:12]}…",
                             where=str(path), code="lexicon_altered", hint=hint)
        return lexicon

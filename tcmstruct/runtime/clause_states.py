"""A record as one vector a clause: what record-level heads read. Sums are taken as the windows come in, so that no record is cut
and none needs more memory than its windows; the text model runs once, for its mentions and for this."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tcmstruct.runtime.mentions import MentionReader
from tcmstruct.runtime.record_words import record_words
from tcmstruct.runtime.tagger import OnnxTagger
from tcmstruct.text.clauses import findings_only

Spans = Callable[[str], list[tuple[int, int]]]
RECORDS_AT_ONCE = 256


class ClauseStates:
    """Takes the vectors of a record's characters and keeps their mean over each clause.

    Args:
        text: the record.
        spans: which clauses are read; without another word those that name no diagnosis.

    Attributes:
        spans: `[start, end)` of the clauses, in order.
    """

    def __init__(self, text: str, spans: Spans = findings_only) -> None:
        self.spans = spans(text)
        self._owner = np.full(len(text), -1)
        for number, (start, end) in enumerate(self.spans):
            self._owner[start:end] = number
        self._sums: np.ndarray | None = None
        self._counts = np.zeros(len(self.spans))

    def read(self, hidden: np.ndarray, start: int) -> None:
        """Adds the characters (T, H) whose first stands at offset `start`; each character once, in any order of windows."""
        if self._sums is None:
            self._sums = np.zeros((len(self.spans), hidden.shape[1]))
        owner = self._owner[start : start + len(hidden)]
        edges = np.nonzero(np.diff(owner, prepend=-2))[0]  # clauses do not interleave: each is one run of characters
        sums = np.add.reduceat(hidden.astype(np.float64), edges, axis=0)
        for number, total, n in zip(owner[edges], sums, np.diff(edges, append=len(owner)), strict=True):
            if number >= 0:
                self._sums[number] += total
                self._counts[number] += n

    def vectors(self) -> np.ndarray:
        """(N, H) float32, N clauses; (0, H) where none is left, (0, 0) where nothing was read."""
        if self._sums is None:
            return np.zeros((0, 0), np.float32)
        return (self._sums / self._counts[:, None]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class RecordStates:
    """What a head learns from of one record: (N, H) float16 of its clauses, and the buckets (M,) of its words, each once."""

    vectors: np.ndarray
    words: np.ndarray


def states_of(tagger: OnnxTagger, mentions: MentionReader, texts: Sequence[str], spans: Spans = findings_only,
              told: Callable[[int], None] = lambda done: None) -> list[RecordStates]:
    """The states of each text, for training; `told` how many are done."""
    out = []
    for at in range(0, len(texts), RECORDS_AT_ONCE):
        part = texts[at : at + RECORDS_AT_ONCE]
        readers = [ClauseStates(text, spans) for text in part]
        found = mentions.read(tagger.stream(part, {i: reader.read for i, reader in enumerate(readers)}), len(part))
        for text, reader, own in zip(part, readers, found, strict=True):
            words = np.unique(record_words(text, reader.spans, own).buckets)
            out.append(RecordStates(reader.vectors().astype(np.float16), words.astype(np.int32)))
        told(len(out))
    return out

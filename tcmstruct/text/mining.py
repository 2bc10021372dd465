"""New terms from unlabelled records: which joins of neighbouring words are used as a term is used.

Two passes over the same records, which come here already cut into words (`Words`):

1. `CountFilter` counts every join of neighbouring words in a table of fixed size (count-min sketch, Cormode &
   Muthukrishnan 2005). It never counts too little, so what it says is rare is rare.
2. `Evidence` keeps, for the joins that are frequent by the filter and for no others, what a judgement needs: count,
   records, neighbours on both sides, kinds of the known terms beside them.

`judge` then scores them. Cohesion is the smallest pointwise mutual information over the places where the join can be
split (Church & Hanks 1990); freedom is the smaller of the two neighbour entropies (Huang & Powers 2003 and others); the
kind is a naive Bayes guess that is fitted, in the same call, on the known terms that these very records hold.
"""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

MIN_CHARACTERS, MAX_CHARACTERS = 2, 8
"""Length of a candidate in characters."""

MAX_CANDIDATES = 200_000
"""Joins that the second pass keeps at most; the least count rises where more would pass."""
_FILTER_BITS = 23
_MAX_NEIGHBOURS = 48  # different characters remembered on one side of a join; the others count as one
_NEAR = 12  # characters within which a known term counts as standing beside a join

_EDGE = ""  # neighbour of a join that stands at the end of a run of letters
_BASE = np.uint64(0x9E3779B97F4A7C15)
_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64


@dataclass(frozen=True, slots=True)
class Words:
    """One text, cut into words.

    Attributes:
        text: T code points, normalised.
        spans: int64 (W, 2), `[start, end)` of each word, ascending; what lies between two words (punctuation, digits)
            belongs to no candidate.
        known: (start, end, kind) of the known terms in the text, ascending; kind is an index.
    """

    text: str
    spans: np.ndarray
    known: Sequence[tuple[int, int, int]] = ()


def joins(words: Words) -> tuple[np.ndarray, np.ndarray]:
    """Starts and ends of all joins of neighbouring words of at most `MAX_CHARACTERS`, single words included.

    A join with a border inside of a known term is none.
    """
    starts, ends = words.spans[:, 0], words.spans[:, 1]
    run = np.concatenate([[0], np.cumsum(starts[1:] != ends[:-1])])
    inside = np.zeros(len(words.text) + 1, bool)
    for start, end, _ in words.known:
        inside[start + 1 : end] = True
    found = []
    for n in range(min(MAX_CHARACTERS, len(starts))):
        left, right = starts[: len(starts) - n], ends[n:]
        fits = (run[: len(run) - n] == run[n:]) & (right - left <= MAX_CHARACTERS) & ~inside[left] & ~inside[right]
        found.append((left[fits], right[fits]))
    if not found:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate([left for left, _ in found]), np.concatenate([right for _, right in found])


def _hashes(text: str, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """uint64 hash of each `text[start:end]`, the same for the same characters anywhere (no seed of the process)."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64) + np.uint64(1)
    value = np.zeros(len(starts), np.uint64)
    for n in range(MAX_CHARACTERS):
        at = starts + n
        more = at < ends
        value[more] = value[more] * _BASE + codes[at[more]]
    value ^= value >> np.uint64(30)
    value *= _MIX[0]
    value ^= value >> np.uint64(27)
    value *= _MIX[1]
    return value ^ (value >> np.uint64(31))


class CountFilter:
    """Counts of joins, never too small, in 64 MiB whatever the number of different joins.

    Args:
        bits: 2 rows of 2**bits counters of 4 bytes.
    """

    def __init__(self, bits: int = _FILTER_BITS) -> None:
        self._rows = np.zeros((2, 1 << bits), np.uint32)
        self._shift = np.uint64(64 - bits)
        self._mask = np.uint64((1 << bits) - 1)
        self.n_words = 0

    def _cells(self, hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return (hashes >> self._shift).astype(np.int64), (hashes & self._mask).astype(np.int64)

    def add(self, words: Words) -> None:
        """Counts all joins of one text."""
        self.n_words += len(words.spans)
        starts, ends = joins(words)
        for row, cells in zip(self._rows, self._cells(_hashes(words.text, starts, ends)), strict=True):
            np.add.at(row, cells, np.uint32(1))

    def estimates(self, text: str, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
        """Counts of the joins `text[start:end]`, each at least the true one."""
        first, second = self._cells(_hashes(text, starts, ends))
        return np.minimum(self._rows[0, first], self._rows[1, second])

    def least_count(self, min_count: int, max_candidates: int = MAX_CANDIDATES) -> int:
        """The smallest count from `min_count` on that at most `max_candidates` counters of a row reach."""
        reached = self._rows[0][self._rows[0] >= min_count]
        if len(reached) <= max_candidates:
            return min_count
        return int(np.partition(reached, -max_candidates)[-max_candidates]) + 1


class Evidence:
    """What the records say about each frequent join; memory is bounded by `max_candidates`.

    Args:
        counts: the filter after the first pass.
        n_kinds: number of kinds of known terms.
        min_count: rarer joins are left out.
        max_candidates: at most this many joins are kept; `least_count` rises to hold it.

    Attributes:
        least_count: every join that occurs this often is kept, with exact figures.
        n_words, n_records: of the second pass.
    """

    def __init__(self, counts: CountFilter, n_kinds: int, min_count: int, max_candidates: int = MAX_CANDIDATES) -> None:
        self._filter, self._cap = counts, max_candidates
        self.least_count = counts.least_count(min_count, max_candidates)
        self.n_words, self.n_records, self.n_kinds = counts.n_words, 0, n_kinds
        self.entries: dict[str, Entry] = {}

    def add(self, texts: Sequence[Words]) -> None:
        """Takes the pieces of one record."""
        self.n_records += 1
        for words in texts:
            self._add(words)
        if len(self.entries) > self._cap:
            self._prune()

    def _add(self, words: Words) -> None:
        text, kinds_left, kinds_right = words.text, *_kinds_beside(words, self.n_kinds)
        starts, ends = joins(words)
        estimates = self._filter.estimates(text, starts, ends)
        frequent = estimates >= self.least_count
        first_of_run = set(words.spans[:, 0].tolist()) - set(words.spans[:, 1].tolist())
        last_of_run = set(words.spans[:, 1].tolist()) - set(words.spans[:, 0].tolist())
        for start, end, estimate in zip(starts[frequent].tolist(), ends[frequent].tolist(), estimates[frequent].tolist(),
                                        strict=True):
            name = text[start:end]
            entry = self.entries.get(name)
            if entry is None:
                entry = self.entries[name] = Entry(estimate, self.n_kinds)
            entry.count += 1
            if entry.last_record != self.n_records:
                entry.last_record = self.n_records
                entry.records += 1
            _remember(entry.left, _EDGE if start in first_of_run else text[start - 1])
            _remember(entry.right, _EDGE if end in last_of_run else text[end])
            entry.beside[kinds_left[start]] += 1
            entry.beside[kinds_right[end]] += 1

    def _prune(self) -> None:
        while len(self.entries) > self._cap:
            self.least_count += max(1, self.least_count // 8)
            self.entries = {name: e for name, e in self.entries.items() if e.estimate >= self.least_count}


class Entry:
    """One join: its counts, its neighbours (character → count, "" at the end of a run), kinds of known terms beside it."""

    __slots__ = ("beside", "count", "estimate", "last_record", "left", "records", "right")

    def __init__(self, estimate: int, n_kinds: int) -> None:
        self.estimate, self.count, self.records, self.last_record = estimate, 0, 0, 0
        self.left: dict[str, int] = {}
        self.right: dict[str, int] = {}
        self.beside = [0] * (n_kinds + 1)


def _remember(neighbours: dict[str, int], character: str) -> None:
    if character not in neighbours and len(neighbours) >= _MAX_NEIGHBOURS:
        character = "…"
    neighbours[character] = neighbours.get(character, 0) + 1


def _kinds_beside(words: Words, n_kinds: int) -> tuple[list[int], list[int]]:
    """For each border: kind of the nearest known term that ends at or before it, and that begins at or after it;
    `n_kinds` where none is near."""
    size = len(words.text) + 1
    left, right = [n_kinds] * size, [n_kinds] * size
    for _, end, kind in words.known:
        for at in range(end, min(size, end + _NEAR)):
            left[at] = kind
    for start, _, kind in reversed(words.known):
        for at in range(start, max(-1, start - _NEAR), -1):
            right[at] = kind
    return left, right


def entropy(neighbours: Mapping[str, int]) -> float:
    """Bits of the distribution of neighbours; each end of a run counts as a neighbour of its own."""
    total = sum(neighbours.values())
    edges = neighbours.get(_EDGE, 0)
    bits = -sum(n / total * math.log2(n / total) for c, n in neighbours.items() if c != _EDGE)
    return bits + edges / total * math.log2(total) if total else 0.0


NOT_AT_START = frozenset("的了和及与或等而则即并但且又再仍亦也之其此该者所于以为因故由从向往将被把给让使遂乃若如虽然後后时是有无未非否已曾"
                         "可能应当须宜拟欲诉述称见示查予服用取加减去同前今现又余")
NOT_AT_END = frozenset("的了和及与或等而则即并但且又再仍亦也之其此该所于以为因故由从向往将被把给让使遂乃若如虽是有无未否已曾可能应当"
                       "须宜拟欲诉述称见示查予服用取加去我你他她它不较更甚极很最稍略")
"""Function words and charting verbs: a candidate neither begins (ends) with one."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A proposed term.

    Attributes:
        name: as normalised.
        kind: index of the guessed kind.
        score: higher is better; comparable within one run only.
        count: occurrences.
        records: records it occurs in.
        cohesion: smallest pointwise mutual information over its splits, bits; None for a single word of the segmenter.
        entropy: smaller of the neighbour entropies, bits.
    """

    name: str
    kind: int
    score: float
    count: int
    records: int
    cohesion: float | None
    entropy: float


def cohesion(name: str, entries: Mapping[str, Entry], n_words: int) -> float | None:
    """min over splits of log2(P(name) / (P(left) P(right))), over the places where the join was met split; None if nowhere."""
    count = entries[name].count
    found = [math.log2(count * n_words / (entries[name[:at]].count * entries[name[at:]].count))
             for at in range(1, len(name)) if name[:at] in entries and name[at:] in entries]
    return min(found) if found else None


@dataclass(frozen=True, slots=True)
class Known:
    """What is known already, as `judge` needs it.

    Attributes:
        kinds: normalised name → indices of its kinds.
        guessed: kinds that a candidate may be guessed to be.
        whole: kinds whose names stand for themselves, so that two of them side by side are a list and no new term.
    """

    kinds: Mapping[str, frozenset[int]]
    guessed: Sequence[int]
    whole: frozenset[int]

    def is_list(self, name: str) -> bool:
        """Whether a name is two or more known names of `whole` kinds side by side (头晕头痛)."""
        return any(self._whole(name[:at]) and (self._whole(name[at:]) or self.is_list(name[at:]))
                   for at in range(MIN_CHARACTERS, len(name) - 1))

    def _whole(self, name: str) -> bool:
        return not self.whole.isdisjoint(self.kinds.get(name, ()))

    def is_finding(self, name: str) -> bool:
        """Whether a name says that a known term is absent, or that something is normal (双下肢无浮肿, 步态正常)."""
        parts = (name.partition(word)[2] for word in ("无", "未见", "未闻及", "未触及", "否认", "没有"))
        return name.endswith(("正常", "如常", "清晰", "尚可")) or any(part in self.kinds for part in parts)


_WEIGHTS = (0.5, 0.5, 1.0, 0.5, 0.5, 0.5)  # first, last, all characters; known terms beside it; left, right neighbour
_COHESION_WEIGHT, _COUNT_WEIGHT = 0.3, 0.5
_COHESION_LIMIT, _COHESION_OF_A_WORD = 6.0, 3.0
_MIN_KNOWN = 5  # known terms that a kind must show in the records before it is guessed


def judge(evidence: Evidence, known: Known, *, min_count: int, min_records: int) -> list[Candidate]:
    """Scores the joins that may be new terms, best first.

    score = likeness + entropy + 0.3 · min(cohesion, 6) + 0.5 · ln(count); the likeness is the best kind's mean log ratio
    of its characters and surroundings, against those of all candidates.

    Args:
        evidence: after the second pass.
        known: names that are no news.
        min_count: occurrences that a candidate needs.
        min_records: different records that a candidate needs.
    """
    entries = evidence.entries
    candidates = {name: e for name, e in entries.items()
                  if e.count >= min_count and e.records >= min_records and len(name) >= MIN_CHARACTERS
                  and name not in known.kinds and name[0] not in NOT_AT_START and name[-1] not in NOT_AT_END
                  and any(c >= "\u3400" for c in name) and not known.is_list(name) and not known.is_finding(name)}
    kinds, likeness = _likeness(entries, candidates, known)
    judged = []
    for (name, entry), kind, like in zip(candidates.items(), kinds, likeness, strict=True):
        bits = cohesion(name, entries, evidence.n_words)
        free = min(entropy(entry.left), entropy(entry.right))
        score = (like + free + _COHESION_WEIGHT * (_COHESION_OF_A_WORD if bits is None else min(bits, _COHESION_LIMIT))
                 + _COUNT_WEIGHT * math.log(entry.count))
        judged.append(Candidate(name, kind, score, entry.count, entry.records, bits, free))
    return _without_parts(sorted(judged, key=lambda c: (-c.score, c.name)))


def _likeness(entries: Mapping[str, Entry], candidates: Mapping[str, Entry], known: Known) -> tuple[list[int], list[float]]:
    """Best kind of each candidate and how much more the candidate is like it than like the other candidates."""
    if not candidates:
        return [], []
    examples = [name for name in entries if name in known.kinds]
    names = [*candidates, *examples]
    rows: dict[str, int] = {_EDGE: 0}
    for name in names:
        for character in (*name, *entries[name].left, *entries[name].right):
            rows.setdefault(character, len(rows))
    views = [_shares(({rows[n[0]]: 1} for n in names), len(names), len(rows)),
             _shares(({rows[n[-1]]: 1} for n in names), len(names), len(rows)),
             _shares((Counter(rows[c] for c in n) for n in names), len(names), len(rows)),
             _shares((dict(enumerate(entries[n].beside)) for n in names), len(names), len(entries[names[0]].beside)),
             _shares(({rows[c]: k for c, k in entries[n].left.items()} for n in names), len(names), len(rows)),
             _shares(({rows[c]: k for c, k in entries[n].right.items()} for n in names), len(names), len(rows))]
    member = np.array([[k in known.kinds[name] for k in known.guessed] for name in examples], float)
    member = member.reshape(len(examples), len(known.guessed))
    shown = np.flatnonzero(member.sum(0) >= _MIN_KNOWN) if examples else np.zeros(0, np.int64)
    if not len(shown):
        return [known.guessed[0]] * len(candidates), [0.0] * len(candidates)
    scores = np.zeros((len(candidates), len(shown)))
    for view, weight in zip(views, _WEIGHTS, strict=True):
        ours, theirs = view[: len(candidates)], view[len(candidates) :]
        ground = np.asarray(ours.sum(0)).ravel() + 1.0
        ground /= ground.sum()
        found = theirs.T @ member[:, shown]
        prior = 0.2 * len(ground)  # terms that are like the background, which smooth each kind
        smoothed = (found + prior * ground[:, None]) / (found.sum(0) + prior)
        scores += weight * (ours @ np.log(smoothed / ground[:, None]))
    best = scores.argmax(1)
    return [known.guessed[shown[k]] for k in best], scores[np.arange(len(best)), best].tolist()


def _shares(counts: Iterable[Mapping[int, int]], n_rows: int, n_columns: int) -> csr_array:
    """Sparse (n_rows, n_columns) of counts, each row divided by its sum."""
    columns, values, ends = array("q"), array("d"), array("q", [0])
    for row in counts:
        total = max(1, sum(row.values()))
        for column, count in row.items():
            if count:
                columns.append(column)
                values.append(count / total)
        ends.append(len(columns))
    return csr_array((np.array(values), np.array(columns), np.array(ends)), shape=(n_rows, n_columns))


def _without_parts(candidates: list[Candidate]) -> list[Candidate]:
    """Leaves out what never stands without the rest of a longer candidate (both have the same count)."""
    counts = {c.name: c.count for c in candidates}
    parts: set[str] = set()
    for name, count in counts.items():
        for start in range(len(name)):
            for end in range(start + MIN_CHARACTERS, len(name) + 1):
                part = name[start:end]
                if part != name and counts.get(part) == count:
                    parts.add(part)
    return [c for c in candidates if c.name not in parts]

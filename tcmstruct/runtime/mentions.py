"""Scores of windows → mentions of a whole text, with their types told apart and their probabilities calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tcmstruct.labels import FINE_TYPES, NESTING_TYPES, READOUTS, SIDE_TYPES, STATUSES, TYPES_WITH_STATUS
from tcmstruct.record import Mention
from tcmstruct.runtime.decode import (
    Span,
    Transitions,
    best_paths,
    greedy_spans,
    hint_spans,
    label_probability,
    posteriors,
    spans,
)
from tcmstruct.runtime.tagger import WindowScores
from tcmstruct.text.signs import sign_of, without_sign

DECODE_CHARS = 16_384
"""Scores of about this many characters wait for one another: decoding many windows at once is faster, and holds about 1 kB a
character meanwhile."""


class Calibration:
    """Piecewise-linear maps from raw to calibrated probability, fitted by isotonic regression on held-out records.

    Args:
        tables: name → {"raw": [...], "calibrated": [...]}, both ascending; a name that is missing is left as it is.
    """

    def __init__(self, tables: Mapping[str, Mapping[str, Sequence[float]]] | None = None) -> None:
        self._tables = {name: (np.asarray(t["raw"]), np.asarray(t["calibrated"])) for name, t in (tables or {}).items()}

    def __call__(self, name: str, probability: float) -> float:
        table = self._tables.get(name) or self._tables.get(name.split(":")[0])
        value = probability if table is None else float(np.interp(probability, *table))
        return round(value, 4)


class MentionReader:
    """Reads mentions from scores; what the model's card says of decoding is prepared once.

    Args:
        card: `card.json`: `transitions` (the clinical readout's CRF, if it has one), `min_probability` of a clinical
            mention, `side_threshold` of a side type's.
        calibration: raw to calibrated probability.
    """

    def __init__(self, card: Mapping[str, Any], calibration: Calibration) -> None:
        table = card.get("transitions", {}).get("gold")
        self._crf = Transitions(*(np.array(table[k], np.float32) for k in ("first", "moves", "last"))) if table else None
        self._min_probability: float = card.get("min_probability", 0.0)
        self._side_threshold: float = card.get("side_threshold", 0.6)
        self.calibration = calibration

    def read(self, scores: Iterable[tuple[int, int, WindowScores]], n_texts: int) -> list[list[Mention]]:
        """Windows' scores of several texts → mentions of each, in text order.

        Args:
            scores: (text number, window number, scores) in any order (`OnnxTagger.stream`); none is kept for long.
            n_texts: how many texts there are.
        """
        found: list[dict[int, list[Mention]]] = [{} for _ in range(n_texts)]
        waiting: list[tuple[int, int, WindowScores]] = []
        n_chars = 0
        for one in scores:
            waiting.append(one)
            n_chars += len(one[2].status)
            if n_chars >= DECODE_CHARS:
                self._decode(waiting, found)
                waiting.clear()
                n_chars = 0
                del one  # or a whole batch's scores outlive their decoding
        self._decode(waiting, found)
        return [_in_text_order(windows) for windows in found]

    def _decode(self, waiting: Sequence[tuple[int, int, WindowScores]], found: Sequence[dict[int, list[Mention]]]) -> None:
        """Mentions of the waiting windows, put into their places; each window's follow from its own scores alone."""
        parts = [part for _, _, part in waiting]
        if self._crf is None:
            clinical = [greedy_spans(part.tags["gold"], part.status) for part in parts]
        else:
            scores = [part.tags["gold"] for part in parts]
            status = [part.status for part in parts]
            both = zip(posteriors(scores, self._crf), best_paths(scores, self._crf), status, strict=True)
            clinical = [spans(np.log(np.maximum(p, 1e-9)), path, s) for p, path, s in both]
        for (number, k, part), of_part in zip(waiting, clinical, strict=True):
            found[number][k] = mentions_of([part], [of_part], self.calibration, self._min_probability, self._side_threshold)


def signed(text: str, mentions: Sequence[Mention]) -> list[Mention]:
    """Mentions with the status that a sign beside them states (`text.signs`): the model knows 无 and 否认, and reads forms poorly.

    Args:
        mentions: in text order.
    """
    out: list[Mention] = []
    follows: tuple[int, str] | None = None  # where the mention after begins, and what a sign after the list says
    for mention in reversed(mentions):
        if mention.status is not None:
            end = without_sign(text, mention.start, mention.end)
            sign = sign_of(text, mention.start, end)
            status = sign.status if sign else mention.status
            if sign is None and follows is not None and text[end : follows[0]] == "、":
                status = follows[1]
            said = (sign.status if sign.shared else None) if sign else follows[1] if follows and text[end : follows[0]] == "、" else None
            follows = None if said is None else (mention.start, said)
            if (end, status) != (mention.end, mention.status):
                mention = replace(mention, end=end, status=status)
        out.append(mention)
    return out[::-1]


def _in_text_order(windows: Mapping[int, list[Mention]]) -> list[Mention]:
    together = [m for k in sorted(windows) for m in windows[k]]
    return sorted(together, key=_place) if len(windows) > 1 else together


def _place(mention: Mention) -> tuple[int, int, str]:
    return mention.start, -mention.end, mention.type


def mentions_of(parts: Sequence[WindowScores], clinical_spans: Sequence[list[Span]], calibration: Calibration,
                min_probability: float, side_threshold: float) -> list[Mention]:
    """Mentions of one text in text order.

    The clinical readout gives the families that the gold guide annotates; other readouts tell their members apart
    (中药 · 方剂 · 西药 … within 治疗) and add the types that the clinical guide leaves out, above `side_threshold`.
    """
    clinical = list(READOUTS["gold"].items())
    found: list[Mention] = []
    for part, of_part in zip(parts, clinical_spans, strict=True):
        offset, window = part.window.start, part.window
        votes: dict[str, dict[str, np.ndarray]] = {}
        for s in of_part:
            if s.probability < min_probability or not window.keep_start <= offset + s.start < window.keep_end:
                continue
            label, family = clinical[s.label]
            kind = family
            if label in FINE_TYPES:
                if label not in votes:
                    votes[label] = _votes(label, part, of_part)
                kind = _member(votes[label], family, s.start, s.end)
            status = STATUSES[s.status] if kind in TYPES_WITH_STATUS else None
            raw = s.probability * (s.status_probability if status else 1.0)
            found.append(Mention(kind, offset + s.start, offset + s.end, status, calibration(f"entity:{label}", raw)))
        taken = np.zeros(window.end - offset, bool)
        for s in of_part:
            taken[s.start : s.end] = True
        for readout, kinds in SIDE_TYPES.items():
            if readout not in part.tags:
                continue
            labels = list(READOUTS[readout])
            for s in hint_spans(part.tags[readout], [labels.index(name) for name in kinds]):
                if s.probability >= side_threshold and window.keep_start <= offset + s.start < window.keep_end:
                    kind = kinds[labels[s.label]]
                    if kind not in NESTING_TYPES and taken[s.start : s.end].any():
                        continue
                    found.append(Mention(kind, offset + s.start, offset + s.end, None, calibration("side", s.probability)))
    found.sort(key=_place)
    return found


def _votes(label: str, part: WindowScores, of_part: Sequence[Span]) -> dict[str, np.ndarray]:
    """Member of a family → (T + 1,) running sum over the family's characters of what the readouts believe of it."""
    number = list(READOUTS["gold"]).index(label)
    here = np.zeros(len(part.status), bool)
    for s in of_part:
        if s.label == number:
            here[s.start : s.end] = True
    believed: dict[str, np.ndarray] = {}
    out = {}
    for kind, witnesses in FINE_TYPES[label].items():
        total = np.zeros(len(here), np.float32)
        for readout, names in witnesses.items():
            if readout in part.tags:
                if readout not in believed:
                    believed[readout] = label_probability(part.tags[readout][here])
                order = list(READOUTS[readout])
                total[here] += believed[readout][:, [order.index(n) for n in names]].sum(1)
        out[kind] = np.concatenate([[0.0], np.cumsum(total, dtype=np.float64)])
    return out


def _member(votes: Mapping[str, np.ndarray], family: str, start: int, end: int) -> str:
    """The member that the readouts believe in most; the family's own type if none has a mean share of 0.3."""
    best, best_share = family, 0.3
    for kind, running in votes.items():
        share = float(running[end] - running[start]) / (end - start)
        if share >= best_share:
            best, best_share = kind, share
    return best

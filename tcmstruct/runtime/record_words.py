"""The words of a record as numbers: hashed pieces of its clauses, and of the mentions found in them with type and status.

Characters alone do not tell 发热 from 无发热; pieces of a mention carry what the text model said of it, so that both are other
words here. Hashing (Weinberger et al. 2009) needs no list of words, and no word of a record can be read back out of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import numpy as np

from tcmstruct.record import Mention
from tcmstruct.text.normalise import normalise

N_BUCKETS = 4096
CONCLUSIONS = frozenset({"证候", "中医病名", "中医诊断", "病机", "治则治法", "方剂"})
"""Types of mentions that tell an answer, not a finding."""


@dataclass(frozen=True, slots=True)
class Words:
    """M pieces of a record.

    Attributes:
        buckets: (M,) int64.
        clauses: (M,) number of the clause each stands in.
        shares: (M,) float32; a bucket that several clauses hold counts once, shared by them.
    """

    buckets: np.ndarray
    clauses: np.ndarray
    shares: np.ndarray


def record_words(text: str, spans: Sequence[tuple[int, int]], mentions: Sequence[Mention], n_buckets: int = N_BUCKETS) -> Words:
    """The pieces of the clauses `spans` and of the mentions that begin in them."""
    clean = normalise(text)
    held: list[set[int]] = [{_bucket(piece, n_buckets) for piece in _pieces(clean[start:end])} for start, end in spans]
    starts = np.array([start for start, _ in spans])
    for mention in mentions:
        n = int(np.searchsorted(starts, mention.start, side="right")) - 1
        if mention.type in CONCLUSIONS or n < 0 or mention.start >= spans[n][1]:
            continue
        said, kind = clean[mention.start : mention.end], f"{mention.type}{mention.status or ''}|"
        held[n] |= {_bucket(kind + piece, n_buckets) for piece in (*_pieces(said), "=" + said)}
    buckets = np.array([b for own in held for b in sorted(own)], np.int64)
    clauses = np.repeat(np.arange(len(held)), np.array([len(own) for own in held], np.int64))
    count = np.bincount(buckets, minlength=n_buckets)
    return Words(buckets, clauses, (1 / count[buckets]).astype(np.float32))


def _pieces(text: str) -> Iterator[str]:
    yield from text
    yield from map("".join, pairwise(text))


def _bucket(piece: str, n_buckets: int) -> int:
    return crc32(piece.encode("utf-8", "surrogatepass")) % n_buckets

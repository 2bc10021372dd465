"""`tcmstruct vocab mine FILE…`: proposes terms from a hospital's own records, for a person to accept."""

from __future__ import annotations

import csv
import io
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import jieba
import numpy as np
from rapidfuzz import fuzz, process

from tcmstruct.batch.progress import Progress, progress_for
from tcmstruct.batch.tables.csv_table import defuse
from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.delimited import open_text
from tcmstruct.emr.encoding import sniff_encoding
from tcmstruct.emr.reader import open_sources
from tcmstruct.emr.rows import Reject
from tcmstruct.emr.sniff import sniff_format
from tcmstruct.errors import UsageError
from tcmstruct.recipes.evaluate import write_private
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.mining import Candidate, CountFilter, Evidence, Known, Words, judge
from tcmstruct.text.normalise import normalise
from vocab.reader import KINDS, Term

MINED_COLUMNS: tuple[str, ...] = ("accept", "name", "kind", "score", "count", "records", "cohesion", "entropy", "nearest")
"""Columns of the proposals; `--examples` adds one more, `examples`."""
EXAMPLES = "examples"

_KIND_NAMES = tuple(KINDS)
_GUESSED = tuple(k for k, kind in enumerate(_KIND_NAMES) if kind != "medical")  # a drawer of leftovers is no answer
_WHOLE = frozenset(k for k, kind in enumerate(_KIND_NAMES) if kind not in ("pulse", "body_part", "medical"))
_LETTERS = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffffA-Za-zⅠ-Ⅻα-ω]+")
_PIECE_CHARS = 50_000  # of one record that are looked at together
_TERM_SHARE = 50  # a known term weighs as much as a word that is every 50th of the dictionary's corpus
_EXAMPLES_EACH, _EXAMPLE_CHARS = 3, 10


class Cutter:
    """Cuts texts into words with jieba (MIT), whose dictionary takes the known terms in.

    Args:
        kinds: normalised known names → indices of their kinds.
    """

    def __init__(self, kinds: dict[str, frozenset[int]]) -> None:
        self._jieba = jieba.Tokenizer()
        # Read here and not by jieba itself, which would leave a cache file in the system's temporary folder.
        self._jieba.FREQ, self._jieba.total = self._jieba.gen_pfdict(self._jieba.get_dict_file())
        self._jieba.initialized = True
        frequencies, often = self._jieba.FREQ, self._jieba.total // _TERM_SHARE
        for name in kinds:
            frequencies[name] = max(often, frequencies.get(name, 0))
            for end in range(1, len(name)):
                frequencies.setdefault(name[:end], 0)
        self._lexicon = Lexicon(_KIND_NAMES, {name: tuple(sorted(found)) for name, found in kinds.items()})

    def words(self, text: str) -> list[Words]:
        """The pieces of a record."""
        return [self._words(text[at : at + _PIECE_CHARS]) for at in range(0, len(text), _PIECE_CHARS)]

    def _words(self, text: str) -> Words:
        folded = normalise(text)
        spans: list[tuple[int, int]] = []
        for run in _LETTERS.finditer(folded):
            at = run.start()
            for word in self._jieba.cut(run[0], HMM=False):
                spans.append((at, at + len(word)))
                at += len(word)
        return Words(folded, np.array(spans, np.int64).reshape(-1, 2), sorted(self._lexicon.matches(folded)))


@dataclass(frozen=True, slots=True)
class Proposals:
    """What mining found: candidates, best first, and how much was read."""

    candidates: list[Candidate]
    n_records: int
    least_count: int


def kinds_of(terms: Iterable[Term]) -> dict[str, frozenset[int]]:
    """Normalised names and aliases → indices (into `KINDS`) of their kinds."""
    found: dict[str, set[int]] = {}
    for term in terms:
        for name in term.names:
            found.setdefault(normalise(name), set()).add(_KIND_NAMES.index(term.kind))
    return {name: frozenset(kinds) for name, kinds in found.items()}


def propose(texts: Callable[[int], Iterable[str]], terms: Iterable[Term], *, min_count: int = 5,
            min_records: int = 3) -> Proposals:
    """Mines records for terms.

    Args:
        texts: called with 0 and 1, gives the same records both times; none is kept.
        terms: the known ones.
        min_count, min_records: occurrences and different records that a proposal needs.
    """
    kinds = kinds_of(terms)
    cutter = Cutter(kinds)
    counts = CountFilter()
    for text in texts(0):
        for words in cutter.words(text):
            counts.add(words)
    evidence = Evidence(counts, len(_KIND_NAMES), min_count)
    for text in texts(1):
        evidence.add(cutter.words(text))
    found = judge(evidence, Known(kinds, _GUESSED, _WHOLE), min_count=min_count, min_records=min_records)
    return Proposals(found, evidence.n_records, evidence.least_count)


def mine(inputs: Sequence[Path], out: Path, terms: Sequence[Term], *, mapping: Sequence[str] = (),
         encoding: str | None = None, limit: int = 2000, min_count: int = 5, min_records: int = 3,
         examples: bool = False, fresh: bool = False, progress: Progress | None = None) -> int:
    """Writes proposals as CSV (UTF-8 with a byte order mark, 0600); names and figures only, unless `examples`.

    Args:
        inputs: files that `convert` reads, and `.txt` with one record a line.
        out: the CSV.
        terms: the known ones.
        mapping, encoding: as for `convert`.
        limit: most proposals.
        min_count, min_records: occurrences and different records that a proposal needs.
        examples: add short contexts, which are record text.
        fresh: replace `out`.
        progress: where to tell progress; stderr by default.

    Returns:
        Number of rows that could not be read.

    Raises:
        InputRefused: a file that cannot be used.
        UsageError: no input, `out` is there already (it may hold a person's answers) or is an input.
    """
    if not inputs:
        raise UsageError("no input was named", where="mine", hint="tcmstruct vocab mine FILE… -o terms.csv")
    if out.resolve() in {path.resolve() for path in inputs}:
        raise UsageError("is one of the inputs", where=out.name, hint="name another file with -o")
    if out.exists() and not fresh:
        raise UsageError("is there already and may hold answers", where=out.name, code="out_exists",
                         hint="name another file with -o, or replace it with --fresh")
    reading = _Reading(inputs, mapping, encoding)
    with progress or progress_for() as shown:
        proposals = propose(lambda n: reading.texts(n, 2 + examples, shown), terms, min_count=min_count,
                            min_records=min_records)
        chosen = proposals.candidates[:limit]
        shown.say("looking for the nearest known terms")
        near = nearest([c.name for c in chosen], [name for term in terms for name in term.names])
        contexts = _contexts(reading.texts(2, 3, shown), [c.name for c in chosen]) if examples else {}
    write_private(out, _as_csv(chosen, near, contexts if examples else None))
    codes = ", ".join(f"{code} {n:,}" for code, n in sorted(reading.rejects.items()))
    print(f"{proposals.n_records:,} records read"
          + (f", {sum(reading.rejects.values()):,} rows rejected ({codes})" if codes else "")
          + f"; {len(chosen):,} of {len(proposals.candidates):,} proposals written to {out.name}", file=sys.stderr)
    if proposals.least_count > min_count:
        print(f"note: what occurs fewer than {proposals.least_count:,} times was left out to bound memory", file=sys.stderr)
    if examples:
        print(f"warning: {out.name} holds record text (column {EXAMPLES}): treat it as you treat the records", file=sys.stderr)
    return sum(reading.rejects.values())


class _Reading:
    """The inputs, read from their beginning as often as asked."""

    def __init__(self, inputs: Sequence[Path], mapping: Sequence[str], encoding: str | None) -> None:
        self._inputs, self._overrides, self._encoding = inputs, parse_overrides(mapping), encoding
        self._lines = {path for path in inputs if sniff_format(path, encoding) in ("delimited", "txt") and path.suffix.lower() == ".txt"}
        self.rejects: Counter[str] = Counter()
        self._open()  # so that every file is refused before any work is done

    def _open(self) -> list[Iterable[str | Reject]]:
        tables = iter(open_sources([p for p in self._inputs if p not in self._lines], encoding=self._encoding,
                                   overrides=self._overrides))
        return [_lines(path, sniff_encoding(path, self._encoding).name) if path in self._lines else next(tables)
                for path in self._inputs]

    def texts(self, number: int, passes: int, progress: Progress) -> Iterator[str]:
        """The records' texts in reading `number` (from 0) of `passes`; rejects are counted in the first."""
        sizes = [max(1, path.stat().st_size) for path in self._inputs]
        n = rejected = 0
        for k, source in enumerate(self._open()):
            for item in source:
                if isinstance(item, Reject):
                    rejected += 1
                    if number == 0:
                        self.rejects[item.code] += 1
                    continue
                n += 1
                yield item if isinstance(item, str) else item.text
                if n % 64 == 0:
                    part = source.fraction() if hasattr(source, "fraction") else None
                    done = sum(sizes[:k]) + sizes[k] * (part or 0)
                    known = None if part is None else (number + done / sum(sizes)) / passes
                    progress.step(n, rejected, known)


def _lines(path: Path, encoding: str) -> Iterator[str]:
    with open_text(path.open("rb"), encoding) as file:
        while line := file.readline(_PIECE_CHARS):
            if not line.isspace():
                yield line


def nearest(names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The known name that is most like each of `names` (share of characters in common, in order), "" below one half."""
    distinct = list(dict.fromkeys(known))
    found = []
    for name in names:
        best = process.extractOne(name, distinct, scorer=fuzz.ratio, processor=None, score_cutoff=50)
        found.append(best[0] if best else "")
    return found


def _contexts(texts: Iterable[str], names: Sequence[str]) -> dict[str, list[str]]:
    """Up to three places of each name with ten characters on either side."""
    lexicon = Lexicon(names, {name: (k,) for k, name in enumerate(names)})
    found: dict[str, list[str]] = {name: [] for name in names}
    for text in texts:
        for start, end, k in lexicon.matches(text):
            if len(found[names[k]]) < _EXAMPLES_EACH:
                around = text[max(0, start - _EXAMPLE_CHARS) : end + _EXAMPLE_CHARS]
                found[names[k]].append(" ".join(around.encode("utf-8", "replace").decode().split()))
    return found


def _as_csv(candidates: Sequence[Candidate], near: Sequence[str], contexts: dict[str, list[str]] | None) -> str:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow((*MINED_COLUMNS, *([EXAMPLES] if contexts is not None else [])))
    for candidate, known in zip(candidates, near, strict=True):
        row = ["", candidate.name, _KIND_NAMES[candidate.kind], f"{candidate.score:.2f}", str(candidate.count),
               str(candidate.records), "" if candidate.cohesion is None else f"{candidate.cohesion:.2f}",
               f"{candidate.entropy:.2f}", known]
        if contexts is not None:
            row.append(" … ".join(contexts[candidate.name]))
        writer.writerow([defuse(cell) for cell in row])
    return "\ufeff" + text.getvalue()

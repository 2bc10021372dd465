"""How good are the proposals of `tcmstruct vocab mine`?

    python -m benchmarks.mining [--source DIR] [--corpus casebooks|inpatient|all] [--seeds 3] [--every 1] [--show-names]

A random tenth of the vocabulary's names that occur in the corpus is hidden; the corpus is mined with the rest as known.
A proposal counts as right where it is a hidden name, or the surface of an annotated mention in gold/train or the training
parts of ner: a stand-in for a person's yes. It is strict where a good term is neither (a pulse phrase nobody annotated)
and lenient where annotators marked phrases (面色少华) that a person may not want as a term. Recall is the share of the hidden names
that occur at least five times (as a string, also inside of longer words) that are proposed at all, or among the first 2,000.

Baselines, over the same text with the same names hidden: `frequency`, all strings of 2 to 8 letters of a run that are not
known, most frequent first; `jieba HMM`, the words that jieba's hidden Markov model adds and neither its dictionary nor the
vocabulary holds, most frequent first. `--show-names` prints the first hundred proposals of the last seed, for reading.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import print_machine
from tcmstruct.recipes.mining import _KIND_NAMES, _LETTERS, Cutter, kinds_of, propose
from tcmstruct.text.normalise import normalise
from vocab.reader import Term, load_terms

CORPORA = {"casebooks": ("records/casebooks.jsonl",), "inpatient": ("gold/train.jsonl", "records/inpatient.jsonl")}
MIN_COUNT, FIRST = 5, (100, 500)


def texts_of(source: Path, corpus: str) -> list[str]:
    """Distinct texts of a corpus."""
    found: dict[str, None] = {}
    for name in CORPORA[corpus]:
        with (source / name).open(encoding="utf-8") as lines:
            found.update(dict.fromkeys(json.loads(line)["text"] for line in lines))
    return list(found)


def annotated_surfaces(source: Path) -> set[str]:
    """Normalised surfaces of all mentions of the training sets."""
    found = set()
    for path in (source / "gold" / "train.jsonl", *sorted((source / "ner").glob("*.train.jsonl"))):
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                record = json.loads(line)
                found.update(normalise(record["text"][e["start"] : e["end"]]) for e in record["entities"])
    return found


def by_frequency(texts: Sequence[str], known: set[str], n: int) -> list[str]:
    """Strings of 2 to 8 letters, most frequent first; the counts are pruned of singletons at two million."""
    counts: Counter[str] = Counter()
    for text in texts:
        for run in _LETTERS.findall(normalise(text)):
            for size in range(2, 9):
                counts.update(run[at : at + size] for at in range(len(run) - size + 1))
        if len(counts) > 2_000_000:
            counts = Counter({name: k for name, k in counts.items() if k > 1})
    return [name for name, _ in counts.most_common(n + len(known)) if name not in known][:n]


def by_jieba(texts: Sequence[str], cutter: Cutter, known: set[str]) -> list[str]:
    """New words of jieba's hidden Markov model, most frequent first."""
    jieba, counts = cutter._jieba, Counter()
    for text in texts:
        for run in _LETTERS.findall(normalise(text)):
            counts.update(word for word in jieba.cut(run, HMM=True)
                          if 2 <= len(word) <= 8 and word not in known and not jieba.FREQ.get(word))
    return [name for name, k in counts.most_common() if k >= MIN_COUNT]


def hidden_from(terms: Sequence[Term], hidden: set[str]) -> list[Term]:
    """The vocabulary without the hidden names."""
    return [Term(t.kind, name) for t in terms for name in t.names if normalise(name) not in hidden]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path(os.environ.get("TCMSTRUCT_DATA", "../shared/data")))
    parser.add_argument("--corpus", choices=[*CORPORA, "all"], default="all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="take every Nth text only, for a quicker look")
    parser.add_argument("--show-names", action="store_true", help="print the first hundred names of the last seed")
    options = parser.parse_args()
    if not (options.source / "gold").is_dir():
        print(f"{options.source}: no data folder → give --source DIR or set TCMSTRUCT_DATA", file=sys.stderr)
        return 4
    print_machine()
    terms, surfaces = list(load_terms()), annotated_surfaces(options.source)
    everything = {normalise(name) for term in terms for name in term.names}
    for corpus in CORPORA if options.corpus == "all" else [options.corpus]:
        texts = texts_of(options.source, corpus)[:: options.every]
        joined = "\n".join(map(normalise, texts))
        occurring = sorted(name for name in everything if name in joined)
        figures: dict[str, list[tuple[float, ...]]] = {}
        names: list[tuple[str, str]] = []
        for seed in range(options.seeds):
            hidden = set(random.Random(seed).sample(occurring, len(occurring) // 10))
            rest = hidden_from(terms, hidden)
            known = everything - hidden
            right = hidden | (surfaces - known)
            frequent = {name for name in hidden if joined.count(name) >= MIN_COUNT}
            began = time.perf_counter()
            mined = propose(lambda _, texts=texts: iter(texts), rest, min_count=MIN_COUNT).candidates
            seconds = time.perf_counter() - began
            names = [(c.name, _KIND_NAMES[c.kind]) for c in mined[:100]]
            found = {"mine": [c.name for c in mined], "frequency": by_frequency(texts, known, 50_000),
                     "jieba HMM": by_jieba(texts, Cutter(kinds_of(rest)), known)}
            for system, ranked in found.items():
                precision = [sum(name in right for name in ranked[:n]) / n for n in FIRST]
                recall = [len(frequent.intersection(ranked[:n])) / max(1, len(frequent)) for n in (2000, len(ranked))]
                figures.setdefault(system, []).append((*precision, *recall, len(ranked), len(frequent)))
            print(f"{corpus}: seed {seed}, mined in {seconds:.0f} s", file=sys.stderr)
        print(f"\n{corpus}: {len(texts):,} texts, {len(joined):,} characters, {options.seeds} seeds: mean (least – most)\n")
        print("| system | precision@100 | precision@500 | recall in the first 2,000 | recall | proposals | hidden names ≥ 5 times |")
        print("|---|---|---|---|---|---|---|")
        for system, rows in figures.items():
            columns = list(zip(*rows, strict=True))
            shown = [f"{statistics.mean(c):.3f} ({min(c):.3f} – {max(c):.3f})" for c in columns[:4]]
            shown += [f"{statistics.mean(c):,.0f}" for c in columns[4:]]
            print(f"| {system} | " + " | ".join(shown) + " |", flush=True)
        if options.show_names:
            print("\n" + " ".join(f"{name}({kind})" for name, kind in names))
    return 0


if __name__ == "__main__":
    sys.exit(main())

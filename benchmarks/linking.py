"""Linking of diagnoses and syndromes to codes, on surfaces labelled by reading.

    python -m benchmarks.linking [--show]

The 300 surfaces of `readings/linking.tsv` (what counts as right: `readings/README.md`) are split and linked; a code is
right if it is one of the codes that the reader wrote for the surface. Precision counts the codes given, recall those
that the reader found in the standards; a surface without a right code can only cost precision. Intervals are 95 %
percentile bootstraps over surfaces (Wilson's, over codes, for a precision without an error). Baselines read the same
table of codes: exact (a preferred name or nothing), and plain rapidfuzz (the nearest name by `fuzz.ratio`, no guard)
at the threshold that is best *on these surfaces*, so it is flattered. Without the data folder the row "not met in
training" is left out. `--show` lists the errors (names only).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rapidfuzz import fuzz, process

from benchmarks.machine import print_machine
from tcmstruct.linking import KINDS, RULES, SYSTEMS, Code, Link, Linker, shipped_codes
from tcmstruct.linking.linker import KINDS_OF_TYPE

READING = Path(__file__).parent / "readings" / "linking.tsv"
READING_FUZZY = READING.with_name("linking_fuzzy.tsv")
READING_FRESH = READING.with_name("linking_fresh.tsv")
SHORT = {"GBT16751.1": "GB/T 16751.1-2021", "GBT16751.2": "GB/T 16751.2-2021", "ICD-10": "ICD-10"}
TYPE_OF_KIND = {"syndrome": "证候", "disease_tcm": "中医病名", "tcm": "中医诊断", "disease_western": "西医诊断"}
"""What the pipeline would call for a mention of this kind."""
KIND_TITLES = {"syndrome": "syndromes", "disease_tcm": "TCM diseases", "tcm": "TCM, kind not told", "disease_western": "Western diseases"}
N_BOOTSTRAP, SEED = 2000, 7

Given = list[tuple[str, str, str]]
"""(system, code, rule) of each link."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One surface: each part holds the codes that are right for it (any of them)."""

    surface: str
    kind: str
    parts: tuple[frozenset[tuple[str, str]], ...]


def read_readings(path: Path = READING) -> list[Reading]:
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        surface, kind, code, _ = line.split("\t")
        parts = () if code == "-" else tuple(
            frozenset((SHORT[one.split(":")[0]], one.split(":")[1]) for one in _alternatives(part)) for part in code.split("|"))
        rows.append(Reading(surface, kind, parts))
    return rows


def _alternatives(part: str) -> list[str]:
    return part.split("/")


def score(reading: Reading, given: Given) -> tuple[int, int, int]:
    """(right codes given, codes given, codes to find). A part is found once; a code that fits no open part is wrong."""
    open_parts = list(reading.parts)
    right = 0
    codes = list(dict.fromkeys((system, code) for system, code, _ in given))
    for code in codes:
        fitting = next((part for part in open_parts if code in part), None)
        if fitting is not None:
            open_parts.remove(fitting)
            right += 1
    return right, len(codes), len(reading.parts)


def linked(linker: Linker) -> Callable[[Reading], Given]:
    def answer(reading: Reading) -> Given:
        links = (part.link for part in linker.parts(reading.surface, TYPE_OF_KIND[reading.kind]))
        return [(link.system, link.code, link.rule) for link in links if link]
    return answer


def exact(codes: Sequence[Code]) -> Callable[[Reading], Given]:
    names = {(kind, code.name): code for code in codes for kind in code.kinds}

    def answer(reading: Reading) -> Given:
        found = (names.get((kind, reading.surface)) for kind in KINDS_OF_TYPE[TYPE_OF_KIND[reading.kind]])
        return [(code.system, code.code, "exact") for code in found if code][:1]
    return answer


def plain_fuzzy(codes: Sequence[Code], threshold: float) -> Callable[[Reading], Given]:
    by_kind: dict[str, dict[str, Code]] = {kind: {} for kind in KINDS}
    for code in codes:
        for name in (code.name, *code.aliases):
            by_kind[code.kinds[0]].setdefault(name, code)

    def answer(reading: Reading) -> Given:
        near = []
        for kind in KINDS_OF_TYPE[TYPE_OF_KIND[reading.kind]]:
            best = process.extractOne(reading.surface, by_kind[kind].keys(), scorer=fuzz.ratio, score_cutoff=threshold)
            if best:
                near.append((best[1], by_kind[kind][best[0]]))
        return [(code.system, code.code, "fuzzy") for _, code in sorted(near, key=lambda pair: -pair[0])[:1]]
    return answer


def summary(counts: np.ndarray) -> tuple[float, float, float]:
    right, given, wanted = counts.sum(axis=0)
    precision, recall = right / given if given else np.nan, right / wanted if wanted else np.nan
    return precision, recall, 2 * right / (given + wanted) if given + wanted else np.nan


def with_interval(counts: np.ndarray) -> list[str]:
    rng = np.random.default_rng(SEED)
    drawn = np.array([summary(counts[rng.integers(len(counts), size=len(counts))]) for _ in range(N_BOOTSTRAP)])
    low, high = np.nanpercentile(drawn, [2.5, 97.5], axis=0)
    out = [f"{value:.3f} [{a:.3f}, {b:.3f}]" for value, a, b in zip(summary(counts), low, high, strict=True)]
    right, given, _ = counts.sum(axis=0)
    if right == given:  # resampling what has no error says nothing about the next error
        out[0] = wilson(right, given)
    return out


def row(title: str, readings: Sequence[Reading], answer: Callable[[Reading], Given]) -> str:
    counts = np.array([score(reading, answer(reading)) for reading in readings])
    right, given, wanted = counts.sum(axis=0)
    return f"| {title} | {len(readings)} | {wanted} | {given} | {right} | " + " | ".join(with_interval(counts)) + " |"


def met_in_training() -> set[str] | None:
    """Surfaces of the training parts of the labelled sets, or None without the data."""
    folder = Path(os.environ.get("TCMSTRUCT_DATA", "../shared/data"))
    if not folder.is_dir():
        return None
    met: set[str] = set()
    for name in ("gold/train", "ner/journal.train", "ner/cehrner.train"):
        for line in (folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            met |= {record["text"][e["start"] : e["end"]] for e in record["entities"]}
            met |= {record.get("tcm_dx") or "", record.get("syndrome") or ""}
    return met


def by_rule(readings: Iterable[Reading], answer: Callable[[Reading], Given]) -> dict[str, tuple[int, int]]:
    """Rule → (right, given)."""
    tally = {rule: [0, 0] for rule in RULES}
    for reading in readings:
        for system, code, rule in dict.fromkeys(answer(reading)):
            tally[rule][1] += 1
            tally[rule][0] += any((system, code) in part for part in reading.parts)
    return {rule: (right, given) for rule, (right, given) in tally.items()}


def wilson(right: int, given: int) -> str:
    """95 % interval of a share (Wilson 1927)."""
    if not given:
        return "–"
    z, p = 1.96, right / given
    centre, spread = p + z * z / (2 * given), z * np.sqrt(p * (1 - p) / given + z * z / (4 * given * given))
    scale = 1 + z * z / given
    return f"{p:.3f} [{(centre - spread) / scale:.3f}, {(centre + spread) / scale:.3f}]"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.linking", description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="list wrong and missing codes (names only)")
    options = parser.parse_args(arguments)
    readings = read_readings()
    began = time.process_time()
    codes = shipped_codes()
    linker = Linker(shipped=codes)
    load_s = time.process_time() - began
    ours = linked(linker)
    print_machine()
    print(f"\n{len(readings)} surfaces, {sum(not r.parts for r in readings)} without a right code; "
          f"{len(codes)} codes with {sum(1 + len(c.aliases) for c in codes)} names\n")
    print("| | surfaces | codes to find | given | right | precision | recall | F1 |\n|---|---|---|---|---|---|---|---|")
    print(row("**linker**", readings, ours))
    for kind, title in KIND_TITLES.items():
        print(row(f"– {title}", [r for r in readings if r.kind == kind], ours))
    met = met_in_training()
    if met is not None:
        print(row("– not met in training", [r for r in readings if r.surface not in met], ours))
    print(row("exact names only", readings, exact(codes)))
    scored = []
    for threshold in range(50, 101, 2):
        answer = plain_fuzzy(codes, threshold)
        scored.append((summary(np.array([score(r, answer(r)) for r in readings]))[2], threshold))
    best = max(scored)[1]
    print(row(f"plain rapidfuzz, ratio ≥ {best}", readings, plain_fuzzy(codes, best)))
    print("\n| rule | given | right | precision |\n|---|---|---|---|")
    for rule, (right, given) in by_rule(readings, ours).items():
        print(f"| {rule} | {given} | {right} | {wilson(right, given)} |")
    fresh = Linker(shipped=codes)
    began = time.process_time()
    for reading in readings:
        fresh.parts(reading.surface, TYPE_OF_KIND[reading.kind])
    first_us = (time.process_time() - began) / len(readings) * 1e6
    began = time.process_time()
    for reading in readings:
        fresh.parts(reading.surface, TYPE_OF_KIND[reading.kind])
    print(f"\nprocessor time: table and index {load_s:.2f} s; a diagnosis string: {first_us:.0f} µs when first met, "
          f"{(time.process_time() - began) / len(readings) * 1e6:.0f} µs when met again")
    print_fresh(linker)
    print_fuzzy_bands()
    if options.show:
        show(readings, linker)
    return 0


def print_fresh(linker: Linker, path: Path = READING_FRESH) -> None:
    """Precision on surfaces that were read after the rules stood: only the codes given were judged, so no recall."""
    verdicts: dict[tuple[str, str, str], dict[str, str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        surface, kind, part, code, right = line.split("\t")
        verdicts.setdefault((part, surface, kind), {})[code] = right
    print("\n| fresh surfaces, precision only | surfaces | given | right | not read | precision |\n|---|---|---|---|---|---|")
    for title in dict.fromkeys(part for part, _, _ in verdicts):
        told: list[str] = []
        of_set = [key for key in verdicts if key[0] == title]
        for key in of_set:
            links = (part.link for part in linker.parts(key[1], TYPE_OF_KIND[key[2]]))
            told += [verdicts[key].get(code, "?") for code in dict.fromkeys(link.code for link in links if link)]
        right, read = told.count("yes"), len(told) - told.count("?")
        print(f"| {title} | {len(of_set)} | {len(told)} | {right} | {told.count('?')} | {wilson(right, read)} |")


def print_fuzzy_bands(path: Path = READING_FUZZY) -> None:
    """Precision of the nearest name whose critical characters agree, by similarity, on surfaces of the training parts."""
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    print("\n| fuzzy candidates of training surfaces | similarity ≥ | read | right | precision |\n|---|---|---|---|---|")
    for kind in KINDS:
        for least in (0.85, 0.80, 0.75, 0.70):
            taken = [right == "yes" for one, _, _, _, similarity, right in rows if one == kind and float(similarity) >= least]
            if taken:
                print(f"| {KIND_TITLES[kind]} | {least:.2f} | {len(taken)} | {sum(taken)} | {wilson(sum(taken), len(taken))} |")


def show(readings: Sequence[Reading], linker: Linker) -> None:
    names: dict[tuple[str, str], str] = {(code.system, code.code): code.name for code in shipped_codes()}
    for reading in readings:
        given = {(link.system, link.code): link for part in linker.parts(reading.surface, TYPE_OF_KIND[reading.kind])
                 if (link := part.link)}
        wrong = [link for key, link in given.items() if not any(key in part for part in reading.parts)]
        missed = [part for part in reading.parts if not part & given.keys()]
        if wrong or missed:
            print(f"{reading.surface}: wrong {[_said(link) for link in wrong]}, "
                  f"missed {[[f'{code} {names.get((system, code), chr(63))}' for system, code in part] for part in missed]}")


def _said(link: Link) -> str:
    return f"{link.code} {link.name} ({link.rule})"


assert set(SHORT.values()) == set(SYSTEMS.values())

if __name__ == "__main__":
    sys.exit(main())

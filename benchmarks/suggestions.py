"""Record-level heads: suggestion of a disease, syndrome, specialty; relation and inference on the reasoning of a case.

    python -m benchmarks.suggestions RUN --data DATA [--photos FUSION_RUN/photos.npz] [--head HEAD] [--reasoning REASONING_RUN]

RUN is the working folder of `tcmstruct.recipes.suggestion_train`: its states and heads are taken where they stand, and made where they
do not. Every record is asked of the head that saw neither it nor its near-duplicates (5 folds by the text's hash); pairs of records are
ranked within a fold. Thresholds and calibration are fitted on the fold before the one that is asked. Intervals: 95 % percentile
bootstraps over groups of near-duplicates, of the first seed; ± is the standard deviation over seeds. Prints no record text.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.baselines.record_level import prior_labels, tfidf_labels, tfidf_pairs
from benchmarks.machine import print_machine
from tcmstruct.evaluation.multilabel import (
    auroc,
    best_threshold,
    calibration_error,
    first_suggestion,
    interval,
    macro_auroc,
    macro_f1,
    mean_over,
    micro_auroc,
    micro_f1,
)
from tcmstruct.recipes import reasoning_train
from tcmstruct.recipes.suggestion_export import calibration_of
from tcmstruct.recipes.suggestion_states import N_FOLDS, Corpus, StateStore, read_corpus
from tcmstruct.recipes.suggestion_train import SETTINGS, Material, material, out_of_fold, scores_of
from tcmstruct.runtime.suggestion import Suggester, probabilities
from tcmstruct.training.data import IGNORE
from tcmstruct.training.photo_deck import PhotoDeck

HEAD = "| task | system | n | macro AUROC | micro AUROC | micro F1 | macro F1 | first right | ECE |\n|---|---|---|---|---|---|---|---|---|"


def judged(scores: np.ndarray, truth: np.ndarray, folds: np.ndarray, one_of: bool) -> tuple[np.ndarray, np.ndarray]:
    """(D, L) probabilities and decisions, calibrated and decided by what was fitted on the fold before."""
    p, said = np.zeros_like(scores), np.zeros(scores.shape, bool)
    for k in range(N_FOLDS):
        asked, before = folds == k, folds == (k - 1) % N_FOLDS
        own = calibration_of(scores[before], truth[before], one_of)
        p[asked] = probabilities(scores[asked], own)
        said[asked] = p[asked] >= best_threshold(truth[before], probabilities(scores[before], own))
    return p, said


def row(task: str, system: str, seeds: Sequence[np.ndarray], truth: np.ndarray, folds: np.ndarray, groups: np.ndarray, one_of: bool) -> str:
    """A line of the table from out-of-fold scores (D, L) of each seed."""
    done = [(scores, *judged(scores, truth, folds, one_of)) for scores in seeds]
    scores, p, said = done[0]

    def cell(score: Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray], float], n_boot: int = 100) -> str:
        mean, spread = mean_over([score(s, q, d, truth, folds) for s, q, d in done])
        found = interval(lambda r: score(scores[r], p[r], said[r], truth[r], folds[r]), groups, n_boot)
        return f"{mean:.3f}" + (f" ± {spread:.3f}" if len(done) > 1 else "") + f" [{found.low:.3f}, {found.high:.3f}]"

    cells = [cell(lambda s, q, d, t, f: macro_auroc(t, s, f)), cell(lambda s, q, d, t, f: micro_auroc(t, s, f)),
             cell(lambda s, q, d, t, f: micro_f1(t, d)), cell(lambda s, q, d, t, f: macro_f1(t, d)),
             f"{mean_over([first_suggestion(truth, q)[0] for _, q, _ in done])[0]:.3f}",
             f"{mean_over([calibration_error(truth, q) for _, q, _ in done])[0]:.3f}"]
    return f"| {task} | {system} | {len(truth)} | " + " | ".join(cells) + " |"


def of_baseline(given: Material, texts: Sequence[str], kind: str) -> np.ndarray:
    """(D, L) out-of-fold scores of a baseline."""
    out = np.full(given.task.truth.shape, np.nan)
    for k in range(N_FOLDS):
        train = np.nonzero((given.folds >= 0) & (given.folds != k) & given.task.known)[0]
        asked = np.nonzero(given.folds == k)[0]
        truth = given.task.truth
        out[asked] = prior_labels(truth, train, asked) if kind == "prior" else tfidf_labels(texts, truth, train, asked)
    return out


def table(run: Path, corpus: Corpus, store: StateStore, name: str, deck: PhotoDeck | None, seeds: int) -> None:
    """All rows of one task."""
    given = material(corpus, store, name)
    kept = np.nonzero((given.folds >= 0) & given.task.known)[0]
    truth, folds, groups, one_of = given.task.truth[kept], given.folds[kept], given.groups[kept], given.task.one_of

    def say(system: str, all_seeds: Sequence[np.ndarray]) -> None:
        print(row(name, system, [scores[kept] for scores in all_seeds], truth, folds, groups, one_of), flush=True)

    mine, nets = zip(*(out_of_fold(given, run, SETTINGS[name], seed) for seed in range(seeds)), strict=True)
    say("**head**, leak-free text", mine)
    parts = {"– words alone": (True, False), "– clause vectors alone": (False, True), "– both": (True, True)}
    for system, (words, states) in parts.items():
        changes = {"words": words, "states": states}
        with tempfile.TemporaryDirectory() as scratch:
            say(system, [out_of_fold(given, Path(scratch), replace(SETTINGS[name], **changes), 0)[0]])
    say("TF-IDF of characters + logistic regression", [of_baseline(given, corpus.texts(), "tfidf")])
    say("majority", [of_baseline(given, (), "prior")])
    if name == "specialty":
        return
    for mode in ("no names", "leaky"):
        other = replace(given, states=store.states(f"cases {mode}", corpus.texts(mode)))
        with tempfile.TemporaryDirectory() as scratch:
            say(f"head, text {mode}", [out_of_fold(other, Path(scratch), SETTINGS[name], 0)[0]])
    held = np.nonzero((corpus.folds < 0) & given.task.known)[0]
    if len(held):
        scores = np.mean([scores_of(net, given.states, held) for net in nets[0]], axis=0)
        found = interval(lambda r: macro_auroc(given.task.truth[held][r], scores[r]), corpus.groups[held], 200)
        print(f"| {name} | head, held-out records (gold dev) | {len(held)} | {found.value:.3f} [{found.low:.3f}, {found.high:.3f}] | "
              f"{micro_auroc(given.task.truth[held], scores):.3f} | | | {first_suggestion(given.task.truth[held], scores)[0]:.3f} | |")
    if deck is not None:
        photo_rows(name, material(corpus, store, name, deck=deck), corpus, deck)


def photo_rows(name: str, given: Material, corpus: Corpus, deck: PhotoDeck) -> None:
    """Records that state their tongue: with that clause, without it, and without it beside a (simulated) photo; by heads that were
    trained with photos."""
    with tempfile.TemporaryDirectory() as scratch:
        _, nets = out_of_fold(given, Path(scratch), SETTINGS[name], 0)
    stated = (corpus.tongues != IGNORE).any(1) & given.task.known & (given.folds >= 0)
    ways: dict[str, np.ndarray] = {}
    for k, net in enumerate(nets):
        rows = np.nonzero(stated & (given.folds == k))[0]
        here = deck.fold == k
        for way, states, photo in (("text with its tongue", given.states, None), ("text without its tongue", given.untongued, None),
                                   ("– and a photo of such a tongue (simulated)", given.untongued, given.photo_of(here)),
                                   ("– and anybody's photo", given.untongued, given.photo_of(here, shuffled=True))):
            ways.setdefault(way, np.full(given.task.truth.shape, np.nan))[rows] = scores_of(net, states, rows, photo, seed=k)
    rows = np.nonzero(stated)[0]
    for way, scores in ways.items():
        print(row(name, way, [scores[rows]], given.task.truth[rows], given.folds[rows], given.groups[rows], given.task.one_of), flush=True)


def reasoning(run: Path, corpus: Corpus, store: StateStore) -> None:
    """Relation and inference, with the seeds that stand in the run."""
    print("\n| task | system | pairs (true) | AUROC | F1 | ECE |\n|---|---|---|---|---|---|")
    for name in reasoning_train.DRAWS:
        asked = reasoning_train.questions(corpus, store, name)
        rows = np.nonzero(asked.folds >= 0)[0]
        folds, groups = asked.folds[rows], corpus.groups[[asked.pairs[i].case for i in rows]]
        truth = asked.follows[rows].astype(float)
        premises, candidates = [p.premise for p in asked.pairs], [p.candidate for p in asked.pairs]
        seeds = max(1, len(list((run / name).glob("seed-*"))))
        systems = {"**head** on the encoder": [reasoning_train.out_of_fold(asked, run / name, seed)[rows] for seed in range(seeds)]}
        for title, alone in (("TF-IDF pair + logistic regression", False), ("– the candidate alone", True)):
            scores = np.zeros(len(asked.pairs))
            for k in range(N_FOLDS):
                train, here = (np.nonzero((asked.folds >= 0) & (asked.folds != k))[0], np.nonzero(asked.folds == k)[0])
                scores[here] = tfidf_pairs(premises, candidates, asked.follows, train, here, alone)
            systems[title] = [scores[rows]]
        systems["majority"] = [np.zeros(len(rows))]
        for title, all_seeds in systems.items():
            done = [(s, *(x[:, 0] for x in judged(s[:, None], truth[:, None], folds, False))) for s in all_seeds]
            mean, spread = mean_over([auroc(truth, s, folds) for s, _, _ in done])
            first = done[0][0]
            found = interval(lambda r, s=first, t=truth, f=folds: auroc(t[r], s[r], f[r]), groups, 200)
            f1 = mean_over([micro_f1(truth[:, None], d[:, None]) for _, _, d in done])[0]
            ece = mean_over([calibration_error(truth[:, None], p[:, None]) for _, p, _ in done])[0]
            ranked = f"{mean:.3f} ± {spread:.3f} [{found.low:.3f}, {found.high:.3f}]"
            print(f"| {name} | {title} | {len(rows)} ({int(truth.sum())}) | {ranked} | {f1:.3f} | {ece:.3f} |", flush=True)


def cost(head: Path, store: StateStore, corpus: Corpus) -> None:
    """Size and time of a head that was exported, beside the text model's own."""
    from tcmstruct.pipeline import Structurer
    from tcmstruct.record import Record

    suggester, structurer = Suggester(head, store.base), Structurer(suggest=head, threads=1)
    records = [Record(str(i), case.text) for i, case in enumerate(corpus.cases[:64])]
    times: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(5):
        for suggest in times:
            structurer.suggest = suggest
            began = time.perf_counter()
            structurer.structure_many(records)
            times[suggest].append(1000 * (time.perf_counter() - began) / len(records))
    plain, beside = (float(np.median(times[suggest])) for suggest in (False, True))
    kilobytes = sum(path.stat().st_size for path in head.iterdir()) / 1000
    print(f"\nhead: {kilobytes:.0f} kB, {sum(len(t['labels']) for t in suggester.card['tasks'].values())} labels; a record takes "
          f"{plain:.1f} ms without and {beside:.1f} ms with suggestions (medians of 5 × 64 records, one thread)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--photos", type=Path, default=None)
    parser.add_argument("--head", type=Path, default=None, help="an exported head: size and time")
    parser.add_argument("--reasoning", type=Path, default=None, help="working folder of tcmstruct.recipes.reasoning_train")
    parser.add_argument("--tasks", default="disease,syndrome,specialty")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print_machine(sys.stdout)
    kept_states = StateStore(options.run)
    photos = None if options.photos is None else PhotoDeck.load(options.photos)
    of_cases = read_corpus(options.data, options.run)
    print(f"\n{HEAD}")
    for wanted in filter(None, options.tasks.split(",")):
        books = wanted == "specialty"
        table(options.run, read_corpus(options.data, options.run, books=True) if books else of_cases, kept_states, wanted,
              None if books else photos, options.seeds)
    if options.reasoning is not None:
        reasoning(options.reasoning, of_cases, StateStore(options.reasoning))
    if options.head is not None:
        cost(options.head, kept_states, of_cases)


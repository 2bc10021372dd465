"""Trains the heads that judge a step of reasoning: findings → pathogenesis ("relation"), case → syndrome ("inference").

    python -m tcmstruct.recipes.reasoning_train RUN --data DATA [--fresh]

Premise and candidate are read together by the text model, which stays as it is, and kept as clause vectors; the pairs and how wrong
ones are drawn: `tcmstruct.training.reasoning`. RUN holds a head of every fold and seed (`head.safetensors`), one trained on all
(`all`), and what was said of pairs that a head had not seen (`held-out.npz`). No head of this kind ships: see docs/suggestions.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tcmstruct.errors import UsageError
from tcmstruct.model.suggestion import FollowsConfig, FollowsNet
from tcmstruct.recipes.suggestion_states import N_FOLDS, Corpus, StateStore, read_corpus
from tcmstruct.runtime.clause_states import RecordStates
from tcmstruct.runtime.memory import peak_resident_bytes
from tcmstruct.text.clauses import clauses
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.reasoning import MARKERS, ReasoningPair, inference_pairs, relation_pairs
from tcmstruct.training.suggestions import FollowsLoss, check_outcomes, pair_batch, pair_batches

DRAWS = {"relation": relation_pairs, "inference": inference_pairs}
N_WRONG = 2
N_PASSES = 5


@dataclass(frozen=True)
class Questions:
    """Pairs of one task with what a head reads.

    Attributes:
        pairs: P of them.
        folds: (P,) of their cases.
        states: of premise, marker and candidate, read as one text.
        n_premise: clauses of each premise.
    """

    pairs: Sequence[ReasoningPair]
    folds: np.ndarray
    states: Sequence[RecordStates]
    n_premise: Sequence[int]

    @property
    def follows(self) -> np.ndarray:
        """(P,) bool."""
        return np.array([pair.follows for pair in self.pairs])


def questions(corpus: Corpus, store: StateStore, name: str) -> Questions:
    """The pairs of a task, read once."""
    pairs = DRAWS[name](corpus.cases, corpus.texts(), corpus.folds, n_wrong=N_WRONG)
    folds = corpus.folds[[pair.case for pair in pairs]] if pairs else np.zeros(0, int)
    follows = np.array([float(pair.follows) for pair in pairs])
    check_outcomes(follows[folds >= 0], name)
    states = store.states(name, [pair.premise + MARKERS[name] + pair.candidate for pair in pairs])
    return Questions(pairs, folds, states, [len(clauses(pair.premise)) for pair in pairs])


def train_follows(asked: Questions, members: np.ndarray, folder: Path, seed: int = 0, n_passes: int = N_PASSES) -> FollowsNet:
    """Trains a head on `members`, or loads the one that stands in `folder`."""
    follows, vectors = asked.follows, [one.vectors for one in asked.states]
    check_outcomes(follows[members].astype(float), "pairs")
    torch.manual_seed(seed)
    net, done = FollowsNet(FollowsConfig(vectors[0].shape[1])), folder / "head.safetensors"
    if done.exists():
        net.load_state_dict(load_file(done))
        return net.eval()
    net.standardise(torch.from_numpy(np.concatenate([vectors[i] for i in members[:: max(1, len(members) // 500)]]).astype(np.float32)))
    rng = np.random.default_rng(seed)
    fit(net, FollowsLoss(), lambda: pair_batches(vectors, asked.n_premise, follows, members, rng),
        LoopConfig(n_passes * len(members), learning_rate=1e-3, weight_decay=0.05, checkpoint_every_s=20.0, seed=seed), folder,
        say=lambda line: None)
    save_file(net.state_dict(), done)
    return net.eval()


@torch.inference_mode()
def judge(net: FollowsNet, asked: Questions, rows: np.ndarray) -> np.ndarray:
    """(len(rows),) scores before the sigmoid."""
    vectors, out = [one.vectors for one in asked.states], []
    for at in range(0, len(rows), 128):
        batch = pair_batch(vectors, asked.n_premise, asked.follows, rows[at : at + 128])
        out.append(net(batch.hidden, batch.mask, batch.of_candidate).numpy())
    return np.concatenate(out)


def out_of_fold(asked: Questions, run: Path, seed: int) -> np.ndarray:
    """(P,) score of every pair by the head that saw neither its case nor the case's copies; NaN for held-out cases."""
    scores = np.full(len(asked.pairs), np.nan)
    for k in range(N_FOLDS):
        net = train_follows(asked, np.nonzero((asked.folds >= 0) & (asked.folds != k))[0], run / f"seed-{seed}" / f"fold-{k}", seed)
        rows = np.nonzero(asked.folds == k)[0]
        scores[rows] = judge(net, asked, rows)
    return scores


def build(run: Path, data: Path, *, model: Path | None = None, seeds: int = 2, fresh: bool = False) -> Path:
    """Both tasks, all folds and seeds, and a head of each trained on everything.

    Raises:
        UsageError: RUN holds heads of another text model or of other pairs (and not `fresh`).
    """
    began, store = time.monotonic(), StateStore(run, model)
    corpus = read_corpus(data, run)
    for name in DRAWS:
        asked, folder = questions(corpus, store, name), run / name
        _same(folder, store.base, len(asked.pairs), fresh)
        scores = np.stack([out_of_fold(asked, folder, seed) for seed in range(seeds)])
        train_follows(asked, np.nonzero(asked.folds >= 0)[0], folder / "all")
        np.savez(folder / "held-out.npz", scores=scores, follows=asked.follows, folds=asked.folds)
        print(f"{name}: {len(asked.pairs):,} pairs, {seeds} × {N_FOLDS} folds · {time.monotonic() - began:.0f} s · "
              f"{peak_resident_bytes() / 2**20:.0f} MiB", file=sys.stderr, flush=True)
    return run


def _same(folder: Path, base: str, n_pairs: int, fresh: bool) -> None:
    said, place = f"{base} {n_pairs} {N_WRONG} {N_PASSES}\n", folder / "of.txt"
    if place.exists() and place.read_text() != said:
        if not fresh:
            raise UsageError("holds heads of another text model, or of other pairs", where=folder.name, code="run_changed",
                             hint="name another folder, or begin anew with --fresh")
        for head in (*folder.rglob("head.safetensors"), *folder.rglob("state.json")):
            head.unlink()
    folder.mkdir(exist_ok=True)
    place.write_text(said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=None, help="text model folder (default: the shipped one)")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--fresh", action="store_true", help="replace the heads of another run")
    arguments = vars(parser.parse_args())
    torch.set_num_threads(1)
    build(**arguments)

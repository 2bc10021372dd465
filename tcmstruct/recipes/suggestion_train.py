"""Trains the heads that suggest a disease, a syndrome and a specialty, and writes their model folder; resumable, every step kept in RUN.

    python -m tcmstruct.recipes.suggestion_train RUN --data DATA --out HEAD [--photos FUSION_RUN/photos.npz] [--fresh]

The text model stays as it is: each record is read once by it and kept as one vector a clause, so that training a head takes seconds.

states    clause vectors of all records, leak-free, with and without the clauses on the tongue
folds     5 heads a task and seed, each asked on the fold that it did not see: figures, calibration, threshold
all       one head a task, trained on every fold, exported to ONNX with its card
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from tcmstruct.errors import UsageError
from tcmstruct.model.suggestion import SuggestionConfig, SuggestionNet
from tcmstruct.recipes.suggestion_export import card_of, check_saved, export
from tcmstruct.recipes.suggestion_states import N_FOLDS, NO_TONGUE, Corpus, StateStore, Task, make_task, read_corpus
from tcmstruct.runtime.clause_states import RecordStates
from tcmstruct.runtime.memory import peak_resident_bytes
from tcmstruct.runtime.record_words import N_BUCKETS
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.photo_deck import PhotoDeck
from tcmstruct.training.suggestions import LabelLoss, PhotoOf, check_outcomes, record_batches
from tcmstruct.training.word_table import fit_words

MAIN_TASKS, BOOK_TASKS = ("disease", "syndrome"), ("specialty",)
LEAST_CASES = 10


@dataclass(frozen=True)
class HeadSettings:
    """How a head is trained; chosen on the folds (docs/suggestions.md).

    Attributes:
        n_passes: over the records.
        learning_rate, weight_decay: of the loop.
        power, focus: see `LabelLoss`.
        states, words, label_queries, dropout, clause_dropout: see `SuggestionConfig`.
    """

    n_passes: int = 5
    learning_rate: float = 1e-3
    weight_decay: float = 0.3
    power: float = 0.5
    focus: float = 0.0
    states: bool = True
    words: bool = True
    label_queries: bool = False
    dropout: float = 0.5
    clause_dropout: float = 0.2


SETTINGS: dict[str, HeadSettings] = {
    "disease": HeadSettings(states=False, power=1.0), "syndrome": HeadSettings(states=False, power=1.0),
    "specialty": HeadSettings(states=False),
}
"""Without the clause vectors: so few records learn them by heart, and it costs accuracy (docs/suggestions.md)."""


@dataclass(frozen=True)
class Material:
    """A task with what its heads read.

    Attributes:
        states: of every record.
        untongued: the same without the clauses on the tongue, and `tongues` (D, attributes) what these said; None for no photo.
        deck: photos to put beside them.
    """

    task: Task
    folds: np.ndarray
    groups: np.ndarray
    states: Sequence[RecordStates]
    untongued: Sequence[RecordStates] | None = None
    tongues: np.ndarray | None = None
    deck: PhotoDeck | None = None

    @property
    def n_photo(self) -> int:
        return 0 if self.deck is None else self.deck.numbers.shape[1]

    def photo_of(self, chosen: np.ndarray, shuffled: bool = False) -> PhotoOf | None:
        return None if self.deck is None or self.tongues is None else self.deck.beside(self.tongues, chosen, shuffled)


def material(corpus: Corpus, store: StateStore, name: str, least: int = LEAST_CASES, deck: PhotoDeck | None = None) -> Material:
    """A task of a corpus, ready for training."""
    task = make_task(corpus, name, least)
    check_outcomes(task.truth[corpus.folds >= 0], name)
    kind = "books" if name in BOOK_TASKS else "cases"
    states = store.states(kind, corpus.texts())
    if kind == "books" or deck is None:
        return Material(task, corpus.folds, corpus.groups, states)
    return Material(task, corpus.folds, corpus.groups, states, store.states(f"{kind} {NO_TONGUE}", corpus.texts(NO_TONGUE)),
                    corpus.tongues, deck)


def train_head(given: Material, members: np.ndarray, photos: np.ndarray | None, folder: Path | None, settings: HeadSettings,
               seed: int = 0) -> SuggestionNet:
    """Trains a head on `members`, or loads the one that stands in `folder`.

    Args:
        photos: (P,) bool, those that may stand beside records.

    Raises:
        InputRefused: no members, or all their labels alike.
        TcmstructError: the loss is no longer finite.
    """
    truth = given.task.truth
    check_outcomes(truth[members], given.task.name)
    torch.manual_seed(seed)
    width = given.states[members[0]].vectors.shape[1]
    shape = {name: getattr(settings, name) for name in ("states", "words", "label_queries", "dropout", "clause_dropout")}
    net = SuggestionNet(SuggestionConfig(width, truth.shape[1], given.n_photo, N_BUCKETS, **shape))
    done = None if folder is None else folder / "head.safetensors"
    if done is not None and done.exists():
        net.load_state_dict(load_file(done))
        return net.eval()
    share = truth[members].mean(0).clip(1e-3, 1 - 1e-3)
    words = fit_words([given.states[i].words for i in members], truth[members], N_BUCKETS)
    prior = (1 - settings.power) * np.log(share / (1 - share))
    net.prepare(torch.from_numpy(np.concatenate([given.states[i].vectors for i in members]).astype(np.float32)),
                *map(torch.from_numpy, (words.rarity, words.table, prior)))
    said = np.zeros(truth.shape, np.float32)
    said[members] = words.unseen
    rng = np.random.default_rng(seed)
    photo_of = None if photos is None else given.photo_of(photos)
    fit(net, LabelLoss(truth[members], settings.power, settings.focus),
        lambda: record_batches(given.states, said, truth, members, rng, others=given.untongued, photo_of=photo_of, n_photo=given.n_photo),
        LoopConfig(settings.n_passes * len(members), learning_rate=settings.learning_rate, weight_decay=settings.weight_decay,
                   checkpoint_every_s=20.0, seed=seed), folder, say=_quiet)
    if done is not None:
        save_file(net.state_dict(), done)
    return net.eval()


@torch.inference_mode()
def scores_of(net: SuggestionNet, states: Sequence[RecordStates], rows: np.ndarray, photo_of: PhotoOf | None = None,
              seed: int = 0) -> np.ndarray:
    """(len(rows), L) scores; a record without a clause gets what the head says of nothing."""
    rng, out = np.random.default_rng(seed), []
    for i in rows:
        hidden = torch.from_numpy(states[i].vectors.astype(np.float32))[None]
        mask = torch.ones(hidden.shape[:2], dtype=torch.bool)
        said = net.of_words([torch.from_numpy(states[i].words.astype(np.int64))])
        photo = photo_of(i, rng) if photo_of is not None else None
        given = {} if photo is None else {"photo": torch.from_numpy(photo)[None], "present": torch.ones(1)}
        out.append(net(hidden, mask, said, **given)[0].numpy() if len(states[i].vectors) else net.of_mean.bias.numpy())
    return np.array(out)


def out_of_fold(given: Material, run: Path, settings: HeadSettings, seed: int) -> tuple[np.ndarray, list[SuggestionNet]]:
    """(D, L) scores of every record by the head that saw neither it nor its copies (NaN for the held-out ones), and the heads."""
    scores, nets = np.full(given.task.truth.shape, np.nan), []
    for k in range(N_FOLDS):
        members = np.nonzero((given.folds >= 0) & (given.folds != k) & given.task.known)[0]
        photos = None if given.deck is None else given.deck.fold != k
        net = train_head(given, members, photos, run / given.task.name / f"seed-{seed}" / f"fold-{k}", settings, seed)
        asked = np.nonzero(given.folds == k)[0]
        scores[asked] = scores_of(net, given.states, asked)
        nets.append(net)
    return scores, nets


def build(run: Path, data: Path, out: Path, *, model: Path | None = None, photos: Path | None = None, tasks: Sequence[str] = (),
          least: int = LEAST_CASES, seeds: int = 3, fresh: bool = False,
          settings: Mapping[str, HeadSettings] = SETTINGS) -> Path:
    """All steps; see the head of this module.

    Raises:
        ModelError: RUN or `out` holds pickled weights; `out` is a head of another text model or with other labels (and not `fresh`).
        InputRefused: data that are missing, empty, or of one class.
        UsageError: RUN was begun with other data, labels or settings (and not `fresh`).
    """
    began = time.monotonic()
    store = StateStore(run, model)
    deck = None if photos is None else PhotoDeck.load(photos)
    wanted = tuple(tasks) or (*MAIN_TASKS, *BOOK_TASKS)
    corpora = {kind: read_corpus(data, run, books=kind == BOOK_TASKS) for kind in (MAIN_TASKS, BOOK_TASKS) if set(kind) & set(wanted)}
    given = [material(corpus, store, name, least, deck) for kind, corpus in corpora.items() for name in kind if name in wanted]
    check_saved(out, {one.task.name: one.task.labels for one in given}, store.base, fresh)
    _same_run(run, store.base, given, {n: settings[n] for n in wanted}, fresh)
    heads, said = [], {}
    for one in given:
        task, own = one.task, settings[one.task.name]
        found = np.stack([out_of_fold(one, run, own, seed)[0] for seed in range(seeds)])
        everything = np.nonzero((one.folds >= 0) & task.known)[0]
        heads.append(train_head(one, everything, None if deck is None else np.ones(len(deck.fold), bool), run / task.name / "all", own))
        said[task.name] = (task, found[:, everything], task.truth[everything])
        _report(f"{task.name}: {len(task.labels)} labels, {len(everything)} records, {seeds} × {N_FOLDS} folds", began)
    card = card_of(said, store.base, 0 if deck is None else deck.numbers.shape[1], least)
    export(heads, card, out)
    _report(f"head written to {out.name}: {sum(f.stat().st_size for f in out.iterdir()) / 1000:.0f} kB", began)
    return out


def _same_run(run: Path, base: str, given: Sequence[Material], settings: Mapping[str, HeadSettings], fresh: bool) -> None:
    """Heads that were begun with something else are not taken for these; with `fresh` they go, and those of other tasks stay."""
    place = run / "run.json"
    known: dict[str, Any] = json.loads(place.read_text(encoding="utf-8")) if place.exists() else {}
    now = {one.task.name: {"text_model_sha256": base, "settings": asdict(settings[one.task.name]), "n_photo": one.n_photo,
                           "labels": [label.to_dict() for label in one.task.labels], "records": len(one.states)} for one in given}
    changed = {name: [part for part in own if known[name].get(part) != own[part]] for name, own in now.items() if name in known}
    for name, parts in changed.items():
        if parts and not fresh:
            raise UsageError(f"{name} was begun with another {', '.join(parts)}", where=run.name, code="run_changed",
                             hint="name another folder, or begin its heads anew with --fresh")
        if parts:
            for kept in (*(run / name).rglob("head.safetensors"), *(run / name).rglob("state.json")):  # no state, no checkpoint
                kept.unlink()
    place.write_text(json.dumps({**known, **now}, ensure_ascii=False), encoding="utf-8")


def _report(what: str, began: float) -> None:
    print(f"{what} · {time.monotonic() - began:.0f} s · {peak_resident_bytes() / 2**20:.0f} MiB", file=sys.stderr, flush=True)


def _quiet(_: str) -> None:
    """A head's steps stand in its log.jsonl."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="model folder of the heads")
    parser.add_argument("--model", type=Path, default=None, help="text model folder (default: the shipped one)")
    parser.add_argument("--photos", type=Path, default=None, help="photos.npz of a run of recipes.fusion_train")
    parser.add_argument("--least", type=int, default=LEAST_CASES, help="cases a label needs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--fresh", action="store_true", help="replace a head of other labels, and the heads of another run")
    arguments = vars(parser.parse_args())
    torch.set_num_threads(1)
    build(**arguments)

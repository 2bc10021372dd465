"""A small student of an ensemble that reads whole records: disease and syndrome from the text (after OptimCLM, Hasan et al. 2025).

    python -m tcmstruct.recipes.outcome_students RUN --data DATA --teachers CHECKPOINT… [--seeds 2]

teachers   each checkpoint's encoder, fine-tuned on the cases; and TF-IDF with logistic regression
ensemble   the mean of the teachers' scores, each outcome's brought to mean 0 and deviation 1 on the training cases, with the weights
           that rank the gold dev records best; a teacher without weight is not asked further
student    learns the ensemble's scores, on the training cases, on cases with exchanged clauses, and on case books without labels
pruned     a share of its feed-forward neurons goes (Taylor), what is left is refitted and learns on
int8       its graph, products and tables quantised

Cases of fold 0 are for judging: nothing is learnt from them or chosen on them. A step that stands in RUN is not run again.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tcmstruct.compression.export import fold_projection, write_graph
from tcmstruct.compression.narrow import narrow_tables
from tcmstruct.compression.prune_text import importance, pruned_tagger, refit_tagger
from tcmstruct.compression.quantise import CALIBRATION_TEXTS, kind_named
from tcmstruct.errors import UsageError
from tcmstruct.evaluation.multilabel import macro_auroc
from tcmstruct.model.checkpoint import load_config
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.outcome import OutcomeNet
from tcmstruct.recipes.distil import recombined
from tcmstruct.recipes.suggestion_states import Corpus, make_task, read_corpus
from tcmstruct.recipes.suggestion_train import LEAST_CASES, MAIN_TASKS
from tcmstruct.runtime.memory import peak_resident_bytes
from tcmstruct.runtime.model_folder import refuse_unsafe
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.cases import read_case_books
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.outcomes import KnownOutcomes, TeachersScores, batch_of, encoded, outcome_batches, scores_of
from tcmstruct.training.suggestions import check_outcomes
from tcmstruct.training.term_scores import TermScores

TEST_FOLD, TUNE_FOLD = 0, -1
"""Judged on; and chosen on (the gold dev records)."""
TERMS = "TF-IDF + logistic regression"


@dataclass(frozen=True)
class OutcomeSettings:
    """Lengths are characters, all passes together.

    Attributes:
        teacher_characters, student_characters, pruned_characters: of training.
        teacher_rate, head_rate, student_rate: peaks.
        n_mixed, n_books: texts without labels.
        pruned_share: of the student's feed-forward neurons.
    """

    teacher_characters: int = 700_000
    teacher_rate: float = 2e-4
    head_rate: float = 3e-3
    student_characters: int = 6_000_000
    student_rate: float = 2e-3
    pruned_characters: int = 1_200_000
    pruned_share: float = 0.3
    n_mixed: int = 2400
    n_books: int = 800


STUDENT = EncoderConfig(kind="conv", hidden=128, n_layers=3, n_heads=4, feed=256, kernel=7, attention_after=(2,), norm_eps=1e-6)


def student_shape(table: CharacterTable) -> ModelConfig:
    """The student's: narrow tables, for they are most of such a model."""
    return ModelConfig(STUDENT, n_characters=len(table), character_width=96, n_bigram_buckets=16384, bigram_width=24, dropout=0.1)


class Study:
    """Cases, texts and models of a run folder.

    Raises:
        UsageError: no teacher. ModelError: the folder holds weights of a kind that may run code.
        InputRefused: data that are missing, or outcomes of one kind only.
    """

    def __init__(self, run: Path, data: Path, teachers: Sequence[Path], settings: OutcomeSettings | None = None) -> None:
        if not teachers:
            raise UsageError("no teacher is named", code="no_teacher", hint="name at least one checkpoint folder")
        run.mkdir(parents=True, exist_ok=True)
        for folder in (run, *teachers):
            refuse_unsafe(folder)
        self.run, self.data, self.starts, self.settings = run, data, list(teachers), settings or OutcomeSettings()
        self.corpus: Corpus = read_corpus(data, run)
        tasks = [make_task(self.corpus, name, LEAST_CASES) for name in MAIN_TASKS]
        self.labels = [f"{task.name}: {label.name}" for task in tasks for label in task.labels]
        self.truth = np.concatenate([task.truth for task in tasks], 1)
        self.texts = self.corpus.texts()
        known = ~np.isnan(self.truth).all(1)
        self.test = np.nonzero(known & (self.corpus.folds == TEST_FOLD))[0]
        self.tune = np.nonzero(known & (self.corpus.folds == TUNE_FOLD))[0]
        self.train = np.nonzero(known & ~np.isin(self.corpus.folds, (TEST_FOLD, TUNE_FOLD)))[0]
        check_outcomes(self.truth[self.train], data.name)

    @cached_property
    def unlabelled(self) -> list[str]:
        """Training cases, cases with exchanged clauses, and case books that no test case begins like."""
        rng = random.Random(0)
        own = [self.texts[i] for i in self.train]
        begun = {self.corpus.cases[i].text[:40] for i in (*self.test, *self.tune)}
        books = [case.text for case in read_case_books(self.data) if case.text[:40] not in begun]
        s = self.settings
        return own + recombined(own, s.n_mixed, rng) + rng.sample(books, min(s.n_books, len(books)))

    def teacher(self, number: int) -> OutcomeNet:
        """The encoder of a checkpoint, fine-tuned on the training cases."""
        start, s = self.starts[number], self.settings
        table = CharacterTable.load(start / "characters.txt")

        def make() -> OutcomeNet:
            torch.manual_seed(number)
            net = OutcomeNet(load_config(start), len(self.labels))
            own, stored = net.state_dict(), load_file(start / "weights.safetensors")
            own.update({key: value for key, value in stored.items() if key in own and value.shape == own[key].shape})
            net.load_state_dict(own)
            return net

        loop = LoopConfig(s.teacher_characters, learning_rate=s.head_rate, encoder_learning_rate=s.teacher_rate, layer_decay=0.9,
                          warmup=0.1, seed=number)
        return self._trained(f"teacher-{number}", table, make, KnownOutcomes(self.truth[self.train]),
                             [self.texts[i] for i in self.train], self.truth[self.train], loop, 1600)

    def teacher_scores(self, texts: Sequence[str], name: str, only: Sequence[bool] | np.ndarray | None = None) -> np.ndarray:
        """(teachers, N, L) scores, kept under `name`; 0 of teachers that are not asked (`only`)."""
        kept = self.run / f"scores-{name}.npz"
        if kept.exists():
            with np.load(kept, allow_pickle=False) as found:
                return found["scores"]
        asked = np.ones(len(self.starts) + 1, bool) if only is None else np.asarray(only)
        scores = np.zeros((len(asked), len(texts), len(self.labels)), np.float32)
        for number, start in enumerate(self.starts):
            if asked[number]:
                scores[number] = scores_of(self.teacher(number), encoded(texts, CharacterTable.load(start / "characters.txt")))
        if asked[-1]:
            scores[-1] = self.terms.scores(texts)
        np.savez(kept, scores=scores)
        return scores

    @cached_property
    def terms(self) -> TermScores:
        """The teacher that counts n-grams."""
        return TermScores.fitted([self.texts[i] for i in self.train], self.truth[self.train])

    @cached_property
    def weights(self) -> np.ndarray:
        """(teachers,) in tenths, of sum 1: those whose ensemble ranks the tuning cases best by macro AUROC; equal without such cases."""
        n = len(self.starts) + 1
        if not len(self.tune):
            return np.full(n, 1 / n)
        scaled = self._scaled(self.teacher_scores([self.texts[i] for i in self.tune], "tune"))
        choices = [np.array(shares) / 10 for shares in product(range(11), repeat=n) if sum(shares) == 10]
        return max(choices, key=lambda w: macro_auroc(self.truth[self.tune], np.tensordot(w, scaled, 1)))

    def ensemble(self, scores: np.ndarray) -> np.ndarray:
        """(teachers, N, L) → (N, L): what the teachers say together."""
        return np.tensordot(self.weights, self._scaled(scores), 1).astype(np.float32)

    def _scaled(self, scores: np.ndarray) -> np.ndarray:
        said = self.teacher_scores([self.texts[i] for i in self.train], "train")
        return (scores - said.mean(1, keepdims=True)) / np.maximum(said.std(1, keepdims=True), 1e-6)

    @cached_property
    def targets(self) -> np.ndarray:
        """(N, L) what the students learn to say of `unlabelled`."""
        return self.ensemble(self.teacher_scores(self.unlabelled, "unlabelled", self.weights > 0))

    def student(self, seed: int) -> OutcomeNet:
        s = self.settings
        loop = LoopConfig(s.student_characters, learning_rate=s.student_rate, weight_decay=0.02, seed=seed)

        def make() -> OutcomeNet:
            torch.manual_seed(seed)
            net = OutcomeNet(student_shape(self.table), len(self.labels))
            nn.init.normal_(net.embedding.character.weight, std=0.5)
            return net

        return self._trained(f"student-{seed}", self.table, make, TeachersScores(), self.unlabelled, self.targets, loop, 4000)

    def pruned(self, seed: int) -> OutcomeNet:
        """The student without a share of its neurons."""
        s, whole = self.settings, self.student(seed)
        records = encoded(self.unlabelled, self.table)
        first = [batch_of(records[i : i + 8], self.targets[i : i + 8]) for i in range(0, 64, 8)]
        found = importance(whole, first, TeachersScores().loss)["taylor"]
        kept = {name: value.argsort(descending=True)[: round(len(value) * (1 - s.pruned_share))].tolist()
                for name, value in found.items() if name.endswith("feed")}

        def make() -> OutcomeNet:
            net = pruned_tagger(whole, kept)
            refit_tagger(net, whole, first[0])
            return net

        loop = LoopConfig(s.pruned_characters, learning_rate=s.student_rate / 2, weight_decay=0.02, seed=seed)
        return self._trained(f"pruned-{seed}", self.table, make, TeachersScores(), self.unlabelled, self.targets, loop, 4000)

    def graph(self, net: OutcomeNet, name: str, int8: bool = False) -> Path:
        """The ONNX graph of a model: ids (W, T) → sums (W, L), counts (W, 1)."""
        plain, narrow = self.run / f"{name}.onnx", self.run / f"{name}-int8.onnx"
        if not plain.exists():
            fold_projection(net.embedding)
            write_graph(_Narrow(net.eval()).eval(), {"ids": torch.randint(3, 100, (2, 64), dtype=torch.int32)}, ("sums", "counts"), plain,
                        net.config)
        if int8 and not narrow.exists():
            texts = [self.texts[i] for i in self.train[:CALIBRATION_TEXTS]]
            feeds = [{"ids": piece[None].astype(np.int32)} for record in encoded(texts, self.table) for piece in record]
            kind_named("static").convert(plain, narrow, feeds)
            graph = onnx.load(narrow)
            narrow_tables(graph)
            onnx.save(graph, narrow)
        return narrow if int8 else plain

    @cached_property
    def table(self) -> CharacterTable:
        return CharacterTable.load(self.starts[0] / "characters.txt")

    def _trained(self, name: str, table: CharacterTable, make: Callable[[], OutcomeNet], objective: KnownOutcomes | TeachersScores,
                 texts: Sequence[str], targets: np.ndarray, loop: LoopConfig, chars_per_batch: int) -> OutcomeNet:
        place = self.run / name
        net = make()
        if (place / "weights.safetensors").exists():
            net.load_state_dict(load_file(place / "weights.safetensors"))
            return net.eval()
        began = time.process_time()
        records, rng = encoded(texts, table), random.Random(loop.seed)
        everything = range(len(records))
        progress = fit(net, objective, lambda: outcome_batches(records, targets, everything, rng, chars_per_batch), loop, place,
                       say=lambda _: None)
        spent = {"processor_seconds": round(time.process_time() - began), "peak_mib": round(peak_resident_bytes() / 2**20),
                 "steps": progress.step, "parameters": sum(p.numel() for p in net.parameters()), "settings": asdict(self.settings)}
        (place / "spent.json").write_text(json.dumps(spent))
        save_file(net.state_dict(), place / "weights.safetensors")
        print(f"{name}: {spent['processor_seconds']:,} s of processor time, {spent['peak_mib']:,} MiB", file=sys.stderr, flush=True)
        return net.eval()


class _Narrow(nn.Module):
    """With ids of 32 bits, as all graphs of this project take them."""

    def __init__(self, net: OutcomeNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.net(ids.long())


def build(run: Path, data: Path, teachers: Sequence[Path], seeds: int = 2) -> Study:
    """All steps."""
    study = Study(run, data, teachers)
    for seed in range(seeds):
        study.graph(study.student(seed), f"student-{seed}", int8=True)
        study.graph(study.pruned(seed), f"pruned-{seed}", int8=True)
    return study


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, nargs="+", required=True, help="checkpoint folders of encoders")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--threads", type=int, default=1)
    arguments = vars(parser.parse_args())
    torch.set_num_threads(arguments.pop("threads"))
    build(**arguments)

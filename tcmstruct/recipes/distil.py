"""`tcmstruct distil`: a small student learns from a teacher's soft answers on unlabelled and labelled text."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.config import ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.recipes.train import LabelledSet
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.data import Example, batches, collate, labelled, read_jsonl, unlabelled
from tcmstruct.training.loop import LoopConfig, Progress, fit
from tcmstruct.training.objectives import Distillation

_CLAUSE = re.compile(r"[^，。；,;\n]*[，。；,;\n]?")


@dataclass
class DistilConfig:
    """What the student learns from; see `LoopConfig` for the schedule.

    Attributes:
        student: shape of the student.
        loop: schedule.
        readout_weights: weight of each readout's soft loss.
        temperature, hard_weight: see `Distillation`.
        max_chars: window length in characters.
        repeats: readout of a labelled set → how often a pass visits it.
    """

    student: ModelConfig
    loop: LoopConfig
    readout_weights: dict[str, float]
    temperature: float = 2.0
    hard_weight: float = 0.5
    max_chars: int = 400
    chars_per_batch: int = 4096
    repeats: dict[str, int] = field(default_factory=dict)


def recombined(texts: Sequence[str], n: int, rng: random.Random, swap: float = 0.3) -> list[str]:
    """Texts made by exchanging clauses: each clause of a record is, with probability `swap`, replaced by a clause
    that stands at a like place of another record. Gives the teacher more of a style that has few texts."""
    parts = [[c for c in _CLAUSE.findall(t) if c] for t in texts]
    out = []
    for _ in range(n):
        own = rng.choice(parts)
        mixed = []
        for i, clause in enumerate(own):
            if rng.random() < swap:
                other = rng.choice(parts)
                clause = other[min(len(other) - 1, int(i / len(own) * len(other)))]
            mixed.append(clause)
        out.append("".join(mixed))
    return out


def add_soft_targets(teachers: Sequence[CharTagger], examples: Iterable[Example], readouts: Sequence[str],
                     chars_per_batch: int = 8192, say: Callable[[str], None] = print) -> None:
    """Writes the teachers' mean scores into `example.soft` as float16: `tags:NAME` (T, K) and `status` (T, S)."""
    order = sorted(examples, key=len)
    at, done = 0, 0
    while at < len(order):
        size = max(1, chars_per_batch // max(1, len(order[min(len(order) - 1, at + 63)])))
        group = order[at : at + size]
        at += size
        batch = collate([Example(e.ids) for e in group])
        with torch.inference_mode():
            outputs = [teacher(batch.ids) for teacher in teachers]
        names = [(f"tags:{n}", [o.tags[n] for o in outputs]) for n in readouts] + [("status", [o.status for o in outputs])]
        for key, scores in names:
            mean = torch.stack(scores).mean(0).to(torch.float16).numpy()
            for row, e in zip(mean, group, strict=True):
                e.soft[key] = row[: len(e)].copy()
        before, done = done, done + sum(map(len, group))
        if done // 200_000 != before // 200_000:
            say(f"soft targets: {done:,} characters")


def distil(teachers: Sequence[Path], out: Path, config: DistilConfig, sets: Sequence[LabelledSet], texts: Sequence[str],
           lexicon: Lexicon | None = None, evaluate: Callable[[CharTagger, CharacterTable], dict[str, float]] | None = None,
           evaluate_every_s: float = 300.0, examples: list[Example] | None = None) -> Progress:
    """Trains a student of shape `config.student` and writes a checkpoint folder to `out`.

    Args:
        teachers: checkpoint folders; their scores are averaged.
        sets: labelled files (hard labels count besides the soft ones).
        texts: unlabelled texts.
        examples: prepared examples with soft targets (to train several students on the same ones).
    """
    table = CharacterTable.load(teachers[0] / "characters.txt")
    if examples is None:
        examples = prepare(teachers, sets, texts, table, config)
    student = CharTagger(config.student)
    # the teacher's character rows, brought down to the student's width by their principal axes, are a better start
    rows = load_tagger(teachers[0]).embedding.character.weight.detach()
    width = config.student.character_width or config.student.encoder.hidden
    if width < rows.shape[1]:
        centred = rows - rows.mean(0)
        _, _, axes = torch.linalg.svd(centred, full_matrices=False)
        rows = centred @ axes[:width].T
    student.embedding.character.weight.data.copy_(rows / rows.std() * 0.5)
    student.embedding.character.weight.data[0] = 0
    objective = Distillation(config.readout_weights, config.temperature, config.hard_weight)
    rng = random.Random(config.loop.seed)

    def one_pass():
        chosen = [e for e in examples for _ in range(config.repeats.get(e.readout, 1))]
        return batches(chosen, config.chars_per_batch, rng, lexicon)

    watched = (lambda: evaluate(student, table)) if evaluate else None
    progress = fit(student, objective, one_pass, config.loop, out, watched, evaluate_every_s)
    save_tagger(student, table, out)
    return progress


def prepare(teachers: Sequence[Path], sets: Sequence[LabelledSet], texts: Sequence[str], table: CharacterTable,
            config: DistilConfig) -> list[Example]:
    """Labelled and unlabelled windows with the teachers' soft targets."""
    examples: list[Example] = []
    for s in sets:
        found = labelled(read_jsonl(s.path), s.readout, table, config.max_chars, s.weight)
        examples += random.Random(0).sample(found, max(1, round(s.share * len(found))))
    examples += unlabelled(texts, table, config.max_chars)
    models = [load_tagger(t).eval() for t in teachers]
    add_soft_targets(models, examples, [r for r in READOUTS if r in config.readout_weights])
    return examples


def save_examples(examples: Sequence[Example], path: Path) -> None:
    """Stores soft targets beside their ids, so that a sweep need not ask the teacher again (numpy, no pickle)."""
    arrays: dict[str, np.ndarray] = {"lengths": np.array([len(e) for e in examples]), "ids": np.concatenate([e.ids for e in examples])}
    for key in examples[0].soft:
        arrays[f"soft:{key}"] = np.concatenate([e.soft[key] for e in examples])
    np.savez(path, **arrays)

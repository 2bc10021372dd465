"""`tcmstruct distil`: a small student learns from its teachers' answers on unlabelled and labelled text.

    tcmstruct distil CONFIG.toml        # docs/distillation.md says what stands in it
"""

from __future__ import annotations

import argparse
import random
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from tcmstruct.errors import ModelError, UsageError
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_config, load_tagger, save_tagger, student_from_layers
from tcmstruct.model.config import ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.data import Example, batches, labelled, read_jsonl, unlabelled
from tcmstruct.training.distillation import NEEDS_WORDS, LayerMap, ObjectiveName, make_objective
from tcmstruct.training.loop import LoopConfig, Progress, fit
from tcmstruct.training.pretraining import word_numbers
from tcmstruct.training.sizes import load_sizes
from tcmstruct.training.tagging import LabelledSet, predict_entities, strict_f1
from tcmstruct.training.teachers import Ensemble, check_labels, choose_weights

_CLAUSE = re.compile(r"[^，。；,;\n]*[，。；,;\n]?")


@dataclass
class DistilConfig:
    """What the student learns from; see `LoopConfig` for the schedule.

    Attributes:
        student: shape of the student.
        loop: schedule.
        readout_weights: weight of each readout's soft loss.
        temperature, hard_weight, layer_weight: see the objective's class; None takes what its paper does.
        max_chars, chars_per_batch: window length, and size of a batch, in characters.
        repeats: readout of a labelled set → how often a pass visits it.
        objective: what is learnt from the teachers, see `training/distillation.py`.
        weights: of the teachers' scores (None: equal).
        guide: number, from 0, of the teacher whose layers and character rows the student takes.
        layers: which layers are compared: "uniform", "skip", "last", or student layer → teacher layer.
        start_every: k: the student begins as every k-th layer of the guide; 0 begins at random.
        start: checkpoint of a student of the same shape that goes on learning; overrules `start_every`.
    """

    student: ModelConfig
    loop: LoopConfig
    readout_weights: dict[str, float]
    temperature: float | None = None
    hard_weight: float | None = None
    max_chars: int = 400
    chars_per_batch: int = 4096
    repeats: dict[str, int] = field(default_factory=dict)
    objective: ObjectiveName = "soft"
    weights: Sequence[float] | None = None
    guide: int = 0
    layer_weight: float | None = None
    layers: str | LayerMap | None = None
    start_every: int = 0
    start: Path | None = None


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


def distil(teachers: Sequence[Path], out: Path, config: DistilConfig, sets: Sequence[LabelledSet], texts: Sequence[str],
           lexicon: Lexicon | None = None, evaluate: Callable[[CharTagger, CharacterTable], dict[str, float]] | None = None,
           evaluate_every_s: float = 300.0, examples: list[Example] | None = None) -> Progress:
    """Trains a student of shape `config.student` and writes a checkpoint folder to `out`; resumes where `out/checkpoint` stands.

    Args:
        teachers: checkpoint folders; their scores are averaged with `config.weights`.
        sets: labelled files (hard labels count besides the soft ones).
        texts: unlabelled texts.
        lexicon: fills the lexicon channel of the student, and of teachers that have one.
        examples: prepared examples with soft targets (to train several students on the same ones).

    Raises:
        UsageError: no teacher, weights, layers or an objective that cannot be used.
        ModelError: teachers or a student that do not fit together.
    """
    _check_teachers(teachers, config.guide)
    table = CharacterTable.load(teachers[0] / "characters.txt")
    _check_student(config.student, table, config.max_chars)
    with torch.random.fork_rng(devices=[]):  # what cannot work is refused before the teachers are asked, and draws no numbers
        guide = load_tagger(teachers[config.guide])
        check_labels([guide.config, config.student], ["the guide", "the student"], list(config.readout_weights))
        if config.start_every:
            student_from_layers(guide, config.start_every, config.student)
        make_objective(config.objective, guide, config.student, config.readout_weights, layer_weight=config.layer_weight,
                       layers=config.layers)
    if examples is None:
        examples = prepare(teachers, sets, texts, table, config, lexicon)
    with torch.random.fork_rng(devices=[]):
        guide = load_tagger(teachers[config.guide])
    if config.start is not None:
        student = load_tagger(config.start, dropout=0.0)
    elif config.start_every:
        student = student_from_layers(guide, config.start_every, config.student)
    else:
        student = CharTagger(config.student)
        _take_rows(student, guide)
    objective = make_objective(config.objective, guide, config.student, config.readout_weights, temperature=config.temperature,
                               hard_weight=config.hard_weight, layer_weight=config.layer_weight, layers=config.layers)
    if config.objective in NEEDS_WORDS:
        for e in examples:
            e.soft.setdefault("word", word_numbers(e.text))
    rng = random.Random(config.loop.seed)

    def one_pass():
        chosen = [e for e in examples for _ in range(config.repeats.get(e.readout, 1))]
        return batches(chosen, config.chars_per_batch, rng, lexicon)

    watched = (lambda: evaluate(student, table)) if evaluate else None
    progress = fit(student, objective, one_pass, config.loop, out, watched, evaluate_every_s)
    save_tagger(student, table, out)
    return progress


def _check_teachers(teachers: Sequence[Path], guide: int) -> None:
    if not teachers:
        raise UsageError("no teacher is named", code="no_teacher", hint="name at least one checkpoint folder")
    if not 0 <= guide < len(teachers):
        raise UsageError(f"the guide is teacher {guide}; there are teachers 0 to {len(teachers) - 1}", code="usage")


def _take_rows(student: CharTagger, teacher: CharTagger) -> None:
    """The teacher's character rows, brought down to the student's width by their principal axes, are a better start than
    chance. A wider student keeps chance in the columns that the teacher does not fill."""
    own, rows = student.embedding.character.weight.data, teacher.embedding.character.weight.detach()
    width = own.shape[1]
    if width < rows.shape[1]:
        centred = rows - rows.mean(0)
        _, _, axes = torch.linalg.svd(centred, full_matrices=False)
        rows = centred @ axes[:width].T
    own.mul_(0.5)
    own[:, : rows.shape[1]] = rows / rows.std() * 0.5
    own[0] = 0


def _check_student(student: ModelConfig, table: CharacterTable, max_chars: int) -> None:
    if student.n_characters != len(table):
        raise ModelError(f"the student has {student.n_characters} character rows, the teachers' table {len(table)}",
                         code="character_tables_differ", hint="set n_characters of the student to the table's length")
    if student.encoder.kind != "conv" and max_chars >= student.encoder.max_positions:
        raise UsageError(f"windows of {max_chars} characters, but the student reads at most {student.encoder.max_positions - 1}",
                         code="window_too_long", hint="lower max_chars or raise max_positions")


def prepare(teachers: Sequence[Path], sets: Sequence[LabelledSet], texts: Sequence[str], table: CharacterTable,
            config: DistilConfig, lexicon: Lexicon | None = None) -> list[Example]:
    """Labelled and unlabelled windows with the teachers' soft targets."""
    examples: list[Example] = []
    for s in sets:
        found = labelled(read_jsonl(s.path), s.readout, table, config.max_chars, s.weight)
        examples += random.Random(0).sample(found, max(1, round(s.share * len(found))))
    examples += unlabelled(texts, table, config.max_chars)
    ensemble, _ = Ensemble.load(teachers, config.weights)
    with_channel = any(t.config.lexicon_features for t in ensemble.teachers)
    ensemble.label(examples, [r for r in READOUTS if r in config.readout_weights], lexicon=lexicon if with_channel else None)
    return examples


def weights_on(teachers: Sequence[Path], labelled_file: Path, readout: str = "gold", lexicon: Lexicon | None = None,
               max_chars: int = 400) -> tuple[float, ...]:
    """Weights of the teachers chosen on a labelled file that none of them was trained on (see `choose_weights`)."""
    ensemble, table = Ensemble.load(teachers)
    found = labelled(read_jsonl(labelled_file), readout, table, max_chars)
    return choose_weights(list(ensemble.teachers), batches(found, 4096, random.Random(0), lexicon))


def f1_on(model: CharTagger | Ensemble, table: CharacterTable, labelled_file: Path, readout: str = "gold", lexicon: Lexicon | None = None,
          max_chars: int = 400) -> float:
    """Strict micro-F1 on a labelled file: one figure for a teacher, an ensemble and a student alike."""
    records = read_jsonl(labelled_file)
    return strict_f1(records, [predict_entities(model, table, r["text"], readout, max_chars, lexicon) for r in records])


class Job(BaseModel):
    """What a TOML file says of one distillation; paths are relative to the file. See docs/distillation.md.

    Attributes:
        teachers: checkpoint folders.
        out: folder of the student.
        size: name in `training/sizes.toml`; left out with `start_every`, which takes the guide's shape with fewer layers.
        n_characters: characters to train on.
        texts: JSONL files whose `text` is read, unlabelled.
        sets: tables with `path`, `readout` and maybe `weight`, `repeats`, `share` (see `LabelledSet`).
        learning_rate, seed: see `LoopConfig`; the other keys are those of `DistilConfig`.
        weights_from: labelled file (readout gold) on which the teachers' weights are chosen, instead of `weights`.
    """

    model_config = ConfigDict(extra="forbid")

    teachers: list[Path]
    out: Path
    n_characters: int
    size: str | None = None
    texts: list[Path] = []
    sets: list[LabelledSet] = []
    objective: ObjectiveName = "soft"
    weights: list[float] | None = None
    weights_from: Path | None = None
    guide: int = 0
    start_every: int = 0
    readout_weights: dict[str, float] = {"gold": 1.0}
    temperature: float | None = None
    hard_weight: float | None = None
    layer_weight: float | None = None
    layers: str | dict[int, int] | None = None
    learning_rate: float = 1e-3
    max_chars: int = 400
    chars_per_batch: int = 4096
    seed: int = 0


def read_job(file: Path) -> Job:
    """A job with its paths resolved.

    Raises:
        UsageError: no TOML, an unknown key or a value of another kind.
    """
    try:
        job = Job.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(str(error), where=str(file), code="job_invalid") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise UsageError(first["msg"], where=f"{file}: {'.'.join(map(str, first['loc']))}", code="job_invalid",
                         hint=f"keys: {', '.join(Job.model_fields)}") from None
    if job.weights and job.weights_from:
        raise UsageError("weights and weights_from exclude each other", where=str(file), code="job_invalid")
    if bool(job.size) == bool(job.start_every):
        raise UsageError("give either size or start_every", where=str(file), code="job_invalid",
                         hint="a size begins at random, start_every begins as layers of the guide and has its widths")
    base = file.parent
    sets = [LabelledSet(base / s.path, s.readout, s.weight, s.repeats, s.share) for s in job.sets]
    return job.model_copy(update={"teachers": [base / t for t in job.teachers], "out": base / job.out, "sets": sets,
                                  "texts": [base / t for t in job.texts],
                                  "weights_from": base / job.weights_from if job.weights_from else None})


def _shape(job: Job, table: CharacterTable) -> ModelConfig:
    readouts = {r: list(READOUTS[r]) for r in READOUTS if r in job.readout_weights}
    if job.start_every:
        guide = load_config(job.teachers[job.guide])
        encoder = replace(guide.encoder, n_layers=guide.encoder.n_layers // job.start_every)
        return replace(guide, encoder=encoder, readouts=readouts, crf_readouts=(), lexicon_features=0)
    sizes = load_sizes()
    if job.size not in sizes:
        raise UsageError(f"size {job.size!r} is none of {', '.join(sizes)}", code="unknown_size")
    return sizes[job.size].shape(len(table), readouts)


def run(job: Job) -> Progress:
    """Chooses the weights if asked to, and distils."""
    _check_teachers(job.teachers, job.guide)
    table = CharacterTable.load(job.teachers[0] / "characters.txt")
    weights = weights_on(job.teachers, job.weights_from, max_chars=job.max_chars) if job.weights_from else job.weights
    if weights:
        print("weights of the teachers:", ", ".join(f"{w:g}" for w in weights))
    loop = LoopConfig(job.n_characters, learning_rate=job.learning_rate, seed=job.seed)
    config = DistilConfig(_shape(job, table), loop, job.readout_weights,
                          job.temperature, job.hard_weight, job.max_chars, job.chars_per_batch,
                          {s.readout: s.repeats for s in job.sets}, job.objective, weights, job.guide, job.layer_weight, job.layers,
                          job.start_every)
    torch.manual_seed(job.seed)
    return distil(job.teachers, job.out, config, job.sets, [r["text"] for file in job.texts for r in read_jsonl(file)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    run(read_job(arguments.config))


if __name__ == "__main__":
    main()

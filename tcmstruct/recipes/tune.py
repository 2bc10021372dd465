"""`tcmstruct doctor --tune`: which backend, graph and number of threads is fastest on this machine, without another result.

Every candidate reads the same invented texts; one that finds other mentions than onnxruntime does on the folder's own graph, or
others for a text alone than among others, is left out. What is fastest by more than `LEAST_GAIN` is stored for this machine, model
and library versions (`runtime.choice`) and taken by every later run. No network, no record text; under a minute.
"""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tcmstruct.batch.resources import available_cores
from tcmstruct.errors import TcmstructError
from tcmstruct.runtime import backends, choice
from tcmstruct.runtime.choice import GRAPHS, Stored
from tcmstruct.runtime.mentions import Calibration, MentionReader
from tcmstruct.runtime.model_folder import ModelFolder, open_folder
from tcmstruct.runtime.tagger import OnnxTagger

SENTENCES = (
    "患者3天前受凉后出现咳嗽，咳少量黄痰，伴咽痛，无发热。", "胃脘部胀满不适半年，餐后加重，嗳气频作，纳差。",
    "大便溏薄，日行3次，便后肛门灼热。", "腰部酸痛2周，活动受限，久坐后明显，休息可缓解。", "平素畏寒肢冷，夜尿2次，睡眠欠安。",
    "否认高血压、糖尿病史。", "舌淡红，苔薄白，脉弦细。", "舌质红，苔黄腻，脉滑数。", "查体：右膝关节轻度肿胀，浮髌试验阴性。",
    "VAS评分5分。", "便时滴血，色鲜红，量少，无黏液。", "体温37.9℃，血压128/80mmHg。", "中医诊断：咳嗽，风热犯肺证。",
    "西医诊断：慢性胃炎。", "治以疏风清热，宣肺止咳，方用桑菊饮加减。", "予对症处理后症状减轻，今来复诊。",
)
"""Invented."""

LENGTHS = (15, 40, 40, 90, 90, 160, 160, 240, 240, 330, 330, 420, 500, 900)
"""Characters of the texts that are read, of all lengths that a batch may meet, and one of several windows."""

LEAST_GAIN = 1.03
"""A candidate must be so many times as fast as onnxruntime; what is less is noise, and another library has a cost of its own."""

MIN_ROUNDS, MAX_ROUNDS = 3, 9
TIME_S = 40.0
"""Rounds after the first three are timed only as long as this lasts."""


@dataclass(slots=True)
class Candidate:
    """One way to run the folder, and what was found.

    Attributes:
        seconds: of each pass over all texts.
        chars: of all texts.
        problem: why it is left out; "" where it is not.
    """

    backend: str
    file: str
    threads: int
    seconds: list[float] = field(default_factory=list)
    problem: str = ""
    tagger: OnnxTagger | None = None
    chars: int = sum(LENGTHS)

    @property
    def chars_per_s(self) -> float:
        return self.chars / statistics.median(self.seconds) if self.seconds else 0.0


@dataclass(frozen=True, slots=True)
class Tuned:
    """All candidates, and what was stored.

    Attributes:
        stored: the fastest, by number of threads.
        written: whether the cache folder could be written.
    """

    candidates: list[Candidate]
    stored: Stored
    written: bool

    def __str__(self) -> str:
        rows = [("backend", "graph", "threads", "characters/s", "spread", "")]
        for c in self.candidates:
            spread = f"{c.chars / max(c.seconds):,.0f}–{c.chars / min(c.seconds):,.0f}" if c.seconds else ""
            chosen = self.stored.by_threads.get(c.threads) == (c.backend, c.file)
            best = "chosen" + (", fastest" if c.threads == self.stored.threads else "") if chosen else ""
            rows.append((c.backend, c.file, str(c.threads), f"{c.chars_per_s:,.0f}" if c.seconds else "", spread, c.problem or best))
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        lines = ["  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
        left_out = [f"{name}: {problem}" for name, b in backends.BACKENDS.items() if (problem := b.why_not()) is not None]
        kept = "stored for this machine and model" if self.written else "NOT stored: the cache folder cannot be written"
        return "\n".join([*lines, *(f"not here: {line}" for line in left_out), kept])


def tune(model: Path | None = None, time_s: float = TIME_S) -> Tuned:
    """Measures and stores.

    Args:
        model: model folder; None takes the shipped one.
        time_s: see `TIME_S`.
    """
    folder = open_folder(model)
    counts = sorted({1, available_cores()})
    files = [name for name in GRAPHS if name in folder.sha256]
    names = backends.usable()
    candidates = [Candidate(name, file, n) for name in names for file in files for n in counts]
    texts = [*invented(), *rare(folder)]
    reader = MentionReader(folder.card, Calibration(None))
    wanted = None
    for candidate in candidates:  # the first is onnxruntime on the folder's own graph
        found = _mentions(candidate, folder, reader, texts)
        wanted = found if wanted is None else wanted
        if not candidate.problem and found != wanted:
            candidate.problem, candidate.tagger = f"{len(set(found) ^ set(wanted))} other mentions, of {len(wanted)}", None
    began = time.perf_counter()
    live = [c for c in candidates if not c.problem]
    for n in range(MAX_ROUNDS):
        if n >= MIN_ROUNDS and time.perf_counter() - began > time_s:
            break
        for candidate in live if n % 2 else reversed(live):
            _time(candidate, texts)
    stored = best_of(candidates)
    return Tuned(candidates, stored, choice.remember(folder, stored))


def best_of(candidates: Sequence[Candidate]) -> Stored:
    """The fastest for each number of threads; onnxruntime on the folder's own graph unless another is faster by `LEAST_GAIN`."""
    by_threads: dict[int, Candidate] = {}
    for candidate in candidates:
        if candidate.seconds and not candidate.problem:
            held = by_threads.setdefault(candidate.threads, candidate)
            usual = (held.backend, held.file) == (backends.DEFAULT, GRAPHS[0])
            if candidate.chars_per_s > held.chars_per_s * (LEAST_GAIN if usual else 1):
                by_threads[candidate.threads] = candidate
    fastest = max(by_threads.values(), key=lambda c: c.chars_per_s)
    return Stored(fastest.threads, {n: (c.backend, c.file) for n, c in sorted(by_threads.items())})


def invented(seed: int = 0) -> list[str]:
    """Texts of `LENGTHS` characters."""
    rng = random.Random(seed)
    return ["".join(_sentences(rng, length))[:length] for length in LENGTHS]


def rare(folder: ModelFolder, n_texts: int = 2, n_chars: int = 120, seed: int = 1) -> list[str]:
    """Texts drawn from all the characters that the model knows: common words would not show what goes wrong with rare ones."""
    rng, known = random.Random(seed), [c for c in (folder.path / "characters.txt").read_text(encoding="utf-8") if "\u4e00" <= c <= "\u9fff"]
    return ["".join(rng.choice(known) for _ in range(n_chars)) for _ in range(n_texts)]


def _sentences(rng: random.Random, n_chars: int) -> Iterator[str]:
    while n_chars > 0:
        yield (sentence := rng.choice(SENTENCES))
        n_chars -= len(sentence)


def _mentions(candidate: Candidate, folder: ModelFolder, reader: MentionReader, texts: Sequence[str]) -> list[tuple]:
    """What the candidate reads, all texts together and each alone; notes why it cannot be used."""
    try:
        tagger = OnnxTagger(folder, candidate.threads, backend=candidate.backend, file=candidate.file)
        together = reader.read(tagger.stream(texts), len(texts))
        alone = [reader.read(tagger.stream([text]), 1)[0] for text in texts]
    except TcmstructError as error:
        candidate.problem = error.what
        return []
    except MemoryError:
        candidate.problem = "out of memory"
        return []
    if together != alone:
        candidate.problem = "results follow from the batch"
        return []
    candidate.tagger = tagger
    return [(n, m.type, m.start, m.end, m.status) for n, some in enumerate(together) for m in some]


def _time(candidate: Candidate, texts: Sequence[str]) -> None:
    began = time.perf_counter()
    for _ in candidate.tagger.stream(texts) if candidate.tagger is not None else ():
        pass
    candidate.seconds.append(time.perf_counter() - began)
    candidate.chars = sum(map(len, texts))

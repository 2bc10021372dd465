"""What the vocabulary is worth: the lexicon channel beside no channel, random terms, and vocabulary-extension tokens.

    python -m benchmarks.vocabulary [--seeds 5] [--workers 2] [--work runs/vocabulary] [--markdown]

One encoder of the shipped shape without a channel is pre-trained once on unlabelled text (masked LM; no labels). From it each
variant is fine-tuned on gold, cshan and journal with each seed, in the same number of characters:

- no channel;
- lexicon channel: the term tables, by group and place in the term, through a projection that starts at zero;
- random terms: as many strings of the same lengths and groups, cut from case books at random places, none of them a term;
- extension tokens: each term of the tables has a row of its own (as a tokenizer with added words has), the text is cut greedily
  into longest terms, and every character receives its token's row and place through a projection that starts at zero.

Strict F1 on dev counts type, borders and (gold) status. A *rare* mention has a surface that the training file of its set holds at
most twice as a mention; rare F1 counts gold and predicted mentions of rare surface alone. Intervals: 95 %, Student's t over the
seeds; differences are taken seed by seed against the variant without a channel. Finished runs are kept in `--work`.
"""

from __future__ import annotations

import argparse
import json
import lzma
import multiprocessing
import random
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from benchmarks.accuracy import DATA, render, write_json
from benchmarks.machine import describe_line, describe_machine
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_tagger
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.recipes.build import CHARACTERS, unlabelled_texts, up_to
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import PLACES, Lexicon
from tcmstruct.text.normalise import normalise
from tcmstruct.training.data import read_jsonl
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.pretraining import pretrain
from tcmstruct.training.tagging import LabelledSet, TrainConfig, fine_tune, predict_entities
from vocab.reader import load_terms

SETS = ("gold", "cshan", "journal")
SET_TITLES = {"gold": "gold dev", "cshan": "cshan dev", "journal": "journal dev"}
MAX_SEEN = 2
"""A surface that the training file holds as a mention at most so often is rare."""


# ---------------------------------------------------------------- channels

class TokenChannel:
    """Each character's token (row of the longest term that covers it, 0 for none) and its place in it."""

    def __init__(self, terms: Iterable[str]) -> None:
        self.rows = {term: row for row, term in enumerate(sorted(terms), start=1)}
        self.lexicon = Lexicon(["term"], {term: (0,) for term in self.rows})
        self.n_features = 2

    def features(self, text: str) -> np.ndarray:
        """(T, 2) float32: row, place (0 outside, 1 + index in "BMES")."""
        clean = normalise(text)
        out = np.zeros((len(clean), 2), np.float32)
        at = 0
        for start, end, _ in sorted(self.lexicon.matches(clean), key=lambda m: (m[0], -m[1])):
            if start < at:
                continue
            out[start:end, 0] = self.rows[clean[start:end]]
            out[start:end, 1] = 1 + PLACES.index("M")
            out[start, 1], out[end - 1, 1] = 1 + PLACES.index("B"), 1 + PLACES.index("E")
            at = end
        return out


class TokenRows(nn.Module):
    """Rows of extension tokens → H; takes the place of the model's lexicon projection."""

    def __init__(self, n_terms: int, hidden: int, width: int = 64) -> None:
        super().__init__()
        self.row, self.place = nn.Embedding(n_terms + 1, width), nn.Embedding(1 + len(PLACES), width)
        nn.init.normal_(self.row.weight, std=0.5)
        nn.init.normal_(self.place.weight, std=0.5)
        self.project = nn.Linear(width, hidden, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, channel: Tensor) -> Tensor:
        row, place = channel.long().unbind(-1)
        return self.project(self.row(row) + self.place(place))


def random_terms(lexicon: Lexicon, terms: dict[str, tuple[int, ...]], texts: Sequence[str], seed: int) -> Lexicon:
    """As many strings as `terms`, of the same lengths and groups, cut from `texts` at random, none of them a term."""
    rng = random.Random(seed)
    clean = [normalise(t) for t in texts]
    found: dict[str, tuple[int, ...]] = {}
    for term, groups in terms.items():
        while True:
            text = rng.choice(clean)
            start = rng.randrange(max(1, len(text) - len(term)))
            piece = text[start : start + len(term)]
            if len(piece) == len(term) and piece.isalnum() and piece not in terms and piece not in found:
                found[piece] = groups
                break
    return Lexicon(lexicon.groups, found)


def term_groups() -> tuple[Lexicon, dict[str, tuple[int, ...]]]:
    """The lexicon of the term tables, and its terms with their groups."""
    lexicon = Lexicon.from_terms(load_terms())
    return lexicon, dict(lexicon.items())


def channel_of(variant: str, data: Path, seed: int) -> Any:
    lexicon, terms = term_groups()
    if variant == "none":
        return None
    if variant == "channel":
        return lexicon
    if variant == "random":
        return random_terms(lexicon, terms, unlabelled_texts(data)[1], seed)
    return TokenChannel(terms)


VARIANTS = {"none": "no channel", "channel": "lexicon channel", "random": "random terms", "tokens": "extension tokens"}


# ---------------------------------------------------------------- training

def shape(table_rows: int) -> ModelConfig:
    """The shipped student's shape (docs/adr/0003) without a channel and without readouts."""
    encoder = EncoderConfig(kind="conv", hidden=224, n_layers=5, n_heads=4, feed=448, kernel=7, attention_after=(3,), norm_eps=1e-6)
    return ModelConfig(encoder, n_characters=table_rows, character_width=128, n_bigram_buckets=32768, bigram_width=64, dropout=0.0)


def base_texts(data: Path, n_characters: int, seed: int = 0) -> list[str]:
    """Training records and case books, then paragraphs of the corpora, each drawn alike, up to `n_characters`."""
    gold, books = unlabelled_texts(data)
    texts = [r["text"] for r in gold] + books
    rng = random.Random(seed)
    left = max(0, n_characters - sum(map(len, texts)))
    for name in ("textbooks", "tcm_classics", "patient_qa"):
        with lzma.open(data / "corpus" / f"{name}.txt.xz", "rt", encoding="utf-8") as lines:
            paragraphs = [line for line in lines if len(line) > 30]
        rng.shuffle(paragraphs)
        texts += up_to(paragraphs, left // 3)
    return up_to(texts, n_characters)


def base(data: Path, work: Path, n_characters: int) -> Path:
    """The encoder that all variants start from."""
    out = work / "base"
    if not (out / "config.json").exists():
        rows = len(CharacterTable.load(CHARACTERS))
        pretrain(base_texts(data, n_characters), out, characters=CHARACTERS, start=shape(rows), n_characters=n_characters,
              chars_per_batch=6000, learning_rate=2e-3)
    return out


def one_run(variant: str, seed: int, data: Path, work: Path, n_characters: int) -> dict[str, Any]:
    """Fine-tunes one variant with one seed and scores it on the three dev sets."""
    began = time.monotonic()
    channel = channel_of(variant, data, seed)
    table = CharacterTable.load(work / "base" / "characters.txt")
    torch.manual_seed(seed)
    model = load_tagger(work / "base", readouts={name: list(READOUTS[name]) for name in SETS}, crf_readouts=("gold",), dropout=0.1,
                        lexicon_features=0 if channel is None else channel.n_features)
    if isinstance(channel, TokenChannel):
        model.embedding.lexicon = TokenRows(len(channel.rows), model.config.encoder.hidden)
    sets = [LabelledSet(data / "gold" / "train.jsonl", "gold", repeats=2),
            *(LabelledSet(data / "ner" / f"{name}.train.jsonl", name, weight=0.5, share=0.6) for name in SETS[1:])]
    loop = LoopConfig(n_characters, learning_rate=1.5e-3, encoder_learning_rate=1.5e-3, warmup=0.05, seed=seed)
    config = TrainConfig(sets, loop, max_chars=400, chars_per_batch=5000, crf_readouts=("gold",))
    folder = work / f"{variant}-{seed}"
    fine_tune(model, table, folder, config, lexicon=channel)
    model.eval()
    figures: dict[str, Any] = {"variant": variant, "seed": seed, "n_parameters": sum(p.numel() for p in model.parameters())}
    for name in SETS:
        stem = data / ("gold" if name == "gold" else "ner")
        train_file, dev_file = (stem / f"{split}.jsonl" if name == "gold" else stem / f"{name}.{split}.jsonl" for split in ("train", "dev"))
        gold = read_jsonl(dev_file)
        predicted = [predict_entities(model, table, r["text"], name, lexicon=channel) for r in gold]
        figures[name] = scores(gold, predicted, surfaces(read_jsonl(train_file)))
    for file in folder.iterdir():  # hundreds of megabytes over all runs, of no use afterwards
        if file.name != "log.jsonl" and file.is_file():
            file.unlink()
    figures["seconds"] = round(time.monotonic() - began)
    return figures


# ---------------------------------------------------------------- scoring

def surfaces(records: Iterable[dict]) -> Counter[str]:
    """How often each surface is a mention."""
    return Counter(normalise(r["text"][e["start"] : e["end"]]) for r in records for e in r["entities"])


def scores(gold: Sequence[dict], predicted: Sequence[Sequence[dict]], seen: Counter[str]) -> dict[str, float | int]:
    """Strict F1 over all mentions and over those of rare surface."""
    counts = {"all": [0, 0, 0], "rare": [0, 0, 0]}
    for record, mentions in zip(gold, predicted, strict=True):
        def keyed(entities: Iterable[dict], text: str = record["text"]) -> dict[tuple, bool]:
            return {(e["type"], e["start"], e["end"], e.get("status")): seen[normalise(text[e["start"] : e["end"]])] <= MAX_SEEN
                    for e in entities}

        a, b = keyed(record["entities"]), keyed(mentions)
        for key, both in {"all": lambda rare: True, "rare": lambda rare: rare}.items():
            g, p = {k for k, rare in a.items() if both(rare)}, {k for k, rare in b.items() if both(rare)}
            counts[key] = [x + y for x, y in zip(counts[key], (len(g & p), len(g), len(p)), strict=True)]
    out: dict[str, float | int] = {}
    for key, (hits, n_gold, n_predicted) in counts.items():
        out[f"f1_{key}"] = 2 * hits / max(1, n_gold + n_predicted)
        out[f"n_{key}"] = n_gold
    return out


# ---------------------------------------------------------------- command

def interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean and half-width of the 95 % interval over seeds (Student's t)."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, float("nan")
    return mean, float(stats.t.ppf(0.975, len(values) - 1)) * statistics.stdev(values) / len(values) ** 0.5


def tables(runs: Sequence[dict[str, Any]]) -> list[list[str]]:
    """Head and lines: a variant a line; F1 in points, and the difference to no channel."""
    by_variant: dict[str, dict[int, dict[str, Any]]] = {}
    for run in runs:
        by_variant.setdefault(run["variant"], {})[run["seed"]] = run
    columns = [(name, part) for name in SETS for part in ("all", "rare")]
    head = ["variant", "seeds"]
    for name, part in columns:
        n = next(iter(runs))[name][f"n_{part}"]
        head.append(f"{SET_TITLES[name]}, {part} ({n})")
    lines = [head]
    for variant in (v for v in VARIANTS if v in by_variant):
        mine = by_variant[variant]
        cells = [VARIANTS[variant], str(len(mine))]
        for name, part in columns:
            mean, half = interval([100 * r[name][f"f1_{part}"] for r in mine.values()])
            text = f"{mean:.1f} ± {half:.1f}"
            common = sorted(mine.keys() & by_variant.get("none", {}).keys())
            if variant != "none" and common:
                plain = by_variant["none"]
                d, dh = interval([100 * (mine[s][name][f"f1_{part}"] - plain[s][name][f"f1_{part}"]) for s in common])
                text += f" ({d:+.1f} ± {dh:.1f})"
            cells.append(text)
        lines.append(cells)
    return lines


def _job(arguments: tuple[str, int, Path, Path, int]) -> str:
    variant, seed, data, work, n_characters = arguments
    torch.set_num_threads(1)
    result = work / f"{variant}-{seed}.json"
    write_json(result, one_run(variant, seed, data, work, n_characters))
    return result.name


def main(say: Callable[[str], None] = lambda line: print(line, file=sys.stderr, flush=True)) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--work", type=Path, default=Path("runs/vocabulary"), help="where the base and finished runs are kept")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="runs side by side, one thread each")
    parser.add_argument("--only", default=",".join(VARIANTS), help="variants, comma-separated")
    parser.add_argument("--base-characters", type=int, default=BASE_CHARACTERS)
    parser.add_argument("--characters", type=int, default=RUN_CHARACTERS, help="characters of each fine-tuning")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data / "gold" / "dev.jsonl").exists():
        raise SystemExit("the labelled records are not there: set TCMSTRUCT_DATA or give --data")
    work = arguments.work
    torch.set_num_threads(arguments.workers)
    base(arguments.data, work, arguments.base_characters)
    chosen = [v for v in VARIANTS if v in arguments.only.split(",")]
    jobs = [(v, s, arguments.data, work, arguments.characters) for s in range(arguments.seeds) for v in chosen]
    missing = [job for job in jobs if not (work / f"{job[0]}-{job[1]}.json").exists()]
    if missing:
        with multiprocessing.get_context("spawn").Pool(arguments.workers, maxtasksperchild=1) as pool:
            for n, name in enumerate(pool.imap_unordered(_job, missing), start=1):
                say(f"{n}/{len(missing)} {name}")
    runs = [json.loads((work / f"{v}-{s}.json").read_text()) for v, s, *_ in jobs]
    print(describe_line(describe_machine()) + "\n")
    print(f"base: {arguments.base_characters:,} characters of masked LM; each run: {arguments.characters:,} characters of fine-tuning; "
          "F1 in points, mean ± 95 % over seeds (difference to no channel)\n")
    print(render(tables(runs), arguments.markdown))
    sizes = {VARIANTS[r["variant"]]: r["n_parameters"] for r in runs}
    print("\nparameters: " + ", ".join(f"{title} {n / 1e6:.2f} M" for title, n in sizes.items()))


BASE_CHARACTERS, RUN_CHARACTERS = 3_200_000, 1_000_000

if __name__ == "__main__":
    main()

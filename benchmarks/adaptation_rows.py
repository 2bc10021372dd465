"""What `benchmarks.adaptation` measures: an encoder before and after it read unlabelled records, each fine-tuned on gold; and what it
forgets of general text by that."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.adapter_rows import general_text, records_text
from benchmarks.mention_counts import mention_counts
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from tcmstruct.training.data import read_jsonl
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.pretraining import Replay, masked_loss, pretrain, start_model
from tcmstruct.training.tagging import LabelledSet, TrainConfig, fine_tune, predict_entities

CHAIN_LAYERS = 6


def unadapted(e5: Path, adapted: Path, out: Path) -> Path:
    """The encoder that the shipped chain began with, over the adapted one's characters."""
    if not (out / "config.json").exists():
        table = CharacterTable.load(adapted / "characters.txt")
        save_tagger(start_model(e5, table, CHAIN_LAYERS), table, out)
    return out


def fine_tuned(start: Path, data: Path, work: Path, seed: int, n_characters: int, rate: float) -> dict[str, Any]:
    """Mentions of gold learnt from an encoder with fresh readouts; counts of hits, gold and told mentions of each dev record.

    Args:
        work: of the run, which is resumed there and cleared at the end.
        rate: peak learning rate of the encoder.
    """
    torch.manual_seed(seed)
    table = CharacterTable.load(start / "characters.txt")
    model = load_tagger(start, readouts={"gold": list(READOUTS["gold"])}, dropout=0.1)
    loop = LoopConfig(n_characters, learning_rate=1e-3, encoder_learning_rate=rate, layer_decay=0.9, seed=seed)
    config = TrainConfig([LabelledSet(data / "gold" / "train.jsonl", "gold")], loop, chars_per_batch=1600)
    began = time.process_time()
    fine_tune(model, table, work, config)
    shutil.rmtree(work)
    dev = read_jsonl(data / "gold" / "dev.jsonl")
    counts = mention_counts(dev, lambda text: predict_entities(model, table, text, "gold"))
    return {"counts": counts, "seconds": round(time.process_time() - began)}


GENERAL_CHARACTERS, RECORD_CHARACTERS, LEAST = 500_000, 300_000, 3
"""Of training; and how often a character stands in a text to get a row."""
BASE = EncoderConfig(kind="conv", hidden=160, n_layers=4, n_heads=4, feed=320, kernel=7, attention_after=(3,), norm_eps=1e-6)


@dataclass(frozen=True)
class Way:
    """How the base reads on. Attributes: replay: share of general text beside the records; grow: new characters get rows."""

    replay: float = 0.0
    grow: bool = False


WAYS: dict[str, Way | None] = {
    "general text alone": None, "then records": Way(), "then records, 30 % general text beside": Way(0.3),
    "then records, 30 % beside, new characters": Way(0.3, True),
}


def parted(texts: list[str]) -> tuple[list[str], list[str]]:
    """To learn from, and every twentieth, held out."""
    return [t for i, t in enumerate(texts) if i % 20], texts[::20]


def encoder(way: Way | None, data: Path, work: Path) -> Path:
    """A checkpoint: the base, pre-trained on text that holds no hospital's record, over its characters alone; or read on from it."""
    general, _ = parted(general_text(data, GENERAL_CHARACTERS))
    base = work / "base"
    if way is None:
        if not (base / "config.json").exists():
            counts = Counter(c for text in general for c in normalise(text) if not c.isspace())
            table = CharacterTable(sorted((c for c, n in counts.items() if n >= LEAST), key=lambda c: (-counts[c], c)))
            base.mkdir(parents=True, exist_ok=True)
            table.save(base / "table.txt")
            shape = ModelConfig(BASE, len(table), character_width=96, n_bigram_buckets=16384, bigram_width=32, dropout=0.0)
            pretrain(general, base, characters=base / "table.txt", start=shape, n_characters=GENERAL_CHARACTERS, learning_rate=1e-3)
        return base
    out = work / f"read-on-{way.replay:g}-{way.grow:d}"
    if not (out / "config.json").exists():
        records, _ = parted(records_text(data, 2 * RECORD_CHARACTERS))
        pretrain(records, out, characters=base / "table.txt", start=encoder(None, data, work), n_characters=RECORD_CHARACTERS,
                 replay=Replay(general, way.replay) if way.replay else None, grow=LEAST if way.grow else 0,
                 terms=Lexicon.load(DEFAULT_FOLDER / "lexicon.txt"))
    return out


def losses(checkpoint: Path, data: Path) -> dict[str, Any]:
    """Of masked characters (nats) of held-out general text and records, and the rows of the table."""
    general, records = (parted(texts)[1] for texts in (general_text(data, GENERAL_CHARACTERS), records_text(data, 2 * RECORD_CHARACTERS)))
    return {"general": masked_loss(checkpoint, general), "records": masked_loss(checkpoint, records),
            "characters": len(CharacterTable.load(checkpoint / "characters.txt"))}

"""Continual pre-training of an encoder on unlabelled text: masked LM, whole words masked."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

import jieba
import numpy as np
import torch

from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.config import ModelConfig
from tcmstruct.model.pretrained import E5File
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.data import Example, batches, unlabelled
from tcmstruct.training.loop import LoopConfig, Progress, fit
from tcmstruct.training.objectives import MaskedLM


def word_numbers(text: str) -> np.ndarray:
    """(T,) number of the word each character belongs to (jieba's segmentation)."""
    return np.repeat(*zip(*((i, len(w)) for i, w in enumerate(jieba.cut(text, HMM=False))), strict=True)).astype(np.int64)


def start_model(e5: Path, table: CharacterTable, n_layers: int, config: ModelConfig | None = None) -> CharTagger:
    """A tagger whose character rows and lowest layers are those of multilingual-e5-small."""
    source = E5File(e5)
    model = CharTagger(config or ModelConfig(encoder=source.config(n_layers), n_characters=len(table)))
    model.encoder.load_state_dict(source.encoder_state(n_layers), strict=False)
    rows = source.character_rows(table.characters)
    model.embedding.character.weight.data.copy_(rows)
    model.encoder.start.data.copy_(rows[2])
    return model


def pretrain(texts: Iterable[str], out: Path, *, characters: Path, start: Path | ModelConfig, n_layers: int = 6,
             n_characters: int = 1_500_000, max_chars: int = 255, chars_per_batch: int = 4096, learning_rate: float = 4e-4,
             mask_rate: float = 0.3, seed: int = 0) -> Progress:
    """Trains on `texts` and writes a checkpoint folder to `out`.

    Args:
        start: a checkpoint folder, the file `e5-small-q4.bin`, or the shape of a model that starts at random.
        n_characters: characters to train on.
        max_chars: window length in characters.
    """
    table = CharacterTable.load(characters)
    torch.manual_seed(seed)
    if isinstance(start, ModelConfig):
        model = CharTagger(start)
        # the output layer is tied to these rows: at PyTorch's scale of 1 the first scores would be far too sure
        torch.nn.init.normal_(model.embedding.character.weight, std=0.2)
    else:
        model = load_tagger(start) if start.is_dir() else start_model(start, table, n_layers)
    examples: list[Example] = unlabelled(texts, table, max_chars)
    jieba.setLogLevel(60)
    for e in examples:
        e.soft["word"] = word_numbers(e.text)
    rng = random.Random(seed)
    config = LoopConfig(n_characters=n_characters, learning_rate=max(1e-3, learning_rate), encoder_learning_rate=learning_rate, seed=seed)
    objective = MaskedLM(model.config.encoder.hidden, len(table), mask_rate, character_width=model.config.character_width)
    progress = fit(model, objective, lambda: batches(examples, chars_per_batch, rng), config, out)
    save_tagger(model, table, out)
    return progress

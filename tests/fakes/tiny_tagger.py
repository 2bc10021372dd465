"""A tagger of a few thousand weights, drawn at random, as a checkpoint and as an fp32 model folder. Needs torch and onnx."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path

import torch

from tcmstruct.compression.export import export
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import save_tagger
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable

RARE = "".join(chr(0x4E00 + i) for i in range(2000))
"""Characters whose rows of the table have large numbers, towards the end."""
CARD = {"precision": "fp32", "review_below": {"field": 0.9, "entity": 0.9}}


@cache
def tiny_tagger() -> Path:
    """A folder with `checkpoint`, `fp32` (the model folder) and `other` (a checkpoint of other weights); made once a process, since
    exporting takes seconds. Nothing may be written into it."""
    place = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    table = CharacterTable("舌淡红苔薄白脉弦咳嗽三天痰黄无发热,。" + RARE)
    config = ModelConfig(EncoderConfig(kind="conv", hidden=48, n_layers=2, n_heads=2, feed=96, kernel=5, attention_after=(1,)),
                         n_characters=len(table), n_bigram_buckets=4096, bigram_width=8, readouts={"gold": list(READOUTS["gold"])})
    for seed, name in enumerate(("checkpoint", "other")):
        torch.manual_seed(seed)
        save_tagger(CharTagger(config), table, place / name)
    export(place / "checkpoint", place / "fp32", lexicon=None, card=CARD, window_chars=100, window_overlap_chars=20)
    return place

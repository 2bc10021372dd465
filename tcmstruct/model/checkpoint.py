"""A checkpoint folder: `config.json`, `weights.safetensors`, `characters.txt`."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable


def save_tagger(model: CharTagger, table: CharacterTable, folder: Path) -> None:
    """Writes the three files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(asdict(model.config), ensure_ascii=False, indent=1), encoding="utf-8")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "weights.safetensors")
    table.save(folder / "characters.txt")


def load_config(folder: Path) -> ModelConfig:
    data = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    encoder = {**data["encoder"], "attention_after": tuple(data["encoder"].get("attention_after", ()))}
    return ModelConfig(**{**data, "encoder": EncoderConfig(**encoder), "crf_readouts": tuple(data.get("crf_readouts", ()))})


def load_tagger(folder: Path, **changes) -> CharTagger:
    """The tagger of a checkpoint folder; `changes` replace parts of its `ModelConfig` (new readouts, a lexicon
    channel): weights that the new shape shares are loaded, the others start fresh."""
    config = replace(load_config(folder), **changes)
    model = CharTagger(config)
    stored: dict[str, Tensor] = load_file(folder / "weights.safetensors")
    own = model.state_dict()
    own.update({k: v for k, v in stored.items() if k in own and v.shape == own[k].shape})
    model.load_state_dict(own)
    return model

"""A checkpoint folder: `config.json`, `weights.safetensors`, `characters.txt`."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from tcmstruct.errors import UsageError
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


_LAYER = re.compile(r"(?<=^encoder\.layers\.)\d+")


def student_from_layers(teacher: CharTagger, every: int = 2, config: ModelConfig | None = None) -> CharTagger:
    """A student that begins as every k-th layer of its teacher: layers k, 2k, 3k … (as DistilBERT and DistilClinicalBERT
    do), with the teacher's characters, positions, readouts and status. Nothing is shared with the teacher's tensors.

    Args:
        every: k; 1 copies all layers.
        config: the student's shape (None: the teacher's, with fewer layers). Parts that the teacher lacks (a lexicon
            channel, another readout) start fresh.

    Raises:
        UsageError: the teacher is no transformer, `every` leaves no layer, or `config` has another encoder or table.
    """
    deep = teacher.config.encoder
    if deep.kind != "transformer":
        raise UsageError(f"layers of a {deep.kind!r} encoder are not interchangeable", code="no_layers_to_take",
                         hint="start the student fresh, or take a transformer as teacher")
    if not 1 <= every <= deep.n_layers:
        raise UsageError(f"taking one layer in {every} of {deep.n_layers} leaves none", code="no_layers_to_take",
                         hint=f"`every` is a number from 1 to {deep.n_layers}")
    shape = replace(deep, n_layers=deep.n_layers // every)
    config = config or replace(teacher.config, encoder=shape)
    if config.encoder != shape:
        raise UsageError(f"the student's encoder is {config.encoder}, one layer in {every} of the teacher gives {shape}",
                         code="shapes_differ", hint="give the student the teacher's widths, or start it fresh")
    if config.n_characters != teacher.config.n_characters:
        raise UsageError(f"the student has {config.n_characters} character rows, the teacher {teacher.config.n_characters}",
                         code="character_tables_differ", hint="student and teacher read with one character table")
    taken = {every * (i + 1) - 1: i for i in range(shape.n_layers)}
    student = CharTagger(config)
    own = student.state_dict()
    for name, tensor in teacher.state_dict().items():
        layer = _LAYER.search(name)
        if layer is not None:
            if int(layer[0]) not in taken:
                continue
            name = _LAYER.sub(str(taken[int(layer[0])]), name)
        if name in own and own[name].shape == tensor.shape:
            own[name].copy_(tensor)
    return student

"""The folder that an adapter is trained for, opened as what it is: a model folder, a tagger's checkpoint, or a LLaMA-style decoder."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tcmstruct.compression.export import export
from tcmstruct.compression.rebuild import rebuild
from tcmstruct.errors import ModelError
from tcmstruct.model.checkpoint import load_tagger
from tcmstruct.runtime.adapter_folder import base_fingerprint, refuse_pickles
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder, sha256_of
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.adapter_tagger import PARTS, TaggerBase
from tcmstruct.training.adapters import Base


class ModelFolderBase(TaggerBase):
    """A model folder, shipped or own: weights are those of its graph, as they are after rounding; `save` writes a model folder in fp32."""

    def __init__(self, folder: Path, **settings) -> None:
        self._source = open_folder(folder)
        super().__init__(*rebuild(self._source), base_fingerprint(self._source), **settings)

    def save(self, out: Path) -> None:
        card = {**self._source.card, "precision": "fp32"}
        with tempfile.TemporaryDirectory() as scratch:
            super().save(Path(scratch))
            export(Path(scratch), out, lexicon=self.lexicon, card=card, readouts=list(card["readouts"]), window_chars=card["window_chars"],
                   window_overlap_chars=card["window_overlap_chars"])


def checkpoint_base(folder: Path, **settings) -> TaggerBase:
    """A tagger's checkpoint, with the shipped lexicon where it has the channel."""
    model, table = load_tagger(folder, dropout=0.0), CharacterTable.load(folder / "characters.txt")
    parts = [sha256_of(folder / name) for name in ("weights.safetensors", "characters.txt", "config.json")]
    lexicon = Lexicon.load(DEFAULT_FOLDER / "lexicon.txt") if model.config.lexicon_features else None
    if lexicon is not None and lexicon.n_features != model.config.lexicon_features:
        raise ModelError(f"its lexicon channel has {model.config.lexicon_features} marks, the shipped lexicon {lexicon.n_features}",
                         where=folder.name, code="not_trainable")
    return TaggerBase(model, table, lexicon, hashlib.sha256(" ".join(parts).encode()).hexdigest(), **settings)


def open_base(folder: Path | None = None, parts: Sequence[str] = tuple(PARTS)) -> Base:
    """
    Args:
        folder: None takes the shipped text model.
        parts: of "attention" and "feed-forward", what adapters go on.

    Raises:
        ModelError: no such model, a folder with pickled weights, or a model that takes no adapter.
    """
    folder = folder or DEFAULT_FOLDER
    if not folder.is_dir():
        raise ModelError("no such model folder", where=folder.name, code="model_missing")
    refuse_pickles(folder)
    if (folder / "manifest.json").is_file():
        return ModelFolderBase(folder, parts=parts)
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelError("holds neither manifest.json nor a config.json", where=folder.name, code="model_missing",
                         hint="give a model folder, a checkpoint folder, or the local folder of a LLaMA-style model") from None
    if "encoder" in config:
        return checkpoint_base(folder, parts=parts)
    if config.get("model_type") == "llama":
        from tcmstruct.training.adapter_llama import LlamaBase

        return LlamaBase(folder, parts=parts)
    raise ModelError(f"is a model of the kind {str(config.get('model_type'))[:40]!r}", where=folder.name, code="not_trainable",
                     hint="allowed: this project's taggers, and model_type llama")


def save_whole(base: Base, out: Path) -> None:
    """`base.save` into a folder that is there whole or not at all."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        base.save(fresh / "plain")
        (fresh / "plain").rename(out)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)

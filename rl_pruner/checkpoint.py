"""Files of a search: written whole or not at all, read strictly, no pickle."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from .errors import CheckpointInvalid, UnitsChanged

STATE_FILE = "state.json"
_FORMAT = 1
_KEYS = {"format", "iteration", "config", "limit_bytes", "reward", "hint", "units", "fingerprint", "full", "best", "seen",
         "history", "weights"}


def write_whole(path: Path, data: bytes | str) -> None:
    """Writes a file that is there complete or not at all (temporary file, fsync, rename), mode 0600."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with open(handle, "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def save_checkpoint(folder: Path, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Writes the tensors, then `state.json` that names them (the moment the checkpoint counts), then drops older tensors."""
    weights = save(dict(tensors))
    name = f"controller-{state['iteration']:06d}.safetensors"
    write_whole(folder / name, weights)
    whole = {"format": _FORMAT, **state, "weights": {"file": name, "sha256": hashlib.sha256(weights).hexdigest()}}
    write_whole(folder / STATE_FILE, json.dumps(whole, ensure_ascii=False, allow_nan=False))
    for old in folder.glob("controller-*.safetensors"):
        if old.name != name:
            old.unlink()


def load_checkpoint(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The last checkpoint of a folder.

    Raises:
        CheckpointInvalid: a file is missing or damaged, or of another format.
    """
    path = folder / STATE_FILE
    hint = "restore the folder, or start the search in a new one"
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as fault:
        raise CheckpointInvalid(f"{path} cannot be read as JSON", hint=hint) from fault
    if not isinstance(state, dict) or set(state) != _KEYS or state["format"] != _FORMAT:
        found = f"format {state.get('format')!r}, {len(state)} keys" if isinstance(state, dict) else type(state).__name__
        raise CheckpointInvalid(f"{path} holds {found}; format {_FORMAT} with {len(_KEYS)} keys is needed", hint=hint)
    weights = folder / Path(state["weights"]["file"]).name
    try:
        data = weights.read_bytes()
    except OSError as fault:
        raise CheckpointInvalid(f"{weights}, which {STATE_FILE} names, cannot be read", hint=hint) from fault
    digest = hashlib.sha256(data).hexdigest()
    if digest != state["weights"]["sha256"]:
        raise CheckpointInvalid(f"{weights} has sha256 {digest[:12]}…, {STATE_FILE} names {state['weights']['sha256'][:12]}…",
                                hint=hint)
    try:
        return state, load(data)
    except SafetensorError as fault:
        raise CheckpointInvalid(f"{weights} is not a safetensors file", hint=hint) from fault


def check_units(where: Path, saved: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> None:
    """Refuses a checkpoint of another unit list, naming the first difference.

    Raises:
        UnitsChanged: the lists differ.
    """
    hint = "a checkpoint serves one unit list only: start the search in a new folder"
    if len(saved) != len(now):
        raise UnitsChanged(f"{where} was made with {len(saved)} units, the environment now has {len(now)}", hint=hint)
    for place, (before, after) in enumerate(zip(saved, now, strict=True)):
        for key in after:
            if before.get(key) != after[key]:
                raise UnitsChanged(f"{where}: unit {place} ({before.get('name')!r}) had {key} {before.get(key)!r}, "
                                   f"now it has {after[key]!r}", hint=hint)

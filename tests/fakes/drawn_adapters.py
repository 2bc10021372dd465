"""Adapters of drawn numbers that fit the shipped text model, written without torch."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.runtime.adapter_folder import MANIFEST, WEIGHTS, base_fingerprint
from tcmstruct.runtime.model_folder import open_folder

SIZES = {"encoder.layers.0.feed_in": (224, 448), "encoder.attention.3.query": (224, 224), "readouts.gold": (224, 15), "status": (224, 4)}


def safetensors_bytes(tensors: Mapping[str, np.ndarray], **entries: Any) -> bytes:
    """The format by hand; `entries` replace keys of the first header entry, to spoil it."""
    header, body = {}, b""
    for name, values in tensors.items():
        raw = values.astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(body), len(body) + len(raw)]}
        body += raw
    if entries:
        header[next(iter(header))].update(entries)
    told = json.dumps(header).encode()
    return len(told).to_bytes(8, "little") + told + body


def drawn_adapter(place: Path, seed: int, *, rank: int = 3, spread: float = 0.3, model: Path | None = None, **changes: Any) -> Path:
    """Writes an adapter folder; `changes` replace keys of its manifest."""
    folder, rng = open_folder(model), np.random.default_rng(seed)
    tensors = {}
    for module, (n_in, n_out) in SIZES.items():
        tensors[f"downstream/{module}/A"] = rng.normal(0, 0.1, (rank, n_in)).astype(np.float32)
        tensors[f"downstream/{module}/B"] = rng.normal(0, spread, (n_out, rank)).astype(np.float32)
    weights = safetensors_bytes(tensors)
    manifest = {"format": 1, "kind": "tagger", "base": base_fingerprint(folder), "labels": {"gold": folder.card["readouts"]["gold"]},
                "steps": {"downstream": {"rank": rank, "alpha": 2.0 * rank, "modules": list(SIZES), "learnt": {}}}, "own": [],
                "sha256": hashlib.sha256(weights).hexdigest(), "bytes": len(weights), **changes}
    place.mkdir(parents=True)
    for name, content in ((MANIFEST, json.dumps(manifest, ensure_ascii=False).encode()), (WEIGHTS, weights)):
        (place / name).write_bytes(content)
        os.chmod(place / name, 0o600)
    return place

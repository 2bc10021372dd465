"""The character table: which row of the model's embedding a character has. Tokens are characters, so offsets are exact."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

PAD, UNKNOWN, START = 0, 1, 2
N_SPECIAL = 3


class CharacterTable:
    """Characters in the order of their rows; rows 0, 1, 2 are padding, unknown, start.

    Args:
        characters: distinct single characters, already normalised.
    """

    def __init__(self, characters: Iterable[str]) -> None:
        self.characters = tuple(characters)
        codes = np.fromiter((ord(c) for c in self.characters), np.int64, len(self.characters))
        self._rows = np.full(0x110000, UNKNOWN, np.int32)
        self._rows[codes] = np.arange(N_SPECIAL, N_SPECIAL + len(codes), dtype=np.int32)

    def __len__(self) -> int:
        return N_SPECIAL + len(self.characters)

    def encode(self, text: str) -> np.ndarray:
        """Normalised text of T code points → rows (T,) int32; one row a code point, always."""
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
        return self._rows[codes]

    @classmethod
    def load(cls, path: Path) -> CharacterTable:
        """A UTF-8 file with all characters on one line, most frequent first."""
        return cls(path.read_text(encoding="utf-8").rstrip("\n"))

    def save(self, path: Path) -> None:
        path.write_text("".join(self.characters) + "\n", encoding="utf-8")

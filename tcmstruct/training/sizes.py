"""Shapes of students by name, 3 to 65 million parameters: `sizes.toml`, read strictly."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass as checked

from tcmstruct.model.config import EncoderConfig, ModelConfig

FILE = Path(__file__).with_name("sizes.toml")


@checked(frozen=True, config=ConfigDict(extra="forbid"))
class Size:
    """One row of the table.

    Attributes:
        n_parameters: of the tagger with the project's character table (7,209 rows) and the readout "gold".
        encoder: keys of `EncoderConfig`.
        character_width: width of the character rows (None: the encoder's).
        published: whose shape it is, and `published_parameters` the paper's figure in millions with `published_rows` word
            pieces.
    """

    n_parameters: int
    encoder: EncoderConfig
    character_width: int | None = None
    published: str | None = None
    published_parameters: float | None = None
    published_rows: int | None = None

    def shape(self, n_characters: int, readouts: dict[str, list[str]], **others: Any) -> ModelConfig:
        """The tagger of this size; `others` are further parts of `ModelConfig` (a lexicon channel, dropout)."""
        return ModelConfig(self.encoder, n_characters=n_characters, character_width=self.character_width, readouts=readouts, **others)


@cache
def load_sizes() -> dict[str, Size]:
    """Name → size, smallest first."""
    return TypeAdapter(dict[str, Size]).validate_python(tomllib.loads(FILE.read_text(encoding="utf-8")))

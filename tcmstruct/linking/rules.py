"""Reader of `data/rules.toml`: how names are folded, which characters must agree, how diagnoses are split."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True, slots=True)
class Growth:
    """Words of the malignant growths (`[growth]`).

    Attributes:
        kinds, secondary, qualifiers: alternatives of a regular expression.
        sites, secondary_sites: word → category of ICD-10.
    """

    kinds: str
    secondary: str
    qualifiers: str
    sites: dict[str, str]
    secondary_sites: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """`data/rules.toml`; the comments there say what each table is for."""

    not_the_disease: str
    bracket_matters: str
    spellings: dict[str, list[list[str]]]
    endings: dict[str, list[str]]
    looser: dict[str, list[list[str]]]
    qualifiers: dict[str, list[str]]
    critical: frozenset[str]
    min_characters: int
    threshold: dict[str, float]
    signs: str
    joining: dict[str, list[str]]
    growth: Growth


def _by_word(table: dict[str, list[str]]) -> dict[str, str]:
    return {word: code for code, words in table.items() for word in words}


def _read() -> Rules:
    data: dict[str, Any] = tomllib.loads(files("tcmstruct.linking").joinpath("data/rules.toml").read_text("utf-8"))
    fuzzy, parts, growth = data.pop("fuzzy"), data.pop("parts"), data.pop("growth")
    return Rules(
        **data,
        critical=frozenset(fuzzy["critical"]), min_characters=fuzzy["min_characters"], threshold=fuzzy["threshold"],
        signs=parts["signs"],
        joining={"syndrome": parts["joining_tcm"], "disease_tcm": parts["joining_tcm"],
                 "disease_western": parts["joining_western"]},
        growth=Growth(growth["kinds"], growth["secondary"], growth["qualifiers"], _by_word(growth["sites"]),
                      _by_word(growth["secondary_sites"])),
    )


RULES_FILE = _read()

"""Strict reader of the term tables (`tables/*.tsv`). Standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

TABLES = Path(__file__).with_name("tables")

COLUMNS = ("kind", "name", "aliases", "code", "source", "licence")
ALIAS_SEPARATOR = "|"
MAX_CHARACTERS = 16

KINDS: dict[str, str] = {
    "symptom": "症状体征",
    "stool_sputum": "大便、痰、小便的性状",
    "tongue_body": "舌质、舌形、舌态、舌下络脉",
    "tongue_coating": "舌苔",
    "pulse": "脉象",
    "syndrome": "证候",
    "disease_tcm": "中医病名",
    "pathogenesis": "病因病机",
    "treatment_principle": "治则治法、功效",
    "formula": "方剂",
    "herb": "中药",
    "patent_medicine": "中成药",
    "acupoint": "经穴、经外奇穴",
    "therapy": "其他疗法",
    "body_part": "身体部位",
    "disease_western": "西医诊断",
    "western_drug": "西药",
    "procedure": "手术操作、检查检验",
    "medical": "其他医学词",
}
"""Kinds that a table may hold, with their Chinese name. The table of a kind is `tables/<kind>.tsv`."""


class VocabularyError(ValueError):
    """A table is not what the format allows; the message names file, row and what is allowed."""


@dataclass(frozen=True, slots=True)
class Term:
    """One row of a table.

    Attributes:
        kind: one of `KINDS`.
        name: the preferred name, 2 to 16 characters.
        aliases: other names of the same thing.
        code: code in the standard named by `source`, or "".
        source: standard with its number, or list of origin.
        licence: under which the list may be used, or "facts".
    """

    kind: str
    name: str
    aliases: tuple[str, ...] = ()
    code: str = ""
    source: str = ""
    licence: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The preferred name and all aliases."""
        return (self.name, *self.aliases)


def _lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        row = path.read_bytes()[: error.start].count(b"\n") + 1
        raise VocabularyError(f"{path.name}:{row}: not UTF-8 (byte {error.start}); allowed: UTF-8 without BOM "
                              "→ save the table as UTF-8") from None
    if text.startswith("\ufeff"):
        raise VocabularyError(f"{path.name}:1: begins with a byte order mark; allowed: UTF-8 without BOM")
    if "\r" in text:
        row = text[: text.index("\r")].count("\n") + 1
        raise VocabularyError(f"{path.name}:{row}: line end with a carriage return; allowed: LF → save the table with Unix line ends")
    return text.removesuffix("\n").split("\n")


def _check_name(name: str, where: str) -> None:
    if not 2 <= len(name) <= MAX_CHARACTERS:
        raise VocabularyError(f"{where}: name of {len(name)} characters; allowed: 2 to {MAX_CHARACTERS}")
    if name != name.strip() or ALIAS_SEPARATOR in name or not name.isprintable():
        raise VocabularyError(f"{where}: name with outer space, {ALIAS_SEPARATOR!r} or an unprintable character; "
                              "allowed: printable text")


def read_table(path: Path) -> list[Term]:
    """Reads one table.

    Raises:
        VocabularyError: not UTF-8, wrong header or column count, unknown kind, a name out of bounds, a name or alias
            that stands twice (the same row twice: duplicate; with another code or aliases: conflict).
    """
    lines = _lines(path)
    if tuple(lines[0].split("\t")) != COLUMNS:
        raise VocabularyError(f"{path.name}:1: header is not the allowed one: {' '.join(COLUMNS)} (tab-separated)")
    terms: list[Term] = []
    seen: dict[str, tuple[int, Term]] = {}
    for row, line in enumerate(lines[1:], start=2):
        where = f"{path.name}:{row}"
        cells = line.split("\t")
        if len(cells) != len(COLUMNS):
            raise VocabularyError(f"{where}: {len(cells)} columns; allowed: {len(COLUMNS)} ({' '.join(COLUMNS)})")
        kind, name, aliases, code, source, licence = cells
        if kind not in KINDS:
            raise VocabularyError(f"{where}: unknown kind {kind!r}; allowed: {', '.join(KINDS)}")
        if kind != path.stem:
            raise VocabularyError(f"{where}: kind {kind!r} in the table of {path.stem!r}; allowed: {path.stem!r} only")
        if not source or not licence:
            raise VocabularyError(f"{where}: source or licence is empty; allowed: both filled")
        term = Term(kind, name, tuple(aliases.split(ALIAS_SEPARATOR)) if aliases else (), code, source, licence)
        for surface in term.names:
            _check_name(surface, where)
            if surface in seen:
                first, other = seen[surface]
                what = "duplicate of" if other == term else "conflicts with"
                raise VocabularyError(f"{where}: {what} row {first}; allowed: each name or alias once in a table")
            seen[surface] = (row, term)
        terms.append(term)
    return terms


def load_terms(kinds: Iterable[str] | None = None, tables: Path = TABLES) -> Iterator[Term]:
    """Yields the terms of the asked kinds (all, in the order of `KINDS`, if None).

    Raises:
        VocabularyError: an unknown kind, or a table that the format does not allow.
    """
    wanted = tuple(KINDS) if kinds is None else tuple(kinds)
    for kind in wanted:
        if kind not in KINDS:
            raise VocabularyError(f"unknown kind {kind!r}; allowed: {', '.join(KINDS)}")
    for kind in wanted:
        path = tables / f"{kind}.tsv"
        if kinds is not None and not path.exists():
            raise VocabularyError(f"{path.name}: no such table in {tables}")
        if path.exists():
            yield from read_table(path)

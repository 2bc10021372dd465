"""Reader of `data/`: surnames, cues, places and guard words, compiled once; and the vocabulary as a guard."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib.resources import files
from typing import Any

from tcmstruct.privacy.fold import fold
from vocab.reader import ALIAS_SEPARATOR, TABLES

HAN = "㐀-鿿\U00020000-\U0003134f○〇"
"""Chinese characters, as the inside of a character class."""
MAX_TERM = 16


def read(name: str) -> dict[str, Any]:
    """A table of `data/`, folded as the texts are."""
    return tomllib.loads(fold(files("tcmstruct.privacy").joinpath(f"data/{name}.toml").read_text("utf-8")))


def characters(block: str) -> frozenset[str]:
    """The characters of a block of several lines."""
    return frozenset(block) - {"\n", " "}


def any_of(words: Iterable[str]) -> str:
    """A regular expression of alternatives, the longest first; common beginnings are tried once."""
    beginnings: dict[str, set[str]] = {}
    for word in words:
        beginnings.setdefault(word[0], set()).add(word[1:])
    branches = []
    for first, rests in sorted(beginnings.items()):
        longer = any_of(rest for rest in rests if rest)
        branches.append(re.escape(first) + (f"(?:{longer})" if longer else "") + ("?" if longer and "" in rests else ""))
    return "|".join(branches)


def kinds_of(table: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Word → kind of a table {kind: words}."""
    return {word: kind for kind, words in table.items() for word in words}


_NAMES = read("names")
WEAK = characters(_NAMES["surnames"]["weak"])
STRONG = characters(_NAMES["surnames"]["strong"]) - WEAK
COMMON = characters(_NAMES["given"]["common"])
"""Surnames that are words of their own, all others, and frequent characters of given names."""


class Guard:
    """Terms of medicine and words of the language that are no names.

    Args:
        terms: names of the vocabulary, folded, of at least two characters.
        words: other words.
    """

    def __init__(self, terms: Iterable[str], words: Iterable[str] = ()) -> None:
        self._terms, self._words = frozenset(terms), frozenset(words)
        self._beginnings = frozenset(name[:2] for name in self._terms | self._words)  # pairs of characters rule most places out
        self._pairs = frozenset(term[n : n + 2] for term in self._terms for n in range(len(term) - 1))

    def begins(self, text: str, at: int) -> bool:
        """Whether a word or term begins here."""
        return text[at : at + 2] in self._beginnings and any(
            text[at : at + n] in self._words or text[at : at + n] in self._terms for n in range(2, MAX_TERM + 1))

    def term_begins(self, text: str, at: int) -> bool:
        """Whether a term of medicine begins here."""
        return text[at : at + 2] in self._beginnings and any(text[at : at + n] in self._terms for n in range(2, MAX_TERM + 1))

    def runs_over(self, text: str, start: int, end: int) -> bool:
        """Whether a term of medicine covers a place where the piece `[start, end)` and what is outside of it meet."""
        return self._covers(text, start) or self._covers(text, end)

    def _covers(self, text: str, at: int) -> bool:
        """Whether a term holds the characters on both sides of a place."""
        if at == 0 or text[at - 1 : at + 1] not in self._pairs:
            return False
        starts = range(max(0, at - MAX_TERM + 1), at)
        return any(text[a:b] in self._terms for a in starts for b in range(at + 1, min(len(text), a + MAX_TERM) + 1))

    def __contains__(self, word: str) -> bool:
        return word in self._words or word in self._terms


@lru_cache(maxsize=1)
def guard() -> Guard:
    """The guard of the shipped vocabulary and `data/words.txt`."""
    names: list[str] = []
    for path in sorted(TABLES.glob("*.tsv")):
        for row in path.read_text("utf-8").splitlines()[1:]:
            kind, name, aliases, _ = row.split("\t", 3)
            if kind == "medical" and name[0] in STRONG and len(name) < 4 and COMMON.issuperset(name[1:]):
                continue  # that table, taken from the web, holds names of doctors
            names.append(name)
            names += aliases.split(ALIAS_SEPARATOR)
    terms = fold("\n".join(names)).split("\n")
    words = [word for line in fold(files("tcmstruct.privacy").joinpath("data/words.txt").read_text("utf-8")).splitlines()
             if not line.startswith("#") for word in line.split()]
    return Guard((term for term in terms if len(term) > 1), words)

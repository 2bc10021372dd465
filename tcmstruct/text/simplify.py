"""Traditional and variant characters read as those that a list of words knows; the record itself is never changed."""

from __future__ import annotations

import re
from collections.abc import Set

from tcmstruct.text.normalise import VARIANTS


class Simplifier:
    """Makes a copy of a text in which words written with a list of characters can be found.

    A character stays that the list holds itself, so that words given in traditional characters are found too.

    Args:
        alphabet: the characters of the words.
    """

    def __init__(self, alphabet: Set[str]) -> None:
        self._table = {ord(variant): kept for variant, kept in VARIANTS.items() if variant not in alphabet and kept in alphabet}
        self._any = re.compile(f"[{''.join(map(re.escape, map(chr, self._table)))}]" if self._table else "(?!)")

    def __call__(self, text: str) -> str:
        """The copy, of exactly as many code points; the text itself where there is nothing to change."""
        return text.translate(self._table) if self._any.search(text) else text

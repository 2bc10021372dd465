"""The text that a head may learn from: without the answer in it.

| mode | what is left out |
|---|---|
| `leaky` | nothing: for comparison only |
| `no names` | the label's own words, and the other names of its code |
| `leak-free` | these, and every clause that tells a diagnosis, its reasoning or its remedy |

What is left out is cut, not covered: a cover would still say where the answer stood, and how long it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tcmstruct.text.clauses import clauses, names_a_diagnosis

MODES: tuple[str, ...] = ("leaky", "no names", "leak-free")
_ENDING = re.compile(r"(?:类病|病类|[证病症型])$")
_BREAKS = re.compile(r"[\s，。；、,;.:：()（）\[\]【】“”\"'‘’/+—–-]+")


def own_words(said: Iterable[str], names: Iterable[str]) -> list[str]:
    """The words that would give a label away, longest first: the conclusion as written, its parts, the standard's names of its
    codes, each with and without 证 or 病.

    Args:
        said: conclusions as their author wrote them.
        names: names and aliases of the codes that they were linked to.
    """
    words = set()
    for phrase in [*said, *names]:
        for part in (phrase, *_BREAKS.split(phrase)):
            words |= {part.strip(), _ENDING.sub("", part.strip())}
    return sorted((w for w in words if len(w) > 1), key=lambda w: (-len(w), w))


def without_answer(text: str, words: Iterable[str], mode: str) -> str:
    """The text as `mode` allows it; `words` of `own_words`.

    Raises:
        ValueError: an unknown mode.
    """
    if mode not in MODES:
        raise ValueError(f"mode {mode!r}; allowed: {', '.join(MODES)}")
    if mode == "leaky":
        return text
    if mode == "leak-free":
        kept, at = [], 0
        for start, end in clauses(text):
            if not names_a_diagnosis(text[start:end]):
                kept.append(text[at:end])
            at = end
        text = "".join(kept) + text[at:]
    pattern = "|".join(map(re.escape, words))
    return re.sub(pattern, "", text) if pattern else text

"""Malignant growths by site: 直肠中分化腺癌 → C20, 右肺上叶转移 → C78.

ICD-10 files a malignant growth by its site alone (chapter II, C00–C80), so a small grammar reads what no list of names
can hold. Every character must be a site, a kind of growth or a word without meaning for the category; two sites of
different categories, or no site, give nothing.
"""

from __future__ import annotations

import re

from tcmstruct.linking.rules import RULES_FILE
from tcmstruct.text.normalise import normalise


def _alternatives(words: dict[str, str]) -> str:
    return "|".join(re.escape(normalise(word)) for word in sorted(words, key=len, reverse=True))


def _scanner(sites: dict[str, str], kinds: str) -> re.Pattern[str]:
    ordered = "|".join(sorted(kinds.split("|"), key=len, reverse=True))
    qualifiers = RULES_FILE.growth.qualifiers
    return re.compile(f"(?P<kind>{normalise(ordered)})|(?P<site>{_alternatives(sites)})|(?P<qualifier>{normalise(qualifiers)})")


_RULES = RULES_FILE.growth
_SITES = {normalise(word): code for word, code in _RULES.sites.items()}
_SECONDARY_SITES = {normalise(word): code for word, code in _RULES.secondary_sites.items()}
_PRIMARY = _scanner(_SITES, _RULES.kinds)
_SECONDARY = _scanner(_SECONDARY_SITES, _RULES.secondary)
_IS_SECONDARY = re.compile("转移")


def category(surface: str) -> str | None:
    """The three-character category of ICD-10 of a malignant growth named with its site, or None."""
    form = re.sub(r"\s", "", normalise(surface))
    secondary = _IS_SECONDARY.search(form) is not None
    scanner, sites = (_SECONDARY, _SECONDARY_SITES) if secondary else (_PRIMARY, _SITES)
    found: set[str] = set()
    kinds = 0
    position = 0
    while position < len(form):
        match = scanner.match(form, position)
        if match is None or match.end() == position:
            return None
        if match.lastgroup == "site":
            found.add(sites[match[0]])
        kinds += match.lastgroup == "kind"
        position = match.end()
    return found.pop() if len(found) == 1 and kinds else None

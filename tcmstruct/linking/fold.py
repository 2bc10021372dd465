"""Forms of a name: what stays when spelling, endings and words without meaning for the code are taken off."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tcmstruct.linking.rules import RULES_FILE
from tcmstruct.text.normalise import normalise

_BRACKET = re.compile(r"^[(（]([^()（）]*)[)）]|[(（]([^()（）]*)[)）]$")
_NOISE = re.compile(r"[\s\"'“”:：*?？!.。,，、;；]")
_SIDES = re.compile(r"^(.{2})(.{2})$")
_NUMBERED = re.compile(r"(?<![0-9])[0-9ivx]+[a-c]?(期|级|度)$")
_SPELLINGS = {
    kind: {normalise(old): normalise(new) for old, new in (*RULES_FILE.spellings["all"], *RULES_FILE.spellings[kind])}
    for kind in RULES_FILE.endings
}
_SPELLED = {kind: re.compile("|".join(sorted(map(re.escape, table), key=len, reverse=True))) for kind, table in _SPELLINGS.items()}
_QUALIFIERS = {word for words in RULES_FILE.qualifiers.values() for word in words}
_LONGEST = 40
"""No name of a table is as long; a longer surface is folded but not loosened, or long texts would take long."""
_COMBINED = 3
"""At most so many loosening steps lead to one form."""


@lru_cache(maxsize=32_768)
def canonical(name: str, kind: str) -> str:
    """The one form under which a name of a kind is kept in the index.

    Characters are folded (`tcmstruct.text.normalise`: traditional, full-width, capitals), spaces and quotes dropped,
    spellings made one, the ending taken off (湿热下注证 → 湿热下注, 喘证 → 喘) unless nothing would be left.
    """
    form = normalise(name)
    if not form.isalnum():
        form = _NOISE.sub("", form)
    form = _SPELLED[kind].sub(lambda match: _SPELLINGS[kind][match[0]], form)
    for ending in RULES_FILE.endings[kind]:
        if form.endswith(ending) and len(form) > len(ending):
            return form.removesuffix(ending)
    return form


def forms(surface: str, kind: str) -> Iterator[tuple[str, int]]:
    """Canonical forms of a surface from the closest to the loosest, each once, with the number of steps it took."""
    whole = canonical(surface, kind)
    seen = {whole}
    yield whole, 0
    if len(surface) > _LONGEST:
        return
    unbracketed = canonical(_BRACKET.sub(_drop_bracket, surface), kind)
    frontier = [whole]
    if unbracketed and unbracketed not in seen:
        seen.add(unbracketed)
        frontier.append(unbracketed)
        yield unbracketed, 1
    for steps in range(1, _COMBINED + 1):
        reached = []
        for form in frontier:
            for looser in _loosened(form, kind):
                if looser and looser not in seen:
                    seen.add(looser)
                    reached.append(looser)
                    yield looser, steps
        frontier = reached


def _drop_bracket(match: re.Match[str]) -> str:
    words = normalise(match[1] or match[2] or "")
    matters = words not in _QUALIFIERS and any(char in RULES_FILE.bracket_matters for char in words)
    return match[0] if matters else ""


def _loosened(form: str, kind: str) -> Iterator[str]:
    for old, new in RULES_FILE.looser[kind]:
        if old in form:
            yield canonical(form.replace(old, new), kind)
    if kind == "syndrome" and (halves := _SIDES.match(form)):
        yield halves[2] + halves[1]  # 脾虚肝郁 = 肝郁脾虚: two clauses in either order
    for word in RULES_FILE.qualifiers.get(kind, ()):
        if word in form and len(form) - len(word) >= 2:
            yield form.replace(word, "", 1)
    if kind == "disease_western":
        yield _NUMBERED.sub("", form)

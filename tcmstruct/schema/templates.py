"""Templates of phrases: a tiny language that expands to literals, so that no pack can slow the reader down.

`(肛门|肛缘)(疼痛|痛)` alternatives · `<site>` a word list of the pack · `(剧烈)?` or `<degree>?` optional ·
`A…B` B within a few characters after A in the same clause. Everything else stands for itself. There is no
repetition and no wildcard: the number of literals is known, and bounded, when the pack is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

MAX_LITERALS = 20_000
"""Literals that one template may expand to."""

GAP = "…"
_SPECIAL = "()|<>?"


class TemplateError(ValueError):
    """A template that cannot be expanded; the message says where, without a path."""


def expand(template: str, words: Mapping[str, Sequence[str]]) -> list[str]:
    """All literals of a template, in order and without doubles.

    Args:
        template: see the module's text; holds no `…` (split at it first).
        words: named word lists; their entries are themselves literals.

    Raises:
        TemplateError: unbalanced brackets, an unknown word list, an empty literal, too many literals.
    """
    literals, rest = _alternatives(template, 0, words)
    if rest != len(template):
        raise TemplateError(f"unbalanced {template[rest]!r} at character {rest + 1} of {template!r}")
    out = list(dict.fromkeys(literals))
    if "" in out:
        raise TemplateError(f"{template!r} also matches nothing at all; leave one part that is not optional")
    return out


def _alternatives(template: str, at: int, words: Mapping[str, Sequence[str]]) -> tuple[list[str], int]:
    options: list[str] = []
    branch = [""]
    while at < len(template) and template[at] != ")":
        char = template[at]
        if char == "|":
            options += branch
            branch = [""]
            at += 1
            continue
        if char == "(":
            part, at = _alternatives(template, at + 1, words)
            if at >= len(template):
                raise TemplateError(f"an opening '(' of {template!r} is never closed")
            at += 1
        elif char == "<":
            end = template.find(">", at)
            name = template[at + 1 : end] if end > 0 else ""
            if name not in words:
                raise TemplateError(f"unknown word list <{name}> in {template!r}; known: {', '.join(sorted(words))}")
            part, at = list(words[name]), end + 1
        elif char in _SPECIAL:
            raise TemplateError(f"unexpected {char!r} at character {at + 1} of {template!r}")
        else:
            end = at
            while end < len(template) and template[end] not in _SPECIAL:
                end += 1
            part, at = [template[at:end]], end
            if at < len(template) and template[at] == "?":
                raise TemplateError(f"'?' follows a bracket or a word list only: write (…)? in {template!r}")
        if at < len(template) and template[at] == "?":
            part, at = [*part, ""], at + 1
        if len(branch) * len(part) > MAX_LITERALS:
            raise TemplateError(f"{template!r} expands to more than {MAX_LITERALS} literals")
        branch = [left + right for left in branch for right in part]
    return options + branch, at

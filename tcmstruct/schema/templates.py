"""Templates of phrases: a tiny language that expands to literals, so that no pack can slow the reader down.

`(肛门|肛缘)(疼痛|痛)` alternatives · `<site>` a word list of the pack · `(剧烈)?` or `<degree>?` optional ·
`A…B` B within a few characters after A in the same clause. Everything else stands for itself. There is no
repetition and no wildcard: the number of literals is known, and bounded, when the pack is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

MAX_LITERALS = 20_000
"""Literals that one template may expand to."""

GAP = "…"
_SPECIAL = "()|<>?"


class TemplateError(ValueError):
    """A template that cannot be expanded; the message says where, without a path.

    Attributes:
        code: which fault it is.
        given: what the message names.
    """

    MESSAGES: ClassVar[dict[str, str]] = {
        "unbalanced": "unbalanced {char!r} at character {at} of {template!r}",
        "empty": "{template!r} also matches nothing at all; leave one part that is not optional",
        "open": "an opening '(' of {template!r} is never closed",
        "list_unknown": "unknown word list <{name}> in {template!r}; known: {known}",
        "unexpected": "unexpected {char!r} at character {at} of {template!r}",
        "optional_alone": "'?' follows a bracket or a word list only: write (…)? in {template!r}",
        "too_many": "{template!r} expands to more than {most} literals",
    }

    def __init__(self, code: str, template: str, **given: object) -> None:
        self.code, self.given = code, {"template": template, **given}
        super().__init__(self.MESSAGES[code].format(**self.given))


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
        raise TemplateError("unbalanced", template, char=template[rest], at=rest + 1)
    out = list(dict.fromkeys(literals))
    if "" in out:
        raise TemplateError("empty", template)
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
                raise TemplateError("open", template)
            at += 1
        elif char == "<":
            end = template.find(">", at)
            name = template[at + 1 : end] if end > 0 else ""
            if name not in words:
                raise TemplateError("list_unknown", template, name=name, known=", ".join(sorted(words)))
            part, at = list(words[name]), end + 1
        elif char in _SPECIAL:
            raise TemplateError("unexpected", template, char=char, at=at + 1)
        else:
            end = at
            while end < len(template) and template[end] not in _SPECIAL:
                end += 1
            part, at = [template[at:end]], end
            if at < len(template) and template[at] == "?":
                raise TemplateError("optional_alone", template)
        if at < len(template) and template[at] == "?":
            part, at = [*part, ""], at + 1
        if len(branch) * len(part) > MAX_LITERALS:
            raise TemplateError("too_many", template, most=MAX_LITERALS)
        branch = [left + right for left in branch for right in part]
    return options + branch, at

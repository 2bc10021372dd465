"""What is found wrong, or doubtful, with a pack: a place in the file, and a sentence in two languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tcmstruct.trial.wording import FINDINGS

FAULT, WARNING, NOTE = "fault", "warning", "note"
"""FAULT: the pack is refused · WARNING: it is read, and most likely not what was meant · NOTE: worth knowing."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at.

    Attributes:
        level: FAULT, WARNING or NOTE.
        code: key of `wording.FINDINGS`.
        keys: where in the file, as the keys that lead there.
        line: from 1; None where the file has no such line.
        given: what the sentence names.
    """

    level: str
    code: str
    keys: tuple[str, ...] = ()
    line: int | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def field(self) -> str | None:
        return self.keys[1] if len(self.keys) > 1 and self.keys[0] == "fields" else None

    @property
    def key(self) -> str:
        """The keys below the field, or all of them: terms, values.多.said."""
        return ".".join(self.keys[2:] if self.field is not None else self.keys)

    def said(self, side: str = "en") -> str:
        """The sentence and what to do, in "zh" or "en"."""
        what, hint = (one.format(**self.given) for one in FINDINGS[self.code][side])
        return f"{what} → {hint}" if hint else what

    def to_dict(self) -> dict[str, Any]:
        return {"level": self.level, "code": self.code, "place": ".".join(self.keys), "field": self.field, "key": self.key,
                "line": self.line, "zh": self.said("zh"), "en": self.said("en")}

"""A piece of a folded text that names somebody, as the finders hand it on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece to replace.

    Attributes:
        kind: one of `result.KINDS`.
        start, end: code points of the folded text.
        name: what its pseudonym is made of; the same for every way of writing the same thing.
        text: what to put in its place, for a kind without pseudonyms; None asks for the pseudonym.
    """

    kind: str
    start: int
    end: int
    name: str = ""
    text: str | None = None

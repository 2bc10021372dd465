"""The door of the room: finds what names a person and puts pseudonyms in its place."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import chain

from tcmstruct.errors import UsageError
from tcmstruct.privacy.dates import find_dates, moved_dates
from tcmstruct.privacy.fold import fold
from tcmstruct.privacy.key import CODE_CHARACTERS, Key
from tcmstruct.privacy.names import find_names
from tcmstruct.privacy.numbers import find_numbers
from tcmstruct.privacy.piece import Piece
from tcmstruct.privacy.places import find_addresses, find_employers, find_hospitals, find_labelled_places
from tcmstruct.privacy.result import DATES, KINDS, DeidentifiedText, Replaced
from tcmstruct.privacy.tables import guard
from tcmstruct.text.normalise import ZERO_WIDTH

_TOKEN = re.compile(f"\\[(?:{'|'.join(sorted(set(KINDS.values())))})-[a-z2-7]{{{CODE_CHARACTERS}}}\\]")
_PATIENT_KINDS = ("id_card", "record_number", "patient")
"""What tells whose record it is, best first."""


class Deidentifier:
    """Replaces what names a person; make one and use it for many texts.

    Args:
        key: makes pseudonyms that stay the same within it (`read_key`).
        dates: "shift", "cut" or "keep" (`DATES`).
        keep: kinds (`KINDS`) that stay as they are.

    Raises:
        UsageError: an unknown way with dates, or kind.
    """

    def __init__(self, key: Key, *, dates: str = "shift", keep: Collection[str] = ()) -> None:
        if dates not in DATES:
            raise UsageError(f"dates {dates!r}; allowed: {', '.join(DATES)}", where="--dates", code="unknown_dates")
        if unknown := sorted(set(keep) - KINDS.keys()):
            raise UsageError(f"unknown kind {', '.join(unknown)}; allowed: {', '.join(KINDS)}", where="--keep", code="unknown_kind")
        self._key, self._dates, self._keep = key, dates, frozenset(keep)

    def deidentify(self, text: str, patient: str | None = None, otherwise: str = "") -> DeidentifiedText:
        """De-identifies one text.

        Args:
            text: any text.
            patient: who it is about, for the shift of dates; None takes the identity number, record number or name that the text
                itself gives, so two texts of a patient share the shift if both give the same.
            otherwise: stands for a patient whom the text does not name, e.g. the record's id.

        Returns:
            The new text, the places of what was replaced, and both ways between the offsets.
        """
        folded, places = _visible(fold(text))
        pieces = _placed(self._pieces(folded, patient, otherwise), folded)
        out, replaced, at, new = [], [], 0, 0
        for piece in pieces:
            if piece.kind in self._keep:
                continue
            start, end = (piece.start, piece.end) if places is None else (places[piece.start], places[piece.end - 1] + 1)
            word = self.word(piece.kind, piece.name) if piece.text is None else piece.text
            if word == text[start:end]:
                continue
            out += text[at:start], word
            new += start - at
            replaced.append(Replaced(piece.kind, start, end, new, new + len(word)))
            at, new = end, new + len(word)
        return DeidentifiedText("".join([*out, text[at:]]), tuple(replaced))

    def word(self, kind: str, name: str) -> str:
        """What stands in the place of a name: its kind's word and its pseudonym."""
        label = KINDS[kind]
        return f"[{label}-{self._key.code(label, name)}]"

    def _pieces(self, text: str, patient: str | None, otherwise: str) -> Iterator[Piece]:
        numbers, names = [*find_numbers(text)], find_names(text, guard())
        yield from find_labelled_places(text)
        yield from numbers
        if self._dates != "keep" and "date" not in self._keep and (dates := find_dates(text)):
            days = self._key.shift_days(patient if patient is not None else _patient(numbers, names) or otherwise)
            yield from moved_dates(text, dates, self._dates, days)
        yield from names
        yield from find_hospitals(text)
        yield from find_addresses(text)
        yield from find_employers(text)


def deidentify(text: str, key: Key, *, dates: str = "shift", keep: Collection[str] = (), patient: str | None = None) -> DeidentifiedText:
    """De-identifies one text; see `Deidentifier`."""
    return Deidentifier(key, dates=dates, keep=keep).deidentify(text, patient)


def _patient(numbers: list[Piece], names: list[Piece]) -> str | None:
    """Whom a text is about, by the best that it tells."""
    found = {kind: next((p.name for p in chain(numbers, names) if p.kind == kind), None) for kind in _PATIENT_KINDS}
    return next((f"{kind} {name}" for kind, name in found.items() if name), None)


def _visible(text: str) -> tuple[str, list[int] | None]:
    """The text without zero-width characters, which would part a name or number, and each character's place in the whole."""
    if ZERO_WIDTH not in text:
        return text, None
    places = [place for place, char in enumerate(text) if char != ZERO_WIDTH]
    return text.replace(ZERO_WIDTH, ""), places


def _placed(pieces: Iterable[Piece], text: str) -> list[Piece]:
    """Pieces that do not overlap, in order: who comes first stays whole, a later one gives way and keeps what is left of it."""
    taken = bytearray(len(text))
    for m in _TOKEN.finditer(text) if "[" in text else ():
        taken[m.start() : m.end()] = b"\1" * (m.end() - m.start())
    kept = []
    for piece in pieces:
        start, end = piece.start, piece.end
        if not any(taken[start:end]):
            kept.append(piece)
        else:
            while start < end and taken[start]:
                start += 1
            stop = next((place for place in range(start, end) if taken[place]), end)
            left = text[start:stop]
            if piece.text is not None or sum(c.isalnum() for c in left) < 2:
                continue
            kept.append(Piece(piece.kind, start, stop, left))
            end = stop
        taken[start:end] = b"\1" * (end - start)
    return sorted(kept, key=lambda piece: piece.start)

"""A few words of a record around a place in it, with what names a person replaced unless it is asked for."""

from __future__ import annotations

import secrets

from tcmstruct.privacy import Deidentifier, Key
from tcmstruct.trial.records import TrialRecord


def page_deidentifier() -> Deidentifier:
    """With pseudonyms of this run alone: to look at records should leave no key behind."""
    return Deidentifier(Key(secrets.token_bytes(32)))


def around(record: TrialRecord, start: int, end: int, side: int, deidentifier: Deidentifier | None = None) -> tuple[str, str, str]:
    """(before, the words, behind), at most `side` characters on either side; … where the record goes on."""
    text = record.text
    if deidentifier is not None:
        done = deidentifier.deidentify(text, otherwise=record.id)
        text, start, end = done.text, done.to_new(start, "start"), done.to_new(end, "end")
    before, behind = text[max(0, start - side) : start], text[end : end + side]
    return ("…" if start > side else "") + before, text[start:end], behind + ("…" if end + side < len(text) else "")

"""What a page shows in place of what names a person: pages leave the hospital more easily than anybody means them to."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from tcmstruct.errors import InputRefused
from tcmstruct.privacy import Deidentifier, Key, deidentify_line, read_key
from tcmstruct.privacy.fold import fold


class Veil:
    """Replaces what names a person in all that a page shows, or, where `identified`, nothing.

    The pseudonyms are those of the hospital's key (`privacy.read_key`), so that a person has the same one in every page and export.
    Where that key cannot be read or made, they are of this page alone.

    Args:
        identified: show everything as it is.
    """

    def __init__(self, identified: bool = False) -> None:
        self.identified = identified
        self._deidentifier = None if identified else Deidentifier(_key())
        self._beside: dict[tuple[str, str], str] = {}

    def line(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """A line of `records.jsonl`; offsets and evidence move with the text."""
        return data if self._deidentifier is None else deidentify_line(data, self._deidentifier)

    def id(self, id: str) -> str:
        """The id of a record."""
        return id if self._deidentifier is None or not id else self._deidentifier.word("record_number", fold(id))

    def beside(self, name: str, value: str) -> str:
        """A value that stands beside a name, which is read as its cue (姓名：…)."""
        if self._deidentifier is None:
            return value
        if (name, value) not in self._beside:  # a page asks for the same few values again and again
            head = f"{name}："
            done = self._deidentifier.deidentify(head + value)
            self._beside[name, value] = done.text[done.to_new(len(head), "start") :]
        return self._beside[name, value]


def _key() -> Key:
    try:
        return read_key()
    except InputRefused:
        return Key(secrets.token_bytes(32))

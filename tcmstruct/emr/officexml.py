"""expat over a part of an Office file: names without namespaces, no document type, no token without an end."""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Callable

from tcmstruct.emr.rows import MAX_ROW_CHARS
from tcmstruct.emr.zipparts import Part, PartBroken, Parts

Start = Callable[[str, dict[str, str]], None]
"""(local name, attributes with their names as they stand)"""

_LONGEST_SILENCE = 4 * MAX_ROW_CHARS
_LONGEST_NAME = 64
_SMALL_PART = 16 * 1024**2


class DoctypeFound(Exception):
    """The part declares a document type, which could define entities; Office files have none."""


PARSE_ERRORS = (PartBroken, DoctypeFound, xml.parsers.expat.ExpatError)


def fault_kind(error: Exception) -> str:
    """What is wrong with a part, for a message: never its content."""
    if isinstance(error, PartBroken):
        return str(error)
    return "a document type declaration" if isinstance(error, DoctypeFound) else "XML that is not well-formed"


class PartParser:
    """Calls `start(name, attributes)`, `end(name)` and, while it is set by `listen`, `chars(text)`.

    The parser opens no file and no connection: external entities are not followed, and a document type is refused.
    """

    def __init__(self, start: Start, end: Callable[[str], None]) -> None:
        self._parser = parser = xml.parsers.expat.ParserCreate()
        parser.buffer_text = True
        parser.buffer_size = 1 << 16
        self._events = self._quiet = 0
        local: dict[str, str] = {}

        def on_start(name: str, attributes: dict[str, str]) -> None:
            self._events += 1
            known = local.get(name)
            if known is None:
                known = name.rpartition(":")[2]
                if len(name) <= _LONGEST_NAME and len(local) < 1024:
                    local[name] = known
            start(known, attributes)

        def on_end(name: str) -> None:
            end(local.get(name) or name.rpartition(":")[2])

        parser.StartElementHandler, parser.EndElementHandler = on_start, on_end
        parser.StartDoctypeDeclHandler = _refuse

    def listen(self, chars: Callable[[str], None] | None) -> None:
        """Hands text to `chars` from here on, or to nobody."""
        self._parser.CharacterDataHandler = chars

    def feed(self, piece: bytes) -> None:
        """Parses on; an empty piece is the end.

        Raises:
            DoctypeFound, PartBroken, ExpatError: see `PARSE_ERRORS`.
        """
        events = self._events
        try:
            self._parser.Parse(piece, not piece)
        except (LookupError, ValueError):  # the declaration names an encoding that the parser cannot have
            raise PartBroken("an encoding that XML parsers do not read") from None
        self._quiet = self._quiet + len(piece) if self._events == events else 0
        if self._quiet > _LONGEST_SILENCE:
            raise PartBroken("a tag or text without an end")


def parse_small(parts: Parts, part: Part, start: Start) -> None:
    """Parses a part that is small by its nature (a list of sheets, of styles).

    Raises:
        InputRefused: it is not small (`zip_bomb`).
        DoctypeFound, PartBroken, ExpatError: see `PARSE_ERRORS`.
    """
    parser = PartParser(start, lambda name: None)
    parser.feed(parts.read(part, _SMALL_PART))
    parser.feed(b"")


def _refuse(*_: object) -> None:
    raise DoctypeFound

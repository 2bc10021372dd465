"""One JSON list of any size, cut into its elements while it is read.

The cutter looks for quotes and brackets only and hands each element's bytes to the strict parser of JSON Lines, so both
formats have the same faults, and a damaged element costs itself and not the list. (An event parser such as ijson stops at
the first fault, and takes NaN apart from a key twice.)
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from typing import BinaryIO

from tcmstruct.emr.encoding import given as given_encoding
from tcmstruct.emr.jsonlines import parse_line
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

LIST_KEYS: tuple[str, ...] = ("data", "records", "rows", "list", "items", "result", "results", "RECORDS")
"""Keys under which a service or a table tool lays its list: {"code": 0, "data": [ … ]}."""

_CHUNK = 1 << 18
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.S)
_REST_OF_STRING = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.S)
_STRINGS_AND_BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[\]{}]', re.S)
_NOT_BLANK = re.compile(rb"[^ \t\r\n]")
_BLANKS = b" \t\r\n"
_OPEN, _CLOSE = b"[{", b"]}"


def list_key(head: bytes) -> str | None:
    """The first of `LIST_KEYS` under which an object's head opens a list of objects; for the sniffer."""
    found = re.search(rb'"(' + "|".join(LIST_KEYS).encode() + rb')"\s*:\s*\[\s*[{\]]', head)
    return found[1].decode() if found and head.lstrip(_BLANKS).startswith(b"{") else None


def looks_like(head: bytes) -> bool:
    """Whether a head is a JSON list, or an object around one, rather than JSON Lines."""
    start = head.removeprefix(codecs.BOM_UTF8).lstrip(_BLANKS)
    if start.startswith(b"["):
        return start[1:].lstrip(_BLANKS)[:1] in (b"{", b"]", b"")
    if list_key(start) is None:
        return False
    first = start.split(b"\n", 1)[0]
    return b"{" not in first[1:] or not _balanced(first)


def _balanced(line: bytes) -> bool:
    """Whether a line is one complete object: then the file is JSON Lines whose objects hold lists."""
    level = 0
    for mark in _STRINGS_AND_BRACKETS.findall(line):
        level += (mark in (b"[", b"{")) - (mark in (b"]", b"}"))
    return level == 0


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """One record an element; see `source.RecordReader`. Places are the element's number in the list, from 1.

    Raises:
        InputRefused: an object that holds no list under one of `LIST_KEYS` (`json_no_list`).
    """
    facts.encoding, facts.encoding_reason = "utf-8", "JSON is UTF-8"
    with given.path.open("rb") as file:
        head = file.read(_CHUNK)
    for mark, name in ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")):
        if head.startswith(mark):
            facts.encoding, facts.encoding_reason = name, "byte order mark"
    if given.encoding:
        facts.encoding, facts.encoding_reason = given_encoding(given.encoding).name, "given"
    coding = facts.encoding
    wide = not coding.replace("-", "").replace("_", "").startswith(("utf8", "ascii"))
    with given.open() as file:
        stream: BinaryIO = _Recoded(file, coding) if wide else file  # type: ignore[assignment]
        start = (_Recoded(io.BytesIO(head), coding).read(_CHUNK) if wide else head).removeprefix(codecs.BOM_UTF8)
        key = None
        if not start.lstrip(_BLANKS).startswith(b"["):
            key = list_key(start)
            if key is None:
                raise InputRefused("is a JSON object that holds no list of records", where=given.label, code="json_no_list",
                                   hint="write one object a line (JSON Lines), for example with: jq -c '.[]'")
        for number, item in enumerate(cut_items(stream, key), 1):
            place = str(number)
            if isinstance(item, Fault):
                if item.code == "cut_short":
                    facts.note("cut_short")
                yield Fault(item.code, item.detail, place)
                continue
            value = parse_line(item, "utf-8")
            yield Fault(value.code, value.detail, place) if isinstance(value, Fault) else Found(place, value, document=False)


class _Recoded:
    """Bytes of another encoding as UTF-8; those that are no text stay recognisable as such (a byte 0xFF)."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._file = file
        self._decoder = codecs.getincrementaldecoder(encoding)("replace")

    def read(self, n: int = -1) -> bytes:
        while True:
            block = self._file.read(n)
            text = self._decoder.decode(block, not block)
            if text or not block:
                return text.removeprefix("\ufeff").encode("utf-8", "surrogatepass").replace(b"\xef\xbf\xbd", b"\xff")


def cut_items(stream: BinaryIO, key: str | None = None) -> Iterator[bytes | Fault]:
    """The bytes of each element of a JSON list, blanks around it stripped.

    Brackets and quotes alone are followed: whether an element is JSON is for its parser to say. Where two elements lie
    between the same commas, or a comma is missing, they come as one piece, which its parser refuses.

    Args:
        stream: UTF-8, with or without a byte order mark.
        key: of the list within the outermost object; None where the list is the outermost value.

    Yields:
        The elements; `Fault("row_too_long")` for one beyond 16 MiB, and as the last `Fault("cut_short")` where the file
        ends before the list does, or `Fault("json_invalid")` where text follows the list or no list was found.
    """
    return _Cutter(stream, key).run()


class _Cutter:
    """A window on the stream: `_start` is the first byte that is still wanted, `_at` the first that was not looked at."""

    def __init__(self, stream: BinaryIO, key: str | None) -> None:
        self._stream = stream
        self._key = key and re.compile(rb'"' + re.escape(key.encode()) + rb'"\s*:\s*\[')
        self._window = b""
        self._start = self._at = 0
        self._level = 0
        self._dropped = False

    def run(self) -> Iterator[bytes | Fault]:
        while len(self._window) < len(codecs.BOM_UTF8) and self._more():
            pass
        if self._window.startswith(codecs.BOM_UTF8):
            self._at = len(codecs.BOM_UTF8)
        if not (self._find_list() if self._key else self._peek() == b"[" and self._mark()):
            yield Fault("json_invalid", "no list") if self._peek() else Fault("cut_short", "no list")
            return
        closed = yield from self._elements()
        if closed and not self._key and self._peek():
            yield Fault("json_invalid", "text after the list")

    def _elements(self) -> Iterator[bytes | Fault]:
        """Yields the elements; returns whether the list was closed."""
        first = True
        while True:
            self._start, self._dropped = self._at, False
            mark = self._end_of_value()
            body = self._window[self._start : self._at - len(mark)].strip(_BLANKS)
            if not mark:
                if not self._level and not self._dropped and body.startswith(b"{") and body.endswith(b"}"):
                    yield body
                yield Fault("cut_short", "the list is not closed")
                return False
            if self._dropped or len(body) > MAX_ROW_CHARS:
                yield Fault("row_too_long")
            elif body:
                yield body
            elif mark == b"," or not first:
                yield Fault("json_invalid", "nothing between two commas")
            if mark != b",":
                return True
            first = False

    def _end_of_value(self) -> bytes:
        """Passes over a value and the comma or bracket behind it; returns that mark, b"" where the stream ends before."""
        self._level = 0
        while mark := self._mark():
            if mark in _OPEN:
                self._level += 1
            elif self._level and mark in _CLOSE:
                self._level -= 1
            elif not self._level:
                break
        return mark

    def _find_list(self) -> bool:
        """Passes over the beginning of the outermost object, up to the list under the key."""
        if self._peek() != b"{" or not self._mark():
            return False
        assert self._key
        mark = b","
        while mark == b"," and self._peek() == b'"':
            self._start = self._at
            mark = self._mark()
            if mark in _OPEN and mark:
                if mark == b"[" and self._key.fullmatch(self._window, self._start, self._at):
                    return True
                while (inner := self._end_of_value()) == b",":
                    self._start = self._at
                mark = inner and self._mark()
        return False

    def _peek(self) -> bytes:
        """The next byte that is no blank, without passing over it; b"" at the end."""
        while True:
            found = _NOT_BLANK.search(self._window, self._at)
            self._at = self._start = found.start() if found else len(self._window)
            if found or not self._more():
                return found[0] if found else b""

    def _mark(self) -> bytes:
        """Passes over the next bracket or comma outside of strings; b"" at the end."""
        while True:
            found = _TOKEN.search(self._window, self._at)
            self._at = found.end() if found else len(self._window)
            if found is None:
                if not self._more():
                    return b""
            elif found[0] == b'"':
                if not self._end_of_string():
                    return b""
            elif len(found[0]) == 1:
                return found[0]

    def _end_of_string(self) -> bool:
        """Passes over the rest of a string that is longer than the window."""
        while True:
            rest = _REST_OF_STRING.match(self._window, self._at)
            assert rest
            self._at = rest.end()
            if self._window.startswith(b'"', self._at):
                self._at += 1
                return True
            if not self._more():  # a backslash at the very end belongs to the byte that follows
                return False

    def _more(self) -> bool:
        """Reads on; what is no longer wanted, or more than one record may hold, is let go."""
        if self._at - self._start > MAX_ROW_CHARS:
            self._start, self._dropped = self._at, True
        block = self._stream.read(_CHUNK)
        self._window = self._window[self._start :] + block
        self._at -= self._start
        self._start = 0
        return bool(block)

r"""RTF documents as text: code pages, Unicode escapes, and everything that is no text left out.

RTF 1.9.1. Text is in bytes of a code page (`\ansicpg936`, or that of the font: `\fcharset134`), a Chinese character in two
escapes (`\'cd\'b7`), in an escape and a letter (`\'b8S`), or in `\u22836?` followed by its stand-ins, whose number `\ucN` says.
Pictures, fonts, styles, headers and footers, fields' codes and every `{\*\name …}` are left out. (striprtf 0.0.35 fails on 12 of
the 27 traps in tests/unit/emr/test_rtf.py, among them the letter and a Latin font over Chinese bytes, and shows hidden text.)
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from tcmstruct.emr.documents import found_records, row_lines
from tcmstruct.emr.encoding import MARK_BAD_BYTES, known_codec
from tcmstruct.emr.rows import Fault, Found
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

MAX_BYTES = 64 * 1024**2
"""Size beyond which a document is refused. Pictures are passed over, but the bytes are looked at as a whole."""
MAX_DEPTH = 1_000

_WORDS = rb"\\(?:([a-zA-Z]{1,32})(-?[0-9]{1,10})? ?|'([0-9a-fA-F]{2}(?:\\'[0-9a-fA-F]{2})*+)|([^a-zA-Z]))|([{}])|"
_TOKEN = re.compile(_WORDS + rb"([^\\{}\r\n]+)|[\r\n]+", re.S)
_TOKEN_GBK = re.compile(_WORDS + rb"((?:[\x81-\xfe][\x40-\x7e\x80-\xfe]|[^\\{}\r\n])++)|[\r\n]+", re.S)
"""For text whose Chinese characters are not escaped: the second byte of one may be a backslash or a brace."""
_GBK_PAGE = re.compile(rb"\\ansicpg936\b")

_SKIPPED: frozenset[bytes] = frozenset(b"""
fonttbl colortbl stylesheet listtable listoverridetable rsidtbl generator info pict object objdata header headerl headerr headerf
footer footerl footerr footerf footnote annotation atnid atnauthor atntime atnicn atnref fldinst datafield themedata
colorschememapping latentstyles datastore xmlnstbl filetbl revtbl private template operator pntext listtext nonshppict
bkmkstart bkmkend tc xe rxe txe do shpinst shprslt fldtype passwordhash mmathPr wgrffmtfilter upr deleted
""".split())
"""Groups that hold no text of the body. `listtext` is the number of a list's item as it was last drawn."""

_SHOWN = frozenset((b"ud", b"shptxt"))
"""Within skipped groups: the Unicode half of {\\upr{…}{\\*\\ud …}}, and the text of a box."""

_SIGNS: dict[bytes, str] = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"column": "\n", b"softline": "\n", b"tab": "\t", b"lquote": "‘",
    b"rquote": "’", b"ldblquote": "“", b"rdblquote": "”", b"bullet": "•", b"endash": "–", b"emdash": "—", b"emspace": "\u2003",
    b"enspace": "\u2002", b"qmspace": "\u2005", b"zwj": "\u200d", b"zwnj": "\u200c",
}
_SYMBOLS = {b"\\": b"\\", b"{": b"{", b"}": b"}"}
_CHARSETS: dict[int, str] = {0: "cp1252", 77: "mac_roman", 128: "cp932", 129: "cp949", 130: "johab", 134: "gb18030", 136: "cp950",
                             161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251",
                             222: "cp874", 238: "cp1250"}
_TWO_BYTES = frozenset(("gb18030", "cp932", "cp949", "cp950", "big5", "johab"))


@dataclass(slots=True)
class _State:
    """What a group inherits from the one around it."""

    skip: bool = False
    stand_ins: int = 1
    font: int = -1
    hidden: bool = False


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """The record, or records, of an RTF document; see `source.RecordReader` and `documents.plan_cuts`.

    Raises:
        InputRefused: not RTF, nested too deep (`document_invalid`), or larger than `MAX_BYTES` (`document_too_large`).
    """
    size = given.path.stat().st_size
    if size > MAX_BYTES:
        raise InputRefused(f"is an RTF document of {size:,} bytes against {MAX_BYTES:,} allowed", where=given.label,
                           code="document_too_large", hint="save it without pictures, or as .docx")
    with given.open() as file:
        data = file.read()
    reader = _Reader(given.encoding)
    try:
        text = reader.text(data)
    except _Broken as error:
        raise InputRefused(f"is a damaged RTF document ({error})", where=given.label, code="document_invalid",
                           hint="open it in Word or WPS and save it again") from None
    facts.encoding, facts.encoding_reason = reader.codec, "given" if given.encoding else "declared"
    yield from found_records(lambda: text.split("\n"), facts)
    if reader.cut:
        facts.note("cut_short")
        yield Fault("cut_short", "a group is not closed", "end")


def rtf_text(data: bytes, encoding: str | None = None) -> str:
    """The text of an RTF document, lines parted by line feeds.

    Raises:
        ValueError: not RTF, or groups nested too deep.
    """
    return _Reader(encoding).text(data)


class _Broken(ValueError):
    pass


class _Reader:
    """One pass over the tokens. Bytes of a code page wait in `_bytes` until something else comes, since the two bytes of a
    character may be written apart."""

    def __init__(self, encoding: str | None = None) -> None:
        self._forced = encoding
        self.codec = encoding or "cp1252"
        self.cut = False
        self._fonts: dict[int, str] = {}
        self._out: list[str] = []
        self._bytes = bytearray()
        self._bytes_codec = self.codec
        self._row: list[str] | None = None
        self._row_from = 0

    def text(self, data: bytes) -> str:
        if not data.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{\\rtf"):
            raise _Broken("it does not begin as RTF does")
        state, stack = _State(), []
        fonts = 0  # depth of the font table's group, 0 outside of it
        font = -1
        starred = opened = False
        passed = 0  # stand-ins still to be passed over; a control word ends them, as some writers leave them out
        at, end = 0, len(data)
        token = _TOKEN_GBK if _GBK_PAGE.search(data, 0, 4096) else _TOKEN
        while at < end:
            found = token.match(data, at)
            if found is None:  # a backslash at the very end
                break
            at = found.end()
            word, number, code, symbol, brace, plain = found.groups()
            if brace == b"{":
                if len(stack) >= MAX_DEPTH:
                    raise _Broken(f"groups nested deeper than {MAX_DEPTH:,}")
                stack.append(state)
                state, opened, starred, passed = replace(state), True, False, 0
                continue
            if brace:
                passed = 0
                if len(stack) == fonts:
                    fonts = 0
                if not stack:
                    break
                state = stack.pop()
                if not stack:
                    break
                continue
            first, opened = opened, False
            if word:
                value = int(number) if number else None
                if word == b"bin":
                    at += max(0, value or 0)
                    continue
                passed = 0
                if word == b"fonttbl":
                    fonts, state.skip = len(stack), True
                elif fonts and word == b"f":
                    font = value or 0
                elif fonts and word == b"fcharset":
                    if value in _CHARSETS and len(self._fonts) < 65_536:
                        self._fonts[font] = _CHARSETS[value]
                elif (first or starred) and (word in _SKIPPED or starred):
                    state.skip, starred = word not in _SHOWN, False
                elif state.skip:
                    state.skip = word not in _SHOWN
                elif word == b"u" and value is not None:
                    self._put(_unicode(value), state)
                    passed = state.stand_ins
                elif word == b"uc":
                    state.stand_ins = max(0, min(value or 0, 16))
                elif word == b"ansicpg":
                    self._codec(value)
                elif word == b"f":
                    state.font = -1 if value is None else value
                elif word == b"v":
                    state.hidden = value != 0
                elif word == b"plain":
                    state.hidden, state.font = False, -1
                elif word == b"deleted":
                    state.hidden = value != 0
                elif word in _SIGNS:
                    self._put(_SIGNS[word], state)
                elif word in (b"cell", b"nestcell"):
                    self._close_cell()
                elif word in (b"row", b"nestrow"):
                    self._close_row()
                elif word == b"trowd" and self._row is None:
                    self._open_row()
            elif code:
                if not state.skip:
                    plain = bytes.fromhex(code.replace(b"\\'", b"").decode())
                    plain, passed = plain[passed:], max(0, passed - len(plain))
                    self._put_bytes(plain, state)
            elif symbol:
                if symbol == b"*":
                    starred, opened = True, True
                elif passed:
                    passed -= 1
                elif symbol in _SYMBOLS:
                    self._put_bytes(symbol, state)
                elif symbol == b"~":
                    self._put("\u00a0", state)
                elif symbol == b"_":
                    self._put("-", state)
                elif symbol in b"\r\n":
                    self._put("\n", state)
            elif plain:
                if passed:
                    plain, passed = plain[passed:], max(0, passed - len(plain))
                if plain:
                    self._put_bytes(plain, state)
        self.cut = bool(stack)
        self._flush()
        if self._row is not None:
            self._close_row()
        return _paired("".join(self._out))

    def _codec(self, page: int | None) -> None:
        if self._forced:
            return
        named = known_codec("gb18030" if page == 936 else "utf-8" if page == 65001 else f"cp{page}")
        self.codec = named or self.codec

    def _put(self, text: str, state: _State) -> None:
        if not state.skip and not state.hidden:
            self._flush()
            self._out.append(text)

    def _put_bytes(self, data: bytes, state: _State) -> None:
        if state.skip or state.hidden:
            return
        codec = self._forced or self._fonts.get(state.font, self.codec)
        if self.codec in _TWO_BYTES and codec == "cp1252":
            codec = self.codec  # a Latin font over Chinese bytes: Word takes the document's page then
        if codec != self._bytes_codec and not self._half():
            self._flush()
            self._bytes_codec = codec
        self._bytes += data

    def _half(self) -> bool:
        """Whether the bytes that wait end in the first half of a character, so that the second may follow."""
        if not self._bytes or self._bytes_codec not in _TWO_BYTES:
            return False
        try:
            self._bytes.decode(self._bytes_codec)
        except UnicodeDecodeError as error:
            return error.end == len(self._bytes) and error.start == len(self._bytes) - 1
        return False

    def _flush(self) -> None:
        if self._bytes:
            self._out.append(self._bytes.decode(self._bytes_codec, MARK_BAD_BYTES))
            self._bytes.clear()

    def _open_row(self) -> None:
        self._flush()
        self._row, self._row_from = [], len(self._out)

    def _close_cell(self) -> None:
        self._flush()
        if self._row is None:
            self._row, self._row_from = [], self._line_start()
        self._row.append("".join(self._out[self._row_from :]))
        del self._out[self._row_from :]

    def _line_start(self) -> int:
        """Where the last line of the output begins: a cell whose row was not announced."""
        at = len(self._out)
        while at and "\n" not in self._out[at - 1]:
            at -= 1
        return at

    def _close_row(self) -> None:
        self._flush()
        cells, self._row = self._row or [], None
        rest = "".join(self._out[self._row_from :]) if cells else ""
        if cells:
            del self._out[self._row_from :]
        self._out.append("".join(f"{line}\n" for line in row_lines(cells)) + rest.lstrip("\n"))


def _unicode(value: int) -> str:
    """\\u counts from −32,768; halves of a pair come one after the other and are joined at the end."""
    value &= 0xFFFF if value < 0x10000 else 0x1FFFFF
    return chr(value) if value <= 0x10FFFF else "\ufffd"


def _paired(text: str) -> str:
    """Halves of UTF-16 pairs joined; a half without its other half stays, and its record is rejected."""
    if not re.search("[\ud800-\udbff][\udc00-\udfff]", text):
        return text
    return re.sub("[\ud800-\udbff][\udc00-\udfff]",
                  lambda m: m[0].encode("utf-16-le", "surrogatepass").decode("utf-16-le"), text)

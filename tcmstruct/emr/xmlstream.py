"""XML as a stream of the elements that are records, from files of any size and any intention.

The parser is the standard library's expat: it opens no file and no connection. A document type declaration is refused
where it begins, so no entity can be defined, expanded or fetched; depth and size of a record are bounded; what lies
outside of records is never built, and a record is let go with its turn.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from tcmstruct.emr.encoding import MARK_BAD_BYTES, sniff_encoding
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

MAX_DEPTH = 500
"""Nesting beyond which a file is refused. Nested tables of an editor's document reach about 60."""

_CHUNK = 1 << 16
_DECLARED = re.compile(rb"<\?xml\b[^>]*?encoding\s*=\s*[\"']([\w.: -]{1,40})[\"']")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_CONTROLS_TO_BLANKS = bytes(32 if code < 32 and code not in b"\t\n\r" else code for code in range(256))

IsRecord = Callable[[str], bool]
"""Whether an element of this name is a record."""


def read_elements(given: Given, facts: FileFacts, is_record: IsRecord) -> Iterator[tuple[str, Element] | Fault]:
    """(its number, element) of each record of a file, in order. Names of elements come without prefix or namespace, names
    of attributes as they stand (`xsi:type`).

    A record within a record is not told apart. A fault of the XML ends the file: the records before it were kept, the
    rest is one `Fault`.

    Raises:
        InputRefused: a document type declaration (`xml_doctype`), or elements nested too deep (`xml_too_deep`).
    """
    if facts.encoding is None:
        with given.path.open("rb") as file:
            declared = _DECLARED.search(file.read(256))
        chosen = sniff_encoding(given.path, given.encoding, given.label, declared and declared[1].decode("ascii"))
        facts.encoding, facts.encoding_reason = chosen.name, chosen.reason
    with given.open() as stream:
        yield from _Walk(given.label, is_record).run(stream, facts)


def read_documents(given: Given, facts: FileFacts, name: str, document: Callable[[Element, str], Found]) -> Iterator[Found | Fault]:
    """Every element `name` of a file, whether it is the root or one of many, as `document` makes a record of it and its number."""
    for item in read_elements(given, facts, name.__eq__):
        if isinstance(item, Fault):
            yield item
        else:
            place, element = item
            yield document(element, place)


class _Walk:
    """One pass over a file: the depth, and the record that is being built."""

    def __init__(self, label: str, is_record: IsRecord) -> None:
        self._label, self._is_record = label, is_record
        self._builder: TreeBuilder | None = None
        self._depth = self._record_depth = self._size = self._count = 0
        self._too_long = self._damaged = False
        self._done: list[tuple[str, Element] | Fault] = []
        self._names: dict[str, str] = {}
        parser = self._parser = expat.ParserCreate("utf-8")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end

    def run(self, stream: BinaryIO, facts: FileFacts) -> Iterator[tuple[str, Element] | Fault]:
        assert facts.encoding is not None
        decoder = codecs.getincrementaldecoder(facts.encoding)(MARK_BAD_BYTES)
        while True:
            block = stream.read(_CHUNK)
            data = self._encode(decoder.decode(block, not block))
            broken: expat.ExpatError | InputRefused | None = None
            try:
                self._parser.Parse(data, not block)
            except (expat.ExpatError, InputRefused) as error:
                broken = error
            yield from self._done
            self._done.clear()
            if isinstance(broken, InputRefused):
                raise broken
            if broken is not None:
                facts.note("cut_short")
                ended = not block
                detail = f"the file ends at line {broken.lineno}" if ended else f"line {broken.lineno}, column {broken.offset + 1}"
                yield Fault("cut_short" if ended else "xml_invalid", detail, str(self._count + 1))
            if broken is not None or not block:
                return
            if self._builder is not None:
                self._size += len(data)
                if self._size > MAX_ROW_CHARS:
                    self._drop()

    def _encode(self, text: str) -> bytes:
        """UTF-8 for the parser. What is no text becomes U+FFFD, and the records that hold one are rejected; other control
        characters, which XML does not allow and old systems leave behind, become blanks."""
        if "\0" in text:
            self._damaged, text = True, text.replace("\0", "\ufffd")
        try:
            data = text.encode()
        except UnicodeEncodeError:
            self._damaged, data = True, _SURROGATE.sub("\ufffd", text).encode()
        return data.translate(_CONTROLS_TO_BLANKS)

    def _doctype(self, *_: object) -> None:
        raise InputRefused("holds a document type declaration (DTD), which could define entities", where=self._label,
                           code="xml_doctype", hint="export without <!DOCTYPE …>, or delete that declaration")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise InputRefused(f"elements are nested more than {MAX_DEPTH} deep", where=self._label, code="xml_too_deep",
                               hint="this is no document of a record system")
        plain = self._names.get(name) or self._local(name)
        if self._builder is not None:
            self._builder.start(plain, attributes)
        elif not self._too_long and self._is_record(plain):
            self._builder, self._record_depth, self._size = TreeBuilder(), self._depth, 0
            self._builder.start(plain, attributes)
            self._parser.CharacterDataHandler = self._builder.data

    def _end(self, name: str) -> None:
        self._depth -= 1
        if self._builder is not None:
            self._builder.end(self._names[name])
        if self._record_depth > self._depth:
            self._finish()

    def _finish(self) -> None:
        """The end of a record."""
        self._count += 1
        place = str(self._count)
        if self._builder is None:
            self._done.append(Fault("row_too_long", place=place))
        else:
            self._parser.CharacterDataHandler = None
            element = self._builder.close()
            damaged = self._damaged and any("\ufffd" in text for text in _texts(element))
            self._done.append(Fault("undecodable", place=place) if damaged else (place, element))
        self._builder, self._record_depth, self._too_long = None, 0, False

    def _drop(self) -> None:
        """Gives up a record that is too long; the parser goes on to its end without building anything."""
        self._builder, self._too_long = None, True
        self._parser.CharacterDataHandler = None

    def _local(self, name: str) -> str:
        if len(self._names) > _NAMES_KEPT:
            self._names = {}
        self._names[name] = plain = name.rpartition(":")[2]
        return plain


_NAMES_KEPT = 10_000


def _texts(element: Element) -> Iterator[str]:
    for node in element.iter():
        yield from node.attrib.values()
        yield node.text or ""
        yield node.tail or ""


_BLOCKS = frozenset(("p", "br", "div", "tr", "li", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "table", "paragraph", "item",
                     "list", "caption", "thead", "tbody"))
_CELLS = frozenset(("td", "th"))
_NO_TEXT = frozenset(("script", "style"))


def block_text(element: Element) -> str:
    """The text of a narrative block (CDA `text`, XHTML `div`): a line for each paragraph, row and item, cells apart by a tab.

    A value that stands in an attribute (`<value value="…"/>`, as some exporters write it) is taken too.
    """
    if not len(element):
        text = (element.text or "").strip()
        return text if "\n" not in text else "\n".join(line for line in map(str.strip, text.split("\n")) if line)
    out: list[str] = []

    def walk(node: Element) -> None:
        name = node.tag
        if name in _NO_TEXT:
            return
        if name in _BLOCKS:
            out.append("\n")
        if node.text:
            out.append(node.text)
        if name == "value" and node.get("value"):
            out.append(node.get("value", ""))
        for child in node:
            walk(child)
            if child.tail:
                out.append(child.tail)
        if name in _CELLS:
            out.append("\t")
        elif name in _BLOCKS:
            out.append("\n")

    walk(element)
    lines = (line.strip() for line in "".join(out).split("\n"))
    return "\n".join(line for line in lines if line)


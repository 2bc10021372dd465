"""XML as a stream of the elements that are records, from files of any size and any intention.

The parser is the standard library's expat: it opens no file and no connection. A document type declaration is refused
where it begins, so no entity can be defined, expanded or fetched; depth and size of a record are bounded; what lies
outside of records is never built, and a record is let go with its turn.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO
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

IsRecord = Callable[[str, dict[str, str]], bool]
"""Whether an element of this name, with these attributes, is a record; asked in the order of the file, outside of records."""


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
    for item in read_elements(given, facts, lambda found, _: found == name):
        if isinstance(item, Fault):
            yield item
        else:
            place, element = item
            try:
                yield document(element, place)
            except RecursionError:  # deep, and closed within one block
                yield Fault("xml_too_deep", place=place)


class _Walk:
    """One pass over a file: what lies outside of records, the record that is being built, or one that is passed over.

    Within a record expat calls the tree builder itself, both written in C; of this class one line runs at the end of each
    element. How deep and how large the record has grown is asked after each block.
    """

    def __init__(self, label: str, is_record: IsRecord) -> None:
        self._label, self._is_record = label, is_record
        self._root: Element | None = None
        self._depth = self._size = self._marks = self._count = 0
        self._passed, self._passed_open, self._passed_depth = "", 0, 0
        self._damaged = False
        self._done: list[tuple[str, Element] | Fault] = []
        self._parser = expat.ParserCreate("utf-8")
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._doctype
        self._listen(self._start, self._end)

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
            if self._root is not None:
                self._watch(self._root, data)
            if broken is not None:
                facts.note("cut_short")
                ended = not block
                detail = f"the file ends at line {broken.lineno}" if ended else f"line {broken.lineno}, column {broken.offset + 1}"
                yield Fault("cut_short" if ended else "xml_invalid", detail, str(self._count + 1))
            if broken is not None or not block:
                return

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

    def _listen(self, start: Any, end: Any, data: Any = None) -> None:
        parser = self._parser
        parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data

    def _doctype(self, *_: object) -> None:
        raise InputRefused("holds a document type declaration (DTD), which could define entities", where=self._label,
                           code="xml_doctype", hint="export without <!DOCTYPE …>, or delete that declaration")

    def _too_deep(self) -> InputRefused:
        return InputRefused(f"elements are nested more than {MAX_DEPTH} deep", where=self._label, code="xml_too_deep",
                            hint="this is no document of a record system")

    # ---------------------------------------------------------------- outside of records

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._too_deep()
        if self._is_record(_local(name), attributes):
            self._open(name, attributes)

    def _end(self, _: str) -> None:
        self._depth -= 1

    # ---------------------------------------------------------------- within a record

    def _open(self, name: str, attributes: dict[str, str]) -> None:
        builder = TreeBuilder()
        root = self._root = builder.start(name, attributes)
        self._size = self._marks = 0
        close = builder.end

        def end(name: str) -> None:
            if close(name) is root:
                self._finish(root)

        self._listen(builder.start, end, builder.data)

    def _finish(self, root: Element) -> None:
        self._leave()
        place = str(self._count)
        for node in root.iter():
            if ":" in node.tag:
                node.tag = _local(node.tag)
        damaged = self._damaged and any("\ufffd" in text for text in _texts(root))
        self._done.append(Fault("undecodable", place=place) if damaged else (place, root))

    def _leave(self) -> None:
        """The end of a record."""
        self._count += 1
        self._depth -= 1
        self._root = None
        self._listen(self._start, self._end)

    def _watch(self, root: Element, data: bytes) -> None:
        """Bounds the record that is open behind a block."""
        self._size += len(data)
        self._marks += data.count(b"<") + data.count(b"=")
        if self._size > MAX_ROW_CHARS or self._marks > _MOST_MARKS:
            self._passed, self._passed_open, self._passed_depth, self._root = root.tag, 1, 0, None
            self._listen(self._start_passed, self._end_passed)
            return
        node = root
        for _ in range(MAX_DEPTH - self._depth + 1):
            if not len(node):
                return
            node = node[-1]
        raise self._too_deep()

    # ---------------------------------------------------------------- a record that is passed over

    def _start_passed(self, name: str, _: dict[str, str]) -> None:
        self._passed_open += name == self._passed
        self._passed_depth += 1
        if self._passed_depth > MAX_DEPTH:
            raise self._too_deep()

    def _end_passed(self, name: str) -> None:
        self._passed_open -= name == self._passed
        self._passed_depth -= 1
        if not self._passed_open:
            self._leave()
            self._done.append(Fault("row_too_long", place=str(self._count)))


_MOST_MARKS = 500_000
"""Tags and attributes of a record: elements with little text in them take twenty times the memory of their bytes."""


def _local(name: str) -> str:
    """A name without its prefix."""
    return name.rpartition(":")[2]


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


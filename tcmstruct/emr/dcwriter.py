"""DCWriter (XTextDocument) documents: the editor's own XML of paragraphs, input fields and tables → a record.

Read is what a reader of the page sees: the body in order, with the values of input fields and checked boxes; not the grey
background words of an empty field, not images, not what a reviser struck out (a style with DeleterIndex).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from tcmstruct.emr.columns import is_placeholder, known_role
from tcmstruct.emr.rows import Fault, Found
from tcmstruct.emr.sections import add_fact, cut_sections
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.emr.xmlstream import read_documents

_BREAKS = frozenset(("XParagraphFlag", "XLineBreak", "XTextTableRow", "XTextTable", "XTextSection", "XTextSubDocument"))
_LINE_ENDS = re.compile(r"(?<!\t)\t*\n(?:\t*+\n)*+")
_BOXES = frozenset(("XTextCheckBox", "XTextRadioBox", "XTextCheckBoxElement", "XTextRadioBoxElement"))


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault]:
    """Every XTextDocument of a file, whether it is the root or one of many; see `source.RecordReader`."""
    return read_documents(given, facts, "XTextDocument", document)


def document(root: Element, place: str = "") -> Found:
    """One XTextDocument as a record."""
    struck = _struck_styles(root)
    facts: dict[str, str] = {}
    _info(root, facts)
    sections: list[tuple[str, str]] = []
    parts = _child(root, "XElements")
    for part in parts if parts is not None else ():
        kind = _kind(part)
        page = _Page(struck)
        page.walk(part)
        found, titled = cut_sections(page.text())
        for name, value in (*page.fields.items(), *found.items()):
            if not is_placeholder(value):
                add_fact(facts, name, value)
        if kind.startswith(("XTextHeader", "XTextFooter")):
            for title, text in titled:
                add_fact(facts, title or "页眉", text)
        else:
            sections.extend((title, text) for title, text in titled if not is_placeholder(text))
    if not sections:
        body = _child(root, "BodyText")
        found, sections = cut_sections(body.text or "" if body is not None else "")
        facts = {**found, **facts}
    return Found(place, facts, sections)


def _info(root: Element, facts: dict[str, str]) -> None:
    info = _child(root, "Info")
    for child in info if info is not None else ():
        name = {"Title": "文档类型", "CreationTime": "记录日期时间", "DepartmentName": "科室名称"}.get(child.tag)
        value = (child.text or "").strip()
        if name and not is_placeholder(value):
            add_fact(facts, name, value)


def _struck_styles(root: Element) -> frozenset[str]:
    """Numbers of the styles that mark what was deleted with traces kept."""
    styles = _child(_child(root, "ContentStyles"), "Styles")
    out = set()
    for style in styles if styles is not None else ():
        deleter = _child(style, "DeleterIndex")
        text = (deleter.text or "").strip() if deleter is not None else style.get("DeleterIndex", "-1")
        if text and not text.startswith("-"):
            out.add(style.get("Index", ""))
    return frozenset(out)


class _Page:
    """The text of a part of the document, as it is walked."""

    def __init__(self, struck: frozenset[str]) -> None:
        self._struck = struck
        self._pieces: list[str] = []
        self.fields: dict[str, str] = {}

    def text(self) -> str:
        return _LINE_ENDS.sub("\n", "".join(self._pieces).replace("\xa0", " "))

    def walk(self, element: Element) -> None:
        if element.get("StyleIndex", "-") in self._struck:
            return
        kind = _kind(element)
        match kind:
            case "XString" | "XTextString":
                text = _child(element, "Text")
                self._pieces.append(text.text or "" if text is not None else "")
                return
            case "XInputField" | "XTextInputField":
                self._field(element)
                return
        if kind in _BOXES:
            checked = _child(element, "Checked")
            caption = _child(element, "Caption")
            if checked is not None and (checked.text or "").strip().lower() == "true" and caption is not None:
                self._pieces.append(caption.text or "")
            return
        self._inside(element)
        if kind == "XTextTableCell":
            while self._pieces and self._pieces[-1] in ("\n", ""):
                self._pieces.pop()
            self._pieces.append("\t")
        elif kind in _BREAKS:
            self._pieces.append("\n")

    def _inside(self, element: Element) -> None:
        children = _child(element, "XElements")
        for child in children if children is not None else ():
            self.walk(child)

    def _field(self, element: Element) -> None:
        """An input field: its value stays in the page; a known name makes it a section or a fact."""
        name = _text(element, "Name")
        role = known_role(name)
        if role is None:
            name = _text(element, "ID")
            role = known_role(name)
        start = len(self._pieces)
        if role == "text" and not "".join(self._pieces[-4:]).rstrip(" \t\u3000：:】").endswith(name):
            self._pieces.append(f"\n{name}：")
        inner = len(self._pieces)
        self._inside(element)
        if not "".join(self._pieces[inner:]).strip():
            del self._pieces[inner:]
            self._pieces.append(_text(element, "InnerValue") or "")
        value = "".join(self._pieces[inner:]).strip()
        if not value:
            del self._pieces[start:]
        elif role in ("id", "dept", "extra"):
            self.fields[name] = value


def _kind(element: Element) -> str:
    return element.get("xsi:type") or next((value for name, value in element.items() if name.endswith("type")), "")


def _child(element: Element | None, name: str) -> Element | None:
    return None if element is None else element.find(name)


def _text(element: Element, name: str) -> str:
    child = _child(element, name)
    return (child.text or "").strip() if child is not None else ""

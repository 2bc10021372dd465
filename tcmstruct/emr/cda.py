"""WS/T 500 shared documents (HL7 CDA R2): sections, data elements (DE codes), header → a record.

A value may stand in `value` as text, in an attribute of it, or in the section's `text`; sections may hold sections;
templates write NA, 无 or xx for what is missing. 病名 and 证候 share DE05.10.172.00 and are told apart by the name beside the
code or in its qualifier. Sources: WS/T 500-2016, WS 445-2014, HL7 CDA R2.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from tcmstruct.emr.columns import is_placeholder, known_role, plain_name
from tcmstruct.emr.encoding import decode_bytes
from tcmstruct.emr.rows import Fault, Found
from tcmstruct.emr.sections import add_fact
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.emr.xmlstream import block_text, read_documents
from tcmstruct.errors import InputRefused

_IDS: dict[str, str] = {
    "2.16.156.10011.1.1": "文档流水号", "2.16.156.10011.1.11": "门（急）诊号", "2.16.156.10011.1.12": "住院号",
    "2.16.156.10011.1.13": "病案号", "2.16.156.10011.1.24": "电子申请单编号", "2.16.156.10011.1.3": "身份证号",
    "2.16.156.10011.1.19": "居民健康卡号", "2.16.156.10011.1.2": "健康档案编号", "2.16.156.10011.0.5.1": "门（急）诊号",
    "2.16.156.10011.0.5.2": "住院号", "2.16.156.10011.1.22": "病床号",
}
"""Object identifiers of WS/T 500 whose `extension` is a number of the patient or the document."""

_SEXES = {"0": "未知", "1": "男", "2": "女", "9": "未说明", "M": "男", "F": "女", "UN": "未知"}
"""GB/T 2261.1, and the codes of HL7."""

DIFFERENTIAL = "鉴别诊断"
_SHARED = "DE05.10.172.00"
"""中医诊断名称: of diseases and of syndromes."""
_MARKS = re.compile(r"[\W_]+")
_REST_ALLOWED = 8
"""Characters beyond names and values up to which a narrative is taken for a rendering of the data elements."""


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault]:
    """Every ClinicalDocument of a file, whether it is the root or one of many; see `source.RecordReader`."""
    return read_documents(given, facts, "ClinicalDocument", document)


def document(root: Element, place: str = "") -> Found:
    """One ClinicalDocument as a record."""
    return _Document(root, place).found


class _Document:
    def __init__(self, root: Element, place: str) -> None:
        self._facts: dict[str, str] = {}
        self._sections: list[tuple[str, str]] = []
        self._header(root)
        for component in _children(root, "component"):
            for body in component:
                match body.tag:
                    case "structuredBody":
                        self._sections_of(body, ())
                    case "nonXMLBody":
                        self._unstructured(body)
        self.found = Found(place, self._facts, self._sections)

    def _fact(self, name: str, value: str | None) -> None:
        if value is not None and not is_placeholder(value):
            add_fact(self._facts, name, value)

    def _header(self, root: Element) -> None:
        self._id_of(root)
        title = _child(root, "title")
        self._fact("文档类型", _text(title))
        role = _child(_child(root, "recordTarget"), "patientRole")
        self._id_of(role)
        patient = _child(role, "patient")
        self._id_of(patient)
        self._fact("患者姓名", _text(_child(patient, "name")))
        sex = _child(patient, "administrativeGenderCode")
        if sex is not None:
            shown = sex.get("displayName") or ""
            self._fact("性别", shown if not is_placeholder(shown) else _SEXES.get(sex.get("code", ""), ""))
        self._fact("出生日期", _get(_child(patient, "birthTime"), "value"))
        age = _child(patient, "age")
        value = _get(age, "value")
        if value and not is_placeholder(value):
            self._fact("年龄", value + (_get(age, "unit") or ""))
        self._fact("科室名称", _text(_child(_child(role, "providerOrganization"), "name")))
        self._fact("就诊日期时间", _get(_child(_child(root, "author"), "time"), "value"))
        encounter = _child(_child(root, "componentOf"), "encompassingEncounter")
        self._id_of(encounter)
        time = _child(encounter, "effectiveTime")
        self._fact("入院日期时间", _get(time, "value") or _get(_child(time, "low"), "value"))
        self._fact("出院日期时间", _get(_child(time, "high"), "value"))
        if encounter is not None and "科室名称" not in self._facts:
            self._ward(encounter)

    def _ward(self, encounter: Element) -> None:
        """The department: WS/T 500 nests bed, room, ward, department and hospital, each as part of the next."""
        names = [_text(_child(node, "name")) for node in encounter.iter()
                 if node.tag in ("serviceProviderOrganization", "wholeOrganization")]
        self._fact("科室名称", next((name for name in names if name and name.rstrip().endswith(("科", "门诊", "中心"))), None))

    def _id_of(self, node: Element | None) -> None:
        for id in _children(node, "id"):
            name = _IDS.get(id.get("root", ""))
            extension = id.get("extension")
            if name and extension and name not in self._facts:
                self._fact(name, extension)

    def _unstructured(self, body: Element) -> None:
        """A body that is one text: plain, or encoded in base64 as CDA allows."""
        node = _child(body, "text")
        text = block_text(node) if node is not None else ""
        if node is not None and node.get("representation") == "B64":
            kind = node.get("mediaType", "text/plain")
            try:
                text = decode_bytes(base64.b64decode(text, validate=False)) if kind == "text/plain" else ""
            except (binascii.Error, ValueError, InputRefused):
                text = ""
        if not is_placeholder(text):
            self._sections.append(("", text))

    def _sections_of(self, node: Element, above: Sequence[str]) -> None:
        for component in _children(node, "component"):
            for section in _children(component, "section"):
                self._section(section, above)

    def _section(self, section: Element, above: Sequence[str]) -> None:
        code = _child(section, "code")
        title = _section_title(_text(_child(section, "title")), code)
        names = (*above, title)
        apart = any(DIFFERENTIAL in name for name in names)
        found: list[tuple[str, str]] = []
        for node in _observations(section):
            item = self._observation(node, apart)
            if item:
                found.append(item)
        narrative = _child(section, "text")
        text = block_text(narrative) if narrative is not None else ""
        if text and not is_placeholder(text) and _says_more(text, title, found):
            self._put(DIFFERENTIAL if apart else title, text, narrative=True)
            found = [(name, value) for name, value in found if known_role(name) != "text" or value not in text]
        for name, value in found:
            self._put(name, value)
        self._sections_of(section, names)

    def _observation(self, node: Element, apart: bool) -> tuple[str, str] | None:
        """(name, value) of one data element; None where it is empty or a placeholder."""
        code = _child(node, "code")
        value_node = _child(node, "value")
        if code is None or value_node is None:
            return None
        name = _element_name(code)
        value = _value(value_node, name)
        if not name or is_placeholder(value):
            return None
        return (f"{DIFFERENTIAL}-{name}" if apart and DIFFERENTIAL not in name else name), value

    def _put(self, name: str, value: str, narrative: bool = False) -> None:
        """A text goes to the sections, in the document's order; anything else is a fact."""
        role = known_role(name)
        if DIFFERENTIAL in name or not (role == "text" or (narrative and role is None)):
            self._fact(name, value)
            return
        for k, (title, text) in enumerate(self._sections):
            if title == name:
                if value not in text:
                    self._sections[k] = (title, f"{text}\n{value}")
                return
        self._sections.append((name, value))


def _says_more(text: str, title: str, found: Sequence[tuple[str, str]]) -> bool:
    """Whether a section's narrative holds more than its data elements, their names and marks between them."""
    rest = text
    for name, value in sorted(found, key=lambda item: -len(item[1])):
        rest = rest.replace(value, "").replace(name, "")
    rest = _MARKS.sub("", rest.replace(title, ""))
    return bool(rest) and (not found or len(rest) > _REST_ALLOWED)


def _observations(section: Element) -> Sequence[Element]:
    """Data elements of a section in document order, nested ones (organizer, entryRelationship) too; not those of the
    sections within it."""
    found = list(section.iter("observation"))
    inner = [node for node in section.iter("section") if node is not section]
    if inner and found:
        theirs = {id(node) for other in inner for node in other.iter("observation")}
        found = [node for node in found if id(node) not in theirs]
    return found


def _element_name(code: Element) -> str:
    """The name of a data element: beside the code, else in its qualifier, else by its code."""
    shown = (code.get("displayName") or "").strip()
    number = code.get("code") or ""
    shared = number == _SHARED and not any(word in shown for word in ("病名", "证候", "证型"))
    if shown and not shared and not is_placeholder(shown):
        return shown
    qualified = next((node.get("displayName", "").strip() for node in code.iter("name")), "")
    if shared and qualified:
        prefix, mark, _ = shown.partition("-")
        return f"{prefix}-{qualified}" if mark else qualified
    return shown or qualified or plain_name(number)


def _section_title(title: str | None, code: Element | None) -> str:
    """What a section is called in Chinese: its title, its LOINC or DE code, else the name beside the code."""
    if title and not is_placeholder(title) and known_role(title):
        return title
    number = _get(code, "code") or ""
    shown = (_get(code, "displayName") or "").strip()
    if plain_name(number) != number:
        return plain_name(number)
    return (title or shown or number).removesuffix("章节")


def _value(node: Element, name: str) -> str:
    """The value of a data element, whichever type it states."""
    if node.get("nullFlavor") and not (node.text or "").strip():
        return ""
    text = block_text(node) if len(node) else (node.text or "").strip()
    if text:
        return text
    if name.endswith(("代码", "编码")):
        return (node.get("code") or node.get("displayName") or "").strip()
    value = node.get("value") or node.get("displayName") or node.get("code") or ""
    unit = node.get("unit") or ""
    return value.strip() + (unit if value and unit != "1" else "")


def _child(node: Element | None, name: str) -> Element | None:
    return None if node is None else node.find(name)


def _children(node: Element | None, name: str) -> Sequence[Element]:
    return () if node is None else node.findall(name)


def _text(node: Element | None) -> str | None:
    return None if node is None else "".join(node.itertext()).strip() or None


def _get(node: Element | None, name: str) -> str | None:
    return None if node is None else node.get(name)

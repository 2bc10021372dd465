"""FHIR R4 documents: Bundles with a Composition, as JSON, as one object a line, or as XML → a record for each Composition.

A Bundle is read resource by resource, so one of any size costs the memory of one document. What belongs to a Composition
(patient, encounter, conditions) is taken where it stands before it, or after it and before the next.
Source: HL7 FHIR R4, Bundle, Composition, Condition.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from io import BufferedReader
from typing import Any
from xml.etree.ElementTree import Element

from tcmstruct.emr.columns import is_placeholder, known_role, plain_name
from tcmstruct.emr.encoding import decode_bytes
from tcmstruct.emr.jsonarray import cut_items
from tcmstruct.emr.jsonlines import cut_lines, parse_line, skip_mark
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.sections import add_fact
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.emr.xmlstream import block_text, read_elements
from tcmstruct.errors import InputRefused

Resource = Mapping[str, Any]

_SEXES = {"male": "男", "female": "女", "other": "其他", "unknown": "未知"}
_TCM_SYSTEMS = ("2.16.156.10011.2.3.3.14", "15657", "16751")
"""Code systems of Chinese diseases and syndromes: GB/T 15657, GB/T 16751.1 and .2."""
_SYNDROME_ENDS = ("证", "证候", "证型")
_DOUBTED = {"differential": "鉴别诊断-", "refuted": "排除诊断-"}
_LOOSE_KEPT = 1000
_MOST_LEVELS = 8
"""Bundles within Bundles, and sections within sections."""
_PARTS = frozenset(("Patient", "Encounter", "Condition", "Observation", "DocumentReference"))
_RESOURCES = _PARTS | {"Composition"}
"""In XML a Bundle within a Bundle is no record of its own: its resources come in their order."""


def read_json(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """JSON, indented or not, and one object a line; see `source.RecordReader`."""
    facts.encoding, facts.encoding_reason = "utf-8", "JSON is UTF-8"
    if _is_one_object_a_line(given):
        with given.open() as stream:
            yield from _lines(stream)
    else:
        with given.open() as stream:
            skip_mark(stream)
            yield from _gather(_entries(stream, facts))


def _entries(stream: BufferedReader, facts: FileFacts) -> Iterator[Resource | Fault]:
    """Resources of one Bundle, or of a list of them; of a Composition that stands alone, itself."""
    start = stream.peek(1 << 16).lstrip()
    for item in cut_items(stream, None if start.startswith(b"[") else "entry"):
        value = item if isinstance(item, Fault) else parse_line(item, "utf-8")
        if isinstance(value, Fault):
            if value.code == "cut_short":
                facts.note("cut_short")
            yield value
        else:
            yield _resource_of(value)


def read_xml(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """XML; see `source.RecordReader`."""
    elements = read_elements(given, facts, lambda name, _: name in _RESOURCES)
    yield from _gather(item if isinstance(item, Fault) else _resource_or_fault(*item) for item in elements)


def _resource_or_fault(place: str, element: Element) -> Resource | Fault:
    try:
        return as_resource(element)
    except RecursionError:
        return Fault("xml_too_deep", place=place)


def _is_one_object_a_line(given: Given) -> bool:
    with given.path.open("rb") as file:
        skip_mark(file)
        first = file.readline(MAX_ROW_CHARS)
    return first.lstrip().startswith(b"{") and not isinstance(parse_line(first, "utf-8"), Fault)


def _lines(stream: BufferedReader) -> Iterator[Found | Fault | None]:
    skip_mark(stream)
    for number, value in enumerate(cut_lines(stream), 1):
        if value is None:
            yield None
        elif isinstance(value, Fault):
            yield Fault(value.code, value.detail, str(number))
        else:
            found = list(_gather(iter((value,)), str(number)))
            yield from found or [Fault("fhir_invalid", place=str(number))]


def _resource_of(entry: Any) -> Resource:
    """The resource of a Bundle's entry; an element of a list of resources is one itself."""
    if not isinstance(entry, dict):
        return {}
    inner = entry.get("resource")
    return inner if isinstance(inner, dict) else entry


def _gather(resources: Iterator[Resource | Fault], place: str = "", level: int = 0) -> Iterator[Found | Fault]:
    """A record for each Composition, or one of what there is where there is none.

    Args:
        resources: in the order of the file.
        place: of the line they come from; "" where they are numbered through the file.
        level: how many Bundles they lie within.
    """
    count = 0
    pending: _Document | None = None
    loose: list[Resource] = []

    def next_place() -> str:
        nonlocal count
        count += 1
        return str(count) if not place else place if count == 1 else f"{place}.{count}"

    for resource in resources:
        if isinstance(resource, Fault):
            yield Fault(resource.code, resource.detail, resource.place or next_place())
            continue
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            continue
        if kind == "Bundle":
            if pending:
                yield pending.found()
                pending = None
            if level < _MOST_LEVELS:
                yield from _gather(map(_resource_of, _many(resource.get("entry"))), next_place(), level + 1)
            else:
                yield Fault("json_too_deep", place=next_place())
        elif kind == "Composition":
            if pending:
                yield pending.found()
            pending = _Document(next_place())
            pending.add(resource)
            for other in loose:
                if pending.owns(other):
                    pending.add(other)
            loose = [other for other in loose if other.get("resourceType") == "Patient"]
        elif kind in _PARTS:
            if pending and pending.owns(resource):
                pending.add(resource)
            elif len(loose) < _LOOSE_KEPT:
                loose.append(resource)
    if pending:
        yield pending.found()
    elif loose and count == 0:
        document = _Document(next_place())
        for resource in loose:
            document.add(resource)
        yield document.found()


class _Document:
    """What one Composition and the resources around it say."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._facts: dict[str, str] = {}
        self._sections: list[tuple[str, str]] = []
        self._subject = ""
        self._add = {"Composition": self._composition, "Patient": self._patient, "Encounter": self._encounter,
                     "Condition": self._condition, "Observation": self._observation, "DocumentReference": self._attached}

    def found(self) -> Found:
        return Found(self._place, self._facts, self._sections)

    def owns(self, resource: Resource) -> bool:
        """Whether a resource is about the same patient, as far as both say."""
        about = resource.get("id") if resource.get("resourceType") == "Patient" else _reference(resource.get("subject"))
        return not about or not self._subject or _last(about) == self._subject

    def add(self, resource: Resource) -> None:
        self._add[resource["resourceType"]](resource)

    def _fact(self, name: str, value: Any) -> None:
        if isinstance(value, str | int | float) and not isinstance(value, bool) and not is_placeholder(str(value)):
            add_fact(self._facts, name, str(value))

    def _composition(self, resource: Resource) -> None:
        self._subject = _last(_reference(resource.get("subject")))
        self._fact("文档标识", _identifier(resource) or resource.get("id"))
        self._fact("文档类型", resource.get("title"))
        self._fact("记录日期时间", resource.get("date"))
        for section in _many(resource.get("section")):
            self._section(section, apart=False, level=0)
        if not self._sections:
            text = _narrative(resource.get("text"))
            if not is_placeholder(text):
                self._sections.append(("", text))

    def _section(self, section: Any, apart: bool, level: int) -> None:
        if not isinstance(section, dict) or level > _MOST_LEVELS:
            return
        title = _section_title(section)
        apart = apart or "鉴别诊断" in title
        text = _narrative(section.get("text"))
        if not is_placeholder(text):
            if apart or known_role(title) == "extra":
                add_fact(self._facts, "鉴别诊断" if apart else title, text)
            else:
                self._sections.append((title, text))
        for inner in _many(section.get("section")):
            self._section(inner, apart, level + 1)

    def _patient(self, resource: Resource) -> None:
        self._fact("患者ID", _identifier(resource) or resource.get("id"))
        for name in _many(resource.get("name"))[:1]:
            if isinstance(name, dict):
                self._fact("患者姓名", name.get("text") or "".join(map(str, (name.get("family", ""), *_many(name.get("given"))))))
        gender = resource.get("gender")
        self._fact("性别", _SEXES.get(gender, gender) if isinstance(gender, str) else None)
        self._fact("出生日期", resource.get("birthDate"))

    def _encounter(self, resource: Resource) -> None:
        self._fact("就诊号", _identifier(resource) or resource.get("id"))
        period = resource.get("period")
        self._fact("就诊日期时间", period.get("start") if isinstance(period, dict) else None)
        self._fact("科室名称", _concept(resource.get("serviceType")))

    def _condition(self, resource: Resource) -> None:
        """病名 and 证候: by the ending of the name, since one code system holds both."""
        status = next(iter(_codes(resource.get("verificationStatus"))), ("", "", ""))[1]
        if status == "entered-in-error":
            return
        prefix = _DOUBTED.get(status, "")
        code = resource.get("code")
        text = code.get("text") if isinstance(code, dict) else None
        names = []
        for system, number, shown in _codes(code):
            tcm = any(part in system for part in _TCM_SYSTEMS)
            syndrome = (shown or str(text or "")).endswith(_SYNDROME_ENDS)
            kind = "中医证候" if syndrome else "中医病名" if tcm else "诊断"
            self._fact(f"{prefix}{kind}代码", number)
            names.append((shown, tcm))
        names.append((text, any(tcm for _, tcm in names)))
        for name, tcm in names:
            if isinstance(name, str) and name:
                kind = "中医证候" if name.endswith(_SYNDROME_ENDS) else "中医病名" if tcm else "诊断"
                self._fact(f"{prefix}{kind}名称", name)

    def _observation(self, resource: Resource) -> None:
        name = plain_name(_concept(resource.get("code")))
        quantity = resource.get("valueQuantity")
        value = resource.get("valueString") or _concept(resource.get("valueCodeableConcept"))
        if isinstance(quantity, dict) and quantity.get("value") is not None:
            value = f"{quantity['value']}{quantity.get('unit') or ''}"
        if not name or not isinstance(value, str) or is_placeholder(value) or resource.get("status") == "entered-in-error":
            return
        if known_role(name) == "text":
            self._sections.append((name, value))
        else:
            self._fact(name, value)

    def _attached(self, resource: Resource) -> None:
        """A plain text that is attached in base64."""
        self._fact("文档标识", _identifier(resource) or resource.get("id"))
        for content in _many(resource.get("content")):
            attachment = content.get("attachment") if isinstance(content, dict) else None
            if isinstance(attachment, dict) and str(attachment.get("contentType", "text/plain")).startswith("text/plain"):
                try:
                    text = decode_bytes(base64.b64decode(str(attachment.get("data") or "")))
                except (binascii.Error, ValueError, InputRefused):
                    continue
                if not is_placeholder(text):
                    self._sections.append(("", text))


def _many(value: Any) -> Sequence[Any]:
    """A list; XML has no word for a list of one."""
    return value if isinstance(value, list) else [] if value is None else [value]


def _reference(value: Any) -> str:
    return str(value.get("reference") or "") if isinstance(value, dict) else ""


def _last(reference: Any) -> str:
    """The id within a reference: Patient/p1, urn:uuid:p1 or #p1."""
    return re.split(r"[/:#]", str(reference))[-1]


def _identifier(resource: Resource) -> Any:
    return next((item.get("value") for item in _many(resource.get("identifier")) if isinstance(item, dict)), None)


def _codes(concept: Any) -> list[tuple[str, str, str]]:
    """(system, code, display) of a CodeableConcept."""
    codings = _many(concept.get("coding")) if isinstance(concept, dict) else []
    return [(str(c.get("system") or ""), str(c.get("code") or ""), str(c.get("display") or "")) for c in codings if isinstance(c, dict)]


def _concept(concept: Any) -> str:
    """A CodeableConcept as a name: its text, else a display, else a code."""
    if not isinstance(concept, dict):
        return ""
    text = concept.get("text")
    if isinstance(text, str) and text:
        return text
    codes = _codes(concept)
    return next((shown for _, _, shown in codes if shown), "") or next((code for _, code, _ in codes if code), "")


def _section_title(section: Mapping[str, Any]) -> str:
    title = section.get("title")
    if isinstance(title, str) and title and (known_role(title) or not _codes(section.get("code"))):
        return title
    known = (plain_name(code) for _, code, _ in _codes(section.get("code")) if plain_name(code) != code)
    return next(known, "") or (title if isinstance(title, str) else "") or _concept(section.get("code"))


class _Plain(str):
    """A narrative that has been turned into text already."""


def _narrative(value: Any) -> str:
    div = value.get("div") if isinstance(value, dict) else None
    if isinstance(div, _Plain):
        return str(div)
    return html_text(div) if isinstance(div, str) else ""


_PLAIN_DIV = re.compile(r"\s*<div\b[^<>]*>([^<\n]*)</div>\s*")


class _HtmlText(HTMLParser):
    _BREAKS = frozenset(("p", "br", "div", "tr", "li", "h1", "h2", "h3", "h4", "table", "ul", "ol"))

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._silent += tag in ("script", "style")
        if tag in self._BREAKS:
            self.pieces.append("\n")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in ("script", "style")))
        if tag in ("td", "th"):
            self.pieces.append("\t")
        elif tag in self._BREAKS:
            self.pieces.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)


def html_text(markup: str) -> str:
    """The text of a piece of XHTML, a line for each block."""
    plain = _PLAIN_DIV.fullmatch(markup)
    if plain:
        return unescape(plain[1]).strip()
    parser = _HtmlText()
    parser.feed(markup)
    parser.close()
    lines = (line.strip() for line in "".join(parser.pieces).split("\n"))
    return "\n".join(line for line in lines if line)


def as_resource(element: Element) -> dict[str, Any]:
    """FHIR XML as the JSON of the same resource: values out of attributes, repeated elements as lists."""
    return {"resourceType": element.tag, **_members(element)}


def _members(element: Element) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for child in element:
        name = child.tag
        value: Any
        if name == "div":
            value = _Plain(block_text(child))
        elif name == "resource" and len(child):
            value = as_resource(child[0])
        elif len(child):
            value = _members(child)
        else:
            value = child.get("value")
        if name in out:
            old = out[name]
            out[name] = [*old, value] if isinstance(old, list) else [old, value]
        else:
            out[name] = value
    return out

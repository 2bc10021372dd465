"""HL7 v2 messages (ORU, MDM, ADT with OBX): one record a message.

Text is decoded before it is split: the second byte of a GB18030 character may be | ^ ~ or \\. The character set of MSH-18
is a hint that is checked, since interfaces state one and send another. Sources: HL7 v2.4 chapter 2 (delimiters, escapes,
batches), chapter 7 (OBX), table 0211 (character sets).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from tcmstruct.emr.columns import is_placeholder, known_role, plain_name
from tcmstruct.emr.delimited import open_text
from tcmstruct.emr.encoding import sniff_encoding
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.sections import add_fact
from tcmstruct.emr.source import FileFacts, Given

_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}(?=\W|$)")
_STARTS = ("MSH", "FHS", "BHS", "FTS", "BTS")
_DECLARED = re.compile(rb"MSH(?P<bar>[^\w\s])(?:[^\r\n]*?(?P=bar)){16}(?P<charset>[^\r\n]*?)(?:(?P=bar)|[\r\n]|$)")
_SEXES = {"M": "男", "F": "女", "U": "未知", "O": "其他", "1": "男", "2": "女"}
_TEXT_TYPES = frozenset(("TX", "FT", "ST", ""))
_DIAGNOSIS_KINDS = {"A": "入院诊断", "W": "初步诊断", "F": "确定诊断"}

_PATIENT: dict[str, tuple[tuple[str, int], ...]] = {
    "PID": (("患者ID", 3), ("患者姓名", 5), ("出生日期", 7), ("性别", 8)),
    "PV1": (("就诊号", 19), ("就诊日期时间", 44), ("就诊科室", 3)),
    "OBR": (("电子申请单编号", 3),),
}
"""Segment → (name, field) of what stands outside of OBX, in the field's first component."""


class _Marks:
    """The delimiters that a message declares in MSH-1 and MSH-2."""

    def __init__(self, msh: str) -> None:
        self.field = msh[3]
        marks = msh[4:].split(self.field, 1)[0] + "    "
        self.component, self.repetition, self.escape, self.sub = (
            (marks[k] if marks[k] != " " else default) for k, default in enumerate("^~\\&"))
        self._codes = {"F": self.field, "S": self.component, "R": self.repetition, "E": self.escape, "T": self.sub}
        mark = re.escape(self.escape)
        self._escaped = re.compile(rf"{mark}([^{mark}\r\n]{{1,40}}?){mark}")

    def text(self, raw: str) -> str:
        """A field's text with escapes resolved and repetitions on lines of their own."""
        if self.repetition in raw:
            raw = raw.replace(self.repetition, "\n")
        return self._escaped.sub(self._unescape, raw) if self.escape in raw else raw

    def _unescape(self, found: re.Match[str]) -> str:
        code = found[1]
        if code in self._codes:
            return self._codes[code]
        if code[0] == "X":
            try:
                return bytes.fromhex(code[1:]).decode("ascii").replace("\r", "\n")
            except ValueError:
                return found[0]
        if code.startswith((".br", ".sp", ".ce")):
            return "\n"
        return "" if code in ("H", "N") or code.startswith((".", "Z")) else found[0]


@lru_cache(maxsize=16)
def _marks(start: str) -> _Marks:
    return _Marks(start)


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """The messages of a file, alone, one after another, or in a batch (FHS, BHS); see `source.RecordReader`."""
    if facts.encoding is None:
        with given.path.open("rb") as file:
            declared = _DECLARED.search(file.read(4096))
        name = declared["charset"].decode("ascii", "ignore").partition("~")[0] if declared else None
        chosen = sniff_encoding(given.path, given.encoding, given.label, name)
        facts.encoding, facts.encoding_reason = chosen.name, chosen.reason
    with open_text(given.open(), facts.encoding) as stream:
        for number, message in enumerate(_messages(stream), 1):
            place = str(number)
            if message is None:
                yield Fault("row_too_long", place=place)
            elif not message[0].startswith("MSH") or len(message[0]) < 8:
                yield Fault("hl7_invalid", place=place)
            else:
                yield _found(message, place)


def _messages(stream: Iterator[str]) -> Iterator[list[str] | None]:
    """Segments of each message, None for one that is too long; a line that is no segment goes on with the one before."""
    message: list[str] = []
    size = 0
    too_long = False
    for line in _segments(stream):
        segment = line[:3]
        if segment in _STARTS:
            if message:
                yield None if too_long else message
            message, size, too_long = [], 0, False
            if segment != "MSH":
                continue
        if not line.strip("\x0b\x1c "):
            continue
        size += len(line)
        too_long = too_long or size > MAX_ROW_CHARS
        if too_long:
            message = message[:1] or [line[:8]]
        elif message and not _SEGMENT.match(line):
            message[-1] += "\n" + line
        else:
            message.append(line)
    if message:
        yield None if too_long else message


def _segments(stream: Iterator[str]) -> Iterator[str]:
    """Lines ended by CR, LF or both, without the frame of the transport protocol (MLLP)."""
    while line := stream.readline(MAX_ROW_CHARS + 2):  # type: ignore[attr-defined]
        yield line.rstrip("\r\n").lstrip("\x0b").rstrip("\x1c")


def _found(message: list[str], place: str) -> Found:
    marks = _marks(message[0][:8])
    facts: dict[str, str] = {}
    sections: list[tuple[str, str]] = []
    index: dict[str, int] = {}
    for segment in message:
        fields = segment.split(marks.field)
        match fields[0]:
            case "MSH":
                _fact(facts, "文档标识", marks, _at(fields, 9))
            case "OBX":
                name, value = _observation(fields, marks)
                if name and not is_placeholder(value):
                    if known_role(name) == "text" or (known_role(name) is None and _is_prose(fields, value)):
                        if name in index:
                            title, text = sections[index[name]]
                            sections[index[name]] = (title, f"{text}\n{value}")
                        else:
                            index[name] = len(sections)
                            sections.append((name, value))
                    else:
                        add_fact(facts, name, value)
            case "DG1":
                kind = _DIAGNOSIS_KINDS.get(_at(fields, 6).strip(), "诊断")
                shown = _at(fields, 3).split(marks.component)
                _fact(facts, f"{kind}名称", marks, (shown[1] if len(shown) > 1 else "") or _at(fields, 4) or shown[0])
            case "NTE":
                text = marks.text(_at(fields, 3)).strip()
                if not is_placeholder(text):
                    sections.append(("备注", text))
            case kind:
                for name, field in _PATIENT.get(kind, ()):
                    value = _at(fields, field).split(marks.repetition)[0].split(marks.component)[0]
                    _fact(facts, name, marks, _SEXES.get(value, value) if name == "性别" else value)
    if "就诊号" in facts or "电子申请单编号" in facts:
        facts["消息标识"] = facts.pop("文档标识", "")
    return Found(place, facts, sections)


def _fact(facts: dict[str, str], name: str, marks: _Marks, raw: str) -> None:
    value = marks.text(raw).strip()
    if not is_placeholder(value):
        add_fact(facts, name, value)


def _observation(fields: list[str], marks: _Marks) -> tuple[str, str]:
    """(name, value) of an OBX; the name is the text beside the code, since 病名 and 证候 share a code."""
    code, *others = (marks.text(part).strip() for part in _at(fields, 3).split(marks.component))
    shown = next((part for part in others[:1] if part and not is_placeholder(part)), "")
    name = shown or plain_name(code)
    raw = _at(fields, 5)
    if _at(fields, 2).strip() in _TEXT_TYPES:
        value = marks.text(raw)
    else:  # a coded value: its text, else its code
        parts = raw.split(marks.repetition)[0].split(marks.component)
        value = marks.text(parts[1] if len(parts) > 1 and parts[1] else parts[0])
        unit = marks.text(_at(fields, 6).split(marks.component)[0])
        value = f"{value}{unit}" if value and _at(fields, 2).strip() == "NM" else value
    return name, value.strip()


def _is_prose(fields: list[str], value: str) -> bool:
    """An observation that nobody knows by name is record text where it is written as text and reads like a sentence."""
    return _at(fields, 2).strip() in ("TX", "FT") and any(mark in value for mark in "。；，")


def _at(fields: list[str], number: int) -> str:
    """Field `number` as HL7 counts them; MSH-1 is the delimiter itself, so MSH fields are one further left."""
    return fields[number] if len(fields) > number else ""

"""One record as a reader sees it: its text cut into marked segments, its fields in rows by schema pack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from tcmstruct.labels import STATUSES
from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.report.counters import values_of
from tcmstruct.report.palette import status_class, type_class
from tcmstruct.report.photo_panel import PhotoPanel, Photos, panel
from tcmstruct.report.shown import plain, shown
from tcmstruct.report.spans import MAX_LANES, Segment, lanes, placed, split
from tcmstruct.report.tally import conflicts
from tcmstruct.report.veil import Veil

NO_ANSWER = {"unsure": "不确定 unsure", "unfamiliar": "相机陌生 unfamiliar camera"}
"""Status of a photo's answer without a value → what the page says."""
SOURCES: dict[str, tuple[str, str]] = {"image": ("照片", "photo"), "both": ("文字+照片", "text and photo")}
_CONFLICT_ZH: dict[str, str] = {"field": "字段", "text": "文字", "image": "照片", "confidence": "照片置信度"}


@dataclass(frozen=True, slots=True)
class Row:
    """One field of a record.

    Attributes:
        index: order in the record; segments name their fields by it.
        values: single values as text.
        statuses: statuses of the mentions in the evidence, where they say more than the value does.
        linked: whether the evidence is marked in the shown text.
        differs: the place holds other words than the evidence (never so in a sound output).
        confidence: in [0, 1], or None where the record gives none.
    """

    index: int
    name: str
    values: list[str]
    unit: str | None
    statuses: list[str]
    evidence: str
    linked: bool
    differs: bool
    confidence: float | None
    review: bool
    source: tuple[str, str] | None
    conflict: bool

    @property
    def percent(self) -> int:
        return round(100 * min(1.0, max(0.0, self.confidence or 0.0)))


@dataclass(slots=True)
class Reading:
    """One record, ready for a template.

    Attributes:
        row: line of `records.jsonl`, from 1.
        html: the text with its marks, or None where the record carries no text.
        loose: (type, status, text, confidence) of mentions that are not marked in the text.
        lowest: lowest confidence of a field, 1 where there is none.
        missing: fields of the schema that the record does not mention.
        photo: its photograph, where one was asked for and the record names one.
    """

    row: int
    id: str
    dept: str
    html: Markup | None
    groups: list[tuple[str, list[Row]]]
    loose: list[tuple[str, str | None, str, float]]
    n_mentions: int
    types: list[str]
    warnings: list[str]
    conflicts: list[str]
    tongue: list[tuple[str, str]]
    lowest: float
    missing: list[str] = field(default_factory=list)
    photo: PhotoPanel | None = None

    @property
    def rows(self) -> list[Row]:
        return [row for _, rows in self.groups for row in rows]

    @property
    def n_review(self) -> int:
        return sum(row.review for row in self.rows)

    @property
    def n_differs(self) -> int:
        return sum(row.differs for row in self.rows)


def read(data: Mapping[str, Any], row: int, groups: Mapping[str, Sequence[str]], where: str = "",
         with_text: bool = True, photos: Photos | None = None, veil: Veil | None = None) -> Reading:
    """Prepares one line of `records.jsonl`.

    Args:
        data: the parsed line.
        row: its line number, from 1.
        groups: {schema pack: field names}; fields outside stand in a last, unnamed group.
        where: file:row, for the error.
        with_text: False shows neither text nor evidence.
        photos: gives the record's photograph; None shows none.
        veil: replaces what names a person; None replaces nothing.

    Raises:
        InputRefused: the line is not a StructuredRecord.
    """
    record = original = StructuredRecord.from_dict(data, where)
    if veil is not None:
        data = veil.line(data)
        record = StructuredRecord.from_dict(data, where)
    text = record.text if with_text and isinstance(record.text, str) else ""
    names = list(record.fields)
    told = conflicts(data)
    contested = {str(c.get("field")) for c in told if isinstance(c, Mapping)} | {c for c in told if isinstance(c, str)}
    numbers = [i for i, m in enumerate(record.entities) if placed(m.start, m.end, len(text))]
    marked = [record.entities[i] for i in numbers]
    spans = [(f.start, f.end) if placed(f.start, f.end, len(text)) else None for f in record.fields.values()]
    given = data.get("fields") or {}
    rows = {
        name: Row(i, name, values_of(value.value), value.unit, _statuses(value, record.entities),
                  (value.evidence or "") if with_text else "", span is not None,
                  span is not None and bool(value.evidence) and text[span[0]:span[1]] != value.evidence,
                  value.confidence if "confidence" in given[name] else None, bool(value.review),
                  SOURCES.get(value.source), name in contested)
        for i, ((name, value), span) in enumerate(zip(record.fields.items(), spans, strict=True))
    }
    raw = [e for e in data.get("entities", ()) if not placed(e.get("start"), e.get("end"), len(text))]
    return Reading(
        row=row, id=str(record.id), dept=str(record.dept or ""),
        html=_marked_text(text, marked, spans) if text else None,
        groups=_grouped(rows, names, groups),
        loose=[(str(e["type"]), e.get("status"), str(e.get("text") or ""), e.get("confidence", 1.0)) for e in raw] if with_text else [],
        n_mentions=len(record.entities), types=sorted({m.type for m in record.entities}),
        warnings=[str(w) for w in record.warnings or ()], conflicts=[_told(c) for c in told],
        tongue=_tongue(record.tongue), lowest=min((f.confidence for f in record.fields.values()), default=1.0),
        missing=[name for pack in groups.values() for name in pack if name not in rows],
        photo=panel(record, original, photos, {entity: mark for mark, entity in enumerate(numbers)}),
    )


def _statuses(value: FieldValue, mentions: Sequence[Mention]) -> list[str]:
    """Statuses of the mentions that share words with the evidence, apart from one that the value itself says."""
    if not all(isinstance(at, int) for at in (value.start, value.end)):
        return []
    found = {m.status for m in mentions if m.status and m.start < value.end and value.start < m.end}
    return [s for s in STATUSES if s in found] if found != set(values_of(value.value)) else []


def _grouped(rows: Mapping[str, Row], names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> list[tuple[str, list[Row]]]:
    out, used = [], set()
    for pack, members in groups.items():
        mine = [rows[name] for name in members if name in rows and name not in used]
        used.update(row.name for row in mine)
        if mine:
            out.append((pack, mine))
    if rest := [rows[name] for name in names if name not in used]:
        out.append(("", rest))
    return out


def _marked_text(text: str, mentions: Sequence[Mention], evidence: Sequence[tuple[int, int] | None]) -> Markup:
    """The text with nested marks; every segment names its mentions and fields, so that the page can link them."""
    spans = [(m.start, m.end) for m in mentions]
    numbered = [i for i, span in enumerate(evidence) if span is not None]
    lane = lanes(spans)
    pieces = split(len(text), spans, [evidence[i] for i in numbered])  # type: ignore[misc]
    return Markup("").join(_piece(text, piece, mentions, lane, numbered) for piece in pieces)


def _piece(text: str, piece: Segment, mentions: Sequence[Mention], lane: Sequence[int], numbered: Sequence[int]) -> Markup:
    inner = shown(text[piece.start:piece.end])
    if not piece.mentions and not piece.fields:
        return inner
    for i in reversed(piece.mentions):
        m = mentions[i]
        css = " ".join(filter(None, ("m", type_class(m.type), status_class(m.status), f"l{min(lane[i], MAX_LANES - 1)}",
                                     "a" if m.start == piece.start else "", "z" if m.end == piece.end else "")))
        tag = Markup(' data-t="{}"').format(plain(m.type)) if m.start == piece.start else ""
        inner = Markup('<mark class="{}" title="{}"{}>{}</mark>').format(css, plain(describe(m)), tag, inner)
    linked = Markup(' data-m="{}"').format(" ".join(map(str, piece.mentions))) if piece.mentions else Markup("")
    if piece.fields:
        linked += Markup(' data-f="{}"').format(" ".join(str(numbered[i]) for i in piece.fields))
    return Markup('<span class="seg{}"{}>{}</span>').format(" ev" if piece.fields else "", linked, inner)


def describe(m: Mention) -> str:
    """What a mention's tooltip says."""
    codes = (f"{code['system']} {code['code']}" for code in m.codes)
    return " · ".join(filter(None, (m.type, m.status or "", f"{m.confidence:.2f}", f"{m.start}–{m.end}", *codes)))


def _tongue(tongue: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Quality and attributes of the photograph as (name, value) pairs."""
    if not isinstance(tongue, Mapping):
        return []
    out = [("照片质量", str(tongue["quality"]))] if tongue.get("quality") else []
    attributes = tongue.get("attributes")
    not_assessed = []
    for name, found in (attributes.items() if isinstance(attributes, Mapping) else ()):
        if isinstance(found, Mapping):
            if found.get("status") == "not_assessed":
                not_assessed.append(str(name))
                continue
            if found.get("status") in NO_ANSWER:
                out.append((str(name), NO_ANSWER[found["status"]]))
                continue
            sure = found.get("confidence")
            number = f" ({sure:.2f})" if isinstance(sure, int | float) else ""
            found = "、".join(values_of(found.get("value"))) + number
        out.append((str(name), str(found)))
    return [*out, ("未评估 not assessed", "、".join(not_assessed))] if not_assessed else out


def _told(conflict: object) -> str:
    """A conflict in words, whatever its shape."""
    if isinstance(conflict, Mapping):
        return " · ".join(f"{_CONFLICT_ZH.get(key, key)}: {'、'.join(values_of(value)) if not isinstance(value, Mapping) else _told(value)}"
                          for key, value in conflict.items())
    return str(conflict)

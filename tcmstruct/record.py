"""The records that travel through the pipeline: what comes in, what is found, what goes out.

Offsets are `[start, end)` in Unicode code points of the raw text, everywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from tcmstruct.errors import InputRefused

Source = Literal["text", "image", "both"]
Value = str | float | int | list[str]


@dataclass(frozen=True, slots=True)
class Record:
    """One visit as it came from a file.

    Attributes:
        id: unique within a batch; a reader that finds none makes one from the row number.
        text: the raw text, never changed.
        dept: department as the export names it, or None.
        image: path of the tongue photograph relative to the image root, or None.
        extra: columns that were not mapped, kept for the tables.
        where: file:row of origin, for messages.
    """

    id: str
    text: str
    dept: str | None = None
    image: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    where: str = ""


@dataclass(frozen=True, slots=True)
class Mention:
    """A typed span of the text.

    Attributes:
        type: one of `labels.ENTITY_TYPES`.
        start, end: code points of the record's text.
        status: one of `labels.STATUSES` for types that carry one, else None.
        confidence: calibrated probability in [0, 1] that type, span and status are right.
        source: which witness it came from.
        codes: codes of the standards for a diagnosis or syndrome (`tcmstruct.linking.Part.to_dict`), one for each part
            of a composite one; empty where none is sure.
    """

    type: str
    start: int
    end: int
    status: str | None = None
    confidence: float = 1.0
    source: Source = "text"
    codes: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    def slice(self, text: str) -> str:
        return text[self.start : self.end]


@dataclass(frozen=True, slots=True)
class FieldValue:
    """The value of one field and the words it came from.

    Attributes:
        value: str, number, or list of str, as the field's type says.
        unit: unit of a number (UCUM-like text, e.g. "℃", "cm"), or None.
        evidence: the exact words, `text[start:end]`.
        confidence: calibrated probability in [0, 1] that the value is right.
        source: which witness it came from.
        basis: how it was found ("mention", "pattern", …); confidence is calibrated per basis.
        review: True where the confidence lies below the review threshold.
    """

    value: Value
    evidence: str
    start: int
    end: int
    unit: str | None = None
    confidence: float = 1.0
    source: Source = "text"
    basis: str = "pattern"
    review: bool = False

    def to_dict(self) -> dict[str, Any]:
        return {"value": self.value, "unit": self.unit, "evidence": self.evidence, "start": self.start,
                "end": self.end, "confidence": self.confidence, "source": self.source, "review": self.review}


@dataclass(slots=True)
class StructuredRecord:
    """What the pipeline says about one record; one line of `records.jsonl`.

    `suggestions` (docs/suggestions.md) is None unless suggestions were asked for; they are never findings, and in no table.
    """

    id: str
    text: str
    entities: Sequence[Mention] = ()
    fields: Mapping[str, FieldValue] = field(default_factory=dict)
    dept: str | None = None
    tongue: Mapping[str, Any] | None = None
    warnings: Sequence[str] = ()
    model: str = ""
    schema: str = ""
    extra: Mapping[str, str] = field(default_factory=dict)
    suggestions: Mapping[str, Any] | None = None

    def to_dict(self, keep_text: bool = True) -> dict[str, Any]:
        """The JSON shape of DESIGN §6; `keep_text=False` leaves the record's text out (its hash stays)."""
        out: dict[str, Any] = {"id": self.id}
        if self.dept is not None:
            out["dept"] = self.dept
        if keep_text:
            out["text"] = self.text
        out["text_sha256"] = hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()
        out["entities"] = [
            {"type": m.type, "status": m.status, "text": m.slice(self.text), "start": m.start, "end": m.end,
             "confidence": m.confidence, "source": m.source, **({"codes": list(m.codes)} if m.codes else {})}
            for m in self.entities
        ]
        out["fields"] = {name: f.to_dict() for name, f in self.fields.items()}
        out["tongue"] = self.tongue
        out["warnings"] = list(self.warnings)
        out["model"], out["schema"] = self.model, self.schema
        if self.extra:
            out["extra"] = dict(self.extra)
        if self.suggestions is not None:
            out["suggestions"] = dict(self.suggestions)
        return out

    @classmethod
    def from_dict(cls, data: Mapping[str, Any], where: str = "") -> StructuredRecord:
        """Reads a line of `records.jsonl` or of a gold file (the shapes share their names)."""
        try:
            entities = [
                Mention(e["type"], e["start"], e["end"], e.get("status"), e.get("confidence", 1.0), e.get("source", "text"),
                        tuple(e.get("codes", ())))
                for e in data.get("entities", ())
            ]
            fields = {
                name: FieldValue(f["value"], f.get("evidence", ""), f["start"], f["end"], f.get("unit"),
                                 f.get("confidence", 1.0), f.get("source", "text"), review=f.get("review", False))
                for name, f in data.get("fields", {}).items()
            }
            return cls(data["id"], data.get("text", ""), entities, fields, data.get("dept"), data.get("tongue"),
                       data.get("warnings", ()), data.get("model", ""), data.get("schema", ""), data.get("extra", {}),
                       data.get("suggestions"))
        except (KeyError, TypeError, AttributeError) as error:
            raise InputRefused(f"not a StructuredRecord: {type(error).__name__} at {error}", where=where,
                               code="not_a_structured_record",
                               hint="each line needs id, text, entities[{type,start,end}], fields{name:{value,start,end}}") from None

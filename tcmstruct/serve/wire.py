"""What requests and answers look like: the models behind the OpenAPI document."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tcmstruct.emr.columns import ColumnMap
from tcmstruct.emr.rows import Reject, assemble
from tcmstruct.record import Record
from tcmstruct.serve.workers import Job, Refused

_TEXT = ColumnMap(names=("text",), text=(0,))


class RecordIn(BaseModel):
    """One record to structure.

    Attributes:
        text: the raw record; offsets of the answer count its Unicode code points.
        id: comes back in the answer.
        dept: department, comes back in the answer.
        photo: a tongue photograph (JPEG, PNG or WebP) in base64.
        adapter: name of a hospital's adapter that the server was started with.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    text: Annotated[str, Field(min_length=2, description="The raw record. Offsets in the answer count its Unicode code points.",
                               examples=["反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。"])]
    id: Annotated[str, Field(min_length=1, max_length=200, description="Comes back in the answer.")] = "1"
    dept: Annotated[str | None, Field(max_length=200, description="Department; comes back in the answer.")] = None
    photo: Annotated[str | None, Field(description="A tongue photograph (JPEG, PNG or WebP) in base64.")] = None
    adapter: Annotated[str | None, Field(min_length=1, max_length=200, description="A hospital's adapter, of those in /v1/schema.")] = None


class Fault(BaseModel):
    """What went wrong; never holds record text."""

    code: Annotated[str, Field(description="Stable name of the kind of fault.")]
    message: str
    hint: str | None = None


class FaultOut(BaseModel):
    """An answer other than success."""

    error: Fault


class RefusedOut(BaseModel):
    """A line of /v1/batch for a record that has no result.

    Attributes:
        row: of the request, from 1.
    """

    id: str | None
    row: int
    error: Fault


class SpanOut(BaseModel):
    """A mention: `text` of the record at [start, end), in Unicode code points."""

    type: str
    status: str | None
    text: str
    start: int
    end: int
    confidence: Annotated[float, Field(ge=0, le=1)]
    source: str
    codes: list[dict[str, Any]] | None = None


class FieldOut(BaseModel):
    """The value of a field, and the words it came from."""

    value: str | float | int | list[str]
    unit: str | None
    evidence: str
    start: int
    end: int
    confidence: Annotated[float, Field(ge=0, le=1)]
    source: str
    review: Annotated[bool, Field(description="The confidence lies below the review threshold.")]


class RecordOut(BaseModel):
    """A StructuredRecord, as in records.jsonl."""

    id: str
    dept: str | None = None
    text: str
    text_sha256: str
    entities: list[SpanOut]
    fields: dict[str, FieldOut]
    tongue: dict[str, Any] | None
    warnings: list[str]
    model: str
    schema_: Annotated[str, Field(alias="schema")]


class FieldSpecOut(BaseModel):
    """A field of the form. `values` is empty where any text or number is allowed."""

    name: str
    department: str
    type: str
    values: list[str]
    unit: str | None


class SchemaOut(BaseModel):
    """What the server fills, and with which model."""

    version: str
    model: str
    schema_: Annotated[str, Field(alias="schema")]
    review_below: float | None
    adapters: Annotated[list[str], Field(description="Names that a record's `adapter` may give.")]
    fields: list[FieldSpecOut]
    entity_types: list[str]
    statuses: list[str]


class Health(BaseModel):
    status: str


def read_record(data: Any) -> Job | Refused:
    """A job from parsed JSON, checked as every reader checks its rows.

    A fault names the place by the model's own names, never by what the request holds.
    """
    try:
        given = RecordIn.model_validate(data)
    except ValidationError as error:
        return Refused("request_invalid", "; ".join(map(_told, error.errors(include_url=False, include_input=False)[:5])))
    photo = None
    if given.photo is not None:
        try:
            photo = base64.b64decode(given.photo, validate=True)
        except (binascii.Error, ValueError):
            return Refused("photo_not_base64", "the photograph is not base64")
    return job_of(given.text, given.id, given.dept, photo, given.adapter)


def job_of(text: str, id: str = "1", dept: str | None = None, photo: bytes | None = None,
           adapter: str | None = None) -> Job | Refused:
    checked = assemble((text,), _TEXT, "request", id)
    if isinstance(checked, Reject):
        return Refused(checked.code, checked.reason)
    return Job(Record(id, text, dept), photo, adapter)


def _told(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"] if part in RecordIn.model_fields)
    said = "this key is not known; allowed are " + ", ".join(RecordIn.model_fields) if fault["type"] == "extra_forbidden" else fault["msg"]
    return f"{place}: {said}" if place else said

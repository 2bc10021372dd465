"""De-identified records: text, evidence and mentions move together, so that every slice of the new text is the new evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from tcmstruct.privacy.deidentifier import Deidentifier
from tcmstruct.privacy.fold import fold
from tcmstruct.privacy.result import DeidentifiedText
from tcmstruct.record import StructuredRecord

_KEPT = ("model", "schema", "status", "type", "source", "review", "confidence", "unit", "warnings")
"""Keys whose values this program wrote; no person is named there."""
_MIN_SCRUBBED = 2


def deidentify_record(record: StructuredRecord, deidentifier: Deidentifier) -> StructuredRecord:
    """A StructuredRecord without what names a person; fields, statuses, confidences and codes are kept.

    The id becomes a pseudonym too: it is the number of a visit or a patient in nearly every export. See `deidentify_line`.
    """
    new = StructuredRecord.from_dict(deidentify_line(record.to_dict(), deidentifier))
    new.fields = {name: replace(value, basis=record.fields[name].basis) for name, value in new.fields.items()}
    return new


def deidentify_line(data: Mapping[str, Any], deidentifier: Deidentifier) -> dict[str, Any]:
    """The same for the JSON form: a line of `records.jsonl`, of a gold file, or any object with texts.

    A mention or evidence that touches a replaced piece holds the whole replacement. A text beside the record (a column in `extra`, a
    value of another key) is read with its name before it, so that 姓名 is the cue of what stands in that column. The path of a
    photograph becomes a pseudonym: open the photograph by the old record.
    """
    text, id = data.get("text"), data.get("id")
    shown = str(id) if isinstance(id, str | int) else ""
    moved = deidentifier.deidentify(text, otherwise=shown) if isinstance(text, str) else DeidentifiedText("")
    old = text if isinstance(text, str) else ""
    names = {old[r.start : r.end]: moved.text[r.new_start : r.new_end] for r in moved.replaced if r.end - r.start >= _MIN_SCRUBBED}
    for holder in (data, data.get("tongue")):  # a photograph is named after its patient, and the column that names it is kept in extra
        photo = holder.get("image") if isinstance(holder, Mapping) else None
        if isinstance(photo, str) and len(photo) >= _MIN_SCRUBBED:
            names[photo] = _photo(photo, deidentifier)
    whom = f"record_number {fold(shown)}" if not moved.replaced else None

    def scrub(value: Any, key: str = "") -> Any:
        if isinstance(value, str):
            for name in names:
                value = value.replace(name, names[name])
            return _beside(key, value, deidentifier, whom, shown)
        if isinstance(value, Mapping):
            return {k: inner if k in _KEPT else scrub(inner, str(k)) for k, inner in value.items()}
        return [scrub(inner, key) for inner in value] if isinstance(value, list | tuple) else value

    out: dict[str, Any] = {}
    for key, value in data.items():
        if key == "id" and shown:
            out[key] = deidentifier.word("record_number", fold(shown))
        elif key == "text" and isinstance(text, str):
            out[key] = moved.text
        elif key == "text_sha256":
            out[key] = hashlib.sha256(moved.text.encode("utf-8", "surrogatepass")).hexdigest()  # the old one would confirm a guess
        elif key == "entities" and isinstance(value, list | tuple):
            out[key] = [_entity(one, old, moved, scrub) for one in value]
        elif key == "fields" and isinstance(value, Mapping):
            out[key] = {name: _field(one, old, moved, scrub) for name, one in value.items()}
        elif key == "image" and isinstance(value, str) and value:
            out[key] = _photo(value, deidentifier)
        elif key == "tongue" and isinstance(value, Mapping):
            out[key] = {k: _photo(str(v), deidentifier) if k == "image" and v else scrub(v) for k, v in value.items()}
        else:
            out[key] = value if key in _KEPT else scrub(value, key)
    return out


def _entity(entity: Any, old: str, moved: DeidentifiedText, scrub: Any) -> Any:
    if not isinstance(entity, Mapping) or not _placed(entity, old):
        return scrub(entity)
    new = {**entity, **_span(entity, moved)}
    if "text" in entity:
        new["text"] = moved.text[new["start"] : new["end"]]
    if entity.get("codes"):
        new["codes"] = [{**code, **_span(code, moved)} if _placed(code, old) else code for code in entity["codes"]]
    return new


def _field(field: Any, old: str, moved: DeidentifiedText, scrub: Any) -> Any:
    if not isinstance(field, Mapping) or not _placed(field, old):
        return scrub(field)
    new = {**field, **_span(field, moved), "value": scrub(field.get("value"))}
    if "evidence" in field:
        there = old[field["start"] : field["end"]] == field["evidence"]
        new["evidence"] = moved.text[new["start"] : new["end"]] if there else scrub(field["evidence"])
        if there and field.get("value") == field["evidence"]:
            new["value"] = new["evidence"]
    return new


def _span(place: Mapping[str, Any], moved: DeidentifiedText) -> dict[str, int]:
    start, end = place["start"], place["end"]
    return {"start": moved.to_new(start, "start"), "end": moved.to_new(end, "end") if end > start else moved.to_new(start, "start")}


def _placed(place: Any, old: str) -> bool:
    if not isinstance(place, Mapping):
        return False
    start, end = place.get("start"), place.get("end")
    return isinstance(start, int) and isinstance(end, int) and 0 <= start <= end <= len(old)


def _beside(name: str, value: str, deidentifier: Deidentifier, whom: str | None, otherwise: str) -> str:
    """A text of a column, read with the column's name before it."""
    head = f"{name}：" if name else ""
    done = deidentifier.deidentify(head + value, whom, otherwise)
    return done.text[done.to_new(len(head), "start") :]


def _photo(path: str, deidentifier: Deidentifier) -> str:
    return deidentifier.word("record_number", path) + PurePath(path).suffix.lower()[:5]

"""What a reviewer may decide, and what then holds for a record: its values and mentions with the decisions on them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from tcmstruct.errors import UsageError
from tcmstruct.labels import ENTITY_TYPES, STATUSES, TYPES_WITH_STATUS
from tcmstruct.report.spans import placed
from tcmstruct.schema.engine import Field as FieldOf
from tcmstruct.serve.store import MAX_WHO, Correction, Standing

FREQUENCY = re.compile(r"\d+(\.\d+)?-\d+(\.\d+)?/\d+")
"""LOW-HIGH/DAYS, as the guide of the gold records writes it."""
MAX_VALUE_CHARACTERS = 200

Value = str | float | int | list[str]


class Decision(BaseModel):
    """A decision as the page sends it.

    Attributes:
        after: number of the record's last row that the reviewer has seen; another one's later row is not passed over.
        value: of a field, with `edit` and `add`.
        type, status: of a mention, with `edit` and `add`.
        start, end: the evidence; None keeps the one there is.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    target: Literal["field", "mention", "record"]
    name: Annotated[str, Field(max_length=200)] = ""
    action: Literal["accept", "reject", "edit", "add", "done"]
    value: Value | None = None
    type: str | None = None
    status: str | None = None
    start: int | None = None
    end: int | None = None
    after: int = 0
    who: Annotated[str, Field(min_length=1, max_length=MAX_WHO)]


@dataclass(frozen=True, slots=True)
class Held:
    """A value or mention as it stands now.

    Attributes:
        name: of the field, or "start:end:type" of the mention as it was found or added.
        found: what the program found, None for an added one.
        now: what holds, None where it was rejected.
        decision: the row that says so, None where nobody has decided.
    """

    name: str
    found: Mapping[str, Any] | None
    now: Mapping[str, Any] | None
    decision: Correction | None

    @property
    def flagged(self) -> bool:
        return bool(self.found and self.found.get("review"))


def held_fields(data: Mapping[str, Any], stands: Standing) -> list[Held]:
    """The fields that the record has or had, in its order, then those that were added."""
    found = data.get("fields") or {}
    added = [name for target, name in stands.decisions if target == "field" and name not in found]
    return [_held("field", name, found.get(name), stands) for name in (*found, *added)]


def held_mentions(data: Mapping[str, Any], stands: Standing) -> list[Held]:
    """The same for mentions, ordered by place."""
    found = {mention_name(one): one for one in data.get("entities") or ()}
    added = [name for target, name in stands.decisions if target == "mention" and name not in found]
    held = [_held("mention", name, found.get(name), stands) for name in (*found, *added)]
    return sorted(held, key=lambda one: _place(one.now or one.found or {}))


def mention_name(mention: Mapping[str, Any]) -> str:
    return f"{mention.get('start')}:{mention.get('end')}:{mention.get('type')}"


def correction_of(given: Decision, data: Mapping[str, Any], stands: Standing, fields: Mapping[str, FieldOf]) -> Correction:
    """The row for a decision.

    Raises:
        UsageError: the decision does not fit the record or the schema; says what is allowed.
    """
    text = str(data.get("text") or "")
    if given.target == "record":
        if given.action != "done":
            raise _no("record", "a record as a whole is signed off with done")
        old = new = None
    else:
        held = {one.name: one for one in (held_fields if given.target == "field" else held_mentions)(data, stands)}.get(given.name)
        now = None if held is None else held.now
        old = _kept(now, given.target)
        new = _DECIDE[given.action](given, now, held, text, fields)
    name = mention_name(new or {}) if given.target == "mention" and given.action == "add" else given.name
    return Correction(str(data["id"]), str(data["text_sha256"]), given.target, name, given.action, old, new, who=given.who.strip() or "?",
                      model=str(data.get("model") or ""), schema=str(data.get("schema") or ""))


def _accept(given: Decision, now: Mapping[str, Any] | None, held: Held | None, text: str, fields: Mapping[str, FieldOf]) -> dict[str, Any]:
    found = now or (held.found if held else None)  # what was rejected may be accepted after all
    if found is None:
        raise _no(given.name, "there is nothing to accept")
    return _kept(found, given.target) or {}


def _reject(given: Decision, now: Mapping[str, Any] | None, held: Held | None, text: str, fields: Mapping[str, FieldOf]) -> None:
    if held is None:
        raise _no(given.name, "there is nothing to reject")


def _edit(given: Decision, now: Mapping[str, Any] | None, held: Held | None, text: str, fields: Mapping[str, FieldOf]) -> dict[str, Any]:
    if held is None:
        raise _no(given.name, "there is nothing to edit")
    return _made(given, now or held.found or {}, text, fields)


def _add(given: Decision, now: Mapping[str, Any] | None, held: Held | None, text: str, fields: Mapping[str, FieldOf]) -> dict[str, Any]:
    if given.target == "field" and now is not None:
        raise _no(given.name, "the record has a value of this field; edit it")
    if given.target == "field" and given.name not in fields:
        raise _no("name", "the schema has no such field")
    return _made(given, {}, text, fields)


def _done(given: Decision, *_: Any) -> None:
    raise _no(given.target, "only a record as a whole is signed off")


_DECIDE = {"accept": _accept, "reject": _reject, "edit": _edit, "add": _add, "done": _done}


def _made(given: Decision, before: Mapping[str, Any], text: str, fields: Mapping[str, FieldOf]) -> dict[str, Any]:
    start, end = (given.start, given.end) if given.start is not None else (before.get("start"), before.get("end"))
    if not placed(start, end, len(text)):
        raise UsageError("the evidence has to be words of the record", where="evidence", code="evidence_needed",
                         hint="select the words in the text first")
    if given.target == "mention":
        return _mention(given, before, start, end)
    spec = fields.get(given.name)
    value = before.get("value") if given.value is None else given.value
    return {"value": checked_value(value, spec), "start": start, "end": end, "unit": before.get("unit") if spec is None else spec.unit}


def _mention(given: Decision, before: Mapping[str, Any], start: Any, end: Any) -> dict[str, Any]:
    type = given.type or before.get("type")
    if type not in ENTITY_TYPES:
        raise _no("type", f"allowed are {', '.join(ENTITY_TYPES)}")
    status = (given.status or before.get("status") or STATUSES[0]) if type in TYPES_WITH_STATUS else None
    if status is not None and status not in STATUSES:
        raise _no("status", f"allowed are {', '.join(STATUSES)}")
    return {"type": type, "status": status, "start": start, "end": end}


def checked_value(value: Any, spec: FieldOf | None) -> Value:
    """A value as its field writes it.

    Raises:
        UsageError: the field does not allow it.
    """
    kind = "text" if spec is None else spec.type
    allowed = () if spec is None else spec.values
    if kind in ("yes_no", "enum") and value in allowed:
        return value
    if kind == "several" and isinstance(value, list) and value and set(value) <= set(allowed):
        return [one for one in allowed if one in value]
    if kind == "number" and isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        low, high = (spec.spec.range if spec and spec.spec.range else None) or (-math.inf, math.inf)
        if low <= value <= high:
            return int(value) if float(value).is_integer() else value
        raise _no("value", f"allowed is {low:g} to {high:g}")
    if kind == "frequency" and isinstance(value, str) and FREQUENCY.fullmatch(value):
        return value
    if kind == "text" and _plain(value):
        return value
    raise _no("value", _ALLOWED.get(kind) or f"allowed are {', '.join(allowed)}")


_ALLOWED = {"number": "a number is allowed", "frequency": "allowed is LOW-HIGH/DAYS, such as 3-4/1",
            "text": f"a text of up to {MAX_VALUE_CHARACTERS} characters is allowed"}


def _plain(value: Any) -> bool:
    if isinstance(value, list):
        return bool(value) and len(value) <= 50 and all(isinstance(one, str) and _plain(one) for one in value)
    return isinstance(value, int | float) or (isinstance(value, str) and 0 < len(value) <= MAX_VALUE_CHARACTERS)


def _held(target: str, name: str, found: Mapping[str, Any] | None, stands: Standing) -> Held:
    row = stands.decisions.get((target, name))
    if row is None:
        return Held(name, found, found, None)
    return Held(name, found, None if row.new is None else {**(found or {}), **row.new}, row)


def _kept(found: Mapping[str, Any] | None, target: str) -> dict[str, Any] | None:
    """What a row keeps of a value or mention."""
    if found is None:
        return None
    names: Sequence[str] = ("value", "start", "end", "unit") if target == "field" else ("type", "status", "start", "end")
    return {name: found.get(name) for name in names}


def _place(found: Mapping[str, Any]) -> tuple[int, int]:
    return (found.get("start") or 0, -(found.get("end") or 0))


def _no(where: str, what: str) -> UsageError:
    return UsageError(what, where=where, code="decision_refused")

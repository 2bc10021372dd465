"""A record as the review page draws it: plain data, from which the page builds elements whose content is text only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tcmstruct.record import StructuredRecord
from tcmstruct.report.palette import status_class, type_class
from tcmstruct.report.reading import SOURCES, read
from tcmstruct.report.shown import hidden, name_of, plain
from tcmstruct.report.spans import MAX_LANES, lanes, placed, split
from tcmstruct.report.tally import conflicts, values_of
from tcmstruct.serve.decisions import Held, held_fields, held_mentions
from tcmstruct.serve.store import Correction, Standing


def shown_record(data: Mapping[str, Any], row: int, stands: Standing, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """
    Args:
        data: the line of `records.jsonl`.
        stands: what reviewers decided.
        groups: {schema pack: field names}.
    """
    text = str(data.get("text") or "")
    reading = read({**data, "entities": []}, row + 1, {}, with_text=False)  # warnings, conflicts and the tongue in words
    contested = {str(one.get("field")) for one in conflicts(data) if isinstance(one, Mapping)}
    fields, mentions = held_fields(data, stands), held_mentions(data, stands)
    rows = {one.name: _field(one, text, contested) for one in fields}
    names = {name for members in groups.values() for name in members}
    packs = [*groups.items(), ("", [name for name in rows if name not in names])]
    marked = [one for one in mentions if one.now is not None and _lies_in(one.now, text)]
    lit = [one for one in fields if one.now is not None and _lies_in(one.now, text)]
    return {
        "row": row, "id": str(data["id"]), "shown_id": plain(str(data["id"])), "dept": plain(str(data.get("dept") or "")),
        "length": len(text), "last": stands.last,
        "done": None if stands.done is None else {"who": plain(stands.done.who), "at": stands.done.at},
        "warnings": [plain(one) for one in reading.warnings], "conflicts": [plain(one) for one in reading.conflicts],
        "tongue": [[plain(name), plain(value)] for name, value in reading.tongue],
        "photo": bool(isinstance(data.get("tongue"), Mapping) and data["tongue"].get("image")),
        "segments": _segments(text, marked, lit), "mentions": [_mention(one, text) for one in mentions],
        "marks": [one.name for one in marked],
        "groups": [{"pack": pack, "rows": [rows[name] for name in members if name in rows]} for pack, members in packs
                   if any(name in rows for name in members)],
        "missing": [{"pack": pack, "names": left} for pack, members in groups.items()
                    if (left := [name for name in members if _is_open(rows.get(name))])],
    }


def _is_open(row: Mapping[str, Any] | None) -> bool:
    """Whether a field may be added: it was not found, or was added and rejected again."""
    return row is None or (row["now"] is None and row["confidence"] is None)


def shown_line(data: Mapping[str, Any], row: int, state: int, open_values: int) -> dict[str, Any]:
    """A record as the list names it."""
    fields = data.get("fields") or {}
    return {"row": row, "id": plain(str(data["id"])), "dept": plain(str(data.get("dept") or "")), "values": len(fields),
            "lowest": min((one.get("confidence", 1.0) for one in fields.values()), default=1.0), "open": open_values, "state": state,
            "warned": bool(data.get("warnings"))}


def pieces(text: str) -> list[str | list[str]]:
    """The text with each hidden character as ["ZWSP"]: it is drawn as a small mark, and counts one code point."""
    out: list[str | list[str]] = []
    run: list[str] = []
    for char in text:
        if hidden(char):
            if run:
                out.append("".join(run))
                run = []
            out.append([name_of(char)])
        else:
            run.append(char)
    return [*out, "".join(run)] if run else out


def _segments(text: str, mentions: Sequence[Held], fields: Sequence[Held]) -> list[dict[str, Any]]:
    """The text cut at every boundary; each piece names its mentions (outermost first) and fields."""
    spans = [(one.now["start"], one.now["end"]) for one in mentions]  # type: ignore[index]
    lane = lanes(spans)
    cut = split(len(text), spans, [(one.now["start"], one.now["end"]) for one in fields])  # type: ignore[index]
    out = []
    for piece in cut:
        segment: dict[str, Any] = {"at": piece.start, "t": pieces(text[piece.start:piece.end])}
        if piece.mentions:
            segment["m"] = [[n, min(lane[n], MAX_LANES - 1), spans[n][0] == piece.start, spans[n][1] == piece.end] for n in piece.mentions]
        if piece.fields:
            segment["f"] = [fields[n].name for n in piece.fields]
        out.append(segment)
    return out


def _field(one: Held, text: str, contested: set[str]) -> dict[str, Any]:
    shown = one.now or one.found or {}
    found = one.found or {}
    return {"name": one.name, "label": plain(one.name), "value": shown.get("value"), "unit": shown.get("unit"),
            "values": [plain(v) for v in values_of(shown.get("value"))], "was": [plain(v) for v in values_of(found.get("value"))],
            "start": shown.get("start"), "end": shown.get("end"), "evidence": _evidence(shown, text, found),
            "now": None if one.now is None else True, "confidence": found.get("confidence"), "flagged": one.flagged,
            "source": SOURCES.get(str(found.get("source"))), "conflict": one.name in contested, "decision": _decision(one.decision)}


def _mention(one: Held, text: str) -> dict[str, Any]:
    shown = one.now or one.found or {}
    found = one.found or {}
    return {"name": one.name, "type": str(shown.get("type")), "status": shown.get("status"), "start": shown.get("start"),
            "end": shown.get("end"), "text": _evidence(shown, text, found), "now": None if one.now is None else True,
            "confidence": found.get("confidence"),
            "css": " ".join(filter(None, (type_class(str(shown.get("type"))), status_class(shown.get("status"))))),
            "codes": [f"{code.get('system')} {code.get('code')}" for code in found.get("codes") or ()], "decision": _decision(one.decision)}


def _decision(row: Correction | None) -> dict[str, Any] | None:
    return None if row is None else {"action": row.action, "who": plain(row.who), "at": row.at, "id": row.id}


def _evidence(shown: Mapping[str, Any], text: str, found: Mapping[str, Any]) -> str:
    if _lies_in(shown, text):
        return plain(text[shown["start"]:shown["end"]])
    return plain(str(found.get("evidence") or found.get("text") or ""))


def _lies_in(found: Mapping[str, Any], text: str) -> bool:
    return placed(found.get("start"), found.get("end"), len(text))


def record_of(data: Mapping[str, Any], marks: Sequence[str], mentions: Sequence[Mapping[str, Any]]) -> StructuredRecord:
    """The record with the mentions that the page marks, so that a photograph's attention speaks of the same numbers."""
    named = {one["name"]: one for one in mentions}
    entities = [{"type": named[m]["type"], "start": named[m]["start"], "end": named[m]["end"], "status": named[m]["status"]} for m in marks]
    return StructuredRecord.from_dict({**data, "entities": entities})

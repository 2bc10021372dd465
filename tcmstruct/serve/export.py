"""What reviewers settled, as gold records (JSON Lines): the form that `evaluate` and `train` read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tcmstruct.labels import GOLD_TYPES
from tcmstruct.report.source import Output
from tcmstruct.report.spans import placed
from tcmstruct.serve.decisions import held_fields, held_mentions
from tcmstruct.serve.store import Standing, Store, standing

WHICH = ("done", "touched")
"""done: records that were signed off, every value of which a person stands for · touched: also those decided in part."""
TYPES = ("guide", "fine")
"""guide: the coarser types of the annotation guide, on which the model's gold readout is trained · fine: the model's own."""


@dataclass(slots=True)
class Counts:
    """What an export holds, and what it leaves out.

    Attributes:
        records, fields, entities: written.
        partly: records decided in part, and left out.
        unplaced: values without words of the record behind them (of a photograph), left out.
    """

    records: int = 0
    fields: int = 0
    entities: int = 0
    partly: int = 0
    unplaced: int = 0


def gold_records(output: Output, store: Store, counts: Counts, which: str = "done", types: str = "guide") -> Iterator[dict[str, Any]]:
    """The settled records, in the order of the folder.

    Args:
        counts: filled on the way.
    """
    touched = set(store.touched())
    for _, _, data in output.lines():
        key = (str(data.get("id")), str(data.get("text_sha256")))
        if key not in touched:
            continue
        stands = standing(store.of(*key))
        if stands.done is None and (which == "done" or not stands.decisions):
            counts.partly += bool(stands.decisions)
            continue
        yield _gold(data, stands, counts, types)


def _gold(data: Mapping[str, Any], stands: Standing, counts: Counts, types: str) -> dict[str, Any]:
    text = str(data.get("text") or "")
    fields: dict[str, Any] = {}
    for one in held_fields(data, stands):
        if one.now is None:
            continue
        start, end = one.now.get("start"), one.now.get("end")
        if not placed(start, end, len(text)):
            counts.unplaced += 1
            continue
        fields[one.name] = {"value": one.now["value"], "start": start, "end": end, "evidence": text[start:end]}
    entities: dict[tuple[Any, ...], dict[str, Any]] = {}
    for held in held_mentions(data, stands):
        found = held.now
        if found is None or not placed(found.get("start"), found.get("end"), len(text)):
            continue
        type = GOLD_TYPES.get(found["type"]) if types == "guide" else found["type"]
        if type is None:
            continue
        entity = {"type": type, "start": found["start"], "end": found["end"], "text": text[found["start"]:found["end"]]}
        if found.get("status"):
            entity["status"] = found["status"]
        entities[type, found["start"], found["end"], found.get("status")] = entity
    counts.records += 1
    counts.fields += len(fields)
    counts.entities += len(entities)
    rows = [*stands.decisions.values(), *([stands.done] if stands.done else [])]
    return {
        "id": data["id"], **({"dept": data["dept"]} if data.get("dept") else {}), "source": "review", "text": text,
        "text_sha256": hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest(),
        "fields": fields, "entities": list(entities.values()),
        "review": {"who": sorted({row.who for row in rows}), "when": max(row.at for row in rows), "done": stands.done is not None,
                   "from_model": str(data.get("model") or ""), "from_schema": str(data.get("schema") or "")},
    }

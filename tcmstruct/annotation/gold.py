"""Gold JSON Lines, this project's own: `{id, text, entities: [{type, start, end, text, status}], predictions: […]}`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tcmstruct.annotation.annotated import Annotated, Span
from tcmstruct.annotation.files import id_in, items_in, json_lines, offset, text_in, write_json_lines


def read(path: Path) -> Iterator[Annotated]:
    """Gold records; `entities` are what a person marked."""
    for where, data in json_lines(path):
        yield Annotated(id_in(data.get("id"), where), text_in(data.get("text"), where, "text"),
                        [_span(one, where) for one in items_in(data.get("entities"), where, "entities")],
                        [_span(one, where, True) for one in items_in(data.get("predictions"), where, "predictions")], where)


def read_records(path: Path) -> Iterator[Annotated]:
    """`records.jsonl` of `convert`: its entities are predictions, their confidence the score."""
    for where, data in json_lines(path / "records.jsonl" if path.is_dir() else path):
        yield Annotated(id_in(data.get("id"), where), text_in(data.get("text"), where, "text"), (),
                        [_span(one, where, True) for one in items_in(data.get("entities"), where, "entities")], where)


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    write_json_lines(path, ({
        "id": record.id, "text": record.text, "entities": [_dict(span, record.text) for span in record.spans],
        **({"predictions": [_dict(span, record.text) for span in record.predictions]} if record.predictions else {}),
    } for record in records))


def _span(one: dict[str, Any], where: str, predicted: bool = False) -> Span:
    score = one.get("confidence") if predicted else None
    surface = one.get("text")
    return Span(offset(one.get("start"), where), offset(one.get("end"), where), text_in(one.get("type"), where, "type"), one.get("status"),
                float(score) if isinstance(score, int | float) else None, surface if isinstance(surface, str) else None)


def _dict(span: Span, text: str) -> dict[str, Any]:
    out: dict[str, Any] = {"type": span.label, "start": span.start, "end": span.end, "text": text[span.start : span.end]}
    if span.status is not None:
        out["status"] = span.status
    if span.score is not None:
        out["confidence"] = span.score
    return out

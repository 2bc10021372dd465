"""CBLUE / CMeEE JSON: `[{text, entities: [{start_idx, end_idx, type, entity}]}]`; `end_idx` is the last character, not the one after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tcmstruct.annotation.annotated import Annotated, Span, joined, split
from tcmstruct.annotation.files import id_in, items_in, json_list, offset, text_in, write_json_list


def read(path: Path) -> Iterator[Annotated]:
    """
    Raises:
        InputRefused: a record has no text, or an entity no place.
    """
    for where, data in json_list(path):
        spans = []
        for one in items_in(data.get("entities"), where, "entities"):
            surface = one.get("entity")
            spans.append(Span(offset(one.get("start_idx"), where), offset(one.get("end_idx"), where) + 1,
                              *split(text_in(one.get("type"), where, "type")), surface=surface if isinstance(surface, str) else None))
        yield Annotated(id_in(data.get("id"), where), text_in(data.get("text"), where, "text"), spans, where=where)


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    def objects() -> Iterator[dict[str, Any]]:
        for record in records:
            left["predictions"] += len(record.predictions)
            yield {"id": record.id, "text": record.text, "entities": [
                {"start_idx": span.start, "end_idx": span.end - 1, "type": joined(span), "entity": record.text[span.start : span.end]}
                for span in record.spans]}

    write_json_list(path, objects())

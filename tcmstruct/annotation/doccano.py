"""doccano JSON Lines for sequence labelling: `{id, text, label: [[start, end, label]]}`, or `entities` as newer versions export them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from tcmstruct.annotation.annotated import Annotated, Span, joined, split
from tcmstruct.annotation.files import id_in, items_in, json_lines, offset, text_in, write_json_lines
from tcmstruct.errors import InputRefused


def read(path: Path) -> Iterator[Annotated]:
    """
    Raises:
        InputRefused: a line has no text, or a label no place.
    """
    for where, data in json_lines(path):
        triples = items_in(data.get("label", data.get("labels")), where, "label", list)
        spans = [_triple(one, where) for one in triples] + [
            Span(offset(one.get("start_offset"), where), offset(one.get("end_offset"), where),
                 *split(text_in(one.get("label"), where, "label")))
            for one in items_in(data.get("entities"), where, "entities")]
        yield Annotated(id_in(data.get("record", data.get("id")), where), text_in(data.get("text", data.get("data")), where, "text"), spans,
                        where=where)


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    """The record's own id goes into `record`, which doccano keeps as metadata, since it numbers texts anew."""
    def lines() -> Iterator[dict[str, Any]]:
        for record in records:
            left["predictions"] += len(record.predictions)
            yield {"record": record.id, "text": record.text, "label": [[span.start, span.end, joined(span)] for span in record.spans]}

    write_json_lines(path, lines())


def _triple(one: list[Any], where: str) -> Span:
    if len(one) != 3:
        raise InputRefused(f"a label has {len(one)} parts, 3 are needed: start, end, label", where=where, code="key_missing")
    return Span(offset(one[0], where), offset(one[1], where), *split(text_in(one[2], where, "label")))

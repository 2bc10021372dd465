"""Label Studio JSON: tasks with annotations and predictions, for a project of `<Labels name="label" toName="text">` and, for the status
of a region, `<Choices name="status" toName="text" perRegion="true">` (docs/annotation.md holds the whole configuration).

Offsets count code points, as Label Studio has written them since version 1.6; older ones count UTF-16 code units, which `check` finds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tcmstruct.annotation.annotated import Annotated, Span
from tcmstruct.annotation.files import id_in, items_in, json_list, offset, text_in, write_json_list
from tcmstruct.errors import InputRefused

LABELS, STATUS, TEXT = "label", "status", "text"
"""Names of the tags in the project's configuration."""
MODEL = "tcmstruct"


def read(path: Path) -> Iterator[Annotated]:
    """Tasks; of several annotations of a task the first that was not cancelled.

    Raises:
        InputRefused: a task has no text, or a region no place.
    """
    for where, task in json_list(path):
        data = task.get("data")
        if not isinstance(data, dict):
            raise InputRefused("the task has no data", where=where, code="key_missing",
                               hint="export the project as JSON, not as JSON-MIN")
        done = [one for one in items_in(task.get("annotations"), where, "annotations") if not one.get("was_cancelled")]
        proposed = items_in(task.get("predictions"), where, "predictions")
        yield Annotated(id_in(data.get("id", task.get("id")), where), text_in(data.get(TEXT), where, TEXT),
                        _spans(done[0], where) if done else (), _spans(proposed[0], where, True) if proposed else (), where)


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    write_json_list(path, (_task(record) for record in records))


def _spans(annotation: dict[str, Any], where: str, predicted: bool = False) -> list[Span]:
    results = items_in(annotation.get("result"), where, "result")
    statuses = {one.get("id"): str(choice) for one in results if one.get("from_name") == STATUS and isinstance(one.get("value"), dict)
                for choice in (one["value"].get("choices") or ())[:1]}
    spans = []
    for one in results:
        value = one.get("value")
        if one.get("type") != "labels" or not isinstance(value, dict):
            continue
        surface, score = value.get("text"), one.get("score")
        for label in items_in(value.get("labels"), where, "labels", str):
            spans.append(Span(offset(value.get("start"), where), offset(value.get("end"), where), label, statuses.get(one.get("id")),
                              float(score) if predicted and isinstance(score, int | float) else None,
                              surface if isinstance(surface, str) else None))
    return spans


def _task(record: Annotated) -> dict[str, Any]:
    task: dict[str, Any] = {"data": {"id": record.id, TEXT: record.text}}
    if record.spans or not record.predictions:
        task["annotations"] = [{"result": _results(record.spans, record.text, "s")}]
    if record.predictions:
        scores = [span.score for span in record.predictions if span.score is not None]
        task["predictions"] = [{"model_version": MODEL, "result": _results(record.predictions, record.text, "p"),
                                **({"score": sum(scores) / len(scores)} if scores else {})}]
    return task


def _results(spans: Sequence[Span], text: str, prefix: str) -> list[dict[str, Any]]:
    out = []
    for number, span in enumerate(spans):
        place = {"start": span.start, "end": span.end, "text": text[span.start : span.end]}
        region: dict[str, Any] = {"id": f"{prefix}{number}", "from_name": LABELS, "to_name": TEXT, "type": "labels",
                                  "value": {**place, "labels": [span.label]}}
        if span.score is not None:
            region["score"] = span.score
        out.append(region)
        if span.status is not None:
            out.append({"id": f"{prefix}{number}", "from_name": STATUS, "to_name": TEXT, "type": "choices",
                        "value": {**place, "choices": [span.status]}})
    return out

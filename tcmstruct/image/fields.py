"""The photograph as second witness: it fills what the text leaves open, confirms, or contradicts; the text is never overruled."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from tcmstruct.image.tongue_model import Answer
from tcmstruct.record import FieldValue


@dataclass(frozen=True, slots=True)
class Meaning:
    """One `[[answer]]` of `data/fields.toml`; the comments there say what its lists mean."""

    attribute: str
    field: str
    value: str
    fills: tuple[str, ...]
    agrees: tuple[str, ...]
    conflicts: tuple[str, ...]


@cache
def meanings() -> dict[tuple[str, str], Meaning]:
    """(attribute, value) → what it means for the fields."""
    rows = tomllib.loads(files("tcmstruct.image").joinpath("data/fields.toml").read_text("utf-8"))["answer"]
    read = [Meaning(**{key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}) for row in rows]
    return {(m.attribute, m.value): m for m in read}


@cache
def field_of(attribute: str) -> str | None:
    """The field that an attribute speaks of, or None."""
    return next((m.field for (name, _), m in meanings().items() if name == attribute), None)


def join(fields: Mapping[str, FieldValue], answers: Mapping[str, Answer],
         known: Mapping[str, Sequence[str]]) -> tuple[dict[str, FieldValue], list[dict[str, Any]]]:
    """Joins the text's fields with the photo's answers.

    Args:
        fields: of the text.
        answers: of a photo that passed the gate; those that were not answered say nothing.
        known: fields of the schema at hand that take several values → those they allow; others are left alone.

    Returns:
        The fields: those that the photo confirms have source "both", those that it fills have source "image", no
        evidence in the text (start = end = 0) and a mark for review; those that it contradicts stay as the text says,
        marked for review. And the conflicts, as {"field", "text", "image", "confidence"}.
    """
    joined = dict(fields)
    conflicts: list[dict[str, Any]] = []
    for attribute, answer in answers.items():
        meaning = meanings().get((attribute, answer.value or ""))
        if meaning is None or meaning.field not in known or not {*meaning.fills, *meaning.agrees} <= {*known[meaning.field]}:
            continue
        said = fields.get(meaning.field)
        if said is None:
            if meaning.fills:
                before = joined.get(meaning.field)
                values = [*(before.value if before is not None else ()), *meaning.fills]
                sure = min(answer.confidence, before.confidence if before is not None else 1.0)
                joined[meaning.field] = FieldValue(values, "", 0, 0, confidence=round(sure, 4), source="image", basis="photo", review=True)
            continue
        values = list(said.value)
        if set(values) & set(meaning.agrees):
            joined[meaning.field] = replace(joined[meaning.field], source="both")
        elif set(values) & set(meaning.conflicts):
            joined[meaning.field] = replace(joined[meaning.field], review=True)
            conflicts.append({"field": meaning.field, "text": values, "image": answer.value, "confidence": round(answer.confidence, 3)})
    return joined, conflicts

"""The systems that stand beside the model. One interface: `fit(train) -> predict`, `predict(texts) -> list[Found]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tcmstruct.labels import READOUTS
from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.schema import Schema


@dataclass(frozen=True, slots=True)
class Found:
    """What a system says about one text; a system that has no mentions (or no fields) leaves them empty."""

    entities: Sequence[Mention] = ()
    fields: Mapping[str, FieldValue] = field(default_factory=dict)


Predict = Callable[[Sequence[str]], list[Found]]
Fit = Callable[[Sequence[StructuredRecord]], Predict]


def with_fields(schema: Schema | None, text: str, entities: Sequence[Mention]) -> Found:
    """Adds the fields that the schema reads from the text and the mentions; without a schema, mentions alone.

    Args:
        entities: with the types of the clinical guide (症状, 舌质 …), which become those of `labels.ENTITY_TYPES`.
    """
    if schema is None:
        return Found(entities)
    types = READOUTS["gold"]
    entities = [Mention(types.get(m.type, m.type), m.start, m.end, m.status, m.confidence) for m in entities]
    return Found(entities, schema.extract(text, entities))


def as_records(gold: Sequence[StructuredRecord], found: Sequence[Found]) -> list[StructuredRecord]:
    """Gives predictions the ids and texts of the records they were made on."""
    return [StructuredRecord(g.id, g.text, f.entities, f.fields, g.dept) for g, f in zip(gold, found, strict=True)]

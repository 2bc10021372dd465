"""Structurers without a model, importable by worker processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import ClassVar

from tcmstruct.errors import ModelError, RecordRejected
from tcmstruct.record import FieldValue, Mention, Record, StructuredRecord

MARKER = "机密标记甲乙丙"
"""Stands in texts of failing records; must never be met outside them."""


def finds_fever(record: Record) -> StructuredRecord:
    """发热 as a mention and a field, negative after 无; a frequency-like value and a number for the tables."""
    text, fields, entities = record.text, {}, []
    at = text.find("发热")
    if at >= 0:
        status = "无" if text[at - 1 : at] == "无" else "有"
        entities = [Mention("症状体征", at, at + 2, status, 0.9)]
        fields["有无发热"] = FieldValue(status, "发热", at, at + 2, confidence=0.9, review=status == "有")
    at = text.find("37.8℃")
    if at >= 0:
        fields["最高体温"] = FieldValue(37.8, "37.8℃", at, at + 5, unit="℃", confidence=0.99)
    at = text.find("黄痰")
    if at >= 0:
        fields["痰色"] = FieldValue(["黄", "白"], "黄痰", at, at + 2, confidence=0.97)
    return StructuredRecord(record.id, text, entities, fields, record.dept, model="m1", schema="s1", extra=record.extra)


class Fake:
    """Answers like `pipeline.Structurer`, and notes what it was asked."""

    model_fingerprint = "m1"
    schema_fingerprint = "s1"
    review_below: ClassVar = {"field": 0.95}
    schema = SimpleNamespace(fields={"有无发热": SimpleNamespace(department="general"),
                                     "最高体温": SimpleNamespace(department="general"),
                                     "痰色": SimpleNamespace(department="呼吸内科")})

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def structure_many(self, records: Sequence[Record]) -> list[StructuredRecord]:
        self.sizes.append(len(records))
        return [finds_fever(record) for record in records]

    def structure(self, text: str, tongue_img: object = None) -> StructuredRecord:
        return self.structure_many([Record("1", text)])[0]


@dataclass
class Failing(Fake):
    """Fails on any batch that holds a text with `on`, with the record's text in the message."""

    on: str = "坏"
    raises: Callable[[str], BaseException] = ValueError
    sizes: list[int] = field(default_factory=list)

    def structure_many(self, records: Sequence[Record]) -> list[StructuredRecord]:
        for record in records:
            if self.on in record.text:
                raise self.raises(f"{MARKER} {record.text}")
        return super().structure_many(records)


def refuses(_: str) -> RecordRejected:
    return RecordRejected("the record is of no use", code="of_no_use")


def broken_model() -> Fake:
    raise ModelError("weights are missing", where="model", code="model_missing")


def dies() -> Fake:
    """A structurer whose process ends at once, as under a kernel that wants its memory back."""
    import os

    os._exit(9)


@dataclass(frozen=True)
class dies_if_not:  # a factory, named like a function
    """Makes a structurer in the process `pid` and ends any other."""

    pid: int

    def __call__(self) -> Fake:
        import os

        return Fake() if os.getpid() == self.pid else dies()


@dataclass
class Killing(Fake):
    """Ends its process at a text with `on`, as a fault in a library does."""

    on: str = "致命"
    sizes: list[int] = field(default_factory=list)

    def structure_many(self, records: Sequence[Record]) -> list[StructuredRecord]:
        if any(self.on in record.text for record in records):
            dies()
        return super().structure_many(records)


@dataclass
class Slow(Fake):
    """Takes its time, so that a run can be met in the middle."""

    seconds: float = 0.002
    sizes: list[int] = field(default_factory=list)

    def structure_many(self, records: Sequence[Record]) -> list[StructuredRecord]:
        import time

        time.sleep(self.seconds * len(records))
        return super().structure_many(records)


class Other(Slow):
    """The same with another model."""

    model_fingerprint = "m2"

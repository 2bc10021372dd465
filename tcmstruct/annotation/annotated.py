"""An annotated text, whatever format it came from; what every format is read into and written from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from tcmstruct.errors import InputRefused
from tcmstruct.labels import STATUSES

STATUS_MARK = "#"
"""Between label and status where a format has room for the label alone: 症状#无."""


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled piece of a text.

    Attributes:
        start, end: code points of the text, `[start, end)`.
        label: its type, any words.
        status: one of `labels.STATUSES`, or None.
        score: of a prediction, in [0, 1]; None for what a person marked.
        surface: the words as the file repeats them, for `check`; None where the format does not.
    """

    start: int
    end: int
    label: str
    status: str | None = None
    score: float | None = None
    surface: str | None = field(default=None, compare=False)


@dataclass(slots=True)
class Annotated:
    """One text with its spans.

    Attributes:
        id: unique within a file.
        text: the raw text, never changed.
        spans: what a person marked; may nest and overlap.
        predictions: what a model proposed, where the format keeps them apart.
        where: file:row of origin, for messages.
    """

    id: str
    text: str
    spans: Sequence[Span] = ()
    predictions: Sequence[Span] = ()
    where: str = field(default="", compare=False)


def faults(record: Annotated) -> list[tuple[Span, str]]:
    """Spans that are no piece of the text, each with the reason: out_of_range, empty, or surface_differs."""
    out = []
    for span in (*record.spans, *record.predictions):
        if not 0 <= span.start <= span.end <= len(record.text):
            out.append((span, "out_of_range"))
        elif span.start == span.end:
            out.append((span, "empty"))
        elif span.surface is not None and span.surface != record.text[span.start : span.end]:
            out.append((span, "surface_differs"))
    return out


def require_sound(record: Annotated) -> Annotated:
    """
    Raises:
        InputRefused: a span is no piece of the text, a status is unknown, or the text cannot be written as UTF-8.
    """
    if wrong := faults(record):
        span, reason = wrong[0]
        raise InputRefused(f"{len(wrong)} spans do not fit their text; the first: [{span.start}, {span.end}) {reason}, the text has "
                           f"{len(record.text)} characters", where=record.where or record.id, code="offsets_wrong",
                           hint="`tcmstruct annotation check FILE` says what is off, --mend writes it corrected")
    for span in (*record.spans, *record.predictions):
        if span.status is not None and span.status not in STATUSES:
            raise InputRefused(f"unknown status, allowed are {'、'.join(STATUSES)}", where=record.where or record.id,
                               code="status_unknown")
        if not span.label.strip() or not span.label.isprintable():
            raise InputRefused("a span has no label, or one with control characters", where=record.where or record.id, code="label_missing")
    if any("\ud800" <= char <= "\udfff" for char in record.text + record.id):
        raise InputRefused("the text holds half of a surrogate pair and cannot be written as UTF-8", where=record.where or record.id,
                           code="lone_surrogate", hint="repair the text where it was exported")
    return record


def joined(span: Span) -> str:
    """Label and status as one word.

    Raises:
        InputRefused: the label itself ends like one with a status.
    """
    if split(span.label)[1] is not None:
        raise InputRefused(f"the label {span.label!r} ends like one with a status", code="label_ambiguous",
                           hint=f"rename it: {STATUS_MARK} and a status at the end of a label are taken for the status")
    return span.label if span.status is None else f"{span.label}{STATUS_MARK}{span.status}"


def split(word: str) -> tuple[str, str | None]:
    """Label and status of `joined`."""
    label, mark, status = word.rpartition(STATUS_MARK)
    return (label, status) if mark and label and status in STATUSES else (word, None)

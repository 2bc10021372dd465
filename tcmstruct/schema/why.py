"""Why a field got no value from a text in which its words stand: the same reading once more, asked for what it left out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from tcmstruct.record import FieldValue, Mention
from tcmstruct.schema.choice import latest_statements
from tcmstruct.schema.engine import Schema
from tcmstruct.schema.figures import figures
from tcmstruct.schema.lexicon import FREE, NO, YES, Entry
from tcmstruct.schema.numerals import Frequency, frequencies
from tcmstruct.schema.pack import FieldSpec
from tcmstruct.schema.reader import SILENT, Candidate

REASONS: tuple[str, ...] = (
    "parent_missing", "parent_differs", "negated", "kin", "other", "past", "uncertain", "hypothetical", "model_says", "past_section",
    "other_section", "reports", "stated_later", "two_values", "out_of_range", "unit_missing", "below", "figure_missing", "excepted",
    "head_missing", "topic_missing", "frequency_elsewhere", "after_stop", "topic_alone")
"""What keeps words from being a value, the most telling first."""

_WEIGHT = {reason: number for number, reason in enumerate(REASONS)}
_MIN_BOUND = 2
"""A single character (可, 红) stands everywhere; without its topic or the part before … it tells nothing."""
_SHOWN_UNITS = 6


@dataclass(frozen=True, slots=True)
class Miss:
    """Words of a field that gave no value.

    Attributes:
        start, end: the words in the text.
        reason: one of `REASONS`.
        given: what the reason names: a parent and its value, a figure and the range, a topic, the model's status.
    """

    start: int
    end: int
    reason: str
    given: tuple[str, ...] = ()


def explain(schema: Schema, text: str, mentions: Sequence[Mention], fields: Collection[str],
            explained: Collection[str] | None = None) -> tuple[dict[str, FieldValue], dict[str, Miss]]:
    """The values of `fields` as `Schema.extract` gives them, and for those without one the most telling reason.

    Args:
        explained: those of `fields` for which a reason is looked for; None: all.

    Returns:
        (name → value, name → miss); a field whose words do not stand in the text is in neither.
    """
    found = schema.candidates(text, mentions)
    settled = schema.settle(text, found)
    kept = dict(settled)
    schema.drop_unmet(kept)
    wanted = {schema.number_of[name] for name in fields}
    open_ = (wanted if explained is None else {schema.number_of[name] for name in explained}) - kept.keys()
    best: dict[int, Miss] = {}
    for number, miss in _misses(schema, text, found, settled, kept, open_):
        if number not in best or _WEIGHT[miss.reason] < _WEIGHT[best[number].reason]:
            best[number] = miss
    return ({schema.names[number]: kept[number] for number in sorted(wanted & kept.keys())},
            {schema.names[number]: best[number] for number in sorted(best)})


def _misses(schema: Schema, text: str, found: Sequence[Candidate], settled: dict[int, FieldValue], kept: dict[int, FieldValue],
            open_: Collection[int]) -> Iterator[tuple[int, Miss]]:
    if not open_:
        return
    specs = schema.lexicon.specs
    for number in open_ & settled.keys():
        yield number, _unmet(specs[number], settled[number], schema, kept)
    latest = latest_statements(found, specs)
    for candidate in found:
        if candidate.field in open_ and candidate.field not in settled:
            yield candidate.field, _passed_over(candidate, specs[candidate.field], latest)
    yield from _unread(schema, text, {number for number in open_ if number not in settled}, {c.field for c in found})


def _unmet(spec: FieldSpec, value: FieldValue, schema: Schema, kept: dict[int, FieldValue]) -> Miss:
    assert spec.only_if is not None
    parent = kept.get(schema.number_of[spec.only_if.field])
    if parent is None:
        return Miss(value.start, value.end, "parent_missing", (spec.only_if.field,))
    told = "、".join(parent.value) if isinstance(parent.value, list) else str(parent.value)
    return Miss(value.start, value.end, "parent_differs", (spec.only_if.field, told))


def _passed_over(candidate: Candidate, spec: FieldSpec, latest: dict[str, int]) -> Miss:
    """Why a statement that was understood was not taken."""
    start, end = candidate.start, candidate.end
    if candidate.section in SILENT:
        return Miss(start, end, candidate.section)
    if candidate.status not in (YES, NO):
        said = None if candidate.mention is None else candidate.mention.status
        if said in ("既往", "不确定") and candidate.status in ("past", "uncertain"):
            return Miss(start, end, "model_says", (said,))
        return Miss(start, end, candidate.status)
    if candidate.status == NO and spec.type != "yes_no":
        return Miss(start, end, "negated")
    if spec.statement and candidate.sentence != latest.get(spec.statement):
        return Miss(start, end, "stated_later")
    return Miss(start, end, "two_values")


def _unread(schema: Schema, text: str, open_: Collection[int], understood: Collection[int]) -> Iterator[tuple[int, Miss]]:
    """Words that stand in the text and were not understood as a statement of their field."""
    lexicon = schema.lexicon
    hits: list[tuple[int, int, Entry]] = [(last + 1 - entry.size, last + 1, entry) for last, entry in lexicon.automaton.iter(text)]
    hits.sort(key=lambda hit: (hit[0], -hit[1]))
    topics_of = {number: frozenset(lexicon.topic_number[name] for name in lexicon.specs[number].topics) for number in open_}
    often: list[Frequency] | None = None
    topic_end, excepted = 0, dict.fromkeys(open_, (0, 0))
    for start, end, entry in hits:
        if (entry.topics or entry.blocks_topic) and end > topic_end:
            topic_end = end
            for number in open_ if entry.topics else ():
                if topics_of[number].isdisjoint(entry.topics):
                    continue
                if lexicon.specs[number].type != "frequency":
                    yield number, Miss(start, end, "topic_alone")
                    continue
                often = list(frequencies(text)) if often is None else often
                if often:  # a topic without any count is no news
                    yield number, Miss(often[0].start, often[0].end, "frequency_elsewhere", (lexicon.specs[number].topics[0],))
        for number, value, bound in entry.acts:
            if number not in excepted:
                continue
            if value is None:
                excepted[number] = max((start, end), excepted[number], key=lambda span: span[1])
            elif end <= excepted[number][1]:
                yield number, Miss(start, end, "excepted", (text[slice(*excepted[number])],))
            elif number not in understood:
                miss = _word(start, end, bound, lexicon.specs[number], schema, text)
                if miss is not None:
                    yield number, miss


def _word(start: int, end: int, bound: int, spec: FieldSpec, schema: Schema, text: str) -> Miss | None:
    if spec.type == "number" and bound == FREE:
        return _figure(start, end, spec, text)
    if bound == FREE:
        return Miss(start, end, "after_stop")
    if end - start < _MIN_BOUND:
        return None
    if bound < FREE:
        return Miss(start, end, "head_missing", (schema.lexicon.head_template[bound],))
    return Miss(start, end, "topic_missing", (schema.lexicon.topic_names[bound],))


def _figure(start: int, end: int, spec: FieldSpec, text: str) -> Miss:
    for figure in figures(text, end, spec):
        if figure.refusal is not None:
            low, high = spec.range or ("", "")
            given = {"out_of_range": (f"{figure.value:g}", f"{low:g}–{high:g}" if spec.range else ""),
                     "unit_missing": (f"{figure.value:g}", " ".join(list(spec.units)[:_SHOWN_UNITS])),
                     "below": (f"{figure.value:g}", f"{spec.below:g}" if spec.below is not None else "")}[figure.refusal]
            return Miss(start, max(end, figure.end), figure.refusal, given)
        return Miss(start, max(end, figure.end), "after_stop")
    return Miss(start, end, "figure_missing")

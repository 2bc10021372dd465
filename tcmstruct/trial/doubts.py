"""What a sound pack most likely does not mean: words of two fields, values that never come out, slips of the pen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from tcmstruct.schema.engine import Schema, load_schema
from tcmstruct.schema.lexicon import FREE, NO, YES
from tcmstruct.schema.pack import FieldSpec, Pack, templates_of
from tcmstruct.schema.templates import GAP, expand
from tcmstruct.trial.findings import NOTE, WARNING

Doubt = tuple[str, str, tuple[str, ...], dict[str, Any]]
"""level, code, keys, what the sentence names"""
Words = Mapping[str, Sequence[str]]
"""word lists that templates name"""

_SHOWN_WORDS = 5
_TRIED_LITERALS = 200
_MIN_KNOWN = 2


class Known:
    """The names of a vocabulary, and their neighbouring characters."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = frozenset(names)
        self.pairs = frozenset(name[at : at + 2] for name in self.names for at in range(len(name) - 1))

    def is_strange(self, word: str) -> bool:
        """Whether the word holds no name, and two characters beside one another that stand so in none."""
        if all(word[at : at + 2] in self.pairs for at in range(len(word) - 1)):
            return False
        return not any(word[start:end] in self.names for start in range(len(word)) for end in range(start + _MIN_KNOWN, len(word) + 1))


def doubts(schema: Schema, pack: Pack, beside: Sequence[str], known: Known | None) -> Iterator[Doubt]:
    """
    Args:
        schema: the pack, compiled.
        beside: names of packs that it was compiled with.
        known: a vocabulary, or None.
    """
    if not pack.fields:
        yield NOTE, "no_fields", ("fields",), {}
    acts, words = _acts(schema), {**schema.lexicon.words, **pack.words}
    for name, spec in pack.fields.items():
        yield from _of_links(name, spec, schema)
        yield from _of_values(name, spec, acts[schema.number_of[name]])
        yield from _of_words(name, spec, acts[schema.number_of[name]], words)
        if spec.type == "number":
            if spec.unit and not spec.units:
                yield WARNING, "unit_not_written", ("fields", name, "unit"), {"unit": spec.unit}
            if spec.range is None:
                yield NOTE, "no_range", ("fields", name, "range"), {}
        if known is not None:
            yield from _unknown(name, spec, words, known)
    yield from _claims(schema, pack, acts)
    yield from _claims_of_packs(schema, pack, acts, beside)


Acts = dict[int, dict[tuple[str, int], list[str | None]]]
"""field → (literal, bound to) → the values that it means there, in order; None shadows"""


def _acts(schema: Schema) -> Acts:
    found: Acts = defaultdict(lambda: defaultdict(list))
    for literal, entry in schema.lexicon.automaton.items():
        for number, value, bound in entry.acts:
            if number >= 0:
                found[number][literal, bound].append(value)
    return found


def _of_links(name: str, spec: FieldSpec, schema: Schema) -> Iterator[Doubt]:
    rule = spec.only_if
    if rule is not None:
        parent, keys = schema.fields[rule.field], ("fields", name, "only_if")
        for value in rule.is_ or ():
            if parent.values and value not in parent.values:
                yield WARNING, "parent_value_unknown", keys, {"name": rule.field, "value": value, "allowed": "、".join(parent.values)}
        if (rule.at_least is not None or rule.at_most is not None) and parent.type != "number":
            yield WARNING, "parent_no_figure", keys, {"name": rule.field}
        chain = [name]
        while (up := schema.fields[chain[-1]].spec.only_if) is not None and up.field not in chain:
            chain.append(up.field)
        if up is not None and up.field == name:
            yield WARNING, "parent_itself", keys, {"names": " → ".join([*chain, name])}
    for implied in spec.implies:
        target = schema.fields[implied.field]
        if target.values and implied.value not in target.values:
            yield WARNING, "implied_value_unknown", ("fields", name, "implies"), {
                "name": implied.field, "value": implied.value, "allowed": "、".join(target.values)}


def _of_values(name: str, spec: FieldSpec, acts: dict[tuple[str, int], list[str | None]]) -> Iterator[Doubt]:
    """Values without words, and those whose every word goes to another value or to `except`."""
    words: dict[str, list[tuple[str, int]]] = {value: [] for value in spec.values}
    for place, values in acts.items():
        for value in values:
            if value in words:
                words[value].append(place)
    excepted = {literal for (literal, bound), values in acts.items() if None in values}
    shared: dict[tuple[str, str], list[str]] = defaultdict(list)
    for value, own in words.items():
        keys = ("fields", name, "values", value)
        if not own:
            yield WARNING, "value_without_words", keys, {"value": value}
            continue
        takers = [_taker(value, place, acts[place], spec, excepted) for place in own]
        if all(takers):
            by = "、".join(sorted({str(taker) for taker in takers}))
            yield WARNING, "value_unreachable", keys, {"value": value, "by": by, "words": _some(literal for literal, _ in own)}
            continue
        for (literal, _), taker in zip(own, takers, strict=True):
            if taker is not None and taker in words:
                shared[value, taker].append(literal)
    for (value, other), literals in shared.items():
        yield WARNING, "words_of_two_values", ("fields", name, "values", value), {"value": value, "other": other, "words": _some(literals)}


def _taker(value: str, place: tuple[str, int], values: Sequence[str | None], spec: FieldSpec, excepted: Collection[str]) -> str | None:
    """What the words mean in place of `value`, or None where it has them."""
    if place[0] in excepted:
        return "except"
    if spec.type == "several":
        return None
    rank = spec.values[value].rank
    later = values[values.index(value) + 1 :]
    return next((other for other in values if other in spec.values and other != value and (
        spec.values[other].rank > rank or (other in later and spec.values[other].rank == rank))), None)


def _of_words(name: str, spec: FieldSpec, acts: dict[tuple[str, int], list[str | None]], words: Words) -> Iterator[Doubt]:
    own = {literal for (literal, _), values in acts.items() if any(value is not None for value in values)}
    single = [literal for (literal, bound), values in acts.items()
              if bound == FREE and len(literal) == 1 and any(value is not None for value in values)]
    if single and spec.type != "number":
        yield WARNING, "one_character", ("fields", name, "terms"), {"words": _some(single)}
    idle = [template for template in spec.except_ if not any(
        word in literal for literal in _expanded(template, words) for word in own)]
    if idle:
        yield WARNING, "except_idle", ("fields", name, "except"), {"words": _some(idle)}


def _claims(schema: Schema, pack: Pack, acts: Acts) -> Iterator[Doubt]:
    """Words that two fields of the pack take as their own. Figures and their findings may share theirs (发热38℃), and so may a
    field and the one that it hangs on (经前腹痛: 痛经, and its time)."""
    by_place: dict[tuple[str, int], list[str]] = defaultdict(list)
    for name, spec in pack.fields.items():
        if spec.type != "number":
            for place, values in acts[schema.number_of[name]].items():
                if any(value is not None for value in values):
                    by_place[place].append(name)
    pairs: dict[tuple[str, str], list[str]] = defaultdict(list)
    for (literal, _), names in by_place.items():
        for number, name in enumerate(names):
            for other in names[:number]:
                pairs[name, other].append(literal)
    for (name, other), words in pairs.items():
        if not {(name, other), (other, name)} & {(child, spec.only_if.field) for child, spec in pack.fields.items() if spec.only_if}:
            yield WARNING, "words_claimed", ("fields", name), {"other": other, "words": _some(words)}


def _claims_of_packs(schema: Schema, pack: Pack, acts: Acts, beside: Sequence[str]) -> Iterator[Doubt]:
    measured = _measured()
    for name in pack.fields:
        if name in measured.fields:
            yield NOTE, "field_in_pack", ("fields", name), {"pack": measured.fields[name].department}
    pairs: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    theirs = _measured_words()
    for name, spec in pack.fields.items():
        for (literal, bound), values in acts[schema.number_of[name]].items():
            if bound == FREE and spec.type != "number" and any(value in (YES, NO) or value in spec.values for value in values):
                for other in theirs.get(literal, ()):
                    if other != name and other not in pack.fields:
                        pairs[name, other, measured.fields[other].department].append(literal)
    for (name, other, home), words in pairs.items():
        if home not in beside:
            yield NOTE, "words_claimed_by_pack", ("fields", name), {"pack": home, "other": other, "words": _some(words)}


@cache
def _measured() -> Schema:
    return load_schema("all")


@cache
def _measured_words() -> dict[str, list[str]]:
    """Words that the measured packs take anywhere → their fields."""
    schema = _measured()
    found: dict[str, list[str]] = defaultdict(list)
    for literal, entry in schema.lexicon.automaton.items():
        for number, value, bound in entry.acts:
            if number >= 0 and bound == FREE and value is not None and schema.lexicon.specs[number].type != "number":
                found[literal].append(schema.names[number])
    return dict(found)


def _unknown(name: str, spec: FieldSpec, words: Words, known: Known) -> Iterator[Doubt]:
    """Templates whose words hold no term of the vocabulary, and two neighbouring characters that stand in none."""
    strange: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for keys, template, bound in templates_of(spec):
        asked = not bound and spec.type != "number" and keys != ("except",)
        if asked and all(known.is_strange(literal) for literal in _expanded(template, words)):
            strange[keys].append(template)
    for keys, templates in strange.items():
        yield NOTE, "words_unknown", ("fields", name, *keys), {"words": _some(templates)}


def _expanded(template: str, words: Words) -> list[str]:
    """Some of a sound template's words; of A…B each part by itself."""
    return [literal for part in template.split(GAP) for literal in expand(part, words)[:_TRIED_LITERALS]]


def _some(words: Any) -> str:
    found = list(dict.fromkeys(words))
    return "、".join(found[:_SHOWN_WORDS]) + (f" …（{len(found)}）" if len(found) > _SHOWN_WORDS else "")

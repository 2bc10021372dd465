"""`Schema`: the fields of one or more packs, ready to read records."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from tcmstruct.errors import SchemaError
from tcmstruct.record import FieldValue, Mention
from tcmstruct.schema.choice import choose, latest_statements
from tcmstruct.schema.lexicon import NO, YES, Lexicon
from tcmstruct.schema.pack import GRAMMAR, PACK_DIR, FieldSpec, OnlyIf, Pack, Topic, pack_path, read_pack, shipped, starters
from tcmstruct.schema.reader import Candidate, Reader
from tcmstruct.text.simplify import Simplifier


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form, as others see it.

    Attributes:
        type: yes_no, enum, several, number or frequency.
        department: name of the pack that defines it.
        values: allowed values (有/无 for yes_no; empty for number and frequency).
        unit: unit of a number, or None.
        several: True where the value is a list.
        spec: everything that the pack says of it.
    """

    name: str
    type: str
    department: str
    values: tuple[str, ...]
    unit: str | None
    several: bool
    spec: FieldSpec


class Schema:
    """The fields of one or more packs, compiled. Reading does not change it: one may serve many threads.

    Attributes:
        fields: name → `Field`, in the order of the packs.
        fingerprint: sha256 (hex) over the grammar and the packs.
        lexicon: the compiled words; a field's number is its place in `names`.
    """

    def __init__(self, packs: Sequence[tuple[str, Pack, bytes]], grammar: tuple[Pack, bytes]) -> None:
        """Args: packs: (where it came from, pack, its bytes); grammar: the shared grammar and its bytes."""
        base, raw = grammar
        digest = hashlib.sha256(raw)
        words: dict[str, Sequence[str]] = dict(base.words)
        topics: dict[str, Topic] = dict(base.topics)
        places: dict[str, str] = {}
        self.fields: dict[str, Field] = {}
        for origin, pack, raw in packs:
            digest.update(b"\0" + raw)
            _merge(words, pack.words, f"{origin}: words")
            _merge(topics, pack.topics, f"{origin}: topics")
            for name, spec in pack.fields.items():
                where = f"{origin}: fields.{name}"
                if name in self.fields:
                    raise SchemaError(f"field {name} is defined twice, also at {places[name]}", where=where,
                                      code="schema_duplicate_field", hint="rename one, or load only one of the packs")
                places[name] = where
                self.fields[name] = Field(name, spec.type, pack.pack.name,
                                          (YES, NO) if spec.type == "yes_no" else tuple(spec.values), spec.unit,
                                          spec.type == "several", spec)
        self.fingerprint = digest.hexdigest()
        self.names = list(self.fields)
        self.number_of = {name: number for number, name in enumerate(self.names)}
        self.lexicon = Lexicon({name: field.spec for name, field in self.fields.items()}, words, topics,
                                [base.scope, *(pack.scope for _, pack, _ in packs)], places)
        self._simplified = Simplifier(self.lexicon.alphabet)

    def extract(self, text: str, mentions: Sequence[Mention] = ()) -> dict[str, FieldValue]:
        """The fields that the record states.

        Args:
            text: the raw record.
            mentions: what the model found, in any order; may be empty, then the packs' own grammar decides alone.

        Returns:
            name → value with its evidence, in the order of `fields`; a field that is not there is 未提及.
            `basis` is "mention" where a mention supports the value (its confidence is then the mention's), else
            "pattern" (confidence is the field's `prior`).
        """
        chosen = self.settle(text, self.candidates(text, mentions))
        self.drop_unmet(chosen)
        return {self.names[number]: chosen[number] for number in sorted(chosen)}

    def candidates(self, text: str, mentions: Sequence[Mention] = ()) -> list[Candidate]:
        """What some words of the text may state, left to right; a text in traditional characters is read as a simplified one."""
        return Reader(self.lexicon, self._simplified(text), mentions).read() if text else []

    def settle(self, text: str, found: Sequence[Candidate]) -> dict[int, FieldValue]:
        """Number of a field → the value that wins, before conditions on other fields are asked."""
        specs = self.lexicon.specs
        latest = latest_statements(found, specs)
        by_field: dict[int, list[Candidate]] = {}
        for candidate in found:
            group = specs[candidate.field].statement
            if not group or candidate.sentence == latest.get(group):
                by_field.setdefault(candidate.field, []).append(candidate)
        chosen: dict[int, FieldValue] = {}
        for number, candidates in by_field.items():
            choice = choose(candidates, specs[number])
            if choice is not None:
                value, start, end, mention = choice
                chosen[number] = FieldValue(value, text[start:end], start, end, specs[number].unit,
                                            specs[number].prior if mention is None else mention.confidence,
                                            basis="pattern" if mention is None else "mention")
        self._imply(chosen)
        return chosen

    def drop_unmet(self, chosen: dict[int, FieldValue]) -> None:
        """Takes out the fields whose `only_if` does not hold, and those that hang on them in turn."""
        specs = self.lexicon.specs
        while unmet := [n for n in chosen if (rule := specs[n].only_if) is not None and not self._holds(rule, chosen)]:
            for number in unmet:
                del chosen[number]

    def _imply(self, chosen: dict[int, FieldValue]) -> None:
        for number in list(chosen):
            given = chosen[number]
            for rule in self.lexicon.specs[number].implies:
                target = self.number_of[rule.field]
                enough = rule.at_least is None or (
                    isinstance(given.value, (int, float)) and given.value >= rule.at_least)
                if target not in chosen and enough and (not rule.when or set(rule.when) & _values(given)):
                    several = self.lexicon.specs[target].type == "several"
                    chosen[target] = replace(given, value=[rule.value] if several else rule.value, unit=None)

    def _holds(self, rule: OnlyIf, chosen: Mapping[int, FieldValue]) -> bool:
        other = chosen.get(self.number_of[rule.field])
        if other is None:
            return False
        low, high = rule.at_least, rule.at_most
        if low is not None or high is not None:
            figure = other.value
            if not isinstance(figure, (int, float)) or (low is not None and figure < low) or (high is not None and figure > high):
                return False
        return rule.is_ is None or bool(set(rule.is_) & _values(other))


def _values(field: FieldValue) -> set[str]:
    return set(field.value) if isinstance(field.value, list) else {str(field.value)}


def _merge(into: dict[str, Any], new: Mapping[str, Any], where: str) -> None:
    for name, what in new.items():
        if into.get(name, what) != what:
            raise SchemaError(f"{name} is defined twice, differently", where=f"{where}.{name}",
                              code="schema_duplicate_name", hint="rename it")
        into[name] = what


def load_schema(what: str | Path | Sequence[str | Path] = "all") -> Schema:
    """Loads and compiles packs.

    Args:
        what: "all" (every measured pack), the name of a pack that comes with the package (general and that department), the
            path of a pack file, or a list of these.

    Raises:
        SchemaError: a pack is missing or not what the format allows, or two packs define the same field.
    """
    paths: list[Path] = []
    for item in [what] if isinstance(what, (str, Path)) else what:
        if item == "all":
            paths += [PACK_DIR / "general.toml", *(PACK_DIR / f"{name}.toml" for name in shipped() if name != "general")]
        elif (own := pack_path(str(item))) is not None:
            paths += [PACK_DIR / "general.toml", own]
        else:
            paths.append(Path(item))
    if not paths:
        raise SchemaError("no pack given", hint=f"give a file, or one of: {', '.join(['all', *shipped(), *starters()])}")
    return make_schema([(str(path), *read_pack(path)) for path in dict.fromkeys(paths)])


def make_schema(packs: Sequence[tuple[str, Pack, bytes]]) -> Schema:
    """Compiles packs that are read already, with the shared grammar: (where it came from, pack, its bytes) of each."""
    return Schema(packs, _grammar())


@cache
def _grammar() -> tuple[Pack, bytes]:
    return read_pack(GRAMMAR)

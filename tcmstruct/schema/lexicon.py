"""The compiled packs: one automaton over all literals, and what each literal means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

import ahocorasick

from tcmstruct.errors import SchemaError
from tcmstruct.schema.pack import FieldSpec, Scope, Topic
from tcmstruct.schema.templates import GAP, TemplateError, expand

MAX_TOTAL_LITERALS = 400_000

YES, NO = "有", "无"

SENTENCE, SEMICOLON, COMMA, LIST = "sentence", "semicolon", "comma", "list"
PUNCTUATION = {"。": SENTENCE, "！": SENTENCE, "!": SENTENCE, "？": SENTENCE, "?": SENTENCE, "\n": SENTENCE,
               "；": SEMICOLON, ";": SEMICOLON, "，": COMMA, ",": COMMA, "、": LIST}
MARK = "mark"

FREE = -1
"""An action bound to nothing; topics are numbered from 0, heads of `…` from -2 downwards."""
SWALLOW = -1
"""The field of words that belong to a topic and to no field."""


@dataclass(slots=True)
class Entry:
    """What one literal means.

    Attributes:
        size: characters.
        cue: key of `Scope`, `MARK` for punctuation, or None.
        topics: topics that it raises.
        blocks_topic: holds the word of a topic, and does not raise it.
        heads: heads of `A…B` that it is.
        acts: (field, value, bound to); a value of None only shadows shorter words of the field.
        owners: the topics among `bound to`.
        waits: True where nothing can come of it without a topic or head before it.
    """

    size: int
    cue: str | None = None
    topics: tuple[int, ...] = ()
    blocks_topic: bool = False
    heads: tuple[int, ...] = ()
    acts: tuple[tuple[int, str | None, int], ...] = ()
    owners: frozenset[int] = frozenset()
    waits: bool = False


class Lexicon:
    """All literals of the packs and the topics' numbers.

    Attributes:
        automaton: pyahocorasick automaton, literal → `Entry`.
        alphabet: the characters of all literals.
        specs: fields in order; a field's number is its place here.
        topic_gap, topic_lead, topic_clause, topic_stop: see `pack.Topic`, by topic number.
        topic_names, topic_number: the topics' names and numbers.
        frequency: (field, topics) of the frequency fields.
        ranks: per field, value → rank.
    """

    def __init__(self, fields: Mapping[str, FieldSpec], words: Mapping[str, Sequence[str]], topics: Mapping[str, Topic],
                 scopes: Iterable[Scope], where_of: Mapping[str, str]) -> None:
        self.specs = list(fields.values())
        self.topic_gap = [topic.gap for topic in topics.values()]
        self.topic_lead = [topic.lead for topic in topics.values()]
        self.topic_clause = [topic.reach == "clause" for topic in topics.values()]
        self.topic_stop = [topic.stop for topic in topics.values()]
        self.ranks = [{value: how.rank for value, how in spec.values.items()} for spec in self.specs]
        self.words = words
        self.topic_names = list(topics)
        self.topic_number = {name: number for number, name in enumerate(topics)}
        self._heads: dict[str, int] = {}
        self._entries: dict[str, Entry] = {}
        for name, topic in topics.items():
            self._add_topic(name, topic)
        for number, (name, spec) in enumerate(fields.items()):
            self._add_field(number, spec, where_of.get(name, f"fields.{name}"), fields)
        for scope in scopes:
            for cue in Scope.model_fields:
                for template in getattr(scope, cue):
                    for literal in self._expand(template, f"scope.{cue}"):
                        self._entry(literal).cue = cue
        self.frequency = [(number, frozenset(self.topic_number[topic] for topic in spec.topics))
                          for number, spec in enumerate(self.specs) if spec.type == "frequency"]
        self.frequency_topics = frozenset(topic for _, own in self.frequency for topic in own)
        self.automaton = self._build()
        self.alphabet = frozenset(chain.from_iterable(self._entries))

    @property
    def head_template(self) -> dict[int, str]:
        """Number of the first part of an `A…B` → that part as the pack writes it."""
        return {number: template for template, number in self._heads.items()}

    def _build(self) -> ahocorasick.Automaton:
        for mark in PUNCTUATION:
            self._entry(mark).cue = MARK
        automaton = ahocorasick.Automaton()
        for literal, entry in self._entries.items():
            entry.acts = tuple(sorted(entry.acts, key=_shadows_last))
            entry.owners = frozenset(bound for _, _, bound in entry.acts if bound >= 0)
            alone = not (entry.cue or entry.topics or entry.blocks_topic or entry.heads)
            entry.waits = alone and all(bound != FREE for _, _, bound in entry.acts)
            automaton.add_word(literal, entry)
        automaton.make_automaton()
        return automaton

    def _entry(self, literal: str) -> Entry:
        found = self._entries.get(literal)
        if found is None:
            if len(self._entries) >= MAX_TOTAL_LITERALS:
                raise SchemaError(f"more than {MAX_TOTAL_LITERALS} literals in all", hint="use fewer optional parts")
            found = self._entries[literal] = Entry(len(literal))
        return found

    def _expand(self, template: str, where: str) -> list[str]:
        try:
            return expand(template, self.words)
        except TemplateError as error:
            raise SchemaError(str(error), where=where, code="schema_template", hint="see docs/schema.md") from None

    def _topic(self, name: str, where: str) -> int:
        if name not in self.topic_number:
            raise SchemaError(f"unknown topic {name}", where=where, hint=f"known: {', '.join(self.topic_number)}")
        return self.topic_number[name]

    def _act(self, template: str, field: int, value: str | None, bound: int, where: str) -> None:
        head, gap, tail = template.partition(GAP)
        if gap:
            if bound != FREE or GAP in tail or not head or not tail:
                raise SchemaError(f"{template!r}: one … between two parts, and not in 'said'", where=where,
                                  code="schema_template", hint="see docs/schema.md")
            if head not in self._heads:
                self._heads[head] = -2 - len(self._heads)
                for literal in self._expand(head, where):
                    entry = self._entry(literal)
                    entry.heads = (*entry.heads, self._heads[head])
            bound, template = self._heads[head], tail
        for literal in self._expand(template, where):
            entry = self._entry(literal)
            action = (field, value, bound)
            if action not in entry.acts:
                entry.acts = (*entry.acts, action)

    def _add_topic(self, name: str, topic: Topic) -> None:
        number, where = self.topic_number[name], f"topics.{name}"
        for template in topic.words:
            for literal in self._expand(template, f"{where}.words"):
                entry = self._entry(literal)
                if number not in entry.topics:
                    entry.topics = (*entry.topics, number)
        for template in topic.words_except:
            for literal in self._expand(template, f"{where}.words_except"):
                self._entry(literal).blocks_topic = True
        for template in topic.swallow:
            self._act(template, SWALLOW, None, number, f"{where}.swallow")

    def _add_field(self, number: int, spec: FieldSpec, where: str, fields: Mapping[str, FieldSpec]) -> None:
        own = [self._topic(topic, f"{where}.topics") for topic in spec.topics]
        for linked in [*(rule.field for rule in spec.implies), *([spec.only_if.field] if spec.only_if else [])]:
            if linked not in fields:
                raise SchemaError(f"unknown field {linked}", where=where, hint="name a field of the loaded packs")
        for template in spec.terms:
            self._act(template, number, YES, FREE, f"{where}.terms")
        for template in spec.absent:
            self._act(template, number, NO, FREE, f"{where}.absent")
        for template in spec.except_:
            self._act(template, number, None, FREE, f"{where}.except")
        for template in spec.said:
            for topic in own:
                self._act(template, number, YES, topic, f"{where}.said")
        for value, how in spec.values.items():
            place = f"{where}.values.{value}"
            if how.said and not own:
                raise SchemaError("'said' needs the field's 'topics'", where=place, hint="name topics, or use 'terms'")
            for template in how.terms:
                self._act(template, number, value, FREE, f"{place}.terms")
            for template in how.said:
                for topic in own:
                    self._act(template, number, value, topic, f"{place}.said")
            for name, said in how.said_of.items():
                for template in said:
                    self._act(template, number, value, self._topic(name, f"{place}.said_of"), f"{place}.said_of.{name}")


def _shadows_last(act: tuple[int, str | None, int]) -> bool:
    return act[1] is not None

"""Reads a pack as strictly as `convert` does, but to its end: every fault with its place, then what is doubtful in what is sound."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from typing import Any

from pydantic import ValidationError

from tcmstruct.errors import SchemaError
from tcmstruct.schema.engine import Schema, make_schema
from tcmstruct.schema.pack import (
    GRAMMAR,
    MAX_PACK_BYTES,
    FieldSpec,
    Pack,
    allowed_keys,
    pack_path,
    parse_toml,
    read_pack,
    shipped,
    starters,
    templates_of,
)
from tcmstruct.schema.templates import GAP, TemplateError, expand
from tcmstruct.schema.written import line_of, places
from tcmstruct.trial.doubts import Known, doubts
from tcmstruct.trial.findings import FAULT, WARNING, Finding

_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)")
_ENDS = re.compile(r" \(at end of document\)")
_EMPTY_NAME = "?"


@dataclass(slots=True)
class Checked:
    """A pack after reading.

    Attributes:
        findings: faults first, then warnings and notes, each in the order of the file.
        data: what the TOML says, {} where it is none.
        schema: the fields without a fault, compiled; None where there is none.
        names: those fields of the pack.
        beside: packs that it was compiled with, because its fields hang on theirs.
    """

    findings: list[Finding] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)
    schema: Schema | None = None
    names: list[str] = field(default_factory=list)
    beside: tuple[str, ...] = ()

    @property
    def faults(self) -> int:
        return sum(one.level == FAULT for one in self.findings)


def check_pack(raw: bytes, where: str, *, doubtful: bool = True, known: Known | None = None) -> Checked:
    """
    Args:
        raw: the pack's bytes.
        where: names the file in errors.
        doubtful: look for warnings and notes too.
        known: a vocabulary, in which slips of the pen are not found; None asks none.
    """
    if len(raw) > MAX_PACK_BYTES:
        return Checked([Finding(FAULT, "too_large", given={"most": f"{MAX_PACK_BYTES:,}"})])
    try:
        data = parse_toml(raw, where)
    except SchemaError as error:
        line = _AT_LINE.search(error.what)
        detail = _ENDS.sub("", _AT_LINE.sub("", error.what.removeprefix("not TOML: ")))
        code = error.code.removeprefix("schema_")
        return Checked([Finding(FAULT, code, (), int(line[1]) if line else None, {"detail": detail} if code == "not_toml" else {})])
    return _Check(raw, where, data, doubtful, known).run()


class _Check:
    """One reading of one pack."""

    def __init__(self, raw: bytes, where: str, data: dict[str, Any], doubtful: bool, known: Known | None) -> None:
        self.raw, self.where, self.data, self.doubtful, self.known = raw, where, data, doubtful, known
        self.places = list(places(raw.decode("utf-8")))
        self.findings: list[Finding] = []

    def run(self) -> Checked:
        pack = self._sound(self.data)
        beside = self._beside(pack)
        fields = {name: spec for name, spec in pack.fields.items() if self._compiles(name, spec, pack, beside)}
        pack = pack.model_copy(update={"fields": self._linked(fields, beside)})
        schema = self._compiled(pack, beside)
        names = [name for name in pack.fields if schema is not None]
        if self.doubtful and schema is not None:
            for level, code, keys, given in doubts(schema, pack, beside, self.known):
                self._note(level, code, keys, given)
        order = {FAULT: 0, WARNING: 1}
        self.findings.sort(key=lambda one: (order.get(one.level, 2), one.line or 0))
        return Checked(_once(self.findings), self.data, schema, names, beside)

    def _note(self, level: str, code: str, keys: Sequence[object], given: Mapping[str, Any]) -> None:
        self.findings.append(Finding(level, code, tuple(map(str, keys)), line_of(self.places, keys), dict(given)))

    def _fault(self, code: str, keys: Sequence[object], **given: Any) -> None:
        self._note(FAULT, code, keys, given)

    # ------------------------------------------------------------ the form of the file

    def _sound(self, data: dict[str, Any]) -> Pack:
        """The pack without the tables that have a fault."""
        rest = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
        for _ in range(3):
            try:
                return Pack.model_validate(rest)
            except ValidationError as error:
                for fault in error.errors(include_url=False, include_input=False):
                    self._told(fault)
                    _take_out(rest, fault["loc"])
        return Pack.model_validate({"pack": {"name": _EMPTY_NAME}})

    def _told(self, fault: Any) -> None:
        keys, kind, context = [part for part in fault["loc"] if part != "[key]"], fault["type"], fault.get("ctx", {})
        if kind == "misfits":
            for code, key, given in context["found"]:
                self._fault(code, [*keys, key], **given)
        elif kind == "extra_forbidden":
            self._fault("unknown_key", keys, key=keys[-1], allowed=", ".join(allowed_keys(keys[:-1])))
        elif kind == "missing":
            self._fault("missing_key", keys, key=keys[-1])
        elif kind == "literal_error":
            self._fault("wrong_choice", keys, allowed=str(context["expected"]).replace(" or ", ", "))
        else:
            self._fault("wrong_type", keys, detail=fault["msg"])

    # ------------------------------------------------------------ what it names

    def _beside(self, pack: Pack) -> tuple[str, ...]:
        """Packs of the package whose fields this one hangs on."""
        own, found = pack.fields, []
        for name, spec in own.items():
            for key, linked in _links(spec):
                home = None if linked in own else _home_of(linked)
                if home is not None and not set(own) & set(_fields_of(home)):
                    self._note(WARNING, "parent_elsewhere", ("fields", name, key), {"name": linked, "pack": home})
                    found.append(home)
        return tuple(dict.fromkeys(found))

    def _compiles(self, name: str, spec: FieldSpec, pack: Pack, beside: Sequence[str]) -> bool:
        """Whether the words and topics of a field can be read; tells what cannot."""
        before = len(self.findings)
        words, topics = _words_of(pack, beside)
        for topic in (*spec.topics, *(topic for how in spec.values.values() for topic in how.said_of)):
            if topic not in topics:
                self._fault("topic_unknown", ("fields", name, "topics"), name=topic, known=", ".join(topics))
        for keys, template, bound in templates_of(spec):
            place = ("fields", name, *keys)
            if bound and not spec.topics and keys[-1] == "said" and spec.values:
                self._fault("said_without_topics", place)
            head, gap, tail = template.partition(GAP)
            if gap and (bound or GAP in tail or not head or not tail):
                self._fault("gap_misplaced", place, template=template)
                continue
            for part in (head, tail) if gap else (template,):
                try:
                    expand(part, words)
                except TemplateError as error:
                    self._fault(f"template_{error.code}", place, detail=str(error), **error.given)
        return len(self.findings) == before or not any(one.level == FAULT for one in self.findings[before:])

    def _linked(self, fields: dict[str, FieldSpec], beside: Sequence[str]) -> dict[str, FieldSpec]:
        """The fields whose parents are there, one after the other."""
        elsewhere = {name for pack in beside for name in _fields_of(pack)}
        left = dict(fields)
        while True:
            known = {*left, *elsewhere}
            lost = {name: linked for name, spec in left.items() for linked in _links(spec) if linked[1] not in known}
            if not lost:
                return left
            for name, (key, linked) in lost.items():
                del left[name]
                if linked not in self.data.get("fields", {}):
                    near = get_close_matches(linked, [n for n in known if n != name], 1)
                    self._fault("field_unknown", ("fields", name, key), name=linked, near=f"{near[0]}? " if near else "")

    def _compiled(self, pack: Pack, beside: Sequence[str]) -> Schema | None:
        grammar = _grammar()
        for kind, own, base in (("words", pack.words, grammar.words), ("topics", pack.topics, grammar.topics)):
            for name in own:
                if name in base and own[name] != base[name]:  # type: ignore[index]
                    self._fault("defined_twice", (kind, name), name=name)
                    pack = pack.model_copy(update={kind: {key: value for key, value in own.items() if key not in base}})
        try:
            wanted = {linked for spec in pack.fields.values() for _, linked in _links(spec)} - set(pack.fields)
            return make_schema([*((name, _only(_pack(name), wanted), b"") for name in beside), (self.where, pack, self.raw)])
        except SchemaError as error:
            keys = error.where.removeprefix(f"{self.where}: ").split(".")
            self._fault("cannot_compile", keys if keys[0] in ("topics", "scope", "words", "fields") else (), detail=error.what)
            return None


def _links(spec: FieldSpec) -> list[tuple[str, str]]:
    return [*(("implies", rule.field) for rule in spec.implies), *([("only_if", spec.only_if.field)] if spec.only_if else [])]


def _words_of(pack: Pack, beside: Sequence[str]) -> tuple[dict[str, Sequence[str]], list[str]]:
    """The word lists and topics that a pack sees."""
    packs = [_grammar(), *(_pack(name) for name in beside), pack]
    words = {name: words for one in packs for name, words in one.words.items()}
    return words, list(dict.fromkeys(name for one in packs for name in one.topics))


@cache
def _grammar() -> Pack:
    return read_pack(GRAMMAR)[0]


@cache
def _pack(name: str) -> Pack:
    path = pack_path(name)
    assert path is not None
    return read_pack(path)[0]


def _fields_of(name: str) -> Mapping[str, FieldSpec]:
    return _pack(name).fields


def _only(pack: Pack, wanted: set[str]) -> Pack:
    """The pack with some of its fields, and what those hang on or share their last statement with: quick to compile."""
    own, kept = pack.fields, set(pack.fields) & wanted
    while more := {name for name in own if name not in kept and any(
            name in [linked for _, linked in _links(own[one])] or own[name].statement == own[one].statement != "" for one in kept)}:
        kept |= more
    return pack.model_copy(update={"fields": {name: spec for name, spec in own.items() if name in kept}})


def _home_of(field: str) -> str | None:
    """The pack of the package that has a field of this name."""
    return next((name for name in (*shipped(), *starters()) if field in _fields_of(name)), None)


def _take_out(data: dict[str, Any], loc: Sequence[Any]) -> None:
    """The table in which a fault lies: the field, topic or word list, else the part of the file."""
    part = data.get(loc[0]) if loc else None
    if len(loc) > 1 and loc[0] in ("fields", "topics", "words") and isinstance(part, dict):
        part.pop(loc[1], None)
    elif loc and loc[0] == "pack":
        data["pack"] = {"name": _EMPTY_NAME}
    elif loc:
        data.pop(loc[0], None)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Without those that come twice."""
    seen: dict[tuple[Any, ...], Finding] = {}
    for one in findings:
        seen.setdefault((one.level, one.code, one.keys, one.said()), one)
    return list(seen.values())

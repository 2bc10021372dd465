"""Packs: the fields of a department as a TOML file, read strictly."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic import Field as Key
from pydantic_core import PydanticCustomError

from tcmstruct.errors import SchemaError
from tcmstruct.labels import ENTITY_TYPES

HERE = Path(__file__).parent
PACK_DIR = HERE / "packs"
STARTER_DIR = HERE / "starters"
GRAMMAR = HERE / "grammar.toml"
MAX_PACK_BYTES = 4_000_000

Name = Annotated[str, Key(min_length=1, max_length=40)]
Templates = list[Annotated[str, Key(min_length=1, max_length=400)]]
Kind = Literal["yes_no", "enum", "several", "number", "frequency"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PackInfo(Strict):
    """[pack]: what the file is."""

    name: Name
    title: str = ""
    version: str = "1"


class Topic(Strict):
    """[topics.NAME]: what is being talked about, so that a bare 可 or 黄 finds its owner.

    Attributes:
        words: templates that raise the topic.
        words_except: templates that hold such a word but do not raise it.
        gap: characters, not counting what was understood, between the topic and what is said of it.
        lead: in a later clause of the sentence, characters before what is said (质软: 0, 边有齿痕: 2).
        reach: how far the topic carries: to the next comma or to the end of the sentence.
        swallow: templates that belong to this topic and to no field (精神可).
        stop: True ends every other topic (面色…, 口唇…).
    """

    words: Templates
    words_except: Templates = []
    gap: Annotated[int, Key(ge=0, le=40)] = 6
    lead: Annotated[int, Key(ge=0, le=20)] = 1
    reach: Literal["clause", "sentence"] = "sentence"
    swallow: Templates = []
    stop: bool = False


class Values(Strict):
    """[fields.NAME.values.VALUE]: how one allowed value is written.

    Attributes:
        terms: templates that mean the value wherever they stand.
        said: templates that mean it when one of the field's topics is in force.
        said_of: the same for one named topic only.
        rank: a higher rank beats a later statement (an explicit finding over a general 正常).
    """

    terms: Templates = []
    said: Templates = []
    said_of: dict[Name, Templates] = {}
    rank: int = 0


class OnlyIf(Strict):
    """only_if: the field is kept only where another field is stated, and as these say.

    Attributes:
        is_: one of these values.
        at_least, at_most: (of a number) a figure within these bounds.
    """

    field: Name
    is_: Annotated[list[str] | None, Key(alias="is", min_length=1)] = None
    at_least: float | None = None
    at_most: float | None = None


def _factors(units: Any) -> Any:
    """A list of units means that all are the same; longer ones first, so that 个月 is not met as 个."""
    if isinstance(units, list) and all(isinstance(one, str) for one in units):
        units = dict.fromkeys(units, 1.0)
    return dict(sorted(units.items(), key=lambda one: -len(str(one[0])))) if isinstance(units, dict) else units


Units = Annotated[dict[Name, Annotated[float, Key(gt=0)]], BeforeValidator(_factors)]
"""How a unit is written → what one of it is in the field's own `unit`: { "天" = 1, "周" = 7 }."""


class FieldSpec(Strict):
    """[fields.NAME]: one field of the form.

    Attributes:
        type: yes_no (有/无) · enum · several · number · frequency.
        topics: topics whose `said` templates count for this field.
        terms: (yes_no) templates that mean the finding; (number) templates that announce the figure.
        said: (yes_no) templates that mean it when a topic is in force.
        absent: (yes_no) templates that mean 无 by themselves.
        except_: templates that hold a term but do not mean it.
        values: (enum, several) the allowed values in order.
        unit, units, range, after: (number) unit in the table, how units are written (a list, or each with its factor), allowed
            range in `unit`, characters between announcement and figure. `unit_required` = the figure counts only with a unit.
        below: (number) figures under this value say nothing and are left out.
        keep: which statement wins: last · first · max · most (the value said most often, then the first).
        merge: (several) statement within which values are collected: sentence or record.
        statement: fields of one name here share their last statement (苔色 and 苔质 come from the same sentence).
        finding: the term must lie in or beside a finding (used for the side of a complaint).
        agree: (enum) a clause that states two values states none.
        implies: other fields that a value settles when they are open, {field, value, at_least?}.
        only_if: dependency on another field.
        mentions: entity types of the model that speak of the field.
        prior: confidence of a value that only the patterns found.
        note: for the reader of the pack.
    """

    type: Kind
    topics: list[Name] = []
    terms: Templates = []
    said: Templates = []
    absent: Templates = []
    except_: Annotated[Templates, Key(alias="except")] = []
    values: dict[Name, Values] = {}
    unit: str | None = None
    units: Units = {}
    unit_required: bool = False
    range: Annotated[list[float], Key(min_length=2, max_length=2)] | None = None
    below: float | None = None
    after: Annotated[int, Key(ge=0, le=30)] = 8
    keep: Literal["last", "first", "max", "most"] = "last"
    merge: Literal["sentence", "record"] = "sentence"
    statement: str = ""
    finding: bool = False
    agree: bool = False
    implies: list[Implies] = []
    only_if: OnlyIf | None = None
    mentions: list[Name] = ["症状体征"]
    prior: Annotated[float, Key(gt=0, le=1)] = 0.9
    note: str = ""

    @model_validator(mode="after")
    def _fits_its_type(self) -> FieldSpec:
        if found := list(misfits(self)):
            told = "; ".join(MISFITS[code].format(**given) for code, _, given in found)
            raise PydanticCustomError("misfits", "{told}", {"told": told, "found": found})  # type: ignore[misc]
        return self


MISFITS: dict[str, str] = {
    "values_missing": "type = {type!r} needs [fields.….values.VALUE] tables",
    "values_out_of_place": "type = {type!r} has no values; use enum or several",
    "key_out_of_place": "key {key!r} does not go with type = {type!r} (it goes with {kinds})",
    "said_without_topics": "key 'said' needs 'topics'",
    "number_without_terms": "type = 'number' needs 'terms', the words before the figure",
    "frequency_without_topics": "type = 'frequency' needs 'topics', what happens so often",
    "yes_no_without_words": "type = 'yes_no' needs 'terms' or 'said'",
    "range_reversed": "range = [low, high] with low < high",
    "mentions_unknown": "mentions: {names} are no entity types (allowed: {allowed})",
    "max_without_number": "keep = 'max' goes with type = 'number'",
}
"""What is wrong with a field whose keys are each fine by themselves."""

_GOES_WITH: dict[str, tuple[Kind, ...]] = {
    "absent": ("yes_no",), "terms": ("yes_no", "number"), "said": ("yes_no",), "unit": ("number",), "units": ("number",),
    "range": ("number",), "below": ("number",), "merge": ("several",)}


def misfits(spec: FieldSpec) -> Iterator[tuple[str, str, dict[str, str]]]:
    """What is wrong with a field as a whole: (key of `MISFITS`, key of the field, what the sentence names)."""
    valued = spec.type in ("enum", "several")
    if valued and not spec.values:
        yield "values_missing", "values", {"type": spec.type}
    if not valued and spec.values:
        yield "values_out_of_place", "values", {"type": spec.type}
    for key, kinds in _GOES_WITH.items():
        if key in spec.model_fields_set and spec.type not in kinds:
            yield "key_out_of_place", key, {"key": key, "type": spec.type, "kinds": ", ".join(kinds)}
    if spec.said and not spec.topics:
        yield "said_without_topics", "said", {}
    if spec.type == "number" and not spec.terms:
        yield "number_without_terms", "terms", {}
    if spec.type == "frequency" and not spec.topics:
        yield "frequency_without_topics", "topics", {}
    if spec.type == "yes_no" and not (spec.terms or spec.said):
        yield "yes_no_without_words", "terms", {}
    if spec.range is not None and spec.range[0] >= spec.range[1]:
        yield "range_reversed", "range", {}
    if unknown := [name for name in spec.mentions if name not in ENTITY_TYPES]:
        yield "mentions_unknown", "mentions", {"names": ", ".join(unknown), "allowed": ", ".join(ENTITY_TYPES)}
    if spec.keep == "max" and spec.type != "number":
        yield "max_without_number", "keep", {}


class Implies(Strict):
    """implies: a value of this field settles another one that the record leaves open."""

    field: Name
    value: str
    at_least: float | None = None
    when: list[str] = []


FieldSpec.model_rebuild()


class Scope(Strict):
    """[scope]: the words that turn, date or place a finding; data, because hospitals write differently.

    Attributes:
        negate: 无, 未见 … up to the next comma.
        negate_far: 否认 … up to the end of the sentence.
        negate_near: 不 … only directly before the words.
        affirm: words that end a negation (伴, 时有).
        relieved: after a finding: it is gone (消失, 未作).
        past: before a finding: earlier, or not in this illness (曾).
        uncertain: 疑似, 可能.
        other: another person (其母), who may also be who tells of the patient: the model is asked.
        kin: another person of whom a finding is said (其母有, 父亲患): the model is not asked. So is what stands right behind
            one of `other` (其母咳嗽).
        patient: the patient is spoken of again.
        hypothetical: advice, conditions, triggers (若, 预防).
        plain: words that hold one of the above and mean none (无力, 不适).
        current, history, examination, past_section, other_section, reports, stop: headings of sections.
    """

    negate: Templates = []
    negate_far: Templates = []
    negate_near: Templates = []
    affirm: Templates = []
    relieved: Templates = []
    past: Templates = []
    uncertain: Templates = []
    other: Templates = []
    kin: Templates = []
    patient: Templates = []
    hypothetical: Templates = []
    plain: Templates = []
    current: Templates = []
    history: Templates = []
    examination: Templates = []
    past_section: Templates = []
    other_section: Templates = []
    reports: Templates = []
    stop: Templates = []


class Pack(Strict):
    """A pack file."""

    pack: PackInfo
    scope: Scope = Scope()
    words: dict[Name, list[str]] = {}
    topics: dict[Name, Topic] = {}
    fields: dict[Name, FieldSpec] = {}


def read_pack(path: Path) -> tuple[Pack, bytes]:
    """Reads a pack file strictly.

    Returns:
        the pack and its bytes (for the fingerprint).

    Raises:
        SchemaError: not there, too large, not UTF-8 TOML, or a key or value that the format does not know.
    """
    try:
        if path.stat().st_size > MAX_PACK_BYTES:
            raise SchemaError(f"larger than {MAX_PACK_BYTES} bytes", where=str(path), hint="split the pack")
        raw = path.read_bytes()
    except OSError as error:
        raise SchemaError(f"cannot be read ({error.strerror})", where=str(path), code="schema_missing",
                          hint=f"give a file, or one of: {', '.join(['all', *shipped(), *starters()])}") from None
    return parse_pack(parse_toml(raw, str(path)), str(path)), raw


def parse_toml(raw: bytes, where: str) -> dict[str, Any]:
    """
    Raises:
        SchemaError: not UTF-8 (code `schema_not_utf8`), or not TOML (code `schema_not_toml`).
    """
    try:
        return tomllib.loads(raw.decode("utf-8"))
    except UnicodeDecodeError:
        raise SchemaError("not UTF-8", where=where, code="schema_not_utf8", hint="save the pack as UTF-8") from None
    except ValueError as error:  # also a figure of thousands of digits
        raise SchemaError(f"not TOML: {error}", where=where, code="schema_not_toml", hint="see docs/schema.md") from None
    except RecursionError:
        raise SchemaError("not TOML: nested too deep", where=where, code="schema_not_toml", hint="see docs/schema.md") from None


def parse_pack(data: dict[str, Any], where: str) -> Pack:
    """Checks a parsed pack; `where` names the file in errors."""
    try:
        return Pack.model_validate(data)
    except ValidationError as error:
        lines = [_fault(fault) for fault in error.errors(include_url=False, include_context=False, include_input=False)]
        raise SchemaError("; ".join(lines[:8]), where=where, hint="see docs/schema.md") from None


def _fault(fault: Any) -> str:
    place = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        allowed = allowed_keys(fault["loc"][:-1])
        return f"unknown key {place}" + (f" (allowed: {', '.join(allowed)})" if allowed else "")
    return f"{place or 'file'}: {fault['msg']}"


def allowed_keys(loc: Sequence[Any]) -> list[str]:
    """The keys that the table at `loc` may hold."""
    kind: Any = Pack
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = {info.alias or name: info.annotation for name, info in kind.model_fields.items()}.get(part)
        else:
            kind = get_args(kind)[-1] if get_args(kind) else None
        models = [a for a in get_args(kind) if isinstance(a, type) and issubclass(a, BaseModel)]
        if get_origin(kind) not in (dict, list) and models:
            kind = models[0]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [info.alias or name for name, info in kind.model_fields.items()]
    return []


def templates_of(spec: FieldSpec) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """(key below the field, template, whether it needs a topic) of all words of a field."""
    for key, templates in (("terms", spec.terms), ("absent", spec.absent), ("except", spec.except_)):
        yield from (((key,), template, False) for template in templates)
    yield from ((("said",), template, True) for template in spec.said)
    for value, how in spec.values.items():
        yield from ((("values", value, "terms"), template, False) for template in how.terms)
        yield from ((("values", value, "said"), template, True) for template in how.said)
        yield from ((("values", value, "said_of"), template, True) for said in how.said_of.values() for template in said)


def shared_topics() -> list[str]:
    """Topics of the shared grammar, which every pack may name."""
    return list(read_pack(GRAMMAR)[0].topics)


def shipped() -> list[str]:
    """Names of the packs that come with the package and are measured: "all"."""
    return sorted(path.stem for path in PACK_DIR.glob("*.toml"))


def starters() -> list[str]:
    """Names of the packs to begin from: they come with the package too, and no gold records have measured them."""
    return sorted(path.stem for path in STARTER_DIR.glob("*.toml"))


def pack_path(name: str) -> Path | None:
    """The file of a pack that comes with the package, or None."""
    return next((path for path in (PACK_DIR / f"{name}.toml", STARTER_DIR / f"{name}.toml")
                 if name in (*shipped(), *starters()) and path.is_file()), None)

"""Own fields: packs tried on the records of this server while they are written."""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import orjson
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key

from tcmstruct.batch.chunks import fault_place
from tcmstruct.errors import TcmstructError
from tcmstruct.report.shown import plain
from tcmstruct.schema.pack import shared_topics
from tcmstruct.schema.written import renamed, with_field, with_topic
from tcmstruct.serve.own_packs import MOST_TOML, digest_of
from tcmstruct.serve.showing import pieces
from tcmstruct.trial import Checked, FieldTrial, Finding, Known, TrialRecord, check_pack, sample_of, try_fields
from tcmstruct.trial.context import around
from tcmstruct.trial.trying import shown_values
from tcmstruct.trial.wording import reason_said

MOST_RECORDS = 300
"""A sample that answers while one types."""
SHOWN = 8
"""Hits and near misses of a field that the page shows."""
SIDE = 24
KEPT_ANSWERS = 6


class Edit(BaseModel):
    """A field as the form has it: `was` None adds it, `name` None takes it out; with it the topics that are the pack's own."""

    model_config = ConfigDict(extra="forbid", strict=True)
    was: Annotated[str | None, Key(max_length=200)] = None
    name: Annotated[str | None, Key(max_length=200)] = None
    spec: dict[str, Any] | None = None
    topics: dict[str, dict[str, Any]] = {}


class Attempt(BaseModel):
    """A pack to try.

    Attributes:
        edit: to be made in `toml` first; `rename` gives the pack another name.
        field: whose hits and near misses are wanted.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    toml: Annotated[str, Key(max_length=MOST_TOML)]
    edit: Edit | None = None
    rename: Annotated[str | None, Key(min_length=1, max_length=40)] = None
    field: Annotated[str | None, Key(max_length=200)] = None


@dataclass(slots=True)
class Desk:
    """Where packs are tried.

    Attributes:
        source: gives the records with their mentions; called once, in the background.
        vocabulary: gives the words that are known; called once.
        reviewed: whether the rows of `source` are those of the review page beside.
        ready: whether the records are read.
        fault: why reading ended early, or None.
    """

    source: Callable[[], Iterable[TrialRecord]]
    vocabulary: Callable[[], Known] | None = None
    reviewed: bool = False
    records: list[TrialRecord] = field(default_factory=list)
    ready: bool = False
    fault: str | None = None
    _known: Known | None = None
    _checked: dict[str, Checked] = field(default_factory=dict)
    _trials: dict[tuple[str, str | None], dict[str, FieldTrial]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Reads the records in the background; until they are read, packs are checked only."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        self._stop.set()
        self.wait()

    def _read(self) -> None:
        try:
            self.records = sample_of(self._until_stopped(), MOST_RECORDS)
            self._known = self.vocabulary() if self.vocabulary is not None else None
        except TcmstructError as error:
            self.fault = error.what
        except Exception as error:  # its message may hold record text: kind and place only
            self.fault = fault_place(error)
        with self._lock:
            self._checked.clear()
            self.ready = True

    def _until_stopped(self) -> Iterable[TrialRecord]:
        for record in self.source():
            if self._stop.is_set():
                return
            yield record

    def attempt(self, given: Attempt) -> dict[str, Any]:
        """What a pack would extract, as the page draws it."""
        toml, refused = given.toml, None
        if given.edit is not None or given.rename is not None:
            toml, refused = _edited(given.toml, given.edit, given.rename)
        checked, trials = self._tried(toml, given.field)
        chosen = trials.get(given.field or "")
        return {"toml": toml, "refused": refused, "pack": _pack_name(checked.data), "ready": self.ready, "fault": self.fault,
                "records": len(self.records), "faults": checked.faults, "findings": [_shown(one) for one in checked.findings],
                "topics": shared_topics(), "own_topics": _tables(checked.data, "topics"), "beside": list(checked.beside),
                "fields": [_field(name, spec, trials.get(name)) for name, spec in _tables(checked.data, "fields").items()],
                "found": None if chosen is None else self._found(chosen)}

    def _tried(self, toml: str, chosen: str | None) -> tuple[Checked, dict[str, FieldTrial]]:
        """The pack with its trials; near misses are looked for of the chosen field only, since who types is waiting."""
        raw = toml.encode("utf-8")
        digest = digest_of(raw)
        with self._lock:
            if digest not in self._checked:
                _keep(self._checked, digest, check_pack(raw, "pack", known=self._known))
            checked = self._checked[digest]
            if checked.schema is None or not self.ready:
                return checked, {}
            if (digest, chosen) not in self._trials:
                explained = [chosen] if chosen in checked.names else []
                _keep(self._trials, (digest, chosen), try_fields(checked.schema, checked.names, self.records, explained))
            return checked, self._trials[digest, chosen]

    def _found(self, one: FieldTrial) -> dict[str, Any]:
        hits = [{"value": [plain(value) for value in shown_values(hit.value.value)], "confidence": round(hit.value.confidence, 2),
                 **self._words(hit.record, hit.value.start, hit.value.end)} for hit in one.some_hits(SHOWN)]
        near = [{"zh": plain(reason_said(miss.reason, miss.given, "zh")), "en": plain(reason_said(miss.reason, miss.given)),
                 **self._words(miss.record, miss.start, miss.end)} for miss in one.some_misses(SHOWN)]
        told = one.to_dict()
        told["values"] = [[plain(value), count] for value, count in one.values]
        return {**told, "hits": hits, "near": near}

    def _words(self, number: int, start: int, end: int) -> dict[str, Any]:
        record = self.records[number]
        before, words, behind = around(record, start, end, SIDE)
        return {"id": plain(record.id), "row": record.row, "before": pieces(before), "words": pieces(words), "behind": pieces(behind)}


def _edited(toml: str, edit: Edit | None, rename: str | None) -> tuple[str, dict[str, str] | None]:
    """The text with the edit made, or as it was and why it was not made."""
    try:
        fields = _tables(tomllib.loads(toml), "fields")
    except (ValueError, RecursionError):
        return toml, {"zh": "右侧的 TOML 有误，先改正它", "en": "the TOML has a fault; mend it first"}
    if edit is not None and edit.name is not None and edit.name != edit.was and edit.name in fields:
        return toml, {"zh": f"已有字段 {plain(edit.name)}", "en": f"there is a field {plain(edit.name)} already"}
    try:
        edited = toml if rename is None else renamed(toml, rename)
        if edit is None:
            return edited, None
        for name, topic in edit.topics.items():
            edited = with_topic(edited, name, topic)
        return with_field(edited, edit.was, edit.name, edit.spec), None
    except (ValueError, RecursionError, TypeError):
        return toml, {"zh": "这个字段的写法不能由表单修改，请改 TOML", "en": "the form cannot change this field; edit the TOML"}


def _shown(one: Finding) -> dict[str, Any]:
    told = one.to_dict()
    return {**told, "zh": plain(told["zh"]), "en": plain(told["en"]), "place": plain(told["place"])}


def _field(name: str, spec: Any, tried: FieldTrial | None) -> dict[str, Any]:
    return {"name": name, "label": plain(name), "spec": spec,
            "stated": None if tried is None else tried.stated, "denied": None if tried is None else tried.denied}


def _keep(answers: dict[Any, Any], key: Any, answer: Any) -> None:
    """The newest answers; the oldest makes room."""
    if len(answers) >= KEPT_ANSWERS:
        del answers[next(iter(answers))]
    answers[key] = answer


def _pack_name(data: Mapping[str, Any]) -> str:
    pack = data.get("pack")
    return str(pack.get("name", "")) if isinstance(pack, Mapping) else ""


def _tables(data: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """The fields or topics of a pack; what is no table, or holds what JSON cannot, is an empty one."""
    found = data.get(kind)
    return {name: one if _is_shown(one) else {} for name, one in found.items()} if isinstance(found, Mapping) else {}


def _is_shown(table: Any) -> bool:
    try:
        return isinstance(table, Mapping) and bool(orjson.dumps(table))
    except TypeError:
        return False

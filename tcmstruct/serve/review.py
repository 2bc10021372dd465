"""The review page's data: a folder of `convert`, what reviewers decided, and the routes under /review."""

from __future__ import annotations

import getpass
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key
from starlette.responses import Response

import tcmstruct
from tcmstruct.errors import TcmstructError
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.labels import ENTITY_TYPES, STATUSES, TYPES_WITH_STATUS
from tcmstruct.report import palette
from tcmstruct.report.photo_panel import panel
from tcmstruct.report.source import Output, open_output
from tcmstruct.report.view_page import provenance
from tcmstruct.schema.engine import Schema
from tcmstruct.serve.answers import as_json, problem
from tcmstruct.serve.bodies import in_thread, read_body
from tcmstruct.serve.decisions import Decision, correction_of, held_fields
from tcmstruct.serve.folder_index import DONE, MAX_PAGE, OPEN, ORDERS, STATES, TOUCHED, FolderIndex
from tcmstruct.serve.folder_index import Query as Wanted
from tcmstruct.serve.guard import Gate
from tcmstruct.serve.pages import page_routes
from tcmstruct.serve.photos import seen_photo
from tcmstruct.serve.showing import record_of, shown_line, shown_record
from tcmstruct.serve.store import Standing, Store, standing
from tcmstruct.serve.workers import Workers


@dataclass(slots=True)
class Review:
    """A folder under review.

    Attributes:
        output: what `convert` wrote.
        store: where decisions go.
        schema: the fields with their types and allowed values.
        reviewer: name that the page starts with.
    """

    output: Output
    store: Store
    schema: Schema
    reviewer: str = ""
    index: FolderIndex = field(init=False)
    groups: Mapping[str, Sequence[str]] = field(init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _seen: int = 0

    def __post_init__(self) -> None:
        self.index = FolderIndex(self.output.records)
        self.groups = self.output.groups() or _by_department(self.schema)
        self.reviewer = self.reviewer or _user()

    def start(self) -> None:
        """Reads the folder in the background; the page works with what was read so far."""
        self._seen = self.store.last()
        self._thread = threading.Thread(target=self._build, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until the folder is read."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        self._stop.set()
        self.wait()
        self.store.close()

    def stands(self, data: Mapping[str, Any]) -> Standing:
        return standing(self.store.of(str(data["id"]), str(data["text_sha256"])))

    def shown(self, row: int) -> dict[str, Any]:
        data = self.index.read(row)
        return shown_record(data, row, self.stands(data), self.groups)

    def decide(self, row: int, given: Decision) -> dict[str, Any] | None:
        """Stores a decision and shows the record as it is then; None where another reviewer was faster.

        Raises:
            TcmstructError: the decision is not allowed, or cannot be stored.
        """
        with self._lock:
            data = self.index.read(row)
            stands = self.stands(data)
            if given.after < stands.last:
                return None
            self.store.add(correction_of(given, data, stands, self.schema.fields))
            self._refresh(row, data)
        return self.shown(row)

    def undo(self, who: str) -> dict[str, Any] | None:
        """Takes back the reviewer's last decision that still counts; the record it was of, or None."""
        with self._lock:
            last = self.store.last_of(who)
            row = None if last is None else self.index.row_of(last.record_id)
            if last is None or row is None:
                return None
            data = self.index.read(row)
            self.store.add(replace(last, action="undo", old=last.new, new=last.old, undoes=last.id, who=who))
            self._refresh(row, data)
        return {**self.shown(row), "undone": {"target": last.target, "name": last.name, "action": last.action}}

    def progress(self) -> dict[str, Any]:
        index = self.index
        self._catch_up()
        return {"records": len(index), "done": int((index.state == DONE).sum()), "touched": int((index.state == TOUCHED).sum()),
                "flagged": index.flagged, "decided": int(index.decided.sum()), "ready": index.ready, "share": index.share,
                "fault": index.fault}

    def _build(self) -> None:
        self.index.build(lambda first, end: None, self._stop)
        for id, digest in self.store.touched():
            self._refresh_id(id, digest)

    def _catch_up(self) -> None:
        """Takes in what another server on the same store has added."""
        last = self.store.last()
        if self.index.ready and last > self._seen:
            seen, self._seen = self._seen, last
            for id, digest in self.store.since(seen):
                self._refresh_id(id, digest)

    def _refresh_id(self, id: str, digest: str) -> None:
        row = self.index.row_of(id)
        if row is not None:
            data = self.index.read(row)
            if data.get("text_sha256") == digest:
                self._refresh(row, data)

    def _refresh(self, row: int, data: Mapping[str, Any]) -> None:
        """What the list's filters know of a record's decisions."""
        stands = self.stands(data)
        flagged = [one for one in held_fields(data, stands) if one.flagged]
        self.index.state[row] = DONE if stands.done else TOUCHED if stands.decisions else OPEN
        self.index.decided[row] = len(flagged) if stands.done else sum(one.decision is not None for one in flagged)


def open_review(out: Path, store_url: str, schema: Schema, reviewer: str | None = None) -> Review:
    """
    Args:
        out: folder of `convert`, or a `records.jsonl`.
        store_url: of SQLAlchemy.

    Raises:
        InputRefused: the folder or the store cannot be used.
    """
    output = open_output(out)
    return Review(output, Store(store_url), schema, reviewer or "")


class Undo(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    who: Annotated[str, Key(min_length=1, max_length=100)]


def review_router(review: Review, workers: Workers, gate: Gate, image_root: Path | None = None, own_fields: bool = False) -> APIRouter:
    """The page, its files, and the data under /review; `own_fields` tells the page that the schema editor is served too."""
    router = APIRouter()
    page_routes(router, gate, "review.html")

    @router.get("/review/facts")
    def facts() -> Response:
        """What the page needs once."""
        fields = [{"name": one.name, "department": one.department, "type": one.type, "values": one.values, "unit": one.unit,
                   "range": one.spec.range} for one in review.schema.fields.values()]
        return as_json({"version": tcmstruct.__version__, "reviewer": review.reviewer, "fields": fields, "types": ENTITY_TYPES,
                        "statuses": STATUSES, "with_status": sorted(TYPES_WITH_STATUS), "photos": image_root is not None,
                        "own_fields": own_fields,
                        "type_classes": {name: palette.type_class(name) for name in ENTITY_TYPES},
                        "families": [{"zh": one.zh, "en": one.en, "types": [[name, palette.TYPE_EN[name]] for name in one.types]}
                                     for one in palette.FAMILIES],
                        "status_classes": [[name, palette.status_class(name), palette.STATUS_EN[name]] for name in STATUSES],
                        "provenance": provenance(review.output.manifest)})

    @router.get("/review/progress")
    def progress() -> Response:
        return as_json({**review.progress(), "depts": _counted(review.index.depts), "fields": _counted(review.index.fields)})

    @router.get("/review/records")
    def records(q: Annotated[str, Query(max_length=200)] = "", dept: str = "", field: str = "", value: str = "", status: str = "",
                state: str = "all", order: str = "file", cursor: int | None = None, back: bool = False,
                limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 50) -> Response:
        """A page of the list."""
        if state not in STATES or order not in ORDERS or (cursor is not None and not 0 <= cursor < len(review.index)):
            return problem(422, "query_invalid", f"state is one of {', '.join(STATES)}; order one of {', '.join(ORDERS)}; cursor a row")
        found = review.index.page(Wanted(q, dept, field, value, status, state, order), cursor=cursor, back=back, limit=limit)
        index = review.index
        lines = []
        for row in found.rows:
            data = index.read(row)
            flagged = sum(bool(one.get("review")) for one in (data.get("fields") or {}).values())
            lines.append(shown_line(data, row, int(index.state[row]), flagged - int(index.decided[row])))
        return as_json({"first": found.first, "total": found.total, "records": lines})

    @router.get("/review/records/{row}")
    def record(row: int) -> Response:
        return _found(lambda: review.shown(row))

    @router.post("/review/records/{row}")
    async def decide(row: int, request: Request) -> Response:
        given = read_body(Decision, await request.body())
        return given if isinstance(given, Response) else await in_thread(lambda: _found(lambda: review.decide(row, given), _CONFLICT))

    @router.post("/review/undo")
    async def undo(request: Request) -> Response:
        given = read_body(Undo, await request.body())
        return given if isinstance(given, Response) else await in_thread(lambda: _found(lambda: review.undo(given.who), _NOTHING))

    @router.get("/review/records/{row}/photo")
    async def photo(row: int) -> Response:
        """The photograph, its outline, and where the mentions looked."""
        if image_root is None:
            return problem(404, "no_photos", "the server was started without --image-root")
        shown = await in_thread(lambda: _found_data(review, row))
        if isinstance(shown, Response):
            return shown
        data, said = shown
        record = record_of(data, said["marks"], said["mentions"])
        seen = await workers.call(seen_photo, record, str(image_root))

        def photos(_: Any) -> Any:
            if isinstance(seen, str):
                raise ImageRefused(seen)
            return seen

        found = panel(record, record, photos, {number: number for number in range(len(record.entities))})
        if found is None:
            return problem(404, "no_photo", "the record names no photograph")
        return as_json({"name": found.name, "refused": found.refused, "src": found.src, "width": found.width, "height": found.height,
                        "points": found.points, "matrix": found.matrix, "looks": found.looks, "measures": found.measures})

    return router


_CONFLICT = problem(409, "seen_too_little", "another reviewer has decided on this record since it was opened", "look at it again")
_NOTHING = problem(404, "nothing_to_undo", "there is no decision of this reviewer to take back")


def _found(make: Callable[[], dict[str, Any] | None], otherwise: Response | None = None) -> Response:
    try:
        made = make()
    except IndexError:
        return problem(404, "no_such_record", "the folder has no such record")
    except TcmstructError as error:
        return problem(409 if error.code == "records_changed" else 422, error.code, error.what, error.hint)
    return as_json(made) if made is not None else otherwise or problem(404, "not_found", "there is nothing at this address")


def _found_data(review: Review, row: int) -> tuple[dict[str, Any], dict[str, Any]] | Response:
    try:
        return review.index.read(row), review.shown(row)
    except IndexError:
        return problem(404, "no_such_record", "the folder has no such record")


def _counted(names: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(dict(names).items(), key=lambda one: (-one[1], one[0]))


def _by_department(schema: Schema) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for name, one in schema.fields.items():
        groups.setdefault(one.department, []).append(name)
    return groups


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "reviewer"

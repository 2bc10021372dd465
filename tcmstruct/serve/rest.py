"""`/v1`: records in, StructuredRecords out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.responses import Response, StreamingResponse

import tcmstruct
from tcmstruct.labels import ENTITY_TYPES, STATUSES
from tcmstruct.serve.answers import as_json, problem
from tcmstruct.serve.limits import Limits
from tcmstruct.serve.microbatch import MOST, MicroBatcher
from tcmstruct.serve.wire import FaultOut, Health, RecordIn, RecordOut, RefusedOut, SchemaOut, job_of, read_record
from tcmstruct.serve.workers import WORKER_LOST, Answer, Job, Refused, Workers

JSON, NDJSON, FORM = "application/json", "application/x-ndjson", "multipart/form-data"
_FORM_KEYS = {"text", "id", "dept", "photo", "adapter"}


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes need."""

    workers: Workers
    batcher: MicroBatcher[Job, Answer]
    limits: Limits


def _faults(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": FaultOut, "description": _MEANING[status]} for status in statuses}


_MEANING = {
    400: "the body is not what its Content-Type says", 401: "the token is missing or wrong", 403: "unknown Host, or another site's page",
    408: "the body came too slowly", 413: "the body, or the number of records, is beyond the limit",
    415: "the Content-Type is not one of those below", 422: "the record cannot be used; `code` says why",
    500: "the server failed on this record", 503: "every place is taken: try again after Retry-After seconds",
    504: "no answer in time",
}


def _body(**kinds: Any) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind, schema in kinds.items()}}}


_RECORD = RecordIn.model_json_schema()
_IN_FORM = {**_RECORD, "title": "RecordForm", "properties": {**_RECORD["properties"], "photo": {"type": "string", "format": "binary"}}}


def rest_router(service: Service) -> APIRouter:
    """The routes under /v1, and /healthz."""
    router = APIRouter()

    @router.get("/healthz", response_model=Health, tags=["server"], summary="Is the server up?")
    async def healthz() -> Response:
        """Answered without a token, and while every place is taken."""
        return as_json({"status": "ok"})

    @router.get("/v1/schema", response_model=SchemaOut, responses=_faults(401, 403, 503, 504), tags=["records"],
                summary="The fields, types and statuses that answers hold")
    async def schema() -> Response:
        facts = await service.workers.facts()
        return as_json({"version": tcmstruct.__version__, "model": facts.model, "schema": facts.schema,
                        "review_below": facts.review_below, "adapters": facts.adapters, "fields": facts.fields,
                        "entity_types": ENTITY_TYPES, "statuses": STATUSES})

    @router.post("/v1/structure", response_model=RecordOut, responses=_faults(400, 401, 403, 408, 413, 415, 422, 500, 503, 504),
                 tags=["records"], summary="Structure one record", openapi_extra=_body(**{JSON: _RECORD, FORM: _IN_FORM}))
    async def structure(request: Request) -> Response:
        """The text alone, or with a tongue photograph (base64 in JSON, a file in a form) as second witness."""
        kind = _kind(request)
        if kind == JSON:
            try:
                job = read_record(orjson.loads(await request.body()))
            except orjson.JSONDecodeError:
                return _not_json()
        elif kind == FORM:
            job = await _from_form(request, service.limits)
        else:
            return _wrong_kind(JSON, FORM)
        if isinstance(job, Refused):
            return _refusal(job)
        answer = await service.batcher.put(job)
        return _refusal(answer) if isinstance(answer, Refused) else Response(answer, media_type=JSON)

    @router.post("/v1/batch", responses={200: {"content": {NDJSON: {"schema": {
        "type": "string", "description": "a line for each record, in order: a StructuredRecord, or {id, row, error}"}}}},
        **_faults(400, 401, 403, 408, 413, 415, 503, 504)}, response_class=StreamingResponse, tags=["records"],
        summary="Structure many records, answered line by line",
        openapi_extra=_body(**{JSON: {"type": "array", "items": _RECORD}, NDJSON: {"type": "string"}}))
    async def batch(request: Request) -> Response:
        """A JSON list, or JSON Lines. A record that cannot be used costs its own line only."""
        kind, body = _kind(request), await request.body()
        if kind == JSON:
            try:
                items = orjson.loads(body)
            except orjson.JSONDecodeError:
                return _not_json()
            if not isinstance(items, list):
                return problem(400, "not_a_list", "the body is JSON, but no list", f"send JSON Lines as {NDJSON}")
            number = len(items)
        elif kind == NDJSON:
            items, number = _lines(body), body.count(b"\n") + 1
        else:
            return _wrong_kind(JSON, NDJSON)
        if number > service.limits.batch_records:
            return problem(413, "too_many_records", f"{number:,} records, at most {service.limits.batch_records:,} are allowed",
                           "send them in several requests")
        return StreamingResponse(_answers(service, iter(items)), media_type=NDJSON)

    return router


async def _answers(service: Service, items: Iterator[Any]) -> AsyncIterator[bytes]:
    """A line for each item, in order. Only a window of them is in the queue, so that memory and waiting stay bounded."""
    window = 2 * MOST * service.workers.slots
    under_way: deque[tuple[int, str | None, asyncio.Future[Answer] | Refused]] = deque()
    row, left = 0, True
    try:
        while left or under_way:
            while left and len(under_way) < window:
                item = next(items, _END)
                if item is _END:
                    left = False
                    break
                row += 1
                job = item if isinstance(item, Refused) else read_record(item)
                id = job.record.id if isinstance(job, Job) else _id_of(item)
                under_way.append((row, id, service.batcher.put(job, urgent=False) if isinstance(job, Job) else job))
            pieces = []
            while under_way:
                number, id, outcome = under_way[0]
                if not isinstance(outcome, Refused):
                    if not outcome.done() and pieces:
                        break  # what is ready goes out before the next is waited for
                    outcome = await _in_time(outcome, service.limits.request_s)
                under_way.popleft()
                pieces.append(outcome if isinstance(outcome, bytes) else _line(number, id, outcome))
            yield b"".join(pieces)
    finally:
        for _, _, outcome in under_way:
            if not isinstance(outcome, Refused):
                outcome.cancel()


async def _in_time(outcome: asyncio.Future[Answer], seconds: float) -> Answer:
    try:
        async with asyncio.timeout(seconds):
            return await outcome
    except TimeoutError:
        return Refused("too_slow", f"no answer within {seconds:g} s")


_END = object()


def _lines(body: bytes) -> Iterator[Any]:
    for line in body.split(b"\n"):
        if line.strip():
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                yield Refused("json_invalid", "the line is not JSON")


def _line(row: int, id: str | None, refused: Refused) -> bytes:
    told = RefusedOut(id=id, row=row, error={"code": refused.code, "message": refused.reason})  # type: ignore[arg-type]
    return orjson.dumps(told.model_dump(exclude_none=True) | {"id": id}, option=orjson.OPT_APPEND_NEWLINE)


def _id_of(item: Any) -> str | None:
    """The id of a record that was refused, where it is one."""
    id = item.get("id") if isinstance(item, dict) else None
    return id if isinstance(id, str) and len(id) <= 200 else None


class _InMemory(MultiPartParser):
    """A form whose file never touches the disk: the limit on bodies bounds it already."""

    spool_max_size = 2**40


async def _from_form(request: Request, limits: Limits) -> Job | Refused:
    try:
        form = await _InMemory(request.headers, request.stream(), max_files=1, max_fields=4,
                               max_part_size=limits.body_bytes).parse()
    except MultiPartException:
        return Refused("form_invalid", "the body is not a form of text, id, dept, adapter and one photo")
    try:
        if len(form.multi_items()) != len(form) or not form.keys() <= _FORM_KEYS:
            return Refused("request_invalid", "a form has each of text, id, dept, adapter and photo once at most, and nothing else")
        given = {name: part for name, part in form.items() if isinstance(part, str)}
        files = {name: part for name, part in form.items() if not isinstance(part, str)}
        if "photo" in given or files.keys() - {"photo"}:
            return Refused("request_invalid", "photo is a file; text, id, dept and adapter are not")
        checked = read_record(given)
        if isinstance(checked, Refused) or not files:
            return checked
        record = checked.record
        return job_of(record.text, record.id, record.dept, await files["photo"].read(), checked.adapter)
    finally:
        await form.close()


def _kind(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _not_json() -> Response:
    return problem(400, "json_invalid", "the body is not JSON in UTF-8")


def _wrong_kind(*allowed: str) -> Response:
    return problem(415, "content_type", f"the Content-Type is not one of {', '.join(allowed)}")


_STATUS = {"form_invalid": 400, WORKER_LOST: 503, "structuring_failed": 500, "result_invalid": 500, "out_of_memory": 503}
"""Of a refusal; every other is 422."""


def _refusal(refused: Refused) -> Response:
    status = _STATUS.get(refused.code, 422)
    return problem(status, refused.code, refused.reason, headers={"Retry-After": "5"} if status == 503 else None)

"""The server's application: the routes, inside their bounds, behind the guard."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp

import tcmstruct
from tcmstruct.errors import TcmstructError, UsageError
from tcmstruct.runtime.memory import CHUNK_CHARS
from tcmstruct.serve.answers import problem
from tcmstruct.serve.bounds import Bounds
from tcmstruct.serve.guard import Gate, Guard
from tcmstruct.serve.limits import Limits
from tcmstruct.serve.microbatch import MicroBatcher
from tcmstruct.serve.rest import Service, rest_router
from tcmstruct.serve.workers import Answer, Job, Workers

LIMITS = Limits()


def make_app(workers: Workers, gate: Gate, limits: Limits = LIMITS, routers: Sequence[APIRouter] = ()) -> ASGIApp:
    """
    Args:
        workers: the structurer; closed when the application ends.
        gate: who may call.
        routers: beside those of `rest`, such as the review page's.
    """
    batcher: MicroBatcher[Job, Answer] = MicroBatcher(
        workers.answer, workers.slots, size=lambda job: len(job.record.text), most_size=CHUNK_CHARS)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await batcher.close()
        workers.close()

    app = FastAPI(title="tcmstruct", version=tcmstruct.__version__, lifespan=lifespan, openapi_url="/v1/openapi.json",
                  docs_url=None, redoc_url=None,  # FastAPI's pages for these load their scripts from elsewhere
                  summary="Free-text TCM records → fields with evidence. Not a diagnostic device. 不用于诊断。")
    app.include_router(rest_router(Service(workers, batcher, limits)))
    for router in routers:
        app.include_router(router, include_in_schema=False)
    for kind, answer in _FAULTS:
        app.add_exception_handler(kind, answer)  # type: ignore[arg-type]
    return Guard(Bounds(app, limits), gate)


async def _http(_: Request, error: StarletteHTTPException) -> Response:
    codes = {404: ("not_found", "there is nothing at this address"), 405: ("method", "this address does not take the method")}
    code, message = codes.get(error.status_code, ("refused", "the request cannot be used"))
    return problem(error.status_code, code, message, headers=error.headers)


async def _invalid(_: Request, error: RequestValidationError) -> Response:
    """The kind of fault and its place in the program's own names; never what was sent."""
    kinds = sorted({str(fault["type"]) for fault in error.errors()})
    return problem(422, "request_invalid", f"the request does not fit: {', '.join(kinds)}")


async def _known(_: Request, error: TcmstructError) -> Response:
    status = 409 if error.code == "records_changed" else 422 if isinstance(error, UsageError) else 500
    return problem(status, error.code, error.what, error.hint)


async def _failed(_: Request, error: Exception) -> Response:
    return problem(500, "failed", "the server failed on this request; its log names the kind and place of the fault")


_FAULTS = ((StarletteHTTPException, _http), (HTTPException, _http), (RequestValidationError, _invalid), (TcmstructError, _known),
           (Exception, _failed))

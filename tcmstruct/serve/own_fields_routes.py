"""The page on which fields are written, and its data under /schema."""

from __future__ import annotations

from typing import Annotated, get_args

import anyio
import anyio.to_thread
from fastapi import APIRouter, Query, Request
from starlette.responses import Response

import tcmstruct
from tcmstruct.errors import TcmstructError
from tcmstruct.schema.pack import Kind as FieldKind
from tcmstruct.serve.answers import as_json, problem
from tcmstruct.serve.bodies import read_body
from tcmstruct.serve.own_fields import Attempt, Desk
from tcmstruct.serve.own_packs import Kind, PackFolder, Saving
from tcmstruct.serve.pages import page

AT_ONCE = 2
"""Packs tried at the same time; who types on waits for the answer before."""
_STATUS = {"no_such_pack": 404, "no_folder": 404, "pack_changed": 409}


def own_fields_router(desk: Desk, packs: PackFolder) -> APIRouter:
    """The page at /schema, and what it asks for."""
    router = APIRouter()
    places = anyio.CapacityLimiter(AT_ONCE)

    @router.get("/schema")
    async def own_fields_page() -> Response:
        return page("own.html")

    @router.get("/schema/facts")
    def facts() -> Response:
        """What the page needs once."""
        return as_json({"version": tcmstruct.__version__, "kinds": get_args(FieldKind), "saves": packs.folder is not None,
                        "folder": packs.folder.name if packs.folder is not None else "", "reviewed": desk.reviewed, **packs.names()})

    @router.get("/schema/packs/{kind}")
    def pack(kind: Kind, name: Annotated[str, Query(max_length=60)] = "") -> Response:
        try:
            return as_json(packs.read(kind, name))
        except TcmstructError as error:
            return _refused(error)

    @router.post("/schema/packs/saved")
    async def save(request: Request, name: Annotated[str, Query(max_length=60)]) -> Response:
        given = read_body(Saving, await request.body())
        if isinstance(given, Response):
            return given
        try:
            return as_json(await anyio.to_thread.run_sync(packs.save, name, given))
        except TcmstructError as error:
            return _refused(error)

    @router.post("/schema/try")
    async def attempt(request: Request) -> Response:
        """What a pack would extract; nothing is kept of it."""
        given = read_body(Attempt, await request.body())
        if isinstance(given, Response):
            return given
        return as_json(await anyio.to_thread.run_sync(desk.attempt, given, limiter=places))

    return router


def _refused(error: TcmstructError) -> Response:
    return problem(_STATUS.get(error.code, 422), error.code, error.what, error.hint)

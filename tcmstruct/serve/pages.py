"""The pages' own files, and the way in for people who have the token."""

from __future__ import annotations

from importlib.resources import files
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key
from starlette.responses import RedirectResponse, Response

from tcmstruct.report import palette
from tcmstruct.serve.answers import problem
from tcmstruct.serve.bodies import read_body
from tcmstruct.serve.guard import COOKIE, SESSION_S, Gate

_ASSETS = files("tcmstruct.serve") / "assets"
_REPORT_ASSETS = files("tcmstruct.report") / "assets"
_KINDS = {".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}


def page(name: str) -> Response:
    """A page of the assets; `name` is the program's own."""
    return Response((_ASSETS / name).read_bytes(), media_type="text/html; charset=utf-8")


def page_routes(router: APIRouter, gate: Gate, home: str) -> None:
    """Fixed files, read once: nothing that an address says leads to the disk.

    Args:
        home: page at /, or an address (/…) that / leads to.
    """
    served = {path.name: path.read_bytes() for path in _ASSETS.iterdir() if path.name.endswith((*_KINDS, ".html"))}
    for name in ("base.css", "photo.css"):
        served[f"report-{name}"] = (_REPORT_ASSETS / name).read_bytes()
    served["palette.css"] = palette.css().encode()

    @router.get("/")
    async def front() -> Response:
        return RedirectResponse(home, 303) if home.startswith("/") else Response(served[home], media_type="text/html; charset=utf-8")

    @router.get("/login")
    async def login_page() -> Response:
        if gate.token is None:
            return RedirectResponse("/", 303)
        return Response(served["login.html"], media_type="text/html; charset=utf-8")

    @router.post("/login")
    async def login(request: Request) -> Response:
        """A session for the page, in a cookie that scripts cannot read and other sites do not send."""
        given = read_body(_Token, await request.body())
        if isinstance(given, Response):
            return given
        if not gate.is_token(given.token):
            return problem(401, "token_wrong", "the token is wrong")
        response = Response(status_code=204)
        response.set_cookie(COOKIE, gate.open_session(), max_age=SESSION_S, httponly=True, samesite="strict",
                            secure=request.url.scheme == "https")
        return response

    @router.get("/static/{name}")
    async def static(name: str) -> Response:
        kind = _KINDS.get("." + name.rsplit(".", 1)[-1])
        if kind is None or name not in served:
            return problem(404, "not_found", "there is nothing at this address")
        return Response(served[name], headers={"content-type": kind, "cache-control": "no-cache"})


class _Token(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    token: Annotated[str, Key(max_length=500)]

"""Answers that say what went wrong, in one JSON shape and without a word of a record."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import JSONResponse, Response
from starlette.types import Message, Receive, Scope, Send

DRAIN_S = 2.0
"""How long the rest of a refused body is still read, so that the client gets to read why it was refused."""


def problem(status: int, code: str, message: str, hint: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """`{"error": {"code", "message", "hint"}}`; `code` is stable, `message` is a sentence for people."""
    told = {"code": code, "message": message, **({"hint": hint} if hint else {})}
    return JSONResponse({"error": told}, status, headers)


def busy(seconds: int = 1) -> Response:
    return problem(503, "busy", "as many requests as allowed are being worked on", "try again after Retry-After seconds",
                   {"Retry-After": str(seconds)})


async def refuse(scope: Scope, receive: Receive, send: Send, response: Response, read: bool = False) -> None:
    """Sends an answer before the request was read to its end.

    A server that closes at once takes the answer from under a client that is still sending (RFC 9112, 9.6): what comes is
    read and thrown away for a while, then the connection is closed. `read` tells that the body was read already.
    """
    headers = dict(scope["headers"])
    unread = not read and (headers.get(b"content-length", b"0") != b"0" or b"transfer-encoding" in headers)
    if unread:
        response.headers["connection"] = "close"
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": unread})
    if unread:
        await _drain(receive)
        await send({"type": "http.response.body", "body": b""})


async def _drain(receive: Receive) -> None:
    end = time.monotonic() + DRAIN_S
    while (left := end - time.monotonic()) > 0:
        try:
            async with asyncio.timeout(left):
                message: Message = await receive()
        except TimeoutError:
            return
        if message["type"] != "http.request" or not message.get("more_body"):
            return


def headers_of(scope: Scope, name: bytes) -> list[bytes]:
    """Every value of a header; a request may name one twice."""
    return [value for key, value in scope["headers"] if key == name]


def as_json(data: Any, status: int = 200) -> Response:
    """JSON by orjson, which the other parts write with too."""
    return Response(orjson.dumps(data, option=orjson.OPT_SERIALIZE_NUMPY), status, media_type="application/json")

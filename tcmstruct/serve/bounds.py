"""How much one request may take: bytes, time, and a place among those that run at once."""

from __future__ import annotations

import asyncio
import logging
import time

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tcmstruct.batch.chunks import fault_place
from tcmstruct.serve.answers import busy, headers_of, problem, refuse
from tcmstruct.serve.limits import Limits

log = logging.getLogger("tcmstruct.serve")

HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"content-security-policy",
     b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
     b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""Of every answer: nothing is loaded but from this server, nothing inline runs, no other page may show or read it."""
ABORT = "tcmstruct.abort"
"""Extension of the ASGI scope: {"abort"} ends the connection without waiting for what the client has not taken."""
_FREE = frozenset({"/healthz"})
"""Answered even while every place is taken."""


class BodyTooLarge(Exception):
    """The body is longer than the limit."""


class BodyTooSlow(Exception):
    """The body is not whole in time."""


class Bounds:
    """ASGI middleware that holds requests to `limits`, and turns what fails inside into an answer without details.

    Attributes:
        running: requests that are worked on.
    """

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self.app, self.limits = app, limits
        self.running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        request = _Request(scope, receive, send, self.limits)
        if request.stated_bytes() > self.limits.body_bytes:
            return await refuse(scope, receive, request.send_on, self.too_large())
        if scope["path"] in _FREE:
            return await self._answer(request)
        if self.running >= self.limits.running:
            return await refuse(scope, receive, request.send_on, busy())
        self.running += 1
        try:
            await self._answer(request)
        finally:
            self.running -= 1

    async def _answer(self, request: _Request) -> None:
        try:
            async with asyncio.timeout(self.limits.request_s) as request.until_answer:
                await self.app(request.scope, request.receive, request.send)
                if request.failed is None:
                    return
                raise request.failed
        except BodyTooLarge:
            response = self.too_large()
        except BodyTooSlow:
            response = self.too_slow()
        except TimeoutError:
            response = problem(504, "too_slow", f"no answer within {self.limits.request_s:g} s", "send less at once, or raise --request-s")
        except ClientGone:
            return
        except Exception as error:  # its message may hold record text: kind and place only
            log.error("%s %s: %s", request.scope["method"], _route(request.scope), fault_place(error))
            response = problem(500, "failed", "the server failed on this request; its log names the kind and place of the fault")
        request.until_answer = None
        if request.finished:
            return
        if request.answered:
            raise ClientGone from None  # half an answer is out: the connection is closed, and the client sees it broken off
        await refuse(request.scope, request.raw_receive, request.send_on, response, request.read_whole)

    def too_large(self) -> Response:
        return problem(413, "body_too_large", f"the body is larger than {self.limits.body_bytes:,} bytes",
                       "send fewer records at once, or a smaller photograph")

    def too_slow(self) -> Response:
        return problem(408, "body_slow", f"the body was not whole within {self.limits.body_s:g} s")


class ClientGone(Exception):
    """The client left, or takes its answer too slowly."""


class _Request:
    """One request on its way: counts what comes in and watches what goes out."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, limits: Limits) -> None:
        self.scope, self.raw_receive, self._send, self.limits = scope, receive, send, limits
        self.read_bytes = 0
        self.read_whole = False
        self.read_until = time.monotonic() + limits.body_s
        self.answered = self.finished = False
        self.failed: Exception | None = None
        self.until_answer: asyncio.Timeout | None = None

    def stated_bytes(self) -> int:
        stated = headers_of(self.scope, b"content-length")
        return int(stated[0]) if stated and stated[0].isdigit() else 0

    async def receive(self) -> Message:
        if self.read_whole:
            return await self.raw_receive()  # nothing more comes but the end of the connection
        try:
            async with asyncio.timeout(max(0.0, self.read_until - time.monotonic())):
                message = await self.raw_receive()
        except TimeoutError:
            self.failed = BodyTooSlow()
            raise self.failed from None
        if message["type"] == "http.request":
            self.read_bytes += len(message.get("body", b""))
            self.read_whole = not message.get("more_body", False)
            if self.read_bytes > self.limits.body_bytes:
                self.failed = BodyTooLarge()
                raise self.failed
        return message

    async def send(self, message: Message) -> None:
        """On to the client; what the application says of a body that failed is left out, `Bounds` says it itself."""
        if self.failed is not None:
            return
        await self.send_on(message)

    async def send_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.answered = True
            if self.until_answer is not None:
                self.until_answer.reschedule(None)
            given = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *(pair for pair in HEADERS if pair[0] not in given)]
            if b"cache-control" not in given:
                message["headers"].append((b"cache-control", b"no-store"))
        try:
            async with asyncio.timeout(self.limits.send_s):
                await self._send(message)
        except (TimeoutError, OSError):
            self.scope.get("extensions", {}).get(ABORT, {}).get("abort", lambda: None)()
            raise ClientGone from None
        self.finished = message["type"] == "http.response.body" and not message.get("more_body", False)


def _route(scope: Scope) -> str:
    """The path as the program names it: what stands in an address may be data."""
    route = scope.get("route")
    return getattr(route, "path", "?")

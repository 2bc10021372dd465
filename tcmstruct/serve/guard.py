"""Who may call: the right host name, no foreign page, the right token.

A server on the loopback address is within reach of every page that the same machine's browser shows. Two checks keep such
pages out: the Host header has to be an address or a name of this server (a page that rebinds its own name to 127.0.0.1
sends that name), and what a browser sends on behalf of another site (Origin, Sec-Fetch-Site: Fetch Metadata, W3C) is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import stat
import time
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.serve.answers import headers_of, problem, refuse

TOKEN_VARIABLE = "TCMSTRUCT_TOKEN"
"""Environment variable that holds the token itself, for containers."""
MIN_TOKEN_CHARACTERS = 24
COOKIE = "tcmstruct_session"
SESSION_S = 12 * 3600
MAX_SESSIONS = 1000

_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")
PAGES = ("/", "/schema")
"""What a person opens by its address."""
_OPEN = ("/healthz", "/login")
_OPEN_PREFIX = "/static/"


def is_loopback(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_token(path: Path | None) -> str | None:
    """The token of `path`, else of $TCMSTRUCT_TOKEN; None where neither is given.

    Raises:
        InputRefused: the file cannot be read, others than its owner may read it, or the token is short or not plain.
    """
    if path is None:
        given = os.environ.get(TOKEN_VARIABLE)
        return None if not given else _checked(given, f"${TOKEN_VARIABLE}")
    try:
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputRefused("others than its owner may read the token", where=path.name, code="token_open",
                               hint="chmod 600 it")
        return _checked(path.read_text("ascii"), path.name)
    except OSError as error:
        raise InputRefused(f"the token cannot be read: {error.strerror or type(error).__name__}", where=path.name,
                           code="token_unreadable", hint="name another with --token-file") from None
    except UnicodeDecodeError:
        raise InputRefused("the token is not plain ASCII", where=path.name, code="token_invalid") from None


def _checked(text: str, where: str) -> str:
    text = text.strip()
    if len(text) < MIN_TOKEN_CHARACTERS or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise InputRefused(f"a token has at least {MIN_TOKEN_CHARACTERS} characters and no blank, found {len(text)}", where=where,
                           code="token_short", hint="openssl rand -hex 32 makes one")
    return text


@dataclass(slots=True)
class Gate:
    """What a caller has to show.

    Attributes:
        token: None where none is asked for.
        names: host names of this server, beside its addresses and localhost.
        sessions: of people who gave the token on the page: digest of the cookie → when it ends.
    """

    token: str | None = None
    names: frozenset[str] = frozenset()
    sessions: dict[bytes, float] = field(default_factory=dict)

    @classmethod
    def for_address(cls, host: str, token: str | None, names: frozenset[str] = frozenset()) -> Gate:
        """
        Raises:
            UsageError: others can reach `host`, and there is no token.
        """
        if token is None and not is_loopback(host):
            raise UsageError("other machines can reach this address, and no token is set", where="--host", code="token_needed",
                             hint=f"give --token-file F or ${TOKEN_VARIABLE}, or leave --host out")
        return cls(token, frozenset(name.lower() for name in names))

    def knows_host(self, value: str) -> bool:
        """Whether a Host header names this server. No address can be rebound, so every address is fine."""
        found = _HOST.fullmatch(value)
        if found is None:
            return False
        name = (found["six"] or found["name"]).lower()
        if name == "localhost" or name in self.names:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def is_token(self, given: str) -> bool:
        """In a time that does not depend on where the two differ."""
        if self.token is None:
            return True
        return hmac.compare_digest(_digest(given), _digest(self.token))

    def open_session(self) -> str:
        now = time.monotonic()
        self.sessions = {key: end for key, end in self.sessions.items() if end > now}
        while len(self.sessions) >= MAX_SESSIONS:
            del self.sessions[min(self.sessions, key=self.sessions.__getitem__)]
        cookie = secrets.token_urlsafe(32)
        self.sessions[_digest(cookie)] = now + SESSION_S
        return cookie

    def is_session(self, cookie: str) -> bool:
        return self.sessions.get(_digest(cookie), 0.0) > time.monotonic()


class Guard:
    """ASGI middleware that lets only those through whom `gate` knows."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        host = headers_of(scope, b"host")
        if len(host) != 1 or not self.gate.knows_host(host[0].decode("latin-1")):
            return await refuse(scope, receive, send, problem(
                403, "host_unknown", "the Host header names no address of this server", "name it with --allow-host"))
        if not _same_site(scope, host[0].decode("latin-1")):
            return await refuse(scope, receive, send, problem(
                403, "cross_site", "the request comes from another site's page"))
        if self.gate.token is not None and not self._open(scope["path"]) and not self._admitted(scope):
            if scope["method"] in ("GET", "HEAD") and scope["path"] in PAGES:
                return await refuse(scope, receive, send, RedirectResponse("/login", 303))
            return await refuse(scope, receive, send, problem(
                401, "token_wrong", "the token is missing or wrong", "send it as: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": "Bearer"}))
        await self.app(scope, receive, send)

    @staticmethod
    def _open(path: str) -> bool:
        return path in _OPEN or path.startswith(_OPEN_PREFIX)

    def _admitted(self, scope: Scope) -> bool:
        given = headers_of(scope, b"authorization")
        if given:
            scheme, _, token = given[0].decode("latin-1").partition(" ")
            return len(given) == 1 and scheme.lower() == "bearer" and self.gate.is_token(token.strip())
        return any(self.gate.is_session(cookie) for cookie in _cookies(scope))


def _same_site(scope: Scope, host: str) -> bool:
    """Whether a request comes from this server's own page, from a person, or from a program that is no browser."""
    for origin in headers_of(scope, b"origin"):
        named = urlsplit(origin.decode("latin-1"))
        if named.scheme not in ("http", "https") or named.netloc.lower() != host.lower():
            return False
    fetched = [value.decode("latin-1") for value in headers_of(scope, b"sec-fetch-site")]
    if all(value in ("same-origin", "none") for value in fetched):
        return True
    # A link on another page may open a page itself, as a person would by typing its address; nothing else.
    return scope["method"] == "GET" and scope["path"] in (*PAGES, "/login") and headers_of(scope, b"sec-fetch-dest") == [b"document"]


def _cookies(scope: Scope) -> list[str]:
    found = []
    for value in headers_of(scope, b"cookie"):
        try:
            morsel = SimpleCookie(value.decode("latin-1")).get(COOKIE)
        except CookieError:
            continue
        if morsel is not None:
            found.append(morsel.value)
    return found


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

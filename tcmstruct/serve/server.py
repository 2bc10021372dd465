"""Runs the application under uvicorn, with the bounds that only the connection itself can hold."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tcmstruct.errors import UsageError
from tcmstruct.serve.bounds import ABORT
from tcmstruct.serve.limits import Limits


def make_server(app: ASGIApp, limits: Limits, *, tls: tuple[Path, Path] | None = None,
                ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """A server whose `run([socket])` serves until SIGINT or SIGTERM; then running requests have `limits.shutdown_s` to end.

    Args:
        tls: certificate and key (PEM), or None.
        ready: called when requests are answered.
    """
    _quiet_logs()
    config = uvicorn.Config(
        app, http=_protocol(limits), ws="none", loop="auto", lifespan="on", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, timeout_keep_alive=limits.idle_s, timeout_graceful_shutdown=limits.shutdown_s, backlog=1024,
        **({} if tls is None else {"ssl_certfile": tls[0], "ssl_keyfile": tls[1]}))
    return _Server(config, ready)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        UsageError: the address cannot be used.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        raise UsageError(f"cannot listen there: {getattr(error, 'strerror', None) or type(error).__name__}", where=f"{host}:{port}",
                         code="address_unusable", hint="choose another --port, or stop what uses it") from None
    sock.listen(1024)
    return sock


class _Server(uvicorn.Server):
    """Ends quietly when it is asked to; uvicorn would raise the signal once more."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # where no signal arrives
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _protocol(limits: Limits) -> type[HttpToolsProtocol]:
    """uvicorn's HTTP/1.1 with a deadline and a size for headers, and a bound on open connections."""

    class Bounded(HttpToolsProtocol):
        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._head_bytes: int | None = 0
            self._deadline: asyncio.TimerHandle | None = None
            if len(self.connections) > limits.connections:
                transport.close()
                return
            self._wait_for_head()

        def data_received(self, data: bytes) -> None:
            if self._head_bytes is not None:
                self._head_bytes += len(data)
                if self._deadline is None:
                    self._wait_for_head()
                # Counted before it is parsed: the parser keeps what it reads of a header, however long.
                if self._head_bytes > limits.head_bytes and b"\r\n\r\n" not in data:
                    self.transport.abort()
                    return
            super().data_received(data)

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self.scope["extensions"] = {ABORT: {"abort": self.transport.abort}}  # type: ignore[typeddict-unknown-key]

        def timeout_keep_alive_handler(self) -> None:
            if self.transport.get_write_buffer_size():
                self.transport.abort()  # to close would mean to wait for a client that takes nothing
            super().timeout_keep_alive_handler()

        def on_headers_complete(self) -> None:
            self._head_bytes = None
            self._cancel()
            super().on_headers_complete()

        def on_response_complete(self) -> None:
            self._head_bytes = 0
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._cancel()
            super().connection_lost(exc)

        def _wait_for_head(self) -> None:
            self._deadline = self.loop.call_later(limits.head_s, self.transport.abort)

        def _cancel(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

    return Bounded


def _quiet_logs() -> None:
    """Lines on stderr without tracebacks: their messages may hold record text."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    handler.addFilter(_without_traceback)
    logging.getLogger("python_multipart").setLevel(logging.ERROR)  # its warnings name characters of the body
    for name in ("uvicorn", "uvicorn.error", "tcmstruct.serve", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers = [handler] if name != "uvicorn.error" else []
        logger.setLevel(logging.WARNING)
        logger.propagate = name == "uvicorn.error"


def _without_traceback(record: logging.LogRecord) -> bool:
    """What ends with a traceback was told already, by `bounds`; uvicorn's own copy of it is left out."""
    error: Any = record.exc_info
    record.exc_info = record.exc_text = record.stack_info = None
    return not error

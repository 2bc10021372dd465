"""What one server takes upon itself; beyond each of these a client is told so, and the others go on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the server. Times are seconds.

    Attributes:
        body_bytes: of one request's body; more is answered 413.
        head_bytes: of one request's line and headers; with more the connection is closed.
        head_s: from the first byte (or the opening of the connection) until the headers are whole.
        body_s: until the body is whole; a slower client is answered 408 and cut off.
        request_s: until an answer begins, and between two pieces of a streamed one; beyond it 504.
        send_s: that a client may leave a piece of its answer untaken.
        running: requests worked on at once; one more is answered 503 with Retry-After.
        connections: open at once; further ones are closed.
        idle_s: that an open connection may wait for its next request.
        batch_records: of one request to /v1/batch; more are answered 413.
        shutdown_s: that running requests have left when the server is asked to stop.
    """

    body_bytes: int = 32 * 2**20
    head_bytes: int = 64 * 2**10
    head_s: float = 10.0
    body_s: float = 30.0
    request_s: float = 60.0
    send_s: float = 30.0
    running: int = 64
    connections: int = 512
    idle_s: int = 30
    batch_records: int = 10_000
    shutdown_s: int = 30

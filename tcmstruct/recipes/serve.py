"""`tcmstruct serve [OUT]`: the REST interface, and the review page of a converted folder."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from tcmstruct.batch.resources import available_cores, default_workers
from tcmstruct.errors import UsageError
from tcmstruct.image.paths import image_folder
from tcmstruct.recipes.convert import StructurerFactory, share_of_limit
from tcmstruct.recipes.extras import needs
from tcmstruct.schema import load_schema

DEFAULT_PORT = 8765


def serve(out: Path | None = None, *, host: str = "127.0.0.1", port: int = DEFAULT_PORT, token_file: Path | None = None,
          names: Sequence[str] = (), store: str | None = None, reviewer: str | None = None, schema: Sequence[str] = ("all",),
          model: Path | None = None, codes: Path | None = None, image_root: Path | None = None, workers: int | None = None,
          memory_limit_bytes: int | None = None, body_bytes: int | None = None, request_s: float | None = None,
          running: int | None = None, tls_cert: Path | None = None, tls_key: Path | None = None) -> None:
    """Serves until it is interrupted.

    Args:
        out: folder of `convert` to review; None serves REST alone.
        host: address to listen on; any but a loopback one needs a token.
        port: 0 takes a free one.
        token_file: file (0600) with the token; None: $TCMSTRUCT_TOKEN, else none.
        names: host names under which the server is reached, beside its addresses and localhost.
        store: SQLAlchemy URL of the corrections; None: a SQLite file beside `out`.
        reviewer: who reviews, where the page is told nothing else; None: the user's name.
        schema, model, codes: as for `convert`.
        image_root: folder of the photographs that the records of `out` name; None shows none.
        workers: processes that structure; None takes one per core as far as memory allows.
        memory_limit_bytes: of all processes together.
        body_bytes, request_s, running: in place of `serve.limits.Limits`.
        tls_cert, tls_key: PEM files; both or none.

    Raises:
        UsageError: options that do not fit, or an address that cannot be used.
        InputRefused: the folder, the store, the model or the token cannot be used.
        MissingExtra: the extra [serve] is not installed.
    """
    with needs("serve", "serve"):
        from tcmstruct.serve.app import make_app
        from tcmstruct.serve.guard import Gate, read_token
        from tcmstruct.serve.limits import Limits
        from tcmstruct.serve.review import open_review, review_router
        from tcmstruct.serve.server import listen, make_server
        from tcmstruct.serve.store import default_url
        from tcmstruct.serve.workers import Workers

        if (tls_cert is None) != (tls_key is None):
            raise UsageError("a certificate and its key go together", where="--tls-cert", code="option_invalid")
        given = {"body_bytes": body_bytes, "request_s": request_s, "running": running}
        limits = Limits(**{name: value for name, value in given.items() if value is not None})
        gate = Gate.for_address(host, read_token(token_file), frozenset(names))
        if image_root is not None:
            image_folder(image_root)
        processes = workers or default_workers(memory_limit_bytes, photos=True)
        factory = StructurerFactory(
            None if model is None else str(model), tuple(schema), threads=max(1, available_cores() // processes),
            memory_limit_bytes=None if memory_limit_bytes is None else share_of_limit(memory_limit_bytes, processes),
            codes=None if codes is None else str(codes))
        structurers = Workers(factory, processes)
        review = None if out is None else open_review(out, store or default_url(out), load_schema(list(schema)), reviewer)
        routers = [] if review is None else [review_router(review, structurers, gate, image_root)]
        sock = listen(host, port)
        address = f"{'http' if tls_cert is None else 'https'}://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
        try:
            if review is None:  # a model that cannot be used is met now; a page for reviewing may never need one
                asyncio.run(structurers.warm())
            else:
                review.start()
            server = make_server(
                make_app(structurers, gate, limits, routers), limits,
                tls=None if tls_cert is None or tls_key is None else (tls_cert, tls_key),
                ready=lambda: print(f"serving {address}{'/' if out is not None else '/v1/'} · Ctrl-C stops", file=sys.stderr, flush=True))
            server.run([sock])
        finally:
            structurers.close()
            if review is not None:
                review.close()

"""`tcmstruct serve [OUT]`: the REST interface, the review page of a converted folder, and the page of own fields."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tcmstruct.batch.resources import available_cores, default_workers
from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.reader import open_sources
from tcmstruct.errors import UsageError
from tcmstruct.image.paths import image_folder
from tcmstruct.recipes.convert import StructurerFactory, share_of_limit
from tcmstruct.recipes.extras import needs
from tcmstruct.recipes.schema_pack import known_terms
from tcmstruct.recipes.schema_trial import is_result, read_records, trial_lines
from tcmstruct.report.source import open_output
from tcmstruct.runtime.adapter_folder import open_shelf
from tcmstruct.schema import load_schema

if TYPE_CHECKING:
    from fastapi import APIRouter

    from tcmstruct.serve.guard import Gate
    from tcmstruct.serve.own_fields import Desk

DEFAULT_PORT = 8765


def serve(out: Path | None = None, *, records: Path | str | None = None, mapping: Sequence[str] = (), encoding: str | None = None,
          schema_dir: Path | None = None, host: str = "127.0.0.1", port: int = DEFAULT_PORT, token_file: Path | None = None,
          names: Sequence[str] = (), store: str | None = None, reviewer: str | None = None, schema: Sequence[str] = ("all",),
          model: Path | None = None, codes: Path | None = None, adapters: Path | None = None, image_root: Path | None = None,
          workers: int | None = None, memory_limit_bytes: int | None = None, body_bytes: int | None = None, request_s: float | None = None,
          running: int | None = None, tls_cert: Path | None = None, tls_key: Path | None = None) -> None:
    """Serves until it is interrupted.

    Args:
        out: folder of `convert` to review, and to try own fields on; None serves REST alone.
        records: file of records to try own fields on, in place of `out`'s; the model reads the first of them.
        mapping, encoding: of `records`, as for `convert`.
        schema_dir: folder in which the page of own fields may save packs; None saves nowhere.
        host: address to listen on; any but a loopback one needs a token.
        port: 0 takes a free one.
        token_file: file (0600) with the token; None: $TCMSTRUCT_TOKEN, else none.
        names: host names under which the server is reached, beside its addresses and localhost.
        store: SQLAlchemy URL of the corrections; None: a SQLite file beside `out`.
        reviewer: who reviews, where the page is told nothing else; None: the user's name.
        schema, model, codes: as for `convert`.
        adapters: folder of hospitals' adapters; a request names one of them in `adapter` (docs/adapters.md).
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
        from tcmstruct.serve.own_fields_routes import own_fields_router
        from tcmstruct.serve.own_packs import PackFolder
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
        if adapters is not None:
            open_shelf(adapters)  # one that cannot be used is refused now, whether or not a model is loaded yet
        processes = workers or default_workers(memory_limit_bytes, photos=True)
        factory = StructurerFactory(
            None if model is None else str(model), tuple(schema), threads=max(1, available_cores() // processes),
            memory_limit_bytes=None if memory_limit_bytes is None else share_of_limit(memory_limit_bytes, processes),
            codes=None if codes is None else str(codes), adapters=None if adapters is None else str(adapters))
        structurers = Workers(factory, processes)
        review = None if out is None else open_review(out, store or default_url(out), load_schema(list(schema)), reviewer)
        desk = _desk(out, records, mapping, encoding, schema_dir, model)
        routers = [] if review is None else [review_router(review, structurers, gate, image_root, own_fields=desk is not None)]
        if desk is not None:
            routers += [own_fields_router(desk, PackFolder(schema_dir)), *([_front(gate)] if review is None else [])]
        sock = listen(host, port)
        address = f"{'http' if tls_cert is None else 'https'}://{f'[{host}]' if ':' in host else host}:{sock.getsockname()[1]}"
        try:
            if review is None and desk is None:  # a model that cannot be used is met now; a page may never need one
                asyncio.run(structurers.warm())
            for one in (review, desk):
                if one is not None:
                    one.start()
            server = make_server(
                make_app(structurers, gate, limits, routers), limits,
                tls=None if tls_cert is None or tls_key is None else (tls_cert, tls_key),
                ready=lambda: print(f"serving {address}{'/' if routers else '/v1/'} · Ctrl-C stops", file=sys.stderr, flush=True))
            server.run([sock])
        finally:
            structurers.close()
            for one in (review, desk):
                if one is not None:
                    one.close()


def _desk(out: Path | None, records: Path | str | None, mapping: Sequence[str], encoding: str | None, schema_dir: Path | None,
          model: Path | None) -> Desk | None:
    """The page of own fields, where there are records to try them on.

    Raises:
        UsageError: options that do not fit, or the folder to save in is none.
        InputRefused: the records cannot be used.
    """
    from tcmstruct.serve.own_fields import MOST_RECORDS, Desk

    source = records if records is not None else out
    if schema_dir is not None and source is None:
        raise UsageError("needs records to try fields on", where="--schema-dir", code="option_invalid", hint="give OUT or --records FILE")
    if schema_dir is not None and not schema_dir.is_dir():
        raise UsageError("no such folder", where="--schema-dir", code="not_a_folder", hint="make it, or name another")
    if source is None:
        return None
    if is_result(source):
        source = Path(source)
        return Desk(lambda: trial_lines(open_output(source)), known_terms, reviewed=records is None)
    if records is None:
        return None
    open_sources([source], encoding=encoding, overrides=parse_overrides(mapping))  # a file that cannot be used is refused now
    return Desk(lambda: read_records(source, mapping=mapping, encoding=encoding, model=model, most=MOST_RECORDS).records,
                known_terms)


def _front(gate: Gate) -> APIRouter:
    """The pages' files where there is nothing to review."""
    from fastapi import APIRouter

    from tcmstruct.serve.pages import page_routes

    router = APIRouter()
    page_routes(router, gate, "/schema")
    return router

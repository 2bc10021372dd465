"""Bodies of the pages' requests, and work that would hold the others up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio.to_thread
import orjson
from pydantic import ValidationError

from tcmstruct.serve.answers import problem


async def in_thread(function: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(function)


def read_body(model: type[Any], body: bytes) -> Any:
    """The parsed body, or the answer that it is none."""
    try:
        return model.model_validate(orjson.loads(body))
    except orjson.JSONDecodeError:
        return problem(400, "json_invalid", "the body is not JSON in UTF-8")
    except ValidationError as error:
        places = sorted({str(fault["loc"][0]) for fault in error.errors(include_input=False) if fault["loc"]} & set(model.model_fields))
        return problem(422, "request_invalid", f"does not fit: {', '.join(places) or 'the request'}")

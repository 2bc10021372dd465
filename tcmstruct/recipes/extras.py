"""Jobs that need a part of the installation say which, in place of a missing module's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tcmstruct.errors import MissingExtra

MODULES: dict[str, frozenset[str]] = {
    "train": frozenset({"torch", "safetensors", "onnx", "onnxscript", "sklearn"}),
    "adapt": frozenset({"torch", "safetensors", "onnx", "onnxscript", "sklearn", "peft", "transformers", "accelerate"}),
    "serve": frozenset({"fastapi", "starlette", "uvicorn", "httptools", "sqlalchemy", "multipart", "python_multipart"}),
}
"""Extra → modules that it brings."""


@contextmanager
def needs(extra: str, job: str) -> Iterator[None]:
    """
    Raises:
        MissingExtra: a module of the extra is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in MODULES[extra]:
            raise
        raise MissingExtra(job, extra) from None

"""Jobs that need a part of the installation say which, in place of a missing module's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tcmstruct.errors import MissingExtra

OF_TRAIN = frozenset({"torch", "safetensors", "onnx", "onnxscript", "sklearn"})
"""Modules that [train] brings."""


@contextmanager
def needs_training(job: str) -> Iterator[None]:
    """
    Raises:
        MissingExtra: a module of the extra [train] is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in OF_TRAIN:
            raise
        raise MissingExtra(job, "train") from None

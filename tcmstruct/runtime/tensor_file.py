"""Reads a safetensors file strictly, with numpy alone: a hospital's machine has neither torch nor the library of that name.

The format: 8 bytes of length, a JSON header name → {dtype, shape, data_offsets}, then the numbers, little endian and without gaps
(https://github.com/huggingface/safetensors, "Format"). Nothing in it can run.
"""

from __future__ import annotations

import json
from math import prod
from typing import Any

import numpy as np

_MAX_HEADER_BYTES = 1 << 20
_ENTRY = {"dtype", "shape", "data_offsets"}


def read_tensors(data: bytes) -> dict[str, np.ndarray]:
    """Name → fp32 array.

    Raises:
        ValueError: it is no such file, holds another kind of number, a number that is not finite, gaps, or bytes beyond its tensors.
    """
    if len(data) < 8 or (length := int.from_bytes(data[:8], "little")) > min(_MAX_HEADER_BYTES, len(data) - 8):
        raise ValueError("the header's length lies beyond the file")
    try:
        header = json.loads(data[8 : 8 + length].decode("utf-8"), object_pairs_hook=_unique)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise ValueError("the header is not JSON") from None
    if not isinstance(header, dict):
        raise ValueError("the header is no table")
    header.pop("__metadata__", None)
    body, tensors, at = memoryview(data)[8 + length :], {}, 0
    for name, entry in sorted(header.items(), key=_start):
        shape, (start, end) = _checked(entry)
        if start != at or end - start != 4 * prod(shape) or end > len(body):
            raise ValueError("tensors overlap, leave a gap or lie beyond the file")
        at = end
        tensors[name] = np.frombuffer(body[start:end], "<f4").reshape(shape).astype(np.float32)
        if not np.isfinite(tensors[name]).all():
            raise ValueError("a number is not finite")
    if at != len(body):
        raise ValueError("bytes follow the last tensor")
    return tensors


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a name stands twice in the header")
    return dict(pairs)


def _start(item: tuple[str, Any]) -> tuple[int, int]:
    return _checked(item[1])[1]


def _checked(entry: Any) -> tuple[list[int], tuple[int, int]]:
    """Shape and (start, end) of an entry."""
    if not isinstance(entry, dict) or entry.keys() != _ENTRY:
        raise ValueError("an entry of the header is not dtype, shape and data_offsets")
    if entry["dtype"] != "F32":
        raise ValueError("a tensor is not F32")
    shape, offsets = entry["shape"], entry["data_offsets"]
    for numbers in (shape, offsets):
        if not isinstance(numbers, list) or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("a shape or an offset is no list of whole numbers")
    if len(offsets) != 2:
        raise ValueError("data_offsets are not two")
    return shape, (offsets[0], offsets[1])

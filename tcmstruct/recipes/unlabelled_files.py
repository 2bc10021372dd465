"""Texts of records without labels, from any export that `convert` reads."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.reader import open_sources
from tcmstruct.emr.rows import Reject
from tcmstruct.record import Record


def read_records(files: Sequence[Path], *, mapping: Sequence[str] = (), encoding: str | None = None) -> tuple[list[Record], int]:
    """Records that have a text, and how many rows were rejected.

    Raises:
        InputRefused: a file that cannot be used.
    """
    records: list[Record] = []
    rejected = 0
    for source in open_sources(list(files), encoding=encoding, overrides=parse_overrides(mapping)) if files else ():
        for item in source:
            if isinstance(item, Reject):
                rejected += 1
            elif item.text.strip():
                records.append(item)
    return records, rejected


def read_texts(files: Sequence[Path], most: int, seed: int, *, mapping: Sequence[str] = (), encoding: str | None = None) -> list[str]:
    """Distinct texts, at most `most` of them, drawn with `seed`."""
    texts = list(dict.fromkeys(record.text for record in read_records(files, mapping=mapping, encoding=encoding)[0]))
    return texts if len(texts) <= most else random.Random(seed).sample(texts, most)

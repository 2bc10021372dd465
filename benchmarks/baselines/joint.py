"""Mentions as one tag a character, the status inside the tag (B-症状-有, I-症状-有, B-舌苔 …), and back."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

import numpy as np

from tcmstruct.labels import STATUSES
from tcmstruct.record import Mention, StructuredRecord


def joint_label(mention: Mention) -> str:
    """症状 with status 有 → 症状-有; a type without status stands for itself."""
    return f"{mention.type}-{mention.status}" if mention.status else mention.type


def split_label(label: str) -> tuple[str, str | None]:
    """The type and the status of a joint label."""
    name, _, status = label.rpartition("-")
    return (name, status) if name and status in STATUSES else (label, None)


def labels_of(records: Sequence[StructuredRecord]) -> list[str]:
    """Joint labels that the records hold, sorted."""
    return sorted({joint_label(m) for r in records for m in r.entities})


def tags_of(record: StructuredRecord, labels: Sequence[str]) -> np.ndarray:
    """(T,) int64: 0 outside, 1 + 2k begin and 2 + 2k inside of label k; of overlapping mentions the longest is kept."""
    tags = np.zeros(len(record.text), np.int64)
    for m in sorted(record.entities, key=lambda m: (m.start - m.end, m.start)):
        if not tags[m.start : m.end].any():
            k = labels.index(joint_label(m))
            tags[m.start : m.end] = 2 + 2 * k
            tags[m.start] = 1 + 2 * k
    return tags


def mentions_of(tags: Sequence[int], probability: Sequence[float], labels: Sequence[str]) -> list[Mention]:
    """Tags of a text → mentions; an inside tag that continues nothing begins a mention.

    Args:
        probability: of each character's tag; a mention is as sure as its least sure character.
    """
    out: list[Mention] = []
    start = 0
    while start < len(tags):
        end = start + 1
        if tags[start]:
            k = (tags[start] - 1) // 2
            while end < len(tags) and tags[end] == 2 + 2 * k:
                end += 1
            name, status = split_label(labels[k])
            sure = min(1.0, max(0.0, float(min(probability[start:end]))))
            out.append(Mention(name, start, end, status, sure))
        start = end
    return out


def fingerprint(records: Sequence[StructuredRecord], settings: Mapping[str, object]) -> str:
    """16 hex digits that name a training run: its records and its settings."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, ensure_ascii=False).encode())
    for r in records:
        spans = [(m.type, m.start, m.end, m.status) for m in r.entities]
        digest.update(json.dumps([r.text, spans], ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]

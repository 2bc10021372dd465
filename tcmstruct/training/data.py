"""Labelled and unlabelled text → batches of characters. Axes: B batch, T characters."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tcmstruct.labels import READOUTS, STATUSES
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import windows

IGNORE = -100


@dataclass(slots=True)
class Example:
    """A window of text with its labels.

    Attributes:
        ids: (T,) rows of the character table.
        readout: which readout its labels train, or None for unlabelled text.
        tags: (T,) tag numbers of that readout.
        status: (T,) status numbers on the characters of mentions that carry one, else IGNORE.
        weight: of its characters in the loss.
        text: normalised text of the window (for the lexicon channel).
        soft: other per-character targets by name, e.g. a teacher's scores (T, …).
    """

    ids: np.ndarray
    readout: str | None = None
    tags: np.ndarray | None = None
    status: np.ndarray | None = None
    weight: float = 1.0
    text: str = ""
    soft: dict[str, np.ndarray] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)


def read_jsonl(path: Path) -> list[dict]:
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def tags_of(text_length: int, entities: Sequence[dict], labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """BIO tag numbers and status numbers of a text; of overlapping mentions the longest is kept."""
    tags, status = np.zeros(text_length, np.int64), np.full(text_length, IGNORE, np.int64)
    for e in sorted(entities, key=lambda e: e["start"] - e["end"]):
        start, end = e["start"], e["end"]
        if e["type"] not in labels or tags[start:end].any():
            continue
        label = labels.index(e["type"])
        tags[start:end] = 2 + 2 * label
        tags[start] = 1 + 2 * label
        if e.get("status") in STATUSES:
            status[start:end] = STATUSES.index(e["status"])
    return tags, status


def labelled(records: Iterable[dict], readout: str, table: CharacterTable, max_chars: int, weight: float = 1.0) -> list[Example]:
    """Windows of labelled records (`text`, `entities` with `type`, `start`, `end`, and maybe `status`)."""
    labels = list(READOUTS[readout])
    out = []
    for record in records:
        text = normalise(record["text"])
        tags, status = tags_of(len(text), record["entities"], labels)
        ids = table.encode(text)
        for w in windows(text, max_chars, max_chars // 4):
            s = slice(w.start, w.end)
            own = tags[s].copy()
            if len(own) and own[0] > 0 and own[0] % 2 == 0:
                own[0] -= 1  # the window begins inside a mention: a legal sequence begins it here
            out.append(Example(ids[s], readout, own, status[s], weight, text[s]))
    return out


def unlabelled(texts: Iterable[str], table: CharacterTable, max_chars: int) -> list[Example]:
    """Windows without overlap of unlabelled texts, short neighbours packed together."""
    out, buffer = [], ""
    for text in texts:
        text = normalise(text.strip())
        if buffer and len(buffer) + len(text) > max_chars:
            out.append(buffer)
            buffer = ""
        buffer += text + " "
        while len(buffer) > max_chars:
            out.append(buffer[:max_chars])
            buffer = buffer[max_chars:]
    if len(buffer) > 8:
        out.append(buffer)
    return [Example(table.encode(t), text=t) for t in out]


@dataclass
class Batch:
    """Padded tensors of one readout: ids, tags, status (B, T); soft name → (B, T, …); texts for the lexicon channel."""

    ids: Tensor
    readout: str | None
    tags: Tensor | None
    status: Tensor | None
    weight: Tensor
    lexicon: Tensor | None
    soft: dict[str, Tensor]

    @property
    def n_characters(self) -> int:
        return int((self.ids != 0).sum())

    def to(self, device: torch.device | str) -> Batch:
        def move(x: Tensor | None) -> Tensor | None:
            return None if x is None else x.to(device, non_blocking=True)

        return Batch(move(self.ids), self.readout, move(self.tags), move(self.status), move(self.weight), move(self.lexicon),
                     {k: move(v) for k, v in self.soft.items()})


def collate(examples: Sequence[Example], lexicon=None) -> Batch:
    """Pads to the longest; `lexicon` (an object with `features(text) -> (T, F)`) fills the lexicon channel."""
    length = max(map(len, examples))

    def padded(arrays: Sequence[np.ndarray], fill: int) -> Tensor:
        out = np.full((len(arrays), length, *arrays[0].shape[1:]), fill, arrays[0].dtype)
        for row, a in zip(out, arrays, strict=True):
            row[: len(a)] = a
        return torch.from_numpy(out)

    first = examples[0]
    return Batch(
        ids=padded([e.ids for e in examples], 0).long(),
        readout=first.readout,
        tags=padded([e.tags for e in examples], IGNORE) if first.tags is not None else None,
        status=padded([e.status for e in examples], IGNORE) if first.status is not None else None,
        weight=torch.tensor([e.weight for e in examples]),
        lexicon=padded([lexicon.features(e.text) for e in examples], 0).float() if lexicon is not None else None,
        soft={k: padded([e.soft[k] for e in examples], 0) for k in first.soft},
    )


def batches(examples: Sequence[Example], chars_per_batch: int, rng: random.Random, lexicon=None) -> Iterator[Batch]:
    """One pass in random order: examples of one readout and of like length share a batch of about `chars_per_batch`.

    Lengths are jittered before sorting, so that batches differ from pass to pass.
    """
    groups: dict[tuple, list[Example]] = {}
    for e in examples:
        groups.setdefault((e.readout, tuple(sorted(e.soft))), []).append(e)
    plans: list[list[Example]] = []
    for group in groups.values():
        order = sorted(group, key=lambda e: len(e) * rng.uniform(0.9, 1.1))
        plan: list[Example] = []
        widest = 0
        for e in order:
            if plan and max(widest, len(e)) * (len(plan) + 1) > chars_per_batch:
                plans.append(plan)
                plan, widest = [], 0
            plan.append(e)
            widest = max(widest, len(e))
        plans.append(plan)
    rng.shuffle(plans)
    for plan in plans:
        yield collate(plan, lexicon)

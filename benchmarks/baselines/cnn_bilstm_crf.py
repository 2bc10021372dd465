"""CNN-BiLSTM-CRF over characters (after Ma and Hovy 2016 and Lample et al. 2016): the usual neural tagger before
pre-trained encoders. Trained by the package's one loop. Axes: B batch, T characters, K tags.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from benchmarks.baselines import Fit, Predict, with_fields
from benchmarks.baselines.joint import fingerprint, labels_of, mentions_of, tags_of
from tcmstruct.model.crf import Crf
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.schema import Schema
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import windows
from tcmstruct.training.data import Batch, Example, batches
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.loop import fit as run_loop


@dataclass(frozen=True)
class Shape:
    """The network and its training.

    Attributes:
        embedding: width of the character table.
        filters: channels of each convolution. kernels: widths of the convolutions in characters.
        hidden: width of each direction of the LSTM.
        dropout: after the embedding and after the LSTM.
        max_chars: longest window. chars_per_batch: padded characters of a training batch.
        min_count: rarer characters share the row of the unknown one.
        learning_rate: peak.
        n_passes: passes over the training records.
    """

    embedding: int = 128
    filters: int = 96
    kernels: tuple[int, ...] = (3, 5)
    hidden: int = 128
    dropout: float = 0.4
    max_chars: int = 256
    chars_per_batch: int = 1536
    min_count: int = 2
    learning_rate: float = 4e-3
    n_passes: float = 8.0


class CnnBilstmCrf(nn.Module):
    """Embedding → convolutions beside it → BiLSTM → scores → CRF."""

    def __init__(self, n_characters: int, n_tags: int, shape: Shape) -> None:
        super().__init__()
        self.embedding = nn.Embedding(n_characters, shape.embedding, padding_idx=0)
        self.convolutions = nn.ModuleList(nn.Conv1d(shape.embedding, shape.filters, k, padding=k // 2) for k in shape.kernels)
        width = shape.embedding + shape.filters * len(shape.kernels)
        self.onward = nn.LSTM(width, shape.hidden, batch_first=True)
        self.returning = nn.LSTM(width, shape.hidden, batch_first=True)
        self.output = nn.Linear(2 * shape.hidden, n_tags)
        self.dropout = nn.Dropout(shape.dropout)
        self.crf = Crf(n_tags)

    def forward(self, ids: Tensor) -> Tensor:
        """ids (B, T), 0 on padding → scores (B, T, K). A row's scores do not depend on how far it is padded."""
        x = self.dropout(self.embedding(ids))
        beside = [torch.relu(c(x.transpose(1, 2))).transpose(1, 2) for c in self.convolutions]
        x = torch.cat([x, *beside], 2)
        # Each row is turned round within its own length (packed sequences do the same at half the speed).
        place, length = torch.arange(ids.shape[1]), (ids != 0).sum(1, keepdim=True)
        turn = torch.where(place < length, length - 1 - place, place).unsqueeze(2)
        onward = self.onward(x)[0]
        returning = self.returning(x.gather(1, turn.expand_as(x)))[0]
        return self.output(self.dropout(torch.cat([onward, returning.gather(1, turn.expand_as(returning))], 2)))


class LogLikelihood:
    """Negative log-likelihood of the tags a character; the objective of the loop."""

    def loss(self, model: CnnBilstmCrf, batch: Batch) -> Tensor:
        mask = batch.ids != 0
        scores = model(batch.ids)
        gap = model.crf.log_partition(scores, mask) - model.crf.score(scores, mask, batch.tags)
        return gap.sum() / mask.sum()


def make_fit(schema: Schema | None, cache: Path | None = None, shape: Shape | None = None, seed: int = 0) -> Fit:
    """The system.

    Args:
        schema: reads the fields; None gives mentions alone, with the types of the training records.
        cache: folder of trained models; one whose records and settings are the same is used again, and a run that
            was broken off goes on.
        seed: of weights, batches and dropout.
    """
    shape = shape or Shape()

    def fit(train: Sequence[StructuredRecord]) -> Predict:
        labels = labels_of(train)
        table = _table(train, shape.min_count)
        torch.manual_seed(seed)
        model = CnnBilstmCrf(len(table), 1 + 2 * len(labels), shape)
        folder = cache / "cnn_bilstm_crf" / fingerprint(train, {**asdict(shape), "seed": seed}) if cache is not None else None
        weights = folder / "weights.safetensors" if folder is not None else None
        if weights is not None and weights.exists():
            model.load_state_dict(load_file(weights))
        else:
            _train(model, train, labels, table, shape, seed, folder)
            if weights is not None:
                save_file(model.state_dict(), weights)
        model.eval()
        return lambda texts: [with_fields(schema, text, found)
                              for text, found in zip(texts, predict_mentions(model, table, texts, labels, shape), strict=True)]

    return fit


def _table(train: Sequence[StructuredRecord], min_count: int) -> CharacterTable:
    counts = Counter(c for r in train for c in normalise(r.text))
    return CharacterTable(sorted(c for c, n in counts.items() if n >= min_count))


def _train(model: CnnBilstmCrf, train: Sequence[StructuredRecord], labels: Sequence[str], table: CharacterTable, shape: Shape,
           seed: int, folder: Path | None) -> None:
    examples = examples_of(train, labels, table, shape.max_chars)
    n_characters = round(shape.n_passes * sum(map(len, examples)))
    print(f"cnn_bilstm_crf: training on {len(train)} records, {len(labels)} labels, {n_characters} characters in all", file=sys.stderr)
    rng = random.Random(seed)
    config = LoopConfig(n_characters, shape.learning_rate, max_grad_norm=5.0, seed=seed)
    run_loop(model, LogLikelihood(), lambda: batches(examples, shape.chars_per_batch, rng), config, folder,
             say=lambda line: print(line, file=sys.stderr, flush=True))


def examples_of(records: Sequence[StructuredRecord], labels: Sequence[str], table: CharacterTable, max_chars: int) -> list[Example]:
    """Windows of the records; one that starts inside a mention begins it, for a sequence may not start inside."""
    examples = []
    for record in records:
        clean = normalise(record.text)
        ids, tags = table.encode(clean), tags_of(record, labels)
        for w in windows(clean, max_chars, max_chars // 4):
            own = tags[w.start : w.end].copy()
            if own[0] and own[0] % 2 == 0:
                own[0] -= 1
            examples.append(Example(ids[w.start : w.end], "joint", own))
    return examples


def predict_mentions(model: CnnBilstmCrf, table: CharacterTable, texts: Sequence[str], labels: Sequence[str], shape: Shape,
                     chars_per_batch: int = 8192) -> Iterator[list[Mention]]:
    """Mentions of each text, windows joined; windows of like length share a batch."""
    found: list[list[Mention]] = [[] for _ in texts]
    jobs = []
    for number, text in enumerate(texts):
        clean = normalise(text)
        ids = table.encode(clean)
        jobs += [(number, w, ids[w.start : w.end]) for w in windows(clean, shape.max_chars, shape.max_chars // 4)]
    jobs.sort(key=lambda job: len(job[2]))
    at = 0
    while at < len(jobs):
        n = 1
        while at + n < len(jobs) and (n + 1) * len(jobs[at + n][2]) <= chars_per_batch:
            n += 1
        batch = jobs[at : at + n]
        ids = np.zeros((n, len(batch[-1][2])), np.int64)
        for row, (_, _, own) in zip(ids, batch, strict=True):
            row[: len(own)] = own
        x = torch.from_numpy(ids)
        with torch.no_grad():
            scores = model(x)
            tags = model.crf.best(scores, x != 0)
        sure = model.crf.marginals(scores, x != 0).gather(2, tags.unsqueeze(2)).squeeze(2)
        for (number, w, own), t, p in zip(batch, tags.tolist(), sure.tolist(), strict=True):
            for m in mentions_of(t[: len(own)], p[: len(own)], labels):
                if w.keep_start <= w.start + m.start < w.keep_end:
                    found[number].append(Mention(m.type, w.start + m.start, w.start + m.end, m.status, m.confidence))
        at += n
    for mentions in found:
        yield sorted(mentions, key=lambda m: m.start)

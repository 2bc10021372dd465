"""Fine-tunes a tagger on several labelled sets at once; each trains its own readout."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from tcmstruct.labels import READOUTS, STATUSES
from tcmstruct.model.checkpoint import load_tagger, save_tagger
from tcmstruct.model.tagger import CharTagger
from tcmstruct.runtime.decode import Transitions, best_paths, greedy_spans, posteriors, spans
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import windows
from tcmstruct.training.data import Example, batches, labelled, read_jsonl
from tcmstruct.training.loop import LoopConfig, Progress, fit
from tcmstruct.training.objectives import Tagging


@dataclass
class LabelledSet:
    """One labelled file.

    Attributes:
        path: JSONL with `text` and `entities`.
        readout: which readout it trains.
        weight: of its loss.
        repeats: how often a pass visits it.
        share: part of the file that one pass takes (drawn anew each pass).
    """

    path: Path
    readout: str
    weight: float = 1.0
    repeats: int = 1
    share: float = 1.0


@dataclass
class TrainConfig:
    """What to train on and how long; see `LoopConfig` for the schedule's fields."""

    sets: list[LabelledSet]
    loop: LoopConfig
    max_chars: int = 384
    chars_per_batch: int = 3072
    dropout: float = 0.1
    crf_readouts: tuple[str, ...] = ()
    readouts: dict[str, list[str]] = field(default_factory=lambda: {k: list(v) for k, v in READOUTS.items()})


def predict_entities(model: CharTagger, table: CharacterTable, text: str, readout: str, max_chars: int = 500, lexicon=None) -> list[dict]:
    """Mentions of one readout, windows joined: the torch side's own reading, used while training."""
    clean = normalise(text)
    ids = table.encode(clean)
    out = []
    for w in windows(clean, max_chars, max_chars // 4):
        with torch.inference_mode():
            channel = None if lexicon is None else torch.from_numpy(lexicon.features(clean[w.start : w.end])).float()[None]
            o = model(torch.from_numpy(ids[w.start : w.end]).long()[None], channel, only=readout)
        scores, status_scores = o.tags[readout][0].float().numpy(), o.status[0].float().numpy()
        if readout in model.crf:
            transitions = Transitions(*model.crf[readout].tables())
            probability = np.log(np.maximum(posteriors([scores], transitions)[0], 1e-9))
            found = spans(probability, best_paths([scores], transitions)[0], status_scores)
        else:
            found = greedy_spans(scores, status_scores)
        for s in found:
            if w.keep_start <= w.start + s.start < w.keep_end:
                label = list(READOUTS[readout])[s.label]
                status = STATUSES[s.status] if label == "症状" else None
                out.append({"type": label, "start": w.start + s.start, "end": w.start + s.end, "status": status,
                            "confidence": s.probability})
    return out


def strict_f1(gold: Sequence[dict], predicted: Sequence[Sequence[dict]]) -> float:
    """Micro-F1 on (type, offsets, status) of parallel records; the quick figure that training watches."""
    hits = n_gold = n_predicted = 0
    for g, p in zip(gold, predicted, strict=True):
        a = {(e["type"], e["start"], e["end"], e.get("status")) for e in g["entities"]}
        b = {(e["type"], e["start"], e["end"], e.get("status")) for e in p}
        hits, n_gold, n_predicted = hits + len(a & b), n_gold + len(a), n_predicted + len(b)
    return 2 * hits / max(1, n_gold + n_predicted)


def train(start: Path, out: Path, config: TrainConfig, dev: dict[str, Path] | None = None, evaluate_every_s: float = 600.0,
          lexicon=None) -> Progress:
    """Fine-tunes from the checkpoint folder `start` and writes one to `out`.

    Args:
        dev: readout → labelled file whose strict F1 is watched (never trained on).
        lexicon: fills the lexicon channel; a start without one gets one that begins at zero.
    """
    table = CharacterTable.load(start / "characters.txt")
    torch.manual_seed(config.loop.seed)
    model = load_tagger(start, readouts=config.readouts, crf_readouts=config.crf_readouts, dropout=config.dropout,
                        lexicon_features=0 if lexicon is None else lexicon.n_features)
    return fine_tune(model, table, out, config, dev, evaluate_every_s, lexicon)


def fine_tune(model: CharTagger, table: CharacterTable, out: Path, config: TrainConfig, dev: dict[str, Path] | None = None,
              evaluate_every_s: float = 600.0, lexicon=None) -> Progress:
    """As `train`, on a model at hand."""
    per_set = [(s, labelled(read_jsonl(s.path), s.readout, table, config.max_chars, s.weight)) for s in config.sets]
    rng = random.Random(config.loop.seed)

    def one_pass():
        chosen: list[Example] = []
        for s, examples in per_set:
            for _ in range(s.repeats):
                chosen += rng.sample(examples, max(1, round(s.share * len(examples))))
        return batches(chosen, config.chars_per_batch, rng, lexicon)

    def evaluate() -> dict[str, float]:
        figures = {}
        for readout, path in (dev or {}).items():
            records = read_jsonl(path)
            predicted = [predict_entities(model, table, r["text"], readout, lexicon=lexicon) for r in records]
            figures[f"f1_{readout}"] = strict_f1(records, predicted)
            if readout == "gold":
                for source in sorted({r["source"] for r in records}):
                    keep = [i for i, r in enumerate(records) if r["source"] == source]
                    figures[f"f1_{source}"] = strict_f1([records[i] for i in keep], [predicted[i] for i in keep])
        return figures

    progress = fit(model, Tagging(), one_pass, config.loop, out, evaluate if dev else None, evaluate_every_s)
    save_tagger(model, table, out)
    return progress

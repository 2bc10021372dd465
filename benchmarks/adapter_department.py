"""An adapter trained on 50 records of a department that the base never saw: what it gains there, and what it costs elsewhere."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import torch

from benchmarks.adapter_rows import EncoderFamily, Settings
from tcmstruct.compression.export import export
from tcmstruct.evaluation import evaluate, read_annotated
from tcmstruct.labels import READOUTS
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.adapter_train import AdapterConfig, train_adapter
from tcmstruct.record import Record, StructuredRecord
from tcmstruct.training.adapters import LoraShape
from tcmstruct.training.data import read_jsonl
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.tagging import LabelledSet, TrainConfig, train

N_RECORDS = 50
CARD = {"precision": "fp32", "review_below": {"field": 0.9, "entity": 0.9}}


def measure(data: Path, work: Path, settings: Settings, department: str, seed: int, n_characters: int, passes: int, n_boot: int,
            beside: bool = False) -> dict[str, Any]:
    """Base without the department → adapter on 50 of its records → fields on its other records, and on the other departments' dev.

    Args:
        n_characters: that the base is trained on labels with. passes: over the 50 records.
        beside: the other departments' training records, without their labels, guard against forgetting.
    """
    encoder = EncoderFamily(data, work, settings)
    own, others, elsewhere = parted(data, department, seed)
    place = work / "departments" / f"{department}-{encoder.folder.name}-{n_characters}"
    place.mkdir(parents=True, exist_ok=True)
    model = _base(encoder.folder, place, data, department, n_characters)
    adapter = place / "adapters" / f"{department}-{seed}-{passes}{'-beside' * beside}"
    _write(place / "own.jsonl", own)
    _write(place / "texts.jsonl", [{"id": row["id"], "text": row["text"]} for row in read_jsonl(data / "gold" / "train.jsonl")
                                   if row["dept"] != department])
    config = AdapterConfig(LoraShape(settings.rank, 2.0 * settings.rank), passes=passes, rate=settings.rate, seed=seed)
    stored = train_adapter(adapter, base=model, labels=place / "own.jsonl", config=config, fresh=True,
                           beside=[place / "texts.jsonl"] if beside else ())
    structurer = Structurer(model, threads=1, adapters=adapter.parent)
    plain = Structurer(model, threads=1)
    n_adapter = sum(values.size for values in stored.tensors.values())
    out: dict[str, Any] = {"n_adapter": n_adapter, "n_base": _n_parameters(place / "checkpoint"), "bytes": stored.manifest.bytes}
    for name, rows in (("department", others), ("elsewhere", elsewhere)):
        records, gold = [Record(row["id"], row["text"]) for row in rows], _gold(place, rows)
        without, with_it = plain.structure_many(records), structurer.structure_many(records, adapter=adapter.name)
        unnamed = structurer.structure_many(records)
        out[name] = {"n": len(rows), "same_bytes": _bytes(without) == _bytes(unnamed), **_scores(gold, without, with_it, n_boot)}
    return out


def parted(data: Path, department: str, seed: int) -> tuple[list[dict], list[dict], list[dict]]:
    """50 records of the department, its others, and the dev records of all other departments."""
    train_rows, dev = (read_jsonl(data / "gold" / f"{name}.jsonl") for name in ("train", "dev"))
    there = [row for row in [*train_rows, *dev] if row["dept"] == department]
    random.Random(seed).shuffle(there)
    return there[:N_RECORDS], there[N_RECORDS:], [row for row in dev if row["dept"] != department]


def _base(start: Path, place: Path, data: Path, department: str, n_characters: int) -> Path:
    """A model folder whose base was trained on the labels of all other departments."""
    if not (place / "model" / "manifest.json").exists():
        _write(place / "without.jsonl", [row for row in read_jsonl(data / "gold" / "train.jsonl") if row["dept"] != department])
        torch.manual_seed(0)
        config = TrainConfig([LabelledSet(place / "without.jsonl", "gold")], LoopConfig(n_characters, learning_rate=2e-3,
                             encoder_learning_rate=1e-3), chars_per_batch=1024, crf_readouts=("gold",),
                             readouts={"gold": list(READOUTS["gold"])})
        train(start, place / "checkpoint", config)
        export(place / "checkpoint", place / "model", lexicon=None, card=CARD)
    return place / "model"


def _scores(gold: Sequence[StructuredRecord], without: Sequence[StructuredRecord], with_it: Sequence[StructuredRecord], n_boot: int,
            ) -> dict[str, Any]:
    found = evaluate(gold, with_it, against=without, n_boot=n_boot)
    before = evaluate(gold, without, n_boot=0)
    differences = {name: [d.difference.value, d.difference.low, d.difference.high] for name, d in found.differences.items()}
    return {"fields_before": before.fields.micro.f1.value, "fields_after": found.fields.micro.f1.value,
            "mentions_before": before.entities["strict"].f1.value, "mentions_after": found.entities["strict"].f1.value,
            "differences": differences}


def _gold(place: Path, rows: Sequence[dict]) -> list[StructuredRecord]:
    _write(place / "gold.jsonl", rows)
    return read_annotated(place / "gold.jsonl")


def _write(path: Path, rows: Sequence[dict]) -> None:
    path.unlink(missing_ok=True)
    path.touch(0o600)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _bytes(records: Sequence[StructuredRecord]) -> bytes:
    return b"".join(orjson.dumps(record.to_dict()) for record in records)


def _n_parameters(checkpoint: Path) -> int:
    from safetensors import safe_open

    with safe_open(checkpoint / "weights.safetensors", "np") as file:
        return sum(int(torch.tensor(file.get_slice(name).get_shape()).prod()) for name in file.keys())  # noqa: SIM118 (no mapping)

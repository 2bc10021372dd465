"""What each recipe costs on this machine: processor time of 100,000 characters, and the peak memory of its process.

    python -m benchmarks.recipe_costs --data DIR --teacher CHECKPOINT [--characters 12000]

Every recipe runs for a while in a process of its own, one thread, with its own batches; loading is not counted in the time. The teacher
is a checkpoint of six layers of 384 (`recipes.build`), students are of size t7, or as the recipe wants them. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import torch

from benchmarks.machine import print_machine
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_config
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.recipes.distil import DistilConfig, distil
from tcmstruct.runtime.memory import peak_resident_bytes
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.data import read_jsonl
from tcmstruct.training.distillation import ObjectiveName
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.pretraining import pretrain
from tcmstruct.training.sizes import load_sizes
from tcmstruct.training.tagging import LabelledSet, TrainConfig, train

READOUT = {"gold": list(READOUTS["gold"])}
SHAPES = {"minialbert": "s5"}
"""Objective → size of its student, where it is not t7."""
NO_SIZE = ("distilclinical",)
"""Objectives whose student begins as every second layer of the teacher."""


def _masked(data: Path, teacher: Path, n: int, out: Path) -> None:
    texts = [row["text"] for row in read_jsonl(data / "gold" / "train.jsonl")]
    pretrain(texts, out, characters=teacher / "characters.txt", start=teacher, n_characters=n, say=lambda _: None)


def _fine_tuned(data: Path, teacher: Path, n: int, out: Path, crf: tuple[str, ...] = ()) -> None:
    sets = [LabelledSet(data / "gold" / "train.jsonl", "gold")]
    train(teacher, out, TrainConfig(sets, LoopConfig(n, log_every_s=1e9), chars_per_batch=2400, crf_readouts=crf, readouts=READOUT))


def _distilled(objective: str) -> Callable[[Path, Path, int, Path], None]:
    def run(data: Path, teacher: Path, n: int, out: Path) -> None:
        table = CharacterTable.load(teacher / "characters.txt")
        shape = load_sizes()[SHAPES.get(objective, "t7")].shape(len(table), READOUT, dropout=0.0)
        if objective in NO_SIZE:
            guide = load_config(teacher)
            shape = ModelConfig(EncoderConfig(**{**vars(guide.encoder), "n_layers": guide.encoder.n_layers // 2}), len(table),
                                readouts=READOUT, dropout=0.0)
        config = DistilConfig(shape, LoopConfig(n, log_every_s=1e9), {"gold": 1.0}, objective=objective, chars_per_batch=2400,
                              start_every=2 if objective in NO_SIZE else 0)
        some = out.parent / "some.jsonl"
        some.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in read_jsonl(data / "gold" / "train.jsonl")[:60]),
                        encoding="utf-8")
        distil([teacher], out, config, [LabelledSet(some, "gold")], [])

    return run


RECIPES: dict[str, Callable[[Path, Path, int, Path], None]] = {
    "masked LM (`adapt --encoder`), six layers": _masked, "fine-tuning on labels, six layers": _fine_tuned,
    **{f"distillation, `{objective}`": _distilled(objective) for objective in get_args(ObjectiveName)}}


def measure(name: str, data: Path, teacher: Path, n: int) -> dict[str, float]:
    """Seconds between two lengths of a run, scaled to 100,000 characters, and peak MiB."""
    spent = []
    for length in (n // 4, n // 4, n):  # the first one loads what all of them need
        with tempfile.TemporaryDirectory() as scratch:
            began = time.process_time()
            RECIPES[name](data, teacher, length, Path(scratch) / "out")
            spent.append(time.process_time() - began)
    return {"seconds": (spent[2] - spent[1]) / (n - n // 4) * 100_000, "mib": peak_resident_bytes() / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teacher", type=Path, required=True)
    parser.add_argument("--characters", type=int, default=12_000)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.one:
        found = measure(arguments.one, arguments.data, arguments.teacher, arguments.characters)
        print(json.dumps(found))
        return
    print_machine(sys.stdout)
    print("\n| recipe | processor seconds for 100,000 characters | peak MiB |\n|---|---|---|")
    for name in RECIPES:
        command = [sys.executable, "-m", "benchmarks.recipe_costs", "--data", str(arguments.data), "--teacher", str(arguments.teacher),
                   "--characters", str(arguments.characters), "--one", name]
        told = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        print(f"| {name} | {told['seconds']:,.0f} | {told['mib']:,.0f} |", flush=True)


if __name__ == "__main__":
    main()

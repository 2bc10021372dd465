"""Students by size: the rows of Lightweight Clinical Transformers (Rohanian et al. 2023) for this project's tagger.

    python -m benchmarks.distil_sizes --data DIR --teachers T1 T2 --encoder RUN/adapted --work runs/sizes [--weights 0.7 0.3]

Teachers are the second teachers of `recipes.build`, `--encoder` its first step: the student of the teachers' own shape begins as that
encoder, the one with half of the first teacher's layers as every second of them, the smaller ones at random (with the guide's character
rows). All learn from the same texts, the smaller the longer: about as many minutes each. The rows with the name of a recipe learn the
first teacher's layers too; the others the soft targets alone. `--shipped` names a checkpoint of the shipped shape to stand beside them.
Cells are kept in `--work`. Prints Markdown, and no record text.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.adaptation import f1, interval
from benchmarks.machine import describe_line, describe_machine
from benchmarks.mention_counts import mention_counts
from benchmarks.paper.figures import markdown
from benchmarks.paper.store import Cell, Store, code_of, content_of
from tcmstruct.compression.export import to_onnx
from tcmstruct.labels import READOUTS
from tcmstruct.model.checkpoint import load_config, load_tagger, save_tagger
from tcmstruct.recipes.build import unlabelled_texts, up_to
from tcmstruct.recipes.distil import DistilConfig, distil, prepare, recombined
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training import distillation, loop
from tcmstruct.training.data import Example, read_jsonl
from tcmstruct.training.distillation import ObjectiveName
from tcmstruct.training.loop import LoopConfig
from tcmstruct.training.sizes import load_sizes
from tcmstruct.training.tagging import LabelledSet, predict_entities
from tcmstruct.training.teachers import Ensemble
from vocab.reader import load_terms

READOUT = {"gold": list(READOUTS["gold"])}


@dataclass(frozen=True)
class Plan:
    """How a student is trained.

    Attributes:
        size: of `sizes.toml`.
        characters: in all.
        from_encoder: begins as the adapted encoder.
        start_every: k: begins as every k-th layer of the first teacher.
        objective: see docs/distillation.md.
    """

    size: str
    characters: int
    rate: float
    seeds: int = 1
    from_encoder: bool = False
    start_every: int = 0
    objective: ObjectiveName = "soft"


PLANS: dict[str, Plan] = {
    "t3": Plan("t3", 2_500_000, 2e-3, seeds=2),
    "t7": Plan("t7", 1_300_000, 1.5e-3),
    "t8": Plan("t8", 1_400_000, 4e-4, seeds=2, start_every=2),
    **{f"t8, `{objective}`": Plan("t8", characters, 4e-4, start_every=2, objective=objective)
       for objective, characters in (("pkd", 550_000), ("distilclinical", 350_000), ("tinyclinical", 400_000))},
    "t14": Plan("t14", 700_000, 4e-4, from_encoder=True),
}
PUBLISHED = """
Published, other data and tasks (Rohanian et al. 2023, English clinical text): students of 15 to 65 million parameters, 28,996 word
pieces among them, "comparable" to BioBERT of 110 million. Not to be compared by number."""


class Sizes:
    """What the students learn from; soft targets are asked once."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.a = arguments
        self.table = CharacterTable.load(arguments.teachers[0] / "characters.txt")
        self.lexicon = Lexicon.from_terms(load_terms())
        self.dev = read_jsonl(arguments.data / "gold" / "dev.jsonl")

    def config(self, shape: Any, plan: Plan, seed: int = 0, start: Path | None = None) -> DistilConfig:
        soft = plan.objective == "soft"  # the others' constants are their papers'
        return DistilConfig(shape, LoopConfig(plan.characters, learning_rate=plan.rate, weight_decay=0.02, seed=seed), {"gold": 1.0},
                            temperature=1.5 if soft else None, chars_per_batch=2400, repeats={"gold": 3}, objective=plan.objective,
                            weights=self.a.weights, start_every=plan.start_every, start=start)

    @cached_property
    def examples(self) -> list[Example]:
        gold, books = unlabelled_texts(self.a.data)
        rng = random.Random(5)
        texts = (recombined([r["text"] for r in gold if r["source"] == "tcmchat"], 250, rng)
                 + recombined([r["text"] for r in gold if r["source"] != "tcmchat"], 250, rng) + up_to(books, 150_000))
        any_plan = next(iter(PLANS.values()))  # what is asked of the teachers is the same for all
        shape = load_sizes()[any_plan.size].shape(len(self.table), READOUT)
        sets = [LabelledSet(self.a.data / "gold" / "train.jsonl", "gold")]
        return prepare(self.a.teachers, sets, texts, self.table, self.config(shape, any_plan), self.lexicon)

    def student(self, name: str, plan: Plan, seed: int) -> dict[str, Any]:
        shape = load_sizes()[plan.size].shape(len(self.table), READOUT, lexicon_features=self.lexicon.n_features, dropout=0.0)
        out, start = self.a.work / f"{name.replace(', ', '-').replace('`', '')}-{seed}", None
        if plan.start_every:  # the teacher's widths, to the epsilon
            shape = replace(shape, encoder=replace(load_config(self.a.teachers[0]).encoder, n_layers=shape.encoder.n_layers))
        torch.manual_seed(seed)
        if plan.from_encoder:
            start = self.a.work / f"{name}-start"
            save_tagger(load_tagger(self.a.encoder, readouts=READOUT, lexicon_features=self.lexicon.n_features, dropout=0.0), self.table,
                        start)
        examples = list(self.examples)
        began = time.process_time()
        distil(self.a.teachers, out, self.config(shape, plan, seed, start), [], [], self.lexicon, examples=examples)
        return {**self.measured(load_tagger(out).eval()), "minutes": (time.process_time() - began) / 60}

    def measured(self, model: Any) -> dict[str, Any]:
        """Counts on gold dev, parameters, and milliseconds a record in fp32 by onnxruntime, one thread."""
        counts = mention_counts(self.dev, lambda text: predict_entities(model, self.table, text, "gold", 400, self.lexicon))
        members = list(model.teachers) if isinstance(model, Ensemble) else [model]
        return {"counts": counts, "parameters": sum(_n_parameters(member) for member in members),
                "ms": sum(self.milliseconds(member) for member in members)}

    def milliseconds(self, model: Any) -> float:
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.onnx"
            to_onnx(model, ["gold"], path)
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            session = onnxruntime.InferenceSession(str(path), options)
            texts = [record["text"][:400] for record in self.dev[:40]]
            feeds = [{"ids": self.table.encode(text)[None], **({"lexicon": self.lexicon.features(text)[None]}
                      if model.config.lexicon_features else {})} for text in texts]
            times = []
            for _ in range(3):
                began = time.process_time()
                for feed in feeds:
                    session.run(["scores"], feed)
                times.append((time.process_time() - began) / len(feeds))
            return 1000 * float(np.median(times))


def _n_parameters(model: Any) -> int:
    """Of encoder, embedding and the readout `gold` with its status."""
    parts = [model.embedding, model.encoder, model.readouts["gold"], model.status]
    return sum(p.numel() for part in parts for p in part.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, nargs="+", required=True)
    parser.add_argument("--weights", type=float, nargs="+", default=[0.7, 0.3])
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--shipped", type=Path)
    parser.add_argument("--work", type=Path, default=Path("runs/sizes"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine = describe_machine()
    store = Store(arguments.work, {"date": machine["date"], "commit": machine["commit"]})
    print(describe_line(machine), flush=True)
    made = Sizes(arguments)
    weights = {folder.name: content_of([folder / "weights.safetensors"]) for folder in (*arguments.teachers, arguments.encoder)}

    def cell(name: str, seed: int, measure: Any, **settings: Any) -> dict[str, Any]:
        key = Cell("sizes", name, "mentions", False, seed, settings, weights, code_of(distillation, loop, Sizes))
        if store.get(key) is None:
            print(f"measuring: {name} · seed {seed}", file=sys.stderr, flush=True)
        return store.measured(key, measure)

    rows = {}
    for folder in arguments.teachers:
        rows[f"teacher {folder.name}"] = [cell(folder.name, 0, lambda folder=folder: made.measured(load_tagger(folder).eval()))]
    first = "ensemble of both, the teacher"
    rows[first] = [cell("ensemble", 0, lambda: made.measured(Ensemble.load(arguments.teachers, arguments.weights)[0]),
                        shares=arguments.weights)]
    if arguments.shipped:
        rows["shipped shape (convolutional, whole chain)"] = [cell(
            "shipped", 0, lambda: made.measured(load_tagger(arguments.shipped).eval()),
            checkpoint=content_of([arguments.shipped / "weights.safetensors"]))]
    for name, plan in PLANS.items():
        rows[name] = [cell(name, seed, lambda name=name, plan=plan, seed=seed: made.student(name, plan, seed), plan=repr(plan))
                      for seed in range(plan.seeds)]
    table = [["model", "parameters, M", "strict F1, gold dev", f"− {first}", "95 %", "ms a record, fp32", "seeds", "minutes a run"]]
    for name, results in rows.items():
        value, low, high = interval(results, rows[first] * len(results))
        away = ["", ""] if name == first else [f"{100 * value:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]
        minutes = f"{np.mean([r['minutes'] for r in results]):.0f}" if "minutes" in results[0] else ""
        table.append([name, f"{results[0]['parameters'] / 1e6:.1f}", f"{100 * f1(results):.1f}", *away,
                      f"{np.mean([r['ms'] for r in results]):.1f}", str(len(results)), minutes])
    print("\n" + markdown(table) + "\n" + PUBLISHED)


if __name__ == "__main__":
    main()

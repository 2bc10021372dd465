"""Prunes neurons and heads of a text tagger under a memory limit, by every policy: the option beside `recipes.prune`.

    python -m tcmstruct.recipes.prune_text CHECKPOINT --data DATA [--ratios 0.2,0.4] [--plans 24] [--seeds 1]

Plans are searched on every fourth gold dev record (entity strict F1) and reported on the others; training records refit what a cut
leaves. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import torch

from rl_pruner import Greedy, LstmSearch, Plan, PruningProblem, RandomPlans, SearchConfig, Uniform
from tcmstruct.compression.prune_text import TextPruning, importance, refit_tagger
from tcmstruct.model.checkpoint import load_tagger
from tcmstruct.model.tagger import CharTagger
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.training.data import batches, labelled, read_jsonl
from tcmstruct.training.objectives import Tagging
from tcmstruct.training.tagging import predict_entities, strict_f1
from vocab.reader import load_terms

_READOUT = "gold"
_TAYLOR_BATCHES = 6
_CHARS = 400


def compare(checkpoint: Path, data: Path, ratios: Sequence[float], n_plans: int, n_seeds: int) -> list[dict]:
    """One row a ratio, policy and seed: F1 and memory on the records that no search saw."""
    model, table = load_tagger(checkpoint, dropout=0.0).eval(), CharacterTable.load(checkpoint / "characters.txt")
    lexicon = Lexicon.from_terms(load_terms()) if model.config.lexicon_features else None
    dev, train = (read_jsonl(data / "gold" / f"{part}.jsonl") for part in ("dev", "train"))
    searched, asked = dev[::4], [r for i, r in enumerate(dev) if i % 4]

    def f1(tagger: CharTagger, records: Sequence[dict]) -> float:
        return strict_f1(records, [predict_entities(tagger, table, r["text"], _READOUT, lexicon=lexicon) for r in records])

    learnt = list(batches(labelled(random.Random(0).sample(train, 60), _READOUT, table, _CHARS), 4000, random.Random(0), lexicon))
    calibration = max(learnt, key=lambda batch: batch.n_characters)
    objective = Tagging()
    env = TextPruning(model, importance(model, learnt[:_TAYLOR_BATCHES], objective.loss), calibration, lambda cut: f1(cut, searched))
    units = env.units()
    whole = env.memory_bytes(Plan.full(len(units)))
    smallest = env.memory_bytes(Plan(tuple(unit.required for unit in units)))
    rows = [{"ratio": 0.0, "policy": "none", "seed": 0, "f1": f1(model, asked), "memory": whole, "n_plans": 1}]
    for ratio in ratios:
        problem = PruningProblem(env, int(whole - ratio * (whole - smallest)), reward="relative_f1")
        greedy = [(policy.name, 0, policy.run(problem)) for policy in (Greedy("l1"), Greedy("taylor"), Greedy("taylor", True), Uniform())]
        hint = max((outcome.best for _, _, outcome in greedy), key=lambda found: found.reward).plan
        for seed in range(n_seeds):
            search = LstmSearch(SearchConfig(n_iterations=10 * n_plans, samples_per_iteration=6, learning_rate=0.03, entropy_weight=0.05,
                                             max_evaluations=n_plans, seed=seed), hint=hint)
            greedy += [("random", seed, RandomPlans(n_plans, seed).run(problem)), ("lstm-rl", seed, search.run(problem))]
        for name, seed, outcome in greedy:
            cut = env.apply(outcome.best.plan)
            refit_tagger(cut, model, calibration)
            rows.append({"ratio": ratio, "policy": name, "seed": seed, "f1": f1(cut, asked),
                         "memory": outcome.best.measurement.memory_bytes, "n_plans": outcome.n_evaluations})
    return rows


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--ratios", default="0.2,0.4", help="shares of the removable memory that go")
    parser.add_argument("--plans", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print("| removed | policy | seed | memory, MB | entity F1, records not searched on | plans measured |\n|--:|---|--:|--:|--:|--:|")
    ratios = [float(ratio) for ratio in arguments.ratios.split(",")]
    for row in compare(arguments.checkpoint, arguments.data, ratios, arguments.plans, arguments.seeds):
        print(f"| {row['ratio']:.0%} | {row['policy']} | {row['seed']} | {row['memory'] / 2**20:.1f} | {100 * row['f1']:.1f} "
              f"| {row['n_plans']} |")

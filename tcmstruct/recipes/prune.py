"""Prunes the fused model under a memory budget and compares the ways to choose what goes; resumable, every step kept in RUN.

    python -m tcmstruct.recipes.prune RUN --data DATA --weights LITE0.pth --tongue-run TONGUE_RUN --fusion-run FUSION_RUN
        [--tables policies,ratios,hidden] [--seeds 5] [--plans 72]

TONGUE_RUN and FUSION_RUN are the working folders of `recipes.tongue_train` and `recipes.fusion_train`. Steps:

crops       every labelled photo's crop, by the shipped outlines (`crops.npz`)
search      policies look for plans on folds 0 and 1 of the photos and of the gold records, few photos and for the readouts at
            half size, so that a plan takes seconds; all policies share one journal of measurements (`plans.jsonl`)
keep        `--keep PLAN` writes a plan's pruned encoder and cut, for `--pruned` of `recipes.tongue_train` and `fusion_train`
report      plans that were chosen are asked about folds 2 to 4, which no search has seen, at full size (`reports.jsonl`);
            `outcomes.jsonl` joins both, a line a policy, seed, ratio and width

The quality of a model is the mean macro-F1 of 裂纹有无 裂纹轻重 齿痕有无 齿痕轻重 (read off the encoder) and of 苔色 舌色 腻 (simulated
pairs of text and photo through the fusion). The ratio is the share of the removable memory that has to go.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from rl_pruner import Greedy, LstmSearch, NoPruning, Plan, Policy, PruningProblem, RandomPlans, SearchConfig, Uniform
from tcmstruct.compression.channels import block_outputs, refit, refit_fusion, save_pruned
from tcmstruct.compression.importance import l1, taylor
from tcmstruct.compression.prune import FusedModel, FusedPruning
from tcmstruct.model.image_encoder import IGNORE, SIDE_PX, masked_loss
from tcmstruct.recipes.fusion_train import BALANCE
from tcmstruct.recipes.prune_judge import (
    READ_OFF_ENCODER,
    REPORT_FOLDS,
    RIDGE,
    SEARCH_FOLDS,
    Judge,
    Material,
    beside,
    encoded,
    load_material,
    load_model,
    pairs_of,
    sized,
)
from tcmstruct.recipes.tongue_train import train_heads
from tcmstruct.training.pairs import PairObjective, class_weights, padded, pair_batches

N_REPORT, N_REPORT_GRIDS = 400, 60
"""Photos of the report that the readouts are asked about; photos a fold that the fusion reads."""
SEARCH_SIDE = SIDE_PX // 2
N_CALIBRATION = 32
"""Photos, and pairs, that refit a cut model in a search."""


@dataclass(frozen=True)
class Asked:
    """What a plan is judged by in a search: more of it costs time, less of it makes the best plan one of chance.

    Attributes:
        photos: that the readouts are asked about. grids, pairs: photos and questions for the fusion.
    """

    photos: int = 160
    grids: int = 40
    pairs: int = 120


RATIOS, HIDDEN = (0.3, 0.4, 0.5, 0.6, 0.7), (64, 128, 192, 256)
RATIO = 0.5
"""Of the tables of policies and of widths."""


def search_environment(model: FusedModel, material: Material, identity: str, asked: Asked = Asked()) -> FusedPruning:
    """The environment that policies search in."""
    named = np.stack([material.labels[h] != IGNORE for h in READ_OFF_ENCODER]).any(0)
    pool = np.nonzero(np.isin(material.fold, SEARCH_FOLDS) & named)[0]
    chosen = np.sort(np.random.default_rng(0).permutation(pool)[: asked.photos])
    judge = Judge(material, chosen, {0: SEARCH_FOLDS[0]}, side_px=SEARCH_SIDE, n_grids=asked.grids, n_pairs=asked.pairs,
                  expected=True)
    calibration = np.random.default_rng(2).permutation(np.nonzero(np.isin(material.fold, SEARCH_FOLDS))[0])[:N_CALIBRATION]
    losses = _encoder_losses(model, material, chosen), _fusion_losses(model, material)
    found = {"taylor": taylor(model, *losses), "l1": l1(model, lambda n: n / 4)}
    settings = json.dumps([identity, "grids of whole photos", asked.photos, asked.grids, asked.pairs, N_CALIBRATION, SEARCH_SIDE, RIDGE])
    return FusedPruning(model, found, sized(material, calibration, SEARCH_SIDE)[0], judge, fusion_tuner(model, material, [0]),
                        mean_gate=_mean_gate(model, material), identity=settings)


def fusion_tuner(model: FusedModel, material: Material, numbers: Sequence[int]) -> Callable[[FusedModel], None]:
    """Adjusts fusions of a pruned model to what is left: their output by least squares on pairs of the search's folds.

    Args:
        numbers: which of `FusedModel.fusions`.
    """
    given = beside(material, pairs_of(material, SEARCH_FOLDS[1], n_pairs=N_CALIBRATION))

    def tune(pruned: FusedModel) -> None:
        for number in numbers:
            refit_fusion(pruned.fusions[number], model.fusions[number], *given)

    return tune


def _encoder_losses(model: FusedModel, material: Material, chosen: np.ndarray) -> list[Callable[[], Tensor]]:
    """Losses of the readouts through the encoder, by readouts trained on the same photos."""
    labels, weights = ({h: v[chosen] for h, v in part.items()} for part in (material.labels, material.weights))
    features = np.concatenate([encoded(model.encoder, material, chosen, SEARCH_SIDE)[0], material.numbers[chosen]], 1).astype(np.float32)
    heads = train_heads(np.repeat(features[:, None], 2, axis=1), labels, weights, n_passes=30)

    def loss(rows: np.ndarray) -> Tensor:
        out = model.encoder(*sized(material, chosen[rows], SEARCH_SIDE))
        numbers = torch.from_numpy(material.numbers[chosen[rows]]).float()
        scores = heads(torch.cat([out.body, out.rim, numbers], 1))
        return masked_loss({h: scores[h] for h in READ_OFF_ENCODER},
                           {h: torch.from_numpy(labels[h][rows]) for h in READ_OFF_ENCODER},
                           {h: torch.from_numpy(weights[h][rows]) for h in READ_OFF_ENCODER})

    return [lambda rows=rows: loss(rows) for rows in np.array_split(np.arange(len(chosen)), max(1, len(chosen) // 16))]


def _fusion_losses(model: FusedModel, material: Material) -> list[Callable[[], Tensor]]:
    members = np.nonzero(np.isin(material.of_text, SEARCH_FOLDS))[0]
    usable = np.isin(material.photos.fold, SEARCH_FOLDS) & (material.photos.variant == 0)
    objective = PairObjective(class_weights(material.texts.labels[members], BALANCE))
    batches = pair_batches([(material.texts, members)], material.photos, usable, np.random.default_rng(3), without_photo=0.0,
                           wrong_photo=0.0, whole_text=0.0)
    return [lambda batch=batch: objective.loss(model.fusions[0], batch) for batch, _ in zip(batches, range(8), strict=False)]


def _mean_gate(model: FusedModel, material: Material) -> Tensor:
    """(H,) over some records of the search beside photos."""
    members = np.nonzero(material.of_text == SEARCH_FOLDS[0])[0][:48]
    rows = np.nonzero((material.photos.fold == SEARCH_FOLDS[0]) & (material.photos.variant == 0))[0]
    hidden, mask = padded([material.texts.vectors(i) for i in members])
    own = np.random.default_rng(4).choice(rows, len(members))
    with torch.inference_mode():
        _, gate, _ = model.fusions[0].fuse(hidden, torch.from_numpy(material.photos.places[own]),
                                           torch.from_numpy(material.photos.quality[own]), torch.ones(len(members)))
    return gate[mask].mean(0)


GREEDY = (Greedy("l1"), Greedy("taylor"), Greedy("taylor", per_byte=True), Uniform())


@dataclass(frozen=True)
class Cell:
    """One search: a policy under a wall."""

    table: str
    policy: str
    ratio: float
    seed: int
    hidden: int | None = None

    def make(self, n_plans: int, folder: Path, problem: PruningProblem) -> Policy:
        """The policy itself; the controller begins from the best greedy plan."""
        match self.policy:
            case "none":
                return NoPruning()
            case "random":
                return RandomPlans(n_plans, self.seed)
            case "uniform":
                return Uniform()
            case "lstm-rl":
                config = SearchConfig(hidden=self.hidden or 64, n_iterations=10 * n_plans, samples_per_iteration=6,
                                      learning_rate=0.03, entropy_weight=0.05, max_evaluations=n_plans, checkpoint_every=1,
                                      seed=self.seed)
                name = f"lstm-{self.hidden or 64}-{self.ratio:g}-{self.seed}"
                hint = max((greedy.run(problem).best for greedy in GREEDY), key=lambda found: found.reward)
                return LstmSearch(config, folder / name, resume=(folder / name / "state.json").exists(), hint=hint.plan)
            case _:
                return Greedy(self.policy.removesuffix("/byte"), per_byte=self.policy.endswith("/byte"))


OF_PLAN = {name: name for name in ("memory_bytes", "peak_bytes", "n_parameters", "photos_per_s")}
OF_WHOLE = {"memory_full_bytes": "memory_bytes", "peak_full_bytes": "peak_bytes", "n_parameters_full": "n_parameters",
            "photos_per_s_full": "photos_per_s"}
"""Names in `outcomes.jsonl` → names in `reports.jsonl`."""
DETERMINISTIC = ("none", *(greedy.name for greedy in GREEDY))


def cells(tables: Sequence[str], n_seeds: int) -> list[Cell]:
    """All searches of the tables, the shortest first."""
    out = []
    if "policies" in tables:
        out += [Cell("policies", policy, RATIO, 0) for policy in DETERMINISTIC]
        out += [Cell("policies", policy, RATIO, seed, 64 if policy == "lstm-rl" else None)
                for seed in range(n_seeds) for policy in ("random", "lstm-rl")]
    if "ratios" in tables:
        out += [Cell("ratios", policy, ratio, seed, 64 if policy == "lstm-rl" else None) for ratio in RATIOS
                for policy in ("taylor/byte", "uniform", "lstm-rl") for seed in range(1 if policy != "lstm-rl" else min(2, n_seeds))]
    if "hidden" in tables:
        out += [Cell("hidden", "lstm-rl", RATIO, seed, hidden) for hidden in HIDDEN for seed in range(min(3, n_seeds))]
    return out


def limit_of(env: FusedPruning, ratio: float) -> int:
    """The wall at which `ratio` of the removable memory has to go."""
    full, smallest = (env.memory_bytes(plan) for plan in (Plan.full(len(env.units())), Plan(tuple(u.required for u in env.units()))))
    return int(full - ratio * (full - smallest))


def compare(run: Path, env: FusedPruning, material: Material, chosen: Sequence[Cell], n_plans: int, n_seeds: int) -> None:
    """Runs the cells that `run/outcomes.jsonl` lacks."""
    done = {json.dumps(row["cell"]) for row in _lines(run / "outcomes.jsonl")}
    for cell in chosen:
        key = {**asdict(cell), "n_plans": n_plans}
        if json.dumps(key) in done:
            continue
        began = time.monotonic()
        ratio = 0.0 if cell.policy == "none" else cell.ratio
        problem = PruningProblem(env, limit_of(env, ratio), reward="relative_f1", cache_file=run / "plans.jsonl")
        outcome = cell.make(n_plans, run, problem).run(problem)
        best = outcome.best
        found, full = (reported(run, env, material, plan, n_seeds) for plan in (best.plan, Plan.full(len(env.units()))))
        for seed in range(n_seeds) if cell.policy in DETERMINISTIC else (cell.seed,):
            row = {"cell": key, "table": cell.table, "policy": cell.policy, "seed": seed, "ratio": ratio, "hidden": cell.hidden,
                   "f1": found["f1"][seed], "f1_full": full["f1"][seed],
                   **{name: report[kept] for report, names in ((found, OF_PLAN), (full, OF_WHOLE)) for name, kept in names.items()},
                   "f1_search": best.measurement.f1, "f1_search_full": problem.full.f1, "limit_bytes": problem.limit_bytes,
                   "n_evaluations": outcome.n_evaluations, "plan": best.plan.key}
            _append(run / "outcomes.jsonl", row)
        print(f"{cell.table} {cell.policy} ratio {cell.ratio} seed {cell.seed} hidden {cell.hidden}: search F1 {best.measurement.f1:.4f} "
              f"(full {problem.full.f1:.4f}), reported {np.mean(found['f1']):.4f} (full {np.mean(full['f1']):.4f}), "
              f"{best.measurement.memory_bytes / 2**20:.1f} of {problem.limit_bytes / 2**20:.1f} MB, {outcome.n_evaluations} plans, "
              f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def reported(run: Path, env: FusedPruning, material: Material, plan: Plan, n_seeds: int) -> dict[str, Any]:
    """What a plan is worth on the folds that no search has seen, for every seed of the readouts; kept in `run/reports.jsonl`."""
    asked = [N_REPORT, N_REPORT_GRIDS]
    for row in _lines(run / "reports.jsonl"):
        if (row["plan"], row["environment"], row["asked"]) == (plan.key, env.fingerprint(), asked) and len(row["f1"]) >= n_seeds:
            return row
    named = np.stack([material.labels[h] != IGNORE for h in READ_OFF_ENCODER]).any(0)
    pool = np.nonzero(np.isin(material.fold, REPORT_FOLDS) & named)[0]
    chosen = np.sort(np.random.default_rng(6).permutation(pool)[:N_REPORT])
    judge = Judge(material, chosen, dict(enumerate(REPORT_FOLDS, start=1)), n_grids=N_REPORT_GRIDS, n_seeds=n_seeds)
    pruned = tuned_at_full_size(env, material, plan)
    rates = []
    for _ in range(5):  # beside the whole encoder, turn by turn: what else the machine does hits both
        for encoder in (pruned.encoder, env.model.encoder):
            began = time.perf_counter()
            encoded(encoder, material, chosen[:16])
            rates.append(16 / (time.perf_counter() - began))
    figures, used = judge.figures(pruned), env.allocated(pruned)
    row = {"plan": plan.key, "environment": env.fingerprint(), "asked": asked, "f1": [float(np.mean(list(f.values()))) for f in figures],
           "figures": figures, "memory_bytes": used.total, "peak_bytes": used.peak, "n_parameters": pruned.n_parameters(),
           "photos_per_s": float(np.median(rates[::2])), "speed_up": float(np.median(rates[::2]) / np.median(rates[1::2]))}
    _append(run / "reports.jsonl", row)
    return row


def tuned_at_full_size(env: FusedPruning, material: Material, plan: Plan, n_photos: int = 64) -> FusedModel:
    """The pruned model, its encoder refitted on photos of full size from the search's folds."""
    pruned = env.apply(plan)
    rows = np.random.default_rng(5).permutation(np.nonzero(np.isin(material.fold, SEARCH_FOLDS))[0])[:n_photos]
    images, _ = sized(material, rows, SIDE_PX)
    refit(pruned.encoder, images, block_outputs(env.model.encoder, images))
    fusion_tuner(env.model, material, range(len(pruned.fusions)))(pruned)
    return pruned


def keep_plan(run: Path, env: FusedPruning, material: Material, plan: Plan) -> Path:
    """Writes the pruned, refitted encoder of a plan, and what the plan keeps of the fusion, to `run/plan-SHA`."""
    pruned = tuned_at_full_size(env, material, plan)
    return save_pruned(pruned.encoder, env.cut(plan), run / f"plan-{hashlib.sha256(plan.key.encode()).hexdigest()[:8]}")


def _lines(path: Path) -> list[dict[str, Any]]:
    """Whole lines of a JSONL journal; one that an interruption cut short does not count."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8")
    return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]


def _append(path: Path, row: Mapping[str, Any]) -> None:
    if path.exists():
        whole = path.read_bytes()
        os.truncate(path, whole.rfind(b"\n") + 1)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False) + "\n")


def run_tables(run: Path, data: Path, weights: Path, tongue_run: Path, fusion_run: Path, tables: Sequence[str], n_seeds: int,
               n_plans: int, keep: str | None = None, asked: Asked = Asked()) -> Path:
    """Material, environment and all searches that are not done yet; `keep` is a plan that is written out instead."""
    run.mkdir(parents=True, exist_ok=True)
    material = load_material(run, data, tongue_run, fusion_run)
    model = load_model(weights, fusion_run, material.texts, material.photos)
    env = search_environment(model, material, hashlib.sha256((tongue_run / "takes.npz").read_bytes()).hexdigest(), asked)
    if keep is not None:
        return keep_plan(run, env, material, Plan.from_key(keep))
    compare(run, env, material, cells(tables, n_seeds), n_plans, n_seeds)
    return run / "outcomes.jsonl"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("--tongue-run", type=Path, required=True)
    parser.add_argument("--fusion-run", type=Path, required=True)
    parser.add_argument("--tables", default="policies,ratios,hidden")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--plans", type=int, default=72, help="plans that a search may measure")
    parser.add_argument("--photos", type=int, default=Asked.photos, help="photos that a plan is judged by in a search")
    parser.add_argument("--keep", metavar="PLAN", help="write out this plan (a string of 0 and 1), and stop")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(run_tables(arguments.run, arguments.data, arguments.weights, arguments.tongue_run, arguments.fusion_run,
                     arguments.tables.split(","), arguments.seeds, arguments.plans, arguments.keep,
                     Asked(arguments.photos, arguments.photos // 4, arguments.photos * 3 // 4)))


if __name__ == "__main__":
    main()

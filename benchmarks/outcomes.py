"""The rows of OptimCLM (Hasan et al. 2025) for whole records: single teachers, ensemble, student, + pruning, + int8.

    python -m benchmarks.outcomes RUN --data DATA --teachers CHECKPOINT… [--seeds 2]

RUN is the folder of `tcmstruct.recipes.outcome_students`; what is missing there is trained. Judged on the cases that none of them learnt
from (fold 0): disease and syndrome together. Intervals: cases drawn anew in groups of near-duplicates. Times are
processor time of one record after another, one thread, onnxruntime; a record is read whole. Prints Markdown, and no record text.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.baselines.record_level import prior_labels
from benchmarks.machine import print_machine
from benchmarks.paper.figures import markdown
from tcmstruct.evaluation.multilabel import interval, macro_auroc
from tcmstruct.recipes.outcome_students import TERMS, Study
from tcmstruct.text.characters import CharacterTable
from tcmstruct.training.outcomes import encoded

REPEATS = 3
PUBLISHED = """
Published, other data (Hasan et al. 2025, MIMIC-III, four outcomes, ensemble of two clinical BERTs): up to 22.9 × smaller and 28.7 × faster,
with less than 2 % (BERT-PKD) and 5 % (TinyBERT) of the macro AUROC lost. Not to be compared by number."""


def of_graph(path: Path, texts: Sequence[str], table: CharacterTable) -> tuple[np.ndarray, float]:
    """(N, L) scores by a graph, and milliseconds a record."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options)
    records = encoded(texts, table)

    def read() -> np.ndarray:
        out = []
        for record in records:
            parts = [session.run(None, {"ids": piece[None].astype(np.int32)}) for piece in record]
            out.append(sum(sums[0] for sums, _ in parts) / sum(counts[0] for _, counts in parts))
        return np.array(out)

    return read(), milliseconds(read, len(texts))


def milliseconds(read: Callable[[], object], n: int) -> float:
    """Median over the repeats, of one record."""
    times = []
    for _ in range(REPEATS):
        began = time.process_time()
        read()
        times.append(1000 * (time.process_time() - began) / n)
    return float(np.median(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, nargs="+", required=True)
    parser.add_argument("--seeds", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_machine(sys.stdout)
    study = Study(arguments.run, arguments.data, arguments.teachers)
    texts, truth, groups = [study.texts[i] for i in study.test], study.truth[study.test], study.corpus.groups[study.test]
    said = study.teacher_scores(texts, "test")
    rows: dict[str, tuple[list[np.ndarray], float, float]] = {}
    for number, start in enumerate(study.starts):
        path = study.graph(study.teacher(number), f"teacher-{number}")
        _, ms = of_graph(path, texts, CharacterTable.load(start / "characters.txt"))
        rows[f"teacher {number + 1}: {start.name}"] = ([said[number]], path.stat().st_size / 1e6, ms)
    ms = milliseconds(lambda: [study.terms.scores([text]) for text in texts], len(texts))
    rows[TERMS] = ([said[-1]], 4 * study.terms.n_numbers / 1e6, ms)
    ensemble = study.ensemble(said)
    members = [row for row, weight in zip(rows.values(), study.weights, strict=True) if weight > 0]
    rows["ensemble"] = ([ensemble], sum(size for _, size, _ in members), sum(ms for *_, ms in members))
    makers: dict[str, tuple[Callable[[int], object], str, bool]] = {
        "student": (study.student, "student", False), "+ pruning": (study.pruned, "pruned", False),
        "+ pruning + int8": (study.pruned, "pruned", True), "student + int8": (study.student, "student", True)}
    for name, (make, kind, int8) in makers.items():
        paths = [study.graph(make(seed), f"{kind}-{seed}", int8) for seed in range(arguments.seeds)]
        found = [of_graph(path, texts, study.table) for path in paths]
        rows[name] = ([scores for scores, _ in found], paths[0].stat().st_size / 1e6, float(np.mean([ms for _, ms in found])))
    rows["the share of each outcome in training"] = ([prior_labels(study.truth, study.train, study.test)], 0.0, 0.0)

    def auroc(seeds: Sequence[np.ndarray], r: np.ndarray | slice = slice(None)) -> float:
        return float(np.mean([macro_auroc(truth[r], scores[r]) for scores in seeds]))

    first, size, ms = rows["ensemble"]
    table = [["system", "macro AUROC", "95 %", "− ensemble, %", "95 %", "MB", "times smaller", "ms a record", "times faster", "seeds"]]
    for name, (seeds, own_size, own_ms) in rows.items():
        one = interval(lambda r, seeds=seeds: auroc(seeds, r), groups, 300)
        away = interval(lambda r, seeds=seeds: 100 * (auroc(seeds, r) / auroc(first, r) - 1), groups, 300)
        cells = [name, f"{auroc(seeds):.3f}", f"{one.low:.3f} to {one.high:.3f}"]
        cells += ["", ""] if name == "ensemble" else [f"{away.value:+.1f}", f"{away.low:+.1f} to {away.high:+.1f}"]
        cells += [f"{own_size:.1f}", f"{size / own_size:.1f}", f"{own_ms:.2f}", f"{ms / own_ms:.1f}"] if own_size else [""] * 4
        table.append([*cells, str(len(seeds))])
    print(f"\n{len(study.labels)} outcomes, {len(study.train)} cases learnt from, {len(study.tune)} chosen on, {len(study.test)} judged. "
          f"Weights of the teachers: {', '.join(f'{weight:.1f}' for weight in study.weights)}; one without is no part of the ensemble.")
    print(f"\n{markdown(table)}")
    print(f"{PUBLISHED}\n")
    print("| step | steps | processor minutes | peak MiB | parameters |\n|---|---|---|---|---|")
    for place in sorted(study.run.glob("*/spent.json")):
        spent = json.loads(place.read_text())
        print(f"| {place.parent.name} | {spent['steps']:,} | {spent['processor_seconds'] / 60:.1f} | {spent['peak_mib']:,} | "
              f"{spent['parameters']:,} |")


if __name__ == "__main__":
    main()

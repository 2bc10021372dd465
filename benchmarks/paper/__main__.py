"""The paper's tables on our data, every row built and measured by this code.

    python -m benchmarks.paper [--quick] [--tables 1,2,3] [--work runs/paper] [--data DATA] [--seeds 5] [--threads N]
        [--fusion-run DIR] [--prune-run DIR | --tongue-run DIR --lite0 FILE] [--vocabulary-runs DIR] [--optimclm --teachers DIR …]

Tables: 1 systems · 2 the paper's entities · 3 what gate, trimming and vocabulary give · 4 pruning policies at equal memory · 5 ratios
· 6 width of the pruning controller · 7 heads of the fusion · 8 the shipped model against its teachers (`--optimclm`).

Markdown on stdout, progress on stderr. Every measured cell is a JSON line of `--work/cells.jsonl`, kept under a key of all it depends
on: row, seed, settings, sha256 of weights and data, of the source that measures it, and for times and memory the machine. A run that
was broken off goes on where it stopped; quick and full cells are never mixed. Networks that are built or trained for the tables stay
in `--work` too (one of them takes 1.3 GB); they can be deleted at any time.

`--quick`: fewer records, passes and steps, one seed; the head line says so. Full: five seeds, hours. Speeds are valid on a machine
that does nothing else; each is also given per TFLOP/s of the fp32 matrix ceiling measured before and after it.

Needs the extras train and bench; BERT-Large's memory is 3–4 GB; MobileBERT, MobileNetV2 and EfficientNet-B0 need `transformers`
(extra dev). What is missing is named in its row.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.accuracy import DATA
from benchmarks.machine import describe_line, describe_machine, matrix_ceiling
from benchmarks.paper.heads import heads_table
from benchmarks.paper.optimclm import optimclm_table
from benchmarks.paper.pruning import hidden_table, policies_table, ratios_table
from benchmarks.paper.run import Run, processor_s, say
from benchmarks.paper.store import NotMeasured, Store
from benchmarks.paper.tables import ablation_table, entities_table, systems_table
from tcmstruct.errors import TcmstructError

TABLES: dict[str, tuple[str, Callable[[Run], str]]] = {
    "1": ("Systems", systems_table), "2": ("The paper's entities", entities_table), "3": ("What each module gives", ablation_table),
    "4": ("Pruning policies at equal measured memory", policies_table), "5": ("Pruning ratios", ratios_table),
    "6": ("Width of the pruning controller", hidden_table), "7": ("Heads of the fusion", heads_table),
    "8": ("The shipped model against its teachers", optimclm_table),
}
PAPERS = ("1", "2", "3", "4", "5", "6", "7")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; `tables` is a list of keys of `TABLES`."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paper", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="all tables in a quarter of an hour")
    parser.add_argument("--tables", default="", help="numbers, comma-separated (default: 1 to 7, and 8 with --optimclm)")
    parser.add_argument("--work", type=Path, default=Path("runs/paper"), help="where measured cells and trained networks are kept")
    parser.add_argument("--data", type=Path, default=DATA, help="data folder (default: TCMSTRUCT_DATA)")
    parser.add_argument("--seeds", type=int, help="of everything that is trained here (default 5; 1 with --quick)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
                        help="of each measured process (default: all cores)")
    parser.add_argument("--fusion-run", type=Path, help="working folder of tcmstruct.recipes.fusion_train")
    parser.add_argument("--prune-run", type=Path, help="working folder of tcmstruct.recipes.prune")
    parser.add_argument("--tongue-run", type=Path, help="working folder of tcmstruct.recipes.tongue_train, for a quick pruning search")
    parser.add_argument("--lite0", type=Path, help="efficientnet-lite0-57934424.pth, for the same")
    parser.add_argument("--vocabulary-runs", type=Path, help="working folder of benchmarks.vocabulary")
    parser.add_argument("--optimclm", action="store_true", help="table 8")
    parser.add_argument("--teachers", type=Path, nargs="+", default=[], help="checkpoint folders, for table 8")
    arguments = parser.parse_args(words)
    arguments.tables = arguments.tables.split(",") if arguments.tables else ([] if arguments.optimclm else list(PAPERS))
    if arguments.optimclm and "8" not in arguments.tables:
        arguments.tables.append("8")
    if unknown := [t for t in arguments.tables if t not in TABLES]:
        parser.error(f"unknown table {', '.join(unknown)}; allowed: {', '.join(TABLES)}")
    for name in ("seeds", "threads"):
        if (value := getattr(arguments, name)) is not None and value < 1:
            parser.error(f"--{name} is {value}, allowed are 1 and more")
    for name in ("fusion_run", "prune_run", "vocabulary_runs", "tongue_run"):
        if (folder := getattr(arguments, name)) is not None and not folder.is_dir():
            parser.error(f"--{name.replace('_', '-')}: {folder} is no folder")
    for folder in arguments.teachers:
        if not (folder / "config.json").is_file():
            parser.error(f"--teachers: {folder} holds no checkpoint (config.json)")
    if not (arguments.data / "gold" / "dev.jsonl").is_file():
        parser.error("the labelled records are not there: set TCMSTRUCT_DATA or give --data")
    return arguments


def main(words: Sequence[str] | None = None) -> int:
    arguments = parse(words)
    began = time.monotonic()
    machine = describe_machine()
    store = Store(arguments.work, {"date": machine["date"], "commit": machine["commit"]})
    run = Run(arguments.data.resolve(), arguments.work.resolve(), store, arguments.quick, arguments.seeds or (1 if arguments.quick else 5),
              arguments.threads, machine, *(None if folder is None else folder.resolve() for folder in (
                  arguments.fusion_run, arguments.prune_run, arguments.vocabulary_runs)), [t.resolve() for t in arguments.teachers],
              *(None if given is None else given.resolve() for given in (arguments.tongue_run, arguments.lite0)))
    kind = "**quick**: few records and steps" if run.quick else "full"
    print(f"{describe_line(machine)}\n\n{kind}; {run.seeds} seed{'s' if run.seeds > 1 else ''}; fp32 matrix ceiling "
          f"{matrix_ceiling():.3f} TFLOP/s; {len(store)} cells were known.", flush=True)
    if (busy := os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0) > 0.3:
        print(f"\n**Not valid as speed: {busy:.1f} cores were busy with other work before this began.**", flush=True)
    for number in arguments.tables:
        title, make = TABLES[number]
        try:
            text = make(run)
        except NotMeasured as reason:
            text = f"Not measured: {reason}."
        print(f"\n### Table {number}. {title}{' (quick)' if run.quick else ''}\n\n{text}", flush=True)
    say(f"{(time.monotonic() - began) / 60:.1f} minutes, {processor_s() / 60:.1f} of processor time; {len(store)} cells are kept in "
        f"{arguments.work}")
    return 1 if run.failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TcmstructError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)

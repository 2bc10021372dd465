"""Every backend with every precision, on one model: size, entity F1, speed beside the machine's fp32 matrix ceiling, memory.

    python -m benchmarks.backends --fp32 FOLDER [--threads N] [--repeats 9] [--kinds static dynamic] [--quick] [--markdown]

FOLDER is an fp32 model folder (`recipes.ship` leaves one); the artefacts are made from it in this run (`compression.quantise`), ranges
fixed on training records. Rows: onnxruntime and, where they can be used, OpenVINO, OpenVINO in bf16 and CUDA, each on the artefacts that
it runs; "default" is the shipped folder.

- F1: strict, of mentions, on the gold dev records (TCMSTRUCT_DATA names the data folder); change in points against fp32 on onnxruntime.
- records/s: texts of 250–450 characters (benchmarks.speed) to scores, decoding left out; median of the passes and their whole spread.
- per TFLOP/s: the same, over the machine's fp32 ceiling, measured beside each pass: other load meets both.
- of the ceiling: floating-point operations a second of the loaded graph alone (benchmarks.graph_flops; windows of 352 characters) over the
  fp32 ceiling measured beside each pass. 8-bit and bf16 rows may lie above 100 %.
- peak: largest resident set of a process that loads the model and reads the dev records. same: whether scores are the same bytes in
  batches of 1, 7 and 32 windows; where not, or where it is not measured often enough to be sure, the backend runs one window a batch.

`--quick`: 20 dev records, 5 passes of a few records. Each row is a process of its own. Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import matrix_ceiling, print_machine
from benchmarks.speed import DATA, texts

TARGET_SHARE = 0.6
CHARS = 352
"""Of a window of the encoder's row: the mean of the gold records, padded."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fp32", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--records", type=int, default=48)
    parser.add_argument("--kinds", nargs="+", default=["static", "dynamic"])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.repeats, arguments.records = 5, 12
    if arguments.child:
        backend, folder = arguments.child.split(":", 1)
        print(json.dumps(measure(backend, Path(folder), arguments.threads, arguments.repeats, arguments.records, arguments.quick)))
        return
    from tcmstruct.compression.quantise import KINDS, quantise
    from tcmstruct.runtime import backends
    from tcmstruct.runtime.model_folder import DEFAULT_FOLDER

    print_machine()
    usable = backends.usable()
    with tempfile.TemporaryDirectory() as scratch:
        folders = {"fp32": arguments.fp32}
        kinds = [*arguments.kinds, *(["fp16", "bf16"] if "cuda" in usable else [])]
        for kind in dict.fromkeys(kinds):
            folders[kind] = quantise(arguments.fp32, Path(scratch) / kind, _training_texts(), kind)
        rows: list[tuple[str, str, dict[str, Any]]] = []
        for backend in usable:
            for name, folder in folders.items():
                fits = name == "fp32" or KINDS[name].backend == backend or (name == "static" and backend.startswith("openvino"))
                if fits:
                    rows.append((backend, name, _child(backend, folder, sys.argv[1:])))
        rows.append((backends.DEFAULT, "default", _child(backends.DEFAULT, DEFAULT_FOLDER, sys.argv[1:])))
    told = [f"not here: {name}: {problem}" for name, b in backends.BACKENDS.items() if (problem := b.why_not()) is not None]
    print("\n".join([f"{arguments.threads} threads", *table(rows, arguments.markdown), *told, verdict(rows)]))


def _training_texts() -> list[str]:
    train = DATA / "gold" / "train.jsonl"
    if train.exists():
        with open(train, encoding="utf-8") as lines:
            return [json.loads(line)["text"] for line in lines]
    return texts(200)[0]


def _child(backend: str, folder: Path, options: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.backends", "--child", f"{backend}:{folder.resolve()}", *options],
                          capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][-120:]}
    return json.loads(done.stdout.splitlines()[-1])


def measure(backend: str, folder: Path, threads: int, repeats: int, n_records: int, quick: bool) -> dict[str, Any]:
    """One row, in this process."""
    import onnx

    from benchmarks.graph_flops import graph_flops
    from tcmstruct.evaluation import read_annotated
    from tcmstruct.pipeline import Structurer
    from tcmstruct.recipes.acceptance import entity_f1, predict
    from tcmstruct.runtime.backends import same_in_any_batch
    from tcmstruct.runtime.memory import peak_resident_bytes

    structurer = Structurer(folder, threads=threads, backend=backend)
    tagger, dev = structurer.tagger, DATA / "gold" / "dev.jsonl"
    gold = read_annotated(dev)[: 20 if quick else None] if dev.exists() else []
    f1 = entity_f1(gold, predict(structurer, gold)) if gold else None
    peak = peak_resident_bytes()  # before torch comes in with the ceiling
    session = tagger._session
    # one text of exactly so many characters: as a window it needs no padding
    windows = 1 if tagger.alone else 3072 // CHARS
    feed = tagger._feed(tagger._jobs(["咳" * CHARS] * windows))
    flops = sum(graph_flops(onnx.load(folder / "model.onnx"), windows, CHARS).values())
    some, _ = texts(n_records)
    runs = max(1, (2 if quick else 8) // windows)
    for _ in range(2):
        session.run(["scores"], feed)
    for _ in tagger.stream(some):
        pass
    records_per_s, shares, per_tflops, ceilings = [], [], [], []
    before = matrix_ceiling(seconds_each=0.02)
    for _ in range(repeats):
        began = time.perf_counter()
        for _ in tagger.stream(some):
            pass
        rate = len(some) / (time.perf_counter() - began)
        began = time.perf_counter()
        for _ in range(runs):
            session.run(["scores"], feed)
        encoder = flops * runs / (time.perf_counter() - began) / 1e12
        after = matrix_ceiling(seconds_each=0.02)
        ceiling, before = (before + after) / 2, after
        records_per_s.append(rate)
        per_tflops.append(rate / ceiling)
        shares.append(encoder / ceiling)
        ceilings.append(ceiling)
    return {"disk_mb": (folder / "model.onnx").stat().st_size / 1e6, "f1": f1, "records_per_s": records_per_s, "per_tflops": per_tflops,
            "shares": shares, "ceilings": ceilings, "peak_mb": peak / 1e6, "alone": tagger.alone, "same": same_in_any_batch(session),
            "mflop": flops / windows / 1e6}


def table(rows: Sequence[tuple[str, str, dict[str, Any]]], markdown: bool) -> list[str]:
    """One line a row; a row that failed says why."""
    head = ("backend", "artefact", "disk, MB", "entity F1 on dev", "records/s", "per TFLOP/s", "of the fp32 ceiling", "peak, MB",
            "same bytes in any batch")
    base = next((row["f1"] for backend, name, row in rows if (backend, name) == ("onnxruntime", "fp32") and "failed" not in row), None)
    cells = [head]
    for backend, name, row in rows:
        if "failed" in row:
            cells.append((backend, name, "failed: " + row["failed"], *[""] * (len(head) - 3)))
            continue
        itself = backend == "onnxruntime" and name in ("fp32", "default")  # the shipped folder may come from another parent
        change = "" if base is None or itself else f" ({100 * (row['f1'] - base):+.2f})"
        cells.append((backend, name, f"{row['disk_mb']:.2f}", "no data" if row["f1"] is None else f"{row['f1']:.4f}{change}",
                      _spread(row["records_per_s"], "{:.1f}"), _spread(row["per_tflops"], "{:.0f}"), _spread(row["shares"], "{:.0%}"),
                      f"{row['peak_mb']:.0f}", ("yes" if row["same"] else "no") + ("; one window a batch" if row["alone"] else "")))
    if markdown:
        return ["| " + " | ".join(line) + " |" for line in (head, ("---",) * len(head), *cells[1:])]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in cells]


def _spread(values: Sequence[float], shape: str) -> str:
    return f"{shape.format(statistics.median(values))} ({shape.format(min(values))}–{shape.format(max(values))})"


def verdict(rows: Sequence[tuple[str, str, dict[str, Any]]]) -> str:
    """The best share of the ceiling against the target, and the ceiling itself."""
    own = [(backend, name, row) for backend, name, row in rows if "failed" not in row]
    if not own:
        return "no row could be measured"
    backend, name, best = max(own, key=lambda r: statistics.median(r[2]["shares"]))
    share = statistics.median(best["shares"])
    ceilings = [c for _, _, row in own for c in row["ceilings"]]
    outcome = "met" if share >= TARGET_SHARE else "missed"
    return (f"fp32 matrix ceiling {_spread(ceilings, '{:.3f}')} TFLOP/s; {best['mflop']:.0f} MFLOP a window of {CHARS} characters\n"
            f"best share of it: {share:.0%} by {backend} on {name} (target {TARGET_SHARE:.0%}: {outcome})")


if __name__ == "__main__":
    main()

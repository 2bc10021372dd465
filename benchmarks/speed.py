"""End-to-end speed and memory of `convert`, beside the machine's own fp32 matrix ceiling, in one run.

    python -m benchmarks.speed [--records 2000] [--repeats 3] [--fields] [--growth]

Records of 250–450 characters: real ones where TCMSTRUCT_DATA is there, else recombined invented ones of examples/.
Every figure is a median; rates are given per TFLOP/s of the ceiling measured before and after, because machines differ.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil

from benchmarks.machine import matrix_ceiling, print_machine

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("TCMSTRUCT_DATA", ROOT / ".." / "shared" / "data"))
TARGET_PER_TFLOPS = 540


def texts(n: int, seed: int = 0) -> tuple[list[str], str]:
    """`n` texts of 250–450 characters, and where they come from."""
    rng = random.Random(seed)
    gold = DATA / "gold" / "train.jsonl"
    if gold.exists():
        with open(gold, encoding="utf-8") as lines:
            pool = [t for line in lines if 250 <= len(t := json.loads(line)["text"]) <= 450]
        origin = f"{len(pool)} real records of 250–450 characters, their sentences exchanged"
    else:
        with open(ROOT / "examples" / "records.csv", encoding="utf-8-sig", newline="") as file:
            pool = [row["病历内容"] for row in csv.DictReader(file)]
        origin = f"{len(pool)} invented records, their sentences exchanged"
    sentences = [[s + "。" for s in t.split("。") if s] for t in pool]
    found: list[str] = []
    while len(found) < n:
        own = [rng.choice(rng.choice(sentences)) if rng.random() < 0.3 else s for s in rng.choice(sentences)]
        text = "".join(own)
        while len(text) < 250:
            text += rng.choice(rng.choice(sentences))
        found.append(text[:450])
    return found, origin


def write_records(path: Path, n: int) -> str:
    """A JSONL file of `n` records; returns their origin. Texts repeat after 2,000 with another id (nothing is cached)."""
    some, origin = texts(min(n, 2000))
    with open(path, "w", encoding="utf-8") as file:
        for i in range(n):
            file.write(json.dumps({"id": f"r{i}", "text": some[i % len(some)]}, ensure_ascii=False) + "\n")
    return origin


class Watch(threading.Thread):
    """Peak resident set of a process and its children together, and when the first record was written."""

    def __init__(self, process: subprocess.Popen, out: Path) -> None:
        super().__init__(daemon=True)
        self.process, self.out, self.peak, self.first = psutil.Process(process.pid), out, 0, None
        self.began = time.perf_counter()

    def run(self) -> None:
        try:
            while self.process.is_running() and self.process.status() != psutil.STATUS_ZOMBIE:
                family = [self.process, *self.process.children(recursive=True)]
                total = 0
                for member in family:
                    try:
                        total += member.memory_full_info().pss if hasattr(member.memory_full_info(), "pss") else member.memory_info().rss
                    except psutil.Error:
                        continue
                self.peak = max(self.peak, total)
                time.sleep(0.05)
        except psutil.Error:
            return


def convert(records: Path, out: Path, *options: str) -> dict[str, float]:
    """One whole run of the command line, from the start of the process."""
    command = [sys.executable, "-m", "tcmstruct", "convert", str(records), "-o", str(out), "--fresh", "--format", "jsonl", *options]
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    watch = Watch(process, out)
    watch.start()
    if process.wait() != 0:
        raise SystemExit(f"convert ended with {process.returncode}")
    watch.join()
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return {"wall_s": time.perf_counter() - began, "peak_mb": watch.peak / 2**20, "first_s": manifest["timing"]["first_record_s"],
            "n": manifest["counts"]["in"]}


def pack(n_fields: int) -> str:
    """A pack of `n_fields` invented yes/no fields with two terms each."""
    blocks = ['[pack]\nname = "bench"\ntitle = "bench"\n']
    rng = random.Random(1)
    for i in range(n_fields):
        words = ["".join(chr(rng.randrange(0x4E00, 0x9F00)) for _ in range(3)) for _ in range(2)]
        blocks.append(f'[fields."字段{i}"]\ntype = "yes_no"\nterms = {json.dumps(words, ensure_ascii=False)}\n')
    return "\n".join(blocks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--fields", action="store_true", help="cost from 5 to 500 fields")
    parser.add_argument("--growth", type=int, nargs="*", help="memory at these numbers of records")
    parser.add_argument("--model", help="model folder in place of the shipped one")
    arguments = parser.parse_args()
    model = ["--model", arguments.model] if arguments.model else []
    print_machine()
    with tempfile.TemporaryDirectory() as folder:
        records, out = Path(folder) / "records.jsonl", Path(folder) / "out"
        origin = write_records(records, arguments.records)
        print(f"{arguments.records:,} records: {origin}")
        rates, walls, peaks, ceilings = [], [], [], [matrix_ceiling()]
        one = Path(folder) / "one.jsonl"
        write_records(one, 1)
        alone = [convert(one, out, *model) for _ in range(arguments.repeats)]
        starts = [figures["wall_s"] for figures in alone]
        for _ in range(arguments.repeats):
            figures = convert(records, out, *model)
            walls.append(figures["wall_s"])
            rates.append(figures["n"] / (figures["wall_s"] - statistics.median(starts)))
            peaks.append(figures["peak_mb"])
            ceilings.append(matrix_ceiling())
        ceiling = statistics.median(ceilings)
        rate = statistics.median(rates)
        print(f"fp32 matrix ceiling        {ceiling:.3f} TFLOP/s (median of {len(ceilings)}, {min(ceilings):.3f}–{max(ceilings):.3f})")
        print(f"convert, JSONL → JSONL     {rate:.1f} records/s (median of {len(rates)}, {min(rates):.1f}–{max(rates):.1f})")
        print(f"per TFLOP/s                {rate / ceiling:.0f} records/s (target {TARGET_PER_TFLOPS}: "
              f"{'met' if rate / ceiling >= TARGET_PER_TFLOPS else 'missed'}); the paper's GPU: 22 records/s")
        first = statistics.median(figures["first_s"] for figures in alone)
        print(f"first record               {first:.2f} s after the run began (target: under 2 s)")
        print(f"one record, report and all {statistics.median(starts):.2f} s")
        print(f"whole run                  {statistics.median(walls):.1f} s, peak memory of all processes {max(peaks):.0f} MB (target 500)")
        if arguments.fields:
            for n in (5, 50, 500):
                file = Path(folder) / f"pack{n}.toml"
                file.write_text(pack(n), encoding="utf-8")
                figures = convert(records, out, "--schema", str(file), *model)
                print(f"{n:>4} fields                {figures['n'] / (figures['wall_s'] - statistics.median(starts)):.1f} records/s")
        for n in arguments.growth or []:
            write_records(records, n)
            figures = convert(records, out, *model)
            print(f"{n:>9,} records          peak memory {figures['peak_mb']:.0f} MB, {figures['n'] / figures['wall_s']:.1f} records/s")


if __name__ == "__main__":
    main()

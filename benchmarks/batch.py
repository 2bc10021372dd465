"""The batch around the model: what its journal, its processes and its files cost, and what a killed run comes to.

    python -m benchmarks.batch [million] [overhead] [kills] [engines] [--records N] [--kills N] [--model-records N]

"million" converts that many invented records with a structurer that does next to nothing, so the figure is the batch alone: records/s,
and the main process's resident set along the way, with its growth over the second half. "overhead" is the time of `convert` with the
shipped model that is not spent in the structurer, the reader or the report, as a share. "kills" kills a run at random moments with
SIGKILL, all its processes with it, goes on with it each time, and compares the bytes of the end with those of an undisturbed run.
"engines" gives the same records to processes of this machine and to Ray, after both have started. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.machine import print_machine
from tcmstruct.batch.engine import Factory
from tcmstruct.record import Record, StructuredRecord

ROOT = Path(__file__).resolve().parents[1]
FILES = ("records.jsonl", "rejects.jsonl", "table.csv")
TEXT = "患者男，56岁，反复咳嗽咳痰3天，加重1天，咳黄痰，无发热，纳眠可，二便调。舌质红，苔黄腻，脉滑数。"


@dataclass(frozen=True)
class Stub:
    """A structurer that answers at once, or after `seconds` of work a record."""

    seconds: float = 0.0
    model_fingerprint: str = "stub"
    schema_fingerprint: str = "stub"

    def __call__(self) -> Stub:
        return self

    def structure_many(self, records: list[Record]) -> list[StructuredRecord]:
        until = time.perf_counter() + self.seconds * len(records)
        found = [StructuredRecord(r.id, r.text, model="stub", schema="stub") for r in records]
        while time.perf_counter() < until:
            pass
        return found


STUBS: dict[str, Factory] = {"instant": Stub(), "busy": Stub(0.002)}


def write_records(path: Path, n: int) -> Path:
    with path.open("w", encoding="utf-8") as file:
        for k in range(n):
            file.write(json.dumps({"id": f"r{k}", "text": f"{TEXT}{k}"}, ensure_ascii=False) + "\n")
    return path


def begin(stub: str, source: Path, out: Path, workers: int = 1, engine: str = "local") -> subprocess.Popen:
    """`convert` with a stub in a process of its own, and in a session of its own, so that all its processes can be killed."""
    command = [sys.executable, "-m", "benchmarks.batch", "--child", stub, str(source), str(out), str(workers), engine]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True)


def child(stub: str, source: str, out: str, workers: str, engine: str) -> None:
    from tcmstruct.recipes.convert import convert

    convert([source], Path(out), formats=("jsonl", "csv"), workers=int(workers), engine=engine, report=False, factory=STUBS[stub])


def manifest(out: Path) -> dict:
    return json.loads((out / "manifest.json").read_text(encoding="utf-8"))


def million(folder: Path, n: int) -> None:
    source = write_records(folder / "in.jsonl", n)
    process = begin("instant", source, folder / "o")
    sizes: list[float] = []
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            sizes.append(watched.memory_info().rss / 2**20)
        except psutil.Error:
            break
        time.sleep(0.2)
    process.wait()
    found = manifest(folder / "o")
    half, last = sizes[len(sizes) // 2], max(sizes)
    print(f"\n| records | in = ok + warned + rejected | records/s | resident set at half, MB | largest, MB |\n|--:|---|--:|--:|--:|\n"
          f"| {n:,} | {found['counts']} | {found['timing']['records_per_s']:,.0f} | {half:.0f} | {last:.0f} |")


def overhead(folder: Path, n: int) -> None:
    """Times the structurer from within the same run, one process."""
    from tcmstruct.batch import run_batch
    from tcmstruct.emr.reader import open_sources
    from tcmstruct.recipes.convert import StructurerFactory

    source = write_records(folder / "some.jsonl", n)
    structurer = StructurerFactory()()
    spent = 0.0

    class Timed:
        def __getattr__(self, name: str) -> object:
            return getattr(structurer, name)

        def structure_many(self, records: list[Record]) -> list[StructuredRecord]:
            nonlocal spent
            began = time.perf_counter()
            found = structurer.structure_many(records)
            spent += time.perf_counter() - began
            return found

    shares = []
    for turn in range(3):
        spent, began = 0.0, time.perf_counter()
        run_batch(open_sources([source])[0], None, folder / f"t{turn}", factory=Timed)
        whole = time.perf_counter() - began
        shares.append((whole - spent) / spent)
    print(f"\n| records | batch beside the model, reader and records.jsonl included (median of {len(shares)}) | target |\n|--:|--:|--:|\n"
          f"| {n:,} | {statistics.median(shares):.1%} | 5 % |")


def kills(folder: Path, n_kills: int, n: int, seed: int = 0) -> None:
    source = write_records(folder / "kill.jsonl", n)
    began = time.perf_counter()
    begin("busy", source, folder / "whole", 2).wait()
    whole_s = time.perf_counter() - began
    rng, met, out = random.Random(seed), 0, folder / "killed"
    for _ in range(n_kills):
        process = begin("busy", source, out, 2)
        timer = threading.Timer(rng.uniform(0.3, whole_s), os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        met += process.wait() == -signal.SIGKILL
        timer.cancel()
        if (out / "_SUCCESS").exists():  # it was done before the kill: begin the next one anew
            same = all((out / name).read_bytes() == (folder / "whole" / name).read_bytes() for name in FILES)
            assert same, "a finished run differs"
            for file in out.iterdir():
                file.unlink()
    code = begin("busy", source, out, 2).wait() if not (out / "_SUCCESS").exists() else 0
    same = code == 0 and all((out / name).read_bytes() == (folder / "whole" / name).read_bytes() for name in FILES)
    print(f"\n| kill -9 at random moments | met a run at work | rows | bytes as undisturbed |\n|--:|--:|--:|---|\n"
          f"| {n_kills} | {met} | {n:,} | {'yes' if same else 'NO'} |")


def engines(folder: Path, n: int) -> None:
    source, rates = write_records(folder / "engines.jsonl", n), {}
    for engine in ("local", "ray"):
        begin("busy", source, folder / engine, 2, engine).wait()
        timing = manifest(folder / engine)["timing"]
        rates[engine] = n / (timing["structuring_s"] - timing["first_record_s"])
    print("\n| engine, 2 workers | records/s after the first | beside local | target |\n|---|--:|--:|--:|")
    for engine, rate in rates.items():
        print(f"| {engine} | {rate:,.0f} | {rate / rates['local']:.0%} | {'85 %' if engine == 'ray' else ''} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help="million, overhead, kills, engines; all by default")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--model-records", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        child(*arguments.child)
        raise SystemExit
    print_machine()
    with tempfile.TemporaryDirectory() as name:
        for part, run in {"million": lambda: million(Path(name), arguments.records),
                          "overhead": lambda: overhead(Path(name), arguments.model_records),
                          "kills": lambda: kills(Path(name), arguments.kills, 8000),
                          "engines": lambda: engines(Path(name), 8000)}.items():
            if not arguments.parts or part in arguments.parts:
                run()

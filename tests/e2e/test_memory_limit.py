"""`convert --memory-limit` holds over mixed lengths with outliers, in one process and in two, and changes no byte."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.trimming import invented, sentences

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the largest resident set is read from /proc")


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Over 64 rows, so that two workers are really started."""
    folder = tmp_path_factory.mktemp("mixed")
    rng, pool = random.Random(0), sentences()
    lengths = [*(rng.randint(20, 200) for _ in range(70)), 12_000]
    rng.shuffle(lengths)
    rows = [{"id": f"r{n}", "text": invented(rng, pool, length)} for n, length in enumerate(lengths)]
    file = folder / "mixed.jsonl"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return file


def convert(file, out, *options):
    """Largest resident set of the process that was started, and the manifest."""
    script = ("import sys; from tcmstruct.cli import main; from tcmstruct.runtime.memory import peak_resident_bytes\n"
              "try: main()\nexcept SystemExit as end: code = end.code or 0\nprint(peak_resident_bytes()); sys.exit(code)")
    done = subprocess.run([sys.executable, "-c", script, "convert", str(file), "-o", str(out), "--format", "jsonl,csv", "--no-report",
                           *options], cwd=ROOT, capture_output=True, text=True, timeout=600,
                          env={**os.environ, "XDG_CACHE_HOME": str(file.parent / "cache"), "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1]), json.loads((out / "manifest.json").read_text("utf-8"))


def test_the_limit_holds_and_changes_no_byte(mixed, tmp_path):
    limits = {"一": (260_000_000, 1), "二": (600_000_000, 2), "宽": (2_000_000_000, 1)}
    largest = {}
    for name, (limit, workers) in limits.items():
        peak, manifest = convert(mixed, tmp_path / name, "--memory-limit", str(limit), "--workers", str(workers))
        told = manifest["memory"]
        assert told["limit_bytes"] == limit
        assert [p["process"] for p in told["processes"]] == ["main", *["worker"] * (workers if workers > 1 else 0)]
        assert told["peak_bytes"] == sum(p["peak_bytes"] for p in told["processes"])
        assert peak + sum(p["peak_bytes"] for p in told["processes"][1:]) <= limit
        assert told["budget"]["source"] == "fitted"
        assert told["halvings"] == 0
        largest[name] = told["largest_batch"]["windows"] * told["largest_batch"]["chars"]
    assert largest["一"] < largest["宽"]
    for file in ("records.jsonl", "table.csv", "rejects.jsonl"):
        assert len({(tmp_path / name / file).read_bytes() for name in limits}) == 1

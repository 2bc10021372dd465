"""What the report costs: processor time a record for reading and for counting, and memory, beside what structuring costs.

    tcmstruct convert examples/clinic.csv -o OUT
    python -m benchmarks.report OUT [--repeat 30]

The lines of OUT are repeated in a temporary folder; a second, four times as long, shows whether memory grows with the records.
Prints a Markdown table. Processor time is used, not the clock: it is the same on a machine that does other work.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.machine import print_machine

_MEASURE = """
import json, resource, sys, time
from pathlib import Path
from tcmstruct.report import make_report
from tcmstruct.report.source import open_output
from tcmstruct.report.tally import Tally, count
out = Path(sys.argv[1])
t = time.process_time(); n = sum(1 for _ in open_output(out).lines()); read = time.process_time() - t
t = time.process_time(); count(open_output(out).lines(), Tally()); tally = time.process_time() - t
t = time.process_time(); made = make_report(out); whole = time.process_time() - t
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps([n, read, tally, whole, peak, len(made.html) / 1e6, len(made.figures)]))
"""


def measure(source: Path, folder: Path, repeat: int) -> list[float]:
    """Records, seconds of reading, of reading and counting, of the whole report, peak MiB, page in MB, figures."""
    lines = (source / "records.jsonl").read_bytes()
    with (folder / "records.jsonl").open("wb") as file:
        for _ in range(repeat):
            file.write(lines)
    (folder / "manifest.json").write_bytes((source / "manifest.json").read_bytes())
    done = subprocess.run([sys.executable, "-c", _MEASURE, str(folder)], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--repeat", type=int, default=30)
    given = arguments.parse_args()
    print_machine()
    timing = json.loads((given.out / "manifest.json").read_bytes())
    each_ms = 1000 * timing["timing"]["structuring_s"] / timing["counts"]["in"]
    print(f"\nStructuring: {each_ms:.1f} ms a record by the clock ({given.out.name}, {timing['counts']['in']:,} records)\n")
    print("| records | reading, µs each | counting, µs each | of structuring | the page, s | peak, MiB | page, MB | figures |")
    print("|---|---|---|---|---|---|---|---|")
    for repeat in (given.repeat, 4 * given.repeat):
        with tempfile.TemporaryDirectory() as folder:
            n, read, tally, whole, peak, page, figures = measure(given.out, Path(folder), repeat)
        each_us, drawing = 1e6 * tally / n, max(0.0, whole - tally)
        print(f"| {n:,} | {1e6 * read / n:.0f} | {each_us - 1e6 * read / n:.0f} | {each_us / (1e3 * each_ms):.1%} | {drawing:.2f} | "
              f"{peak:.0f} | {page:.2f} | {figures:.0f} |", flush=True)


if __name__ == "__main__":
    main()

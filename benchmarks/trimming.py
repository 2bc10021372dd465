"""Trimmed batches against fixed ones on a stream of mixed lengths: memory added over the loaded model, speed, long texts.

    python -m benchmarks.trimming [--records 600] [--quick] [--million] [--markdown] [--limits 240 280 360 800]

The stream: invented records of 20–600 characters (sentences of examples/ exchanged), one in a hundred of 5,000–100,000, with
`--million` one of 1,000,000. `--quick` is a fifth of it, its long ones of 2,500–20,000 characters.

"fixed" is what a usual pipeline does: records in the order they come, cut into the same windows so that nothing is lost, 32 a
batch, padded to the longest of the batch. "trimmed" is the program's own way under a memory limit, "default" without one. All read
mentions with the same model; they must be the same at every limit (a digest is compared).

Each row is a process of its own, one thread: W is resident when the model is loaded and one short text was read, "added" is the
largest resident set after that less W. Rates are by processor time (one thread, so that other load does not count). A long text
counts as read where its row gave mentions with no failure. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import print_machine
from tcmstruct.runtime.memory import peak_resident_bytes, resident_bytes

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "records.csv"
LONG_CHARS = 2_000
FIXED_WINDOWS = 32
TARGET_SAVING = 0.62
LIMITS_MB = (240, 280, 360, 800)
_MB = 1_000_000


def sentences() -> list[str]:
    with open(EXAMPLES, encoding="utf-8-sig", newline="") as file:
        return [part + "。" for row in csv.DictReader(file) for part in row["病历内容"].split("。") if part]


def invented(rng: random.Random, pool: Sequence[str], n_chars: int) -> str:
    """A text of exactly `n_chars` characters."""
    parts: list[str] = []
    while n_chars > 0:
        parts.append(rng.choice(pool)[:n_chars])
        n_chars -= len(parts[-1])
    return "".join(parts)


def stream(n: int, long_chars: tuple[int, int] = (5_000, 100_000), million: bool = False, seed: int = 0) -> list[str]:
    """`n` texts of mixed lengths in random order, every hundredth a long one, and perhaps one of a million characters.

    Args:
        long_chars: shortest and longest of the long ones.
    """
    rng, pool = random.Random(seed), sentences()
    lengths = [rng.randint(*long_chars) if i % 100 == 50 else rng.randint(20, 600) for i in range(n)]
    rng.shuffle(lengths)
    return [invented(rng, pool, length) for length in [*lengths, *([1_000_000] if million else [])]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=600)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--million", action="store_true", help="one text of 1,000,000 characters at the end (minutes)")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--limits", type=int, nargs="+", default=list(LIMITS_MB), metavar="MB")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    n, long_chars = (max(100, arguments.records // 5), (2_500, 20_000)) if arguments.quick else (arguments.records, (5_000, 100_000))
    texts = stream(n, long_chars, arguments.million)
    if arguments.child:
        print(json.dumps(measure(arguments.child, texts)))
        return
    print_machine()
    long = [text for text in texts if len(text) > LONG_CHARS]
    print(f"{len(texts):,} texts, {sum(map(len, texts)):,} characters; {len(long)} of more than {LONG_CHARS:,}, the longest "
          f"of {max(map(len, texts)):,}; one thread")
    rows: dict[str, dict[str, Any]] = {}
    for name in ("fixed", "default", *(f"trimmed, {limit} MB" for limit in arguments.limits)):
        rows[name] = _child(name, sys.argv[1:])
    print("\n".join(table(rows, arguments.markdown)))
    print(verdict(rows))


def _child(name: str, options: Sequence[str]) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.trimming", "--child", name, *options], capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:120]}
    return json.loads(done.stdout)


def measure(name: str, texts: Sequence[str]) -> dict[str, Any]:
    """Reads all texts in the named way, in this process."""
    from tcmstruct import Structurer
    from tcmstruct.batch.chunks import chunked
    from tcmstruct.batch.run import WINDOW
    from tcmstruct.record import Record

    limit = int(name.split()[1]) * _MB if name.startswith("trimmed") else None
    structurer = Structurer(threads=1, memory_limit_bytes=limit)
    structurer.structure("咳嗽3天，舌红。")
    loaded = resident_bytes()
    records = [Record(str(i), text) for i, text in enumerate(texts)]
    together = chunked(records, WINDOW, WINDOW)
    digest, long_read, n_mentions, began = hashlib.sha256(), 0, 0, time.process_time()
    for chunk in together:
        asked = [record.text for record in chunk]
        scores = fixed(structurer.tagger, asked) if name == "fixed" else structurer.tagger.stream(asked)
        for text, mentions in zip(asked, structurer.mentions.read(scores, len(asked)), strict=True):
            long_read += len(text) > LONG_CHARS
            n_mentions += len(mentions)
            digest.update(repr([(m.type, m.start, m.end, m.status) for m in mentions]).encode())
    seconds = time.process_time() - began
    return {"loaded_mb": loaded / _MB, "added_mb": (peak_resident_bytes() - loaded) / _MB, "per_s": len(texts) / seconds,
            "chars_per_s": sum(map(len, texts)) / seconds, "peak_mb": peak_resident_bytes() / _MB, "long_read": long_read,
            "long": sum(len(text) > LONG_CHARS for text in texts), "mentions": n_mentions, "digest": digest.hexdigest()[:12],
            "largest": structurer.tagger.memory()["largest_batch"]}


def fixed(tagger: Any, texts: Sequence[str]) -> Iterator[tuple[int, int, Any]]:
    """What `OnnxTagger.stream` gives, in batches as the windows come, each padded to its longest window."""
    jobs = tagger._jobs(texts)
    for at in range(0, len(jobs), FIXED_WINDOWS):
        batch = jobs[at : at + FIXED_WINDOWS]
        longest = max(batch, key=lambda job: job.padded)
        feed = tagger._feed([longest, *batch])  # the first row gives the length
        scores = tagger._session.run(["scores"], {name: values[1:] for name, values in feed.items()})[0]
        tagger.largest = max(tagger.largest, (len(batch), longest.padded), key=lambda shape: shape[0] * shape[1] ** 2)
        for row, job in enumerate(batch):
            yield job.number, job.k, tagger.window_scores(job.window, scores[row])


def table(rows: dict[str, dict[str, Any]], markdown: bool) -> list[str]:
    head = ("batches", "largest batch", "model loaded, MB", "added, MB", "saved", "records/s", "characters/s", "long texts read",
            "mentions")
    most = rows["fixed"].get("added_mb")
    cells = [head]
    for name, row in rows.items():
        if "failed" in row:
            cells.append((name, "failed: " + row["failed"], *[""] * (len(head) - 2)))
            continue
        saved = f"{1 - row['added_mb'] / most:.0%}" if most and name != "fixed" else ""
        cells.append((name, f"{row['largest']['windows']} × {row['largest']['chars']}", f"{row['loaded_mb']:.0f}", f"{row['added_mb']:.0f}",
                      saved, f"{row['per_s']:.1f}", f"{row['chars_per_s']:,.0f}", f"{row['long_read']} of {row['long']}",
                      f"{row['mentions']:,} {row['digest']}"))
    if markdown:
        return ["| " + " | ".join(line) + " |" for line in (head, ("---",) * len(head), *cells[1:])]
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def verdict(rows: dict[str, dict[str, Any]]) -> str:
    """The row that adds least, among those that are no slower than the fixed batches."""
    base = rows["fixed"]
    own = {name: row for name, row in rows.items() if name != "fixed" and "failed" not in row}
    same = "the same" if len({row["digest"] for row in own.values()}) == 1 else "NOT THE SAME"
    held = [f"{name}: {row['peak_mb']:.0f}" for name, row in own.items() if "MB" in name]
    told = [f"mentions are {same} at every limit; peak of the process, MB: {', '.join(held)}"]
    if "failed" in base:
        return "\n".join(["fixed batches failed: nothing to compare with", *told])
    as_fast = {name: row for name, row in own.items() if row["per_s"] >= base["per_s"]}
    if not as_fast:
        return "\n".join(["no row is as fast as fixed batches", *told])
    best = min(as_fast, key=lambda name: as_fast[name]["added_mb"])
    saving = 1 - as_fast[best]["added_mb"] / base["added_mb"]
    speed = as_fast[best]["per_s"] / base["per_s"]
    outcome = "met" if saving >= TARGET_SAVING else "missed"
    return "\n".join([f"{best} saves {saving:.0%} of what fixed batches add (target {TARGET_SAVING:.0%}: {outcome}) at {speed:.2f} times "
                      "their speed", *told])


if __name__ == "__main__":
    main()

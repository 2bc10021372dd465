"""Random and mutated records through the whole pipeline: no crash, true offsets, the same answer in any company.

    python -m benchmarks.robustness --records 100000

Prints counts and exits 1 at the first fault (naming the seed and the record's number, never its text).
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import random
import sys
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from tcmstruct.errors import RecordRejected
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record, StructuredRecord

EXAMPLES = Path(__file__).resolve().parents[1] / "examples" / "records.csv"
_STRANGE = ["\u200b", "\u202e", "\ufeff", "\x00", "\x1b", "\ue000", "\ud800", "😷", "👨‍👩‍👧",
            "ａ", "９", "。" * 9, "\n", "\t", "𠮷", "é", "ｶﾞ", "ﷺ",
            "<script>", "{{7*7}}", "=cmd|' /C calc'!A0", "舌", "苔", "脉", "无", "否认", "37.8℃", "VAS评分7分", "日行3-4次", "頭痛", "咳嗽"]


def seeds() -> list[str]:
    with open(EXAMPLES, encoding="utf-8-sig", newline="") as file:
        return [row["病历内容"] for row in csv.DictReader(file)]


def mutated(rng: random.Random, originals: list[str]) -> str:
    """A text: random code points, or pieces of invented records cut, joined, doubled, swapped, and strewn with oddities."""
    kind = rng.random()
    if kind < 0.15:
        return "".join(chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x4E00, 0x9FFF), rng.randrange(0x10FFFF)]))
                       for _ in range(rng.randrange(1, 120)))
    text = ""
    for _ in range(rng.randrange(1, 4)):
        source = rng.choice(originals)
        start = rng.randrange(len(source))
        text += source[start : start + rng.randrange(1, 90)]
    characters = list(text)
    for _ in range(rng.randrange(0, 8)):
        at = rng.randrange(len(characters) + 1)
        action = rng.random()
        if action < 0.5:
            characters[at:at] = rng.choice(_STRANGE)
        elif action < 0.75:
            del characters[at : at + rng.randrange(1, 6)]
        else:
            characters[at:at] = characters[at : at + rng.randrange(1, 12)] * rng.randrange(1, 3)
    text = "".join(characters)
    if rng.random() < 0.1:
        text = unicodedata.normalize(rng.choice(["NFD", "NFKD", "NFKC"]), text)
    return text or "无"


def corpus(n: int, seed: int) -> Iterator[Record]:
    rng, originals = random.Random(seed), seeds()
    for number in range(n):
        yield Record(str(number), mutated(rng, originals))


def faults(result: StructuredRecord, record: Record) -> list[str]:
    """What is wrong with one result, in words without text."""
    found = []
    if result.text != record.text or result.id != record.id:
        found.append("text or id changed")
    for m in result.entities:
        if not 0 <= m.start < m.end <= len(record.text):
            found.append(f"entity [{m.start}, {m.end}) outside the text")
    for name, value in result.fields.items():
        if record.text[value.start : value.end] != value.evidence or value.start >= value.end:
            found.append(f"evidence of {name} is not the text's slice")
    return found


def run(structurer: Structurer, records: Iterator[Record], together: int, check: bool) -> tuple[str, int, int]:
    """sha256 of all results, number of records, number of rejects, structuring `together` records at a time."""
    digest, n, rejects = hashlib.sha256(), 0, 0
    batch: list[Record] = []

    def flush() -> None:
        nonlocal rejects
        usable = []
        for record in batch:
            if record.text.strip():
                usable.append(record)
                continue
            try:
                structurer.structure_many([record])
            except RecordRejected:
                rejects += 1
        for record, result in zip(usable, structurer.structure_many(usable), strict=True):
            if check and (wrong := faults(result, record)):
                raise SystemExit(f"record {record.id}: {'; '.join(wrong)}")
            line = result.to_dict(keep_text=False)
            digest.update(json.dumps(line, sort_keys=True).encode())  # escapes lone surrogates, which UTF-8 cannot hold
        batch.clear()

    for record in records:
        batch.append(record)
        n += 1
        if len(batch) == together:
            flush()
    flush()
    return digest.hexdigest(), n, rejects


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--same", type=int, default=5_000, help="records that are run again at batch sizes 1, 7, 64 and once more")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", type=Path)
    arguments = parser.parse_args()
    structurer = Structurer(arguments.model)
    began = time.perf_counter()
    digest, n, rejects = run(structurer, corpus(arguments.records, arguments.seed), 256, check=True)
    print(f"{n:,} records (seed {arguments.seed}): no crash, every entity and evidence is the text's own slice; {rejects} rejected as "
          f"empty; sha256 {digest[:16]}; {time.perf_counter() - began:.0f} s")
    digests = {}
    for name, together in (("1", 1), ("7", 7), ("64", 64), ("64 again", 64)):
        digests[name] = run(structurer, corpus(arguments.same, arguments.seed + 1), together, check=False)[0]
        print(f"batch size {name:>8}: sha256 {digests[name][:16]} over {arguments.same:,} records")
    if len(set(digests.values())) != 1:
        sys.exit("the output depends on the batch size")
    print("the output is the same, byte for byte")


if __name__ == "__main__":
    main()

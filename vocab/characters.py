"""The character inventory of the encoder: `python -m vocab.characters [--source DIR] [--check]`.

Writes `characters.txt`: one line, every character of the annotated and unannotated records, the labelled sets and
the term tables, and those that the pre-training corpus holds at least `MIN_CORPUS_COUNT` times, after normalisation,
by falling frequency (ties by code point), and the fixed set `ALWAYS`; last come those that
only the shipped term tables hold. Single characters and their order are all that is taken from the sources.
"""

from __future__ import annotations

import argparse
import json
import lzma
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tcmstruct.text.normalise import PLACEHOLDERS, normalise
from vocab.reader import load_terms

MIN_CORPUS_COUNT = 5
INVENTORY = Path(__file__).with_name("characters.txt")
_PRINTABLE_ASCII = "".join(map(chr, range(0x20, 0x7F)))
_GB2312_HAN = b"".join(bytes((row, cell)) for row in range(0xB0, 0xF8) for cell in range(0xA1, 0xFF)
                       if not (row == 0xD7 and cell > 0xF9)).decode("gb2312")
ALWAYS = frozenset(normalise(_PRINTABLE_ASCII + _GB2312_HAN)) | frozenset(PLACEHOLDERS)
"""Stands in the inventory whether the sources show it or not, so that a hospital's own words are less often unknown:
ASCII, the 6,763 Han characters of GB/T 2312-1980, the placeholders of normalisation."""


def read_characters(path: Path = INVENTORY) -> str:
    """The inventory as one string without repeats, most frequent first."""
    return path.read_text(encoding="utf-8").rstrip("\n")


def _texts_of_json(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line).get("text") or ""


def count_labelled(source: Path) -> dict[str, Counter[str]]:
    """Characters of gold, records, ner and terms, by file."""
    counts: dict[str, Counter[str]] = {}
    for path in sorted(p for folder in ("gold", "records", "ner") for p in (source / folder).glob("*.jsonl")):
        count: Counter[str] = Counter()
        for text in _texts_of_json(path):
            count.update(normalise(text))
        counts[f"{path.parent.name}/{path.name}"] = count
    for path in sorted((source / "terms").glob("*.tsv")):
        names = (row.split("\t")[1] for row in path.read_text(encoding="utf-8").splitlines()[1:])
        counts[f"terms/{path.name}"] = Counter(normalise("".join(names)))
    return counts


def count_corpus(source: Path) -> Counter[str]:
    """Characters of corpus/*.txt.xz, read in pieces of 4 MiB."""
    count: Counter[str] = Counter()
    for path in sorted((source / "corpus").glob("*.txt.xz")):
        with lzma.open(path, "rt", encoding="utf-8", errors="replace") as stream:
            while piece := stream.read(1 << 22):
                for character, n in Counter(piece).items():  # fold the few distinct ones, not the many
                    count[normalise(character)] += n
    return count


def build(source: Path) -> tuple[str, dict[str, Counter[str]], Counter[str]]:
    """The inventory, the counts of each labelled file, and the counts of the corpus."""
    labelled, corpus = count_labelled(source), count_corpus(source)
    total: Counter[str] = Counter({c: n for c, n in corpus.items() if n >= MIN_CORPUS_COUNT})
    for count in labelled.values():
        for character, n in count.items():
            total[character] += n
    for character in ALWAYS:
        total[character] += 1
    frequent = sorted(total, key=lambda c: (-total[c], c))
    of_tables = {c for term in load_terms() for name in term.names for c in normalise(name)}
    return "".join((*frequent, *sorted(of_tables - total.keys()))), labelled, corpus


def _coverage(count: Counter[str], inventory: frozenset[str]) -> tuple[float, int]:
    n_known = sum(n for c, n in count.items() if c in inventory)
    return n_known / max(1, sum(count.values())), sum(1 for c in count if c not in inventory)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vocab.characters", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, default=Path(os.environ.get("TCMSTRUCT_DATA", "../shared/data")))
    parser.add_argument("--check", action="store_true", help="measure the present inventory's coverage, write nothing")
    options = parser.parse_args(arguments)
    if not (options.source / "gold").is_dir():
        print(f"{options.source}: no data folder with gold/, records/, ner/, terms/, corpus/ "
              "→ give --source DIR or set TCMSTRUCT_DATA", file=sys.stderr)
        return 4
    inventory, labelled, corpus = build(options.source)
    if options.check:
        inventory = read_characters()
    else:
        INVENTORY.write_text(inventory + "\n", encoding="utf-8")
    known, complete = frozenset(inventory), True
    for name, count in {**labelled, "corpus": corpus}.items():
        share, n_missing = _coverage(count, known)
        print(f"{name}\t{share:.6%}\t{n_missing} distinct characters missing")
        complete = complete and (n_missing == 0 or name == "corpus")
    print(f"inventory\t{len(inventory)} characters")
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())

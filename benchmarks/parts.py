"""Where a record's time goes in one process, one thread: normalising, lexicon matching, model, mentions, schema, JSON.

    python -m benchmarks.parts [--records 300] [--repeats 5]

Each part is timed around the very calls that `Structurer.structure_many` makes, over the same records; shares are medians
over the repeats, so load of the machine cancels out. Target: lexicon matching under 5 % of the whole.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

import tcmstruct.runtime.tagger as tagger_module
from benchmarks.accuracy import render
from benchmarks.machine import print_machine
from benchmarks.speed import texts
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record

LEXICON_TARGET = 0.05


@contextmanager
def timed(owner: Any, name: str, spent: dict[str, float], part: str) -> Iterator[None]:
    """Adds the seconds inside `owner.name` to `spent[part]` while it is open."""
    original: Callable[..., Any] = getattr(owner, name)

    def run(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            spent[part] += time.perf_counter() - began

    setattr(owner, name, run)
    try:
        yield
    finally:
        setattr(owner, name, original)


class _TimedSession:
    """The onnxruntime session, whose own `run` cannot be replaced."""

    def __init__(self, session: Any, spent: dict[str, float]) -> None:
        self._session, self._spent = session, spent

    def run(self, *arguments: Any) -> Any:
        began = time.perf_counter()
        try:
            return self._session.run(*arguments)
        finally:
            self._spent["model (onnxruntime)"] += time.perf_counter() - began


def one_pass(structurer: Structurer, records: list[Record]) -> dict[str, float]:
    """Part → share of the whole pass."""
    spent: dict[str, float] = defaultdict(float)
    tagger = structurer.tagger
    session = tagger._session
    tagger._session = _TimedSession(session, spent)
    try:
        with (timed(tagger_module, "normalise", spent, "normalising"), timed(tagger._lexicon, "features", spent, "lexicon matching"),
              timed(structurer.mentions, "_decode", spent, "decoding mentions"), timed(structurer.schema, "extract", spent, "schema")):
            began = time.perf_counter()
            found = structurer.structure_many(records)
            structured = time.perf_counter()
            for record in found:
                orjson.dumps(record.to_dict())
            spent["JSON"] = time.perf_counter() - structured
            whole = time.perf_counter() - began
    finally:
        tagger._session = session
    shares = {part: seconds / whole for part, seconds in spent.items()}
    return {**shares, "the rest": 1 - sum(shares.values()), "ms per record": 1000 * whole / len(records)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=300)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    print_machine()
    some, origin = texts(arguments.records)
    records = [Record(str(n), text) for n, text in enumerate(some)]
    structurer = Structurer(threads=1)
    structurer.structure_many(records[:20])
    passes = [one_pass(structurer, records) for _ in range(arguments.repeats)]
    median = {part: statistics.median(p[part] for p in passes) for part in passes[0]}
    milliseconds = median.pop("ms per record")
    print(f"{len(records)} records ({origin}), median of {arguments.repeats} passes: {milliseconds:.1f} ms a record\n")
    print(render([["part", "share of the time"], *[[part, f"{share:.1%}"] for part, share in median.items()]], arguments.markdown))
    share = median["lexicon matching"]
    print(f"\nlexicon matching {share:.1%}, target under {LEXICON_TARGET:.0%}: {'met' if share < LEXICON_TARGET else 'missed'}")


if __name__ == "__main__":
    main()

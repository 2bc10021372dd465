"""How long a changed schema pack takes to be tried on records whose mentions are known, as the page of own fields does it.

    python -m benchmarks.schema_trial [--pack 妇科] [--repeat 5]

The records are gold records with their gold mentions, as many as the page takes. Each round changes one field of the pack, so that
nothing is remembered; check (with doubts and the vocabulary), compiling, reading and sampling are all in the time. Reads $TCMSTRUCT_DATA.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tomllib

from benchmarks.machine import print_machine
from benchmarks.schema_fields import mentions, records
from tcmstruct.recipes.schema_pack import known_terms, pack_file
from tcmstruct.serve.own_fields import MOST_RECORDS, Attempt, Desk, Edit
from tcmstruct.trial import TrialRecord


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pack", action="append", metavar="NAME|FILE")
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    gold = [TrialRecord(one["id"], row, one["text"], mentions(one, "oracle")) for row, one in enumerate(records("train"))]
    desk = Desk(lambda: gold, known_terms)
    desk.start()
    desk.wait()
    print_machine()
    length = statistics.mean(len(record.text) for record in desk.records)
    print(f"\n{len(desk.records)} of at most {MOST_RECORDS} records, {length:.0f} characters on average\n\n"
          "| pack | fields | first answer | a changed field, median | slowest |\n|---|---|---|---|---|")
    for name in given.pack or ("妇科", "针灸科", "儿科", "骨科"):
        toml = pack_file(name).read_text("utf-8")
        fields = tomllib.loads(toml)["fields"]
        field = next(iter(fields))
        first = _seconds(desk, toml, field, None)
        spent = []
        for number in range(given.repeat):
            spec = {**fields[field], "note": f"round {number}"}
            spent.append(_seconds(desk, toml, field, Edit(was=field, name=field, spec=spec)))
        print(f"| {name} | {len(fields)} | {first:.2f} s | {statistics.median(spent):.2f} s | {max(spent):.2f} s |")


def _seconds(desk: Desk, toml: str, field: str, edit: Edit | None) -> float:
    start = time.perf_counter()
    told = desk.attempt(Attempt(toml=toml, field=field, edit=edit))
    assert told["found"] is not None and told["refused"] is None
    return time.perf_counter() - start


if __name__ == "__main__":
    main()

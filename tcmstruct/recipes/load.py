"""`tcmstruct load OUT URL`: the tables of a finished result into a database."""

from __future__ import annotations

import sys
from pathlib import Path

import orjson

from tcmstruct.batch.counts import Counts
from tcmstruct.batch.tables import Columns
from tcmstruct.batch.tables.columns import read_lines
from tcmstruct.batch.verify import verify
from tcmstruct.emr.database import shown_url
from tcmstruct.errors import InputRefused, MissingExtra


def load(out: Path, url: str, *, prefix: str = "tcmstruct_", fresh: bool = False) -> dict[str, int]:
    """Checks the result, then loads it; table → rows.

    Raises:
        InputRefused: the folder holds no finished result, it is not what its manifest says, or the database refuses.
        UsageError: a table exists and `fresh` is not given.
        MissingExtra: SQLAlchemy is not installed.
    """
    try:
        from tcmstruct.batch.tables.database import load_tables
    except ImportError:
        raise MissingExtra("writing to a database", "db") from None
    for check, fault in verify(out):
        if fault is not None:
            raise InputRefused(f"{check}: {fault}", where=out.name, code="result_damaged", hint="tcmstruct verify shows all checks")
    manifest = orjson.loads((out / "manifest.json").read_bytes())
    counts = Counts()
    for record in read_lines(out / "records.jsonl"):
        for name in record.get("extra", ()):
            counts.add_extra(name)
    columns = Columns(tuple(manifest["coverage"]), tuple(counts.extra), photos=manifest["photos"]["used"] > 0)
    loaded = load_tables(out / "records.jsonl", columns, url, prefix=prefix, replace=fresh)
    print(f"{shown_url(url)}: " + ", ".join(f"{name} {n:,}" for name, n in loaded.items()), file=sys.stderr)
    return loaded

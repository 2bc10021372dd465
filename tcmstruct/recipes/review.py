"""`tcmstruct review export OUT -o FILE`: what reviewers settled, as gold records."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.privacy import Deidentifier, deidentify_line, read_key
from tcmstruct.recipes.deidentify import private_writer
from tcmstruct.recipes.extras import needs
from tcmstruct.report.source import open_output


def export_review(out: Path, to: Path, *, store: str | None = None, which: str = "done", types: str = "guide", identified: bool = False,
                  key_file: Path | None = None) -> int:
    """Writes the settled records of a reviewed folder.

    Args:
        out: the folder, as `serve` was given it.
        to: file to write (0600, replaced as a whole).
        store: SQLAlchemy URL; None: the SQLite file beside `out`.
        which: "done" (signed off) or "touched" (decided in part as well).
        types: "guide" or "fine", see `serve.export.TYPES`.
        identified: leave names, numbers and dates as they are. Else they are replaced, and so are ids: score such a file
            against `tcmstruct deidentify OUT` with the same key.
        key_file: key of the pseudonyms, as for `deidentify`.

    Returns:
        Number of records.

    Raises:
        InputRefused: the folder, the store or the key cannot be used, or no record is settled.
        UsageError: an option is unknown, or `to` is the input.
    """
    with needs("serve", "review"):
        from tcmstruct.serve.export import TYPES, WHICH, Counts, gold_records
        from tcmstruct.serve.store import Store, default_url

    for given, allowed, where in ((which, WHICH, "--which"), (types, TYPES, "--types")):
        if given not in allowed:
            raise UsageError(f"allowed are {', '.join(allowed)}", where=where, code="option_invalid")
    output = open_output(out)
    if to.exists() and to.resolve() == output.records.resolve():
        raise UsageError("would replace the input", where=to.name, code="out_is_input", hint="name another file with -o")
    if store is None and not Path(default_url(out).removeprefix("sqlite:///")).is_file():
        raise InputRefused("nobody has reviewed this folder yet", where=out.name, code="no_store",
                           hint="tcmstruct serve OUT, or name the corrections with --store")
    clean: Callable[[dict[str, Any]], dict[str, Any]] = lambda data: data  # noqa: E731
    if not identified:
        deidentifier = Deidentifier(read_key(key_file))
        clean = lambda data: _cleaned(data, deidentifier)  # noqa: E731
    counts, opened = Counts(), Store(store or default_url(out))
    try:
        with private_writer(to) as file:
            for data in gold_records(output, opened, counts, which, types):
                file.write(orjson.dumps(clean(data), option=orjson.OPT_APPEND_NEWLINE))
            if not counts.records:
                raise InputRefused(f"no record is signed off; {counts.partly:,} are decided in part", where=out.name,
                                   code="nothing_settled",
                                   hint="sign records off with d on the page, or take the others too with --which touched")
    finally:
        opened.close()
    print(f"{counts.records:,} records, {counts.fields:,} values, {counts.entities:,} mentions"
          + (f"; left out: {counts.partly:,} records decided in part" if counts.partly else "")
          + (f"; {counts.unplaced:,} values that no words of the record show" if counts.unplaced else "")
          + ("" if identified else "; names, numbers and dates replaced"), file=sys.stderr)
    return counts.records


def _cleaned(data: dict[str, Any], deidentifier: Deidentifier) -> dict[str, Any]:
    """Who reviewed is a person too; what the program wrote about the making stays."""
    review = {**data["review"], "who": len(data["review"]["who"])}
    return {**deidentify_line({key: value for key, value in data.items() if key != "review"}, deidentifier), "review": review}

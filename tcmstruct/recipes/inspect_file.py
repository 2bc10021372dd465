"""`tcmstruct inspect FILE`: how `convert` would read a file, with its first record as the mapping reads it."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tcmstruct.emr.columns import parse_overrides, safe_labels
from tcmstruct.emr.reader import FILE_NOTES, open_sources
from tcmstruct.emr.rows import Reject
from tcmstruct.privacy import Deidentifier, Key, deidentify_line
from tcmstruct.record import Record
from tcmstruct.report.shown import plain

SHOWN_CHARACTERS = 60
"""Of a cell of the first record."""
_READ_CHARACTERS = 4_000


def inspect_file(path: Path | str, *, mapping: Sequence[str] = (), encoding: str | None = None,
                 identified: bool = False) -> dict[str, Any]:
    """Reads a file to its end and describes it; of the cells only kinds and lengths, but for the first record's.

    Args:
        path: the file, or a database's SQLAlchemy URL.
        mapping: as for `convert`.
        encoding: as for `convert`.
        identified: show the first record as it is; otherwise what names a person is replaced (docs/privacy.md), with pseudonyms
            of this call alone, since to look at a file should leave no key behind.

    Returns:
        file, bytes, sha256, format, encoding, delimiter, tables (columns with role and first row's shape),
        rows, usable, rejects (code → count), blank_rows, text_characters (min, mean, max), first_record (id, dept, text, image,
        extra, as far as it has them, each of at most `SHOWN_CHARACTERS`; None where no row is usable), identified, notes.

    Raises:
        InputRefused: the file cannot be used; the message names the columns found.
    """
    (source,) = open_sources([path], encoding=encoding, overrides=parse_overrides(mapping))
    rejects: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    rows = total = longest = 0
    shortest: int | None = None
    first: dict[str, Any] | None = None
    for item in source:
        rows += 1
        if isinstance(item, Reject):
            rejects[item.code] += 1
            continue
        warnings.update(item.warnings)
        if first is None:
            first = _shown(item, identified)
        size = len(item.text)
        total, longest = total + size, max(longest, size)
        shortest = size if shortest is None else min(shortest, size)
    facts = source.facts
    usable = rows - sum(rejects.values())
    return {
        "file": facts.label, "bytes": facts.bytes, "sha256": facts.sha256, "format": facts.format,
        "encoding": facts.encoding, "encoding_reason": facts.encoding_reason, "delimiter": facts.delimiter,
        "tables": [
            {"name": table.name, "columns": [
                {"number": n + 1, "name": label, "role": table.columns.role(n),
                 "first_row": table.first_row[n] if n < len(table.first_row) else None}
                for n, label in enumerate(safe_labels(table.columns.names))]}
            for table in facts.tables],
        "rows": rows, "usable": usable, "rejects": dict(sorted(rejects.items())),
        "warnings": dict(sorted(warnings.items())), "blank_rows": facts.blank_rows,
        "text_characters": {"min": shortest, "mean": round(total / usable, 1), "max": longest} if usable else None,
        "first_record": first, "identified": identified,
        "notes": [FILE_NOTES[note] for note in facts.notes],
    }


def _shown(record: Record, identified: bool) -> dict[str, Any]:
    """The beginning of each part of a record."""
    told: dict[str, Any] = {"id": record.id, "dept": record.dept, "text": record.text[:_READ_CHARACTERS], "image": record.image,
                            "extra": {name: value[:_READ_CHARACTERS] for name, value in record.extra.items()}}
    told = {name: value for name, value in told.items() if value}
    if not identified:
        told = deidentify_line(told, Deidentifier(Key(secrets.token_bytes(32))))
    return {name: {key: _cut(cell) for key, cell in value.items()} if name == "extra" else _cut(value) for name, value in told.items()}


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"


def as_text(found: dict[str, Any]) -> str:
    """The description as a person reads it on a terminal."""
    delimiter = {"\t": "tab", None: ""}.get(found["delimiter"], f"'{found['delimiter']}'")
    lines = [f"{found['file']}: {found['format']}, {found['bytes']:,} bytes"
             + (f", {found['encoding']} ({found['encoding_reason']})" if found["encoding"] else "")
             + (f", delimiter {delimiter}" if delimiter else "")]
    lines.append(f"rows {found['rows']:,}: usable {found['usable']:,}, rejected {sum(found['rejects'].values()):,}, "
                 f"blank {found['blank_rows']:,}")
    lines += [f"  {code}: {n:,}" for code, n in (found["rejects"] | found["warnings"]).items()]
    if found["text_characters"]:
        sizes = found["text_characters"]
        lines.append(f"text: {sizes['min']:,} to {sizes['max']:,} characters, {sizes['mean']:,} on average")
    for table in found["tables"]:
        lines.append(f"columns{' of ' + table['name'] if table['name'] else ''} (number · role · name · first row):")
        lines += [f"  #{c['number']:<3} {c['role']:<6} {c['name']}  [{c['first_row'] or 'no row'}]"
                  for c in table["columns"]]
    if found["first_record"]:
        extra = found["first_record"].get("extra", {})
        cells = [*((name, cell) for name, cell in found["first_record"].items() if name != "extra"), *extra.items()]
        lines.append(f"first record ({'identified' if found['identified'] else 'de-identified; --identified shows it as it is'}):")
        lines += [f"  {name}: {plain(' '.join(cell.split()))}" for name, cell in cells]
    lines += [f"note: {note}" for note in found["notes"]]
    return "\n".join(lines)

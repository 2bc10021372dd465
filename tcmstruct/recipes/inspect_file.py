"""`tcmstruct inspect FILE`: how `convert` would read a file, without showing what it says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tcmstruct.emr.columns import parse_overrides, safe_labels
from tcmstruct.emr.reader import FILE_NOTES, open_sources
from tcmstruct.emr.rows import Reject


def inspect_file(path: Path | str, *, mapping: Sequence[str] = (), encoding: str | None = None) -> dict[str, Any]:
    """Reads a file to its end and describes it; of the cells only kinds and lengths, never their content.

    Args:
        path: the file, or a database's SQLAlchemy URL.
        mapping: as for `convert`.
        encoding: as for `convert`.

    Returns:
        file, bytes, sha256, format, encoding, delimiter, tables (columns with role and first row's shape),
        rows, usable, rejects (code → count), blank_rows, text_characters (min, mean, max), notes.

    Raises:
        InputRefused: the file cannot be used; the message names the columns found.
    """
    (source,) = open_sources([path], encoding=encoding, overrides=parse_overrides(mapping))
    rejects: Counter[str] = Counter()
    warnings: Counter[str] = Counter()
    rows = total = longest = 0
    shortest: int | None = None
    for item in source:
        rows += 1
        if isinstance(item, Reject):
            rejects[item.code] += 1
            continue
        warnings.update(item.warnings)
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
        "notes": [FILE_NOTES[note] for note in facts.notes],
    }


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
    lines += [f"note: {note}" for note in found["notes"]]
    return "\n".join(lines)

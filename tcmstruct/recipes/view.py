"""`tcmstruct view OUT -o F.html`: a page on which a person reads records beside their fields."""

from __future__ import annotations

from pathlib import Path

from tcmstruct.report import write_view


def view(out: Path, html: Path, limit: int = 200, ids: list[str] | None = None) -> Path:
    """Writes the reader's page; it opens in any browser and needs no network.

    Args:
        out: folder of `convert`, a `records.jsonl`, or a JSON file with one StructuredRecord.
        html: page to write (mode 0600, replaced as a whole).
        limit: most records on the page, from the first; 200 make a page of under 3 MB.
        ids: only these records.

    Returns:
        `html`.

    Raises:
        UsageError: `limit` is below 1, or an id is not there.
        InputRefused: `out` cannot be read as records.
    """
    return write_view(Path(out), Path(html), limit, ids)

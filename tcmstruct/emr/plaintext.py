"""Text files that are documents: one record a file, or several under repeated headings. Read line by line, twice."""

from __future__ import annotations

import io
from collections.abc import Iterator

from tcmstruct.emr.columns import map_columns
from tcmstruct.emr.delimited import DELIMITERS
from tcmstruct.emr.documents import found_records, line_kind
from tcmstruct.emr.encoding import MARK_BAD_BYTES, sniff_encoding
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.source import FileFacts, Given

_LOOKED_AT = 40
_LABELLED = frozenset(("heading", "chief", "text", "other"))


def looks_like(head: str) -> bool:
    """Whether the beginning of a text is a document rather than a table: at least two of its lines begin with a known
    label and a colon (主诉：, 姓名：, 【现病史】), or one does and it is all there is, and no early line is a header."""
    lines = [line for line in head.splitlines() if line.strip()][:_LOOKED_AT]
    kinds = [line_kind(line)[0] for line in lines]
    labelled = sum(kind in _LABELLED for kind in kinds)
    if not labelled or (labelled == 1 and (len(lines) > 2 or "other" in kinds)):
        return False
    return not any(_is_header(line) for line in lines[:12])


def _is_header(line: str) -> bool:
    for delimiter in DELIMITERS:
        cells = [cell.strip().strip('"') for cell in line.split(delimiter)]
        if len(cells) > 1 and map_columns(cells).text and not any("：" in cell or ":" in cell for cell in cells):
            return True
    return False


def read_records(given: Given, facts: FileFacts) -> Iterator[Found | Fault | None]:
    """The record, or records, of a text file; see `source.RecordReader` and `documents.plan_cuts`."""
    if facts.encoding is None:
        chosen = sniff_encoding(given.path, given.encoding, given.label)
        facts.encoding, facts.encoding_reason = chosen.name, chosen.reason
    encoding = facts.encoding
    planned = False

    def lines() -> Iterator[str]:
        nonlocal planned
        stream = given.open() if planned else given.path.open("rb")  # the second time is what counts as progress
        planned = True
        with io.TextIOWrapper(stream, encoding, MARK_BAD_BYTES) as file:
            while line := file.readline(MAX_ROW_CHARS + 1):
                yield line.rstrip("\n")

    yield from found_records(lines, facts)

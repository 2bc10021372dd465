"""CoNLL / BIO: a character a line, tab, `B-label`, `I-label` or `O`; a blank line between records, `# id = …` before each.

White space and the backslash are written as escapes (`\\s`, `\\n`, `\\u3000` …), so that every text comes back as it was. The scheme
holds no nesting and no overlap: the outermost span stays and the others are counted as left out.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from tcmstruct.annotation.annotated import Annotated, Span, joined, split
from tcmstruct.annotation.files import text_of
from tcmstruct.errors import InputRefused
from tcmstruct.whole_file import whole_file

_ID = "# id = "
_ESCAPES = {" ": "\\s", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\"}
_UNESCAPES = {written: char for char, written in _ESCAPES.items()}
_WRITTEN = re.compile(r"\\(?:[snrt\\]|u[0-9a-f]{4})")


def read(path: Path) -> Iterator[Annotated]:
    """Files written here, and those of others: the first column is the token, the last the tag; tokens are joined without a space.

    Raises:
        InputRefused: a line has a single column, or a tag is none of B-, I- and O.
    """
    rows: list[tuple[str, str]] = []
    id, begin, n = "", 1, 0
    for row, line in enumerate([*text_of(path).removeprefix("\ufeff").split("\n"), ""], 1):
        line = line.removesuffix("\r")
        if line.startswith(_ID) and not rows:
            id, begin = _id(line, f"{path.name}:{row}"), row
        elif not line.strip():
            if rows or id:
                n += 1
                yield _record(rows, id or f"{path.name}:{begin}", f"{path.name}:{begin}")
            rows, id, begin = [], "", row + 1
        elif not line.startswith("-DOCSTART-") and not (line.startswith("# ") and "\t" not in line):
            columns = line.split("\t") if "\t" in line else line.split()
            if len(columns) < 2:
                raise InputRefused("a line without a tag", where=f"{path.name}:{row}", code="not_conll", hint="token, tab, tag")
            if not re.fullmatch(r"O|[BIES]-.+", columns[-1]):
                raise InputRefused("a tag that is none of O, B-… and I-…", where=f"{path.name}:{row}", code="not_conll")
            rows.append((columns[0], columns[-1]))


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    with whole_file(path) as file:
        for record in records:
            left["predictions"] += len(record.predictions)
            kept = outermost(record.spans)
            left["nested_or_overlapping"] += len(record.spans) - len(kept)
            tags = ["O"] * len(record.text)
            for span in kept:
                label = joined(span)
                tags[span.start : span.end] = [f"B-{label}"] + [f"I-{label}"] * (span.end - span.start - 1)
            lines = (f"{_escaped(char)}\t{tag}\n" for char, tag in zip(record.text, tags, strict=True))
            file.write(f"{_ID}{json.dumps(record.id, ensure_ascii=False)}\n{''.join(lines)}\n".encode())


def outermost(spans: Iterable[Span]) -> list[Span]:
    """Spans without those that lie in or overlap a longer one, in order; of equal ones the first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: (one.start - one.end, one.start)):
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept, key=lambda one: one.start)


def _record(rows: list[tuple[str, str]], id: str, where: str) -> Annotated:
    text, spans, start, label = "", [], 0, ""
    for token, tag in [*rows, ("", "O")]:
        kind, _, name = tag.partition("-")
        if label and (kind in "BSO" or name != label):
            spans.append(Span(start, len(text), *split(label)))
            label = ""
        if kind != "O" and not label:  # an I- without its B- begins a span too
            start, label = len(text), name
        text += _unescaped(token)
    return Annotated(id, text, spans, where=where)


def _id(line: str, where: str) -> str:
    try:
        return str(json.loads(line.removeprefix(_ID)))
    except ValueError:
        raise InputRefused("the id is no JSON text", where=where, code="not_conll") from None


def _escaped(char: str) -> str:
    return _ESCAPES.get(char) or (f"\\u{ord(char):04x}" if char.isspace() or (not char.isprintable() and char <= "\uffff") else char)


def _unescaped(token: str) -> str:
    return _WRITTEN.sub(lambda m: _UNESCAPES.get(m[0]) or chr(int(m[0][2:], 16)), token)

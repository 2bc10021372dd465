"""A document as records: usually one, several where the heading of a patient is plainly repeated.

Shared by text files, RTF, Word and pages. A file is cut only where each piece has a heading (姓名：, 住院号：) and record text
of its own, and that is noted; where headings repeat and the pieces are not plain, it is kept as one, and that is noted.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tcmstruct.emr.columns import known_role, normal_name
from tcmstruct.emr.rows import MAX_ROW_CHARS, Fault, Found
from tcmstruct.emr.sections import cut_sections
from tcmstruct.emr.source import FileFacts

_NAMES = frozenset(("姓名", "患者姓名", "病人姓名"))
_CHIEFS = frozenset(("主诉", "病历内容"))
_WEAK = frozenset(("id", "no", "编号", "序号", "bh", "xh", "病案", "记录号"))
"""Ids of the alias table that number lists as well as patients: they head no record of a document."""

_BLANKS = re.compile(r"[\s\u3000]+")
_LABEL = re.compile(r"[ \t\u3000]*(?:【[ \t\u3000]*([^】\n]{2,16})】|([^：:\n【】，。；,;]{2,16}?)[ \t\u3000]*[：:])")
_PAIRS = re.compile(r"([^\s：:，。；,;]{1,16}(?:[ \u3000][^\s：:，。；,;]{1,2})?)[ \t\u3000]*[：:][ \t\u3000]*([^\s：:]*)")


@dataclass(slots=True)
class Cuts:
    """Where a document is cut.

    Attributes:
        starts: numbers of the lines (from 0) with which its records begin; the first is 0.
        note: a key of `source.FILE_NOTES`, "" for a document that is one record without doubt.
    """

    starts: array[int] = field(default_factory=lambda: array("Q", [0]))
    note: str = ""


@dataclass(slots=True)
class _Piece:
    start: int
    key: str
    chief: bool = False
    text: bool = False


def plan_cuts(lines: Iterable[str]) -> Cuts:
    """Decides where a document's records begin, in one pass.

    A heading is a line that begins with the label with which the first heading begins (a name, or a number that the
    alias table knows as an id). Pieces that repeat the same values without a chief complaint of their own are the
    page heads of one record. A title that stands above the first heading, and again above a later one, goes with it.
    """
    cuts, plain = Cuts(array("Q")), True
    last: _Piece | None = None  # the last two pieces alone are kept: a file may hold a million records
    piece: _Piece | None = None
    label, text_before = "", False
    above: list[tuple[int, str]] = []  # the last lines that are not blank
    titles: list[str] = []  # those that stood above the first heading

    def close() -> None:
        """The piece is known: it goes on with the one before, or that one is a record."""
        nonlocal last, plain
        if piece is None:
            return
        if last and last.key == piece.key and not (last.chief and piece.chief):
            last.text, last.chief = last.text or piece.text, last.chief or piece.chief
            return
        plain &= last is None or last.text
        cuts.starts.append(piece.start)
        last = piece

    for number, line in enumerate(lines):
        kind, name = line_kind(line)
        if kind == "heading" and label in ("", name):
            if not label:
                label, titles = name, [text for _, text in above]
            same = 0
            while same < min(len(titles), len(above)) and titles[-1 - same] == above[-1 - same][1]:
                same += 1
            close()
            piece = _Piece(above[-same][0] if same else number, _key(line))
        elif kind in ("chief", "text"):
            if piece:
                piece.text = True
                piece.chief |= kind == "chief"
            else:
                text_before = True
        if not line.isspace() and line:
            above = [*above[-2:], (number, line.strip()[:200])]
    close()
    if len(cuts.starts) < 2:
        return Cuts()
    if text_before or not plain or not (last and last.text):
        return Cuts(note="headings_repeated")
    cuts.starts[0], cuts.note = 0, "records_cut"
    return cuts


def line_kind(line: str) -> tuple[str, str]:
    """What a line begins with: "heading" (a name or an id), "chief", "text", "other" label or "" none; and the label."""
    found = _LABEL.match(line)
    if not found:
        return "", ""
    name = _BLANKS.sub("", found[1] or found[2])
    return _kind(name), name


@lru_cache(maxsize=4096)
def _kind(name: str) -> str:
    plain = normal_name(name)
    if plain in _NAMES:
        return "heading"
    match known_role(name):
        case "id" if plain not in _WEAK:
            return "heading"
        case "text":
            return "chief" if plain in _CHIEFS else "text"
        case None:
            return ""
        case _:
            return "other"


def _key(line: str) -> str:
    """The labelled names and numbers of a heading's line, by which two headings are told apart."""
    return "\n".join(found[2] for found in _PAIRS.finditer(line[:500]) if _kind(_BLANKS.sub("", found[1])) == "heading")


def found_records(lines: Callable[[], Iterable[str]], facts: FileFacts) -> Iterator[Found | Fault]:
    """The records of a document.

    Args:
        lines: gives the document's lines from the beginning, each time it is called; it is called twice.
        facts: gets a note where the document was cut, or could not be.
    """
    cuts = plan_cuts(lines())
    if cuts.note:
        facts.note(cuts.note)
    several = len(cuts.starts) > 1
    part: list[str] = []
    size, number, next_start = 0, 1, 1
    for at, line in enumerate(lines()):
        if next_start < len(cuts.starts) and at == cuts.starts[next_start]:
            yield _record(part, size, str(number) if several else "")
            part, size, number, next_start = [], 0, number + 1, next_start + 1
        size += len(line) + 1
        if size <= MAX_ROW_CHARS:
            part.append(line)
        else:
            part.clear()
    yield _record(part, size, str(number) if several else "")


def _record(lines: Sequence[str], size: int, place: str) -> Found | Fault:
    if size > MAX_ROW_CHARS:
        return Fault("row_too_long", place=place)
    facts, sections = cut_sections("\n".join(lines))
    return Found(place, facts, sections)


def row_lines(cells: Sequence[str]) -> list[str]:
    """A row of a document's table as lines of text.

    Cells that are labels and values in turn (姓名 | 某某 | 性别 | 女) become 姓名：某某, one line each for sections and
    one line together for facts; other cells stand side by side.
    """
    cells = [cell.strip() for cell in cells]
    while cells and not cells[-1]:
        cells.pop()
    labels = [cell.rstrip("：: \u3000") for cell in cells[::2]]
    if len(cells) % 2 == 0 and cells and all(known_role(_BLANKS.sub("", label)) for label in labels):
        pairs = list(zip(labels, cells[1::2], strict=True))
        long = any(known_role(label) == "text" or len(value) > 30 or "\n" in value for label, value in pairs)
        shown = [f"{label}：{value}" for label, value in pairs if value]
        return shown if long else ["  ".join(shown)]
    return ["\t".join(cell for cell in cells if cell)] if any(cells) else []

"""brat standoff: a folder with a `.txt` and an `.ann` for each text: `T1<TAB>label start end<TAB>words`, `A1<TAB>Status T1 无`.

brat ends a span at a line end: one that crosses it is written in pieces (`0 4;5 9`) and read back as one, since nothing but the line
end lies between. Other discontinuous spans are refused. Relations, events and notes are not read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote

from tcmstruct.annotation.annotated import Annotated, Span
from tcmstruct.annotation.files import text_of
from tcmstruct.errors import InputRefused
from tcmstruct.whole_file import whole_file

_TEXT_BOUND = re.compile(r"(?P<id>T[^\t]*)\t(?P<label>\S+) (?P<places>\d+ \d+(?:;\d+ \d+)*)(?:\t(?P<words>.*))?", re.DOTALL)
_STATUS = re.compile(r"A[^\t]*\tStatus (T\S+) (\S+)")
_PIECE = re.compile("[^\r\n]+")
_UNSAFE = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|%]|^[.]|[. ]$')
MAX_NAME_BYTES = 200


def read(path: Path) -> Iterator[Annotated]:
    """
    Raises:
        InputRefused: `path` is no such folder, a text has no .ann, or a span is discontinuous or no T line.
    """
    texts = sorted(path.glob("*.txt")) if path.is_dir() else []
    if not texts:
        raise InputRefused("is no folder of .txt and .ann files", where=path.name, code="no_brat_folder")
    for file in texts:
        notes = file.with_suffix(".ann")
        if not notes.is_file():
            raise InputRefused("has no .ann beside it", where=file.name, code="no_ann", hint="an empty one says that nothing is marked")
        text = text_of(file)
        yield Annotated(unquote(file.stem), text, _spans(text_of(notes), text, notes.name), where=notes.name)


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    """
    Raises:
        InputRefused: a label with white space, or an id too long for a file name.
    """
    path.mkdir(mode=0o700, exist_ok=True)
    stems: set[str] = set()
    for record in records:
        left["predictions"] += len(record.predictions)
        stem = _stem(record)
        if stem in stems:
            raise InputRefused("an id stands twice, and each makes a file name", where=record.where, code="id_twice")
        stems.add(stem)
        for suffix, content in ((".txt", record.text), (".ann", "".join(_lines(record)))):
            with whole_file(path / f"{stem}{suffix}", flushed=False) as file:
                file.write(content.encode("utf-8"))


def _spans(notes: str, text: str, name: str) -> list[Span]:
    spans, statuses = {}, {}
    for row, line in enumerate(notes.removeprefix("\ufeff").split("\n"), 1):
        line = line.removesuffix("\r")
        if line.startswith("T"):
            m = _TEXT_BOUND.fullmatch(line)
            if m is None:
                raise InputRefused("not a text-bound annotation of brat", where=f"{name}:{row}", code="not_brat",
                                   hint="T1, tab, label, start, end, tab, words")
            spans[m["id"]] = _span(m, text, f"{name}:{row}")
        elif status := _STATUS.fullmatch(line):
            statuses[status[1]] = status[2]
    return [Span(start, end, label, statuses.get(id), surface=words) for id, (start, end, label, words) in spans.items()]


def _span(m: re.Match[str], text: str, where: str) -> tuple[int, int, str, str | None]:
    places = [tuple(map(int, place.split())) for place in m["places"].split(";")]
    for (_, end), (start, _) in pairwise(places):
        if not end <= start <= len(text) or text[end:start].strip("\r\n"):
            raise InputRefused("a discontinuous span, which no other format here can hold", where=where, code="discontinuous",
                               hint="mark its parts as spans of their own")
    start, end = places[0][0], places[-1][1]
    words = m["words"]
    if words is not None and end <= len(text) and words == _shown(text[start:end]):
        words = text[start:end]  # brat writes a line end within the words as a space
    return start, end, m["label"], words


def _lines(record: Annotated) -> Iterator[str]:
    for number, span in enumerate(record.spans, 1):
        if re.search(r"\s", span.label):
            raise InputRefused(f"the label {span.label!r} holds white space, which brat cannot", where=record.where or record.id,
                               code="label_refused", hint="rename it before the conversion")
        words = record.text[span.start : span.end]
        pieces = [(span.start + m.start(), span.start + m.end()) for m in _PIECE.finditer(words)]
        if not pieces or pieces[0][0] != span.start or pieces[-1][1] != span.end:
            pieces = [(span.start, span.end)]
        places = ";".join(f"{start} {end}" for start, end in pieces)
        yield f"T{number}\t{span.label} {places}\t{_shown(words)}\n"
        if span.status is not None:
            yield f"A{number}\tStatus T{number} {span.status}\n"


def _shown(words: str) -> str:
    return words.replace("\r\n", " ").replace("\n", " ").replace("\r", " ")


def _stem(record: Annotated) -> str:
    stem = _UNSAFE.sub(lambda m: f"%{ord(m[0]):02X}", record.id)
    if not record.id or len(stem.encode("utf-8")) > MAX_NAME_BYTES:
        raise InputRefused(f"the id makes no file name of 1 to {MAX_NAME_BYTES} bytes", where=record.where, code="id_refused",
                           hint="give the records shorter ids")
    return stem

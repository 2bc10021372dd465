"""Finds offsets that are off, says in which way, and puts them right: UTF-16, line ends, inclusive ends, byte-order marks, altered text.

Where a format repeats the words of a span they are the witness: the first way of counting under which every span of a record has its
words is taken for the one that was used. Without words only spans beyond the text, empty ones and white space can be seen.
Nothing here tells of a text more than places in it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product

from tcmstruct.annotation.annotated import Annotated, Span

CODES: dict[str, str] = {
    "utf16": "offsets count UTF-16 code units, not characters",
    "crlf_as_one": "CR LF was counted as one character",
    "lf_as_two": "LF was counted as two characters",
    "bom_not_counted": "the byte-order mark at the text's beginning was not counted",
    "bom_counted": "a byte-order mark was counted that the text does not hold",
    "stripped_text": "offsets are those of the text without the white space at its beginning",
    "no_white_space": "offsets are those of the text without any white space",
    "nfkc_text": "offsets are those of the text after NFKC normalisation",
    "inclusive_end": "the end is the last character, not the one after",
    "one_too_far": "the end is one too far",
    "shifted": "all spans of the record are shifted by the same number of characters",
    "moved": "the words stand once elsewhere, near by",
    "words_altered": "the place is right, the words were normalised or have other white space",
    "unexplained": "the words are not those of the place, and no way of counting explains it",
    "out_of_range": "the span lies beyond the text",
    "empty": "the span is empty",
    "white_space": "white space at an end of the span",
    "twice": "the same span stands twice",
}
"""Code of a finding → what is off."""
MAX_SHIFT, NEAR = 20, 50

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is off with one span; holds no text."""

    code: str
    id: str
    start: int
    end: int


@dataclass(slots=True)
class Checked:
    """One record, what was found, and the record put right.

    Attributes:
        mended: with the right offsets and without white space at their ends; spans whose place could not be found, empty ones and
            repeated ones are left out.
    """

    findings: list[Finding]
    mended: Annotated


@dataclass(slots=True)
class Summary:
    """Findings of a file.

    Attributes:
        records, spans: looked at.
        without_words: spans whose words the format does not repeat, so that a shift within the text cannot be seen.
        counts: code → spans.
        places: code → the first findings.
    """

    records: int = 0
    spans: int = 0
    without_words: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    places: dict[str, list[Finding]] = field(default_factory=lambda: defaultdict(list))


def check_all(records: Iterable[Annotated], summary: Summary, n_places: int = 10) -> Iterator[Annotated]:
    """Yields every record put right, and adds what was off to the summary."""
    for record in records:
        done = check(record)
        spans = (*record.spans, *record.predictions)
        summary.records += 1
        summary.spans += len(spans)
        summary.without_words += sum(span.surface is None for span in spans)
        for finding in done.findings:
            summary.counts[finding.code] += 1
            if len(summary.places[finding.code]) < n_places:
                summary.places[finding.code].append(finding)
        yield done.mended


def check(record: Annotated) -> Checked:
    """Looks at one record."""
    findings: list[Finding] = []
    sides = []
    for spans in (record.spans, record.predictions):
        kept: list[Span] = []
        for span, code, (start, end) in _placed(record.text, list(spans)):
            codes = [code] if code else []
            if not 0 <= start <= end <= len(record.text):
                codes = ["out_of_range"]
            elif start == end:
                codes.append("empty")
            else:
                inner = _trimmed(record.text, start, end)
                if inner != (start, end):
                    codes.append("white_space")
                new = replace(span, start=inner[0], end=inner[1], surface=None)
                if inner[0] == inner[1]:
                    codes[-1] = "empty"
                elif new in kept:
                    codes.append("twice")
                elif code != "unexplained":
                    kept.append(new)
            findings += [Finding(code, record.id, span.start, span.end) for code in codes]
        sides.append(kept)
    return Checked(findings, Annotated(record.id, record.text, sides[0], sides[1], record.where))


def _placed(text: str, spans: list[Span]) -> Iterator[tuple[Span, str, Place]]:
    """Each span with the code of what was off, "" for nothing, and its true place."""
    told = [span for span in spans if span.surface]
    code, count = _way(text, told, spans)
    for span in spans:
        place = count(span.start, span.end)
        if code and (span.surface is None or _says(text, place, span.surface, _loose)):
            moved = place != (span.start, span.end)
            yield span, code if moved else "", place
        elif span.surface is None or _says(text, (span.start, span.end), span.surface):
            yield span, "", (span.start, span.end)
        elif _says(text, (span.start, span.end), span.surface, _loose):
            yield span, "words_altered", (span.start, span.end)
        elif (place := _near(text, span)) is not None:
            yield span, "moved", place
        elif span.end > len(text):
            yield span, "out_of_range", (span.start, span.end)
        else:
            yield span, "unexplained", (span.start, span.end)


def _way(text: str, told: list[Span], spans: list[Span]) -> tuple[str, Callable[[int, int], Place]]:
    """The way of counting under which every span has its words: the code of the first that explains them all."""
    as_is: Callable[[int, int], Place] = lambda start, end: (start, end)  # noqa: E731
    if not told:
        beyond = any(span.end > len(text) for span in spans)
        units = _map_of("utf16", text) if beyond else None
        if units and all(_at(units, span.end) is not None for span in spans):
            return "utf16", lambda start, end: (units[start], units[end])
        return "", as_is
    for fold, name, ending in product((None, _loose), ("", *_MAPS), (0, 1, -1)):  # the very words under any way before altered ones
        places = _map_of(name, text) if name else range(len(text) + 1)
        if places is None:
            continue

        def count(start: int, end: int, places=places, ending=ending) -> Place:  # type: ignore[no-untyped-def]
            first, last = _at(places, start), _at(places, end + ending)
            return (first, last) if first is not None and last is not None else (start, end)

        if all(_says(text, count(span.start, span.end), span.surface, fold) for span in told):
            if not name and not ending:
                return "", as_is
            return name or ("inclusive_end" if ending == 1 else "one_too_far"), count
    for by in sorted(range(-MAX_SHIFT, MAX_SHIFT + 1), key=abs):
        if by and len(told) > 1 and all(_says(text, (span.start + by, span.end + by), span.surface) for span in told):
            return "shifted", lambda start, end, by=by: (start + by, end + by)  # type: ignore[misc]
    return "", as_is


def _at(places: Iterable[int], offset: int) -> int | None:
    return places[offset] if 0 <= offset < len(places) else None  # type: ignore[index,arg-type]


def _says(text: str, place: Place, surface: str | None, fold: Callable[[str], str] | None = None) -> bool:
    start, end = place
    if not 0 <= start <= end <= len(text) or surface is None:
        return False
    words = text[start:end]
    return words == surface or (fold is not None and fold(words) == fold(surface))


def _loose(words: str) -> str:
    """What stays of words when their width, compatibility forms and white space change; the number of words does not."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", words)).replace("\ufeff", "")


def _near(text: str, span: Span) -> Place | None:
    """The one place of the words near by, None for none or several."""
    surface = span.surface or ""
    low, high = max(0, span.start - NEAR), min(len(text), span.end + NEAR)
    at = text.find(surface, low, high) if len(surface) > 1 else -1
    if at < 0 or text.find(surface, at + 1, high) >= 0:
        return None
    return at, at + len(surface)


def _trimmed(text: str, start: int, end: int) -> Place:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, end


def _map_of(name: str, text: str) -> list[int] | None:
    """Offset as counted → place in the text; None where this way of counting makes no difference for the text."""
    lengths = _MAPS[name](text)
    if lengths is None:
        return None
    places = [place for place, length in enumerate(lengths) for _ in range(length)]
    return [*places, len(text)]


def _utf16(text: str) -> list[int] | None:
    lengths = [1 + (char > "\uffff") for char in text]
    return lengths if 2 in lengths else None


def _crlf_as_one(text: str) -> list[int] | None:
    return [0 if char == "\n" and text[place - 1 : place] == "\r" else 1 for place, char in enumerate(text)] if "\r\n" in text else None


def _lf_as_two(text: str) -> list[int] | None:
    return [2 if char == "\n" else 1 for char in text] if "\n" in text and "\r" not in text else None


def _bom_not_counted(text: str) -> list[int] | None:
    return [0] + [1] * (len(text) - 1) if text.startswith("\ufeff") else None


def _bom_counted(text: str) -> list[int] | None:
    return [2] + [1] * (len(text) - 1) if text and not text.startswith("\ufeff") else None


def _stripped(text: str) -> list[int] | None:
    lead = len(text) - len(text.lstrip())
    return [0] * lead + [1] * (len(text) - lead) if lead else None


def _no_white_space(text: str) -> list[int] | None:
    lengths = [0 if char.isspace() else 1 for char in text]
    return lengths if 0 in lengths else None


def _nfkc(text: str) -> list[int] | None:
    lengths = [len(unicodedata.normalize("NFKC", char)) for char in text]
    return lengths if any(length != 1 for length in lengths) else None


_MAPS: dict[str, Callable[[str], list[int] | None]] = {
    "utf16": _utf16, "crlf_as_one": _crlf_as_one, "lf_as_two": _lf_as_two, "bom_not_counted": _bom_not_counted,
    "bom_counted": _bom_counted, "stripped_text": _stripped, "no_white_space": _no_white_space, "nfkc_text": _nfkc,
}
"""Way of counting → how many units each character of a text counts there; None where nothing would change. Likelier ones first."""

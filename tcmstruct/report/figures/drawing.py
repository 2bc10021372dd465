"""Draws SVG that looks right in a page of either theme and, saved as a file, by itself.

Colours stand as attributes, in those of the light theme. A page's style sheet goes before attributes (CSS 2.1, 6.4.4), so
`assets/figures.css` gives the same shapes the colours of the theme; a file has no such sheet and keeps its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tcmstruct.report.palette import THEME
from tcmstruct.report.shown import plain

FONTS = "Noto Sans CJK SC, Source Han Sans SC, Microsoft YaHei, PingFang SC, Hiragino Sans GB, WenQuanYi Micro Hei, sans-serif"
"""Faces with Chinese glyphs of the systems that people have."""
FILLS: dict[str, str] = {"ink": "ink", "muted": "muted", "bar": "accent", "no": "no", "absent": "absent", "flag": "flag", "soft": "soft"}
"""What a filled shape is → token of the theme. `paper` is the ground, which only a saved file needs."""
STROKES: dict[str, str] = {"rule": "rule", "axis": "muted", "first": "accent", "second": "flag", "third": "no", "cut": "flag"}
"""What a line is → token of the theme."""
DASHES: dict[str, str] = {"second": "6 3", "third": "2 3", "cut": "4 3"}
"""Lines are told apart by their pattern too, not by colour alone."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and the same in words.

    Attributes:
        key: name of its file and its id in the page.
        title: what it shows, Chinese and English.
        names: what the page's filter looks for.
        svg: the drawing.
        head, rows: the table; figures in it stand as they are told, small ones withheld.
        note: (Chinese, English) that belongs below it, or None.
    """

    key: str
    title: str
    names: str
    svg: Markup
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: tuple[str, str] | None = None


class Drawing:
    """A drawing in pixels, x to the right and y down.

    Args:
        width: of the whole; the height follows from `svg`.
    """

    def __init__(self, width: int) -> None:
        self.width = width
        self._parts: list[Markup] = []

    def rect(self, x: float, y: float, width: float, height: float, kind: str, tip: str = "", opacity: float | None = None) -> None:
        """A filled box with a tooltip."""
        title = Markup("><title>{}</title></rect>").format(plain(tip)) if tip else Markup("/>")
        seen = Markup("") if opacity is None else Markup(' fill-opacity="{}"').format(_short(opacity))
        self._parts.append(Markup('<rect class="c-{}" fill="{}" x="{}" y="{}" width="{}" height="{}"{}{}').format(
            kind, _light(FILLS[kind]), *map(_short, (x, y, width, height)), seen, title))

    def text(self, x: float, y: float, words: str, kind: str = "ink", size: float = 13, anchor: str = "start", bold: bool = False,
             room: float | None = None) -> None:
        """Words whose baseline begins, is centred or ends at (x, y); cut where they need more than `room` pixels."""
        words = plain(words if room is None else fitted(words, room, size))
        look = Markup("").join((Markup("") if anchor == "start" else Markup(' text-anchor="{}"').format(anchor),
                                Markup(' font-weight="600"') if bold else Markup("")))
        self._parts.append(Markup('<text class="c-{}" fill="{}" x="{}" y="{}" font-size="{}"{}>{}</text>').format(
            kind, _light(FILLS[kind]), *map(_short, (x, y, size)), look, words))

    def line(self, points: Sequence[tuple[float, float]], kind: str = "rule", width: float = 1) -> None:
        """A line through points."""
        path = " ".join(f"{_short(x)},{_short(y)}" for x, y in points)
        dash = Markup(' stroke-dasharray="{}"').format(DASHES[kind]) if kind in DASHES else Markup("")
        self._parts.append(Markup('<polyline class="l-{}" fill="none" stroke="{}" stroke-width="{}"{} points="{}"/>').format(
            kind, _light(STROKES[kind]), _short(width), dash, path))

    def dot(self, x: float, y: float, kind: str, tip: str) -> None:
        """A point of a line."""
        self._parts.append(Markup('<circle class="d-{}" fill="{}" cx="{}" cy="{}" r="3"><title>{}</title></circle>').format(
            kind, _light(STROKES[kind]), _short(x), _short(y), plain(tip)))

    def svg(self, height: float, key: str, title: str, told: str) -> Markup:
        """The drawing as an image with a name and a description for screen readers (SVG 2, 5.7; WAI-ARIA graphics)."""
        return Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
            'aria-labelledby="t-{key} d-{key}" font-family="{fonts}"><title id="t-{key}">{title}</title><desc id="d-{key}">{told}</desc>'
            '<rect class="paper" fill="#ffffff" width="{w}" height="{h}"/>{parts}</svg>').format(
                w=self.width, h=round(height), key=key, fonts=FONTS, title=plain(title), told=plain(told),
                parts=Markup("").join(self._parts))

    def heading(self, title: str, below: str = "") -> float:
        """Title and line under it; the y at which the rest may begin."""
        self.text(10, 22, title, size=15, bold=True, room=self.width - 20)
        if below:
            self.text(10, 40, below, "muted", 12, room=self.width - 20)
        return 54 if below else 36


def bar_rows(drawing: Drawing, top: float, rows: Sequence[tuple[str, float, str, str, str]], label: float = 120,
             told: float = 120) -> float:
    """Horizontal bars under each other.

    Args:
        drawing: to draw on.
        top: y at which they begin.
        rows: (name, share 0–1 of the width, kind, what stands at its end, tooltip).
        label: pixels for the names.
        told: pixels for what stands at the ends.

    Returns:
        The y below them.
    """
    room = drawing.width - label - told - 30
    for name, share, kind, words, tip in rows:
        drawing.text(label + 4, top + 14, name, anchor="end", room=label - 8)
        drawing.rect(label + 12, top + 3, max(1.5, room * share) if share else 1.5, 14, kind, tip)
        drawing.text(label + 18 + room * share, top + 14, words, "muted", 12)
        top += 22
    return top


def legend(drawing: Drawing, top: float, entries: Sequence[tuple[str, str]], room: float = 0) -> float:
    """(words, kind) of what the colours mean, in a row, without a colour where the kind is ""; the y below it."""
    at = 10.0
    for words, kind in entries:
        if kind in STROKES:
            drawing.line([(at, top + 1), (at + 16, top + 1)], kind, 2.5)
        elif kind:
            drawing.rect(at, top - 5, 12, 12, kind)
        else:
            at -= 18
        words = fitted(words, room, 12) if room else words
        drawing.text(at + 20, top + 5, words, "muted", 12)
        at += 38 + _width(words, 12)
    return top + 16


def slug(words: str) -> str:
    """Words as part of a file name and of an id: letters, digits, - and _ of any script."""
    return re.sub(r"[^\w-]+", "_", words).strip("_")[:60] or "_"


def fitted(words: str, room: float, size: float) -> str:
    """Words cut with … so that they take no more than `room` pixels in a face where Chinese is as wide as it is high."""
    if _width(words, size) <= room:
        return words
    at, taken = 0, size
    while at < len(words) and taken + _width(words[at], size) <= room:
        taken += _width(words[at], size)
        at += 1
    return words[:at] + "…"


def _width(words: str, size: float) -> float:
    return sum(size * (1 if unicodedata.east_asian_width(char) in "WF" else 0.56) for char in words)


def _light(token: str) -> str:
    return THEME[token][0]


def _short(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")

"""Cutting a long text into overlapping windows, so that no text is ever truncated."""

from __future__ import annotations

from dataclasses import dataclass

from tcmstruct.errors import UsageError

_CUTS: tuple[frozenset[str], ...] = (
    frozenset("。！？!?；;\n\r\u2028\u2029"),
    frozenset("，,、：:）)】] \t\u3000"),
)
"""Characters after which a cut is welcome, best first."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a text, and the part of it for which this piece answers.

    Attributes:
        start, end: the characters the model sees, `[start, end)`.
        keep_start, keep_end: the characters whose results are taken from here. A mention belongs to the window whose
            keep range holds its first character; the rest of the window is context.
    """

    start: int
    end: int
    keep_start: int
    keep_end: int


def windows(text: str, max_chars: int, overlap_chars: int) -> list[Window]:
    """Cuts a text into windows whose keep ranges hold every character exactly once, in order.

    Neighbours share exactly `overlap_chars` characters. The border between their keep ranges lies after sentence
    punctuation or a line's end within the shared zone, else after a comma or space there, else in its middle; of
    several, the one nearest to the middle, so that both sides have context.

    Args:
        text: the raw text (normalisation turns line ends into spaces, which are weaker cuts).
        max_chars: most characters of a window, at least 1.
        overlap_chars: characters that neighbours share, at most half of `max_chars`.

    Returns:
        One window for a text of at most `max_chars`, none for the empty text.

    Raises:
        UsageError: the two numbers do not fit together.
    """
    if max_chars < 1 or not 0 <= overlap_chars <= max_chars // 2:
        raise UsageError(f"max_chars {max_chars}, overlap_chars {overlap_chars}; allowed: max_chars ≥ 1 and "
                         "0 ≤ overlap_chars ≤ max_chars / 2", code="window_sizes", hint="give a smaller overlap")
    found: list[Window] = []
    start = keep_start = 0
    while keep_start < len(text):
        end = min(start + max_chars, len(text))
        keep_end = end if end == len(text) else _border(text, end - overlap_chars, end)
        found.append(Window(start, end, keep_start, keep_end))
        start, keep_start = end - overlap_chars, keep_end
    return found


def _border(text: str, low: int, high: int) -> int:
    """The place in `[low, high]` at which the keep range ends."""
    middle = (low + high + 1) // 2
    for cuts in _CUTS:
        places = [place for place in range(low + 1, high + 1) if text[place - 1] in cuts]
        if places:
            return min(places, key=lambda place: (abs(place - middle), place))
    return middle

"""Small charts within lines and tables as inline SVG; `figures` draws what can be saved.

Every chart is an image with a name for screen readers, and every bar has a tooltip with its number.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tcmstruct.report.cells import Cell, percent, share
from tcmstruct.report.shown import plain

N_BINS = 20
"""Bins of a confidence histogram over [0, 1]."""


def stacked(parts: Sequence[tuple[str, Cell, str]], label: str) -> Markup:
    """One horizontal bar of parts.

    Args:
        parts: (name, count as it is shown, CSS class) from left to right.
        label: what the bar shows, for screen readers.
    """
    whole = sum(cell.drawn for _, cell, _ in parts)
    withheld = any(cell.sign for _, cell, _ in parts)

    def told(cell: Cell) -> str:
        return cell.text if withheld else f"{cell.text} ({percent(cell.n, whole)})"

    out = [Markup('<svg class="stack" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" '
                  'aria-label="{}"><rect class="absent" width="1000" height="10"/>').format(
                      plain(f"{label}: " + ", ".join(f"{name} {told(cell)}" for name, cell, _ in parts)))]
    at = 0.0
    for name, cell, css in parts:
        width = 1000 * share(cell.drawn, whole)
        if cell.drawn:
            out.append(Markup('<rect class="{}" x="{:.1f}" width="{:.1f}" height="10"><title>{}</title></rect>').format(
                css, at, width, plain(f"{name} {told(cell)}")))
        at += width
    return Markup("").join((*out, Markup("</svg>")))


def spark(counts: Sequence[int], label: str) -> Markup:
    """Counts in equal bins over [0, 1] for a table cell, tallest bin = full height.

    Args:
        counts: one count for each bin.
        label: what is counted, for screen readers.
    """
    top, n, total = max(counts, default=0), len(counts), sum(counts)
    width, height = 120, 26
    step = width / n if n else 0
    out = [Markup('<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(width, height, plain(_told(counts, label)))]
    for i, count in enumerate(counts):
        if count:
            tall = max(1.5, height * count / top)
            out.append(Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
                i * step + step * 0.06, height - tall, step * 0.88, tall, f"{i / n:.2f}–{(i + 1) / n:.2f}: {percent(count, total)}"))
    return Markup("").join((*out, Markup('<line class="axis" x1="0" x2="{}" y1="25.5" y2="25.5"/></svg>').format(width)))


def _told(counts: Sequence[int], label: str) -> str:
    if not (total := sum(counts)):
        return f"{label}: none"
    n = len(counts)
    low = sum(counts[: n // 2])
    peak = max(range(n), key=lambda i: counts[i])
    return f"{label}: most in {peak / n:.2f}–{(peak + 1) / n:.2f}; {percent(low, total)} below 0.5"

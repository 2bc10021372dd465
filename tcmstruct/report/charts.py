"""Small charts as inline SVG: no library, no script, colours by class so that both themes apply.

Every chart is an image with a name for screen readers, and every bar has a tooltip with its number.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tcmstruct.report.shown import plain

N_BINS = 20
"""Bins of a confidence histogram over [0, 1]."""


def share(part: float, whole: float) -> float:
    """part / whole, 0 where there is nothing."""
    return part / whole if whole else 0.0


def percent(part: float, whole: float) -> str:
    """A share for people: 0 %, <0.1 %, 12.3 %, >99.9 %, 100 %; "–" of nothing."""
    if not whole:
        return "–"
    value = 100 * part / whole
    if 0 < value < 0.1:
        return "<0.1%"
    if 99.9 < value < 100:
        return ">99.9%"
    return f"{value:.1f}%".replace(".0%", "%")


def stacked(parts: Sequence[tuple[str, int, str]], label: str) -> Markup:
    """One horizontal bar of parts.

    Args:
        parts: (name, count, CSS class) from left to right.
        label: what the bar shows, for screen readers.
    """
    whole = sum(count for _, count, _ in parts)
    told = ", ".join(f"{name} {count} ({percent(count, whole)})" for name, count, _ in parts)
    out = [Markup('<svg class="stack" viewBox="0 0 1000 10" preserveAspectRatio="none" role="img" '
                  'aria-label="{}"><rect class="absent" width="1000" height="10"/>').format(plain(f"{label}: {told}"))]
    at = 0.0
    for name, count, css in parts:
        width = 1000 * share(count, whole)
        if count:
            out.append(Markup('<rect class="{}" x="{:.1f}" width="{:.1f}" height="10"><title>{}</title></rect>').format(
                css, at, width, plain(f"{name} {count} · {percent(count, whole)}")))
        at += width
    return Markup("").join((*out, Markup("</svg>")))


def histogram(counts: Sequence[int], label: str, *, axis: bool = False) -> Markup:
    """Counts in equal bins over [0, 1], tallest bin = full height.

    Args:
        counts: one count for each bin.
        label: what is counted, for screen readers.
        axis: with tick labels (the large chart) or without (in a table cell).
    """
    top, n, total = max(counts, default=0), len(counts), sum(counts)
    width, height, foot, left = (720, 190, 26, 54) if axis else (120, 26, 0, 0)
    plot_w, plot_h = width - left - (12 if axis else 0), height - foot - (12 if axis else 0)
    y0 = height - foot
    step = plot_w / n if n else 0
    out = [Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        "hist" if axis else "spark", width, height, plain(_told(counts, label)))]
    if axis:
        for part in (0.5, 1.0):
            y = y0 - plot_h * part
            out.append(Markup('<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text x="{3}" y="{4:.1f}" '
                              'class="num">{5:,}</text>').format(left, width - 12, y, left - 6, y + 4, round(top * part)))
    for i, count in enumerate(counts):
        if not count:
            continue
        tall = max(1.5, plot_h * count / top)
        out.append(Markup('<rect class="bar" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
            left + i * step + step * 0.06, y0 - tall, step * 0.88, tall,
            f"{i / n:.2f}–{(i + 1) / n:.2f}: {count:,} ({percent(count, total)})"))
    out.append(Markup('<line class="axis" x1="{0}" x2="{1}" y1="{2}" y2="{2}"/>').format(
        left, left + plot_w, y0 if axis else height - 0.5))
    if axis:
        for tick in (0, 0.25, 0.5, 0.75, 1):
            out.append(Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(left + plot_w * tick, height - 8, tick))
    return Markup("").join((*out, Markup("</svg>")))


def _told(counts: Sequence[int], label: str) -> str:
    if not (total := sum(counts)):
        return f"{label}: none"
    n = len(counts)
    low = sum(counts[: n // 2])
    peak = max(range(n), key=lambda i: counts[i])
    return (f"{label}: {total:,} in all; most in {peak / n:.2f}–{(peak + 1) / n:.2f}; "
            f"{percent(low, total)} below 0.5")

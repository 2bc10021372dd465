"""The course of a search as one SVG: reward, memory and F1 over the iterations. Written by hand, no plotting library."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP, _GAP = 760, 170, 86, 150, 48, 44
_COLOURS = {"mean": "#7a8ba3", "best": "#0b5fa5", "limit": "#b3261e", "full model": "#3d7a36"}


def plot_history(iterations: Sequence[int], panels: dict[str, dict[str, Sequence[float] | float]], title: str) -> str:
    """Draws panels one under the other over a common axis.

    Args:
        iterations: x values, ascending.
        panels: axis label → lines; a line is a sequence as long as `iterations`, or one number (a dashed level).
        title: heading.

    Returns:
        A self-contained SVG document.
    """
    height = _TOP + len(panels) * (_PANEL + _GAP) + 8
    first, last = (iterations[0], iterations[-1]) if iterations else (0, 1)
    x_span = max(last - first, 1)
    inner = _WIDTH - _LEFT - _RIGHT
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="26" font-size="15">{escape(title)}</text>',
    ]
    for number, (label, lines) in enumerate(panels.items()):
        top = _TOP + number * (_PANEL + _GAP)
        low, high = _range(lines)

        def at(iteration: float, value: float, top: float = top, low: float = low, high: float = high) -> str:
            x = _LEFT + inner * (iteration - first) / x_span
            y = top + _PANEL * (high - value) / (high - low)
            return f"{x:.1f},{y:.1f}"

        for tick in _ticks(low, high):
            y = at(first, tick).split(",")[1]
            out.append(f'<path d="M{_LEFT},{y}h{inner}" stroke="#e3e6ea"/>'
                       f'<text x="{_LEFT - 6}" y="{y}" dy="4" text-anchor="end">{_number(tick)}</text>')
        for tick in _ticks(first, first + x_span):
            if tick == int(tick):
                x = at(tick, low).split(",")[0]
                out.append(f'<text x="{x}" y="{top + _PANEL + 15}" text-anchor="middle">{_number(tick)}</text>')
        out.append(f'<text transform="translate(16,{top + _PANEL / 2}) rotate(-90)" text-anchor="middle">{escape(label)}</text>')
        for row, (name, values) in enumerate(lines.items()):
            colour = _COLOURS.get(name, "#555")
            level = isinstance(values, (int, float))
            points = [(first, values), (first + x_span, values)] if level else list(zip(iterations, values, strict=True))
            dash = ' stroke-dasharray="5 4"' if level else ""
            path = " ".join(at(x, y) for x, y in points)
            out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')
            y = top + 14 + 18 * row
            shown = _number(values) if level else (_number(values[-1]) if len(values) else "–")
            out.append(f'<path d="M{_WIDTH - _RIGHT + 10},{y - 4}h18" stroke="{colour}" stroke-width="1.8"{dash}/>'
                       f'<text x="{_WIDTH - _RIGHT + 33}" y="{y}">{escape(name)} {shown}</text>')
    out.append(f'<text x="{_LEFT + inner / 2}" y="{height - 8}" text-anchor="middle">iteration</text></svg>')
    return "\n".join(out) + "\n"


def _range(lines: dict[str, Sequence[float] | float]) -> tuple[float, float]:
    values = [v for line in lines.values() for v in ([line] if isinstance(line, (int, float)) else line)] or [0.0]
    low, high = min(values), max(values)
    margin = (high - low) * 0.06 or max(abs(high), 1) * 0.05
    return low - margin, high + margin


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two ends, about four of them."""
    raw = (high - low) / 4
    power = 10 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw)
    return [round(n * step, 12) for n in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _number(value: float) -> str:
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(value) >= factor:
            factor = 1e3 if unit == "k" else factor
            return f"{value / factor:.4g}{unit}"
    return f"{value:.4g}"

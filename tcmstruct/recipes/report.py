"""`tcmstruct report OUT`: the report of a finished folder made again, and its figures as files."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tcmstruct.batch.tables.csv_table import defuse
from tcmstruct.errors import MissingExtra, TcmstructError, UsageError
from tcmstruct.report import make_report, write_private
from tcmstruct.report.figures import FONTS, Figure
from tcmstruct.whole_file import whole_file

FORMATS: tuple[str, ...] = ("svg", "png", "csv")
ZOOM = 2.0
"""Pixels of a PNG for one of the drawing: sharp on paper at the width of a column."""


def report(out: Path, *, page: Path | None = None, figures: Path | None = None, formats: Sequence[str] = ("svg",),
           n_sample: int = 50, identified: bool = False) -> Path:
    """Makes the report of a folder of `convert` again.

    Args:
        out: the folder.
        page: where the page goes; None takes `report.html` in the folder.
        figures: folder for the figures as files; None writes none.
        formats: of `FORMATS`.
        n_sample: records shown in the page; with 0 it holds counts alone and no word of a record.
        identified: show names, numbers and dates as they are, and counts of under five.

    Returns:
        The page.

    Raises:
        UsageError: a format that is none, or a sample below 0.
        MissingExtra: PNG without the extra [plot].
        InputRefused: the folder holds no records.
        TcmstructError: PNG without a face for Chinese.
    """
    if unknown := [name for name in formats if name not in FORMATS]:
        raise UsageError(f"{', '.join(unknown)} is none of {', '.join(FORMATS)}", where="--format", code="option_invalid")
    if n_sample < 0:
        raise UsageError(f"is {n_sample}, allowed is 0 or more", where="--sample", code="option_invalid")
    if figures is not None and "png" in formats:
        _check_faces()
    made = make_report(Path(out), n_sample=n_sample, identified=identified)
    if figures is not None:
        print(f"{len(write_figures(made.figures, figures, formats))} files of figures in {figures}", file=sys.stderr)
    return write_private(page or Path(out) / "report.html", made.html)


def write_figures(figures: Iterable[Figure], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes each figure in each format (mode 0600, replaced as a whole) and returns the files; other files in the folder stay."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    out = []
    for figure in figures:
        for name in dict.fromkeys(formats):
            out.append(folder / f"{figure.key}.{name}")
            with whole_file(out[-1], flushed=False) as file:
                file.write(_WRITERS[name](figure))
    return out


def _svg(figure: Figure) -> bytes:
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + str(figure.svg).encode("utf-8")


def _png(figure: Figure) -> bytes:
    return _drawn(str(figure.svg), ZOOM)


def _csv(figure: Figure) -> bytes:
    """What stands in the table under the figure, as `table.csv` is written."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([defuse(cell) for cell in row] for row in (figure.head, *figure.rows))
    return text.getvalue().encode("utf-8-sig")


_WRITERS = {"svg": _svg, "png": _png, "csv": _csv}


def _drawn(svg: str, zoom: float = 1.0) -> bytes:
    try:
        import resvg_py
    except ImportError:
        raise MissingExtra("a figure as PNG", "plot") from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, background="#ffffff"))


def _check_faces() -> None:
    """A face without a glyph draws the same box, or nothing, for any character."""
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="40" height="40" font-family="{FONTS}"><text y="30">%s</text></svg>'
    if _drawn(svg % "舌") == _drawn(svg % "脉"):
        raise TcmstructError("no face with Chinese glyphs is installed, a PNG would show boxes", where="--format png", code="no_cjk_font",
                             hint="install Noto Sans CJK (fonts-noto-cjk), or take --format svg")

"""Figures of the report: SVG drawings that stand alone, each with a table that says the same."""

from tcmstruct.report.figures.assembly import Part, parts_of
from tcmstruct.report.figures.drawing import FONTS, Figure

__all__ = ["FONTS", "Figure", "Part", "parts_of"]

"""The figures as one self-contained HTML page: no network, no scripts, no record text."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from tcmstruct.evaluation import wording
from tcmstruct.evaluation.results import EvaluationResult
from tcmstruct.evaluation.table import shown_dimensions


def render_page(result: EvaluationResult) -> str:
    """The page as text; every value that comes from data is escaped."""
    environment = Environment(loader=PackageLoader("tcmstruct.evaluation", "."), autoescape=True,
                              undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(number=wording.number, interval=wording.interval)
    return environment.get_template("page.html.j2").render(r=result, w=wording, dimensions=shown_dimensions(result))

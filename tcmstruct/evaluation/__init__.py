"""Scores predictions against annotated records: mentions, status, fields, confidence, with intervals.

No torch here. `evaluate` takes records and returns plain figures; `list_errors` returns the errors with their words.
"""

from tcmstruct.evaluation.listing import ErrorCase, list_errors
from tcmstruct.evaluation.reading import read_annotated
from tcmstruct.evaluation.results import EvaluationResult
from tcmstruct.evaluation.scoring import evaluate

__all__ = ["ErrorCase", "EvaluationResult", "evaluate", "list_errors", "read_annotated"]

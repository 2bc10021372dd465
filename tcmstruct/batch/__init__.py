"""Batches: a windowed run in one or several processes, result files, rejects, manifest.

Takes the structurer as a callable.
"""

from tcmstruct.batch.run import FORMATS, RunSummary, run_batch

__all__ = ["FORMATS", "RunSummary", "run_batch"]

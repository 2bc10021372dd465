"""What tcmstruct is measured against, and on which machine. Run from the repository: `python -m benchmarks.accuracy`."""

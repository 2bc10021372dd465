"""The paper's tables on our data; `python -m benchmarks.paper --help`."""

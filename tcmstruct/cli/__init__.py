"""The command line. Data goes to stdout, everything else to stderr.

Exit codes: 0 fine · 1 failure · 2 usage · 3 finished with rejects · 4 input refused · 130 interrupted.
Each command is one typed function of `tcmstruct.recipes`, loaded when it is called; `main_job`, `models`, `review` and `vocabulary` say
what a command is called and what it takes.
"""

from tcmstruct.cli.entry import app, main, run

__all__ = ["app", "main", "run"]

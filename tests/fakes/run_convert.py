"""The real `convert` with a structurer of `fake_structurers`, as a process of its own that a test may kill.

    python run_convert.py FACTORY WORKERS INPUT OUT [--fresh] [--ray]
"""

import sys
from pathlib import Path

import fake_structurers as fakes

from tcmstruct.batch import journal
from tcmstruct.errors import TcmstructError
from tcmstruct.recipes.convert import convert

if __name__ == "__main__":
    factory, workers, source, out, *options = sys.argv[1:]
    journal.SHARD_S = 0.05  # many shards in a short run
    try:
        summary = convert([source], Path(out), formats=("jsonl", "csv"), workers=int(workers), report=False, fresh="--fresh" in options,
                          engine="ray" if "--ray" in options else "local", factory=getattr(fakes, factory))
    except TcmstructError as error:
        print(f"{error.code}: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    raise SystemExit(summary.exit_code)

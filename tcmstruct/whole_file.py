"""A file that is there whole or not at all, for its owner only: what this program writes holds record text more often than not."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def whole_file(path: Path, flushed: bool = True) -> Iterator[BinaryIO]:
    """A file for writing that gets its name when the `with` ends well (temporary file, fsync, rename), mode 0600.

    Args:
        path: in a folder that is there; what stood under the name is replaced.
        flushed: on the disk before it has its name; many small files need not be so one by one.

    Raises:
        OSError: the folder cannot be written; no partial file stays behind.
    """
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")  # 0600 by contract
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            if flushed:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise

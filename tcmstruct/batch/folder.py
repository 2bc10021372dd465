"""The output folder: everything is made in a staging folder inside it and moved into place at the very end.

An interrupted run leaves nothing behind, and an earlier result stays whole until the new one is complete.
Files are 0600 and folders 0700: they hold sensitive personal data.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tcmstruct.errors import UsageError

OWNED: tuple[str, ...] = ("records.jsonl", "rejects.jsonl", "table.csv", "table.xlsx", "report.html", "manifest.json",
                          "_SUCCESS")
"""Every file that a run can write, `_SUCCESS` last; nothing else in the folder is ever touched."""

_STAGING = ".tcmstruct-part-"


class OutFolder:
    """An output folder during a run; see `open_folder`."""

    def __init__(self, out: Path, staging: Path) -> None:
        self.out, self.staging = out, staging

    def path(self, name: str) -> Path:
        """Where a file of the result is made."""
        return self.staging / name

    def create(self, name: str) -> BinaryIO:
        """A new file of the result, 0600, for writing."""
        return open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", buffering=1 << 18)

    def write(self, name: str, data: bytes) -> None:
        """A file of the result, or a new version of it."""
        self.path(name).unlink(missing_ok=True)
        with self.create(name) as file:
            file.write(data)

    def fingerprint(self, names: Sequence[str]) -> dict[str, dict[str, int | str]]:
        """Size and sha256 of files of the result."""
        found: dict[str, dict[str, int | str]] = {}
        for name in names:
            with self.path(name).open("rb") as file:
                found[name] = {"bytes": os.fstat(file.fileno()).st_size,
                               "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
        return found

    def publish(self) -> None:
        """Moves the result into place: each file is on the disk before it gets its name, `_SUCCESS` last."""
        made = [name for name in OWNED if self.path(name).exists()]
        for name in made:
            os.chmod(self.path(name), 0o600)
            _sync(self.path(name))
        (self.out / "_SUCCESS").unlink(missing_ok=True)
        for name in OWNED:
            if name in made:
                os.replace(self.path(name), self.out / name)
            else:
                (self.out / name).unlink(missing_ok=True)
        _sync(self.out)


@contextmanager
def open_folder(out: Path, *, fresh: bool = False, inputs: Sequence[Path] = ()) -> Iterator[OutFolder]:
    """Prepares an output folder and clears the staging folder away at the end, however it ends.

    Args:
        out: the folder; made (0700) if it is absent.
        fresh: replace the result of an earlier run.
        inputs: files that must not be among those replaced.

    Raises:
        UsageError: `out` is a file, holds an earlier result (and not `fresh`), or holds an input.
    """
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", where=out.name, code="out_not_a_folder",
                         hint="name another with -o")
    taken = [name for name in OWNED if (out / name).exists()]
    if taken and not fresh:
        raise UsageError(f"already holds {', '.join(taken)}", where=out.name, code="out_exists",
                         hint="name another folder with -o, or replace the result with --fresh")
    targets = {(out / name).resolve() for name in OWNED}
    if any(path.resolve() in targets for path in inputs):
        raise UsageError("would replace one of the inputs", where=out.name, code="out_holds_input",
                         hint="name another folder with -o")
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    for folder in reversed(made):
        folder.mkdir(mode=0o700)
    _clear_abandoned(out)
    staging = out / f"{_STAGING}{os.getpid()}"
    staging.mkdir(mode=0o700)
    try:
        yield OutFolder(out, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        for folder in made:  # innermost first
            if not any(folder.iterdir()):
                folder.rmdir()


def _clear_abandoned(out: Path) -> None:
    """Removes what a killed run left behind: it holds record text."""
    for folder in out.glob(f"{_STAGING}*"):
        pid = folder.name.removeprefix(_STAGING)
        if pid.isdigit() and (int(pid) == os.getpid() or not _alive(int(pid))):
            shutil.rmtree(folder, ignore_errors=True)


def _alive(pid: int) -> bool:
    if os.name == "nt":  # where signal 0 is no question but a Ctrl-C
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _sync(path: Path) -> None:
    """Asks the system to put a file's (a folder's) content on the disk."""
    try:
        handle = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

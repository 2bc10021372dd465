"""The output folder: everything is made in a work folder inside it and moved into place at the very end.

An earlier result stays whole until the new one is complete; one process at a time works on a folder. A run that was cut off leaves
its work folder (`journal`), and the same command goes on from there. Files are 0600 and folders 0700: they hold sensitive personal
data.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from filelock import FileLock, Timeout

from tcmstruct.batch.journal import Journal, sync_folder
from tcmstruct.batch.tables import FILES
from tcmstruct.errors import TcmstructError, UsageError

OWNED: tuple[str, ...] = ("records.jsonl", "rejects.jsonl", *FILES, "report.html", "manifest.json", "_SUCCESS")
"""Every file that a run can write, `_SUCCESS` last; nothing else in the folder is ever touched."""

WORK = ".tcmstruct-work"
"""The work folder of an unfinished run. It holds record text."""
_LOCK = ".tcmstruct-lock"
_STAGING = "result"
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class OutFolder:
    """An output folder during a run; see `open_folder`."""

    def __init__(self, out: Path, journal: Journal) -> None:
        self.out, self.journal = out, journal
        self.staging = journal.path / _STAGING
        self.published = False

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
        sync_folder(self.out)
        self.published = True


@contextmanager
def open_folder(out: Path, *, fresh: bool = False, inputs: Sequence[Path] = (),
                identity: Mapping[str, Any] | None = None) -> Iterator[OutFolder]:
    """Prepares an output folder; at the end only what is done is kept in it.

    Args:
        out: the folder; made (0700) if it is absent.
        fresh: replace the result of an earlier run, and begin anew where one is unfinished.
        inputs: files that must not be among those replaced.
        identity: what the result depends on, see `Journal`.

    Raises:
        UsageError: `out` is a file, cannot be written, holds an earlier result (and not `fresh`), the unfinished run of another
            command, an input, or another process at work.
        TcmstructError: the disk is full.
    """
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", where=out.name, code="out_not_a_folder",
                         hint="name another with -o")
    targets = {(out / name).resolve() for name in OWNED}
    if any(path.resolve() in targets for path in inputs):
        raise UsageError("would replace one of the inputs", where=out.name, code="out_holds_input",
                         hint="name another folder with -o")
    _refuse_earlier(out, fresh)
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        for folder in reversed(made):
            folder.mkdir(mode=0o700)
        with _lock(out), _opened(out, fresh, identity or {}) as folder:
            yield folder
    except OSError as error:
        _explain(error, out)
        raise
    finally:
        for folder in made:  # innermost first
            if folder.exists() and not any(folder.iterdir()):
                folder.rmdir()


def _explain(error: OSError, out: Path) -> None:
    """Raises what a fault of the disk means for the person at the keyboard; returns where it means nothing of the kind."""
    if error.errno in _NO_ROOM:
        raise TcmstructError("the disk takes no more; what is done is kept", where=out.name, code="disk_full",
                             hint="make room; the same command goes on from there") from None
    place = Path(os.fsdecode(error.filename)).absolute() if isinstance(error.filename, str | bytes) else None
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) and place is not None and place.is_relative_to(out.absolute()):
        raise UsageError("cannot be written", where=out.name, code="out_not_writable", hint="name another folder with -o") from None


@contextmanager
def _opened(out: Path, fresh: bool, identity: Mapping[str, Any]) -> Iterator[OutFolder]:
    work = out / WORK
    if fresh:
        shutil.rmtree(work, ignore_errors=True)
    else:
        _refuse_earlier(out, fresh)  # another process may have finished while this one asked for the lock
    folder = OutFolder(out, Journal(work, identity))
    shutil.rmtree(folder.staging, ignore_errors=True)
    folder.staging.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder.staging, ignore_errors=True)
        folder.journal.close()
        if folder.published or not folder.journal.shards:
            shutil.rmtree(work, ignore_errors=True)


def _refuse_earlier(out: Path, fresh: bool) -> None:
    """An earlier result is replaced only where that was asked for, by this run or by the unfinished one that this goes on with."""
    taken = [name for name in OWNED if (out / name).exists()]
    if taken and not fresh and not (out / WORK / "run.json").exists():
        raise UsageError(f"already holds {', '.join(taken)}", where=out.name, code="out_exists",
                         hint="name another folder with -o, or replace the result with --fresh")


@contextmanager
def _lock(out: Path) -> Iterator[None]:
    """One process at a time; the system takes the lock back when the process ends, however it ends."""
    lock = FileLock(out / _LOCK, mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UsageError("another process is working on it", where=out.name, code="out_locked",
                         hint="wait for it, or name another folder with -o") from None
    try:
        yield
    finally:
        with suppress(PermissionError):  # Windows removes no open file
            (out / _LOCK).unlink(missing_ok=True)
        lock.release()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

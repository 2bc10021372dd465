"""The way in: runs a command and turns what went wrong into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

import typer

from tcmstruct.cli import adapters, main_job, models, review, schema, training, vocabulary  # noqa: F401 (they register; --help lists them so)
from tcmstruct.cli.app import app
from tcmstruct.errors import TcmstructError, UsageError

_INTERRUPTED = "interrupted; nothing was left half-written"


def main() -> None:
    """Entry point: runs a command and turns what went wrong into one line and an exit code."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Runs the command line and returns its exit code; nothing that it prints about a failure holds record text."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    previous = signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = app(args=arguments, standalone_mode=False) or 0
        return _fail(_INTERRUPTED, code) if code == 130 else code  # typer turns Ctrl-C into this code by itself
    except typer.Exit as error:
        return error.exit_code
    except UsageError as error:
        return _fail(f"usage: {error}", error.exit_code)
    except TcmstructError as error:
        return _fail(f"error: {error}", error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        return _fail(_INTERRUPTED, 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # so that closing stdout does not fail again
        return 1
    except MemoryError:
        return _fail("error: out of memory → give a --memory-limit, fewer --workers", 1)
    except OSError as error:
        return _fail(f"error: {error.strerror or type(error).__name__}", 1)
    except Exception as error:
        if hasattr(error, "exit_code") and hasattr(error, "show"):  # what the option parser says of its own
            if arguments[:1] == ["structure"]:  # its message would repeat words of the record
                return _fail("usage: structure takes one TEXT, FILE or - → put quotes around a text, and -- before one "
                             "that begins with a dash", int(error.exit_code))
            error.show()
            return int(error.exit_code)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return _fail(f"error: {type(error).__name__} in {Path(frame.filename).name}:{frame.lineno} → please report this "
                     "line; it holds no record text", 1)
    finally:
        signal.signal(signal.SIGTERM, previous)


def _fail(message: str, code: int) -> int:
    print(" ".join(message.splitlines()), file=sys.stderr)
    return code

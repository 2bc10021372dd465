"""Command lines of the documentation: what they say, and whether this program would take them."""

from __future__ import annotations

import contextlib
import glob
import importlib.util
import inspect
import io
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from doc_pages import ROOT

from tcmstruct import cli

PROGRAMS: frozenset[str] = frozenset({"tcmstruct", "make", "pip", "python", "cat", "unzip", "sh"})
"""What a block without a language may begin with and be taken for commands; what is none of them needs a marker to stand in a block."""

NEEDS: tuple[tuple[str, str], ...] = (
    (r"tcmstruct serve\b", "a server runs until it is stopped; tests/e2e/test_serve_cli.py"),
    (r"tcmstruct load .*postgresql", "a database server; tests/unit/recipes/test_load.py"),
    (r"tcmstruct tongue-import\b", "a public data set; tests/unit/recipes/test_tongue_import.py"),
    (r"tcmstruct (quantize|distil|prune|train|adapt|adapter (train|fuse))\b", "the training of a model"),
    (r"tcmstruct .*(适配器/本院|训后|本院模型|本院编码器)", "what examples/adapt_hospital.md trains; tests/e2e/test_adapt_example.py"),
    (r"tcmstruct doctor --tune", "a minute; tests/unit/recipes/test_tune.py"),
    (r"tcmstruct bundle\b", "the internet; tests/e2e/test_bundle.py"),
)
"""(command, what running it would take): these lines are read by the option parser and not run."""

SYNOPSIS = re.compile(r"[\[|…]|\b[A-Z]{3,}\b")
"""What no command line holds: brackets, alternatives, an ellipsis, a metavariable."""


@dataclass(frozen=True)
class Line:
    """One command.

    Attributes:
        words: program and arguments; shell variables before the program are gone.
        before: file that is piped in.
        to: file that takes standard output.
    """

    text: str
    words: tuple[str, ...]
    before: str = ""
    to: str = ""

    @property
    def synopsis(self) -> bool:
        return any(SYNOPSIS.search(word) and not Path(word).exists() for word in self.words[1:])

    @property
    def needs(self) -> str:
        return next((needs for pattern, needs in NEEDS if re.match(pattern, " ".join(self.words))), "")


def lines_of(text: str) -> list[Line]:
    """The commands of a block; comments and what a continued line is broken by are gone."""
    found = []
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=\S*", words[0]):
            words = words[1:]
        if not words:
            continue
        before = to = ""
        if words[0] == "cat" and "|" in words:
            before, words = words[1], words[words.index("|") + 1:]
        if ">" in words:
            to, words = words[words.index(">") + 1], words[:words.index(">")]
        found.append(Line(line, tuple(words), before, to))
    return found


def fault_of(line: Line) -> str:
    """Why the line could not be what it says; "" where nothing is wrong."""
    program, *arguments = line.words
    if program == "tcmstruct":
        return _fault_of_own(arguments, line.synopsis)
    if program == "make":
        return "" if re.search(rf"^{arguments[0]}:", (ROOT / "Makefile").read_text(), re.MULTILINE) else "no such target"
    if program == "pip":
        extras = {extra for word in arguments for extra in re.findall(r"[\w,-]+(?=\])", word) for extra in extra.split(",")}
        known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        return "" if extras <= set(known) else f"no such extra: {extras - set(known)}"
    if program == "python":
        return _fault_of_module(arguments)
    return "" if program in PROGRAMS else f"{program}: what the test does not know needs a marker"


def run(line: Line, folder: Path) -> tuple[int, str]:
    """Runs a command of this program in this process; exit code and what it wrote to standard output and error."""
    arguments = [found for word in line.words[1:] for found in (sorted(glob.glob(word)) if "*" in word else [word])]
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    keep = sys.stdin
    if line.before:
        sys.stdin = (folder / line.before).open(encoding="utf-8")
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            code = cli.run(arguments)
            out.flush()
    finally:
        if line.before:
            sys.stdin.close()
        sys.stdin = keep
    said = out.buffer.getvalue().decode("utf-8")  # type: ignore[attr-defined]
    if line.to:
        (folder / line.to).write_text(said, "utf-8")
    return code, said


def _fault_of_own(arguments: list[str], synopsis: bool) -> str:
    command: Any = typer.main.get_command(cli.app)
    path = "tcmstruct"
    while hasattr(command, "commands") and arguments and not arguments[0].startswith("-"):
        name, *arguments = arguments
        if name == "COMMAND":
            return ""
        if name not in command.commands:
            return f"{path} has no command {name}"
        command, path = command.commands[name], f"{path} {name}"
    if synopsis:
        known = {option for parameter in command.params for option in parameter.opts} | {"-h", "--help"}
        return next((f"{path} has no option {option}" for word in arguments for option in re.findall(r"^\[?(--?[a-z][\w-]*)", word)
                     if option not in known), "")
    try:
        command.make_context(path, [word.replace("…", "x") for word in arguments])
    except Exception as error:
        return "" if type(error).__name__ == "Exit" else f"{path}: {getattr(error, 'message', error)}"
    return ""


def _fault_of_module(arguments: list[str]) -> str:
    if arguments[:1] != ["-m"]:
        return "" if (ROOT / arguments[0]).is_file() else f"no such file: {arguments[0]}"
    name = arguments[1]
    if name in ("pip", "venv", "http.server"):
        return ""
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        found = None
    if found is None:
        return f"no such module: {name}"
    source = inspect.getsource(importlib.util.module_from_spec(found)) if found.origin is None else Path(found.origin).read_text("utf-8")
    if found.submodule_search_locations:
        source = "".join(path.read_text("utf-8") for path in Path(found.origin or "").parent.glob("*.py"))
    options = [option for word in arguments[2:] for option in re.findall(r"^\[?(--[a-z][\w-]*)", word)]
    return next((f"{name} has no option {option}" for option in options if f'"{option}"' not in source), "")

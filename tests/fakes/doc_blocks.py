"""What is wrong with a code block of the documentation: it is run, read or compared, and every fault is a line that says what."""

from __future__ import annotations

import ast
import configparser
import contextlib
import csv
import importlib.util
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
import xml.etree.ElementTree

import pytest
from doc_commands import PROGRAMS, fault_of, lines_of, run
from doc_pages import ROOT

from tcmstruct import cli
from tcmstruct.schema import load_schema

DEMO = "$ tcmstruct convert examples/records.csv -o out/demo"
"""How the output of `make demo` begins."""

PROGRESS = re.compile(r"writing \S+$|[\d,]+ records \(")
"""Lines that only a run of more than five seconds prints."""

SHELLS = ("sh", "console", "bash")
FINE = (0, 3)
"""Exit codes of a command that did its work; 3: with rejects, or with findings."""


def faults_of(block, names, folder):
    """What is wrong with a block: nothing, or lines that say what."""
    language = block.language or ("sh" if block.text.removeprefix("$ ").split(maxsplit=1)[0] in PROGRAMS else "text")
    if block.title:
        (folder / block.title).write_text(block.text, "utf-8")
    try:
        if language == "python":
            return python_faults(block, names)
        if language in SHELLS:
            return shell_faults(block, folder)
        return READERS[language](block, folder) or ()
    except KeyError:
        if language in READERS:
            raise
        return [f"a block of {language}: nothing here reads it"]
    except Exception as error:
        return [f"{type(error).__name__}: {error}"]


def python_faults(block, names):
    """Runs statement by statement; an expression with a literal in a comment beside or below it must have that value."""
    told = told_values(block.text)
    for statement in ast.parse(block.text).body:
        line = block.line + statement.lineno
        try:
            if not isinstance(statement, ast.Expr):
                exec(compile(ast.Module([statement], []), block.page, "exec"), names)
                continue
            value = eval(compile(ast.Expression(statement.value), block.page, "eval"), names)
        except Exception as error:
            yield f"line {line}: {type(error).__name__}: {error}"
            continue
        if statement.end_lineno in told and value != told[statement.end_lineno]:
            yield f"line {line}: gives {value!r}, shown is {told[statement.end_lineno]!r}"


def told_values(source):
    """Line → the literal that its comment, or the comment line below it, shows."""
    told = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            alone = not token.line[:token.start[1]].strip()
            try:
                told.setdefault(token.start[0] - alone, ast.literal_eval(token.string.lstrip("# ").partition("  ")[0]))
            except (SyntaxError, ValueError):
                continue
    return told


def shell_faults(block, folder):
    """Runs the commands; what stands below a `$ command` is what it has to print."""
    if block.text.startswith(DEMO):
        said = demo()
        if not same(block.text, said):
            yield f"make demo: printed\n{said}"
        return
    for part in filter(str.strip, re.split(r"^(?=\$ )", block.text, flags=re.MULTILINE)):
        command, _, output = part.partition("\n") if part.startswith("$ ") else (part, "", "")
        for line in lines_of(command):
            fault = fault_of(line)
            if fault:
                yield f"{line.text.strip()}: {fault}"
            elif line.words[0] == "tcmstruct" and not line.synopsis and not line.needs:
                code, said = run(renewed(line, folder), folder)
                if output.strip():  # which may be a refusal
                    if not same(output, said):
                        yield f"{command}: printed\n{said}\nshown is\n{output}"
                elif code not in FINE:
                    yield f"{line.text.strip()}: exit code {code}: {said.strip()[-300:]}"


def demo():
    """What `make demo` prints, its call of the program made in this process."""
    found = importlib.util.spec_from_file_location("demo", ROOT / "examples" / "demo.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    out = io.TextIOWrapper(io.BytesIO(), "utf-8")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        patch.setattr(sys, "argv", ["demo.py"])
        patch.setattr(subprocess, "call", lambda command: cli.run(command[3:]))
        assert module.main() == 0
        out.flush()
    return out.buffer.getvalue().decode("utf-8")


def renewed(line, folder):
    """The same command, and what it writes is not there yet: the lines of a block may be alternatives."""
    for option in ("-o", "--out"):
        if option in line.words:
            out = folder / line.words[line.words.index(option) + 1]
            if line.words[1:2] != ("vocab",) or out.suffix != ".csv":
                shutil.rmtree(out, ignore_errors=True) if out.is_dir() else out.unlink(missing_ok=True)
    return line


def same(shown, printed):
    """Is that what was printed, where … stands for anything and a time or a rate for any other?"""
    def plain(text):
        return " ".join(re.sub(r"\d[\d.,]*(?= (?:s|ms|MB|GB|records/s)\b)", "N", text).split())

    printed = "\n".join(line for line in printed.splitlines() if not PROGRESS.match(line))
    pattern = ".*".join(re.escape(piece.strip()) for piece in plain(shown).split("…"))
    return re.fullmatch(pattern, plain(printed), re.DOTALL) is not None


def read_toml(block, folder):
    data = tomllib.loads(block.text)
    if "pack" in data:
        file = folder / "pack.toml"
        file.write_text(block.text, "utf-8")
        load_schema(["all", str(file)])
    if "teachers" in data:
        from tcmstruct.recipes.distil import read_job

        file = folder / "job.toml"
        file.write_text(block.text, "utf-8")
        read_job(file)


def read_csv(block, folder):
    widths = {len(row) for row in csv.reader(io.StringIO(block.text))}
    return [f"rows of {sorted(widths)} cells"] if len(widths) > 1 else []


def read_json(block, folder):
    """One value, or one a line."""
    try:
        json.loads(block.text)
    except json.JSONDecodeError:
        for line in block.text.splitlines():
            json.loads(line)


READERS = {
    "text": lambda block, folder: None,
    "toml": read_toml,
    "csv": read_csv,
    "json": read_json,
    "xml": lambda block, folder: xml.etree.ElementTree.fromstring(block.text) is None,
    "ini": lambda block, folder: configparser.ConfigParser(strict=False).read_string(block.text),
}

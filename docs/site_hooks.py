"""What `mkdocs build` asks of this project: the page of all options, made from the command line itself, and files beside docs/."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import typer
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
BESIDE = re.compile(r"\]\(\.\./((?:examples|deploy)/[^)#]+|Dockerfile)\)")
"""A link out of docs/ to a file that the site carries along."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    from tcmstruct.cli import app

    files.append(File.generated(config, "commands.md", content=all_options(app)))
    for page in ROOT.joinpath("docs").rglob("*.md"):
        for name in set(BESIDE.findall(page.read_text("utf-8"))):
            if files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    if page.file.src_uri.startswith("examples/"):
        return markdown.replace("](../../docs/", "](../../").replace("](../docs/", "](../")
    return BESIDE.sub(r"](\1)", markdown) if "/" not in page.file.src_uri else markdown


def all_options(app: typer.Typer) -> str:
    """Every command with its arguments and options, as the program itself tells them with -h."""
    lines = ["# 全部命令与选项 · All commands and options", "",
             "Made from the program itself when this site is built; `tcmstruct COMMAND -h` shows the same. What the commands do: "
             "[Commands](cli.md).", ""]
    for name, command in sorted(_commands(typer.main.get_command(app), "tcmstruct")):
        lines += [f"## {name}", "", command.help or "", "", "| 选项 option | 缺省 default | 含义 meaning |", "|---|---|---|"]
        for parameter in command.params:
            option = parameter.param_type_name == "option"
            names = " ".join([", ".join(parameter.opts), *([parameter.metavar] if parameter.metavar else [])])
            shown = names if option else parameter.metavar or parameter.name
            default = "" if parameter.default in (None, False) or callable(parameter.default) else f"`{parameter.default}`"
            cells = (f"`{shown}`", default, getattr(parameter, "help", None) or "")
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        lines.append("")
    return "\n".join(lines)


def _commands(command: Any, path: str) -> list[tuple[str, Any]]:
    """(call, command) of all that stand below; typer brings a click of its own, so they are known by what they have."""
    if not hasattr(command, "commands"):
        return [(path, command)]
    return [found for name, inner in command.commands.items() for found in _commands(inner, f"{path} {name}")]

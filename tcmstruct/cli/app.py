"""The application that commands register with, and the options that several of them have."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    name="tcmstruct", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="中医病历结构化：自由文本 → 带原文依据的字段。Free-text TCM records → fields with evidence. "
         "Not a diagnostic device. 不用于诊断。",
)

Schema = Annotated[list[str] | None, typer.Option(
    "--schema", metavar="PACK|FILE", help="字段包名或 TOML 文件，可重复。Shipped pack or TOML file, repeatable.")]
Model = Annotated[Path | None, typer.Option("--model", metavar="DIR", help="模型文件夹。Model folder.")]
Codes = Annotated[Path | None, typer.Option(
    "--codes", metavar="CSV", help="本院诊断编码表，与标准编码并用。Own diagnosis codes, added to the shipped ones.")]
Encoding = Annotated[str | None, typer.Option(
    "--encoding", metavar="NAME", help="文本编码，如 gb18030；缺省自动识别。Text encoding; found by itself.")]
Identified = Annotated[bool, typer.Option(
    "--identified", help="页面与导出保留姓名、证件号等。Leave names, numbers and dates in what is shown or leaves.")]
Suggest = Annotated[bool, typer.Option(
    "--suggest", help="附上病名、证候建议（非所见，非诊断；不入表）。Add suggestions: no findings, in no table.")]
Head = Annotated[Path | None, typer.Option(
    "--suggest-model", metavar="DIR", help="建议模型的文件夹；含 --suggest。Folder of the head; implies --suggest.")]
Adapter = Annotated[Path | None, typer.Option("--adapter", metavar="DIR", help="本院适配器文件夹。Folder of the hospital's adapter.")]
Mapping = Annotated[list[str] | None, typer.Option(
    "--map", metavar="列=字段",
    help="列的用途：id text dept image extra ignore；列可写成 #序号。Role of a column, by name or #number.")]


def print_data(text: str) -> None:
    """Data on stdout, in UTF-8 whatever the terminal's own encoding."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()

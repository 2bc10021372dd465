"""Own fields: packs made, checked and tried."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import Encoding, Identified, Mapping, Model, app, print_data

schema = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="自定义字段：新建、检查、在病历上试用。Own fields.")
app.add_typer(schema, name="schema")

Json = Annotated[bool, typer.Option("--json", help="输出 JSON。Print JSON.")]


@schema.command("new")
def schema_new(
    file: Annotated[Path, typer.Argument(metavar="FILE.toml", help="要写出的字段包。Pack to write.")],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="包名，如科室；缺省为文件名。Of the pack.")] = None,
    source: Annotated[str | None, typer.Option(
        "--from", metavar="PACK|FILE", help="由已有的包开始，如 妇科。An existing pack to begin from.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="替换已有的 FILE。Replace FILE.")] = False,
) -> None:
    """新建一个带说明的字段包。A commented pack to begin from."""
    from tcmstruct.recipes.schema_pack import new_pack

    new_pack(file, name=name, source=source, fresh=fresh)


@schema.command("check")
def schema_check(
    file: Annotated[str, typer.Argument(metavar="FILE", help="字段包文件，或自带包的名称。A pack's file, or its name.")],
    json_out: Json = False,
) -> None:
    """检查字段包：每处错误的位置与改法，以及可疑之处。Every fault with its place and what to do; doubts too."""
    import json

    from tcmstruct.recipes.schema_pack import as_json, as_text, check_file, pack_file

    path = pack_file(file)
    checked = check_file(path)
    print_data(json.dumps(as_json(path, checked), ensure_ascii=False, indent=2) if json_out else as_text(path, checked))
    raise typer.Exit(3 if checked.faults else 0)


@schema.command("test")
def schema_test(
    file: Annotated[str, typer.Argument(metavar="FILE", help="字段包文件，或自带包的名称。A pack's file, or its name.")],
    records: Annotated[str, typer.Argument(
        metavar="RECORDS", help="病历文件、数据库 URL，或 convert 的结果（最快）。Records, or a result of convert (fastest).")],
    field: Annotated[list[str] | None, typer.Option("--field", metavar="NAME", help="只试这个字段，可重复。Only this one.")] = None,
    sample: Annotated[int, typer.Option("--sample", min=0, metavar="N", help="每个字段显示的命中与未命中数。Shown of a field.")] = 10,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="最多读取的病历数。Most records.")] = 2000,
    json_out: Json = False,
    map: Mapping = None,
    encoding: Encoding = None,
    model: Model = None,
    identified: Identified = False,
) -> None:
    """在病历上试用字段包：覆盖率、取值、命中、未命中及原因。Coverage, values, hits, and near misses with their reason."""
    import json

    from tcmstruct.recipes.schema_trial import as_text, tell, trial

    found = trial(file, records, fields=field or (), sample=sample, mapping=map or (), encoding=encoding, model=model, most=limit,
                  identified=identified)
    print_data(json.dumps(found, ensure_ascii=False, indent=2) if json_out else as_text(found))
    tell(found)

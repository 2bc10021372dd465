"""The main job: records in, data out, and what is asked of the result."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import Adapter, Codes, Encoding, Head, Identified, Mapping, Model, Schema, Suggest, app, print_data


@app.command()
def structure(
    text: Annotated[str, typer.Argument(metavar="TEXT|FILE|-", help="病历文本、文本文件，或 - 表示标准输入。")],
    tongue: Annotated[Path | None, typer.Option(
        "--tongue", metavar="IMG", help="舌象照片，作为第二证据。A tongue photograph beside the text.")] = None,
    schema: Schema = None,
    model: Model = None,
    codes: Codes = None,
    encoding: Encoding = None,
    suggest: Suggest = False,
    suggest_model: Head = None,
    adapter: Adapter = None,
) -> None:
    """结构化一份病历，JSON 输出到标准输出。One record as JSON."""
    from tcmstruct.recipes.structure_one import print_json, structure_one

    print_json(structure_one(text, schema=schema or ("all",), model=model, codes=codes, tongue=tongue, encoding=encoding,
                             suggest=suggest_model or suggest, adapter=adapter))


@app.command()
def convert(
    inputs: Annotated[list[str], typer.Argument(
        metavar="INPUT…", help="病历文件（格式见 docs/formats.md）或数据库 URL。Files of records, or a database's URL.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="结果文件夹。Folder of the result.")],
    map: Mapping = None,
    formats: Annotated[str, typer.Option("--format", metavar="LIST", help="jsonl,xlsx,csv,parquet,sqlite")] = "jsonl,xlsx,csv",
    schema: Schema = None,
    model: Model = None,
    codes: Codes = None,
    encoding: Encoding = None,
    image_root: Annotated[Path | None, typer.Option(
        "--image-root", metavar="DIR", help="舌象照片文件夹，病历中的路径由此起。Folder of the records' tongue photos.")] = None,
    memory_limit: Annotated[str | None, typer.Option(
        "--memory-limit", metavar="SIZE", help="内存上限，如 1GB。Memory of all processes together.")] = None,
    workers: Annotated[int | None, typer.Option(
        "--workers", min=1, metavar="N", help="进程数；缺省按核数与内存。Processes; by cores and memory.")] = None,
    engine: Annotated[str, typer.Option("--engine", metavar="NAME", help="local，或 ray（集群）。Ray: on a cluster.")] = "local",
    fresh: Annotated[bool, typer.Option(
        "--fresh", help="替换已有结果；不续做未完成的。Replace a result, or begin an unfinished one anew.")] = False,
    no_report: Annotated[bool, typer.Option("--no-report", help="不生成 report.html。Leave report.html out.")] = False,
    identified: Identified = False,
    suggest: Suggest = False,
    suggest_model: Head = None,
    adapter: Adapter = None,
) -> None:
    """批量结构化文件中的病历，写入文件夹。Files of records → a folder of tables."""
    from tcmstruct.batch.resources import parse_bytes
    from tcmstruct.recipes.convert import convert as run

    summary = run(
        inputs, out, mapping=map or (), encoding=encoding, schema=schema or ("all",), model=model, codes=codes,
        image_root=image_root, workers=workers, engine=engine, memory_limit_bytes=parse_bytes(memory_limit) if memory_limit else None,
        formats=[name for name in (part.strip() for part in formats.split(",")) if name], fresh=fresh, report=not no_report,
        identified=identified, suggest=suggest_model or suggest, adapter=adapter)
    raise typer.Exit(summary.exit_code)


@app.command()
def verify(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="convert 的结果文件夹。Result of convert.")],
) -> None:
    """核对结果是否完整、未被改动、与原文一致。Is a result complete, unaltered, true to its texts?"""
    from tcmstruct.recipes.verify import verify_result

    raise typer.Exit(verify_result(out))


@app.command()
def load(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="convert 的结果文件夹。Result of convert.")],
    url: Annotated[str, typer.Argument(metavar="URL", help="数据库 URL（SQLAlchemy）。A database's URL.")],
    prefix: Annotated[str, typer.Option("--prefix", metavar="P", help="表名前缀。Before the tables' names.")] = "tcmstruct_",
    fresh: Annotated[bool, typer.Option("--fresh", help="替换已有的同名表。Replace tables of these names.")] = False,
) -> None:
    """把结果表写入数据库。The tables of a result into a database."""
    from tcmstruct.recipes.load import load as run

    run(out, url, prefix=prefix, fresh=fresh)


@app.command()
def evaluate(
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="金标准 JSONL。Gold file.")],
    pred: Annotated[Path, typer.Argument(metavar="PRED", help="结果文件夹或 JSONL。Predictions.")],
    json_out: Annotated[bool, typer.Option("--json", help="输出 JSON。Print JSON.")] = False,
    html: Annotated[Path | None, typer.Option("--html", metavar="F", help="写出网页。Write a page.")] = None,
    against: Annotated[Path | None, typer.Option(
        "--against", metavar="PRED2", help="第二个系统，做配对比较。A second system, for the paired difference.")] = None,
    train: Annotated[Path | None, typer.Option(
        "--train", metavar="FILE", help="训练集，区分见过与未见的提及。For seen and unseen mentions.")] = None,
    errors: Annotated[Path | None, typer.Option(
        "--errors", metavar="F", help="逐条错误（含病历文字）。Every error; holds record text.")] = None,
    context: Annotated[int, typer.Option("--context", min=0, help="错误两侧字数。Characters around an error.")] = 20,
    raw_types: Annotated[bool, typer.Option("--raw-types", help="类型不做映射。Compare types as they are.")] = False,
    count_all: Annotated[bool, typer.Option("--count-all", help="也计金标准未出现的类型与字段。Count what gold never holds.")] = False,
    min_gold: Annotated[int, typer.Option("--min-gold", min=1, help="宏平均所需金标准数。Values a field needs for macro.")] = 5,
    n_boot: Annotated[int, typer.Option("--n-boot", min=0, help="重抽样次数。Bootstrap draws.")] = 1000,
    seed: Annotated[int, typer.Option("--seed", help="随机种子。Seed.")] = 0,
) -> None:
    """用金标准评价结果。Score predictions against gold."""
    from tcmstruct.recipes.evaluate import evaluate_files

    evaluate_files(gold, pred, json_out=json_out, html=html, against=against, train=train, errors=errors, context=context,
                   raw_types=raw_types, count_all=count_all, min_gold=min_gold, n_boot=n_boot, seed=seed)


@app.command()
def inspect(
    file: Annotated[str, typer.Argument(metavar="FILE", help="病历文件或数据库 URL。A file of records, or a database's URL.")],
    map: Mapping = None,
    encoding: Encoding = None,
    json_out: Annotated[bool, typer.Option("--json", help="输出 JSON。Print JSON.")] = False,
    identified: Identified = False,
) -> None:
    """查看文件将如何读取，及去标识的第一份。How a file would be read, and its first record de-identified."""
    import json

    from tcmstruct.recipes.inspect_file import as_text, inspect_file

    found = inspect_file(file, mapping=map or (), encoding=encoding, identified=identified)
    print_data(json.dumps(found, ensure_ascii=False, indent=2) if json_out else as_text(found))


@app.command()
def view(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="convert 的结果文件夹或 JSONL。Result of convert.")],
    html: Annotated[Path, typer.Option("-o", "--out", metavar="F.html", help="要写出的网页。Page to write.")],
    limit: Annotated[int, typer.Option("--limit", min=1, help="最多显示的病历数。Most records on the page.")] = 200,
    ids: Annotated[list[str] | None, typer.Option("--id", metavar="ID", help="只显示这些病历。Only these.")] = None,
    image_root: Annotated[Path | None, typer.Option(
        "--image-root", metavar="DIR", help="舌象照片所在文件夹；照片显示在病历旁。Folder of the photographs; shows them.")] = None,
    identified: Identified = False,
) -> None:
    """生成逐份阅读的网页（去标识的病历文字）。A page to read records beside their fields."""
    from tcmstruct.recipes.view import view as run

    print(f"page written to {run(out, html, limit, ids, image_root, identified)}", file=sys.stderr)


@app.command()
def report(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="convert 的结果文件夹。Result of convert.")],
    page: Annotated[Path | None, typer.Option("-o", "--out", metavar="F.html", help="网页；缺省为 OUT/report.html。Page to write.")] = None,
    figures: Annotated[Path | None, typer.Option("--figures", metavar="DIR", help="把各图写成文件。Write the figures as files.")] = None,
    formats: Annotated[str, typer.Option("--format", metavar="LIST", help="图的格式：svg,png,csv。Of the figures.")] = "svg",
    sample: Annotated[int, typer.Option(
        "--sample", min=0, metavar="N", help="页中样例病历数；0 则只有计数，不含病历文字。Records shown; 0: counts alone.")] = 50,
    identified: Identified = False,
) -> None:
    """重做 report.html，并可把图存为 SVG、PNG、CSV。The report again, and its figures as files."""
    from tcmstruct.recipes.report import report as run

    written = run(out, page=page, figures=figures, formats=[name for name in (part.strip() for part in formats.split(",")) if name],
                  n_sample=sample, identified=identified)
    print(f"page written to {written}", file=sys.stderr)


@app.command()
def deidentify(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="文本、病历表、convert 的结果，或 - 。Text, table, result or stdin.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT", help="写入文件（0600）；缺省为标准输出。File to write.")] = None,
    key_file: Annotated[Path | None, typer.Option("--key-file", metavar="F", help="密钥文件，缺失时生成。Key; made if absent.")] = None,
    dates: Annotated[str, typer.Option("--dates", metavar="shift|cut|keep", help="日期：平移、截到年月、保留。Dates.")] = "shift",
    keep: Annotated[list[str] | None, typer.Option("--keep", metavar="KIND", help="保留这一类，可重复。Kind that stays.")] = None,
    encoding: Encoding = None,
) -> None:
    """去除姓名、证件、电话、地址等，保留病情。Take out what names a person; leave what is clinical."""
    from tcmstruct.recipes.deidentify import deidentify_file

    found = deidentify_file(source, out, key_file=key_file, dates=dates, keep=keep or (), encoding=encoding)
    raise typer.Exit(3 if found.rejects else 0)


@app.command()
def tongue(
    photos: Annotated[list[Path], typer.Argument(metavar="IMG…", help="舌象照片：JPEG、PNG、WebP。Tongue photographs.")],
    mask_dir: Annotated[Path | None, typer.Option(
        "--mask-dir", metavar="DIR", help="写出舌体轮廓 PNG。Write the outlines as PNG.")] = None,
) -> None:
    """查看舌象照片：质量、舌色、苔色、裂纹、齿痕，每张一行 JSON。What tongue photographs show, a JSON line each."""
    from tcmstruct.recipes.tongue import examine_photos

    raise typer.Exit(3 if examine_photos(photos, mask_dir) else 0)


@app.command("tongue-import")
def tongue_import(
    name: Annotated[str, typer.Argument(metavar="SET", help="tcm-tongue (shezhenv3)、tonguedx、biohit。")],
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="已解压的数据集。The unpacked set.")],
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="OUT", help="结果文件夹；缺省只检查。Without it only checks.")] = None,
    train_colour: Annotated[bool, typer.Option(
        "--train-colour", help="让苔色、舌色参与训练（相机不同，慎用）。Let colours of another camera train.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="替换 OUT 中先前的导入。Replace an earlier import.")] = False,
) -> None:
    """检查并转换公开舌象数据集。Check and convert a public set of tongue photographs."""
    from tcmstruct.recipes.tongue_import import tongue_import as run

    raise typer.Exit(run(name, folder, out, train_colour=train_colour, fresh=fresh).exit_code)

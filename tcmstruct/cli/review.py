"""People at work: the server with its review page, and annotations to and from other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import Codes, Encoding, Mapping, Model, Schema, app, print_data


@app.command()
def serve(
    out: Annotated[Path | None, typer.Argument(
        metavar="[OUT]", help="要复核的 convert 结果文件夹；缺省只开 REST。Folder to review; without it REST alone.")] = None,
    records: Annotated[str | None, typer.Option(
        "--records", metavar="FILE", help="在这些病历上编辑自定义字段。Records to try own fields on, in place of OUT.")] = None,
    schema_dir: Annotated[Path | None, typer.Option(
        "--schema-dir", metavar="DIR", help="字段编辑页可存入的文件夹；缺省只能下载。Where own fields may be saved.")] = None,
    host: Annotated[str, typer.Option(
        "--host", metavar="ADDR", help="监听地址；非本机地址须有令牌。Any but this machine's own needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="端口；0 取空闲端口。0 takes a free one.")] = 8765,
    token_file: Annotated[Path | None, typer.Option("--token-file", metavar="F", help="令牌文件（0600），或 $TCMSTRUCT_TOKEN。")] = None,
    allow_host: Annotated[list[str] | None, typer.Option(
        "--allow-host", metavar="NAME", help="服务器的主机名，可重复。A name of this server.")] = None,
    store: Annotated[str | None, typer.Option(
        "--store", metavar="URL", help="修订存放处；缺省为 OUT 旁的 SQLite。Where corrections go.")] = None,
    reviewer: Annotated[str | None, typer.Option("--reviewer", metavar="NAME", help="复核者姓名。Who reviews.")] = None,
    image_root: Annotated[Path | None, typer.Option(
        "--image-root", metavar="DIR", help="舌象照片文件夹。Folder of the tongue photographs.")] = None,
    map: Mapping = None,
    encoding: Encoding = None,
    schema: Schema = None,
    model: Model = None,
    codes: Codes = None,
    adapters: Annotated[Path | None, typer.Option(
        "--adapters", metavar="DIR", help="各院适配器的文件夹，请求以 adapter 选用。Adapters, named by requests.")] = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="进程数。Processes that structure.")] = None,
    memory_limit: Annotated[str | None, typer.Option(
        "--memory-limit", metavar="SIZE", help="内存上限，如 1GB。Of all processes.")] = None,
    max_body: Annotated[str | None, typer.Option("--max-body", metavar="SIZE", help="请求体上限，缺省 32MiB。Of one request.")] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.1, metavar="S", help="每次请求的时限，秒，缺省 60。")] = None,
    max_running: Annotated[int | None, typer.Option("--max-running", min=1, metavar="N", help="同时处理的请求数，缺省 64。")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="PEM", help="TLS 证书。Certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="PEM", help="TLS 私钥。Its key.")] = None,
) -> None:
    """REST 接口、复核网页与字段编辑页（只在本机）。REST, the review page, and the page of own fields."""
    from tcmstruct.batch.resources import parse_bytes
    from tcmstruct.recipes.serve import serve as run

    run(out, records=records, mapping=map or (), encoding=encoding, schema_dir=schema_dir, host=host, port=port, token_file=token_file,
        names=allow_host or (), store=store, reviewer=reviewer,
        schema=schema or ("all",), model=model, codes=codes, adapters=adapters, image_root=image_root, workers=workers,
        memory_limit_bytes=parse_bytes(memory_limit) if memory_limit else None,
        body_bytes=parse_bytes(max_body) if max_body else None, request_s=timeout, running=max_running, tls_cert=tls_cert, tls_key=tls_key)


review = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="复核结果：导出为金标准。What reviewers settled.")
app.add_typer(review, name="review")


@review.command("export")
def review_export(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="复核过的结果文件夹。The folder that was reviewed.")],
    to: Annotated[Path, typer.Option("-o", "--out", metavar="F.jsonl", help="要写出的金标准。Gold file to write (0600).")],
    store: Annotated[str | None, typer.Option("--store", metavar="URL", help="修订存放处，同 serve。As for serve.")] = None,
    which: Annotated[str, typer.Option(
        "--which", metavar="done|touched", help="只导出已签定的，或也导出部分复核的。")] = "done",
    types: Annotated[str, typer.Option("--types", metavar="guide|fine", help="标注指南的类型，或模型的细类。")] = "guide",
    identified: Annotated[bool, typer.Option("--identified", help="不去标识。Leave names, numbers and dates in.")] = False,
    key_file: Annotated[Path | None, typer.Option(
        "--key-file", metavar="F", help="去标识密钥，同 deidentify。Key of the pseudonyms.")] = None,
) -> None:
    """导出复核后的病历为金标准 JSONL（缺省去标识）。Settled records as gold, de-identified unless told otherwise."""
    from tcmstruct.recipes.review import export_review

    export_review(out, to, store=store, which=which, types=types, identified=identified, key_file=key_file)


annotation = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="标注格式互换与检查。Annotations of others and ours.")
app.add_typer(annotation, name="annotation")

AnnotationFormat = Annotated[str | None, typer.Option(
    "--from", metavar="FMT", help="输入格式；缺省自动识别。Format of the input; found by itself.")]


@annotation.command("convert")
def annotation_convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="标注文件或 brat 文件夹。File, or folder of brat.")],
    to: Annotated[str, typer.Option(
        "--to", metavar="FMT", help="gold、label-studio、doccano、brat、conll、cmeee、docbin。")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="要写出的文件或文件夹。File or folder to make.")],
    source_format: AnnotationFormat = None,
    identified: Annotated[bool, typer.Option("--identified", help="不去标识。Leave names, numbers and ids as they are.")] = False,
) -> None:
    """转换标注格式；写往他处的默认去标识。Convert annotations; what leaves is de-identified."""
    from tcmstruct.recipes.annotation import convert_annotations

    convert_annotations(source, out, to=to, from_=source_format, identified=identified)


@annotation.command("check")
def annotation_check(
    source: Annotated[Path, typer.Argument(metavar="IN", help="标注文件或 brat 文件夹。File, or folder of brat.")],
    source_format: AnnotationFormat = None,
    mend: Annotated[Path | None, typer.Option("--mend", metavar="OUT", help="写出改正后的文件。Write it corrected.")] = None,
) -> None:
    """检查偏移：UTF-16、CRLF、含尾、BOM、空白。Find offsets that are off; never shows text."""
    from tcmstruct.recipes.annotation import as_text, check_annotations

    found = check_annotations(source, from_=source_format, mend=mend)
    print_data(as_text(found))
    raise typer.Exit(3 if found.counts else 0)

"""The command line. Data goes to stdout, everything else to stderr.

Exit codes: 0 fine · 1 failure · 2 usage · 3 finished with rejects · 4 input refused · 130 interrupted.
Each command is one typed function of `tcmstruct.recipes`, loaded when it is called.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.errors import TcmstructError, UsageError

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
Mapping = Annotated[list[str] | None, typer.Option(
    "--map", metavar="列=字段",
    help="列的用途：id text dept image extra ignore；列可写成 #序号。Role of a column, by name or #number.")]


@app.command()
def structure(
    text: Annotated[str, typer.Argument(metavar="TEXT|FILE|-", help="病历文本、文本文件，或 - 表示标准输入。")],
    tongue: Annotated[Path | None, typer.Option(
        "--tongue", metavar="IMG", help="舌象照片，作为第二证据。A tongue photograph beside the text.")] = None,
    schema: Schema = None,
    model: Model = None,
    codes: Codes = None,
    encoding: Encoding = None,
) -> None:
    """结构化一份病历，JSON 输出到标准输出。One record as JSON."""
    from tcmstruct.recipes.structure_one import print_json, structure_one

    print_json(structure_one(text, schema=schema or ("all",), model=model, codes=codes, tongue=tongue, encoding=encoding))


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
) -> None:
    """批量结构化文件中的病历，写入文件夹。Files of records → a folder of tables."""
    from tcmstruct.batch.resources import parse_bytes
    from tcmstruct.recipes.convert import convert as run

    summary = run(
        inputs, out, mapping=map or (), encoding=encoding, schema=schema or ("all",), model=model, codes=codes,
        image_root=image_root, workers=workers, engine=engine, memory_limit_bytes=parse_bytes(memory_limit) if memory_limit else None,
        formats=[name for name in (part.strip() for part in formats.split(",")) if name], fresh=fresh, report=not no_report,
        identified=identified)
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
    _print(json.dumps(found, ensure_ascii=False, indent=2) if json_out else as_text(found))


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


@app.command()
def doctor(
    model: Model = None,
    tune: Annotated[bool, typer.Option(
        "--tune", help="实测本机最快的后端与线程数并记住（不到一分钟）。Measure the fastest backend and threads, and keep it.")] = False,
) -> None:
    """检查安装是否完好。Check the installation, one verdict a line."""
    from tcmstruct.recipes.doctor import doctor as run

    if tune:
        from tcmstruct.recipes.tune import tune as measure

        _print(str(measure(model)))
        return
    findings = run(model)
    _print("\n".join(map(str, findings)))
    raise typer.Exit(1 if any(finding.state == "broken" for finding in findings) else 0)


@app.command()
def quantize(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="fp32 模型文件夹。The fp32 model folder.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="OUT", help="量化后的模型文件夹。Folder of the artefact.")],
    texts: Annotated[Path, typer.Option("--texts", metavar="FILE", help="病历 JSONL：定量程、测速度。Records: ranges, speed.")],
    labelled: Annotated[Path | None, typer.Option(
        "--labelled", metavar="FILE", help="金标准 JSONL：量化前后 F1 之差。Gold records that F1 is measured on.")] = None,
    checkpoint: Annotated[Path | None, typer.Option(
        "--checkpoint", metavar="DIR", help="FOLDER 所由来的训练检查点，一并核对。The checkpoint that FOLDER came from.")] = None,
    kind: Annotated[str, typer.Option("--kind", metavar="KIND", help="static、dynamic、fp16、bf16。")] = "static",
    backend: Annotated[str | None, typer.Option("--backend", metavar="NAME", help="测速所用后端。Backend to measure with.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="替换已有的 OUT。Replace OUT.")] = False,
) -> None:
    """量化模型；F1、大小、速度都合格才写出。A narrower model, written only if it passes the gate."""
    from tcmstruct.recipes.extras import needs

    with needs("train", "quantize"):
        from tcmstruct.recipes.quantize import quantize as run

        run(folder, out, texts, labelled=labelled, checkpoint=checkpoint, kind=kind, backend=backend, fresh=fresh)
    print(f"model written to {out}", file=sys.stderr)


@app.command()
def distil(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="蒸馏任务，见 docs/distillation.md。The job.")],
) -> None:
    """把教师模型蒸馏为小模型。A small student learns from its teachers."""
    from tcmstruct.recipes.extras import needs

    with needs("train", "distil"):
        from tcmstruct.recipes.distil import read_job, run

        run(read_job(config))
    print("student written", file=sys.stderr)


@app.command()
def prune(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="工作文件夹，可中断续跑。Working folder; taken up where it stopped.")],
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="数据文件夹。The data folder.")],
    weights: Annotated[Path, typer.Option("--weights", metavar="LITE0.pth", help="Lite0 的 ImageNet 权重。Its start weights.")],
    tongue_run: Annotated[Path, typer.Option("--tongue-run", metavar="DIR", help="舌象训练的工作文件夹。Of recipes.tongue_train.")],
    fusion_run: Annotated[Path, typer.Option("--fusion-run", metavar="DIR", help="融合训练的工作文件夹。Of recipes.fusion_train.")],
    tables: Annotated[str, typer.Option("--tables", metavar="LIST", help="policies,ratios,hidden")] = "policies",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="随机种子数。Seeds.")] = 5,
    plans: Annotated[int, typer.Option("--plans", min=6, help="每次搜索可测的方案数。Plans a search may measure.")] = 42,
) -> None:
    """在内存上限下剪枝图文融合模型，比较各策略。Prune the fused model under a memory limit; compare the policies."""
    from tcmstruct.recipes.extras import needs

    with needs("train", "prune"):
        from tcmstruct.recipes.prune import run_tables

        _print(str(run_tables(run, data, weights, tongue_run, fusion_run, tables.split(","), seeds, plans)))


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
def serve(
    out: Annotated[Path | None, typer.Argument(
        metavar="[OUT]", help="要复核的 convert 结果文件夹；缺省只开 REST。Folder to review; without it REST alone.")] = None,
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
    schema: Schema = None,
    model: Model = None,
    codes: Codes = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, metavar="N", help="进程数。Processes that structure.")] = None,
    memory_limit: Annotated[str | None, typer.Option(
        "--memory-limit", metavar="SIZE", help="内存上限，如 1GB。Of all processes.")] = None,
    max_body: Annotated[str | None, typer.Option("--max-body", metavar="SIZE", help="请求体上限，缺省 32MiB。Of one request.")] = None,
    timeout: Annotated[float | None, typer.Option("--timeout", min=0.1, metavar="S", help="每次请求的时限，秒，缺省 60。")] = None,
    max_running: Annotated[int | None, typer.Option("--max-running", min=1, metavar="N", help="同时处理的请求数，缺省 64。")] = None,
    tls_cert: Annotated[Path | None, typer.Option("--tls-cert", metavar="PEM", help="TLS 证书。Certificate.")] = None,
    tls_key: Annotated[Path | None, typer.Option("--tls-key", metavar="PEM", help="TLS 私钥。Its key.")] = None,
) -> None:
    """REST 接口与复核网页（只在本机）。REST, and the page on which a folder is reviewed."""
    from tcmstruct.batch.resources import parse_bytes
    from tcmstruct.recipes.serve import serve as run

    run(out, host=host, port=port, token_file=token_file, names=allow_host or (), store=store, reviewer=reviewer,
        schema=schema or ("all",), model=model, codes=codes, image_root=image_root, workers=workers,
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


@app.command()
def version() -> None:
    """显示版本。Show the version."""
    from tcmstruct.batch.run import tool_version

    _print(tool_version())


vocab = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="术语表：查询、统计、挖掘新词、合并。The vocabulary.")
app.add_typer(vocab, name="vocab")

Vocabulary = Annotated[Path | None, typer.Option(
    "--vocabulary", metavar="DIR", help="自建术语表；缺省为自带的。Tables of one's own (vocab build -o DIR).")]


@vocab.command("search")
def vocab_search(
    terms: Annotated[list[str], typer.Argument(metavar="TERM…", help="要查的词。")],
    kind: Annotated[str | None, typer.Option("--kind", metavar="KIND", help="只查这一类。Only this kind.")] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="每词最多条数。Most rows a query.")] = 20,
    json_out: Annotated[bool, typer.Option("--json", help="输出 JSON 行。JSON lines.")] = False,
    vocabulary: Vocabulary = None,
) -> None:
    """查词：完全、别名、前缀、包含、近似。Look terms up."""
    from tcmstruct.recipes.vocabulary import print_hits, read_terms, search

    print_hits(terms, search(terms, read_terms(vocabulary), kind=kind, limit=limit), json_out)


@vocab.command("stats")
def vocab_stats(
    records: Annotated[list[Path] | None, typer.Option(
        "--records", metavar="FILE", help="病历文件，可重复：统计覆盖率。Coverage of these records; repeatable.")] = None,
    map: Mapping = None,
    encoding: Encoding = None,
    json_out: Annotated[bool, typer.Option("--json", help="输出 JSON。Print JSON.")] = False,
    vocabulary: Vocabulary = None,
) -> None:
    """统计术语表，及其对病历的覆盖。What the tables hold, and how much of records they cover."""
    from tcmstruct.recipes.vocabulary import print_stats, read_terms, stats

    print_stats(stats(read_terms(vocabulary), records or (), mapping=map or (), encoding=encoding), json_out)


@vocab.command("mine")
def vocab_mine(
    inputs: Annotated[list[Path], typer.Argument(metavar="FILE…", help="CSV、TSV、XLSX、JSONL，或每行一份的 TXT。")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="F.csv", help="候选词表。Proposals.")],
    map: Mapping = None,
    encoding: Encoding = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, help="最多候选数。Most proposals.")] = 2000,
    min_count: Annotated[int, typer.Option("--min-count", min=2, help="最少出现次数。Least occurrences.")] = 5,
    min_records: Annotated[int, typer.Option("--min-records", min=1, help="最少病历份数。Least records.")] = 3,
    examples: Annotated[bool, typer.Option(
        "--examples", help="附短语境（含病历文字，敏感）。Add short contexts: RECORD TEXT, sensitive.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="替换已有的 F.csv。Replace F.csv.")] = False,
    vocabulary: Vocabulary = None,
) -> None:
    """从病历中挖掘新词，供人取舍。Propose new terms from records, for a person to accept."""
    from tcmstruct.recipes.mining import mine
    from tcmstruct.recipes.vocabulary import read_terms

    rejected = mine(inputs, out, read_terms(vocabulary), mapping=map or (), encoding=encoding, limit=limit,
                    min_count=min_count, min_records=min_records, examples=examples, fresh=fresh)
    raise typer.Exit(3 if rejected else 0)


@vocab.command("build")
def vocab_build(
    accept: Annotated[list[Path] | None, typer.Option(
        "--accept", metavar="F.csv", help="已取舍的候选词表，可重复。Proposals with answers; repeatable.")] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", metavar="DIR", help="新术语表的文件夹。Folder to make.")] = None,
    check: Annotated[bool, typer.Option("--check", help="只检查术语表。Only check the tables.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="替换 DIR 中已有的。Replace what DIR holds.")] = False,
    vocabulary: Vocabulary = None,
) -> None:
    """把采纳的新词并入术语表。Merge accepted terms with the tables."""
    from tcmstruct.recipes.vocabulary import build_vocabulary, check_vocabulary

    if check:
        check_vocabulary(vocabulary)
        if not accept and out is None:
            return
    added = build_vocabulary(accept or (), out, vocabulary=vocabulary, fresh=fresh)
    told = ", ".join(f"{kind} {n:,}" for kind, n in added.items()) or "none"
    print(f"terms added: {told}" + ("" if out else " (nothing written: no -o DIR)"), file=sys.stderr)


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
    _print(as_text(found))
    raise typer.Exit(3 if found.counts else 0)


def _print(text: str) -> None:
    """Data on stdout, in UTF-8 whatever the terminal's own encoding."""
    sys.stdout.buffer.write(text.encode("utf-8", "replace") + b"\n")
    sys.stdout.buffer.flush()


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


if __name__ == "__main__":
    main()

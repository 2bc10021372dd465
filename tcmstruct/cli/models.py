"""The machine and the models on it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import Model, app, print_data


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

        print_data(str(measure(model)))
        return
    findings = run(model)
    print_data("\n".join(map(str, findings)))
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

        print_data(str(run_tables(run, data, weights, tongue_run, fusion_run, tables.split(","), seeds, plans)))


@app.command()
def version() -> None:
    """显示版本。Show the version."""
    from tcmstruct.batch.run import tool_version

    print_data(tool_version())


@app.command()
def bundle(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="F.zip", help="要写出的离线安装包。Zip to write.")],
    extra: Annotated[list[str] | None, typer.Option(
        "--extra", metavar="NAME", help="一并打包的扩展，如 serve，可重复。Extra to pack as well; repeatable.")] = None,
    python: Annotated[str | None, typer.Option("--python", metavar="3.x", help="目标机器的 Python；缺省同本机。Python over there.")] = None,
    platform: Annotated[str | None, typer.Option(
        "--platform", metavar="TAG", help="目标平台，如 manylinux_2_28_x86_64、win_amd64；缺省同本机。Platform over there.")] = None,
    model: Model = None,
    source: Annotated[str | None, typer.Option(
        "--source", metavar="DIR|WHL", help="本程序的源码或 wheel；缺省为安装来源。This program; found by itself.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="替换已有的 F.zip。Replace F.zip.")] = False,
) -> None:
    """打包离线安装包（只有本命令需要互联网）。All that a machine without internet needs; this command needs it."""
    from tcmstruct.recipes.bundle import bundle as run
    from tcmstruct.recipes.bundle import tell

    tell(run(out, extras=extra or (), python=python, platform=platform, source=source, model=model, fresh=fresh))

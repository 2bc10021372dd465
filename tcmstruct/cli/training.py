"""A hospital's own model: which records to label, and what is learnt from labels or from records without them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import Encoding, Identified, Mapping, Model, app
from tcmstruct.errors import UsageError

OutModel = Annotated[Path, typer.Option("-o", "--out", metavar="MODELDIR", help="要写出的模型文件夹。Model folder to write.")]
HeldOut = Annotated[Path | None, typer.Option(
    "--heldout", metavar="FILE", help="用于评判的金标准，不参与训练。Gold records that judge, never learnt from.")]
Passes = Annotated[int, typer.Option("--epochs", min=1, metavar="N", help="最多训练遍数。Most passes over the data.")]
Rate = Annotated[float, typer.Option("--rate", min=0.0, metavar="X", help="编码器的学习率。Learning rate of the encoder.")]
Seed = Annotated[int, typer.Option("--seed", help="划分与训练的随机种子。Of the split and of the training.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, metavar="N", help="线程数；缺省为全部核。Threads; all cores.")]
Replace = Annotated[bool, typer.Option("--replace", help="胜过 MODELDIR 中现有的模型才替换它。Replace MODELDIR's model if it is beaten.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="不续做未完成的训练，重新开始。Forget an unfinished run.")]


@app.command()
def train(
    labels: Annotated[list[Path], typer.Argument(
        metavar="LABELS…", help="标注：review export 的 JSONL，或 annotation 支持的格式。Labelled records, any annotation format.")],
    out: OutModel,
    heldout: HeldOut = None,
    types: Annotated[str, typer.Option(
        "--labels", metavar="LIST", help="只训练这些类型，如 舌象,脉象；缺省为文件所标的。Types to train; those of the files.")] = "",
    model: Model = None,
    beside: Annotated[list[Path] | None, typer.Option(
        "--beside", metavar="RECORDS", help="无标注病历，防遗忘，可重复。Records that guard against forgetting; repeatable.")] = None,
    from_: Annotated[str | None, typer.Option("--from", metavar="FMT", help="标注格式；缺省自动识别。Format of the labels.")] = None,
    epochs: Passes = 10,
    rate: Rate = 1e-3,
    seed: Seed = 0,
    threads: Threads = None,
    replace: Replace = False,
    fresh: Fresh = False,
) -> None:
    """用本院标注训练自己的模型；胜过现用模型才写出，可中断续做。An own model from own labels, written if it is better."""
    from tcmstruct.recipes.extras import needs

    with needs("train", "train"):
        from tcmstruct.recipes.train import train as run
        from tcmstruct.training.own import OwnConfig

        run(labels, out, heldout=heldout, types=[name for name in (part.strip() for part in types.replace("，", ",").split(",")) if name],
            model=model, beside=beside or (), from_=from_, config=OwnConfig(passes=epochs, rate=rate, seed=seed), replace_out=replace,
            fresh=fresh, threads=threads)
    print(f"model written to {out}: tcmstruct convert … --model {out}", file=sys.stderr)


@app.command()
def adapt(
    records: Annotated[list[Path], typer.Argument(
        metavar="RECORDS…", help="本院无标注病历，convert 能读的任何导出。Records without labels, as convert reads them.")],
    out: OutModel,
    heldout: HeldOut = None,
    model: Model = None,
    map: Mapping = None,
    encoding: Encoding = None,
    epochs: Passes = 6,
    rate: Rate = 2e-4,
    most: Annotated[int, typer.Option("--most", min=20, metavar="N", help="最多读取的病历数。Most records that are read.")] = 3000,
    seed: Seed = 0,
    threads: Threads = None,
    replace: Replace = False,
    fresh: Fresh = False,
    encoder: Annotated[Path | None, typer.Option(
        "--encoder", metavar="CHECKPOINT", help="继续预训练此编码器，写出检查点。Pre-train this encoder on; writes a checkpoint.")] = None,
    replay: Annotated[list[Path] | None, typer.Option(
        "--replay", metavar="RECORDS", help="与 --encoder 合用：以前学过的文字，防遗忘，可重复。Read again, against forgetting.")] = None,
    replay_share: Annotated[float, typer.Option("--replay-share", help="其所占比例。Its share of what is read.")] = 0.3,
    grow: Annotated[int, typer.Option("--grow", min=0, metavar="N", help="新字出现 N 次即入字表；0 不增。New characters get a row.")] = 3,
    characters: Annotated[int, typer.Option("--characters", min=1, metavar="N", help="训练字数。Characters to read in all.")] = 1_500_000,
) -> None:
    """用本院无标注病历让模型适应本院文字。The model gets used to a hospital's text, without labels."""
    from tcmstruct.recipes.extras import needs

    if encoder is None and replay:
        raise UsageError("--replay goes with --encoder", code="usage", hint="a model folder is held by its own readings instead")
    if encoder is not None and (heldout or model or replace):
        raise UsageError("--encoder writes a checkpoint: --heldout, --model and --replace do not go with it", code="usage")
    if encoder is not None:
        with needs("train", "adapt"):
            from tcmstruct.recipes.adapt_encoder import adapt_encoder

            adapt_encoder(records, out, encoder=encoder, replay=replay or (), replay_share=replay_share, grow=grow,
                          n_characters=characters, rate=rate, mapping=map or (), encoding=encoding, most=most, seed=seed, fresh=fresh,
                          threads=threads)
        print(f"checkpoint written to {out}: a start for distil, or for --encoder again", file=sys.stderr)
        return
    with needs("train", "adapt"):
        from tcmstruct.recipes.adapt import adapt as run
        from tcmstruct.training.own import OwnConfig

        run(records, out, heldout=heldout, model=model, mapping=map or (), encoding=encoding, most=most,
            config=OwnConfig(passes=epochs, rate=rate, seed=seed), replace_out=replace, fresh=fresh, threads=threads)
    print(f"model written to {out}: tcmstruct convert … --model {out}", file=sys.stderr)


@app.command()
def suggest(
    records: Annotated[list[Path], typer.Argument(metavar="RECORDS…", help="未标注的病历。Records that may be labelled.")],
    out: Annotated[Path, typer.Option("-o", "--out", metavar="F.csv|F.jsonl", help="建议标注的病历。Listing to write (0600).")],
    count: Annotated[int, typer.Option("--count", min=1, metavar="N", help="份数。How many.")] = 50,
    model: Model = None,
    labelled: Annotated[list[Path] | None, typer.Option(
        "--labelled", metavar="FILE", help="已标注的 JSONL，不再建议，可重复。Labelled already; repeatable.")] = None,
    with_text: Annotated[bool, typer.Option(
        "--with-text", help="附病历文字与预标注（去标识），供 annotation convert 或 serve。With texts and predictions.")] = False,
    identified: Identified = False,
    map: Mapping = None,
    encoding: Encoding = None,
    seed: Seed = 0,
) -> None:
    """挑选最值得标注的病历，并说明理由。Which records are worth labelling, and why."""
    from tcmstruct.recipes.suggest import suggest as run

    rejected = run(records, out, count=count, model=model, labelled=labelled or (), with_text=with_text, identified=identified,
                   mapping=map or (), encoding=encoding, seed=seed)
    raise typer.Exit(3 if rejected else 0)

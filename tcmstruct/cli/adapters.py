"""Adapters: a few hundred kilobytes that a hospital trains and loads beside the shipped model."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import app, print_data

adapter = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="本院适配器：训练、合并、查看。Adapters: train, fuse, look at.")
app.add_typer(adapter, name="adapter")

Base = Annotated[Path | None, typer.Option(
    "--base", metavar="DIR", help="基础模型：模型文件夹、检查点或本地 LLaMA；缺省为随附模型。The base; the shipped model.")]
Folder = Annotated[Path, typer.Argument(metavar="ADAPTER", help="适配器文件夹。Folder of an adapter.")]


@adapter.command("train")
def adapter_train(
    out: Annotated[Path, typer.Option("-o", "--out", metavar="ADAPTER", help="要写出的适配器文件夹。Folder to write.")],
    texts: Annotated[list[Path] | None, typer.Option(
        "--texts", metavar="RECORDS", help="第一步：无标注病历，可重复。Step one: records without labels; repeatable.")] = None,
    labels: Annotated[Path | None, typer.Option(
        "--labels", metavar="FILE", help="第二步：金标准 JSONL；LLaMA 为 text 与类别。Step two: gold, or text and class.")] = None,
    label_key: Annotated[str, typer.Option("--label-key", metavar="KEY", help="类别所在的键（LLaMA）。Key of the class.")] = "label",
    domain: Annotated[Path | None, typer.Option(
        "--domain", metavar="ADAPTER", help="已有的领域适配器，代替 --texts。A domain adapter in place of --texts.")] = None,
    beside: Annotated[list[Path] | None, typer.Option(
        "--beside", metavar="RECORDS", help="其他科室的无标注病历，防遗忘，可重复。Records of others, against forgetting.")] = None,
    base: Base = None,
    train_domain: Annotated[bool, typer.Option(
        "--train-domain", help="第二步也继续训练领域适配器；缺省冻结。The domain adapter goes on learning in step two.")] = False,
    rank: Annotated[int, typer.Option("--rank", min=1, max=256, help="秩。Rank of each adapter.")] = 4,
    parts: Annotated[str, typer.Option("--parts", metavar="LIST", help="attention,feed-forward")] = "attention,feed-forward",
    domain_passes: Annotated[int, typer.Option("--domain-passes", min=1, help="第一步遍数。Passes over the texts.")] = 3,
    passes: Annotated[int, typer.Option("--passes", min=1, help="第二步遍数。Passes over the labels.")] = 8,
    rate: Annotated[float, typer.Option("--rate", metavar="X", help="学习率。Learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option("--seed", help="随机种子。Seed.")] = 0,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="cpu 或 cuda。Of torch.")] = "cpu",
    fresh: Annotated[bool, typer.Option("--fresh", help="不续做未完成的训练。Forget an unfinished run.")] = False,
) -> None:
    """训练适配器（两步，可中断续做）；失败时原有的不变。Train one, in two steps; the one before stays if it fails."""
    from tcmstruct.errors import UsageError
    from tcmstruct.recipes.extras import needs

    with needs("adapt", "adapter train"):
        from tcmstruct.recipes.adapter_train import AdapterConfig, tell, train_adapter
        from tcmstruct.training.adapter_tagger import PARTS
        from tcmstruct.training.adapters import LoraShape

        chosen = tuple(part for part in (name.strip() for name in parts.replace("，", ",").split(",")) if part)
        if not chosen or not set(chosen) <= PARTS.keys():
            raise UsageError(f"allowed are {', '.join(PARTS)}", where="--parts", code="option_invalid")
        config = AdapterConfig(LoraShape(rank, 2.0 * rank), chosen, domain_passes, passes, rate, rate, train_domain, seed=seed,
                               device=device)
        tell(train_adapter(out, base=base, texts=texts or (), labels=labels, label_key=label_key, domain=domain, beside=beside or (),
                           config=config, fresh=fresh), out)


@adapter.command("fuse")
def adapter_fuse(
    folder: Folder,
    out: Annotated[Path, typer.Option("-o", "--out", metavar="DIR", help="要写出的模型文件夹。Folder of plain weights to write.")],
    base: Base = None,
) -> None:
    """把适配器并入基础模型，写出普通权重。Base plus adapter as plain weights."""
    from tcmstruct.recipes.extras import needs

    with needs("adapt", "adapter fuse"):
        from tcmstruct.recipes.adapter_fuse import fuse

        print(f"weights written to {fuse(folder, out, base)}", file=sys.stderr)


@adapter.command("info")
def adapter_info(
    folder: Folder,
    model: Annotated[Path | None, typer.Option("--model", metavar="DIR", help="是否适用于此模型。Does it fit this model?")] = None,
) -> None:
    """核对并查看适配器（JSON），不需训练环境。Check an adapter and show what it is."""
    import json

    from tcmstruct.recipes.adapter_info import adapter_facts

    print_data(json.dumps(adapter_facts(folder, model), ensure_ascii=False, indent=2))

"""The vocabulary."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from tcmstruct.cli.app import Encoding, Mapping, app

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

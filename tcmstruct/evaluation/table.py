"""The figures as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group
from rich.table import Table
from rich.text import Text

from tcmstruct.evaluation import wording
from tcmstruct.evaluation.results import Estimate, EvaluationResult, Score
from tcmstruct.evaluation.wording import interval, number


def as_tables(result: EvaluationResult) -> Group:
    """All figures of a result; print it with a `rich.console.Console` on stdout."""
    parts: list[Table | Text] = [Text(_headline(result))]
    if result.entities:
        parts.append(_scores("实体 Entities", [(wording.SCHEMES[name], s) for name, s in result.entities.items()]))
        parts.append(_scores("各类实体 By type (严格 strict)",
                             [(name, schemes["strict"]) for name, schemes in result.by_type.items()]))
    if result.status:
        accuracy = result.status.accuracy
        parts.append(Text(f"状态正确率 Status accuracy {number(accuracy.value)} ({interval(accuracy)}), "
                          f"类型与边界皆对者 of mentions with the right type and offsets, n = {result.status.n}"))
        parts.append(_confusion(result))
    if result.mentions:
        parts.append(_scores("按训练中出现次数 By occurrence in training (严格 strict)",
                             [(wording.MENTIONS[name], s) for name, s in result.mentions.items()]))
    if result.fields:
        parts.append(_fields(result))
    parts += [_groups(dimension, result) for dimension in shown_dimensions(result)]
    if result.calibration:
        parts.append(_confidence(result))
    if result.review:
        r = result.review
        parts.append(Text(f"复核 Review: 免复核 coverage {number(r.coverage)}, 其中正确 precision "
                          f"{number(r.precision_accepted)}, 需复核者正确 precision of flagged "
                          f"{number(r.precision_flagged)}, 查出错误 errors caught {number(r.errors_caught)}"))
    if result.differences:
        parts.append(_differences(result))
    if result.error_counts:
        table = _table("错误 Errors", "种类 kind", "数 n")
        for kind, count in result.error_counts.items():
            table.add_row(wording.ERRORS[kind], str(count))
        parts.append(table)
    parts += [Text(f"注 note: {note}") for note in result.notes]
    return Group(*parts)


def shown_dimensions(result: EvaluationResult) -> list[str]:
    """Dimensions worth a table: those with more than one group; `source` only where no `style` says the same."""
    return [name for name, groups in result.groups.items()
            if len(groups) > 1 and not (name == "source" and "style" in result.groups)]


def _headline(result: EvaluationResult) -> str:
    boot = result.settings["n_boot"]
    intervals = f"95 % 区间：按病历重抽样 {boot} 次 (document bootstrap)" if boot else "无区间 no intervals"
    return f"{result.n_records} 份病历 records · {result.n_missing} 份无预测 without prediction · {intervals}"


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column.replace(" ", "\n", 1), justify="right", no_wrap=True)
    return table


def _scores(title: str, rows: Iterable[tuple[str, Score]]) -> Table:
    table = _table(title, "", "P", "R", "F1", "95%", "金标准 gold", "预测 pred")
    for name, score in rows:
        table.add_row(name, *_cells(score))
    return table


def _cells(score: Score) -> list[str]:
    return [number(score.precision.value), number(score.recall.value), number(score.f1.value), interval(score.f1),
            str(score.n_gold), str(score.n_pred)]


def _confusion(result: EvaluationResult) -> Table:
    status = result.status
    predicted = sorted({pred for row in status.confusion.values() for pred in row})
    table = _table("状态 Status", "金标准 gold ↓ 预测 pred →", *[name or "–" for name in predicted])
    for gold, row in status.confusion.items():
        table.add_row(gold, *[str(row.get(name, 0)) for name in predicted])
    return table


def _fields(result: EvaluationResult) -> Table:
    fields = result.fields
    table = _table("字段 Fields", "", "P", "R", "F1", "95%", "金标准 gold", "预测 pred", "证据 evidence")
    table.add_row("全部 all (微平均 micro)", *_cells(fields.micro), number(fields.evidence_overlap.value))
    table.add_row(f"宏平均 macro ({fields.macro_fields} 个字段, 各 ≥ {fields.macro_min_gold})", "", "",
                  number(fields.macro_f1.value), interval(fields.macro_f1), "", "", "", end_section=True)
    for name, score in fields.by_field.items():
        table.add_row(name, *_cells(score), number(fields.evidence_by_field[name].value))
    return table


def _groups(dimension: str, result: EvaluationResult) -> Table:
    table = _table(wording.DIMENSIONS[dimension], "", "病历 records", "实体严格 strict F1", "95%", "状态 status",
                   "字段微平均 micro F1", "95%", "宏平均 macro F1")
    for name, group in result.groups[dimension].items():
        strict = group.entities["strict"].f1 if group.entities else None
        micro = group.fields.f1 if group.fields else None
        table.add_row(wording.STYLES.get(name, name), str(group.n_records), _value(strict), interval(strict),
                      _value(group.status_accuracy), _value(micro), interval(micro), _value(group.macro_f1))
    return table


def _value(estimate: Estimate | None) -> str:
    return number(estimate.value if estimate else None)


def _confidence(result: EvaluationResult) -> Table:
    table = _table("置信度 Confidence", "", "n", "ECE", "Brier", "平均置信度 mean", "正确率 accuracy")
    for name, c in result.calibration.items():
        table.add_row(wording.CONFIDENCES[name], str(c.n), number(c.ece), number(c.brier), number(c.confidence),
                      number(c.accuracy))
    return table


def _differences(result: EvaluationResult) -> Table:
    table = _table("两系统之差 Paired difference", "", "本系统 pred", "对照 against", "差 difference", "95%", "p")
    for name, d in result.differences.items():
        delta = "–" if d.difference.value is None else f"{d.difference.value:+.3f}"
        table.add_row(wording.FIGURES[name], number(d.pred), number(d.against), delta,
                      interval(d.difference, signed=True), number(d.p))
    return table

"""`report.html` of a training: how it learnt, before and after by type, and why the new model was taken or refused. No record text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tcmstruct.report.page import render, write_private
from tcmstruct.report.shown import plain

SCORES: dict[str, tuple[str, str]] = {"train": ("调参病历上的 F1", "F1 on the tuning records"),
                                     "adapt": ("遮盖字损失之差", "loss of masked words, current model's minus the new one's")}
"""Command → what early stopping looked at."""
_WIDTH, _HEIGHT, _LEFT, _FOOT = 560, 190, 58, 28


def write_training_page(path: Path, figures: Mapping[str, Any]) -> Path:
    """Writes the page (0600).

    Args:
        figures: what `figures.json` of the run holds; names of files, types and numbers.
    """
    passes = figures["passes"]
    compared = figures["compared"]
    curves = [(zh, en, curve([p[key] for p in passes], f"{zh} {en}", start=figures["start_score"] if key == "score" else None))
              for key, zh, en in (("loss", "训练损失", "training loss"), ("score", *SCORES[figures["command"]]))
              if passes and key in passes[0]]
    page = render("training.html", ("base.css", "report.css", "training.css"), (), {
        "title": f"训练报告 {plain(str(figures['model']))}", "figures": figures, "compared": compared, "curves": curves,
        "lines": _lines(compared) if compared and compared.get("new") else [], "checks": compared["checks"] if compared else [],
        "gate": [(k, v) for k, v in compared["gate"].items() if isinstance(v, dict)] if compared else [],
        "accepted": bool(compared and compared["better"]), "records": figures["records"]})
    return write_private(path, page)


def curve(values: Sequence[float], label: str, start: float | None = None) -> Markup:
    """A figure by pass, as a line with a point a pass.

    Args:
        values: one a pass.
        label: what is drawn, for screen readers.
        start: the start model's figure, drawn as a level.
    """
    every = [*values, *([] if start is None else [start])]
    low, high = min(every), max(every)
    span = (high - low) or max(abs(high), 1e-6)
    low, high = low - 0.05 * span, high + 0.05 * span
    plot_w, plot_h = _WIDTH - _LEFT - 12, _HEIGHT - _FOOT - 12

    def x(n: int) -> float:
        return _LEFT + plot_w * (n - 1) / max(1, len(values) - 1)

    def y(value: float) -> float:
        return 12 + plot_h * (high - value) / (high - low)

    out = [Markup('<svg class="hist" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        _WIDTH, _HEIGHT, plain(f"{label}: {values[0]:.4f} → {values[-1]:.4f}, {min(values):.4f}–{max(values):.4f}"))]
    for value in (low + 0.05 * span, high - 0.05 * span):
        level = '<line class="grid" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"/><text class="num" x="{3}" y="{4:.1f}">{5}</text>'
        out.append(Markup(level).format(_LEFT, _WIDTH - 12, y(value), _LEFT - 6, y(value) + 4, f"{value:.3g}"))
    if start is not None:
        out.append(Markup('<line class="start" x1="{0}" x2="{1}" y1="{2:.1f}" y2="{2:.1f}"><title>{3}</title></line>').format(
            _LEFT, _WIDTH - 12, y(start), f"现用模型 current model {start:.4f}"))
    out.append(Markup('<polyline class="curve" points="{}"/>').format(" ".join(f"{x(n):.1f},{y(v):.1f}" for n, v in enumerate(values, 1))))
    for n, value in enumerate(values, 1):
        out.append(Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title></circle>').format(
            x(n), y(value), f"第 {n} 遍 pass {n}: {value:.4f}"))
        if n in (1, len(values)) or len(values) <= 12:
            out.append(Markup('<text class="tick" x="{:.1f}" y="{}">{}</text>').format(x(n), _HEIGHT - 8, n))
    return Markup("").join((*out, Markup("</svg>")))


def intervals(before: Mapping[str, Any], after: Mapping[str, Any], label: str) -> Markup:
    """Two figures in [0, 1] with their intervals, one above the other."""
    out = [Markup('<svg class="pairs" viewBox="0 0 240 26" role="img" aria-label="{}">'
                  '<line class="grid" x1="0" x2="240" y1="25" y2="25"/>').format(plain(f"{label}: {told(before)} → {told(after)}"))]
    for css, y, one in (("was", 8, before), ("now", 18, after)):
        if one["value"] is None:
            continue
        low, high = (one["value"] if one[k] is None else one[k] for k in ("low", "high"))
        out.append(Markup('<line class="{0}" x1="{1:.1f}" x2="{2:.1f}" y1="{3}" y2="{3}"/><circle class="{0}" cx="{4:.1f}" cy="{3}" r="4">'
                          '<title>{5}</title></circle>').format(css, 240 * low, 240 * high, y, 240 * one["value"], told(one)))
    return Markup("").join((*out, Markup("</svg>")))


def told(one: Mapping[str, Any]) -> str:
    """0.912 (0.901–0.923); – where there is nothing to say."""
    if one["value"] is None:
        return "–"
    return f"{one['value']:.3f}" + (f" ({one['low']:.3f}–{one['high']:.3f})" if one["low"] is not None else "")


def _lines(compared: Mapping[str, Any]) -> list[tuple[str, str, int, str, str, Markup]]:
    """(Chinese, English, gold count, before, after, drawing) of every figure that both have."""
    new, old = compared["new"], compared["current"]
    rows = [("全部 严格", "all mentions, strict", new["entities"]["strict"]["n_gold"], old["entities"]["strict"]["f1"],
             new["entities"]["strict"]["f1"])] if new["entities"] else []
    rows += [(name, "", one["strict"]["n_gold"], old["by_type"].get(name, one)["strict"]["f1"], one["strict"]["f1"])
             for name, one in new["by_type"].items()]
    if new["status"] and old["status"]:
        rows.append(("状态正确率", "status accuracy", new["status"]["n"], old["status"]["accuracy"], new["status"]["accuracy"]))
    if new["fields"] and old["fields"]:
        was, now = old["fields"]["micro"], new["fields"]["micro"]
        rows.append(("字段 微平均", "fields, micro", now["n_gold"], was["f1"], now["f1"]))
    return [(zh, en, n, told(was), told(now), intervals(was, now, f"{zh} {en}")) for zh, en, n, was, now in rows]

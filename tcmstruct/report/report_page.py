"""`report.html`: what a batch holds, how far it can be trusted, what was rejected and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tcmstruct.labels import STATUSES
from tcmstruct.report.charts import histogram, percent, stacked
from tcmstruct.report.page import render, write_private
from tcmstruct.report.palette import STATUS_EN
from tcmstruct.report.reading import Reading, read
from tcmstruct.report.source import Output, open_output
from tcmstruct.report.tally import FieldTally, RejectTally, Tally, count
from tcmstruct.report.veil import Veil
from tcmstruct.report.view_page import flatten, legend_of, provenance

N_TOP = 8
"""Values of a field that the report shows."""
_NAME = "姓名"
"""Cue beside which file names are read: some hospitals name a file by its patient."""
SAMPLE_CHARACTERS = 400_000
"""Text of the sample on the page, all records together; records that would pass it are left out of the sample."""


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field in the table of coverage."""

    name: str
    tally: FieldTally
    bar: Markup
    spark: Markup
    top: list[tuple[str, int]]
    rest: int


def write_report(out_dir: Path, *, n_sample: int = 50, seed: int = 0, identified: bool = False) -> Path:
    """Writes `report.html` beside `records.jsonl` (mode 0600, replaced as a whole).

    One pass over the records with counters of bounded size and a bounded sample, so memory does not grow with their
    number. Where the records carry no text, the page shows neither evidence nor mentions.

    Args:
        out_dir: folder of `convert`; `rejects.jsonl` and `manifest.json` may be missing.
        n_sample: records shown, four fifths by lowest confidence, the rest drawn at random.
        seed: of the draw.
        identified: show names, numbers and dates as they are; otherwise they are replaced (docs/privacy.md) and the page says so.

    Returns:
        The page's path.

    Raises:
        InputRefused: `records.jsonl` is missing or a line of it is not a JSON object.
    """
    output = open_output(Path(out_dir))
    n_any = n_sample // 5
    tally = count(output.lines(), Tally(n_sample_low=n_sample - n_any, n_sample_any=n_any, seed=seed))
    rejects = RejectTally()
    for reject in output.reject_lines():
        rejects.add(reject)
    veil = Veil(identified)
    readings, skipped = _sample(output, tally, veil)
    page = render("report.html", ("base.css", "report.css"), ("link.js", "report.js"), {
        "title": "转换报告 · tcmstruct report", "tally": tally, "rejects": rejects,
        "n_in": tally.records + rejects.n, "n_ok": tally.records - tally.warned,
        "told": _disagreement(output.manifest, tally, rejects),
        "outcome": stacked((("正常 ok", tally.records - tally.warned, "yes"), ("有警告 warned", tally.warned, "warned"),
                            ("被拒 rejected", rejects.n, "badfill")), "记录去向 outcome of the records"),
        "trust": stacked((("达到阈值 above the threshold", tally.values - tally.review, "yes"),
                          ("需复核 to review", tally.review, "warned")), "字段值 field values"),
        "photos_refused": [(code.removeprefix("image_"), n) for code, n in tally.warnings.top() if code.startswith("image_")],
        "groups": _field_groups(output, tally, veil), "unseen": _unseen(output, tally),
        "value_hist": histogram(tally.confidence.bins, "字段值置信度 confidence of field values", axis=True),
        "mention_hist": histogram(tally.mention_confidence.bins, "标注置信度 confidence of mentions", axis=True),
        "contested": [(veil.id(id), *rest) for id, *rest in tally.contested],
        "places": {code: [veil.beside(_NAME, place) for place in places] for code, places in rejects.places.items()},
        "depts": [(veil.beside("科室", name), dept) for name, dept in sorted(tally.depts.items(), key=lambda kv: (-kv[1].records, kv[0]))],
        "readings": readings, "skipped": skipped, "families": legend_of({t for r in readings for t in r.types}),
        "statuses": [(s, STATUS_EN[s]) for s in STATUSES], "threshold": _threshold(output.manifest),
        "inputs": [(name, veil.beside(_NAME, value)) for name, value in _inputs(output.manifest)],
        "provenance": _provenance(output.manifest, tally), "identified": identified,
    })
    return write_private(Path(out_dir) / "report.html", page)


def _sample(output: Output, tally: Tally, veil: Veil) -> tuple[list[Reading], int]:
    """Readings of the sample and how many were left out for their length."""
    groups, readings, budget, skipped = output.groups(), [], SAMPLE_CHARACTERS, 0
    for row, data in tally.sample():
        size = len(data.get("text") or "")
        if size > budget:
            skipped += 1
            continue
        budget -= size
        readings.append(read(data, row, groups, f"{output.records}:{row}", with_text=tally.has_text, veil=veil))
    return readings, skipped


def _field_groups(output: Output, tally: Tally, veil: Veil) -> list[tuple[str, list[FieldLine]]]:
    """Fields that were seen, by schema pack where the manifest names them, most covered first where it does not."""
    used: set[str] = set()
    out = []
    for pack, names in output.groups().items():
        mine = [name for name in names if name in tally.fields and name not in used]
        used.update(mine)
        if mine:
            out.append((pack, [_field_line(name, tally, veil) for name in mine]))
    rest = sorted((name for name in tally.fields if name not in used), key=lambda name: (-tally.fields[name].n, name))
    if rest:
        out.append(("", [_field_line(name, tally, veil) for name in rest]))
    return out


def _field_line(name: str, tally: Tally, veil: Veil) -> FieldLine:
    field = tally.fields[name]
    absent = ("未提及 not mentioned", tally.records - field.n, "absent")
    if field.yes_no:
        counts = field.values.counts
        parts: Iterable = (("有 present", counts["有"], "yes"), ("无 negated", counts["无"], "no"), absent)
    else:
        parts = (("有值 with a value", field.n, "yes"), absent)
    return FieldLine(name, field, stacked(tuple(parts), name), histogram(field.confidence.bins, f"{name} 置信度 confidence"),
                     [(veil.beside(name, value), n) for value, n in field.values.top(N_TOP)], field.values.rest(N_TOP))


def _unseen(output: Output, tally: Tally) -> list[str]:
    return list(dict.fromkeys(n for names in output.groups().values() for n in names if n not in tally.fields))


def _disagreement(manifest: Mapping[str, Any], tally: Tally, rejects: RejectTally) -> list[tuple[str, int, int]]:
    """(name, manifest, files) of every count on which the manifest and the files differ."""
    told = manifest.get("counts")
    if not isinstance(told, Mapping):
        return []
    seen = {"in": tally.records + rejects.n, "ok": tally.records - tally.warned, "warned": tally.warned, "rejected": rejects.n}
    return [(name, told[name], n) for name, n in seen.items() if isinstance(told.get(name), int) and told[name] != n]


def _threshold(manifest: Mapping[str, Any]) -> str | None:
    value = manifest.get("review_threshold")
    return f"{value:.2f}" if isinstance(value, int | float) else None


def _inputs(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [pair for key, name in (("inputs", "输入 input"), ("encoding", "编码 encoding"))
            for pair in flatten(name, manifest.get(key))]


def _provenance(manifest: Mapping[str, Any], tally: Tally) -> list[tuple[str, str]]:
    """The manifest's fingerprints; those that the records themselves carry where it has none."""
    rows = provenance(manifest)
    for key, name, counter in (("model", "模型 model", tally.models), ("schema", "字段表 schema", tally.schemas)):
        if not manifest.get(key):
            rows += [(name, f"{value} ({percent(n, tally.records)})") for value, n in counter.top(5)]
    return rows

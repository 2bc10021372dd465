"""`report.html`: what a batch holds, how far it can be trusted, what was rejected and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcmstruct.labels import STATUSES
from tcmstruct.report.cells import Cell, Cells, percent, share
from tcmstruct.report.charts import stacked
from tcmstruct.report.field_table import field_lines, packs_of
from tcmstruct.report.figures import Figure, parts_of
from tcmstruct.report.page import render, write_private
from tcmstruct.report.palette import STATUS_EN
from tcmstruct.report.reading import Reading, read
from tcmstruct.report.source import Output, open_output
from tcmstruct.report.tally import DeptTally, RejectTally, Tally, count
from tcmstruct.report.veil import Veil
from tcmstruct.report.view_page import flatten, legend_of, provenance

_NAME = "姓名"
"""Cue beside which file names are read: some hospitals name a file by its patient."""
_OWN_WORDS = frozenset(("format", "encoding", "encoding_reason", "delimiter", "bytes", "sha256", "blank_rows"))
"""What the program itself says of an input."""
SAMPLE_CHARACTERS = 400_000
"""Text of the sample on the page, all records together; records that would pass it are left out of the sample."""


@dataclass(frozen=True, slots=True)
class Report:
    """A report: the page, and its figures, which can be files too."""

    html: str
    figures: list[Figure]


def write_report(out_dir: Path, *, n_sample: int = 50, seed: int = 0, identified: bool = False) -> Path:
    """Writes `report.html` beside `records.jsonl` (mode 0600, replaced as a whole); the arguments are those of `make_report`.

    Returns:
        The page's path.
    """
    return write_private(Path(out_dir) / "report.html", make_report(out_dir, n_sample=n_sample, seed=seed, identified=identified).html)


def make_report(out_dir: Path, *, n_sample: int = 50, seed: int = 0, identified: bool = False) -> Report:
    """Makes the report of an output.

    One pass over the records with counters of bounded size and a bounded sample, so memory does not grow with their
    number. Where the records carry no text, the page shows neither evidence nor mentions.

    Args:
        out_dir: folder of `convert`; `rejects.jsonl` and `manifest.json` may be missing.
        n_sample: records shown, four fifths by lowest confidence, the rest drawn at random; with 0 the page shows none, and no
            single conflict of photo and text either.
        seed: of the draw.
        identified: show names, numbers and dates as they are, and small counts; otherwise names are replaced (docs/privacy.md),
            counts of under five are withheld (`cells`), and the page says so.

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
    packs, threshold = packs_of(output.groups(), tally), _threshold(output.manifest)
    parts = parts_of(tally, packs, threshold, veil)
    page = render("report.html", ("base.css", "report.css", "figures.css"), ("link.js", "report.js", "figures.js"), {
        "title": "转换报告 · tcmstruct report", "tally": tally, "rejects": rejects,
        "n_in": tally.records + rejects.n, "n_ok": tally.records - tally.warned,
        "told": _disagreement(output.manifest, tally, rejects),
        "outcome": stacked((("正常 ok", Cell(tally.records - tally.warned), "yes"), ("有警告 warned", Cell(tally.warned), "warned"),
                            ("被拒 rejected", Cell(rejects.n), "badfill")), "记录去向 outcome of the records"),
        "trust": stacked((("达到阈值 above the threshold", Cell(tally.values - tally.review), "yes"),
                          ("需复核 to review", Cell(tally.review), "warned")), "字段值 field values"),
        "photos_refused": [(code.removeprefix("image_"), n) for code, n in tally.warnings.top() if code.startswith("image_")],
        "groups": field_lines(packs, tally, veil), "unseen": _unseen(output, tally), "parts": parts,
        "contested": [(veil.id(id), *rest) for id, *rest in tally.contested] if n_sample else [],
        "places": {code: [veil.beside(_NAME, place) for place in places] for code, places in rejects.places.items()},
        "depts": _depts(tally, veil), "n_sample": n_sample,
        "readings": readings, "skipped": skipped, "families": legend_of({t for r in readings for t in r.types}),
        "statuses": [(s, STATUS_EN[s]) for s in STATUSES], "threshold": threshold,
        "inputs": [(name, value if name.rsplit(" · ", 1)[-1] in _OWN_WORDS else veil.beside(_NAME, value))
                   for name, value in _inputs(output.manifest)],
        "provenance": _provenance(output.manifest, tally), "identified": identified,
    }, pictures=True)  # the script draws a figure as a picture to save it as PNG
    return Report(page, [figure for part in parts.values() for figure in part.figures])


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


def _depts(tally: Tally, veil: Veil) -> list[tuple[str, ...]]:
    """(department, records, share, values a record, to review, warned) as they are shown; of a small one no more than that it is."""
    cells = Cells(veil.identified)
    out = []
    for name, dept in sorted(tally.depts.items(), key=lambda kv: (-kv[1].records, kv[0])):
        size = cells.one(dept.records)
        rest = ("–",) * 4 if size.small else _rates(dept, tally.records, cells)
        out.append((veil.beside("科室", name), size.text, *rest))
    return out


def _rates(dept: DeptTally, records: int, cells: Cells) -> tuple[str, ...]:
    return (percent(dept.records, records), f"{share(dept.values, dept.records):.1f}", percent(dept.review, dept.values),
            cells.one(dept.warned).text)


def _unseen(output: Output, tally: Tally) -> list[str]:
    return list(dict.fromkeys(n for names in output.groups().values() for n in names if n not in tally.fields))


def _disagreement(manifest: Mapping[str, Any], tally: Tally, rejects: RejectTally) -> list[tuple[str, int, int]]:
    """(name, manifest, files) of every count on which the manifest and the files differ."""
    told = manifest.get("counts")
    if not isinstance(told, Mapping):
        return []
    seen = {"in": tally.records + rejects.n, "ok": tally.records - tally.warned, "warned": tally.warned, "rejected": rejects.n}
    return [(name, told[name], n) for name, n in seen.items() if isinstance(told.get(name), int) and told[name] != n]


def _threshold(manifest: Mapping[str, Any]) -> float | None:
    value = manifest.get("review_threshold")
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 else None


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

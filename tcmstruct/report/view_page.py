"""The reader's page: records beside their fields, every value linked with its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from tcmstruct.errors import UsageError
from tcmstruct.labels import STATUSES
from tcmstruct.report.page import render, write_private
from tcmstruct.report.palette import COARSE, FAMILIES, STATUS_EN, TYPE_EN
from tcmstruct.report.photo_panel import Photos
from tcmstruct.report.reading import Reading, read
from tcmstruct.report.source import Output, open_output
from tcmstruct.report.veil import Veil


def write_view(out: Path, html: Path, limit: int = 200, ids: Sequence[str] | None = None,
               photos: Photos | None = None, *, identified: bool = False) -> Path:
    """Writes the reader's page of some records of an output.

    Reads no further than it needs: the first `limit` records, or until every one of `ids` is found.

    Args:
        out: folder of `convert`, a `records.jsonl`, or a JSON file with one StructuredRecord.
        html: page to write (mode 0600, replaced as a whole).
        limit: most records on the page.
        ids: only these records, in file order.
        photos: gives a record's photograph (`photo.PhotoShown`), None for a record that has none; where it raises
            `ImageRefused` the page says why. None shows no photographs. A photograph is shown as it is.
        identified: show names, numbers and dates as they are; otherwise they are replaced (docs/privacy.md) and the page says so.

    Returns:
        `html`.

    Raises:
        UsageError: `limit` is below 1, or an id of `ids` is not there.
        InputRefused: `out` cannot be read as records.
    """
    if limit < 1:
        raise UsageError(f"limit is {limit}, allowed is 1 or more", hint="leave --limit out for 200")
    output = open_output(Path(out))
    veil = Veil(identified)
    readings = _readings(output, limit, ids, photos, veil)
    styles, scripts = ("base.css", "view.css"), ("link.js", "view.js")
    if pictures := any(r.photo is not None for r in readings):
        styles, scripts = (*styles, "photo.css"), (*scripts, "photo.js")
    return write_private(Path(html), render("view.html", styles, scripts, {
        "title": "病历结构化结果 · tcmstruct view", "readings": readings, "total": _total(output.manifest, ids),
        "families": legend_of({t for r in readings for t in r.types}), "statuses": [(s, STATUS_EN[s]) for s in STATUSES],
        "provenance": provenance(output.manifest), "identified": identified,
    }, pictures))


def _readings(output: Output, limit: int, ids: Sequence[str] | None, photos: Photos | None, veil: Veil) -> list[Reading]:
    groups = output.groups()
    lines = output.lines()
    if ids is None:
        return [read(data, row, groups, f"{output.records}:{row}", photos=photos, veil=veil) for row, _, data in islice(lines, limit)]
    wanted, found = set(ids), []
    if len(wanted) > limit:
        raise UsageError(f"{len(wanted)} ids asked for, the limit is {limit}", hint="raise --limit or name fewer ids")
    for row, _, data in lines:
        if data.get("id") in wanted:
            wanted.discard(data["id"])
            found.append(read(data, row, groups, f"{output.records}:{row}", photos=photos, veil=veil))
            if not wanted:
                return found
    missing = sorted(map(str, wanted))
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    raise UsageError(f"no record has the id {', '.join(missing[:5])}{more}", where=str(output.records), code="id_not_found",
                     hint="ids are compared exactly; look them up in records.jsonl")


def _total(manifest: Mapping[str, Any], ids: Sequence[str] | None) -> int | None:
    """Records in the file as far as the manifest says; the file is not read through for it."""
    counts = manifest.get("counts")
    if ids is not None or not isinstance(counts, Mapping):
        return None
    told = [counts.get(name) for name in ("ok", "warned")]
    return sum(told) if all(isinstance(n, int) for n in told) else None


def legend_of(types: set[str]) -> list[dict[str, Any]]:
    """Families with those of their types that occur, coarse names of gold files beside the type whose look they borrow."""
    borrowed = {coarse: fine for coarse, fine in COARSE.items() if coarse in types}
    out = []
    for family in FAMILIES:
        names = [(name, TYPE_EN[name]) for name in family.types if name in types]
        names += [(coarse, "coarse type") for coarse, fine in borrowed.items() if fine in family.types]
        if names:
            out.append({"zh": family.zh, "en": family.en, "types": names})
    known = {name for family in FAMILIES for name in family.types} | COARSE.keys()
    if unknown := sorted(types - known):
        out.append({"zh": "其他类型", "en": "other types", "types": [(name, "") for name in unknown]})
    return out


def provenance(manifest: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Model, schema and version as (name, value) pairs, nested entries flattened."""
    return [pair for key, name in (("version", "tcmstruct"), ("model", "模型 model"), ("schema", "字段表 schema"))
            for pair in flatten(name, manifest.get(key))]


def flatten(name: str, value: Any) -> list[tuple[str, str]]:
    """A manifest entry as (name, value) rows, whatever its shape; empty entries give none."""
    if value is None or value in ("", [], {}):
        return []
    if isinstance(value, Mapping):
        return [pair for key, inner in value.items() for pair in flatten(f"{name} · {key}", inner)]
    if isinstance(value, list | tuple):
        if any(isinstance(one, Mapping | list) for one in value):
            return [pair for i, one in enumerate(value, 1) for pair in flatten(f"{name} {i}", one)]
        return [(name, "、".join(map(str, value)))]
    return [(name, str(value))]

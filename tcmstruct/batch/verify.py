"""Checks a result folder against itself: is it complete, unaltered, and does every value stand in its text?"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from tcmstruct.batch.folder import WORK
from tcmstruct.batch.ids import IdLedger
from tcmstruct.errors import InputRefused


def verify(out: Path) -> Iterator[tuple[str, str | None]]:
    """Checks, one after the other: what is checked, and what is wrong with it (None: nothing). Memory does not grow with the records.

    Raises:
        InputRefused: the folder holds no finished result.
    """
    if not (out / "_SUCCESS").is_file() or not (out / "manifest.json").is_file():
        unfinished = (out / WORK).is_dir()
        raise InputRefused("holds an unfinished result" if unfinished else "holds no result of convert", where=out.name,
                           code="result_unfinished" if unfinished else "result_missing",
                           hint="the same convert command goes on with it" if unfinished else "name the folder given to convert -o")
    said, found = (out / "_SUCCESS").read_text("utf-8", "replace").split(" ")[0], _sha256(out / "manifest.json")
    yield "manifest.json", None if said == found else f"sha256 is {found[:12]}…, _SUCCESS says {said[:12]}…"
    manifest = orjson.loads((out / "manifest.json").read_bytes())
    for name, facts in manifest["outputs"].items():
        yield name, _unlike(out / name, facts)
    counts = manifest["counts"]
    parts = counts["ok"] + counts["warned"] + counts["rejected"]
    yield "in = ok + warned + rejected", None if parts == counts["in"] else f"{counts['in']:,} against {parts:,}"
    yield from _records(out, counts)


def _records(out: Path, counts: Mapping[str, int]) -> Iterator[tuple[str, str | None]]:
    found: Counter[str] = Counter()
    faults: dict[str, int] = {}
    seen = IdLedger()
    for number, record in enumerate(_lines(out / "records.jsonl"), 1):
        found["warned" if record["warnings"] else "ok"] += 1
        if not seen.add(record["id"]):
            faults.setdefault("ids are unique", number)
        if any(record["text"][f["start"] : f["end"]] != f["evidence"] for f in record["fields"].values() if f["source"] != "image"):
            faults.setdefault("every value stands in its text", number)
    found["rejected"] = sum(1 for _ in _lines(out / "rejects.jsonl"))
    for kind in ("ok", "warned", "rejected"):
        yield f"{kind}: {counts[kind]:,}", None if found[kind] == counts[kind] else f"{found[kind]:,} lines are there"
    for check in ("ids are unique", "every value stands in its text"):
        yield check, f"not so in records.jsonl, line {faults[check]}" if check in faults else None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines of a file; none where it is absent, which has been said by then."""
    if path.is_file():
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield orjson.loads(line)
                except orjson.JSONDecodeError:
                    raise InputRefused("is not JSON", where=f"{path.name}:{number}", code="result_damaged",
                                       hint="make the result again with --fresh") from None


def _unlike(path: Path, facts: Mapping[str, Any]) -> str | None:
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != facts["bytes"]:
        return f"has {path.stat().st_size:,} bytes, the manifest says {facts['bytes']:,}"
    return None if _sha256(path) == facts["sha256"] else "has another sha256 than the manifest says"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

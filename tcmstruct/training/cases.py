"""Whole records with what was concluded from them: what record-level heads learn from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcmstruct.errors import InputRefused
from tcmstruct.training.data import read_jsonl

CASE_FILES: tuple[str, ...] = ("inpatient", "outpatient_cases", "published_cases")
"""Files of the folder `records` whose rows carry a diagnosis."""

SPECIALTIES: dict[str, str] = {"0": "内科", "1": "外科", "3": "妇科", "5": "五官科", "6": "儿科"}
"""Class of the case books → its name. The set names none of them: they were read from the texts."""


@dataclass(frozen=True, slots=True)
class Case:
    """One record and what its author concluded.

    Attributes:
        id: of the record.
        source: file it came from.
        text: as it stands.
        said: task ("disease", "syndrome", "specialty") → the words of the conclusion; a task that is missing is not known.
        findings: what the conclusion was drawn from, where that was noted.
        pathogenesis: the parts of the reasoning, where that was noted.
        tongue: values of the fields 苔色, 舌色, 苔质 that the text states.
        held_out: never trained on, whatever its fold.
    """

    id: str
    source: str
    text: str
    said: dict[str, str]
    findings: tuple[str, ...] = ()
    pathogenesis: tuple[str, ...] = ()
    tongue: dict[str, tuple[str, ...]] | None = None
    held_out: bool = False

    @property
    def key(self) -> str:
        """sha256 of the text: what splits go by."""
        return hashlib.sha256(self.text.encode("utf-8", "surrogatepass")).hexdigest()


def read_cases(data: Path) -> list[Case]:
    """The cases of `data/records`, each once, and those of `data/gold/dev.jsonl` as held-out ones.

    Raises:
        InputRefused: a file is missing, or no case is left.
    """
    gold = {row["id"]: row for part in ("train", "dev") for row in _rows(data / "gold" / f"{part}.jsonl", optional=True)}
    dev = {row["id"] for row in _rows(data / "gold" / "dev.jsonl", optional=True)}
    rows = [(row, name) for name in CASE_FILES for row in _rows(data / "records" / f"{name}.jsonl")]
    rows = [(row, name) for row, name in rows if row["id"] not in dev]
    rows += [(gold[i], "gold_dev") for i in sorted(dev)]
    out, seen = [], set()
    for row, name in rows:
        case = _case(row, name, gold.get(row["id"]))
        if case.said and case.key not in seen:
            seen.add(case.key)
            out.append(case)
    if not out:
        raise InputRefused("no record carries a conclusion", where=str(data), code="no_cases",
                           hint="rows need `text` and at least one of `tcm_dx` and `syndrome`")
    return out


def read_case_books(data: Path) -> list[Case]:
    """The case books with their class, each text once."""
    out, seen = [], set()
    for number, row in enumerate(_rows(data / "records" / "casebooks.jsonl")):
        case = Case(f"casebook-{number}", "casebooks", row["text"], {"specialty": SPECIALTIES.get(row["label"], row["label"])})
        if case.key not in seen:
            seen.add(case.key)
            out.append(case)
    return out


def _rows(path: Path, optional: bool = False) -> list[dict[str, Any]]:
    if not path.is_file():
        if optional:
            return []
        raise InputRefused("is missing", where=f"{path.parent.name}/{path.name}", code="no_such_file",
                           hint="name the data folder with --data")
    return read_jsonl(path)


def _case(row: dict[str, Any], name: str, gold: dict[str, Any] | None) -> Case:
    said = {task: row[key].strip() for task, key in (("disease", "tcm_dx"), ("syndrome", "syndrome")) if (row.get(key) or "").strip()}
    fields = (gold or {}).get("fields", {})
    tongue = {n: tuple(_several(fields[n]["value"])) for n in ("苔色", "舌色", "苔质") if n in fields}
    return Case(row["id"], name, row["text"], said, tuple(row.get("findings") or ()), parts_of(row.get("pathogenesis") or ""),
                tongue or None, name == "gold_dev")


def parts_of(text: str) -> tuple[str, ...]:
    """A conclusion's parts: 肝郁化火；心神被扰 → two."""
    for sign in "；，,。\n":
        text = text.replace(sign, ";")
    return tuple(part.strip() for part in text.split(";") if len(part.strip()) > 1)


def _several(value: Any) -> Sequence[str]:
    return [str(v) for v in value] if isinstance(value, (list, tuple)) else [str(value)]

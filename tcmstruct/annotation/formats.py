"""The table of formats, and which of them a file is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tcmstruct.annotation import brat, cmeee, conll, docbin, doccano, gold, label_studio
from tcmstruct.annotation.annotated import Annotated
from tcmstruct.annotation.files import json_lines, json_list
from tcmstruct.errors import InputRefused, UsageError

Reader = Callable[[Path], Iterator[Annotated]]
Writer = Callable[[Path, Iterable[Annotated], "Counter[str]"], None]


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        about: one line for people.
        read: of a path; offsets are those of the file, right or wrong.
        write: to a path, whole; counts what the format cannot hold. None: only read.
        ours: it stays in the house, so that nothing is de-identified on the way into it.
    """

    about: str
    read: Reader
    write: Writer | None
    ours: bool = False


FORMATS: dict[str, Format] = {
    "gold": Format("JSON Lines of this project: entities with type, place, words, status", gold.read, gold.write, ours=True),
    "records": Format("records.jsonl of convert: its entities as predictions with a score", gold.read_records, None, ours=True),
    "label-studio": Format("Label Studio JSON, tasks with annotations and predictions", label_studio.read, label_studio.write),
    "doccano": Format("doccano JSON Lines, sequence labelling", doccano.read, doccano.write),
    "brat": Format("brat standoff, a folder of .txt and .ann", brat.read, brat.write),
    "conll": Format("CoNLL / BIO, a character a line; no nesting", conll.read, conll.write),
    "cmeee": Format("CBLUE / CMeEE JSON, inclusive ends", cmeee.read, cmeee.write),
    "docbin": Format("spaCy DocBin, a token a character; needs the extra [spacy]", docbin.read, docbin.write),
}


def named(name: str, option: str, writes: bool = False) -> Format:
    """
    Raises:
        UsageError: no format of that name, or one that is only read.
    """
    allowed = [one for one, format in FORMATS.items() if format.write or not writes]
    if name not in allowed:
        raise UsageError(f"{name!r} is no format; allowed: {', '.join(allowed)}", where=option, code="format_unknown")
    return FORMATS[name]


def guess(path: Path) -> str:
    """Name of the format of a file or folder, by its content.

    Raises:
        InputRefused: none of the table.
    """
    if path.is_dir():
        if (path / "records.jsonl").is_file():
            return "records"
        if any(path.glob("*.ann")):
            return "brat"
    elif path.suffix == ".spacy":
        return "docbin"
    elif path.suffix in (".conll", ".bio", ".tsv", ".txt"):
        return "conll"
    else:
        with path.open("rb") as file:
            first = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        _, data = next(json_list(path) if first == b"[" else json_lines(path), ("", {}))
        keys = data.keys()
        entity = next(iter(data.get("entities") or ()), {})
        if "data" in keys and isinstance(data["data"], dict):
            return "label-studio"
        if "label" in keys or "labels" in keys or "start_offset" in entity:
            return "doccano"
        if "start_idx" in entity or (first == b"[" and "entities" in keys):
            return "cmeee"
        if "text_sha256" in keys:
            return "records"
        if "entities" in keys:
            return "gold"
    raise InputRefused("not recognised", where=path.name, code="format_unknown", hint=f"name it with --from: {', '.join(FORMATS)}")

"""`tcmstruct schema new|check FILE`: a pack to begin from, and every fault of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tcmstruct.errors import InputRefused, SchemaError, UsageError
from tcmstruct.report.shown import plain
from tcmstruct.schema.pack import MAX_PACK_BYTES, pack_path, read_pack
from tcmstruct.schema.written import renamed, starter_text
from tcmstruct.trial import FAULT, NOTE, WARNING, Checked, Known, check_pack
from tcmstruct.whole_file import whole_file
from vocab.reader import load_terms

_MAX_NAME = 40


def new_pack(file: Path, *, name: str | None = None, source: str | None = None, fresh: bool = False) -> Path:
    """Writes a commented, sound pack to begin from.

    Args:
        file: TOML file to write.
        name: of the pack, most often a department; None takes the file's name.
        source: an existing pack to begin from: the name of one that comes with the package, or a file.
        fresh: replace `file`.

    Raises:
        UsageError: `file` is there already, is no .toml, or the name does not fit.
        SchemaError: `source` cannot be read.
    """
    if file.suffix != ".toml":
        raise UsageError("a pack's file ends in .toml", where=file.name, code="not_toml", hint=f"name it {file.stem}.toml")
    if file.exists() and not fresh:
        raise UsageError("is there already", where=file.name, code="file_exists", hint="name another file, or replace it with --fresh")
    name = (name or file.stem).strip()
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable():
        raise UsageError(f"a pack's name has 1 to {_MAX_NAME} printable characters, found {len(name)}", where="--name",
                         code="option_invalid")
    with whole_file(file) as out:
        out.write((_from(source, name) if source is not None else starter_text(name)).encode("utf-8"))
    print(f"written: {file} → tcmstruct schema check {file}", file=sys.stderr)
    return file


def _from(source: str, name: str) -> str:
    path = pack_path(source) or Path(source)
    _, raw = read_pack(path)
    beside = (f"# 由字段包 {source} 改成；字段同名，因此不能与它一并使用。Made from {source}: read one of the two, not both.\n"
              if pack_path(source) else "")
    try:
        return beside + renamed(raw.decode("utf-8"), name)
    except ValueError:
        raise InputRefused("[pack] is not written as a table of its own", where=path.name, code="schema_invalid",
                           hint="write [pack] and name = … on lines of their own") from None


def read_bytes(file: Path) -> bytes:
    """
    Raises:
        SchemaError: the file is not there or cannot be read.
    """
    try:
        with file.open("rb") as stream:
            return stream.read(MAX_PACK_BYTES + 1)
    except OSError as error:
        raise SchemaError(f"cannot be read ({error.strerror})", where=file.name, code="schema_missing",
                          hint="tcmstruct schema new FILE makes one") from None


def pack_file(given: str) -> Path:
    """The file of a pack that is named by its file or, where it comes with the package, by its name."""
    return pack_path(given) or Path(given)


def known_terms() -> Known:
    """The shipped vocabulary, for slips of the pen."""
    return Known(name for term in load_terms() for name in term.names)


def check_file(file: Path) -> Checked:
    """Reads a pack to its end; see `trial.check_pack`."""
    return check_pack(read_bytes(file), file.name, known=known_terms())


def as_text(file: Path, checked: Checked) -> str:
    """The findings as a person reads them on a terminal."""
    counts = {level: sum(one.level == level for one in checked.findings) for level in (FAULT, WARNING, NOTE)}
    fields = len(checked.data.get("fields", {})) if isinstance(checked.data.get("fields", {}), dict) else 0
    lines = [f"{file.name}: {counted(fields, 'field')}, " + ", ".join(counted(count, level) for level, count in counts.items())]
    for one in checked.findings:
        place = ".".join(one.keys)
        lines.append(f"{one.level}{f' line {one.line}' if one.line else ''}{f' {place}' if place else ''}: {one.said('zh')}")
        lines.append(f"  {one.said()}")
    return "\n".join(map(plain, lines))


def as_json(file: Path, checked: Checked) -> dict[str, Any]:
    return {"file": file.name, "fields": checked.names, "sound": not checked.faults,
            "findings": [one.to_dict() for one in checked.findings]}


def refuse_faults(file: Path, checked: Checked) -> None:
    """
    Raises:
        InputRefused: the pack has a fault; the message names the first.
    """
    first = next((one for one in checked.findings if one.level == FAULT), None)
    if first is not None:
        more = f" (and {checked.faults - 1} more)" if checked.faults > 1 else ""
        place = f"{file.name}{f':{first.line}' if first.line else ''}"
        raise InputRefused(f"{'.'.join(first.keys)}: {first.said()}{more}".removeprefix(": "), where=place, code="schema_invalid",
                           hint=f"tcmstruct schema check {file.name} lists them all")


def counted(count: int, what: str) -> str:
    """1 field, 2 fields."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


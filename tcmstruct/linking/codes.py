"""The table of codes: what the package ships, and a hospital's own.

Shipped are the coded rows of the vocabulary (`vocab/tables`: GB/T 16751.2-2021 syndromes, GB/T 16751.1-2021 diseases,
ICD-10 three-character categories) and `data/names.tsv`: further names of the same codes. Those names stand apart from
the vocabulary on purpose, so that what the model reads as lexicon does not grow with what the linker knows.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tcmstruct.errors import InputRefused
from tcmstruct.linking.fold import canonical
from vocab.reader import load_terms

SYSTEMS: Mapping[str, str] = {
    "syndrome": "GB/T 16751.2-2021",
    "disease_tcm": "GB/T 16751.1-2021",
    "disease_western": "ICD-10",
}
"""Kind → the standard whose codes the shipped table gives to it."""

KINDS: tuple[str, ...] = tuple(SYSTEMS)

KIND_NAMES: Mapping[str, str] = {
    **{kind: kind for kind in KINDS},
    "证候": "syndrome", "中医病名": "disease_tcm", "西医诊断": "disease_western",
}
"""What a user's table may write in its column `kind` → kind."""

USER_COLUMNS = ("name", "code", "system")
USER_OPTIONAL = ("aliases", "kind")
ALIAS_SEPARATOR = "|"
_BAD_BYTE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Code:
    """One code with its names.

    Attributes:
        kinds: kinds of names it may stand for, of `KINDS`.
        system: the standard or the hospital's own system.
        code: as the system writes it (daggers and asterisks of ICD-10 left off).
        name: the preferred name.
        aliases: other names of the same thing.
        own: True for a row of the user's table.
    """

    kinds: tuple[str, ...]
    system: str
    code: str
    name: str
    aliases: tuple[str, ...] = ()
    own: bool = False


def shipped_codes() -> list[Code]:
    """The shipped table: a row for each code, in the order of the tables.

    The row's name is the standard's; names that the vocabulary or `data/names.tsv` give to the same code are aliases.
    """
    names: dict[tuple[str, str], list[str]] = {}
    for kind, code, name in _standard_names():
        names.setdefault((kind, code), []).append(name)
    heads = {(kind, canonical(every[0], kind)): code for (kind, code), every in reversed(names.items())}
    codes = []
    for (kind, code), (first, *others) in names.items():
        # A name outweighs an alias, its folded form too: 厌食 is 厌食病, whoever calls 小儿厌食 so.
        aliases = [a for a in dict.fromkeys(others) if a != first and heads.get((kind, canonical(a, kind)), code) == code]
        codes.append(Code((kind,), SYSTEMS[kind], code, first, tuple(aliases)))
    return codes


def _standard_names() -> Iterator[tuple[str, str, str]]:
    """(kind, code, name), the preferred name of a code before its other names."""
    extra: dict[tuple[str, str], list[str]] = {}
    for line in files("tcmstruct.linking").joinpath("data/names.tsv").read_text("utf-8").splitlines()[1:]:
        kind, code, name, aliases = line.split("\t")
        extra[kind, code] = [name, *filter(None, aliases.split(ALIAS_SEPARATOR))]
    terms = [term for term in load_terms(KINDS) if term.code]
    by_standard = sorted(terms, key=lambda term: not term.source.startswith(("GB/T", "ICD")))  # stable
    headed = {key: heading for key, (heading, *_) in extra.items()}
    for (kind, code), heading in headed.items():
        yield kind, code, heading
    for term in by_standard:
        for name in term.names:
            yield term.kind, term.code.rstrip("*+"), name
    for (kind, code), every in extra.items():
        for name in every:
            yield kind, code, name


def read_codes(path: Path) -> list[Code]:
    """Reads a user's own table: CSV with the columns name, code, system and, if wanted, aliases and kind.

    UTF-8 or GB18030 (told apart by the bytes); aliases are separated by `|`; `kind` is one of 证候, 中医病名, 西医诊断
    (or their English names); a row without it may be given to all three.

    Raises:
        InputRefused: no such file, bytes that are not text, a column missing, unknown or twice, a row with another
            number of columns, an empty cell, an unknown kind, a name that stands twice in one system (with the same
            code: duplicate; with another: conflict). The message names file and row and what is allowed.
    """
    from tcmstruct.emr.encoding import decode_bytes  # the readers take longer to load than the linker

    where = path.name
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise InputRefused(f"cannot be read ({type(error).__name__})", where=where, code="codes_unreadable",
                           hint="name a CSV file that exists") from None
    try:
        text = decode_bytes(raw, where=where).removeprefix("\ufeff")
    except InputRefused:
        text = raw.decode("utf-8", "surrogateescape")  # refused below, with its row
    if bad := _BAD_BYTE.search(text):
        raise _refused("bytes that are no text", where, text.count("\n", 0, bad.start()) + 1, "UTF-8 or GB18030")
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        return list(_user_rows(rows, where))
    except csv.Error as error:
        raise _refused(f"not CSV ({error})", where, rows.line_num, "cells in quotes that are closed") from None


def _refused(what: str, where: str, row: int, allowed: str) -> InputRefused:
    return InputRefused(f"{what}; allowed: {allowed}", where=f"{where}:{row}", code="codes_invalid",
                        hint="mend the row, then read the table again")


def _user_rows(rows: Iterator[list[str]], where: str) -> Iterator[Code]:
    header = [cell.strip() for cell in next(rows, [])]
    allowed = ", ".join(USER_COLUMNS) + " and, if wanted, " + ", ".join(USER_OPTIONAL)
    if not set(USER_COLUMNS) <= set(header) <= {*USER_COLUMNS, *USER_OPTIONAL} or len(set(header)) < len(header):
        raise _refused(f"the header has the columns {', '.join(header) or '(none)'}", where, 1, allowed)
    seen: dict[tuple[str, str], tuple[int, str]] = {}
    for cells in rows:
        row = rows.line_num  # type: ignore[attr-defined]
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise _refused(f"{len(cells)} columns", where, row, f"{len(header)} ({', '.join(header)})")
        values = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        for column in USER_COLUMNS:
            if not values[column]:
                raise _refused(f"column {column} is empty", where, row, "name, code and system filled in every row")
        kind = values.get("kind", "")
        if kind and kind not in KIND_NAMES:
            raise _refused(f"unknown kind {kind!r}", where, row, ", ".join(KIND_NAMES))
        aliases = tuple(filter(None, (alias.strip() for alias in values.get("aliases", "").split(ALIAS_SEPARATOR))))
        code = Code((KIND_NAMES[kind],) if kind else KINDS, values["system"], values["code"], values["name"], aliases, True)
        for name in (code.name, *code.aliases):
            for one in code.kinds:
                first, other = seen.setdefault((one, code.system, name), (row, code.code))
                if first != row:
                    what = "duplicate of" if other == code.code else "conflicts with"
                    raise _refused(f"{what} row {first}", where, row, "each name or alias once in a system")
        yield code

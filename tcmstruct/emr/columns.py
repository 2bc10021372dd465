"""Which column feeds which field of a Record: the alias table (`columns.toml`), `--map`, and the outcome."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from tcmstruct.errors import InputRefused, UsageError

ROLES: tuple[str, ...] = ("id", "text", "dept", "image", "extra", "ignore")
"""What a column can be. `--map 列=ignore` leaves a column out."""

_DROPPED = re.compile(r"[\s\"'“”‘’()\[\]<>{}【】《》「」『』_\-—·•/\\.:：*]+")
_LONGEST_NAME = 200
_LONGEST_LABEL = 24
_LONGEST_PLACEHOLDER = 40
_SENTENCE_MARKS = frozenset("。；！？，、,;!?")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """The role of each column of a table.

    Attributes:
        names: the header, each name once (a repeated name gets "_2", an empty one "column 3").
        id, dept, image: number of the column (from 0), or None.
        text: columns whose texts make up the record, in file order.
        extra: columns that go to Record.extra. The image column is among them: what a version of this
            program does not read must not vanish.
        ignored: columns that are left out.
        titles: what stands before each column's text; the names, with those of data elements in Chinese.
    """

    names: tuple[str, ...]
    text: tuple[int, ...]
    id: int | None = None
    dept: int | None = None
    image: int | None = None
    extra: tuple[int, ...] = ()
    ignored: tuple[int, ...] = ()
    titles: tuple[str, ...] = ()

    def role(self, index: int) -> str:
        """The role of a column, for people."""
        for role in ("id", "dept", "image"):
            if getattr(self, role) == index:
                return role
        return "text" if index in self.text else "ignore" if index in self.ignored else "extra"


def normal_name(name: str) -> str:
    """A column name as it is compared: NFKC, lower case, without blanks, quotes, brackets and joining marks."""
    if len(name) > _LONGEST_NAME:  # a cell of a first row that is no header may be megabytes long
        return name
    return _DROPPED.sub("", unicodedata.normalize("NFKC", name).lower())


@cache
def _table() -> Mapping[str, Any]:
    return tomllib.loads(files("tcmstruct.emr").joinpath("columns.toml").read_text("utf-8"))


@cache
def aliases() -> Mapping[str, tuple[str, int]]:
    """Normalised name → (field of Record, rank within the field); "extra" for names known to be no record text."""
    out: dict[str, tuple[str, int]] = {}
    for role, names in _table()["fields"].items():
        for rank, name in enumerate(names):
            out.setdefault(normal_name(name), (role, rank))
    for rank, name in enumerate(_table()["conclusions"]["names"]):
        out.setdefault(normal_name(name), ("extra", rank))
    for code, name in _table()["codes"].items():
        known = out.get(normal_name(name))
        if known:
            out.setdefault(normal_name(code), known)
    return out


@lru_cache(maxsize=4096)
def known_role(name: str) -> str | None:
    """The role that the alias table gives a name, None where it does not know it."""
    return (aliases().get(normal_name(name)) or (None,))[0]


@cache
def _codes() -> Mapping[str, str]:
    table = _table()
    return {**table["loinc"], **table["codes"]}


@cache
def _conclusions() -> frozenset[str]:
    return frozenset(map(normal_name, _table()["conclusions"]["names"]))


@lru_cache(maxsize=4096)
def is_conclusion(name: str) -> bool:
    """诊断, 鉴别诊断, 治法: what may take several lines of a document and is no record text."""
    return normal_name(name) in _conclusions()


@lru_cache(maxsize=4096)
def plain_name(name: str) -> str:
    """The Chinese name of a data element (DE04.01.119.00, HDSD00.03.057) or LOINC section (10154-3), else the name."""
    return _codes().get(name, name)


@cache
def _placeholders() -> frozenset[str]:
    return frozenset(_table()["placeholders"]["values"])


def is_placeholder(text: str) -> bool:
    """What templates of documents write where there is nothing: NA, 无, xx, /, —."""
    return len(text) <= _LONGEST_PLACEHOLDER and text.strip().strip("。.").lower() in _placeholders()


@cache
def annotation_keys() -> frozenset[str]:
    """Keys of a JSON line that hold what was found, not what was written."""
    return frozenset(_table()["annotation"]["keys"])


def parse_overrides(pairs: Sequence[str]) -> dict[str, str]:
    """`["病情=text", "#3=id"]` → {name or "#number": role}.

    Raises:
        UsageError: a pair without "=", or an unknown role.
    """
    out: dict[str, str] = {}
    for pair in pairs:
        name, mark, role = pair.rpartition("=")
        if not mark or not name or role not in ROLES:
            raise UsageError(f"--map takes 列=字段, with 字段 one of {', '.join(ROLES)}", code="map_invalid",
                             hint="for example --map 病情描述=text --map '#1=id'")
        out[name] = role
    return out


def unique_names(header: Sequence[str]) -> tuple[str, ...]:
    """The header with every name present and different."""
    out: dict[str, None] = {}
    for number, name in enumerate(header, 1):
        base = name.strip() or f"column {number}"
        free, count = base, 1
        while free in out:
            count += 1
            free = f"{base}_{count}"
        out[free] = None
    return tuple(out)


def map_columns(header: Sequence[str], overrides: Mapping[str, str] | None = None,
                ignored: frozenset[str] = frozenset(), titles: frozenset[str] = frozenset()) -> ColumnMap:
    """Gives each column its role by the alias table; `overrides` (see `parse_overrides`) go first.

    An override `列=id` (dept, image) takes the role away from the column that the table would have chosen; an
    override to text adds to the text columns. `titles` are names of sections, which are text where the table does not
    know them.
    """
    names = unique_names(header)
    wanted = dict(overrides or {})
    roles: dict[int, str] = {}
    ranked: dict[str, list[tuple[int, int]]] = {"id": [], "dept": [], "image": []}
    for index, name in enumerate(names):
        forced = wanted.get(f"#{index + 1}") or wanted.get(name) or wanted.get(header[index])
        if forced:
            roles[index] = forced
            if forced in ranked:
                ranked[forced].append((-1, index))
            continue
        if name in ignored:
            roles[index] = "ignore"
            continue
        role, rank = aliases().get(normal_name(name)) or ("text" if header[index] in titles else "extra", 0)
        roles[index] = role
        if role in ranked:
            ranked[role].append((rank, index))
    single = {role: min(found)[1] if found else None for role, found in ranked.items()}
    return ColumnMap(
        names=names,
        text=tuple(i for i, role in roles.items() if role == "text"),
        extra=tuple(i for i, role in roles.items()
                    if role in ("extra", "image") or (role in ranked and single[role] != i)),
        ignored=tuple(i for i, role in roles.items() if role == "ignore"),
        titles=tuple(map(plain_name, names)),
        **single,
    )


def safe_label(name: str, number: int) -> str:
    """A column name as a message may show it. A file without a header has record text in its first row, so a cell
    that does not look like a label is shown by its place and length only."""
    label = name.strip()
    digits = sum(c.isdigit() for c in label)
    is_label = (0 < len(label) <= _LONGEST_LABEL and label.isprintable() and digits * 2 < len(label)
                and not _SENTENCE_MARKS.intersection(label))
    return label if is_label else f"#{number} ({len(name)} characters)"


def safe_labels(header: Sequence[str]) -> list[str]:
    """`safe_label` of a whole header; where no name is known to the table and one cell is no label, or there is but one cell, the
    row is taken for a record and every cell is shown by place and length only."""
    labels = [safe_label(name, number) for number, name in enumerate(header, 1)]
    known = any(normal_name(name) in aliases() for name in header)
    if known or (len(header) > 1 and labels == [name.strip() for name in header]):
        return labels
    return [f"#{number} ({len(name)} characters)" for number, name in enumerate(header, 1)]


def no_text_column(header: Sequence[str], where: str) -> InputRefused:
    """The refusal of a table in which no column is known to hold record text."""
    shown = safe_labels(header)
    listed = ", ".join(shown[:40]) + (f", … ({len(shown)} in all)" if len(shown) > 40 else "")
    return InputRefused(f"no column is known to hold the record text; columns found: {listed}", where=where,
                        code="no_text_column",
                        hint="name it with --map 列=text (or by its number: --map '#2=text'); "
                             "the first line must be a header")


def check_repeated(header: Sequence[str], overrides: Mapping[str, str], where: str) -> None:
    """Refuses a table that has two text columns of the same name: which of them is meant, only a person can say.

    Raises:
        InputRefused: with the numbers of the columns (code `column_twice`); not where `--map` gives the later one a role.
    """
    names, first = unique_names(header), dict[str, int]()
    for number, raw in enumerate(header, 1):
        name = raw.strip()
        at = first.setdefault(name, number)
        named = {f"#{number}", names[number - 1], raw} & overrides.keys()
        if at != number and not named and known_role(name) == "text":
            raise InputRefused(f"two columns are named {safe_label(name, number)}: number {at} and number {number}", where=where,
                               code="column_twice", hint=f"say what the later one is: --map '#{number}=text', or =extra, =ignore")


def check_overrides(header: Sequence[str], overrides: Mapping[str, str], where: str) -> None:
    """Refuses a --map whose column the file does not have.

    Raises:
        InputRefused: with the names that the file has.
    """
    names = {*header, *unique_names(header), *(f"#{n}" for n in range(1, len(header) + 1))}
    missing = [name for name in overrides if name not in names]
    if missing:
        raise InputRefused(f"--map names {', '.join(missing)}, which the file does not have; columns found: "
                           + ", ".join(safe_labels(header)), where=where, code="map_column_missing",
                           hint="copy the name as it stands in the file, or give its number: --map '#2=text'")

"""`tcmstruct vocab search|stats|build`: look terms up, count them, make a vocabulary of one's own."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tcmstruct.emr.columns import parse_overrides
from tcmstruct.emr.reader import open_sources
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from vocab.build import HERE, MANIFEST, check, describe, is_term, table_text
from vocab.characters import read_characters
from vocab.reader import KINDS, TABLES, Term, VocabularyError, load_terms, read_table

MATCHES: tuple[str, ...] = ("exact", "alias", "prefix", "contains", "fuzzy")
"""How a term answers a query, the closest first."""
_FUZZY_FROM = 60  # per cent of characters in common, in order
_YES, _NO = frozenset(("y", "yes", "1", "是")), frozenset(("", "n", "no", "0", "否"))
_MIN_WIDTH = 120
_SHOWN_CHARACTERS = 200
USER_LICENCE = "own"


@contextmanager
def refusing() -> Iterator[None]:
    """Turns a fault of a table into the refusal of an input (exit code 4)."""
    try:
        yield
    except VocabularyError as error:
        raise InputRefused(str(error), code="vocabulary_invalid") from None
    except OSError as error:
        name = Path(error.filename).name if error.filename else "the vocabulary"
        raise InputRefused(f"cannot be read ({error.strerror})", where=name, code="unreadable") from None


def tables_of(vocabulary: Path | None) -> Path:
    """Folder of the tables: the shipped one, DIR of `vocab build -o DIR`, or a folder of tables.

    Raises:
        InputRefused: it holds no table.
    """
    if vocabulary is None:
        return TABLES
    tables = vocabulary / "tables" if (vocabulary / "tables").is_dir() else vocabulary
    if not any(tables.glob("*.tsv")):
        raise InputRefused("holds no tables/*.tsv", where=vocabulary.name, code="no_tables",
                           hint="make one with: tcmstruct vocab build -o DIR")
    return tables


def read_terms(vocabulary: Path | None = None) -> list[Term]:
    """All terms, strictly read.

    Raises:
        InputRefused: a table that the format does not allow; the message names file, row and what is allowed.
    """
    tables = tables_of(vocabulary)
    with refusing():
        strays = sorted({path.stem for path in tables.glob("*.tsv")} - KINDS.keys())
        if strays:
            raise VocabularyError(f"{strays[0]}.tsv: unknown kind {strays[0]!r}; allowed: {', '.join(KINDS)}")
        return list(load_terms(tables=tables))


# ---- search


@dataclass(frozen=True, slots=True)
class Hit:
    """A term that answers a query.

    Attributes:
        match: one of `MATCHES`. matched: the name or alias that does. score: likeness, 0–100.
    """

    query: str
    term: Term
    match: str
    matched: str
    score: float

    def to_dict(self) -> dict[str, Any]:
        t = self.term
        return {"query": self.query, "kind": t.kind, "name": t.name, "aliases": list(t.aliases), "code": t.code,
                "source": t.source, "match": self.match, "matched": self.matched, "score": round(self.score, 1)}


def search(queries: Sequence[str], terms: Iterable[Term], *, kind: str | None = None, limit: int = 20) -> list[Hit]:
    """The terms that answer each query, the closest first: exact, alias, prefix, contains, then by likeness.

    Traditional and full-width forms are folded before comparing.

    Raises:
        UsageError: an unknown kind.
    """
    from rapidfuzz import fuzz

    if kind is not None and kind not in KINDS:
        raise UsageError(f"unknown kind {kind!r}; allowed: {', '.join(KINDS)}", code="unknown_kind")
    rows = [(normalise(name), name, n == 0, term) for term in terms if kind is None or term.kind == kind
            for n, name in enumerate(term.names)]
    hits: list[Hit] = []
    for query in queries:
        wanted = normalise(query.strip())
        best: dict[tuple[str, str], Hit] = {}
        for folded, name, preferred, term in rows if wanted else ():
            if folded == wanted:
                match = "exact" if preferred else "alias"
            elif folded.startswith(wanted):
                match = "prefix"
            elif wanted in folded:
                match = "contains"
            else:
                match = "fuzzy"
            score = fuzz.ratio(wanted, folded, score_cutoff=_FUZZY_FROM if match == "fuzzy" else 0)
            if match == "fuzzy" and not score:
                continue
            hit, key = Hit(query, term, match, name, score), (term.kind, term.name)
            if key not in best or _rank(hit) < _rank(best[key]):
                best[key] = hit
        hits += sorted(best.values(), key=_rank)[:limit]
    return hits


def _rank(hit: Hit) -> tuple[int, float, str, str]:
    return MATCHES.index(hit.match), -hit.score, hit.term.name, hit.term.kind


def print_hits(queries: Sequence[str], hits: Sequence[Hit], json_lines: bool = False) -> None:
    """Hits on stdout: a table, or JSON lines; a query without any is told on stderr."""
    if json_lines:
        for hit in hits:
            print(json.dumps(hit.to_dict(), ensure_ascii=False))
    elif hits:
        table = Table("query", "match", "kind", "name", "aliases", "code", "source", box=None, header_style="bold")
        for hit in hits:
            t = hit.term
            how = hit.match if hit.match != "fuzzy" else f"fuzzy {hit.score:.0f}"
            table.add_row(hit.query, how, t.kind, t.name, "、".join(t.aliases), t.code, t.source)
        _console().print(table)
    found = {hit.query for hit in hits}
    for n, query in enumerate(dict.fromkeys(queries), start=1):
        if query not in found:
            print(f"query {n}: nothing like it in the tables", file=sys.stderr)


def _console() -> Console:
    console = Console(file=sys.stdout, highlight=False, markup=False)
    if not console.is_terminal:
        console.width = max(console.width, _MIN_WIDTH)
    return console


# ---- stats


def stats(terms: Sequence[Term], records: Sequence[Path] = (), *, mapping: Sequence[str] = (),
          encoding: str | None = None) -> dict[str, Any]:
    """What the tables hold and, where records are named, how much of these they cover.

    Args:
        terms: the vocabulary.
        records: files that `convert` reads.
        mapping, encoding: as for `convert`.

    Returns:
        kinds (kind → rows, names, coded, origin) and, with records, `records`: records, rejected, characters,
        covered_by_terms (share of the characters that are no white space), matches (kind → number), unknown_characters.
    """
    kinds: dict[str, Any] = {}
    for kind in KINDS:
        of_kind = [term for term in terms if term.kind == kind]
        if of_kind:
            entry = describe(of_kind, table_text(of_kind))
            kinds[kind] = {key: entry[key] for key in ("rows", "names", "coded", "origin")}
    found: dict[str, Any] = {"kinds": kinds}
    if records:
        found["records"] = _coverage(terms, records, mapping, encoding)
    return found


def _coverage(terms: Sequence[Term], records: Sequence[Path], mapping: Sequence[str], encoding: str | None) -> dict[str, Any]:
    lexicon = Lexicon.from_terms(terms, {kind: kind for kind in KINDS})
    inventory = frozenset(read_characters())
    characters: Counter[str] = Counter()
    matches: Counter[str] = Counter()
    n = rejected = covered = 0
    for source in open_sources(records, encoding=encoding, overrides=parse_overrides(mapping)):
        for item in source:
            if isinstance(item, Reject):
                rejected += 1
                continue
            n += 1
            characters.update(normalise(item.text))
            marked = bytearray(len(item.text))
            for start, end, k in lexicon.matches(item.text):
                matches[lexicon.groups[k]] += 1
                marked[start:end] = b"\1" * (end - start)
            covered += sum(marked)
    del characters[" "]
    total = sum(characters.values())
    unknown = {c: k for c, k in characters.most_common() if c not in inventory}
    return {"records": n, "rejected": rejected, "characters": total, "covered_by_terms": covered / max(1, total),
            "covered_by_character_table": 1 - sum(unknown.values()) / max(1, total),
            "matches": dict(matches.most_common()),
            "unknown_characters": [{"code_point": f"U+{ord(c):04X}", "character": c, "count": k} for c, k in unknown.items()]}


def print_stats(found: dict[str, Any], as_json: bool = False) -> None:
    """The figures on stdout, as tables or JSON."""
    if as_json:
        print(json.dumps(found, ensure_ascii=False, indent=2))
        return
    table = Table("kind", "rows", "names", "coded", "licence", "origin", box=None, header_style="bold")
    for kind, entry in found["kinds"].items():
        licences = "; ".join(sorted({origin["licence"] for origin in entry["origin"]}))
        origins = "; ".join(f"{origin['source']} ({origin['rows']:,})" for origin in entry["origin"])
        table.add_row(kind, *(f"{entry[key]:,}" for key in ("rows", "names", "coded")), licences, origins)
    totals = (sum(entry[key] for entry in found["kinds"].values()) for key in ("rows", "names", "coded"))
    table.add_row("all", *(f"{total:,}" for total in totals))
    console = _console()
    console.print(table)
    if "records" not in found:
        return
    of = found["records"]
    console.print(f"\n{of['records']:,} records ({of['rejected']:,} rejected), {of['characters']:,} characters besides blanks")
    console.print(f"characters within a term: {of['covered_by_terms']:.1%}")
    console.print(f"characters in the character table: {of['covered_by_character_table']:.4%}")
    console.print("matches: " + ", ".join(f"{kind} {k:,}" for kind, k in of["matches"].items()))
    unknown = of["unknown_characters"]
    for entry in unknown[:_SHOWN_CHARACTERS]:
        console.print(f"{entry['code_point']} {entry['character']} {entry['count']:,}")
    if len(unknown) > _SHOWN_CHARACTERS:
        console.print(f"… and {len(unknown) - _SHOWN_CHARACTERS:,} more (--json lists all)")


# ---- build


def read_accepted(path: Path, terms: Iterable[Term]) -> list[Term]:
    """Terms that a person accepted in a CSV of `vocab mine`.

    Args:
        path: CSV in UTF-8 (a byte order mark may stand); its first columns are accept, name, kind.
        terms: those that are known already.

    Raises:
        InputRefused: not UTF-8, another header, a row with more or fewer cells, an answer or a kind that is not
            allowed, a name that cannot stand in a table, that stands twice, or that the tables hold already; the
            message names file, row and what is allowed.
    """
    from tcmstruct.recipes.mining import EXAMPLES, MINED_COLUMNS

    with refusing():
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            row = data[: error.start].count(b"\n") + 1
            raise VocabularyError(f"{path.name}:{row}: not UTF-8 (byte {error.start}); allowed: UTF-8 "
                                  "→ save it as 'CSV UTF-8'") from None
        reader = csv.reader(io.StringIO(text, newline=""), strict=True)
        header = next(reader, [])
        if tuple(header) not in (MINED_COLUMNS, (*MINED_COLUMNS, EXAMPLES)):
            raise VocabularyError(f"{path.name}:1: header is not the allowed one: {','.join(MINED_COLUMNS)}[,{EXAMPLES}]")
        taken = {(term.kind, normalise(name)) for term in terms for name in term.names}
        seen: dict[str, tuple[int, str]] = {}
        accepted: list[Term] = []
        row = 1
        try:
            for cells in reader:
                row = reader.line_num
                term = _accepted(cells, len(header), f"{path.name}:{row}", taken, path.name)
                if term is None:
                    continue
                key = normalise(term.name)
                if key in seen:
                    first, kind = seen[key]
                    what = "duplicate of" if kind == term.kind else "conflicts with"
                    raise VocabularyError(f"{path.name}:{row}: {what} row {first}; allowed: each name accepted once")
                seen[key] = (row, term.kind)
                accepted.append(term)
        except csv.Error:
            raise VocabularyError(f"{path.name}:{row + 1}: a quote is not closed; allowed: CSV as vocab mine writes it") from None
    return accepted


def _accepted(cells: list[str], width: int, where: str, taken: set[tuple[str, str]], source: str) -> Term | None:
    """The term of a row; None where it was not accepted."""
    if not any(cell.strip() for cell in cells):
        return None
    if len(cells) != width:
        raise VocabularyError(f"{where}: {len(cells)} columns; allowed: {width}")
    answer, name, kind = (cell.strip() for cell in cells[:3])
    if answer.lower() not in _YES | _NO:
        raise VocabularyError(f"{where}: accept is of {len(answer)} characters; allowed: y, 1, 是, or n, 0, 否, or empty")
    if answer.lower() in _NO:
        return None
    if kind not in KINDS:
        raise VocabularyError(f"{where}: unknown kind {kind[:24]!r}; allowed: {', '.join(KINDS)}")
    if not is_term(name):
        raise VocabularyError(f"{where}: name of {len(name)} characters; allowed: 2 to 16 letters, digits and Han characters, "
                              "at least one of them Han")
    if (kind, normalise(name)) in taken:
        raise VocabularyError(f"{where}: the name stands in {kind}.tsv already; allowed: names that are new to their kind")
    return Term(kind, name, (), "", source, USER_LICENCE)


def build_vocabulary(accept: Sequence[Path] = (), out: Path | None = None, *, vocabulary: Path | None = None,
                     fresh: bool = False) -> dict[str, int]:
    """Merges accepted terms with the tables; nothing of the tables is changed or lost.

    Args:
        accept: CSVs of `vocab mine` with answers.
        out: folder to write `tables/*.tsv` (0600) and `manifest.json` into; None only checks the CSVs.
        vocabulary: tables to start from; the shipped ones by default.
        fresh: replace the vocabulary that `out` holds.

    Returns:
        Kind → number of terms added.

    Raises:
        InputRefused: see `read_terms` and `read_accepted`.
        UsageError: `out` holds a vocabulary already, or something else, or there is nothing to do.
    """
    if not accept and out is None:
        raise UsageError("nothing to do", where="vocab build", hint="give --accept terms.csv, -o DIR or --check")
    if out is not None:
        _check_out(out, vocabulary, fresh)
    terms = read_terms(vocabulary)
    added: list[Term] = []
    for path in accept:
        added += read_accepted(path, [*terms, *added])
    if out is not None:
        _write_vocabulary([*terms, *added], out)
    return dict(Counter(term.kind for term in added))


def _check_out(out: Path, vocabulary: Path | None, fresh: bool) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError("is a file, not a folder", where=out.name, hint="name another with -o")
    if tables_of(vocabulary).resolve().is_relative_to(out.resolve()) or out.resolve() == HERE.resolve():
        raise UsageError("holds the vocabulary that is read", where=out.name, hint="name another folder with -o")
    if not fresh and any((out / name).exists() for name in ("tables", MANIFEST)):
        raise UsageError("holds a vocabulary already", where=out.name, code="out_exists",
                         hint="name another folder with -o, or replace it with --fresh")


def _write_vocabulary(terms: Sequence[Term], out: Path) -> None:
    """Makes everything in a folder beside its place, reads it back strictly, then moves it there."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=out, prefix=".making-"))
    try:
        (staging / "tables").mkdir(mode=0o700)
        manifest: dict[str, Any] = {"columns": ["kind", "name", "aliases", "code", "source", "licence"], "tables": {}}
        for kind in KINDS:
            rows = [term for term in terms if term.kind == kind]
            if rows:
                text = table_text(rows)
                _private(staging / "tables" / f"{kind}.tsv", text)
                manifest["tables"][kind] = describe(rows, text)
                with refusing():
                    read_table(staging / "tables" / f"{kind}.tsv")
        _private(staging / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=1) + "\n")
        shutil.rmtree(out / "tables", ignore_errors=True)
        os.replace(staging / "tables", out / "tables")
        os.replace(staging / MANIFEST, out / MANIFEST)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def check_vocabulary(vocabulary: Path | None = None) -> None:
    """Reads every table strictly and compares it with its manifest.

    Raises:
        InputRefused: the first fault, after all of them were told on stderr.
    """
    tables = tables_of(vocabulary)
    manifest = HERE / MANIFEST if vocabulary is None else tables.parent / MANIFEST
    faults = list(check(tables, manifest))
    for fault in faults[1:]:
        print(fault, file=sys.stderr)
    if faults:
        raise InputRefused(faults[0], code="vocabulary_invalid")

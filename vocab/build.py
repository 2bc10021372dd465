"""Builds the term tables and their manifest: `python -m vocab.build [--source DIR] [--check]`. Standard library only.

A table is made of three things: a list written for this project (`lists/<kind>.txt`), the phrases of a grammar
(`grammars/<kind>.toml`), and rows of a source list (`terms/terms.tsv` under the data folder) as `sources.toml` says.
`--check` writes nothing; it reads every table strictly, compares it with the manifest and, where `--source` is given,
with what the sources make of it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from vocab.reader import ALIAS_SEPARATOR, COLUMNS, KINDS, MAX_CHARACTERS, TABLES, Term, VocabularyError, read_table

HERE = Path(__file__).parent
MANIFEST = "manifest.json"
SOURCE_COLUMNS = ("kind", "name", "code", "source")
_TAKE_KEYS = {"from", "into", "source", "licence", "keep", "drop", "alias_without", "alias_min", "alias_not", "mend", "split"}

_HAN = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffff]")
_WORD = re.compile(r"[\u3400-\u9fff\U00020000-\U0003ffffA-Za-z0-9Ⅰ-Ⅻα-ω·-]+")
_BRACKETED = re.compile(r"^([^（）()]+)[（(]([^（）()]{2,})[）)]$")


def is_term(name: str) -> bool:
    """Whether a name may stand in a table: 2 to 16 letters, digits and Han characters, at least one of them Han, no run
    of three digits (page numbers of a scan), no brackets."""
    return bool(2 <= len(name) <= MAX_CHARACTERS and _WORD.fullmatch(name) and _HAN.search(name)
                and not re.search(r"\d{3,}", name))


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Non-empty lines of a UTF-8 file with their place."""
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        row = path.read_bytes()[: error.start].count(b"\n") + 1
        raise VocabularyError(f"{path.name}:{row}: not UTF-8; allowed: UTF-8 → save the file as UTF-8") from None
    for row, line in enumerate(text.splitlines(), start=1):
        if line.strip():
            yield f"{path.name}:{row}", line


def read_list(path: Path) -> Iterator[Term]:
    """Terms of a written list.

    The head names `# source:` and `# licence:`; a line holds names separated by spaces, `name|alias|alias` each; a line
    with a tab holds one name and, after the tab, its code.
    """
    head: dict[str, str] = {}
    for where, line in _rows(path):
        if line.startswith("#"):
            key, _, value = line.lstrip("# ").partition(":")
            head[key.strip()] = value.strip()
            continue
        if not {"source", "licence"} <= head.keys():
            raise VocabularyError(f"{where}: no head; allowed: '# source: …' and '# licence: …' before the first name")
        names, *code = line.split("\t")
        if len(code) > 1 or (code and " " in names.strip()):
            raise VocabularyError(f"{where}: {len(code) + 1} columns; allowed: names, or one name and its code")
        for entry in names.split():
            name, *aliases = entry.split(ALIAS_SEPARATOR)
            yield Term(path.stem, name, tuple(aliases), "".join(code).strip(), head["source"], head["licence"])


def expand_form(form: str, sets: dict[str, list[str]]) -> Iterator[str]:
    """All phrases of one form, e.g. "苔{amount}{colour}". A set named twice never gives the same word twice."""
    parts = re.split(r"\{(\w+)\}", form)
    literals, names = parts[::2], parts[1::2]
    for words in itertools.product(*(sets[name] for name in names)):
        if len(set(zip(names, words, strict=True))) < len(names):
            continue
        yield literals[0] + "".join(word + literal for word, literal in zip(words, literals[1:], strict=True))


def read_grammar(path: Path) -> Iterator[Term]:
    """Terms of a grammar: `sets` of words and `pattern`s, each with `forms` and perhaps sets of its own."""
    try:
        grammar = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise VocabularyError(f"{path.name}: not TOML in UTF-8: {error}") from None
    _allow(grammar, {"source", "licence", "sets", "pattern"}, path.name)
    for n, pattern in enumerate(grammar["pattern"], start=1):
        where = f"{path.name}: pattern {n}"
        _allow(pattern, {"forms", "sets"}, where)
        sets = {**grammar.get("sets", {}), **pattern.get("sets", {})}
        for form in pattern["forms"]:
            unknown = set(re.findall(r"\{(\w+)\}", form)) - sets.keys()
            if unknown:
                raise VocabularyError(f"{where}: unknown set {sorted(unknown)[0]!r} in {form!r}; "
                                      f"allowed: {', '.join(sets)}")
            for phrase in expand_form(form, sets):
                if not re.search(r"(.)\1", phrase):  # 细细, 黄黄: no chart writes it
                    yield Term(path.stem, phrase, (), "", grammar["source"], grammar["licence"])


def _allow(table: dict[str, Any], allowed: set[str], where: str) -> None:
    unknown = sorted(table.keys() - allowed)
    if unknown:
        raise VocabularyError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}")


def read_source(path: Path, rules: Path = HERE / "sources.toml") -> Iterator[tuple[bool, Term]]:
    """Terms of a source list, sorted into kinds by the rules of `sources.toml`; True where a pattern chose the kind."""
    takes = {}
    for take in tomllib.loads(rules.read_text(encoding="utf-8"))["take"]:
        _allow(take, _TAKE_KEYS, f"{rules.name}: from = {take.get('from')!r}")
        takes[take["from"]] = take
    for where, line in itertools.islice(_rows(path), 1, None):
        cells = line.split("\t")
        if len(cells) != len(SOURCE_COLUMNS):
            raise VocabularyError(f"{where}: {len(cells)} columns; allowed: {len(SOURCE_COLUMNS)} "
                                  f"({' '.join(SOURCE_COLUMNS)})")
        kind, name, code, _ = cells
        if kind.startswith("ner:"):
            continue
        if kind not in takes:
            raise VocabularyError(f"{where}: unknown kind {kind!r}; allowed: {', '.join(takes)} and ner:…")
        term = _taken(takes[kind], name, code)
        if term is not None:
            yield "split" in takes[kind], term


def _taken(take: dict[str, Any], name: str, code: str) -> Term | None:
    bracketed = _BRACKETED.match(name)
    name, aliases = (bracketed[1], [bracketed[2]]) if bracketed else (name, [])
    mend = take.get("mend", {})
    name, aliases = mend.get(name, name), [mend.get(alias, alias) for alias in aliases]
    if not re.search(take.get("keep", ""), name) or re.search(take.get("drop", "$^"), name):
        return None
    into = take["into"]
    for split in take.get("split", ()):
        if re.search(split["match"], name):
            if re.search(split.get("drop", "$^"), name):
                return None
            into = split["into"]
            break
    if "alias_without" in take and name.endswith(take["alias_without"]):
        short = name.removesuffix(take["alias_without"])
        if len(short) >= take["alias_min"] and short not in take.get("alias_not", ()):
            aliases.append(short)
    return Term(into, name, tuple(aliases), code, take["source"], take["licence"])


def merge(terms: Iterable[Term]) -> list[Term]:
    """One row a name: the first with a code is kept (else the first), aliases are joined; a name outweighs an alias,
    an earlier alias a later one. Sorted by code of the standard, then name."""
    rows: dict[str, Term] = {}
    for term in terms:
        if not is_term(term.name):
            continue
        term = replace(term, aliases=tuple(a for a in term.aliases if is_term(a)))
        kept = rows.get(term.name)
        if kept is None:
            rows[term.name] = term
        else:
            base = term if term.code and not kept.code else kept
            rows[term.name] = replace(base, aliases=tuple(dict.fromkeys(kept.aliases + term.aliases)))
    taken = set(rows)
    merged = []
    for term in rows.values():
        aliases = tuple(a for a in dict.fromkeys(term.aliases) if a not in taken)
        taken.update(aliases)
        merged.append(replace(term, aliases=aliases))
    return sorted(merged, key=lambda t: (_code_key(t.code), t.name))


def _code_key(code: str) -> tuple:
    """Codes of a standard in the order of the standard (3.2 before 3.10), rows without a code last."""
    parts = re.findall(r"\d+|[^\d.]+", code)
    return (not code, [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts])


def build(source: Path) -> dict[str, list[Term]]:
    """All tables by kind, from the lists, the grammars and `source`/terms/terms.tsv.

    Rows that were classed by a pattern (the `split`s of `sources.toml`) give way to every other origin.
    """
    certain: list[Term] = []
    for kind in KINDS:
        written, grammar = HERE / "lists" / f"{kind}.txt", HERE / "grammars" / f"{kind}.toml"
        if written.exists():
            certain += read_list(written)
        if grammar.exists():
            certain += read_grammar(grammar)
    classed: list[Term] = []
    for by_pattern, term in read_source(source / "terms" / "terms.tsv"):
        (classed if by_pattern else certain).append(term)
    named = {name for term in certain for name in term.names}
    guesses = [term for term in classed if term.name not in named]
    by_kind = {kind: merge(term for term in (*certain, *guesses) if term.kind == kind) for kind in KINDS}
    return {kind: terms for kind, terms in by_kind.items() if terms}


def table_text(terms: Iterable[Term]) -> str:
    rows = ("\t".join((t.kind, t.name, ALIAS_SEPARATOR.join(t.aliases), t.code, t.source, t.licence)) for t in terms)
    return "\n".join(("\t".join(COLUMNS), *rows)) + "\n"


def describe(terms: list[Term], text: str) -> dict[str, Any]:
    """The manifest's entry of one table."""
    origins: dict[tuple[str, str], int] = {}
    for term in terms:
        origins[term.source, term.licence] = origins.get((term.source, term.licence), 0) + 1
    return {
        "rows": len(terms),
        "names": sum(len(term.names) for term in terms),
        "coded": sum(1 for term in terms if term.code),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "origin": [{"source": s, "licence": licence, "rows": n} for (s, licence), n in sorted(origins.items())],
    }


def check(tables: Path, manifest: Path, source: Path | None = None) -> Iterator[str]:
    """Yields each fault of the tables: format, drift from the manifest, drift from the sources (if given)."""
    try:
        entries = json.loads(manifest.read_text(encoding="utf-8"))["tables"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        yield f"{manifest.name}: cannot be read ({type(error).__name__}); allowed: what python -m vocab.build writes"
        return
    present = {path.stem: path for path in sorted(tables.glob("*.tsv"))}
    for kind in sorted(entries.keys() - present.keys()):
        yield f"{kind}.tsv: named in {manifest.name}, not in {tables.name}/"
    made = build(source) if source else {}
    for kind, path in present.items():
        if kind not in entries:
            yield f"{path.name}: not named in {manifest.name}; allowed: {', '.join(sorted(entries))}"
            continue
        try:
            terms = read_table(path)
        except VocabularyError as error:
            yield str(error)
            continue
        entry = describe(terms, path.read_bytes().decode("utf-8"))
        for key, value in entry.items():
            if value != entries[kind].get(key):
                yield f"{path.name}: {key} differs from {manifest.name} → run python -m vocab.build, or restore it"
                break
        if source and table_text(made.get(kind, [])).encode() != path.read_bytes():
            yield f"{path.name}: differs from what lists, grammars and sources make → run python -m vocab.build"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m vocab.build", description=__doc__.splitlines()[0])
    parser.add_argument("--source", type=Path, help="data folder that holds terms/terms.tsv (default when building: "
                                                    "TCMSTRUCT_DATA or ../shared/data; when checking: none)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 on any fault or drift")
    options = parser.parse_args(arguments)
    source = options.source
    if source is None and not options.check:
        source = Path(os.environ.get("TCMSTRUCT_DATA", "../shared/data"))
    if source is not None and not (source / "terms" / "terms.tsv").is_file():
        print(f"{source}: holds no terms/terms.tsv → give --source DIR or set TCMSTRUCT_DATA", file=sys.stderr)
        return 4
    try:
        if options.check:
            faults = list(check(TABLES, HERE / MANIFEST, source))
            for fault in faults:
                print(fault, file=sys.stderr)
            return 1 if faults else 0
        made = build(source)
    except VocabularyError as error:
        print(error, file=sys.stderr)
        return 4
    TABLES.mkdir(exist_ok=True)
    for stale in TABLES.glob("*.tsv"):
        if stale.stem not in made:
            stale.unlink()
    manifest: dict[str, Any] = {"columns": list(COLUMNS), "tables": {}}
    for kind, terms in made.items():
        text = table_text(terms)
        (TABLES / f"{kind}.tsv").write_text(text, encoding="utf-8", newline="\n")
        manifest["tables"][kind] = describe(terms, text)
    (HERE / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for kind, entry in manifest["tables"].items():
        print(f"{kind}\t{entry['rows']} rows\t{entry['names']} names\t{entry['coded']} with a code")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""From a mention or a diagnosis string to a code, by rules that are named in the answer.

The rules in order: *exact* (the preferred name), *alias* (another name of the table), *composed* (a malignant growth by
its site: `growth`), *normalised* (a name after folding: `fold`), *fuzzy* (edit distance, where every character that
turns a name into another one agrees), then none.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from rapidfuzz import process
from rapidfuzz.distance import Levenshtein

from tcmstruct.errors import UsageError
from tcmstruct.linking.codes import KINDS, Code, shipped_codes
from tcmstruct.linking.fold import canonical, forms
from tcmstruct.linking.growth import category
from tcmstruct.linking.rules import RULES_FILE

RULES: tuple[str, ...] = ("exact", "alias", "composed", "normalised", "fuzzy")

_EITHER = "中医诊断"
KINDS_OF_TYPE: dict[str, tuple[str, ...]] = {
    **{kind: (kind,) for kind in KINDS},
    "证候": ("syndrome", "disease_tcm"),
    "中医病名": ("disease_tcm", "syndrome"),
    _EITHER: ("disease_tcm", "syndrome"),
    "西医诊断": ("disease_western",),
}
"""Kind or entity type → the kinds whose names are tried, in this order. A kind is strict; a type is what a model said,
and models take 证候 for 中医病名: the other table is tried after its own. 中医诊断 is the gold guide's type for both."""

_TCM = ("disease_tcm", "syndrome")
_CACHE_SIZE = 65_536
_STEP_COST = 0.03
_NORMALISED_SCORE, _COMPOSED_SCORE, _FUZZY_SCALE = 0.97, 0.95, 0.95
_NOT_THE_DISEASE = re.compile(RULES_FILE.not_the_disease)
_NUMBERING = re.compile(r"\s*(?:[(（]?\d{1,2}[)）]|\d{1,2}[.、．](?!\d)|[①-⑳]|[一二三四五六七八九十]、)\s*")
_SPREAD = re.compile(r"(.+?(?:癌|瘤|ca|mt))(?!转移)(?:伴|并)?(.+转移.*)", re.IGNORECASE)
"""A growth and what it spread to, in one word: 直肠癌肝转移."""
_SYMPTOM_CHAPTER = "19."
"""Chapter of GB/T 16751.1-2021 for symptoms that stand for a disease: gives way where a disease has the same form."""


@dataclass(frozen=True, slots=True)
class Link:
    """A code for a name.

    Attributes:
        system: standard or the hospital's own system.
        code: the code there.
        name: the preferred name there.
        score: in [0, 1]; 1 for exact names and aliases, less for every step of folding, the similarity for fuzzy.
        rule: one of `RULES`.
        also: codes of other tables for the same name, e.g. the shipped one after the user's own.
    """

    system: str
    code: str
    name: str
    score: float
    rule: str
    also: tuple[Link, ...] = ()

    def to_dict(self) -> dict[str, object]:
        out: dict[str, object] = {"system": self.system, "code": self.code, "name": self.name,
                                  "score": round(self.score, 3), "rule": self.rule}
        if self.also:
            out["also"] = [link.to_dict() for link in self.also]
        return out


@dataclass(frozen=True, slots=True)
class Part:
    """One diagnosis of a composite one.

    Attributes:
        text: the words, `whole[start:end]`.
        start, end: code points of the string that was split.
        kind: the kind whose table gave the link, or the first that was tried.
        link: the code, or None.
    """

    text: str
    start: int
    end: int
    kind: str
    link: Link | None

    def to_dict(self, offset: int = 0) -> dict[str, object]:
        """The JSON shape of one code of an entity that begins at `offset`; only for a part with a link."""
        assert self.link is not None
        return {"start": offset + self.start, "end": offset + self.end, **self.link.to_dict()}


@dataclass(frozen=True, slots=True)
class Conflict:
    """A name to which the user's table and the shipped one give different codes of the same system."""

    name: str
    system: str
    own: str
    shipped: str

    def __str__(self) -> str:
        return f"{self.name}: {self.system} {self.own} in the own table, {self.shipped} in the shipped one; the own stands first"


class _Index:
    """Names of one kind: as written, and by canonical form."""

    def __init__(self, kind: str, codes: Sequence[Code]) -> None:
        self.kind = kind
        self.names: dict[str, list[Code]] = {}
        self.aliases: dict[str, list[Code]] = {}
        self.forms: dict[str, list[Code]] = {}
        for code in codes:
            self._add(self.names, code.name, code)
            for alias in code.aliases:
                self._add(self.aliases, alias, code)
            for name in (code.name, *code.aliases):
                self._add(self.forms, canonical(name, kind), code)
        self.choices = [form for form in self.forms if len(form) >= RULES_FILE.min_characters]
        self.critical = {form: _critical(form) for form in self.choices}

    @staticmethod
    def _add(table: dict[str, list[Code]], name: str, code: Code) -> None:
        held = table.setdefault(name, [])
        if code not in held:
            held.append(code)


def _critical(form: str) -> Counter[str]:
    return Counter(char for char in form if char in RULES_FILE.critical)


class Linker:
    """Links names to codes; made once, then cheap (an index by form, and a memory of the surfaces met).

    Args:
        own: rows of the user's table (`read_codes`); they are added to the shipped table and never replace it.
        shipped: the shipped table.

    Attributes:
        conflicts: names that both tables know with different codes of one system.
    """

    def __init__(self, own: Iterable[Code] = (), shipped: Iterable[Code] | None = None) -> None:
        every = [*own, *(shipped_codes() if shipped is None else shipped)]  # the user's first
        self._index = {kind: _Index(kind, [code for code in every if kind in code.kinds]) for kind in KINDS}
        self._by_code = {(code.system, code.code): code for code in reversed(every)}
        self._memory: dict[tuple[str, str], Link | None] = {}
        self._split: dict[tuple[str, str], tuple[Part, ...]] = {}
        self.conflicts: tuple[Conflict, ...] = tuple(dict.fromkeys(self._find_conflicts()))

    def _find_conflicts(self) -> Iterator[Conflict]:
        for index in self._index.values():
            for codes in index.forms.values():
                for mine in (code for code in codes if code.own):
                    theirs = [code.code for code in codes if not code.own and code.system == mine.system]
                    if theirs and mine.code not in theirs:
                        yield Conflict(mine.name, mine.system, mine.code, theirs[0])

    def link(self, surface: str, kind: str) -> Link | None:
        """The code of one name.

        Args:
            surface: the words of a mention or of a diagnosis, one disease or syndrome (several: `parts`).
            kind: one of `KINDS`, or an entity type (证候, 中医病名, 西医诊断, and the coarse 中医诊断).

        Raises:
            UsageError: an unknown kind.
        """
        _check_kind(kind)
        key = (surface, kind)
        if key not in self._memory:
            if len(self._memory) >= _CACHE_SIZE:
                self._memory.clear()
            kinds = KINDS_OF_TYPE[kind]
            if kind == _EITHER and surface.rstrip().endswith("证"):
                kinds = KINDS_OF_TYPE["证候"]
            self._memory[key] = self._link(surface.strip(), kinds)
        return self._memory[key]

    def _link(self, surface: str, kinds: tuple[str, ...]) -> Link | None:
        for rule in (self._as_written, self._composed, self._normalised, self._fuzzy):
            for kind in kinds:
                if (link := rule(surface, kind)) is not None:
                    return link
        return None

    def _as_written(self, surface: str, kind: str) -> Link | None:
        index = self._index[kind]
        found = [(code, 1.0, "exact") for code in index.names.get(surface, ())]
        found += [(code, 1.0, "alias") for code in index.aliases.get(surface, ())]
        if found:  # the user's row of the same form, even if it is written otherwise
            held = {code for code, *_ in found}
            found += [(code, _NORMALISED_SCORE, "normalised") for code in index.forms.get(canonical(surface, kind), ())
                      if code.own and code not in held]
            found.sort(key=lambda one: not one[0].own)
        return _answer([Link(code.system, code.code, code.name, score, rule) for code, score, rule in found])

    def _normalised(self, surface: str, kind: str) -> Link | None:
        if len(surface) < 2:
            return None
        index = self._index[kind]
        for form, steps in forms(surface, kind):
            codes = index.forms.get(form)
            if codes and (steps == 0 or not _NOT_THE_DISEASE.search(surface)):
                return _answer(_links(_one_meaning(codes), _NORMALISED_SCORE - _STEP_COST * steps, "normalised"))
        return None

    def _composed(self, surface: str, kind: str) -> Link | None:
        if kind != "disease_western" or _NOT_THE_DISEASE.search(surface):
            return None
        code = self._by_code.get(("ICD-10", category(surface) or ""))
        return None if code is None else _answer(_links([code], _COMPOSED_SCORE, "composed"))

    def _fuzzy(self, surface: str, kind: str) -> Link | None:
        index, form = self._index[kind], canonical(surface, kind)
        if len(form) < RULES_FILE.min_characters or _NOT_THE_DISEASE.search(surface):
            return None
        near = process.extract(form, index.choices, scorer=Levenshtein.normalized_similarity, limit=5,
                               score_cutoff=RULES_FILE.threshold[kind])
        critical = _critical(form)
        for choice, similarity, _ in near:
            if index.critical[choice] == critical:
                return _answer(_links(_one_meaning(index.forms[choice]), similarity * _FUZZY_SCALE, "fuzzy"))
        return None

    def parts(self, text: str, kind: str) -> tuple[Part, ...]:
        """Splits a diagnosis string and links each part.

        Numbering, signs (；、，), brackets (痹证(风寒湿痹)), a hyphen (胸痹-气虚血瘀证) and words between two diagnoses
        (兼, 伴, 合并) split; the last three only where the whole has no row. In brackets and after a hyphen a syndrome
        may stand with a disease, so both tables are tried there.

        Returns:
            The parts in the order of the text, each with its offsets and its link or None.
        """
        _check_kind(kind)
        key = (text, kind)
        if key not in self._split:
            if len(self._split) >= _CACHE_SIZE:
                self._split.clear()
            self._split[key] = tuple(self._parts(text, kind))
        return self._split[key]

    def _parts(self, text: str, kind: str) -> Iterator[Part]:
        link = self.link(text, kind)
        if link is not None and link.rule in ("exact", "alias"):
            yield from self._part(text, 0, len(text), kind)
            return
        for start, end in _pieces(text):
            yield from self._piece(text, start, end, kind)

    def _piece(self, text: str, start: int, end: int, kind: str) -> Iterator[Part]:
        piece = text[start:end]
        tcm = KINDS_OF_TYPE[kind][0] != "disease_western"
        bracket = re.search(r"[(（]([^()（）]+)[)）]$", piece) if tcm else None
        if bracket and bracket.start():
            yield from self._part(text, start, start + bracket.start(), kind)
            for inner_start, inner_end in _pieces(bracket[1]):
                offset = start + bracket.start(1)
                yield from self._either(text, offset + inner_start, offset + inner_end, kind)
            return
        if self.link(piece, kind) is not None:
            yield from self._part(text, start, end, kind)
            return
        hyphen = re.search(r"[-—–－]+", piece) if tcm else None
        if hyphen and hyphen.start() > 0 and hyphen.end() < len(piece):
            yield from self._either(text, start, start + hyphen.start(), kind)
            yield from self._either(text, start + hyphen.end(), end, kind)
            return
        spread = None if tcm or _NOT_THE_DISEASE.search(piece) else _SPREAD.match(piece)
        if spread and self.link(spread[1], kind) is not None:
            yield from self._part(text, start, start + spread.end(1), kind)
            yield from self._piece(text, start + spread.start(2), end, kind)
            return
        for word in RULES_FILE.joining[KINDS_OF_TYPE[kind][0]]:
            at = piece.find(word)
            if 0 < at < len(piece) - len(word) and self.link(piece[:at], kind) is not None:
                yield from self._part(text, start, start + at, kind)
                yield from self._piece(text, start + at + len(word), end, kind)
                return
        yield from self._part(text, start, end, kind)

    def _either(self, text: str, start: int, end: int, kind: str) -> Iterator[Part]:
        """A part of a TCM diagnosis, by its own kind first, then by the other TCM table."""
        other = next((k for k in _TCM if k not in KINDS_OF_TYPE[kind]), None)
        piece = text[start:end]
        if other and (piece.endswith("证") or self.link(piece, kind) is None) and self.link(piece, other) is not None:
            kind = other
        yield from self._part(text, start, end, kind)

    def _part(self, text: str, start: int, end: int, kind: str) -> Iterator[Part]:
        if word := next((w for w in RULES_FILE.joining[KINDS_OF_TYPE[kind][0]] if text.startswith(w, start)), ""):
            start += len(word) if self.link(text[start + len(word) : end], kind) is not None else 0
        while start < end and text[start].isspace():
            start += 1
        while end > start and text[end - 1].isspace():
            end -= 1
        if start < end:
            link = self.link(text[start:end], kind)
            kinds = KINDS_OF_TYPE[kind]
            table = next((k for k in kinds if link and (link.system, link.code) in self._by_code
                          and k in self._by_code[link.system, link.code].kinds), kinds[0])
            yield Part(text[start:end], start, end, table, link)


def _check_kind(kind: str) -> None:
    if kind not in KINDS_OF_TYPE:
        raise UsageError(f"unknown kind {kind!r}; allowed: {', '.join(KINDS_OF_TYPE)}", code="unknown_kind")


def _links(codes: Iterable[Code], score: float, rule: str) -> list[Link]:
    return [Link(code.system, code.code, code.name, score, rule) for code in codes]


def _answer(links: Sequence[Link]) -> Link | None:
    """The first link, with one more for every other system or table that knows the name. The user's rows come first."""
    if not links:
        return None
    first, *others = dict.fromkeys(links)
    also = {(link.system, link.code): link for link in reversed(others)}
    also.pop((first.system, first.code), None)
    return replace(first, also=tuple(reversed(also.values())))


def _one_meaning(codes: Sequence[Code]) -> Sequence[Code]:
    """The codes of a folded form, if they agree within each system; nothing where folding made two names one."""
    shipped = [code for code in codes if not code.own]
    if len({code.code for code in shipped}) > 1:
        diseases = [code for code in shipped if not code.code.startswith(_SYMPTOM_CHAPTER)]
        shipped = diseases if len({code.code for code in diseases}) == 1 else []
    own = [code for code in codes if code.own]
    by_system: dict[str, set[str]] = {}
    for code in own:
        by_system.setdefault(code.system, set()).add(code.code)
    return [*(code for code in own if len(by_system[code.system]) == 1), *shipped]


def _pieces(text: str) -> Iterator[tuple[int, int]]:
    """Spans between signs outside of brackets, without numbering."""
    depth, start = 0, 0
    spans = []
    for i, char in enumerate(text):
        depth += (char in "(（") - (char in ")）" and depth > 0)
        if char in RULES_FILE.signs and not depth and not _NUMBERING.fullmatch(text, start, i + 1):
            spans.append((start, i))
            start = i + 1
    spans.append((start, len(text)))
    for begin, end in spans:
        if numbered := _NUMBERING.match(text[begin:end]):
            begin += numbered.end()
        if text[begin:end].strip():
            yield begin, end

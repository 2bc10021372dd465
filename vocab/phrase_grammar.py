"""Parser of tongue, coating, pulse, stool, sputum and urine phrases by a grammar that is data. Standard library only.

The grammar is `phrases/*.toml`: `common.toml` (degrees, negations, links, function words, what may stand after what) and
one file a kind (its sites and qualities). A phrase is read as a chain of words; of all chains that the grammar allows,
the one with the fewest words wins, so that the longest word is taken wherever the rest can still be read (舌淡红 is one
colour). What no word covers is reported, never guessed.

    >>> [(p.value, p.degree) for p in parse("苔薄黄微腻").parts]
    [('薄', ''), ('黄', ''), ('腻', '微')]
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from vocab.reader import VocabularyError

PHRASES = Path(__file__).with_name("phrases")
COMMON = "common"

ROLES = ("site", "side", "pressure", "quality", "negation", "degree", "course", "after", "tail", "link", "mark", "filler")
"""What a word does.

site 舌边 · side 左 · pressure 重按 · quality 腻 · negation 无 · degree 微 (before) · course 渐 · after 尤甚 (a degree told
afterwards) · tail 之象 (closes a quality) · link 而 · mark 、 (punctuation) · filler 呈 (function words and verbs of telling).
"""
START, CLOSING, END, GAP = "start", "closing", "end", "gap"
"""Besides the roles: the beginning, a site named after its quality (薄白苔), the end, a character that no word covers."""
_LENT = ("quality", "filler", "tail")
_BEFORE_CLOSING = ("quality", "tail", "after", "filler", "closing")

_TOP = {"kind", "title", "reads", "variants", "follows", "class", "merge", "at"}
_TOP_COMMON = {"kind", "variants", "follows", "class"}
_CLASS = {"name", "role", "field", "words", "patterns", "opens", "whole", "silent", "closes", "outside"}
_FLAGS = ("opens", "whole", "closes")
_MERGE = {"class", "of", "to"}
_AT = {"class", "sites", "of", "to"}

_WORD, _MODIFIER, _OPEN, _CROSS, _UNNAMED, _SKIP = 100, 99, 10, 40, 30, 10_000
"""Cost of a word; of a degree or negation, less, so that 微 before a pulse is the degree and 无 before 腻 the negation; of
opening another topic; of a quality that another topic lends; of one before its topic is named; of a character that no
word covers."""
_MODIFIERS = ("degree", "negation")
_SPACE = re.compile(r"\s")
_NUMBER = r"(?:\d+(?:\.\d+)?|[一二两三四五六七八九十百]+)"


class PhraseError(VocabularyError):
    """A grammar file is not what the format allows; the message names file, key and what is allowed."""


@dataclass(frozen=True, slots=True)
class Part:
    """One quality that a phrase states.

    Attributes:
        start, end: `[start, end)` in code points of the phrase.
        kind: file of the grammar that the quality belongs to (tongue_body, tongue_coating, pulse, stool, sputum, urine).
        word_class: class of the quality in that file, such as "colour".
        value: canonical value, such as "淡红".
        field: field of the schema that the class feeds, or "".
        site: canonical site such as "舌边", "根", "尺"; "" for the whole.
        side: 左, 右, 双 or "".
        pressure: 浮取, 中取, 沉取 (how the pulse was felt) or "".
        degree: canonical degree such as "微", "甚" or "".
        course: 渐, 曾, 将, 时 or "".
        negated: whether the phrase denies it.
    """

    start: int
    end: int
    kind: str
    word_class: str
    value: str
    field: str = ""
    site: str = ""
    side: str = ""
    pressure: str = ""
    degree: str = ""
    course: str = ""
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Parse:
    """What was read of a phrase.

    Attributes:
        parts: qualities in the order of the phrase.
        uncovered: spans that no word covers, or that stand where the grammar does not allow them.
        complete: at least one quality, every character consumed, and nothing left waiting (no 脉弦而, no 苔微).
        words: the chain that was read, as (start, end, role); "gap" where no word covers. White space belongs to none.
    """

    phrase: str
    parts: tuple[Part, ...]
    uncovered: tuple[tuple[int, int], ...]
    complete: bool
    words: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class _Word:
    """A word in one meaning; `values` holds more than one where one word states more (结代)."""

    kind: str
    role: str
    name: str
    values: tuple[str, ...]
    opens: bool = False
    whole: bool = False
    closes: bool = False

    @property
    def lent(self) -> str:
        """How another kind names the class of the word in its `reads`."""
        return f"{self.kind}/{self.name}"


_Step = tuple[int, int, _Word | None]
"""(start, end, word or None where none covers)."""
_State = tuple[str, bool, str]
"""(topic, whether the phrase or the caller named it, role of the last word)."""
_Way = tuple[int, int, "_State | None", "_Word | None"]
"""(cost, place before the last word, state there, last word)."""


@dataclass(slots=True)
class _Class:
    name: str
    role: str
    field: str = ""
    outside: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()


@dataclass(slots=True)
class Grammar:
    """A grammar read from a folder; `Grammar.read()` is the shipped one."""

    titles: dict[str, str] = field(default_factory=dict)
    reads: dict[str, frozenset[str]] = field(default_factory=dict)
    variants: dict[int, str] = field(default_factory=dict)
    follows: dict[str, frozenset[str]] = field(default_factory=dict)
    classes: dict[tuple[str, str], _Class] = field(default_factory=dict)
    words: dict[str, list[_Word]] = field(default_factory=dict)
    patterns: list[tuple[re.Pattern[str], _Word]] = field(default_factory=list)
    merges: list[tuple[str, str, tuple[str, ...], str]] = field(default_factory=list)
    places: list[tuple[str, str, frozenset[str], frozenset[str], str]] = field(default_factory=list)
    longest: int = 1

    @property
    def kinds(self) -> tuple[str, ...]:
        return tuple(self.titles)

    @classmethod
    def read(cls, folder: Path = PHRASES) -> Grammar:
        """Reads `folder`/*.toml strictly.

        Raises:
            PhraseError: no common.toml, not TOML in UTF-8, an unknown key, role, kind or class, a surface that stands twice
                in one kind and role, words that cannot be written (empty, with a space, unbalanced brackets).
        """
        grammar = cls()
        paths = sorted(folder.glob("*.toml"), key=lambda path: (path.stem != COMMON, path.stem))
        if not paths or paths[0].stem != COMMON:
            raise PhraseError(f"{folder.name}: holds no {COMMON}.toml; allowed: {COMMON}.toml and one file a kind")
        tables = {path: _load(path) for path in paths}
        for path, table in tables.items():
            for written, read in _table(table, "variants", path.name).items():
                if len(written) != 1 or not isinstance(read, str) or len(read) != 1:
                    raise PhraseError(f"{path.name}: variants: {written!r}; allowed: one character = one character")
                grammar.variants[ord(written)] = read
        for path, table in tables.items():
            grammar._add(path, table)
        lendable = [*grammar.titles, *(f"{kind}/{name}" for kind, name in grammar.classes)]
        for kind, reads in grammar.reads.items():
            _among(sorted(reads), lendable, f"{kind}.toml: reads")
        grammar.longest = max(map(len, grammar.words), default=1)
        return grammar

    def _add(self, path: Path, table: dict[str, Any]) -> None:
        kind = path.stem
        common = kind == COMMON
        _allow(table, _TOP_COMMON if common else _TOP, path.name)
        if table.get("kind") != kind:
            raise PhraseError(f"{path.name}: kind = {table.get('kind')!r}; allowed: {kind!r}, the name of the file")
        if common:
            self.follows = _follows(_table(table, "follows", path.name), path.name)
        elif "follows" in table:
            raise PhraseError(f"{path.name}: follows; allowed: in {COMMON}.toml only")
        else:
            self.titles[kind] = str(table.get("title", kind))
            self.reads[kind] = frozenset(_list(table, "reads", path.name))
        for n, item in enumerate(_list(table, "class", path.name), start=1):
            where = f"{path.name}: class {item.get('name', n)!r}" if isinstance(item, dict) else f"{path.name}: class {n}"
            self._add_class(kind, item, where)
        names = [name for of, name in self.classes if of == kind]
        for n, item in enumerate(_list(table, "merge", path.name), start=1):
            where = f"{path.name}: merge {n}"
            _allow(item, _MERGE, where, needed=_MERGE)
            _among([item["class"]], names, f"{where}: class")
            self.merges.append((kind, item["class"], tuple(_list(item, "of", where)), item["to"]))
        for n, item in enumerate(_list(table, "at", path.name), start=1):
            where = f"{path.name}: at {n}"
            _allow(item, _AT, where, needed=_AT)
            _among([item["class"]], names, f"{where}: class")
            sites, of = (frozenset(_list(item, key, where)) for key in ("sites", "of"))
            self.places.append((kind, item["class"], sites, of, item["to"]))

    def _add_class(self, kind: str, item: Any, where: str) -> None:
        _allow(item, _CLASS, where, needed={"name", "role"})
        name, role = item["name"], item["role"]
        _among([role], ROLES, f"{where}: role")
        if (kind, name) in self.classes:
            raise PhraseError(f"{where}: named twice; allowed: each class once in a file")
        flags = [item.get(key, False) for key in _FLAGS]
        if not all(isinstance(flag, bool) for flag in flags):
            raise PhraseError(f"{where}: {', '.join(_FLAGS)}; allowed: true or false")
        outside, silent = (frozenset(_list(item, key, where)) for key in ("outside", "silent"))
        self.classes[kind, name] = _Class(name, role, str(item.get("field", "")), outside, silent)
        for value in _table(item, "words", where):
            word = _Word(kind, role, name, tuple(value.split("+")), *flags)
            for surface in _list(item["words"], value, f"{where}: words"):
                for written in _expand(surface, f"{where}: {value}"):
                    self._add_word(self.fold(written)[0], word, where)
        for value in _table(item, "patterns", where):
            word = _Word(kind, role, name, tuple(value.split("+")))
            for pattern in _list(item["patterns"], value, f"{where}: patterns"):
                try:
                    self.patterns.append((re.compile(pattern.replace("{n}", _NUMBER)), word))
                except re.error as error:
                    raise PhraseError(f"{where}: patterns: {value!r}: {error}; allowed: a regular expression, {{n}} for "
                                      "a number") from None

    def _add_word(self, surface: str, word: _Word, where: str) -> None:
        if not surface:
            raise PhraseError(f"{where}: an empty word; allowed: one character or more")
        for other in self.words.get(surface, ()):
            if other == word:
                return
            if other.kind == word.kind and other.role == word.role:
                raise PhraseError(f"{where}: {surface!r} stands in {other.name!r} ({'+'.join(other.values)}) too; allowed: "
                                  "a word once in a kind and role")
        self.words.setdefault(surface, []).append(word)

    # ---------------------------------------------------------------- reading a phrase

    def fold(self, phrase: str) -> tuple[str, list[int]]:
        """The phrase with variants replaced and white space left out, and the place of each kept character."""
        chars: list[str] = []
        places: list[int] = []
        for place, char in enumerate(phrase):
            folded = unicodedata.normalize("NFKC", char)
            char = folded if len(folded) == 1 else char
            if not _SPACE.match(char) and unicodedata.category(char) not in ("Cc", "Cf"):
                chars.append(self.variants.get(ord(char), char))
                places.append(place)
        return "".join(chars), places

    def parse(self, phrase: str, kind: str | None = None) -> Parse:
        """Reads a phrase.

        Args:
            phrase: tongue, coating, pulse, stool, sputum or urine words, several kinds in one phrase too.
            kind: what the phrase speaks of where it does not say so itself (有裂纹, 弦滑). With None it must say so itself
                (舌, 苔, 脉, 大便 …) to be complete.

        Raises:
            ValueError: unknown kind.
        """
        if kind is not None and kind not in self.titles:
            raise ValueError(f"unknown kind {kind!r}; allowed: {', '.join(self.titles)}")
        text, places = self.fold(phrase)
        starts = [(kind, True, START)] if kind else [(topic, False, START) for topic in self.kinds]
        chain, closed = self._best(text, starts)
        uncovered = _spans(place for start, end, word in chain if word is None for place in places[start:end])
        parts = tuple(_parts(chain, places, self))
        words = tuple((places[start], places[end - 1] + 1, word.role if word else GAP) for start, end, word in chain)
        return Parse(phrase, parts, uncovered, bool(parts) and closed and not uncovered, words)

    def _readings(self, text: str) -> list[list[tuple[int, _Word]]]:
        """For each place the (end, word) that begin there, longest first."""
        found: list[list[tuple[int, _Word]]] = []
        size, words, longest = len(text), self.words, self.longest
        for start in range(size):
            here = [(end, word) for end in range(min(size, start + longest), start, -1)
                    for word in words.get(text[start:end], ())]
            here += [(hit.end(), word) for pattern, word in self.patterns
                     if (hit := pattern.match(text, start)) and hit.end() > start]
            found.append(sorted(here, key=lambda reading: -reading[0]))
        return found

    def _best(self, text: str, starts: Iterable[_State]) -> tuple[list[_Step], bool]:
        """The cheapest chain, and whether it may end there with its topic named.

        A chart: at each place one cheapest way for each state; so the work is the number of characters times the words
        that begin at one, whatever the phrase. Of equal ways the one whose last word is longest is kept.
        """
        readings = self._readings(text)
        chart: list[dict[_State, _Way]] = [{} for _ in range(len(text) + 1)]
        for rank, start in enumerate(starts):
            chart[0][start] = (rank, 0, None, None)
        for place, cell in enumerate(chart[:-1]):
            for state, (cost, _, _, before) in cell.items():
                topic, named, last = state
                allowed = self.follows[last]
                for end, word in readings[place]:
                    if word.role not in allowed:
                        continue
                    reached, step = (topic, named), _MODIFIER if word.role in _MODIFIERS else _WORD
                    if word.opens:
                        reached = (word.kind, named or word.role == "site")
                        step += _OPEN * (word.kind != topic)
                    elif word.kind not in (COMMON, topic):
                        if word.role not in _LENT or self.reads[topic].isdisjoint((word.kind, word.lent)):
                            continue
                        step += _CROSS
                    if word.role == "quality" and not named:
                        step += _UNNAMED
                    role = word.role
                    if role == "site" and last in _BEFORE_CLOSING and before and before.kind in (COMMON, word.kind):
                        role = CLOSING
                    _offer(chart[end], (*reached, role), (cost + step, place, state, word))
                _offer(chart[place + 1], (topic, named, GAP), (cost + _SKIP, place, state, None))
        ends = chart[-1]
        may_end = {state: state[1] and END in self.follows[state[2]] for state in ends}
        state = min(ends, key=lambda s: ends[s][0] + (0 if may_end[s] else _SKIP))
        closed = may_end[state]
        chain: list[_Step] = []
        place = len(text)
        while state is not None and place > 0:
            _, start, previous, word = chart[place][state]
            chain.append((start, place, word))
            place, state = start, previous
        return chain[::-1], closed

    # ---------------------------------------------------------------- fields

    def fields(self, parse: Parse) -> dict[str, list[str]]:
        """The schema's fields that a parse states, values in the order of the phrase.

        Denied qualities, and those that were or are to come, state nothing. `[[at]]` gives a quality another value at some
        sites (红 at 舌尖 is 尖红), `[[merge]]` makes one value of several at one site (红 and 暗 are 暗红).
        """
        silent = frozenset[str]().union(*(c.silent for c in self.classes.values()))
        told: dict[tuple[str, str, str], dict[str, int]] = {}
        for n, part in enumerate(parse.parts):
            outside = self.classes[part.kind, part.word_class].outside
            if part.field and not part.negated and part.course not in silent and part.value not in outside:
                value = self._at(part)
                if value:
                    told.setdefault((part.kind, part.word_class, part.site), {}).setdefault(value, n)
        stated: list[tuple[int, str, str]] = []
        for (kind, name, _), values in told.items():
            for of_kind, of_name, of, to in self.merges:
                if (of_kind, of_name) == (kind, name) and values.keys() >= set(of):
                    place = min(values[value] for value in of)
                    values = {value: n for value, n in values.items() if value not in of} | {to: place}
            stated += [(n, self.classes[kind, name].field, value) for value, n in values.items()]
        out: dict[str, list[str]] = {}
        for _, field_name, value in sorted(stated, key=lambda row: row[0]):
            own = out.setdefault(field_name, [])
            if value not in own:
                own.append(value)
        return out

    def _at(self, part: Part) -> str:
        for kind, name, sites, of, to in self.places:
            if (kind, name) == (part.kind, part.word_class) and part.site in sites and (part.value in of or "*" in of):
                return to
        return part.value


def _offer(cell: dict[_State, _Way], state: _State, way: _Way) -> None:
    if state not in cell or way[0] < cell[state][0]:
        cell[state] = way


def _spans(places: Iterable[int]) -> tuple[tuple[int, int], ...]:
    spans: list[list[int]] = []
    for place in places:
        if spans and spans[-1][1] == place:
            spans[-1][1] = place + 1
        else:
            spans.append([place, place + 1])
    return tuple((start, end) for start, end in spans)


def _parts(chain: list[_Step], places: list[int], grammar: Grammar) -> Iterator[Part]:
    """The qualities of a chain with what bears on them."""
    last: Part | None = None
    site = side = pressure = degree = course = near = ""
    """`near`: "side" or "part" where that was named last, so that 右尺 + 脉象 stays the right 尺."""
    negated = one = fresh = False
    """`one`: the negation denies one word only; `fresh`: no quality was told since the last site or side."""
    for start, end, word in chain:
        role, value = (word.role, word.values[0]) if word else (GAP, "")
        begin, stop = places[start], places[end - 1] + 1
        if role == "quality":
            own = grammar.classes[word.kind, word.name]
            negated = negated and (last is None or not last.negated or (last.kind, last.word_class) == (word.kind, word.name))
            if last is not None:
                yield last
            for each in word.values:
                made = Part(begin, stop, word.kind, word.name, each, own.field, site, side, pressure, degree, course, negated)
                if each != word.values[-1]:
                    yield made
                last = made
            degree = course = ""
            negated, fresh = negated and not one, False
        elif role == "site":
            if word.whole:
                site = site if near == "part" else ""
                side = side if near else ""
            else:
                site, near = value, "part"
            if word.opens:
                negated, pressure = False, ""
            fresh = True
        elif role == "side":
            site = site if near == "part" else ""
            side, near, fresh = value, "side", True
        elif role == "pressure":
            pressure = value
        elif role == "negation":
            negated, one = True, word.closes
        elif role == "degree":
            degree = value
        elif role == "course":
            course = value
        elif role == "after":
            if last is not None and not fresh:
                last = replace(last, degree=value)
            elif site or side:  # 脉弱，两尺尤甚: weak at 尺 too; 右脉更甚 alone: it is the right one that stands out
                told = last or Part(begin, stop, word.kind, word.name, value)
                if last is not None:
                    yield last
                last = replace(told, start=begin, end=stop, site=site, side=side, degree=value)
        elif role == GAP or word.closes:
            negated, degree, course = False, "", ""
        if role in ("quality", "mark", "link", GAP):
            near = ""
    if last is not None:
        yield last


# -------------------------------------------------------------------- strict reading


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PhraseError(f"{path.name}: not TOML in UTF-8: {error}") from None


def _allow(table: Any, allowed: set[str], where: str, needed: Iterable[str] = ()) -> None:
    if not isinstance(table, dict):
        raise PhraseError(f"{where}: {type(table).__name__}; allowed: a table with {', '.join(sorted(allowed))}")
    unknown = sorted(table.keys() - allowed)
    if unknown:
        raise PhraseError(f"{where}: unknown key {unknown[0]!r}; allowed: {', '.join(sorted(allowed))}")
    missing = sorted(set(needed) - table.keys())
    if missing:
        raise PhraseError(f"{where}: no key {missing[0]!r}; needed: {', '.join(sorted(needed))}")


def _table(table: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise PhraseError(f"{where}: {key} is {type(value).__name__}; allowed: a table")
    return value


def _list(table: dict[str, Any], key: str, where: str) -> list[Any]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise PhraseError(f"{where}: {key!r} is {type(value).__name__}; allowed: a list")
    return value


def _among(found: Iterable[str], allowed: Iterable[str], where: str) -> list[str]:
    allowed, found = list(allowed), list(found)
    for name in found:
        if name not in allowed:
            raise PhraseError(f"{where}: unknown {name!r}; allowed: {', '.join(allowed)}")
    return found


def _follows(table: dict[str, Any], where: str) -> dict[str, frozenset[str]]:
    for role in (START, CLOSING, *ROLES):
        if role not in table:
            raise PhraseError(f"{where}: follows: no key {role!r}; needed: {START}, {CLOSING}, {', '.join(ROLES)}")
    _among(table, (START, CLOSING, *ROLES), f"{where}: follows")
    allowed = (*ROLES, END)
    follows = {role: frozenset(_among(after, allowed, f"{where}: follows: {role}")) for role, after in table.items()}
    return {**follows, GAP: frozenset(ROLES) | {END}}


def _expand(surface: str, where: str) -> Iterator[str]:
    """All writings of a word: `(甲|乙)` is one of them, `(甲|乙)?` one of them or none."""
    hit = re.search(r"\(([^()]*)\)(\??)", surface)
    if hit is None:
        if re.search(r"[()|?\s]", surface):
            raise PhraseError(f"{where}: {surface!r}; allowed: characters, (a|b) and (a|b)? without spaces")
        yield surface
        return
    for choice in [*hit[1].split("|"), *([""] if hit[2] else [])]:
        yield from _expand(surface[: hit.start()] + choice + surface[hit.end() :], where)


@cache
def shipped() -> Grammar:
    """The shipped grammar, read once."""
    return Grammar.read()


def parse(phrase: str, kind: str | None = None) -> Parse:
    """Reads a phrase with the shipped grammar; see `Grammar.parse`."""
    return shipped().parse(phrase, kind)

"""Names by what stands on both sides of them: who does something (由…录入), whose relative somebody is (…之子), cells and lists.

A frame speaks for a name, so that rarer surnames and given names of one character pass here that do not pass in a plain sentence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tcmstruct.privacy.piece import Piece
from tcmstruct.privacy.shape import (
    COMPOUND,
    FOLLOWERS,
    HAN_RUN,
    LATIN,
    PINYIN,
    following,
    inline,
    like_a_name,
    never,
    other_name,
    other_names,
    sure_place,
)
from tcmstruct.privacy.tables import COMMON, HAN, STRONG, Guard, any_of, read

_CUES = read("cues")
_FRAMES = _CUES["frames"]
_DEEDS, _PERSONS, _KIN = any_of(_FRAMES["deeds"]), any_of(_FRAMES["persons"]), any_of(_FRAMES["kin"])
_LABEL = re.compile(f"(?:{_DEEDS})(?P<who>{_PERSONS})?(?:[:] ?| {{1,4}}|[为是系]|\\(|(?=[{HAN}]))")
"""记录人：, 代签人, 审核：; without a mark only with the word for a person."""
_ANY_PERSON = re.compile(f"[{HAN}](?:{_PERSONS}): ?")
"""证明人：, 介绍人：, whatever they did."""
_NAMED_BY = re.compile(f"(?:{any_of(_FRAMES['holders'])})[为是系]:? ?")
_SPACED = re.compile(f"(?:{'|'.join(' {1,6}'.join(label) for label in _FRAMES['spaced'])})(?: {{0,2}}[:(] {{0,4}}| {{1,4}})")
_DOES = re.compile(f"(?:{any_of(_FRAMES['does'])})")
_WHOSE = re.compile(f"(?:之|的)(?:{_KIN})|家属|家人|您好|你好|\\((?:患者|病人|其|系|为)?(?:之|的)?[长次]?(?:{_KIN})[),]")
_ROLE = re.compile(f"(?:{any_of(_FRAMES['roles'])})(?=[{HAN}])")
_LEADERS = tuple(read("names")["context"]["leaders"])
_LEFT = frozenset(" ,。;:、\n(|")
_AGENTS = frozenset("由随请跟邀嘱让与和及向经")
_PATIENTS = frozenset(("患者", "病人", "患儿", "产妇", "伤者", "孕妇"))
_CELL = re.compile(f"(?:^|(?<=[ |\n]))[{HAN}]{{2,4}}(?=[ |\n]|$)")
_ROW = re.compile("(?<![a-z])[男女](?![用科士婴儿友贞])|[0-9]床|[0-9] ?岁|[0-9]{6}|[12][09][0-9]{2} ?[-./年]")
_ROW_REACH = 40
_LINE = re.compile(f"(?:^|(?<=\n)) *[{HAN}·]{{2,17}}(?:[ /]{{1,4}}[{HAN}·]{{2,17}}){{0,3}} *(?=$|\n|[12][09][0-9]{{2}} ?[-./年])")
_WORD = re.compile(f"[{HAN}·]+")
_LATIN_AFTER = (*_FRAMES["latin_after"], *_CUES["names"]["relative"]["inline"], *_CUES["names"]["patient"]["inline"])
_PERSON_FOLLOWS = re.compile("[, ]{0,3}(?:[男女诉因于之的在来今现已为]|自诉|家属|要求|带来|老人|[0-9]{7})")
_SEX_FOLLOWS = re.compile("[ ,/|(、]{1,4}(?:性别:? ?)?[男女](?![用科士婴儿友贞])")
_BEFORE_NAME = frozenset((*_LEADERS, *_FRAMES["persons"], *_FRAMES["roles"], *_FRAMES["deeds"], "代表", "我叫", "名叫",
                *(cue for table in _CUES["names"].values() for cue in (*table["inline"], *table["labelled"]) if len(cue) > 1)))
_LAST = frozenset(word[-1] for word in _BEFORE_NAME if not word[-1].isascii())
_SIZES = sorted({len(word) for word in _BEFORE_NAME})
_START = re.compile(f"(?:(?<![{HAN}])|(?<=[{''.join(sorted(_LAST))}]))"
                    f"(?:{any_of(COMPOUND)}|[{''.join(sorted(STRONG))}])(?=([{''.join(sorted(COMMON))}]{{1,2}}))")
_JOINT = re.compile(" ?[、/] ?|[与和及]")
_BEFORE_JOINT = re.compile(f"(?:^|[^{HAN}·])([{HAN}]{{2,4}})$")
_LONGEST, _NEAR = 4, 9


def find_framed(text: str, guard: Guard) -> Iterator[Piece]:
    """Names that a frame shows, in a folded text."""
    for m in other_names(text):
        yield Piece("patient", m.start(), m.end(), m[0])
    yield from _labelled(text, guard)
    yield from _doers(text, guard)
    yield from _owners(text, guard)
    yield from _cells(text, guard)
    yield from _signatures(text, guard)
    yield from _latin(text)
    yield from _bare(text, guard)


def _bare(text: str, guard: Guard) -> Iterator[Piece]:
    """A name that begins a clause or follows a word for a person, whose characters all speak for one and which no word overlaps."""
    for m in _START.finditer(text):
        at, surname = m.start(), m.end() - m.start()
        if at and text[at - 1] in _LAST and not any(text[max(0, at - n) : at] in _BEFORE_NAME for n in _SIZES):
            continue
        if guard.begins(text, at) or guard.begins(text, at + surname):
            continue
        for n in range(len(m[1]), 0, -1):
            stop = at + surname + n
            if never(text[at + surname : stop]) or guard.runs_over(text, at, stop) or (n == 1 and following(text, stop, guard) < 2):
                continue
            if n == 2 and text[stop - 1] in FOLLOWERS and following(text, stop, guard) == 2:
                continue  # 李芳|行手术
            yield Piece("patient", at, stop, text[at:stop])
            break


def in_lists(text: str, found: Sequence[Piece], guard: Guard) -> Iterator[Piece]:
    """Names that stand in a list with one that was found: 李建国主任、王红、赵敏协助."""
    done = {piece.start for piece in found}
    waiting = list(found)
    while waiting:
        piece = waiting.pop()
        for start, end in (_right_of(text, piece.end, guard), _left_of(text, piece.start, guard)):
            if start is not None and start not in done:
                done.add(start)
                new = Piece(piece.kind, start, end, text[start:end])
                waiting.append(new)
                yield new


def _labelled(text: str, guard: Guard) -> Iterator[Piece]:
    for m in _LABEL.finditer(text):
        if m["who"] is None and m[0][-1:] not in " :":
            continue
        yield from _named(text, m.end(), "staff", guard, ":" in m[0])
    for m in _ROLE.finditer(text):
        run = HAN_RUN.match(text, m.end())
        if run and text[run.end() : run.end() + 1] in _LEFT:
            strict = like_a_name if text[run.start()] not in STRONG else sure_place
            if strict(text, *run.span(), guard):
                yield Piece("staff", *run.span(), run[0])
    for m in _ANY_PERSON.finditer(text):
        yield from _named(text, m.end(), "staff", guard, True)
    for pattern in (_SPACED, _NAMED_BY):
        for m in pattern.finditer(text):
            yield from _named(text, m.end(), "patient" if pattern is _SPACED else "staff", guard, pattern is _SPACED)


def _named(text: str, at: int, kind: str, guard: Guard, clear: bool) -> Iterator[Piece]:
    """The name that begins here: all of the run where the label is clear, else what can be one within a sentence."""
    m = HAN_RUN.match(text, at)
    if m is None:
        if clear and (latin := LATIN.match(text, at)):
            yield Piece(kind, at, latin.end(), latin[0])
        return
    if (clear or text[m.end() : m.end() + 1] in _LEFT) and sure_place(text, at, m.end(), guard):
        yield Piece(kind, at, m.end(), m[0])
    elif size := inline(text, at, guard):
        yield Piece(kind, at, at + size, text[at : at + size])


def _doers(text: str, guard: Guard) -> Iterator[Piece]:
    last = -_NEAR
    for m in _DOES.finditer(text):
        near = m.start() - last < _NEAR  # 李建国录入, 王红审核: the second clause is built as the first
        for size in (4, 3, 2):
            start, before = m.start() - size, text[max(0, m.start() - size - 1) : m.start() - size]
            if start < 0 or not (start == 0 or before in _LEFT or before in _AGENTS or text.endswith(_LEADERS, max(0, start - 4), start)):
                continue
            if (sure_place if before in _AGENTS or before in "\n。" or near else like_a_name)(text, start, m.start(), guard):
                last = m.end()
                yield Piece("staff", start, m.start(), text[start : m.start()])
                break


def _owners(text: str, guard: Guard) -> Iterator[Piece]:
    for m in _WHOSE.finditer(text):
        for size in (4, 3, 2):
            start = m.start() - size
            of_patient = text[max(0, start - 2) : max(0, start)] in _PATIENTS
            if start < 0 or not (start == 0 or text[start - 1] in _LEFT or of_patient):
                continue
            if (sure_place if of_patient or text[start] in STRONG else like_a_name)(text, start, m.start(), guard):
                yield Piece("patient", start, m.start(), text[start : m.start()])
                break


def _cells(text: str, guard: Guard) -> Iterator[Piece]:
    """A name alone between blanks or strokes, in a row that tells sex, age, bed or a number."""
    for m in _CELL.finditer(text):
        if not _ROW.search(text, max(0, m.start() - _ROW_REACH), m.end() + _ROW_REACH):
            continue
        if like_a_name(text, m.start(), m.end(), guard) and not guard.runs_over(text, m.start(), m.end()):
            yield Piece("patient", m.start(), m.end(), m[0])


def _signatures(text: str, guard: Guard) -> Iterator[Piece]:
    """A line of names alone, with or without a date: 李建国 王红 2023.5.3."""
    for m in _LINE.finditer(text):
        words = [word.span() for word in _WORD.finditer(text, m.start(), m.end())]
        if all(sure_place(text, *word, guard) for word in words) and any(like_a_name(text, *word, guard) for word in words):
            yield from (Piece("staff", *word, text[slice(*word)]) for word in words)


def _latin(text: str) -> Iterator[Piece]:
    for m in LATIN.finditer(text):
        at, end = m.span()
        if at and text[at - 1].isascii() and text[at - 1].isalnum():
            continue
        if not _SEX_FOLLOWS.match(text, end):
            if not text[max(0, at - 12) : at].rstrip(": ").endswith(_LATIN_AFTER):
                continue
            if pinyin := PINYIN.match(text, at):
                end = pinyin.end()
            elif not _PERSON_FOLLOWS.match(text, end):
                continue
        yield Piece("patient", at, end, text[at:end])


def _right_of(text: str, end: int, guard: Guard) -> tuple[int | None, int]:
    joint = _JOINT.match(text, end)
    m = HAN_RUN.match(text, joint.end(), joint.end() + 20) if joint else None
    if m is None:
        return None, 0
    if sure_place(text, m.start(), m.end(), guard) or other_name(m[0]):
        return m.span()
    size = inline(text, m.start(), guard)
    return (m.start(), m.start() + size) if size else (None, 0)


def _left_of(text: str, start: int, guard: Guard) -> tuple[int | None, int]:
    if start < 3 or text[start - 1] not in "、/":
        return None, 0
    m = _BEFORE_JOINT.search(text, max(0, start - _LONGEST - 2), start - 1)
    if m and sure_place(text, *m.span(1), guard):
        return m.span(1)
    for left in (start - 4, start - 3):  # 科室李建国、
        if left > 0 and text.endswith(_LEADERS, max(0, left - 4), left) and like_a_name(text, left, start - 1, guard):
            return left, start - 1
    return None, 0

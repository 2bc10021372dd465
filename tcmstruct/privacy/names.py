"""Names of persons: beside a label (姓名：), within a sentence (患者…, 其妻…), before a title (…主任医师) or sex and age (…，男，56岁).

A label is enough; within a sentence a name must begin with a surname, be no word or term, and be followed by what can follow a
name. A name found once is found wherever it stands in the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain

import ahocorasick

from tcmstruct.privacy.frames import find_framed, in_lists
from tcmstruct.privacy.piece import Piece
from tcmstruct.privacy.shape import (
    COMPOUND,
    DOTTED,
    HAN_RUN,
    LATIN,
    MASK,
    NEVER,
    OTHER_STARTS,
    PINYIN,
    inline,
    like_a_name,
    never,
    other_name,
    sure_place,
    surname_of,
)
from tcmstruct.privacy.tables import COMMON, HAN, STRONG, WEAK, Guard, any_of, kinds_of, read

_NAMES, _CUES = read("names"), read("cues")
_LEADERS = tuple(_NAMES["context"]["leaders"])

_LABELLED = {label: kind for kind, table in _CUES["names"].items() for label in table["labelled"]}
_INLINE = {cue: kind for kind, table in _CUES["names"].items() for cue in table["inline"]}
_INLINE.update({cue: "staff" for cue in _CUES["names"]["staff"]["labelled"] if len(cue) > 1 and cue[-1] in "者人师生手士刀"})
_INLINE.update({f"其{cue}": "relative" for cue in _CUES["names"]["relative"]["inline"] if cue[0] not in "其患病之联"})
_MASKS = re.compile("[某×*○〇△□]|xx")
_TITLES = kinds_of(_CUES["titles"])

_CUE = re.compile(f"(?:{any_of([*_LABELLED, *_INLINE])})")
_MARK = re.compile(r"(?:签名|签字|签章|姓名|\(签[名字]\)|\(盖章\))?(?: {0,3}[:=/|] {0,4}| {1,4}|\()(?:[:] ?)?")
_NEXT = re.compile(r" ?[/、,;&+和及] ?| {1,2}")
_PADDED = re.compile(f"([{HAN}]) {{1,4}}([{HAN}])(?![{HAN}])")
_TITLE = re.compile(f"(?:{any_of(_TITLES)})")
_SEX = re.compile("[男女](?![用科士婴儿友贞])|住院号|门诊号|病案号|性别|年龄|床号")
_BEFORE_SEX = re.compile(r"[ ,/|(、;]{1,4}(?:性别:? ?)?$")
_ONLY_SURNAME = re.compile(r"[×x*〇○△□]{1,3}|某{1,2}")
_YEAR = re.compile(r"[12][09][0-9]{2} ?[-./年]")
_SIGNED = re.compile(rf"(?:^|[\n。; ])([{HAN}]{{2,4}}) {{0,4}}$")
_LINE_END = re.compile(r"\n|$")
_AGENTS = frozenset("由随请跟邀经与和向从")
_COUNTS, _JOINTS = frozenset("两二三四五六几各等"), frozenset(("、", ",", "和", "及", "与", "/"))
_CLAUSE = re.compile(f"[:。\\n;]([{HAN}]{{2,4}}?)({any_of(_NAMES['context']['deeds'])})")
_STROKE = re.compile(r" ?/ ?")
_BEFORE_STROKE = re.compile(f"([{HAN}]{{2,4}})$")
_NO_NAME = frozenset(_NAMES["context"]["no_name"])
_MARK_STARTS = frozenset(" :=/|(签姓")
_STARTS = STRONG | WEAK | OTHER_STARTS | {name[0] for name in COMPOUND}
MAX_PLACES = 2_000
"""Different names of a record that are looked for elsewhere in it; a register of patients holds more, each beside its cue."""


def find_names(text: str, guard: Guard) -> list[Piece]:
    """Names of persons in a folded text."""
    found = [*_beside_cues(text, guard), *_before_titles(text, guard), *_before_sex(text, guard), *_masked(text), *_signed(text, guard),
             *_pairs(text, guard), *_of_deeds(text, guard), *find_framed(text, guard)]
    found += in_lists(text, found, guard)
    full = {p.name: p.kind for p in reversed(found) if len(p.name) > 1 and not _mask(p.name)}
    found += _elsewhere(text, full, guard)
    same: dict[str, list[str]] = {}
    for name in full:
        same.setdefault(name[0], []).append(name)
    return [_linked(p, same.get(p.name, ())) for p in found]


def _beside_cues(text: str, guard: Guard) -> Iterator[Piece]:
    end, dotted = 0, "·" in text  # not every 阿依古丽·买买提 is written with the characters of `shape.DOTTED`
    for m in _CUE.finditer(text):
        cue = m[0]
        if cue[0].isascii() and m.start() and text[m.start() - 1].isascii() and text[m.start() - 1].isalnum():
            continue
        if cue == "床" and not text[m.start() - 1 : m.start()].isdigit():
            continue
        next_ = text[m.end() : m.end() + 1]
        mark = _MARK.match(text, m.end()) if next_ in _MARK_STARTS else None
        if mark:
            clear = bool(mark[0].strip()) and cue in _LABELLED  # a colon, not a space
            pieces = _list_of_names(text, mark.end(), _LABELLED.get(cue) or _INLINE[cue], guard, clear)
            if pieces:
                yield from pieces
                continue
        if cue in _INLINE and m.end() >= end and (next_ in _STARTS or dotted):
            size = inline(text, m.end(), guard)
            if size:
                end = m.end() + size
                yield _piece(text, _INLINE[cue], m.end(), end)


def _list_of_names(text: str, at: int, kind: str, guard: Guard, clear: bool) -> list[Piece]:
    """Names after a label, as 张三/李四."""
    found: list[Piece] = []
    while len(found) < 8:
        piece = _labelled_name(text, at, kind, guard, clear and not found)
        if piece is None:
            break
        found.append(piece)
        more = _NEXT.match(text, piece.end)
        if more is None:
            break
        at = more.end()
    return found


def _labelled_name(text: str, at: int, kind: str, guard: Guard, clear: bool) -> Piece | None:
    padded = _PADDED.match(text, at)
    if padded and padded[1] in STRONG | WEAK and padded[2] not in NEVER and (clear or padded[1] in STRONG):
        return _piece(text, kind, at, padded.end())
    m = HAN_RUN.match(text, at)
    if m is None:
        latin = LATIN.match(text, at) if clear and (kind != "staff" or PINYIN.match(text, at)) else None
        return _piece(text, kind, at, latin.end()) if latin else None
    value = m[0]
    if value in _NO_NAME or value[:4] in _NO_NAME or value[:3] in _NO_NAME or value[:2] in _NO_NAME:
        return None
    mask = MASK.match(text, at + 1)
    if mask and surname_of(value, weak=True):
        return _piece(text, kind, at, mask.end())
    if "·" in value:
        dotted = DOTTED.search(text, at, m.end())  # without the title that may follow
        if dotted and dotted.start() > at:
            size = inline(text, at, guard, weak=clear)
            return _piece(text, kind, at, at + size) if size else None
        return _piece(text, kind, at, dotted.end() if dotted else m.end()) if dotted or len(value) <= 25 else None
    surname = surname_of(value, weak=clear)
    if clear and surname and len(value) - surname in (1, 2) and value not in guard and not guard.term_begins(text, at):
        return _piece(text, kind, at, m.end())
    if clear and 2 <= len(value) <= 4 and value not in guard and not NEVER & set(value) and (
            kind == "patient" or (len(value) < 4 and COMMON.issuperset(value[1:]))):
        return _piece(text, kind, at, m.end())  # a label with a colon is clear enough for a name without a known surname
    size = inline(text, at, guard, weak=clear)
    return _piece(text, kind, at, at + size) if size else None


def _before_titles(text: str, guard: Guard) -> Iterator[Piece]:
    for m in _TITLE.finditer(text):
        end = m.start()
        if text[end - 1 : end] == "(":  # 李建国(主任医师)
            end -= 1
        several = text[end - 1 : end] == "位" and text[end - 2 : end - 1] in _COUNTS  # 张三、李四两位医师
        start = _name_ending(text, end - 2 if several else end, guard)
        end = end - 2 if several else end
        while start is not None:
            yield _piece(text, _TITLES[m[0]], start, end)
            if text[start - 1 : start] not in _JOINTS:
                break
            end = start - 1
            start = _name_ending(text, end, guard, alone=False)


def _name_ending(text: str, end: int, guard: Guard, alone: bool = True) -> int | None:
    """Where the name begins that ends here, before a title; a surname alone will do if `alone`."""
    low = max(0, end - 4)
    run = end
    while run > low and HAN_RUN.match(text[run - 1]) :
        run -= 1
    for size in (4, 3, 2, 1):
        start = end - size
        if start < run:
            continue
        value = text[start:end]
        if value[0] in _AGENTS and surname_of(value[1:], weak=True) and value[:2] not in COMPOUND:
            continue  # 随|王红老师, 由|巴淼主任
        if text[start - 1 : start + 1] in guard and start > low:
            continue  # 感谢|王红大夫
        surname = surname_of(value, weak=False) or int(1 < size < 4 and value[0] in WEAK and set(value[1:]) <= COMMON)
        if value in COMPOUND:
            surname = 2
        given = value[surname:]
        if not surname or len(given) > 2 or given == "家" or never(given) or not (alone or given):
            continue
        if value in guard or guard.runs_over(text, start, end) or (not given and text[start - 1 : end] in guard):
            continue  # 随车医生: no 车医生
        before = text[:start] if start < 4 else text[start - 4 : start]
        led = not before or not HAN_RUN.match(before[-1]) or before.endswith(_LEADERS)
        if led or (size > surname and all(c in COMMON for c in value[surname:])):
            return start
    return None


def _before_sex(text: str, guard: Guard) -> Iterator[Piece]:
    for m in _SEX.finditer(text):
        between = _BEFORE_SEX.search(text, max(0, m.start() - 8), m.start())
        if between is None:
            continue
        end, is_label = between.start(), len(m[0]) > 1
        run, low = end, max(0, end - 12)
        while run > low and (HAN_RUN.match(text[run - 1]) or text[run - 1] == "·"):
            run -= 1
        value = text[run:end]
        if is_label and not like_a_name(text, run, end, guard):
            continue
        if len(value) < 2 or value in guard:
            padded = _PADDED.match(text, end - 4) or _PADDED.match(text, end - 3)
            if padded and padded.end() == end and padded[1] in STRONG:
                yield _piece(text, "patient", padded.start(), end)
            continue
        if other_name(value) or "·" in value:
            yield _piece(text, "patient", run, end)
            continue
        for size in (4, 3, 2):
            start = end - size
            surname = surname_of(text[start:end], weak=True) if start >= run else 0
            if not surname or size - surname not in (1, 2) or never(text[start + surname : end]) or text[start:end] in guard:
                continue
            if guard.runs_over(text, start, end):
                continue
            if start == run or text[max(0, start - 4) : start].endswith(_LEADERS) or (
                    text[start] in STRONG and all(c in COMMON for c in text[start + surname : end])):
                yield _piece(text, "patient", start, end)
                break


def _masked(text: str) -> Iterator[Piece]:
    """A surname with a mask in place of the given name: 张某某, 李××."""
    if not _MASKS.search(text):
        return
    for m in MASK.finditer(text):
        surname = text[m.start() - 1 : m.start()]
        alone = m.start() < 2 or not HAN_RUN.match(text[m.start() - 2])
        if surname in STRONG or (surname in WEAK and alone and m[0] in ("某某", "××", "**", "xx")):
            yield _piece(text, "patient", m.start() - 1, m.end())


def _pairs(text: str, guard: Guard) -> Iterator[Piece]:
    """Two names with a stroke between them, the signature of a resident and who is above: 张三/李四."""
    for m in _STROKE.finditer(text):
        left, right = _BEFORE_STROKE.search(text, max(0, m.start() - 6), m.start()), HAN_RUN.match(text, m.end())
        if left is None or right is None or (left.start(1) and HAN_RUN.match(text[left.start(1) - 1])):
            continue
        spans = [left.span(1), (m.end(), right.end())]
        bracketed = text[left.start(1) - 1 : left.start(1)] == "(" and text[right.end() : right.end() + 1] == ")"
        if all((sure_place if bracketed else like_a_name)(text, *span, guard) for span in spans):
            for start, end in spans:
                yield _piece(text, "staff", start, end)


def _of_deeds(text: str, guard: Guard) -> Iterator[Piece]:
    """A name at the beginning of a clause, before what a patient does: ：李建国服药后."""
    for m in _CLAUSE.finditer(text):
        end = m.end(1)
        sure = m[1][0] in STRONG and COMMON.issuperset(m[1][1:]) and (len(m[1]) == 3 or len(m[2]) > 1)
        if sure and like_a_name(text, m.start(1), end, guard) and not guard.runs_over(text, m.start(1), end):
            yield _piece(text, "patient", m.start(1), end)


def _signed(text: str, guard: Guard) -> Iterator[Piece]:
    """A signature: a name by itself at the end of a line, or with a date after it."""
    for end in chain((year.start() for year in _YEAR.finditer(text)), (line.start() for line in _LINE_END.finditer(text))):
        m = _SIGNED.search(text, max(0, end - 9), end)
        if m is None or (m.start() == m.start(1) > 0):  # cut off within a word
            continue
        if like_a_name(text, *m.span(1), guard):
            yield _piece(text, "staff", m.start(1), m.end(1))


def _elsewhere(text: str, full: dict[str, str], guard: Guard) -> Iterator[Piece]:
    """The names found, wherever else they stand; not within a term, and not at all if the name is a word of its own."""
    names = [name for name in full if name not in guard][:MAX_PLACES]
    if not names:
        return
    automaton = ahocorasick.Automaton()
    for name in names:
        automaton.add_word(name, name)
    automaton.make_automaton()
    for last, name in automaton.iter(text):
        start, end = last + 1 - len(name), last + 1
        if not guard.runs_over(text, start, end):
            yield Piece(full[name], start, end, name)


def _linked(piece: Piece, same: Sequence[str]) -> Piece:
    """A surname with a title (张主任) is the one person of that surname whose name is known (张建国主任医师)."""
    return Piece(piece.kind, piece.start, piece.end, same[0]) if piece.kind == "staff" and len(same) == 1 else piece


def _mask(name: str) -> bool:
    return bool(_ONLY_SURNAME.search(name))


def _piece(text: str, kind: str, start: int, end: int) -> Piece:
    return Piece(kind, start, end, text[start:end].replace(" ", ""))

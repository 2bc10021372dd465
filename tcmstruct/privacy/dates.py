"""Dates: moved by a constant of the patient, or cut to year and month. Times of day, ages and relative times (3天前) stay.

A year alone stays too (as under 45 CFR 164.514(b)(2)(i)(C)); two-digit years need 年, 月 and 日, since 08-06-08 is a dose.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, timedelta
from itertools import chain

from tcmstruct.privacy.piece import Piece

_NUMERALS = "一二三四五六七八九"
_CN = "[一二三四五六七八九十]{1,3}"
_YEAR_FIRST = re.compile(
    r"(?P<y>[12][089][0-9]{2})(?:"
    r" ?年 ?(?P<m1>[01]?[0-9]) ?月(?: ?(?P<d1>[0-3]?[0-9])(?: ?[日号]|(?![0-9天个周余年])))?"
    r"| ?(?P<s>[-./]) ?(?P<m2>[01]?[0-9]) ?(?P=s) ?(?P<d2>[0-3]?[0-9])(?![0-9])"
    r"|(?P<m3>[01][0-9])(?P<d3>[0-3][0-9])(?![0-9])"
    r"|[-/](?P<m4>[01][0-9])(?![0-9/\-.]))")
_MONTH_DAY = re.compile("月 ?(?P<d>[0-3]?[0-9]) ?[日号]")
_BEFORE_MONTH = re.compile(r"(?:(?P<y>[0-9]{2}) ?年 ?)?(?P<m>[01]?[0-9]) ?$")
_CN_MONTH = re.compile(f"月(?:(?P<d>{_CN})[日号])?")
_BEFORE_CN_MONTH = re.compile(f"(?:(?P<y>[一二三四五六七八九〇零○]{{4}}|[一二三四五六七八九〇零○]{{2}})年)?(?P<m>{_CN})$")
_TO = re.compile(r" ?(?:[-~至到—、及,]|和) ?(?P<d>[0-3]?[0-9]) ?[日号]")
_BIRTH = re.compile(r"(?:出生|生日|生于|dob|birth)[^0-9\n]{0,8}$")
_FIRST_YEAR, _LAST_YEAR = 1850, 2100


_Found = tuple[int, int, dict[str, tuple[int, int]]]
"""Start, end and the places of year, month and day."""


def find_dates(text: str) -> list[_Found]:
    """Dates of a folded text."""
    return sorted(chain(_numeric(text), _chinese_dates(text) if "月" in text else ()), key=lambda one: one[0])


def moved_dates(text: str, found: Iterable[_Found], mode: str, shift_days: int) -> Iterator[Piece]:
    """Dates with what stands in their place.

    Args:
        found: of `find_dates`.
        mode: "shift" or "cut".
        shift_days: added to every date under "shift".
    """
    year, last = None, 0
    for start, end, spans in found:
        if start < last:
            continue
        values = {name: _value(text[a:b], name) for name, (a, b) in spans.items()}
        if not _possible(values):
            continue
        year, last = values.get("y", year), end
        yield _piece(text, start, end, spans, values, year, mode, shift_days)
        while "d" in values and (more := _TO.match(text, last)):  # 3月5日、7日
            a, b = more.span("d")
            rest = {**({"y": year} if year else {}), "m": values["m"], "d": int(more["d"])}
            if not _possible(rest):
                break
            yield _piece(text, a, b, {"d": (a, b)}, rest, year, mode, shift_days)
            last = more.end()


def _numeric(text: str) -> Iterator[_Found]:
    for m in _YEAR_FIRST.finditer(text):
        if not text[m.start() - 1 : m.start()].isdigit() and not (m["m3"] and _within_number(text, m)):
            yield m.start(), m.end(), {name[0]: m.span(name) for name in m.re.groupindex if m[name] is not None and name != "s"}
    for m in _MONTH_DAY.finditer(text):
        before = _BEFORE_MONTH.search(text, max(0, m.start() - 9), m.start())
        if before and not text[before.start() - 1 : before.start()].isdigit():
            spans = {name: before.span(name) for name in "ym" if before[name] is not None}
            yield before.start(), m.end(), {**spans, "d": m.span("d")}


def _chinese_dates(text: str) -> Iterator[_Found]:
    for m in _CN_MONTH.finditer(text):
        before = _BEFORE_CN_MONTH.search(text, max(0, m.start() - 8), m.start())
        if before and (m["d"] or len(before["y"] or "") == 4):
            spans = {name: before.span(name) for name in "ym" if before[name] is not None}
            yield before.start(), m.end(), {**spans, **({"d": m.span("d")} if m["d"] else {})}


def _value(text: str, name: str) -> int:
    """The number of a year, month or day; 0 for what is none."""
    value = int(text) if text.isascii() else _number(text, name == "y") or 0
    if name == "y" and value < 100:
        return value + (2000 if value <= 50 and text.isascii() else 1900)
    return value


def _piece(text: str, start: int, end: int, spans: dict[str, tuple[int, int]], values: dict[str, int], year: int | None, mode: str,
           shift_days: int) -> Piece:
    """The piece with its new text: the new numbers in the places of the old ones, all else as it was."""
    if mode == "cut":
        if _BIRTH.search(text, max(0, start - 14), start) and "y" in spans:
            return Piece("date", start, end, text=text[start : spans["y"][1]] + ("年" if "年" in text[start:end] else ""))
        if "d" not in spans:
            return Piece("date", start, end, text=text[start:end])
        if "m" not in spans:  # the second day of two: no month stands before it
            return Piece("date", start, end, text="某")
        month_end = spans["m"][1]
        return Piece("date", start, end, text=text[start:month_end] + ("月" if "月" in text[month_end:end] else ""))
    try:
        new = date(values.get("y", year or 2001), values["m"], values.get("d", 15)) + timedelta(days=shift_days)
    except ValueError:  # 2月30日
        return Piece("date", start, end, name=text[start:end])
    out, at = "", start
    for name, number in (("y", new.year), ("m", new.month), ("d", new.day)):
        if name in spans:
            a, b = spans[name]
            out += text[at:a] + _as(text[a:b], number, name == "y", "月" in text[start:end])
            at = b
    return Piece("date", start, end, text=out + text[at:end])


def _as(old: str, number: int, is_year: bool, with_words: bool) -> str:
    """The number written as the old one was."""
    if not old.isascii():
        return "".join("〇一二三四五六七八九"[int(c)] for c in str(number))[-len(old) :] if is_year else _chinese(number)
    if is_year:
        return str(number)[-len(old) :]
    return f"{number:02d}" if len(old) == 2 and (old[0] == "0" or not with_words) else str(number)


def _possible(values: dict[str, int]) -> bool:
    return (1 <= values["m"] <= 12 and 1 <= values.get("d", 1) <= 31
            and _FIRST_YEAR <= values.get("y", 2000) <= _LAST_YEAR)


def _within_number(text: str, m: re.Match[str]) -> bool:
    """Whether eight digits are a group of a longer number (320106 19800112 1234)."""
    before, after = text[max(0, m.start() - 2) : m.start()], text[m.end() : m.end() + 2]
    if before[-1:].isascii() and before[-1:].isalpha():
        return True
    return (len(before) == 2 and before[1] in " -" and before[0].isdigit()) or (len(after) == 2 and after[0] == "-" and after[1].isdigit())


def _number(text: str, is_year: bool) -> int | None:
    """一九八〇 of a year, 二十三 or 十 of a month or day → the number."""
    if is_year:
        return int("".join(str(_NUMERALS.find(c) + 1) for c in text))
    left, ten, right = text.partition("十")
    if len(left) > 1 or len(right) > 1 or "十" in right:
        return None
    tens, ones = (_NUMERALS.find(left) + 1 if left else 1) if ten else 0, _NUMERALS.find(right if ten else left) + 1
    return tens * 10 + (ones if right or not ten else 0)


def _chinese(number: int) -> str:
    tens, ones = divmod(number, 10)
    if not tens:
        return _NUMERALS[ones - 1]
    return ("" if tens == 1 else _NUMERALS[tens - 1]) + "十" + (_NUMERALS[ones - 1] if ones else "")

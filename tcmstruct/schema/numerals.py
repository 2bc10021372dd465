"""Numbers as records write them: Chinese numerals, ranges, and how often something happens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2, "俩": 2, "壹": 1}
_UNITS = {"十": 10, "百": 100, "千": 1000}
_WIDE = str.maketrans("０１２３４５６７８９．", "0123456789.")

_N = r"(?:[0-9０-９]{1,3}|[一二两三四五六七八九]?十[一二三四五六七八九]?|[一二两三四五六七八九])"
_TO = r"(?:[-~～—－–至到或、]{1,2})"
# two neighbouring numerals are a range: 二三 = 2-3, 十七八 = 17-18, 二三十 = 20-30
_SOLID = "|".join(["三五", "五七", "两三", "一两", *(
    a + b for a, b in zip("一二三四五六七八", "二三四五六七八九", strict=True)), *(
    f"十{a}{b}" for a, b in zip("一二三四五六七八", "二三四五六七八九", strict=True)), "二三十", "三四十", "四五十"])


def _span(key: str) -> str:
    """One number or a range, in the groups `key`s (neighbours), `key`a and `key`b."""
    return rf"(?:(?P<{key}s>(?:{_SOLID})(?!十))|(?P<{key}a>{_N})(?:{_TO}(?P<{key}b>{_N}))?)"


_NOT_DATE = "前后来内里"  # 3日前, 日后: no interval
_EVERY = (rf"(?P<every>每[日天晚夜昼]|[日昼]夜|(?<![数几多余半今昨当近次每0-9０-９])日(?![{_NOT_DATE}程])"
          r"|(?P<other>[隔间]日|每隔[一1]?日)|(?P<week>每(?:周|星期)|[一1]周))")
_DAYS = (r"(?<![-~～0-9０-９月年第前后余.．来十数几多])每?" + _span("d")
         + rf"个?[日天](?![{_NOT_DATE}余])/?")
_DOES = r"[^，。；、：,;0-9０-９一二三四五六七八九十数多几曾未不无]{0,9}?"
_FREQUENCY = re.compile("|".join((
    # 日行2-3次, 每日3~4次, 一日一行, 2-3日1行, 四五日一行, 每3天排便1次, 每日排黏腻便4-5次, 隔日1次
    rf"(?:{_EVERY}|{_DAYS}){_DOES}" + _span("n") + r"(?P<more>余|多|几)?(?:[次行遍]|度(?!日))",
    # 3～4次/日, 1-3次/天
    r"(?<![>＞大于数余])" + _span("m") + rf"[次行遍](?:/|每|╱)(?P<per>{_N})?[日天d]",
    # 1-2日/行, 3-5天/次
    r"(?<![0-9０-９月年.．])" + _span("e") + r"[日天]/[次行]",
)))


@dataclass(frozen=True, slots=True)
class Frequency:
    """LOW to HIGH times in DAYS days, found at `[start, end)`."""

    start: int
    end: int
    low: int
    high: int
    days: int

    def __str__(self) -> str:
        return f"{self.low}-{self.high}/{self.days}"


def chinese_number(text: str) -> float | None:
    """三十八 → 38.0, 两 → 2.0, ３８.5 → 38.5; None where it is no number."""
    text = text.translate(_WIDE)
    try:
        return float(text)
    except ValueError:
        pass
    total, current, seen = 0.0, 0.0, False
    for char in text:
        if char in _DIGITS:
            current, seen = _DIGITS[char], True
        elif char in _UNITS:
            total += (current or 1) * _UNITS[char]
            current, seen = 0.0, True
        else:
            return None
    return total + current if seen else None


def _bounds(match: re.Match[str], key: str) -> tuple[int, int] | None:
    solid = match.group(key + "s")
    if solid:
        tens = 10 if solid[0] == "十" else 0
        pair = solid[-2:] if tens else solid[:2]
        factor = 10 if solid.endswith("十") else 1
        return tens + _DIGITS[pair[0]] * factor, tens + _DIGITS[pair[1]] * factor
    first = match.group(key + "a")
    if first is None:
        return None
    low = chinese_number(first)
    high = chinese_number(match.group(key + "b") or first)
    if low is None or high is None:
        return None
    return (int(low), int(high)) if low <= high else (int(high), int(low))


def frequencies(text: str, start: int = 0, end: int | None = None) -> Iterator[Frequency]:
    """Every statement of how often in a text, left to right.

    An interval that is a range takes its upper bound: 2-3日1行 → 1-1/3. Counts without a figure (数次, 十余次)
    give nothing.
    """
    for match in _FREQUENCY.finditer(text, start, len(text) if end is None else end):
        days, times = 1, (1, 1)
        if match.group("na") or match.group("ns"):
            if match.group("more"):
                continue
            times = _bounds(match, "n") or (0, 0)
            if match.group("other"):
                days = 2
            elif match.group("week"):
                days = 7
            elif not match.group("every"):
                days = (_bounds(match, "d") or (1, 1))[1]
        elif match.group("ma") or match.group("ms"):
            times = _bounds(match, "m") or (0, 0)
            days = int(chinese_number(match.group("per") or "1") or 1)
        else:
            days = (_bounds(match, "e") or (1, 1))[1]
        if times[1] and days:
            yield Frequency(match.start(), match.end(), times[0], times[1], days)


_NUMBER = re.compile(r"[0-9０-９]{1,4}(?:[.．][0-9０-９]{1,2})?|[一二两三四五六七八九十]{1,3}")


def numbers(text: str, start: int, end: int) -> Iterator[tuple[float, int, int]]:
    """Figures in `text[start:end]` as (value, start, end)."""
    for match in _NUMBER.finditer(text, start, end):
        value = chinese_number(match.group())
        if value is not None:
            yield value, match.start(), match.end()

"""Numbers that name a person: identity cards, telephones, bank cards, record numbers, plates, accounts; and e-mail.

Sources of the forms: GB 11643 (citizen identification number: region, birth date, check digit; 15 digits before 1999),
YD/T 2592 (mobile numbers), GB/T 2260 (region codes), GA 36 (plates).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tcmstruct.privacy.piece import Piece
from tcmstruct.privacy.tables import any_of, kinds_of, read

_CUES = read("cues")
_KIND_OF_LABEL = {**kinds_of(_CUES["numbers"]), **dict.fromkeys(_CUES["places"]["postcode"], "address")}
_LABEL = re.compile(f"(?:{any_of(_KIND_OF_LABEL)})")
_BETWEEN = re.compile(r"(?:号码|码)?(?: ?\([^()\n0-9]{0,10}\))?(?: {0,4}[:=#\-] {0,4}|[为是]:? ?| {1,4})?(?:no[.:]? ?|第)?")
_SPACED = r"(?:[ \-.·_]{0,2}[0-9x*×])"
_VALUE = {
    "record_number": re.compile(r"[a-z0-9](?:[a-z0-9*]|[-/_](?=[a-z0-9*])){1,39}"),
    "bed": re.compile(r"(?:[加+a-z东西南北]{0,2}[0-9]{1,4}(?:-[0-9]{1,3})?)床?"),
    "id_card": re.compile(rf"[0-9]{_SPACED}{{5,22}}|[a-z]{{1,3}}[0-9]{{6,10}}(?:\([0-9a]\))?"),
    "phone": re.compile(r"[+(]?[0-9](?:[ \-()·.转]{0,2}[0-9*]){4,22}"),
    "bank_card": re.compile(rf"[0-9]{_SPACED}{{7,24}}"),
    "account": re.compile(r"[a-z0-9][a-z0-9_\-.]{4,30}"),
    "address": re.compile(r"[0-9]{6}(?![0-9])"),
}

_EMAIL = re.compile(r"[a-z0-9._%+\-]{1,64}@[a-z0-9\-]{1,63}(?:\.[a-z0-9\-]{1,63}){1,5}")
_S = r"[ \-.·_]?"
_ID18 = re.compile(rf"[1-8](?:{_S}[0-9]){{16}}{_S}[0-9x]")
_ID15 = re.compile(rf"[1-8](?:{_S}[0-9]){{14}}")
_G = r"[ \-.·_]{1,2}"
_MOBILE = re.compile(rf"1[3-9](?:[0-9]{{9}}|[0-9]{_G}[0-9]{{4}}{_G}[0-9]{{4}}|[0-9]{_G}[0-9]{{8}}|[0-9]{{5}}{_G}[0-9]{{4}}|"
                     rf"[0-9]{{2}}{_G}[0-9]{{4}}{_G}[0-9]{{3}}|[0-9]{_G}[0-9]{{3}}{_G}[0-9]{{5}}|[0-9]{{3}}{_G}[0-9]{{3}}{_G}[0-9]{{3}}|"
                     rf"[0-9]{{3}}{_G}[0-9]{{6}})")
_COUNTRY = re.compile(r"(?:\+|00)?\(?86\)?[ \-]?$")
_LOCAL = r"[2-9][0-9]{2,3}[ \-]?[0-9]{4}"
_AREA = "0[1-9][0-9]{1,2}"
_LANDLINE = re.compile(rf"(?:\({_AREA}\) ?\-?|{_AREA}[ \-]{{0,3}}){_LOCAL}(?:(?: ?转|ext| ?\-)[0-9]{{1,6}})?")
_SERVICE = re.compile(r"[48]00-(?:[0-9]{3}-[0-9]{4}|[0-9]{4}-[0-9]{3}|[0-9]{7})")
_CARD_SPACED = re.compile(r"(?:62|4[0-9]|5[1-5])[0-9]{2}(?:[ \-][0-9]{4}){3}(?:[ \-][0-9]{1,3})?")
_MASKED = re.compile(r"[0-9]{2,17}(?:\*{2,}|[×x]{4,})[0-9]{0,6}x?")
_LONG = re.compile(r"[0-9]{9,}x?")
_LETTERED = re.compile(r"[a-z]{1,5}[\-_]?[0-9]{7,}")
_NO_RECORD = ("rs", "nct", "chictr")
_PLATE = re.compile(r"[京津沪渝冀豫云辽黑湘皖鲁苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼新][a-hj-np-z][·. \-]?"
                    "[a-hj-np-z0-9]{4,5}[a-hj-np-z0-9挂学警港澳]")
_BED = re.compile("床(?![旁边位被上下单垫头尾面褥栏椅的以之])")
_BEFORE_BED = re.compile("[加+]?(?<![0-9.])[0-9]{1,3}(?:-[0-9]{1,2})?$")
_PERSON_ROW = re.compile("[|] ?[男女] ?[|]")
_NUMBER_CELL = re.compile(r"(?<=[|])[a-z]{0,3}[0-9][0-9/\-]{4,19}(?=[|])")
"""A number alone between strokes, in a row that tells somebody's sex."""
_ZONE = re.compile(r"[0-9](?:[ \-()·._转]{0,2}[0-9]){6,}")

_PROVINCES = frozenset(map(str, (*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66),
                                 71, 81, 82, 83)))
"""First two digits of region codes (GB/T 2260)."""


def find_numbers(text: str) -> Iterator[Piece]:
    """Numbers that name a person, in the order in which they have a right to their place.

    Args:
        text: folded text.
    """
    if "@" in text:
        for m in _EMAIL.finditer(text):
            yield Piece("email", m.start(), m.end(), m[0])
    yield from _labelled(text)
    for row in _PERSON_ROW.finditer(text):
        low, high = max(0, row.start() - 40), min(len(text), row.end() + 40)
        yield from (Piece("record_number", *m.span(), m[0]) for m in _NUMBER_CELL.finditer(text, low, high))
    for zone in _ZONE.finditer(text):
        yield from _in_zone(text, max(0, zone.start() - 6), min(len(text), zone.end() + 8))
    if "*" in text or "×" in text or "xx" in text:
        for m in _MASKED.finditer(text):
            yield Piece("phone" if len(m[0]) <= 11 else "id_card", m.start(), m.end(), m[0])
    for m in _PLATE.finditer(text):
        if sum(c.isdigit() for c in m[0]) >= 3 and not _latin(text, m.end()):
            yield Piece("plate", m.start(), m.end(), re.sub(r"[·. \-]", "", m[0]))
    for m in _BED.finditer(text):
        before = _BEFORE_BED.search(text, max(0, m.start() - 7), m.start())
        if before and not _latin(text, before.start() - 1):
            yield Piece("bed", before.start(), m.end(), text[before.start() : m.end()])


def _in_zone(text: str, low: int, high: int) -> Iterator[Piece]:
    """Numbers without a label where at least seven digits stand together."""
    for pattern in (_ID18, _ID15):
        for m in pattern.finditer(text, low, high):
            digits = _digits(m[0])
            if _alone(text, m) and _is_id(digits):
                yield Piece("id_card", m.start(), m.end(), _person(digits))
    for pattern in (_MOBILE, _LANDLINE, _SERVICE):
        for m in pattern.finditer(text, low, high):
            if _alone(text, m):
                yield _phone(text, m.start(), m.end())
    for m in _CARD_SPACED.finditer(text, low, high):
        if _alone(text, m):
            yield Piece("bank_card", m.start(), m.end(), _digits(m[0]))
    for m in _LONG.finditer(text, low, high):
        if text[m.start() - 1 : m.start()] != ".":
            yield Piece(_kind_of_long(m[0]), m.start(), m.end(), _person(m[0]) if _is_id(m[0]) else m[0])
    for m in _LETTERED.finditer(text, low, high):
        before = text[max(0, m.start() - 2) : m.start()]
        if not _latin(text, m.start() - 1) and not m[0].startswith(_NO_RECORD) and not before.endswith("字"):
            yield Piece("record_number", m.start(), m.end(), m[0])


def _labelled(text: str) -> Iterator[Piece]:
    for m in _LABEL.finditer(text):
        label, kind = m[0], _KIND_OF_LABEL[m[0]]
        if label[0].isascii() and _latin(text, m.start() - 1):
            continue
        between = _BETWEEN.match(text, m.end())
        assert between is not None
        start = between.end()
        value = _VALUE[kind].match(text, start)
        if value is None or (label[-1].isascii() and not between[0] and not value[0][0].isdigit()):
            continue
        end, found = value.end(), value[0]
        if kind == "phone":
            if sum(c.isdigit() for c in found) >= 5:
                yield _phone(text, start, end)
        elif kind == "id_card":
            digits = _digits(found)
            yield Piece(kind, start, end, _person(digits) if _is_id(digits) else digits)
        elif any(c.isdigit() for c in found) or (kind == "account" and between[0]):
            if kind == "account" and not between[0] and (found[0].isdigit() and sum(c.isdigit() for c in found) < 5):
                continue
            yield Piece(kind, start, end, _digits(found) if kind == "bank_card" else found)


def _phone(text: str, start: int, end: int) -> Piece:
    number = re.sub(r"[^0-9*]", "", text[start:end])
    country = _COUNTRY.search(text, max(0, start - 7), start)
    if country:
        start = country.start()
    elif len(number) > 11 and number.startswith(("86", "0086")):
        number = number[4 if number.startswith("00") else 2 :]
    if start and text[start] != "(" and text[start - 1] == "(" and ")" in text[start:end]:
        start -= 1
    return Piece("phone", start, end, number)


def _digits(text: str) -> str:
    return re.sub(r"[^0-9a-z*×]", "", text)


def _alone(text: str, m: re.Match[str]) -> bool:
    """No further digit on either side, nor a decimal point that makes a fraction of it."""
    before, after = text[max(0, m.start() - 2) : m.start()], text[m.end() : m.end() + 2]
    if before[-1:].isdigit() or after[:1].isdigit():
        return False
    fraction = (len(before) == 2 and before[1] == "." and before[0].isdigit()) or (
        len(after) == 2 and after[0] == "." and after[1].isdigit())
    return not fraction


def _latin(text: str, at: int) -> bool:
    return 0 <= at < len(text) and text[at].isascii() and text[at].isalnum()


def _is_id(digits: str) -> bool:
    """Whether digits have the form of a citizen's number; the check digit may be wrong, as it often is."""
    if len(digits) not in (15, 18) or digits[:2] not in _PROVINCES:
        return False
    birth = digits[6:14] if len(digits) == 18 else "19" + digits[6:12]
    return birth[:2] in ("18", "19", "20") and 1 <= int(birth[4:6]) <= 12 and 1 <= int(birth[6:8]) <= 31


def _person(digits: str) -> str:
    """The number without its check digit, old ones with their century: both forms name the same person."""
    return digits[:17] if len(digits) == 18 else digits[:6] + "19" + digits[6:15]


def _kind_of_long(digits: str) -> str:
    if _is_id(digits) or digits.endswith("x"):
        return "id_card"
    if 16 <= len(digits) <= 19 and digits.startswith(("62", "4", "5")):
        return "bank_card"
    return "phone" if len(digits) == 12 and digits.startswith("0") else "record_number"

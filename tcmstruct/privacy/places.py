"""Addresses, employers and hospitals: beside a label (现住址：), or by how their names are built (西湖区文三路12号, 某某大学附属医院)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from tcmstruct.privacy.piece import Piece
from tcmstruct.privacy.tables import HAN, any_of, kinds_of, read

_CUES, _PLACES = read("cues"), read("places")
_LABELS = kinds_of({kind: _CUES["places"][kind] for kind in ("address", "workplace", "hospital")})
_LABEL = re.compile(f"(?:{any_of(_LABELS)})")
_BETWEEN = re.compile(r"(?:\([^()\n]{0,10}\))?(?: {0,4}[:=] {0,4}|[为在于是]:? ?| {1,4})?")
_OPEN_LABELS = frozenset(["就职于", "供职于", "任职于", "任教于", "工作于", "受雇于", "就读于", "家住", "现住", "祖籍", "籍贯", "原籍"])
"""Words after which a place may follow at once; the others need a colon or a space."""
_VALUE = re.compile(rf"[{HAN}0-9a-z#\-_·()×*~ ]{{2,60}}")
_NEXT_LABEL = re.compile(r" (?=[^ ]{1,10}[:=])| {2,}")
_NO_PLACE = re.compile(rf"(?:{any_of(_PLACES['no_place'])})(?![^,。; \n)])")

_ANY_PLACE = any_of([*_PLACES["provinces"], *_PLACES["cities"]])
_STOP = re.compile(f"(?:{any_of(_PLACES['inside'] + _PLACES['provinces'] + _PLACES['cities'])})|({any_of(_PLACES['stops'])})")
_UNIT, _STREETS = any_of(_PLACES["units"]), any_of(_PLACES["streets"])
_TAIL = re.compile(rf"(?:[{HAN}0-9a-z#\-·]{{0,10}}?(?:{_UNIT}))*(?:[0-9a-z]{{1,5}}(?:-[0-9a-z]{{1,5}}){{0,3}}(?:{_UNIT})?)?")
_CHAIN = re.compile(rf"(?:省|自治区|市|县|自治州|盟)(?=[{HAN}0-9a-z]{{1,9}}?(?:区|县|市|镇|乡|街道|路|街|大道|村|社区|小区|屯|旗|巷|弄))")
_STREET = re.compile(f"(?:{_STREETS})(?<![{_PLACES['no_street']}]路)(?=[0-9]{{1,5}} ?(?:-[0-9]{{1,4}})?(?:号|弄|栋|幢|座|室|组|单元|-)|"
                     "[一二三四五六七八九十]{1,3}(?:组|队|社|单元|幢|栋))")
_RURAL = re.compile(rf"(?:镇|乡)(?=[{HAN}]{{1,5}}(?:村|社区|庄|屯|组))")
_SIGN = re.compile(f"[省市县州盟镇乡]|自治区|{_STREETS}")
_FROM = re.compile(f"(?:{any_of(_PLACES['from'])})((?:{_ANY_PLACE})[{HAN}]{{0,6}}?)(?:人|市|县|省)?"
                   f"(?=[^{HAN}]|$|[长久居后来至因以务工已多])")
_NATIVE = re.compile("人(?=[,。; ])")
_HOME = re.compile(f"(?:{_ANY_PLACE})(?:省|市)?[{HAN}]{{0,5}}(?:县|市|区)?$")

_SUFFIX = re.compile(f"(?:{any_of(_PLACES['hospital_suffixes'])})")
_GENERIC = re.compile(f"(?:{any_of(_PLACES['hospital_generic'])})*")
_AFTER_HOSPITAL = re.compile(rf"(?:\((?:{_ANY_PLACE})[{HAN}]{{0,8}}\)|[东西南北]?(?:分|总|本)?院区?(?=[^{HAN}]|[就住门急检查治]))?")
_COMPANY = re.compile(f"{any_of(_PLACES['employers'])}|第[一二三四五六七八九十0-9]{{1,3}}中学|"
                      "(?:公司|厂|矿|法院|检察院|学校|中学|小学|大学|银行|集团|研究所)(?=职工|员工|工人|职员|教师|干部|工作|退休|会计|司机)")
_JOB = any_of(_PLACES["jobs"])
_EMPLOYER = re.compile(f"(?:{any_of(_PLACES['organs'])})(?:(?=(?:离休|退休|下岗|在职|的)?(?:{_JOB}))|(?=[ )|\n]))")
_AFTER_AGE = re.compile("[0-9] ?岁[ ,、|(]{1,3}$")
_INDUSTRY = re.compile(f"(?:{any_of(_PLACES['industries'])})*$")
_MAX_NAME = 26


def find_labelled_places(text: str) -> Iterator[Piece]:
    """Addresses, employers and hospitals beside a label, to the end of the clause."""
    for m in _LABEL.finditer(text):
        between = _BETWEEN.match(text, m.end())
        assert between is not None
        if not between[0] and m[0] not in _OPEN_LABELS:
            continue
        if len(m[0]) == 2 and m[0] not in _OPEN_LABELS and _PART.match(text[m.start() - 1 : m.start()]):
            continue  # …医院：, …单位: the end of a longer word
        if ":" not in between[0] and "=" not in between[0] and not _PLACE_HERE.match(text, between.end()):
            continue
        value = _VALUE.match(text, between.end())
        if value is None or _NO_PLACE.match(text, between.end()):
            continue
        end = value.end()
        cut = _NEXT_LABEL.search(text, between.end(), end + 12)
        if cut and cut.start() < end:
            end = cut.start()
        other = _LABEL_INSIDE.search(text, between.end() + 1, end)
        if other:
            end = other.start()
        while end > between.end() and text[end - 1] in " -(~":
            end -= 1
        if ")" in text[between.end() : end] and "(" not in text[between.end() : end]:
            end = text.index(")", between.end())
        if end - between.end() >= 2:
            yield Piece(_LABELS[m[0]], between.end(), end, text[between.end() : end].replace(" ", ""))


_LABEL_INSIDE = re.compile(f"(?:{any_of(_PLACES['next_labels'])})")
_PLACE_HERE = re.compile(rf"(?:{_ANY_PLACE})|"
                         rf"[{HAN}]{{2,8}}?(?:省|自治区|市|县|镇|乡|村|街道|路|小区|社区|公司|学校|中学|小学|大学|医院|厂)")


def find_addresses(text: str) -> Iterator[Piece]:
    """Addresses by their build: at least two administrative units, or a street with a number."""
    last = 0
    signs = _SIGN.search(text)
    for anchor in sorted(m.end() for pattern in (_CHAIN, _STREET, _RURAL) for m in pattern.finditer(text)) if signs else ():
        if anchor <= last:
            continue
        start = _left(text, anchor, 12, last)
        unit = len(re.search("(?:自治区|自治州|街道|小区|大道|胡同|花园|花苑|公寓|家园|新村|佳苑|社区|大街|.)$", text[start:anchor])[0])  # type: ignore[index]
        if anchor - unit - start < 1:
            continue
        tail = _TAIL.match(text, anchor)
        end = tail.end() if tail else anchor
        if _SUFFIX.match(text, end) or _hospital_within(text, start, end):
            continue  # a hospital's own name, found as such
        last = end
        yield Piece("address", start, end, text[start:end])
    for m in _FROM.finditer(text):
        yield Piece("address", m.start(1), m.end(1), m[1])
    for m in _NATIVE.finditer(text):  # 江苏南京人
        start = m.start()
        while start > max(0, m.start() - 12) and _PART.match(text[start - 1]):
            start -= 1
        home = _HOME.match(text, start, m.start())
        if home:
            yield Piece("address", start, m.start(), home[0])


def _hospital_within(text: str, start: int, end: int) -> bool:
    m = _SUFFIX.search(text, start, min(len(text), end + 14))
    return m is not None and not re.search(r"[0-9,。;、 ]", text[start : m.start()])


def find_hospitals(text: str) -> Iterator[Piece]:
    """Hospitals by name; 我院, 当地医院, 市中医院 name none. Employers with 有限公司 and schools likewise."""
    for pattern, kind in ((_SUFFIX, "hospital"), (_COMPANY, "workplace")):
        last = 0
        for m in pattern.finditer(text):
            if m.start() < last:
                continue
            start = _left(text, m.start(), _MAX_NAME, last)
            core = text[start : m.start()]
            generic = _GENERIC.match(core)
            if len(core) < 2 or (kind == "hospital" and generic and generic.end() == len(core)):
                continue
            end = m.end()
            more = _AFTER_HOSPITAL.match(text, end) if kind == "hospital" else None
            last = more.end() if more else end
            yield Piece(kind, start, last, text[start:last])


def find_employers(text: str) -> Iterator[Piece]:
    """Employers without a label: before what a person does there (…公司会计), or alone in a row after the age."""
    for m in _EMPLOYER.finditer(text):
        start = _left(text, m.start(), _MAX_NAME, 0)
        if m.start() - start < 2 or _INDUSTRY.match(text[start : m.start()]):
            continue
        if text[m.end() : m.end() + 1] in " )|\n" and not _AFTER_AGE.search(text, max(0, start - 8), start):
            continue
        yield Piece("workplace", start, m.end(), text[start : m.end()])


def _left(text: str, end: int, most: int, low: int) -> int:
    """Where a name of a place begins that ends here: after the last word that cannot be part of one."""
    start, low = end, max(low, end - most)
    while start > low and (_PART.match(text[start - 1]) or text[start - 1] in "×*"):
        start -= 1
    for m in _STOP.finditer(text, start, end):
        if m[1]:
            start = m.end()
    while start < end and text[start] in "-0123456789,":
        start += 1
    return start


_PART = re.compile(f"[{HAN}0-9a-z·\\-]")

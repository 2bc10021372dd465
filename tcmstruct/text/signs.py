"""What a sign beside a finding says of it: 麻木（－）, 咳嗽(+), 恶心×, 水肿：无, □发热 ☑咳嗽. Hospitals' forms are full of them."""

from __future__ import annotations

import re
from typing import NamedTuple

PRESENT, ABSENT, UNSURE = "有", "无", "不确定"


class Sign(NamedTuple):
    """Attributes:
        status: 有, 无 or 不确定.
        end: where the sign ends, or the finding where it stands before it.
        shared: it is said of a whole list as well: 恶心、呕吐（－）.
    """

    status: str
    end: int
    shared: bool


_PLUS, _MINUS, _BOTH = "[+＋]{1,4}", "[-－−﹣‐–—]", "(?:±|[+＋][/／]?[-－−]|[-－−][/／]?[+＋])"
_YES, _NO = "有|是|阳性", "无|否|没有|未见|阴性"
_SIGN = re.compile(
    rf"\s{{0,2}}[:：]?\s{{0,2}}[（(【\[]\s{{0,2}}(?:(?P<in_both>{_BOTH})|(?P<in_plus>{_PLUS}|{_YES})|(?P<in_minus>{_MINUS}|{_NO}))"
    r"\s{0,2}[)）\]】]"
    rf"|\s{{0,2}}(?:(?P<both>{_BOTH})|(?P<plus>{_PLUS}|[√✓✔☑])|(?P<minus>{_MINUS}|[×✗✘□☐]))(?=[，。；、,;\s]|$)"
    rf"|(?:\s{{0,2}}[:：]\s{{0,2}}|\s{{1,2}})(?:(?P<told_plus>{_YES})|(?P<told_minus>{_NO}))(?=[，。；、,;）)\n\r]|\s{{0,2}}$)")
_BOX = re.compile(r"(?:(?P<plus>[☑■])|(?P<minus>[□☐]))\s?$")
_KINDS = {"plus": PRESENT, "minus": ABSENT, "both": UNSURE}
_SIGNS_AT_END = re.compile(r"[+＋√✓✔×✗✘]+$")
"""That a mention may have taken for its own; a hyphen may be a word's."""


def sign_of(text: str, start: int, end: int) -> Sign | None:
    """What stands directly after the finding `text[start:end]`, or as a box before it.

    A hyphen that joins two words is no sign, and neither is 无 of 咳嗽：无痰. A box counts where nothing but a blank, a mark or the text's
    beginning stands before it: in 咳嗽□发热□ nobody can say whose a box is.
    """
    found = _SIGN.match(text, end)
    if found is not None and found.lastgroup is not None:
        return Sign(_KINDS[found.lastgroup.rpartition("_")[2]], found.end(), found.lastgroup.startswith("in_"))
    box = _BOX.search(text, max(0, start - 2), start)
    if box is not None and box.lastgroup is not None and (box.start() == 0 or not text[box.start() - 1].isalnum()):
        return Sign(_KINDS[box.lastgroup], end, False)
    return None


def without_sign(text: str, start: int, end: int) -> int:
    """Where `text[start:end]` ends without signs at its end; `end` where nothing else would be left."""
    bare = len(_SIGNS_AT_END.sub("", text[start:end]))
    return start + bare if bare else end

"""What a sign after a finding says of it: 麻木（－）, 咳嗽(+), 恶心×, 水肿：无. Forms and tables of hospitals are full of them."""

from __future__ import annotations

import re

PRESENT, ABSENT, UNSURE = "有", "无", "不确定"

_PLUS, _MINUS, _BOTH = "[+＋]{1,4}", "[-－−﹣‐–—]", "(?:±|[+＋][/／]?[-－−]|[-－−][/／]?[+＋])"
_BRACKETED = rf"[（(【\[]\s{{0,2}}(?:(?P<b_both>{_BOTH})|(?P<b_plus>{_PLUS})|(?P<b_minus>{_MINUS}))\s{{0,2}}[)）\]】]"
_BARE = rf"(?:(?P<both>{_BOTH})|(?P<plus>{_PLUS}|[√✓✔])|(?P<minus>{_MINUS}|[×✗✘]))(?=[，。；、,;\s]|$)"
_TOLD = r"[:：]\s{0,2}(?:(?P<t_plus>有|是|阳性)|(?P<t_minus>无|否|没有|未见|阴性))(?=[，。；、,;)）\s]|$)"
_SIGN = re.compile(rf"\s{{0,2}}(?:{_BRACKETED}|{_BARE}|[:：]?\s{{0,2}}{_BRACKETED.replace('b_', 'c_')}|{_TOLD})")
_SIGNS_AT_END = re.compile(r"[+＋√✓✔×✗✘]+$")
"""That a mention may have taken for its own; a hyphen may be a word's."""


def sign_after(text: str, end: int) -> tuple[str, int] | None:
    """What stands directly after `text[:end]`.

    Returns:
        (有, 无 or 不确定; where the sign ends), or None. A hyphen that joins two words is none, and neither is 无 of 咳嗽：无痰.
    """
    found = _SIGN.match(text, end)
    if found is None:
        return None
    kind = next(name for name, value in found.groupdict().items() if value).rpartition("_")[2]
    return {"plus": PRESENT, "minus": ABSENT, "both": UNSURE}[kind], found.end()


def without_sign(text: str, start: int, end: int) -> int:
    """Where `text[start:end]` ends without signs at its end; `end` where nothing else would be left."""
    bare = len(_SIGNS_AT_END.sub("", text[start:end]))
    return start + bare if bare else end

"""Makes every character of untrusted text visible and inert in HTML.

Control, format (zero-width, bidirectional), private-use, unassigned and surrogate characters are replaced by a
visible mark that names the code point, so that nothing in a record can reorder, hide or break what a reader sees
(Unicode TR 36, section 2; HTML forbids or rewrites several of them).
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from markupsafe import Markup, escape

_SHORT = {0x0D: "CR", 0x1B: "ESC", 0x7F: "DEL", 0xAD: "SHY", 0x200B: "ZWSP", 0x200C: "ZWNJ", 0x200D: "ZWJ",
          0x200E: "LRM", 0x200F: "RLM", 0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO",
          0x2028: "LS", 0x2029: "PS", 0x2060: "WJ", 0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI",
          0xFEFF: "BOM", 0x00: "NUL"}
_BLANK = frozenset((0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x3164, 0xFFA0))
"""Invisible though their category is that of letters or marks."""
_HIDDEN_CATEGORIES = frozenset(("Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"))
_PLAIN = re.compile("[\\n\\t\x20-\x7e\u00a1-\u00ac\u00ae-\u02ff"
                    "\u2010-\u2027\u3000-\u303f\u3041-\u3096\u30a0-\u30ff\u4e00-\u9fff\uff01-\uff9f]*")
"""Surely visible; a fast road for nearly all text."""


def hidden(char: str) -> bool:
    """Whether a character needs a mark; line feed and tab do not, the page keeps white space."""
    if char in "\n\t":
        return False
    return unicodedata.category(char) in _HIDDEN_CATEGORIES or ord(char) in _BLANK


def name_of(char: str) -> str:
    """Short name of a hidden character, e.g. `ZWSP` or `U+E000`."""
    return _SHORT.get(ord(char), f"U+{ord(char):04X}")


def plain(text: str) -> str:
    """The text with hidden characters named in white brackets: for attributes and plain places."""
    if _PLAIN.fullmatch(text):
        return text
    return "".join(f"⟦{name_of(c)}⟧" if hidden(c) else c for c in text)


def shown(text: object) -> Markup:
    """The text escaped, each hidden character as a small mark with its code point as tooltip."""
    text = str(text)
    if _PLAIN.fullmatch(text):
        return escape(text)
    return Markup("").join(_mark(c) if hidden(c) else escape(c) for c in text)


def _mark(char: str) -> Markup:
    return Markup('<span class="inv" role="img" data-u="{0}" aria-label="{0}" title="U+{1:04X}"></span>').format(
        name_of(char), ord(char))


def finalize(value: Any) -> Any:
    """Jinja's last step for every expression: whatever a template prints is made inert, filter or no filter."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return plain(value)

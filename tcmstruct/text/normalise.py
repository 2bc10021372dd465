"""Folding of characters for the model and the lexicon: one code point in, one code point out.

The text of a record is never changed; what is folded here is a copy for matching. Because each code point maps to
exactly one code point, offsets into the copy are offsets into the record.
"""

from __future__ import annotations

import unicodedata
from importlib.resources import files

SPACE = " "
CONTROL = "\u2400"
"""Stands for a control character that is no white space."""
ZERO_WIDTH = "\u2401"
"""Stands for a zero-width or other invisible format character (also variation selectors)."""
PRIVATE = "\u2402"
"""Stands for a private-use character."""
BROKEN = "\ufffd"
"""Stands for a lone surrogate (and is itself the replacement character of a failed decoding)."""
PLACEHOLDERS = (CONTROL, ZERO_WIDTH, PRIVATE, BROKEN)

_PUNCTUATION = {
    **dict.fromkeys("‐‑‒–—―−﹘﹣－", "-"),
    **dict.fromkeys("“”„‟〝〞〟＂", '"'),
    **dict.fromkeys("‘’‚‛′＇", "'"),
    **dict.fromkeys("〜～⁓∼˜", "~"),
    **dict.fromkeys("∶︰꞉", ":"),
    **dict.fromkeys("•・‧∙⋅･", "·"),
    "｡": "。",
    **dict.fromkeys("〔【［〖", "["),
    **dict.fromkeys("〕】］〗", "]"),
    "⁄": "/", "∕": "/", "º": "°", "˚": "°",
}
_COMPATIBILITY_TAGS = ("<wide>", "<narrow>", "<vertical>", "<small>", "<compat>", "<font>")
_KEPT_RANGES = ((0x2150, 0x218F), (0x2460, 0x24FF), (0x3200, 0x33FF))
"""Number forms (Ⅱ), circled numbers (①), squared units (㎡): folding some of them would break the row they stand in."""


def _read_variants() -> dict[str, str]:
    rows = files("tcmstruct.text").joinpath("data/simplify.tsv").read_text(encoding="utf-8").splitlines()
    pairs = (row.split("\t") for row in rows if row and not row.startswith("#"))
    return {variant: kept for kept, variants in pairs for variant in variants}


VARIANTS = _read_variants()
"""Traditional or variant character → the one kept."""


def _fold_once(char: str) -> str:
    if char in _PUNCTUATION:
        return _PUNCTUATION[char]
    if char in VARIANTS:
        return VARIANTS[char]
    category = unicodedata.category(char)
    if char.isspace() or category in ("Zs", "Zl", "Zp"):
        return SPACE
    if category == "Cc":
        return CONTROL
    if category == "Cf" or 0xFE00 <= ord(char) <= 0xFE0F or 0xE0100 <= ord(char) <= 0xE01EF or ord(char) == 0x034F:
        return ZERO_WIDTH
    if category == "Co":
        return PRIVATE
    if category == "Cs":
        return BROKEN
    folded = char
    decomposition = unicodedata.decomposition(char)
    if (
        decomposition
        and (not decomposition.startswith("<") or decomposition.startswith(_COMPATIBILITY_TAGS))
        and not any(low <= ord(char) <= high for low, high in _KEPT_RANGES)
    ):
        folded = unicodedata.normalize("NFKC", char)
    if len(folded) == 1 and unicodedata.name(folded, "").startswith("LATIN CAPITAL"):
        folded = folded.lower()
    return folded if len(folded) == 1 else char


class _Table(dict[int, int]):
    """Code point -> folded code point, worked out the first time a character is met and kept from then on."""

    def __missing__(self, code_point: int) -> int:
        char, seen = chr(code_point), set()
        while char not in seen:  # to the fixed point, so that folding twice changes nothing
            seen.add(char)
            char = _fold_once(char)
        self[code_point] = ord(char)
        return self[code_point]


_TABLE = _Table()


def normalise(text: str) -> str:
    """Folds forms of the same character onto one: full-width and compatibility forms, Latin capitals, traditional
    and variant Chinese characters, all kinds of white space; invisible and undecodable ones become placeholders.

    Args:
        text: any string, lone surrogates included.

    Returns:
        A string of exactly as many code points; `normalise(normalise(t)) == normalise(t)`.

    Source: OpenCC character dictionary (Apache-2.0) for traditional → simplified, Unicode NFKC where it is one to one.
    """
    return text.translate(_TABLE)

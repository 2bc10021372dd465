"""`text.normalise` for long texts, one table look-up a character; line ends stay, since a line ends a name or an address."""

from __future__ import annotations

import numpy as np

from tcmstruct.text.normalise import normalise

_UNKNOWN = np.uint32(0xFFFFFFFF)
_table = np.full(0x110000, _UNKNOWN, np.uint32)
_table[ord("\n")] = ord("\n")


def fold(text: str) -> str:
    """The folded text, of exactly as many code points: half-width, simplified, Latin letters small; line feeds kept."""
    if text.isascii():
        return text.lower().translate(_CONTROLS)
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    folded = _table[codes]
    if (folded == _UNKNOWN).any():
        new = np.unique(codes[folded == _UNKNOWN])
        _table[new] = [ord(normalise(chr(code))) for code in new.tolist()]
        folded = _table[codes]
    return folded.tobytes().decode("utf-32-le", "surrogatepass")


_CONTROLS = {code: normalise(chr(code)) for code in range(128) if code != 10}

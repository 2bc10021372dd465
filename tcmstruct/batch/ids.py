"""Which ids a batch has seen, in memory that stays small: 32 bytes an id at most, 32 MB for two million."""

from __future__ import annotations

import hashlib
from array import array


class IdLedger:
    """A set of ids kept as 64-bit hashes (BLAKE2b) in an open-addressing table.

    Two different ids of a batch of a million collide with a probability of 3 in 10⁸; the later one would then be
    rejected as a duplicate, visibly.
    """

    def __init__(self) -> None:
        self._slots = array("Q", bytes(8 << 10))
        self._mask = len(self._slots) - 1
        self._used = 0

    def __len__(self) -> int:
        return self._used

    def add(self, id: str) -> bool:
        """Notes an id; False where it has been seen."""
        digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if not self._put(int.from_bytes(digest, "little") or 1):
            return False
        self._used += 1
        if self._used * 2 > len(self._slots):
            self._grow()
        return True

    def _put(self, key: int) -> bool:
        slots, mask = self._slots, self._mask
        place = key & mask
        while slots[place]:
            if slots[place] == key:
                return False
            place = (place + 1) & mask
        slots[place] = key
        return True

    def _grow(self) -> None:
        old = self._slots
        self._slots = array("Q", bytes(len(old) * 16))
        self._mask = len(self._slots) - 1
        for key in old:
            if key:
                self._put(key)

"""The shared texts of a workbook, in memory that does not grow with them.

A workbook keeps its texts in a part of their own (`sharedStrings.xml`). Programs that hold that part in memory need three
times the file's size and more; here the texts are laid on an unnamed temporary file once they are more than a few
megabytes, and only as far as the rows have come. The format is ECMA-376 (ISO/IEC 29500) part 1, 18.4.
"""

from __future__ import annotations

import os
import re
import tempfile
from array import array
from collections import OrderedDict
from typing import Any

from tcmstruct.emr.officexml import PARSE_ERRORS, PartParser
from tcmstruct.emr.rows import MAX_ROW_CHARS
from tcmstruct.emr.zipparts import Part, Parts, bomb

_MAX_STRINGS = 8_000_000
_IN_MEMORY = 16 * 1024**2
_BLOCK, _BLOCKS = 1 << 16, 64
_ESCAPE = re.compile(r"_x([0-9A-Fa-f]{4})_")


class SharedStrings:
    """The shared texts, read as far as they are asked for and laid aside on an unnamed file (mode 0600)."""

    def __init__(self, parts: Parts, part: Part | None, label: str) -> None:
        self._label = label
        self._pieces = parts.stream(part) if part else iter(())
        self._ends = array("Q")
        self._kept: bytearray | None = bytearray()
        self._file: Any = None
        self._written = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._text: list[str] = []
        self._phonetic = 0
        self._chars = 0
        self._parser: PartParser | None = PartParser(self._start, self._end)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _start(self, name: str, _: dict[str, str]) -> None:
        if name == "si":
            self._text, self._chars = [], 0
        elif name == "rPh":
            self._phonetic += 1
        elif name == "t" and not self._phonetic and self._parser:
            self._parser.listen(self._add)

    def _add(self, text: str) -> None:
        self._chars += len(text)
        if self._chars <= MAX_ROW_CHARS:
            self._text.append(text)

    def _end(self, name: str) -> None:
        if name == "t" and self._parser:
            self._parser.listen(None)
        elif name == "rPh":
            self._phonetic -= 1
        elif name == "si":
            self._keep(unescape("".join(self._text)).encode("utf-8", "surrogatepass"))

    def _keep(self, data: bytes) -> None:
        if len(self._ends) >= _MAX_STRINGS:
            raise bomb(self._label, f"more than {_MAX_STRINGS:,} different texts")
        if self._kept is None:
            self._file.write(data)
        else:
            self._kept += data
            if len(self._kept) > _IN_MEMORY:
                self._file = tempfile.TemporaryFile(prefix="tcmstruct-")  # noqa: SIM115 (closed by close())
                self._file.write(self._kept)
                self._kept = None
        self._written += len(data)
        self._ends.append(self._written)

    def get(self, index: int) -> str | None:
        """The text of a number; None where there is none, because the part broke off or the number is wrong."""
        while index >= len(self._ends) and self._parser is not None:
            try:
                piece = next(self._pieces, b"")
                self._parser.feed(piece)
                if not piece:
                    self._parser = None
            except PARSE_ERRORS:
                self._parser = None
            if self._file is not None:
                self._file.flush()
        if not 0 <= index < len(self._ends):
            return None
        start, end = self._ends[index - 1] if index else 0, self._ends[index]
        data = self._kept[start:end] if self._kept is not None else self._on_disk(start, end)
        return data.decode("utf-8", "surrogatepass")

    def _on_disk(self, start: int, end: int) -> bytes:
        number, at = divmod(start, _BLOCK)
        if at + end - start > _BLOCK:
            return os.pread(self._file.fileno(), end - start, start)
        block = self._blocks.get(number)
        if block is None or len(block) < at + end - start:
            block = self._blocks[number] = os.pread(self._file.fileno(), _BLOCK, number * _BLOCK)
            if len(self._blocks) > _BLOCKS:
                self._blocks.popitem(last=False)
        else:
            self._blocks.move_to_end(number)
        return block[at : at + end - start]


def unescape(text: str) -> str:
    """`_x000D_` → carriage return: how a workbook writes characters that XML cannot hold (ECMA-376 ST_Xstring)."""
    return _ESCAPE.sub(lambda m: chr(int(m[1], 16)), text) if "_x" in text else text

"""An archive as one input: its files, each read as what it is, one after another."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tcmstruct.emr.rows import Fault, ReadRecord, Reject, reject
from tcmstruct.emr.sniff import is_picture
from tcmstruct.emr.source import Given, Source
from tcmstruct.errors import InputRefused

Unpack = Callable[..., Any]
OpenMember = Callable[[Given], Source]

def _ends_a_line(path: Path) -> bool:
    """Whether the last byte of a file ends a line, so that the last row of a table is whole."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 1))
        return file.read() == b"\n"


_LINE_BY_LINE = frozenset(("delimited", "jsonl"))
_TABLES_TOLD = 20
"""Tables of members that the facts list: an archive of a thousand documents would tell the same a thousand times."""


class ArchiveSource(Source):
    """The records of an archive's files. A file that cannot be used is one reject; pictures are left out with a note.

    Args:
        given: the archive.
        format: its name.
        unpack: see `archive.unpack`.
        open_member: opens an unpacked file; refuses an archive within an archive within this one.
    """

    def __init__(self, given: Given, format: str, unpack: Unpack, open_member: OpenMember) -> None:
        super().__init__(given, format)
        self._unpack, self._open = unpack, open_member
        self._n_files = 0
        with closing(self._members()) as members:  # what is wrong with the archive as a whole shows with its first file
            for item in members:
                if isinstance(item, Source):
                    self._tell(item)
                    break
        if not self._n_files:
            self.facts.note("empty_input")

    def _members(self) -> Iterator[Source | Reject]:
        label = self.given.label
        with tempfile.TemporaryDirectory(prefix="tcmstruct-") as folder:
            for item in self._unpack(self.given.path, Path(folder), label=label):
                self._n_files += 1
                if isinstance(item, Fault):
                    if item.code == "cut_short":
                        self.facts.note("cut_short")
                    yield reject(item.code, f"{label}!{item.place}", detail=item.detail)
                    continue
                name, path, broken = item
                if self.facts.format == "gzip":  # it holds no name of its own; within an archive the path has ours
                    name = label.rpartition("!")[2].removesuffix(".gz")
                member = Given(path, f"{label}!{name}", self.given.encoding, self.given.overrides)
                try:
                    if is_picture(path):
                        self.facts.note("pictures_skipped")
                    else:
                        source = self._open(member)
                        source.cut = broken and not (source.facts.format in _LINE_BY_LINE and _ends_a_line(path))
                        yield source
                except InputRefused as error:
                    yield reject("member_refused", member.label, detail=f"{error.code}: {error.what}")
                finally:
                    path.unlink(missing_ok=True)

    def _items(self) -> Iterator[ReadRecord | Reject]:
        self.facts.tables.clear()
        with closing(self._members()) as members:
            for item in members:
                if isinstance(item, Reject):
                    yield item
                else:
                    yield from item
                    self._tell(item)

    def _tell(self, member: Source) -> None:
        known = [table.header for table in self.facts.tables]
        self.facts.tables += [table for table in member.facts.tables if table.header not in known][: _TABLES_TOLD - len(known)]
        self.facts.blank_rows += member.facts.blank_rows
        self.facts.encoding = self.facts.encoding or member.facts.encoding
        self.facts.encoding_reason = self.facts.encoding_reason or member.facts.encoding_reason
        for note in member.facts.notes:
            self.facts.note(note)

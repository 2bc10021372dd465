"""The packs that the page of own fields opens, and the one folder that it saves them in."""

from __future__ import annotations

import hashlib
import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict
from pydantic import Field as Key

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.schema.pack import pack_path, shipped, starters
from tcmstruct.schema.written import starter_text
from tcmstruct.trial import check_pack
from tcmstruct.whole_file import whole_file

MOST_TOML = 256 * 1024
"""Characters of a pack that is edited here."""
MOST_SAVED = 200
_FILE_NAME = re.compile(r"[^\W_][\w\- ]{0,39}")
"""Letters of any script, digits, _ - and blanks: nothing that a path is made of."""

Kind = Literal["blank", "starter", "shipped", "saved"]


class Saving(BaseModel):
    """A pack to save; `was` is the fingerprint of the file that the page has read, None for a new one."""

    model_config = ConfigDict(extra="forbid", strict=True)
    toml: Annotated[str, Key(max_length=MOST_TOML)]
    was: Annotated[str | None, Key(max_length=64)] = None


@dataclass(slots=True)
class PackFolder:
    """
    Attributes:
        folder: where packs are saved; None saves nowhere.
    """

    folder: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self) -> dict[str, list[str]]:
        """Packs that can be opened."""
        return {"shipped": [*shipped(), *starters()], "saved": self.saved()}

    def saved(self) -> list[str]:
        if self.folder is None or not self.folder.is_dir():
            return []
        names = [path.stem for path in self.folder.glob("*.toml") if _FILE_NAME.fullmatch(path.stem) and not path.is_symlink()]
        return sorted(names)[:MOST_SAVED]

    def read(self, kind: Kind, name: str) -> dict[str, Any]:
        """The text of a pack and, of a saved one, its fingerprint.

        Raises:
            InputRefused: there is no such pack, or it is none to edit here.
        """
        if kind in ("blank", "starter"):
            return {"toml": starter_text(name or "我科", kind == "starter"), "was": None}
        path = pack_path(name) if kind == "shipped" else self._place(name)
        if path is None or not path.is_file() or (kind == "saved" and path.is_symlink()):
            raise InputRefused("there is no such pack", code="no_such_pack")
        raw = path.read_bytes()
        if len(raw) > MOST_TOML:
            raise InputRefused(f"larger than {MOST_TOML:,} bytes", code="pack_too_large", hint="edit it in a text editor")
        try:
            return {"toml": raw.decode("utf-8"), "was": digest_of(raw) if kind == "saved" else None}
        except UnicodeDecodeError:
            raise InputRefused("not UTF-8", code="pack_not_utf8", hint="save the pack as UTF-8") from None

    def save(self, name: str, given: Saving) -> dict[str, Any]:
        """Writes a sound pack into `folder`.

        Raises:
            UsageError: the name is none, or nowhere may be written.
            InputRefused: the pack has a fault (`pack_faulty`), the file was changed meanwhile (`pack_changed`), or cannot be written.
        """
        path, raw = self._place(name), given.toml.encode("utf-8")
        checked = check_pack(raw, path.name, doubtful=False)
        if checked.faults:
            raise InputRefused(f"{checked.faults} faults: such a pack would be refused", code="pack_faulty", hint="mend it, or download it")
        with self._lock:
            there = digest_of(path.read_bytes()) if path.is_file() else None
            if path.is_symlink() or there != given.was:
                raise InputRefused("the file is there and holds something else", code="pack_changed",
                                   hint="choose another name, or open it")
            try:
                with whole_file(path) as file:
                    file.write(raw)
            except OSError as error:
                raise InputRefused(f"cannot be written: {error.strerror}", code="pack_unwritable") from None
        return {"name": name, "was": digest_of(raw), "saved": self.saved()}

    def _place(self, name: str) -> Path:
        if self.folder is None:
            raise UsageError("this server saves nowhere", code="no_folder", hint="start it with --schema-dir, or download the pack")
        if not _FILE_NAME.fullmatch(name) or name != name.strip():
            raise UsageError("a file name has 1 to 40 letters, digits, - and _", code="name_invalid")
        return self.folder / f"{name}.toml"


def digest_of(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()

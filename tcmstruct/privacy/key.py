"""The key of a hospital, and what is made with it: pseudonyms and the shift of a patient's dates.

HMAC-SHA256 (RFC 2104, FIPS 198-1): without the key nobody can try names or numbers against a pseudonym; with it the same
person has the same pseudonym in every file. A key is never shown, logged or part of an exception.
"""

from __future__ import annotations

import base64
import hmac
import os
import secrets
import stat
from pathlib import Path

from tcmstruct.errors import InputRefused, UsageError

KEY_VARIABLE = "TCMSTRUCT_KEY"
"""Environment variable that holds the key itself, for containers."""
MIN_KEY_CHARACTERS = 32
CODE_CHARACTERS = 8
"""Of a pseudonym: 40 bits, so that two of a million persons share one with odds of about 1 in 3 at most."""
MAX_SHIFT_WEEKS = 104


class Key:
    """A secret; shows nothing of itself.

    Args:
        secret: at least 16 bytes.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_KEY_CHARACTERS // 2:
            raise UsageError(f"the key has {len(secret)} bytes, at least {MIN_KEY_CHARACTERS // 2} are needed", code="key_too_short",
                             hint="leave --key-file out, and a key is made")
        self._secret = secret

    def __repr__(self) -> str:
        return "Key(…)"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a key is not pickled; give its file to the process that needs it")

    def code(self, kind: str, name: str) -> str:
        """The pseudonym of a name of a kind: 8 characters of base32."""
        return base64.b32encode(self._digest(kind, name)[: CODE_CHARACTERS * 5 // 8]).decode()

    def shift_days(self, patient: str) -> int:
        """Days by which the dates of a patient move: back by 4 to 104 whole weeks, so that days of the week hold."""
        number = int.from_bytes(self._digest("shift", patient)[:8])
        return -7 * (4 + number % (MAX_SHIFT_WEEKS - 3))

    def _digest(self, kind: str, name: str) -> bytes:
        return hmac.digest(self._secret, f"{kind}\0{name}".encode("utf-8", "surrogatepass"), "sha256")


def default_key_file() -> Path:
    """`tcmstruct/deidentify.key` in the user's folder of settings ($XDG_CONFIG_HOME)."""
    base = os.environ.get("XDG_CONFIG_HOME") or (os.environ.get("APPDATA") if os.name == "nt" else None)
    return (Path(base) if base else Path.home() / ".config") / "tcmstruct" / "deidentify.key"


def read_key(path: Path | None = None) -> Key:
    """The key of `path`, else of $TCMSTRUCT_KEY, else of the default file; a file that is not there is made (0600).

    Args:
        path: file with the key on one line, at least 32 characters.

    Raises:
        InputRefused: the file cannot be read or made, others may read it, or what it holds is too short.
    """
    given = os.environ.get(KEY_VARIABLE)
    if path is None and given:
        return _key(given, f"${KEY_VARIABLE}")
    path = default_key_file() if path is None else Path(path)
    try:
        if not path.exists():
            _make(path)
        if os.name == "posix" and path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise InputRefused("others than its owner may read the key", where=path.name, code="key_open",
                               hint=f"chmod 600 it, or give the key in ${KEY_VARIABLE}")
        text = path.read_text("ascii")
    except OSError as error:
        raise InputRefused(f"the key cannot be read or made: {error.strerror or type(error).__name__}", where=path.name,
                           code="key_unreadable", hint=f"name another with --key-file, or give the key in ${KEY_VARIABLE}") from None
    except UnicodeDecodeError:
        raise InputRefused("the key is not plain ASCII", where=path.name, code="key_invalid",
                           hint="delete the file, and a new key is made (pseudonyms change)") from None
    return _key(text, path.name)


def _make(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
        file.write(secrets.token_hex(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(part, path)  # of two processes that make it at once, the second takes the first one's
    except FileExistsError:
        pass
    except OSError:  # a file system without links
        os.replace(part, path)
        return
    part.unlink()


def _key(text: str, where: str) -> Key:
    text = text.strip()
    if len(text) < MIN_KEY_CHARACTERS:
        raise InputRefused(f"the key has {len(text)} characters, at least {MIN_KEY_CHARACTERS} are needed", where=where,
                           code="key_too_short", hint="delete the file, and a key is made")
    return Key(text.encode("utf-8", "surrogateescape"))

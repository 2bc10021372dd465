"""What can go wrong, said so that a person can mend it.

Every error carries a stable `code` (for rejects and logs), says what happened and where, what was found
against what is allowed, and what to do. None ever carries record text: records are sensitive personal data.
"""

from __future__ import annotations


class TcmstructError(Exception):
    """Base of all errors of this package.

    Args:
        what: one sentence, without record text.
        code: stable snake_case name of the kind of fault, written to `rejects.jsonl`.
        where: file:row, record id + field, or TOML path.
        hint: what the user can do.
    """

    exit_code = 1
    default_code = "failed"

    def __init__(self, what: str, *, code: str | None = None, where: str = "", hint: str = "") -> None:
        self.what, self.code, self.where, self.hint = what, code or self.default_code, where, hint
        super().__init__(self.__str__())

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" → {self.hint}" if self.hint else ""
        return f"{place}{self.what}{advice}"


class UsageError(TcmstructError):
    """The call itself is off: an unknown option value, two options that exclude each other."""

    exit_code = 2
    default_code = "usage"


class InputRefused(TcmstructError):
    """A whole input (file, pack, gold set) cannot be used."""

    exit_code = 4
    default_code = "input_refused"


class RecordRejected(TcmstructError):
    """One record cannot be used; the batch goes on and the record stands in `rejects.jsonl`."""

    default_code = "rejected"


class SchemaError(InputRefused):
    """A schema pack is not what the format allows."""

    default_code = "schema_invalid"


class ModelError(InputRefused):
    """The model folder is missing a file, or a file is not the one its manifest names."""

    default_code = "model_invalid"


class MissingExtra(TcmstructError):
    """A job needs an optional part of the installation."""

    default_code = "missing_extra"

    def __init__(self, job: str, extra: str) -> None:
        super().__init__(f"{job} needs the extra [{extra}], which is not installed",
                         hint=f"pip install 'tcmstruct[{extra}]'")

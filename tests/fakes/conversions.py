"""One call of `tcmstruct convert`, and what came of it."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcmstruct import cli


@dataclass(frozen=True)
class Conversion:
    """What stands in the folder that a run left.

    Attributes:
        code: exit code.
        out: the folder; it need not exist.
    """

    code: int
    out: Path

    @property
    def records(self) -> list[dict[str, Any]]:
        return self._lines("records.jsonl")

    @property
    def texts(self) -> dict[str, str]:
        """Id → text of each record."""
        return {record["id"]: record["text"] for record in self.records}

    @property
    def rejects(self) -> list[tuple[str, str]]:
        """(code, place) of each reject."""
        return [(reject["code"], reject["where"]) for reject in self._lines("rejects.jsonl")]

    @property
    def reasons(self) -> list[str]:
        return [reject["reason"] for reject in self._lines("rejects.jsonl")]

    @property
    def manifest(self) -> dict[str, Any]:
        return json.loads((self.out / "manifest.json").read_text("utf-8"))

    @property
    def notes(self) -> list[str]:
        """Notes about the first input."""
        return self.manifest["inputs"][0]["notes"]

    def _lines(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / name).read_bytes().splitlines()]


def convert(out: Path, *arguments: object, formats: str = "jsonl", report: bool = False) -> Conversion:
    """Runs the command in this process, with one worker."""
    options = ["--format", formats, "--workers", "1", *([] if report else ["--no-report"])]
    return Conversion(cli.run(["convert", *map(str, arguments), "-o", str(out), *options]), out)


def table(rows: list[list[str]]) -> str:
    """Rows as CSV."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def write(path: Path, content: str | bytes, encoding: str = "utf-8") -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path

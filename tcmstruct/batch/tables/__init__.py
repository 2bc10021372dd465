"""Tables made of `records.jsonl` when the records are complete: a format is a row of `TABLES`, and knows nothing of structuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from tcmstruct.batch.tables.columns import Columns
from tcmstruct.errors import MissingExtra


@dataclass(frozen=True, slots=True)
class TableFormat:
    """A way to write the tables.

    Attributes:
        files: names of the files, the visits first.
        writer: "module:function" within this package: records.jsonl, columns, first file → notes for the manifest (`run.RUN_NOTES`).
        needs: module and extra that have to be installed, or None.
    """

    files: tuple[str, ...]
    writer: str
    needs: tuple[str, str] | None = None

    def load(self) -> Callable[[Path, Columns, Path], list[str]]:
        """The writer.

        Raises:
            MissingExtra: what it needs is not installed.
        """
        if self.needs is not None:
            try:
                import_module(self.needs[0])
            except ImportError:
                raise MissingExtra(f"writing {self.files[0]}", self.needs[1]) from None
        module, _, function = self.writer.partition(":")
        return getattr(import_module(f"{__name__}.{module}"), function)


TABLES: dict[str, TableFormat] = {
    "csv": TableFormat(("table.csv",), "csv_table:write_csv"),
    "xlsx": TableFormat(("table.xlsx",), "xlsx_table:write_xlsx"),
    "parquet": TableFormat(("table.parquet", "evidence.parquet", "codes.parquet"), "parquet_table:write_parquet", ("pyarrow", "parquet")),
    "sqlite": TableFormat(("table.sqlite",), "sqlite_table:write_sqlite"),
}

FILES: tuple[str, ...] = tuple(name for table in TABLES.values() for name in table.files)

__all__ = ["FILES", "TABLES", "Columns", "TableFormat"]

"""How fast workbooks, documents and database tables are read, and what memory that takes; beside other libraries for workbooks.

    python -m benchmarks.office_readers [--rows 200000] [--formats xlsx,xls,…] [--others]

Files are generated from the sentences of `benchmarks.readers` and read by a process of their own each, one thread. Rates are
per second of that process's processor time. `--others` reads the workbooks with openpyxl, python-calamine and xlrd too, where
they are installed: what `tcmstruct/emr/xlsx.py` and `xls.py` were chosen by, together with two small files that are made to
hurt (one stray cell at the corner of an .xls; one long text in 20,000 of its cells). Linux only (/proc).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sqlite3
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from benchmarks.machine import print_machine
from benchmarks.readers import SECTIONS, _resident, records

HEADER = ["住院号", "姓名", "科室", *(name for name, _, _ in SECTIONS)]
_XLS_ROWS = 30_000
_LIMIT_BYTES = 6 * 1024**3
"""Address space of a child: a library that wants more is shown as failing."""


def rows(count: int) -> Iterator[list[str]]:
    for number, sections in islice(records(), count):
        yield [f"{number:08d}", "某某", "呼吸内科", *(text for _, _, text in sections)]


def pages(count: int) -> Iterator[str]:
    for number, sections in islice(records(), count):
        yield f"姓名：某某  住院号：{number:08d}\n" + "".join(f"{name}：{text}\n" for name, _, text in sections)


def write_xlsx(path: Path, count: int, shared: bool) -> None:
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path), {"constant_memory": not shared})
    sheet = book.add_worksheet()
    for number, row in enumerate([HEADER, *rows(count)] if shared else _chained(count)):
        sheet.write_row(number, 0, row)
    book.close()


def _chained(count: int) -> Iterator[list[str]]:
    yield HEADER
    yield from rows(count)


def write_xls(path: Path, cells: Iterator[tuple[int, int, str]]) -> None:
    import xlwt

    book = xlwt.Workbook()
    sheet = book.add_sheet("s")
    for row, column, text in cells:
        sheet.write(row, column, text)
    book.save(str(path))


def _xls_rows(path: Path, count: int) -> None:
    write_xls(path, ((number, column, text) for number, row in enumerate(_chained(min(count, _XLS_ROWS)))
                     for column, text in enumerate(row)))


def write_rtf(path: Path, count: int) -> None:
    with path.open("wb") as file:
        file.write(rb"{\rtf1\ansi\ansicpg936{\fonttbl{\f0\fcharset134 SimSun;}}\f0 ")
        for page in pages(count):
            file.write(b"".join(b"\\par\n" if byte == 10 else b"\\'%02x" % byte for byte in page.encode("gb18030")))
        file.write(b"}")


def write_docx(path: Path, count: int) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("word/document.xml", "w", force_zip64=True) as part:
        part.write(b'<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>')
        for page in pages(count):
            part.write("".join(f'<w:p><w:pPr><w:jc w:val="left"/></w:pPr><w:r><w:t>{line}</w:t></w:r></w:p>'
                               for line in page.splitlines()).encode())
        part.write(b"</w:body></w:document>")


def write_sqlite(path: Path, count: int) -> None:
    base = sqlite3.connect(path)
    base.execute("CREATE TABLE v (" + ", ".join(f'"{name}" TEXT' for name in HEADER) + ")")
    base.executemany("INSERT INTO v VALUES (" + ", ".join("?" * len(HEADER)) + ")", rows(count))
    base.commit()
    base.close()


def write_html(path: Path, count: int) -> None:
    with path.open("w", encoding="gb18030") as file:
        file.write('<html><head><meta charset="gb2312"></head><body><table>')
        file.writelines("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in _chained(count))


def write_text(path: Path, count: int) -> None:
    with path.open("w", encoding="gb18030") as file:
        file.writelines(pages(count))


def write_json(path: Path, count: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        file.writelines((",\n" if number else "") + json.dumps(dict(zip(HEADER, row, strict=True)), ensure_ascii=False)
                        for number, row in enumerate(rows(count)))
        file.write("]")


WRITERS: dict[str, tuple[Callable[[Path, int], None], str, tuple[str, ...]]] = {
    "xlsx, texts in cells": (lambda path, count: write_xlsx(path, count, False), "xlsx", ("openpyxl", "calamine")),
    "xlsx, shared texts": (lambda path, count: write_xlsx(path, count, True), "xlsx", ("openpyxl", "calamine")),
    "xls": (_xls_rows, "xls", ("calamine",)),
    "xls, one stray cell": (lambda path, _: write_xls(path, iter([(0, 0, "主诉"), (65_535, 255, "x")])), "xls", ("calamine",)),
    "xls, one text in 20,000 cells": (lambda path, _: write_xls(path, ((n // 10, n % 10, "头" * 32_000) for n in range(20_000))), "xls",
                                      ("calamine",)),
    "html table": (write_html, "html_page:open_tables", ()),
    "json list": (write_json, "jsonarray", ()),
    "txt": (write_text, "plaintext", ()),
    "rtf": (lambda path, count: write_rtf(path, min(count, 15_000)), "rtf", ()),
    "docx": (lambda path, count: write_docx(path, min(count, 15_000)), "docx", ()),
    "sqlite": (write_sqlite, "database", ()),
}
"""Name → (writer, module that reads it, other libraries). A document is one file that holds the rows as records."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of a file (an .xls holds 30,000, RTF and DOCX 15,000)")
    parser.add_argument("--formats", default="", help="names as in the table, or parts of them, comma-separated; all by default")
    parser.add_argument("--others", action="store_true", help="workbooks with other libraries too")
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _measure(*arguments.child)
        return
    print_machine()
    print("\n| format | read by | file, MB | rows | rows/s | MB/s | program, MiB | peak RSS, MiB |\n|---|---|---|---|---|---|---|---|")
    asked = [part.strip().lower() for part in arguments.formats.split(",") if part.strip()]
    for name, (write, module, others) in WRITERS.items():
        if asked and not any(part in name for part in asked):
            continue
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input"
            write(path, arguments.rows)
            size = path.stat().st_size / 1e6
            for reader in (module, *(others if arguments.others else ())):
                done = subprocess.run([sys.executable, "-m", "benchmarks.office_readers", "--child", reader, str(path)],
                                      capture_output=True, text=True)
                shown = "tcmstruct" if reader == module else reader
                if done.returncode:
                    print(f"| {name} | {shown} | {size:,.1f} | "
                          f"fails at {_LIMIT_BYTES / 2**30:.0f} GiB of address space | | | | |", flush=True)
                    continue
                seconds, count, base, peak = json.loads(done.stdout)
                print(f"| {name} | {shown} | {size:,.1f} | {count:,} | {count / seconds:,.0f} | {size / seconds:,.1f} | "
                      f"{base:.0f} | {peak:.0f} |", flush=True)


def _measure(reader: str, place: str) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (_LIMIT_BYTES, _LIMIT_BYTES))
    path, count = Path(place), 0
    start = time.process_time()
    if reader == "openpyxl":
        import openpyxl

        base = _resident("VmRSS")
        with path.open("rb") as file:
            for sheet in openpyxl.load_workbook(file, read_only=True).worksheets:
                count += sum(1 for _ in sheet.iter_rows(values_only=True))
    elif reader == "calamine":
        from python_calamine import CalamineWorkbook

        base = _resident("VmRSS")
        book = CalamineWorkbook.from_path(path)
        for name in book.sheet_names:
            count += sum(1 for _ in book.get_sheet_by_name(name).iter_rows())
    else:
        from tcmstruct.emr.source import FileFacts, Given

        name, _, function = reader.partition(":")
        module = importlib.import_module(f"tcmstruct.emr.{name}")
        base = _resident("VmRSS")
        url = f"sqlite:///{path}?tcm_table=v" if name == "database" else None
        given, facts = Given(path, path.name, url=url), FileFacts(path.name, 0, name)
        if function or hasattr(module, "open_tables"):
            count = sum(1 for table in module.open_tables(given, facts) for _ in table.rows)
        else:
            count = sum(1 for _ in module.read_records(given, facts))
    print(json.dumps([time.process_time() - start, count, base, _resident("VmHWM")]))


if __name__ == "__main__":
    main()

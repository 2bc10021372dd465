"""Damaged files of every format, by seeded mutation of small sound ones: what the readers do with them.

    python -m benchmarks.fuzz_readers [--seconds 600] [--formats all] [--seed 0] [--keep DIR]

Each format starts from five records of our own. A process of its own damages and reads one file after another, and is watched: an
input on which it works for ten seconds, or waits for a minute, is a hang, one that ends it, or raises anything but a refusal, is a
crash. Input N of a seed is the same on every machine; `--keep DIR` writes the inputs that failed. Peak RSS is that of the process
over all of its inputs. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import base64
import gzip
import io
import json
import os
import random
import select
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from html import escape
from itertools import islice
from pathlib import Path

from benchmarks import office_readers, readers
from benchmarks.machine import print_machine

COUNT = 5
TABLE = "visits"
LIMIT_S = 10.0
"""Processor time of one input: on a machine with other work the clock says nothing."""
WAIT_S = 60.0
"""Of one input, by the clock: a reader that waits for something that never comes."""
MOST_RSS_MIB = 200

_RECORDS = list(islice(readers.records(), COUNT))
_HEADER = ["住院号", *(name for name, _, _ in readers.SECTIONS)]
_ROWS = [[f"{number:08d}", *(text for _, _, text in sections)] for number, sections in _RECORDS]


def _joined(one: Callable[..., str], head: str = "", tail: str = "", encoding: str = "utf-8") -> bytes:
    return (head + "".join(one(number, sections) for number, sections in _RECORDS) + tail).encode(encoding)


def _file(write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sample"
        write(path)
        return path.read_bytes()


def _csv(encoding: str) -> bytes:
    return "".join(",".join(f'"{cell}"' for cell in row) + "\r\n" for row in [_HEADER, *_ROWS]).encode(encoding)


def _html_table() -> bytes:
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in [_HEADER, *_ROWS])
    return f'<html><head><meta charset="gb2312"></head><body><table>{rows}</table></body></html>'.encode("gb18030")


def _xml_table() -> bytes:
    rows = "".join("<Row>" + "".join(f'<Cell><Data ss:Type="String">{escape(cell)}</Data></Cell>' for cell in row) + "</Row>"
                   for row in [_HEADER, *_ROWS])
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    return f'<Workbook xmlns="{space}" xmlns:ss="{space}"><Worksheet ss:Name="s"><Table>{rows}</Table></Worksheet></Workbook>'.encode()


def _mhtml() -> bytes:
    return (b"MIME-Version: 1.0\r\nContent-Type: multipart/related; boundary=\"next\"\r\n\r\n--next\r\nContent-Type: text/html\r\n"
            b"Content-Transfer-Encoding: base64\r\nContent-Location: a.htm\r\n\r\n" + base64.encodebytes(_html_table()) + b"--next--\r\n")


def _page() -> bytes:
    body = "".join(f"<p>{name}：{escape(text)}</p>" for name, _, text in _RECORDS[0][1])
    return f"<html><body><p>姓名：某某  住院号：001</p>{body}</body></html>".encode()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", _csv("gb18030"))
        archive.writestr("b.jsonl", _joined(lambda n, s: readers._json(n, s) + "\n"))
    return out.getvalue()


def _write_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        columns = ", ".join(f'"{name}" TEXT' for name in _HEADER)
        database.execute(f"CREATE TABLE {TABLE} ({columns})")
        database.executemany(f"INSERT INTO {TABLE} VALUES ({', '.join('?' * len(_HEADER))})", _ROWS)
        database.commit()


SAMPLES: dict[str, Callable[[], bytes]] = {
    "delimited": lambda: _csv("gb18030"),
    "jsonl": lambda: _joined(lambda n, s: readers._json(n, s) + "\n"),
    "json": lambda: _joined(lambda n, s: ("," if n > 1 else "") + readers._json(n, s), "[", "]"),
    "cda": lambda: _joined(readers._cda, "<documents>", "</documents>"),
    "dcwriter": lambda: _joined(readers._dcwriter, "<documents>", "</documents>"),
    "fhir": lambda: _joined(readers._fhir),
    "fhir_xml": lambda: _joined(readers._fhir_xml, '<Bundle xmlns="http://hl7.org/fhir">', "</Bundle>"),
    "hl7": lambda: _joined(readers._hl7, encoding="gb18030"),
    "xlsx": lambda: _file(lambda path: office_readers.write_xlsx(path, COUNT, True)),
    "xls": lambda: _file(lambda path: office_readers._xls_rows(path, COUNT)),
    "xml_table": _xml_table,
    "mhtml": _mhtml,
    "html_table": _html_table,
    "html": _page,
    "docx": lambda: _file(lambda path: office_readers.write_docx(path, COUNT)),
    "rtf": lambda: _file(lambda path: office_readers.write_rtf(path, COUNT)),
    "txt": lambda: _file(lambda path: office_readers.write_text(path, COUNT)),
    "zip": _zip,
    "gzip": lambda: gzip.compress(_csv("utf-8"), mtime=0),
    "database": lambda: _file(_write_database),
}

_TOKENS = (
    b"\0", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\xd6", b'"', b"'", b",", b"\r", b"\n", b"\\", b"|",
    "主诉：".encode(), "姓名：".encode("gb18030"),
    b"<", b">", b"&", b"</", b"]]>", b"<![CDATA[", b"<!--", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<a>" * 600, b"<table><tr><td>" * 100,
    b"rowspan=65534 ", b'ss:Index="999999999" ', b"{", b"}", b"[", b"]", b"[" * 2000, b'{"a":' * 600, b"NaN", b"null", b"1e999", b"-1",
    b"4294967295", b"\\u0000", b"\\ud800", b"\\bin99999999 ", b"{\\rtf1" * 50, b"\\'8", b"^~\\&", b"MSH|", b"=3D=", b"--next",
)
"""What the formats are made of, where it does not belong."""


def damaged(sample: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    """One to eight injuries; of a zip, half of the time to a part of it, packed again."""
    if sample.startswith(b"PK\x03\x04") and rng.random() < 0.5:
        return _with_a_damaged_part(sample, rng, others)
    data = bytearray(sample)
    for _ in range(rng.choice((1, 1, 2, 3, 5, 8))):
        at, size = rng.randrange(len(data) + 1), rng.choice((1, 1, 4, 30, 300, 3000))
        match rng.randrange(9):
            case 0:
                del data[at : at + size]
            case 1:
                del data[at:]
            case 2:
                data[at:at] = rng.randbytes(size)
            case 3:
                data[at : at + size] = rng.randbytes(len(data[at : at + size]))
            case 4:
                data[at:at] = data[at : at + size] * rng.choice((1, 2, 50))
            case 5 | 6:
                data[at:at] = rng.choice(_TOKENS)
            case 7:
                other = rng.choice(others)
                start = rng.randrange(len(other))
                data[at:at] = other[start : start + size]
            case 8:
                if at < len(data):
                    data[at] ^= 1 << rng.randrange(8)
        data = data or bytearray(b"\0")
    return bytes(data[: 4 << 20])


def _with_a_damaged_part(sample: bytes, rng: random.Random, others: list[bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(sample)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        chosen = rng.choice(names)
        for name in names:
            content = old.read(name)
            new.writestr(zipfile.ZipInfo(name), damaged(content, rng, others) if name == chosen and content else content)
    return out.getvalue()


def inputs(format: str, seed: int, start: int) -> Iterator[tuple[int, bytes]]:
    """(number, damaged file), without end, the same for the same arguments."""
    sample, others = SAMPLES[format](), [make() for make in SAMPLES.values()]
    number = start
    while True:
        yield number, damaged(sample, random.Random(f"{seed}/{format}/{number}"), others)
        number += 1


def address(path: Path, format: str) -> Path | str:
    """What `open_source` is given for a file of a format."""
    return f"sqlite:///{path}?tcm_table={TABLE}" if format == "database" else path


def outcome(path: Path | str) -> Counter[str]:
    """Reads a file, or a database by its URL: how many records, rejects and refusals came of it. Anything else is raised."""
    from tcmstruct.emr import REJECT_CODES, ReadRecord, Reject, open_source
    from tcmstruct.errors import InputRefused

    found: Counter[str] = Counter()
    try:
        for item in open_source(path):
            if isinstance(item, Reject):
                assert item.code in REJECT_CODES and "\n" not in item.reason
            else:
                assert isinstance(item, ReadRecord) and len(item.text.strip()) > 1
                item.text.encode()
            found["rejects" if isinstance(item, Reject) else "records"] += 1
    except InputRefused as refused:
        assert refused.exit_code == 4
        found["refused"] += 1
    return found


@dataclass
class Tally:
    """What came of the inputs of a format."""

    inputs: int = 0
    found: Counter[str] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    hangs: list[int] = field(default_factory=list)
    peak_mib: float = 0.0


def fuzz(format: str, seconds: float, seed: int) -> Tally:
    """Runs the inputs of a format for so long, with a new process after each crash and hang."""
    tally = Tally()
    end, number = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        number = _watch(format, seed, number, end, tally) + 1
    return tally


def _watch(format: str, seed: int, start: int, end: float, tally: Tally) -> int:
    """Reads what a process tells until it fails or the time is over; returns the last number that it had in hand."""
    command = [sys.executable, "-m", "benchmarks.fuzz_readers", "--child", format, str(seed), str(start)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as child:  # no line waits in a buffer
        assert child.stdout is not None
        number = start - 1
        try:
            while time.monotonic() < end:
                if not _answers(child):
                    tally.hangs.append(number + 1)
                    return number + 1
                line = child.stdout.readline()
                if not line:
                    tally.crashes.append(f"{number + 1}: the process ended ({child.wait()})")
                    return number + 1
                told = json.loads(line)
                number = told["number"]
                tally.inputs += 1
                tally.found.update(told["found"])
                tally.peak_mib = max(tally.peak_mib, told["peak_mib"])
                if told["crash"]:
                    tally.crashes.append(f"{number}: {told['crash']}")
            return number
        finally:
            child.kill()


def _answers(child: subprocess.Popen[bytes]) -> bool:
    """Waits for a line, or the end, of a process; False when it is over a limit."""
    began, worked = time.monotonic(), _processor_time(child.pid)
    while not select.select([child.stdout], [], [], 1.0)[0]:
        if _processor_time(child.pid) - worked > LIMIT_S or time.monotonic() - began > WAIT_S:
            return False
    return True


def _processor_time(pid: int) -> float:
    """Seconds of user and system time of a process (proc(5), fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii", "replace").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _child(format: str, seed: int, start: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"
        for number, data in inputs(format, seed, start):
            path.write_bytes(data)
            found, crash = Counter[str](), ""
            try:
                found = outcome(address(path, format))
            except Exception as error:  # whatever it is, it should not have been
                place = traceback.extract_tb(error.__traceback__)[-1]
                crash = f"{type(error).__name__} in {Path(place.filename).name}:{place.lineno}"
            print(json.dumps({"number": number, "found": found, "crash": crash, "peak_mib": readers._resident("VmHWM")}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=600, help="for each format")
    parser.add_argument("--formats", default="all", help="all, or names of formats, comma-separated")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder to write the inputs to that failed")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        format, seed, start = arguments.child
        _child(format, int(seed), int(start))
        return
    chosen = list(SAMPLES) if arguments.formats == "all" else [name.strip() for name in arguments.formats.split(",")]
    unknown = [name for name in chosen if name not in SAMPLES]
    if unknown:
        parser.error(f"no such format: {', '.join(unknown)}; known: {', '.join(SAMPLES)}")
    print_machine()
    print(f"\nSeed {arguments.seed}, {arguments.seconds:,.0f} s a format.\n\n"
          "| format | inputs | records | rejects | refused | crashes | hangs | peak RSS, MiB |\n" + "|---" * 8 + "|", flush=True)
    failed: list[str] = []
    for format in chosen:
        tally = fuzz(format, arguments.seconds, arguments.seed)
        print(f"| {format} | {tally.inputs:,} | {tally.found['records']:,} | {tally.found['rejects']:,} | {tally.found['refused']:,} | "
              f"{len(tally.crashes)} | {len(tally.hangs)} | {tally.peak_mib:.0f} |", flush=True)
        failed += [f"{format} {crash}" for crash in tally.crashes] + [f"{format} {number}: hang" for number in tally.hangs]
        failed += [f"{format}: {tally.peak_mib:.0f} MiB, more than {MOST_RSS_MIB}"] if tally.peak_mib > MOST_RSS_MIB else []
        if arguments.keep:
            arguments.keep.mkdir(parents=True, exist_ok=True)
            for number in [*tally.hangs, *(int(crash.partition(":")[0]) for crash in tally.crashes)]:
                (arguments.keep / f"{format}-{arguments.seed}-{number}").write_bytes(next(inputs(format, arguments.seed, number))[1])
    if failed:
        print("\n" + "\n".join(f"- {line}" for line in failed[:100]))
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()

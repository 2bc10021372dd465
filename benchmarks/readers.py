"""How fast record files are read, and what memory that takes: MB/s, records/s and peak RSS of each format.

    python -m benchmarks.readers [--mb 100] [--runs 3] [--formats csv,cda,…] [--sizes]

Files are generated (sentences of our own, a number in each record so that no two are the same) and written to a temporary
folder. Each is read by a process of its own, from opening to the last record, one thread; the best of `--runs`. Rates are
per second of that process's processor time, so that other load on the machine does not show; "clock" is MB per second of
the wall clock in the same run. "program" is the resident set of that process before the file is opened. `--sizes` reads
each format at two sizes, one five times the other: what grows with the file would show. Linux only (/proc).
"""

from __future__ import annotations

import argparse
import csv
import html
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks.machine import print_machine

SENTENCES = (
    "患者3天前受凉后出现咳嗽，咳黄痰，伴发热，最高体温38.5℃，无恶心呕吐，无胸闷胸痛，纳眠可，二便调。",
    "自服药物后未见明显好转，遂来我院就诊，门诊以“咳嗽”收入院。",
    "神志清，精神可，咽部充血，双肺呼吸音粗，未闻及明显干湿性啰音，舌质红，苔薄黄，脉浮数。",
)
SECTIONS = (("主诉", "DE04.01.119.00", "咳嗽咳痰3天，加重1天。"), ("现病史", "DE02.10.071.00", SENTENCES[0] * 4 + SENTENCES[1]),
            ("既往史", "DE02.10.099.00", "高血压病史5年，否认糖尿病、冠心病史，否认药物过敏史。"),
            ("中医“四诊”观察结果", "DE02.10.028.00", SENTENCES[2] * 2))
"""About 400 characters, as long as the real in-patient records at hand are on average."""


def records() -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    """(number, sections as (name, code, text)), without end."""
    number = 0
    while True:
        number += 1
        yield number, [(name, code, f"{text}第{number}次。") for name, code, text in SECTIONS]


def write_csv(path: Path, size: int, encoding: str) -> None:
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["住院号", "姓名", "科室", *(name for name, _, _ in SECTIONS)])
        for number, sections in records():
            writer.writerow([f"{number:08d}", "某某", "呼吸内科", *(text for _, _, text in sections)])
            if number % 1000 == 0 and file.tell() > size:
                return


def _write(head: str, one: Callable[[int, list[tuple[str, str, str]]], str], tail: str, encoding: str) -> Callable[[Path, int], None]:
    def write(path: Path, size: int) -> None:
        with path.open("w", encoding=encoding, newline="") as file:
            file.write(head)
            for number, sections in records():
                file.write(one(number, sections))
                if number % 1000 == 0 and file.tell() > size:
                    break
            file.write(tail)

    return write


def _json(number: int, sections: list[tuple[str, str, str]]) -> str:
    return json.dumps({"id": str(number), **{name: text for name, _, text in sections}}, ensure_ascii=False)


def _cda(number: int, sections: list[tuple[str, str, str]]) -> str:
    body = "".join(
        f"""    <component><section><code code="{code}" codeSystem="2.16.156.10011.2.2.1" displayName="{name}"/><text/>
      <entry><observation classCode="OBS" moodCode="EVN">
        <code code="{code}" codeSystem="2.16.156.10011.2.2.1" codeSystemName="卫生信息数据元目录" displayName="{name}"/>
        <value xsi:type="ST">{html.escape(text)}</value></observation></entry></section></component>
""" for name, code, text in sections)
    return f"""<ClinicalDocument xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <id root="2.16.156.10011.1.1" extension="D{number}"/><title>入院记录</title>
  <recordTarget><patientRole><id root="2.16.156.10011.1.12" extension="{number:08d}"/><patient><name>某某</name>
    <administrativeGenderCode code="1" displayName="男性"/><age unit="岁" value="46"/></patient></patientRole></recordTarget>
  <component><structuredBody>
{body}  </structuredBody></component></ClinicalDocument>
"""


def _dcwriter(number: int, sections: list[tuple[str, str, str]]) -> str:
    body = "".join(
        f"""      <Element xsi:type="XString" StyleIndex="1"><Text>{name}：</Text></Element>
      <Element xsi:type="XInputField" StyleIndex="2"><ID>f{k}</ID><Name>{name}</Name><BackgroundText>{name}</BackgroundText><XElements>
        <Element xsi:type="XString" StyleIndex="2"><Text>{html.escape(text)}</Text></Element></XElements></Element>
      <Element xsi:type="XParagraphFlag" StyleIndex="1"/>
""" for k, (name, _, text) in enumerate(sections))
    return f"""<XTextDocument xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" EditorVersionString="1.0"><XElements>
  <Element xsi:type="XTextHeader"><XElements><Element xsi:type="XString"><Text>住院号：{number:08d}</Text></Element></XElements></Element>
  <Element xsi:type="XTextBody"><XElements>
{body}  </XElements></Element></XElements></XTextDocument>
"""


def _hl7(number: int, sections: list[tuple[str, str, str]]) -> str:
    lines = [f"MSH|^~\\&|EMR|XX中医院|CDR|XX中医院|20200601091200||ORU^R01|{number}|P|2.4|||||CHN|GB 18030-2000",
             f"PID|1||{number}^^^HIS||某某||19740101|F", *(f"OBX|{k}|TX|{code}^{name}||{text}||||||F"
                                                        for k, (name, code, text) in enumerate(sections, 1))]
    return "\r".join(lines) + "\r"


def _composition(number: int, sections: list[tuple[str, str, str]]) -> dict[str, object]:
    return {"resourceType": "Composition", "id": str(number), "title": "入院记录", "section": [
        {"title": name, "text": {"status": "generated", "div": f"<div xmlns=\"http://www.w3.org/1999/xhtml\">{html.escape(text)}</div>"}}
        for name, _, text in sections]}


def _fhir(number: int, sections: list[tuple[str, str, str]]) -> str:
    return json.dumps({"resourceType": "Bundle", "type": "document", "entry": [{"resource": _composition(number, sections)}]},
                      ensure_ascii=False) + "\n"


def _fhir_entry(number: int, sections: list[tuple[str, str, str]]) -> str:
    return (",\n" if number > 1 else "") + json.dumps({"resource": _composition(number, sections)}, ensure_ascii=False)


def _fhir_xml(number: int, sections: list[tuple[str, str, str]]) -> str:
    body = "".join(f"""    <section><title value="{name}"/><text><status value="generated"/>
      <div xmlns="http://www.w3.org/1999/xhtml">{html.escape(text)}</div></text></section>
""" for name, _, text in sections)
    return f"""<entry><resource><Composition><id value="{number}"/><title value="入院记录"/>
{body}</Composition></resource></entry>
"""


def write_xlsx(path: Path, size: int) -> None:
    import xlsxwriter

    book = xlsxwriter.Workbook(str(path), {"constant_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["住院号", "姓名", "科室", *(name for name, _, _ in SECTIONS)])
    written = 0
    for number, sections in records():
        row = [f"{number:08d}", "某某", "呼吸内科", *(text for _, _, text in sections)]
        for column, cell in enumerate(row):
            sheet.write_string(number, column, cell)
        written += sum(map(len, row)) * 3
        if written > size or number > 1_000_000:
            break
    book.close()


def _html_row(number: int, sections: list[tuple[str, str, str]]) -> str:
    return f"<tr><td>{number:08d}</td>" + "".join(f"<td>{html.escape(text)}</td>" for _, _, text in sections) + "</tr>\n"


_HTML_HEAD = "<html><head><meta charset=\"gb2312\"></head><body><table>\n<tr><th>住院号</th>" + "".join(
    f"<th>{name}</th>" for name, _, _ in SECTIONS) + "</tr>\n"

WRITERS: dict[str, Callable[[Path, int], None]] = {
    "CSV, UTF-8": lambda path, size: write_csv(path, size, "utf-8-sig"),
    "CSV, GB18030": lambda path, size: write_csv(path, size, "gb18030"),
    "JSON Lines": _write("", lambda n, s: _json(n, s) + "\n", "", "utf-8"),
    "JSON list": _write("[", lambda n, s: (",\n" if n > 1 else "") + _json(n, s), "]\n", "utf-8"),
    "CDA (WS/T 500)": _write("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<documents>\n", _cda, "</documents>\n", "utf-8"),
    "CDA, GB18030": _write("<?xml version=\"1.0\" encoding=\"gb2312\"?>\n<documents>\n", _cda, "</documents>\n", "gb18030"),
    "DCWriter": _write("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<documents>\n", _dcwriter, "</documents>\n", "utf-8"),
    "FHIR, XML": _write("<Bundle xmlns=\"http://hl7.org/fhir\"><type value=\"collection\"/>\n", _fhir_xml, "</Bundle>\n", "utf-8"),
    "FHIR, one Bundle a line": _write("", _fhir, "", "utf-8"),
    "FHIR, one Bundle": _write("{\"resourceType\": \"Bundle\", \"type\": \"collection\", \"entry\": [", _fhir_entry, "]}\n", "utf-8"),
    "HL7 v2, GB18030": _write("", _hl7, "", "gb18030"),
    "XLSX": write_xlsx,
    "HTML table, GB18030": _write(_HTML_HEAD, _html_row, "</table></body></html>\n", "gb18030"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mb", type=int, default=100, help="size of a generated file in MB (10⁶ bytes); of XLSX before packing")
    parser.add_argument("--runs", type=int, default=3, help="each file is read so often; the best counts")
    parser.add_argument("--formats", default="", help="names as in the table, or parts of them, comma-separated; all by default")
    parser.add_argument("--sizes", action="store_true", help="each format at --mb and at five times --mb")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        _measure(Path(arguments.child))
        return
    print_machine()
    print("\n| format | file, MB | records | MB/s | records/s | MB/s, clock | program, MiB | peak RSS, MiB |\n" + "|---" * 8 + "|")
    asked = [part.strip().lower() for part in arguments.formats.split(",") if part.strip()]
    for name, write in WRITERS.items():
        if asked and not any(part in name.lower() for part in asked):
            continue
        for factor in (1, 5) if arguments.sizes else (1,):
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "input"
                write(path, arguments.mb * factor * 10**6)
                size = path.stat().st_size / 1e6
                runs = [_child(path) for _ in range(arguments.runs if factor == 1 else 1)]
            seconds, clock, count, base, peak = min(runs)
            print(f"| {name} | {size:,.0f} | {count:,} | {size / seconds:,.0f} | {count / seconds:,.0f} | {size / clock:,.0f} | "
                  f"{base:.0f} | {peak:.0f} |", flush=True)


def _child(path: Path) -> tuple[float, float, int, float, float]:
    done = subprocess.run([sys.executable, "-m", "benchmarks.readers", "--child", str(path)], capture_output=True, text=True, check=True)
    seconds, clock, count, base, peak = json.loads(done.stdout)
    return seconds, clock, count, base, peak


def _measure(path: Path) -> None:
    from tcmstruct.emr import ReadRecord, open_source

    base = _resident("VmRSS")
    start, clock = time.process_time(), time.perf_counter()
    count = sum(isinstance(item, ReadRecord) for item in open_source(path))
    print(json.dumps([time.process_time() - start, time.perf_counter() - clock, count, base, _resident("VmHWM")]))


def _resident(key: str) -> float:
    """MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    main()

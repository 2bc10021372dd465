"""`make demo`: the main job on invented records, with the command line that users have."""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
SHOWN = ["便血", "便血颜色", "咳嗽", "痰色", "有无发热", "最高体温", "纳食",
         "睡眠", "大便性状", "大便频次", "VAS评分", "舌色", "苔色", "苔质", "脉象"]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("out/demo"))
    out: Path = arguments.parse_args().out
    command = [sys.executable, "-m", "tcmstruct", "convert", str(HERE / "records.csv"), "-o", str(out), "--fresh"]
    print("$ tcmstruct convert examples/records.csv -o", out, flush=True)
    code = subprocess.call(command)
    if code != 0:
        return code
    with open(out / "table.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    table = Table(title="table.csv: one row a visit, one column a field (some of them) · 一行一次就诊，一列一个字段（节选）")
    table.add_column("id")
    for row in rows:
        table.add_column(row["id"])
    for field in SHOWN:
        table.add_row(field, *(row.get(field, "") for row in rows))
    Console(width=150).print(table)
    print("report 报告:", (out / "report.html").resolve())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

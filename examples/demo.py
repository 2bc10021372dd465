"""`make demo`: the main job on invented records, some with a photograph, with the command line that users have."""

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
         "睡眠", "大便性状", "大便频次", "VAS评分", "舌色", "舌形", "苔色", "苔质", "脉象"]
PHOTO_COLUMNS = ["id", "舌象照片", "照片字段", "图文冲突", "警告"]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path("out/demo"))
    out: Path = arguments.parse_args().out
    command = [sys.executable, "-m", "tcmstruct", "convert", str(HERE / "records.csv"), "-o", str(out),
               "--image-root", str(HERE / "photos"), "--fresh"]
    print("$ tcmstruct convert examples/records.csv -o", out, "--image-root examples/photos", flush=True)
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
    photos = Table(title="What the photographs did (drawings) · 照片带来的（图为绘制）：补充、印证、冲突、未用")
    for name in PHOTO_COLUMNS:
        photos.add_column(name)
    for row in rows:
        if row["舌象照片"]:
            photos.add_row(*(row.get(name, "") for name in PHOTO_COLUMNS))
    console = Console(width=150)
    console.print(table)
    console.print(photos)
    print("report 报告:", (out / "report.html").resolve())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""The files that the commands of the documentation name, with content of our own, so that the commands can be run."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import xlsxwriter
from doc_pages import ROOT

from tcmstruct import cli

EVALUATED = ROOT / "examples" / "evaluation" / "gold.jsonl"
PHOTOS = ROOT / "examples" / "photos"

TABLES: tuple[str, ...] = ("export", "导出", "门诊", "住院", "病历", "出院记录", "新病历")
"""Tables of records, each as CSV and as workbook."""

FOLDERS: tuple[str, ...] = ("out", "OUT", "结果", "new", "old")
"""Results of `convert` over such a table."""

TEXT = "主诉：反复咳嗽3天。现病史：咳黄痰，无发热。姓名：李建国。舌红，苔黄腻，脉滑数。"


def stage(folder: Path) -> None:
    """Fills a folder. The records are those of examples/evaluation, so that results and gold fit together."""
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("*.py"))
    for name in ("gold.jsonl", "train.jsonl", "dev.jsonl"):
        shutil.copy(EVALUATED, folder / name)
    for name in ("photos", "照片", "舌象照片"):
        shutil.copytree(PHOTOS, folder / name)
    for name in ("舌.jpg", "tongue.jpg"):
        shutil.copy(PHOTOS / "SY0001.jpg", folder / name)
    (folder / "病历.txt").write_text(TEXT, "utf-8")
    for name in TABLES:
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(_rows(more="病情描述" if name == "导出" else ""))
        with xlsxwriter.Workbook(folder / f"{name}.xlsx") as book:
            sheet = book.add_worksheet()
            for number, row in enumerate(_rows("病程" if name == "export" else "病历内容")):
                sheet.write_row(number, 0, row)
    (folder / "本院编码.csv").write_text("name,code,system\n脾虚肝郁,BY0001,本院\n", "utf-8")
    shutil.copy(folder / "本院编码.csv", folder / "院内诊断.csv")
    assert cli.run(["convert", str(folder / "export.csv"), "-o", str(folder / "out"), "--image-root", str(PHOTOS), "--workers", "1"]) == 0
    sign_off(folder / "out")
    for name in FOLDERS[1:]:
        shutil.copytree(folder / "out", folder / name)
        shutil.copy(folder / "out.review.db", folder / f"{name}.review.db")
    assert cli.run(["annotation", "convert", str(folder / "gold.jsonl"), "--to", "label-studio", "-o", str(folder / "导出.json")]) == 0
    shutil.copy(folder / "导出.json", folder / "tasks.json")


def sign_off(out: Path) -> None:
    """One record is reviewed and signed off, as on the page."""
    from tcmstruct.schema import load_schema
    from tcmstruct.serve.decisions import Decision
    from tcmstruct.serve.review import open_review
    from tcmstruct.serve.store import default_url

    review = open_review(out, default_url(out), load_schema("all"), "王医生")
    review.start()
    review.wait()
    review.decide(0, Decision(target="record", name="", action="done", who="王医生", after=review.shown(0)["last"]))
    review.close()


def _rows(column: str = "病历内容", more: str = "") -> list[list[str]]:
    """A table whose text stands in a column of this name, and one more column if wanted; every third record comes with a photograph."""
    records = [json.loads(line) for line in EVALUATED.read_text("utf-8").splitlines()]
    photos = sorted(path.name for path in PHOTOS.iterdir())
    rows = [["就诊号", "科室", column, "舌象照片"]]
    rows += [[record["id"], record["dept"], record["text"], photos[n] if n % 3 == 0 else ""] for n, record in enumerate(records)]
    return [[*row, more if n == 0 else "纳可"] for n, row in enumerate(rows)] if more else rows

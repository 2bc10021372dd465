"""Workbooks and documents of the format samples hold the same records as the CSV."""

import csv
import os
import re
from pathlib import Path

import pytest

from tcmstruct.emr import docx, html_page, rtf, xls, xlsx
from tcmstruct.emr.source import FileFacts, Given

ROOT = Path(__file__).parents[2]
SAMPLES = Path(os.environ.get("TCMSTRUCT_DATA", ROOT.parent / "shared" / "data")) / "emr_samples" / "made_from_tcmsd_other_formats"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not SAMPLES.is_dir(), reason="needs emr_samples: TCMSTRUCT_DATA")]


@pytest.fixture(scope="module")
def reference() -> list[dict[str, str]]:
    with (SAMPLES / "outpatient_gbk.csv").open(encoding="gb18030", newline="") as file:
        return list(csv.DictReader(file))


def given(name: str) -> tuple[Given, FileFacts]:
    return Given(SAMPLES / name, name), FileFacts(name, 0, "")


@pytest.mark.parametrize(("name", "reader", "skipped"), [
    ("outpatient.xlsx", xlsx, 0), ("outpatient_title_row_numeric_id.xls", xls, 1)])
def test_workbooks(reference, name, reader, skipped):
    tables = reader.open_tables(*given(name))
    header, *rows = [cells for _, cells in list(next(tables).rows)[skipped:]]
    assert list(header) == list(reference[0])
    for row, expected in zip(rows, reference, strict=True):
        assert [str(cell).zfill(8) if number == 0 else cell for number, cell in enumerate(row)] == list(expected.values())


@pytest.mark.parametrize(("name", "reader", "diagnosis"), [
    ("first_course.docx", docx, ["中医诊断", "证候"]), ("progress_note_gbk.rtf", rtf, ["辨证"]),
    ("emr_page_gb2312.html", html_page, ["证型"])])
def test_documents(reference, name, reader, diagnosis):
    (found,) = reader.read_records(*given(name))
    sections = {_plain(title): _plain(text) for title, text in found.sections}
    row = next(row for row in reference if _plain(row["主诉"]) == sections["主诉"])
    assert sections["现病史"] == _plain(row["现病史"])
    four = next(text for title, text in sections.items() if title.startswith("四诊"))
    assert four == _plain(row["中医“四诊”观察结果"])
    assert list(found.facts) == diagnosis and list(found.facts.values())[-1] == row["中医证候名称"]


def test_the_page_is_not_taken_for_a_table():
    assert not html_page.is_table(given("emr_page_gb2312.html")[0])


def _plain(text: str) -> str:
    return re.sub(r"\s", "", text)

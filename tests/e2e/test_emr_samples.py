"""Every sample of `data/emr_samples`: the same five records in whichever format, and the columns of real vendor tables.

Compared by hashes and counts, so that a failure shows no record.
"""

import csv
import hashlib
import os
import re
from pathlib import Path

import pytest

from tcmstruct.emr import ReadRecord, open_source
from tcmstruct.emr.columns import aliases, known_role, map_columns, normal_name

DATA = Path(os.environ.get("TCMSTRUCT_DATA", Path(__file__).parents[2].parent / "shared" / "data")) / "emr_samples"
pytestmark = [pytest.mark.data, pytest.mark.skipif(not DATA.exists(), reason="the samples are absent: set TCMSTRUCT_DATA")]
FORMATS = DATA / "made_from_tcmsd_other_formats"

FOUR = ("中医“四诊”观察结果", "中医四诊观察结果", "中医四诊", "四诊", "四诊摘要")
SECTIONS = {"主诉": "主诉", "现病史": "现病史", **dict.fromkeys(FOUR, "四诊")}
ADDED = re.compile(r"\s+|[\"“”]?望诊[\"“”]?：")
"""What the makers of the samples put into the texts, and blanks."""


def content(record: ReadRecord) -> dict[str, str]:
    """Section → hash of its text."""
    out: dict[str, list[str]] = {}
    name = ""
    for line in record.text.split("\n"):
        title, colon, rest = line.partition("：")
        if colon and normal_name(title) in {normal_name(known) for known in SECTIONS}:
            name, line = next(SECTIONS[k] for k in SECTIONS if normal_name(k) == normal_name(title)), rest
        if name:
            out.setdefault(name, []).append(line)
    return {name: hashlib.sha256(ADDED.sub("", "".join(lines)).encode()).hexdigest()[:12] for name, lines in out.items()}


def read(name: str):
    source = open_source(FORMATS / name)
    items = list(source)
    assert all(isinstance(item, ReadRecord) for item in items), [item.to_dict() for item in items if not isinstance(item, ReadRecord)]
    return source, items


@pytest.fixture(scope="module")
def five():
    """Number → content, of the CSV file."""
    return {int(record.id): content(record) for record in read("outpatient_utf8bom.csv")[1]}


@pytest.mark.parametrize(("name", "format", "encoding", "lost_zeros"), [
    ("outpatient_gbk.csv", "delimited", "gb18030", False), ("outpatient_gb18030_rare_name.csv", "delimited", "gb18030", False),
    ("outpatient_gb18030_multiline_quotes.csv", "delimited", "gb18030", False), ("outpatient_utf16.txt", "delimited", "utf-16", False),
    ("outpatient.xlsx", "xlsx", None, False), ("outpatient_title_row_numeric_id.xls", "xls", None, True),
    ("oru_r01_gb18030.hl7", "hl7", "gb18030", True), ("fhir_r4_bundles.ndjson", "fhir", "utf-8", True),
])
def test_the_same_five_records(five, name, format, encoding, lost_zeros):
    source, records = read(name)
    assert (source.facts.format, source.facts.encoding) == (format, encoding)
    assert {int(record.id): content(record) for record in records} == five
    assert len({record.id for record in records}) == 5
    assert all(record.id.startswith("00") != lost_zeros for record in records)


@pytest.mark.parametrize(("name", "format", "said"), [
    ("emr_page_gb2312.html", "html", "证型"), ("first_course.docx", "docx", "中医诊断"), ("progress_note_gbk.rtf", "rtf", "辨证"),
])
def test_documents_of_one_record(five, name, format, said):
    source, (record,) = read(name)
    assert source.facts.format == format
    assert content(record) in five.values()
    assert record.id == name
    assert record.extra[said]
    assert "alert" not in record.text and "<" not in record.text


def test_traps_of_the_samples():
    extra = {name: read(name)[1][0].extra for name in ("outpatient_gb18030_rare_name.csv", "oru_r01_gb18030.hl7", "fhir_r4_bundles.ndjson")}
    assert extra["outpatient_gb18030_rare_name.csv"]["患者姓名"] == "䶮𬌗"  # beyond GBK, and beyond the BMP
    assert extra["oru_r01_gb18030.hl7"]["性别"] == "女"
    assert extra["oru_r01_gb18030.hl7"]["中医证候名称"] == extra["fhir_r4_bundles.ndjson"]["中医证候名称"]
    assert "中医病名名称" not in extra["oru_r01_gb18030.hl7"]
    assert extra["fhir_r4_bundles.ndjson"]["中医病名名称"].endswith("病")
    assert "title_rows" in read("outpatient_title_row_numeric_id.xls")[0].facts.notes


def columns(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row[:2] for row in csv.reader(file) if len(row) > 1]


TEXTLESS = ("05", "33")
"""Tables without record text: the prescription and the front page."""


@pytest.mark.parametrize("number", [0, 1])
def test_columns_of_vendor_tables_by_chinese_and_by_database_names(number):
    files = sorted((DATA / "wst445_columns").glob("*.columns.csv"))
    assert len(files) == 9
    for path in files:
        mapped = map_columns([row[number] for row in columns(path)])
        assert bool(mapped.text) != path.name.startswith(TEXTLESS), path.name
        assert mapped.id is not None, path.name
        named = {mapped.names[i] for i in mapped.text}
        assert not any("鉴别" in name or "IDENTIFY" in name or "签名" in name or "代码" in name for name in named), path.name


def test_both_names_of_a_column_have_the_same_role():
    differ = set()
    for path in (DATA / "wst445_columns").glob("*.columns.csv"):
        for chinese, english in columns(path):
            if "text" in (known_role(chinese), known_role(english)) and known_role(chinese) != known_role(english):
                differ.add((chinese, english))
    assert not differ
    assert len(aliases()) > 400

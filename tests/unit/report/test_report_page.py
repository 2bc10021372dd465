"""The page as a whole: its parts, what it withholds, and the figures as files."""

import json
import re
import stat

import pytest

from tcmstruct.errors import MissingExtra, UsageError
from tcmstruct.recipes import report as recipe
from tcmstruct.record import FieldValue, Mention, StructuredRecord
from tcmstruct.report import make_report

TEXT = "舌红，脉弦。证属肝胃不和证。秘密原文"
CODE = {"system": "GB/T 16751.2-2021", "code": "6.6.2.4.1", "name": "肝胃不和证", "start": 8, "end": 13}


def line(n, colour="红", dept="内科", **more):
    fields = {"舌色": FieldValue([colour], "舌红", 0, 2, confidence=0.97), "脉象": FieldValue(["弦"], "脉弦", 3, 5, confidence=0.93)}
    return StructuredRecord(f"编{n:04}", TEXT, [Mention("证候", 8, 13, None, 0.9, codes=(CODE,))], {**fields, **more}, dept,
                            extra={"就诊日期": f"2025-0{n % 3 + 1}-05"})


@pytest.fixture
def folder(tmp_path):
    records = [line(n) for n in range(40)] + [line(40 + n, "绛", "罕见科") for n in range(3)]
    (tmp_path / "records.jsonl").write_text("".join(json.dumps(one.to_dict(), ensure_ascii=False) + "\n" for one in records), "utf-8")
    manifest = {"fields": {"general": ["舌色", "脉象", "咳嗽"]}, "review_threshold": 0.9}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest, ensure_ascii=False), "utf-8")
    return tmp_path


def test_every_part_is_there_and_linked(folder):
    page = make_report(folder).html
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == ["counts", "trust", "fields", "values", "depts", "pairs", "months", "confidence", "faults", "origin", "sample"]
    assert set(re.findall(r'<a href="#(\w+)">', page)) == set(sections) - {"counts"}
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids)), "every id is one element's"


def test_small_counts_are_withheld_everywhere_and_identified_tells_them(folder):
    page = make_report(folder, n_sample=0).html
    assert "绛 <small>&lt;5</small>" in page and "绛 <small>3</small>" not in page and "≥39" in page
    row = re.search(r'<tr><th scope="row">罕见科</th>(.*?)</tr>', page)[1]
    assert row == '<td class="num">&lt;5</td>' + '<td class="num">–</td>' * 4
    told = make_report(folder, identified=True).html
    assert "绛 <small>3</small>" in told and "小格保护" in page and "小格保护" not in told


def test_without_a_sample_no_word_of_a_record_is_on_the_page(folder):
    page = make_report(folder, n_sample=0).html
    assert "秘密原文" not in page and "编0001" not in page and 'id="sample"' not in page and "肝胃不和证" in page
    assert "秘密原文" in make_report(folder).html


def test_the_policy_admits_pictures_from_the_page_alone(folder):
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', make_report(folder).html)[1]
    assert "default-src 'none'; img-src data:; " in policy and "http" not in policy and "unsafe" not in policy


def test_an_output_without_values_has_a_page(tmp_path):
    (tmp_path / "records.jsonl").write_text(json.dumps(StructuredRecord("1", "").to_dict()) + "\n", "utf-8")
    page = make_report(tmp_path).html
    assert 'id="values"' not in page and 'id="pairs"' not in page and 'id="months"' not in page


def test_figures_as_files(folder, tmp_path):
    page = recipe.report(folder, page=tmp_path / "p" / "r.html", figures=tmp_path / "图", formats=("svg", "csv", "svg"))
    files = sorted(one.name for one in (tmp_path / "图").iterdir())
    assert page.exists() and len(files) == len(set(files)) and "field-舌色.svg" in files and "field-舌色.csv" in files
    table = (tmp_path / "图" / "field-舌色.csv").read_text("utf-8-sig")
    assert table.splitlines()[1:] == ["红,≥39,≥90.7%", "绛,<5,–", "未提及,0,0% 全部 of all"]
    assert stat.S_IMODE((tmp_path / "图" / "field-舌色.svg").stat().st_mode) == 0o600
    assert not (folder / "report.html").exists()


def test_a_table_runs_nothing_in_a_spreadsheet(folder, tmp_path):
    with (folder / "records.jsonl").open("a", encoding="utf-8") as file:
        for n in range(9):
            file.write(json.dumps(line(100 + n, "=1+1").to_dict(), ensure_ascii=False) + "\n")
    recipe.report(folder, figures=tmp_path / "f", formats=("csv",))
    assert "\n'=1+1,≥8," in (tmp_path / "f" / "field-舌色.csv").read_text("utf-8-sig").replace("\r\n", "\n")


def test_png_shows_chinese_or_says_why_not(folder, tmp_path, monkeypatch):
    resvg = pytest.importorskip("resvg_py")
    recipe.report(folder, figures=tmp_path / "f", formats=("png",))
    assert (tmp_path / "f" / "field-舌色.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    monkeypatch.setattr(resvg, "svg_to_bytes", lambda **_: b"the same box")
    with pytest.raises(Exception, match="Noto Sans CJK"):
        recipe.report(folder, figures=tmp_path / "g", formats=("png",))
    assert not (tmp_path / "g").exists()


def test_what_is_missing_or_unknown_is_said_before_anything_is_written(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    with pytest.raises(MissingExtra, match=r"\[plot\]"):
        recipe.report(folder, figures=tmp_path / "f", formats=("png",))
    with pytest.raises(UsageError, match="svg, png, csv"):
        recipe.report(folder, figures=tmp_path / "f", formats=("pdf",))
    with pytest.raises(UsageError, match="0 or more"):
        recipe.report(folder, n_sample=-1)
    assert not (tmp_path / "f").exists() and not (folder / "report.html").exists()


def test_a_number_is_told_by_its_middle(folder):
    with (folder / "records.jsonl").open("a", encoding="utf-8") as file:
        for n in range(20):
            one = line(200 + n, 体温=FieldValue(36.0 + n / 10, "舌红", 0, 2, unit="℃", confidence=0.97))
            file.write(json.dumps(one.to_dict(), ensure_ascii=False) + "\n")
    page = make_report(folder, n_sample=0).html
    assert "36.95 ℃ <small>中位 median</small>" in page and "36.475 – 37.425 <small>四分位 quartiles</small>" in page
    assert "37.9" not in page, "the highest may be one person's"

"""`tcmstruct report`: the page of a finished folder again, figures as files, and what `verify` says afterwards."""

import csv
import json
import re

import pytest
from fake_structurers import Fake

from tcmstruct.batch.run import run_batch
from tcmstruct.batch.verify import verify
from tcmstruct.cli import run
from tcmstruct.record import Record
from tcmstruct.report import write_report

TEXTS = ("发热3天，体温37.8℃。", "无发热，咳黄痰。", "无发热。", "咳黄痰，体温37.8℃。")


@pytest.fixture
def out(tmp_path):
    records = (Record(f"a{n}", TEXTS[n % 4], ("内科", "外科")[n % 2], extra={"就诊日期": f"2025-{n % 6 + 1:02}-01"}) for n in range(80))
    run_batch(records, Fake().structure_many, tmp_path / "out", write_report=write_report)
    return tmp_path / "out"


def test_the_report_is_made_again_and_the_result_stays_whole(out, capsys):
    before = (out / "report.html").read_bytes()
    (out / "report.html").unlink()
    assert run(["report", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == "" and "report.html" in told.err
    again = (out / "report.html").read_bytes()
    pseudonyms = re.compile(rb"\[[^\]]{2,20}\]")
    assert pseudonyms.sub(b"", again) == pseudonyms.sub(b"", before)
    assert [fault for _, fault in verify(out) if fault] == []


def test_figures_and_their_numbers_as_files(out, tmp_path, capsys):
    options = ["-o", str(tmp_path / "r.html"), "--figures", str(tmp_path / "图"), "--format", "svg,csv", "--sample", "0"]
    assert run(["report", str(out), *options]) == 0
    assert "files of figures" in capsys.readouterr().err
    names = {path.name for path in (tmp_path / "图").iterdir()}
    assert {"findings-other.svg", "findings-other.csv", "visits-by-month.svg", "coverage-by-department.csv"} <= names
    with (tmp_path / "图" / "findings-other.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[1] == ["有无发热", "20", "33.3%", "40", "66.7%", "20", "25%"]
    assert "咳黄痰" not in (tmp_path / "r.html").read_text("utf-8")


@pytest.mark.parametrize(("options", "code", "words"), [
    (["--figures", "f", "--format", "pdf"], 2, "svg, png, csv"), (["--sample", "-1"], 2, "")])
def test_a_wrong_option_is_a_matter_of_usage(out, monkeypatch, tmp_path, capsys, options, code, words):
    monkeypatch.chdir(tmp_path)
    assert run(["report", str(out), *options]) == code and words in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_a_folder_without_records_is_refused(tmp_path, capsys):
    assert run(["report", str(tmp_path)]) == 4
    assert "no records.jsonl" in capsys.readouterr().err


def test_a_broken_line_is_named_by_its_place(out, capsys):
    with (out / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"id": "秘密"}, ensure_ascii=False)[:-3] + "\n")
    assert run(["report", str(out)]) == 4
    told = capsys.readouterr().err
    assert "records.jsonl:81" in told and "秘密" not in told

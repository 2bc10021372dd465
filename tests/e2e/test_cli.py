"""The commands as a user calls them; the structurer is a fake, everything else is real."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openpyxl
import pytest

from tcmstruct import cli
from tcmstruct.recipes import convert as convert_recipe

FAKES = Path(__file__).parents[1] / "fakes"
sys.path.insert(0, str(FAKES))
import fake_structurers as fakes  # noqa: E402

ROWS = [["门诊号", "科室", "主诉", "现病史", "费用"],
        ["001", "呼吸内科", "咳嗽3天", "无发热，体温37.8℃，咳黄痰。", "12"],
        ["002", "肛肠科", "便血", "发热2天。", "=1+1"]]


@pytest.fixture(autouse=True)
def fake_pipeline(monkeypatch):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Failing())


def write_csv(path, rows=ROWS, encoding="gb18030"):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    path.write_bytes(text.getvalue().encode(encoding))
    return path


def run(*arguments):
    return cli.run([str(a) for a in arguments])


def manifest(out):
    return json.loads((out / "manifest.json").read_text("utf-8"))


def test_convert_makes_the_folder_of_the_design(tmp_path, capfd):
    assert run("convert", write_csv(tmp_path / "门诊.csv"), "-o", tmp_path / "o", "--workers", 1) == 0
    out = tmp_path / "o"
    assert sorted(p.name for p in out.iterdir()) == sorted(
        ["records.jsonl", "rejects.jsonl", "table.csv", "table.xlsx", "manifest.json", "report.html", "_SUCCESS"])
    first, second = (json.loads(line) for line in (out / "records.jsonl").read_bytes().splitlines())
    assert first["text"] == "主诉：咳嗽3天\n现病史：无发热，体温37.8℃，咳黄痰。"
    assert first["fields"]["有无发热"]["value"] == "无"
    assert second["extra"] == {"费用": "=1+1"}
    found = manifest(out)
    assert found["inputs"][0]["encoding"] == "gb18030"
    assert found["inputs"][0]["columns"][0]["主诉"] == "text"
    assert openpyxl.load_workbook(out / "table.xlsx").sheetnames == ["数据", "证据", "编码"]
    assert "'=1+1" in (out / "table.csv").read_text("utf-8-sig")
    assert "咳嗽" in (out / "report.html").read_text("utf-8")
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "2 records: 2 ok, 0 with warnings, 0 rejected" in shown.err


def test_rejects_give_exit_code_3_and_no_text_anywhere_but_in_records(tmp_path, capfd):
    rows = [*ROWS, ["003", "骨科", f"坏{fakes.MARKER}", "x", ""], ["004", "骨科", "", "", ""],
            ["001", "骨科", f"{fakes.MARKER}头痛", "", ""], ["005", "骨科", f"{fakes.MARKER}\0头痛", "", ""],
            ["006", "骨科", f"{fakes.MARKER}头痛", "", "", "多", "出"]]
    assert run("convert", write_csv(tmp_path / "a.csv", rows), "-o", tmp_path / "o", "--workers", 1) == 3
    rejects = [json.loads(line) for line in (tmp_path / "o" / "rejects.jsonl").read_bytes().splitlines()]
    assert [(r["code"], r["id"], r["where"]) for r in rejects] == [
        ("structuring_failed", "003", "a.csv:4"), ("text_missing", "004", "a.csv:5"), ("duplicate_id", "001", "a.csv:6"),
        ("nul_character", None, "a.csv:7"), ("ragged_row", None, "a.csv:8")]
    shown = capfd.readouterr()
    assert "text_missing 1" in shown.err
    for text in (shown.out, shown.err, *(p.read_bytes().decode("utf-8", "replace") for p in (tmp_path / "o").iterdir())):
        assert fakes.MARKER not in text
    counts = manifest(tmp_path / "o")["counts"]
    assert counts["in"] == 7 == counts["ok"] + counts["warned"] + counts["rejected"]


@pytest.mark.parametrize(("content", "code"), [
    ("姓名,费用\n王某,3\n".encode(), 4), (b"%PDF-1.4", 4), (b"PK\x03\x04", 4), (b"\xff\xfb\xff\xfa" * 40, 4), (None, 4),
    (b"", 0), (b"\xef\xbb\xbf", 0), ("门诊号,主诉\n".encode(), 0)])
def test_whole_files_that_are_bad_or_empty(tmp_path, capfd, content, code):
    path = tmp_path / "a.csv"
    if content is not None:
        path.write_bytes(content)
    assert run("convert", path, "-o", tmp_path / "o", "--workers", 1) == code
    shown = capfd.readouterr().err
    if code:
        assert shown.startswith("error: a.csv: ")
        assert len(shown.splitlines()) == 1
        assert not (tmp_path / "o").exists()
    else:
        assert "warning: a.csv: " in shown
        assert manifest(tmp_path / "o")["counts"] == {"in": 0, "ok": 0, "warned": 0, "rejected": 0}


def test_several_inputs_in_several_formats_and_the_same_bytes_again(tmp_path):
    a = write_csv(tmp_path / "a.csv", encoding="utf-8-sig")
    (tmp_path / "b.jsonl").write_text('{"id": "9", "text": "发热"}\n', encoding="utf-8")
    book = openpyxl.Workbook()
    book.active.append(["id", "病历"])
    book.active.append(["10", "咳黄痰"])
    book.save(tmp_path / "c.xlsx")
    inputs = [a, tmp_path / "b.jsonl", tmp_path / "c.xlsx"]
    for out in ("o", "p"):
        assert run("convert", *inputs, "-o", tmp_path / out, "--format", "jsonl, csv,xlsx", "--workers", 1) == 0
    ids = [json.loads(line)["id"] for line in (tmp_path / "o" / "records.jsonl").read_bytes().splitlines()]
    assert ids == ["001", "002", "9", "10"]
    for name in ("records.jsonl", "rejects.jsonl", "table.csv", "table.xlsx"):
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "p" / name).read_bytes()


def test_usage_errors_are_exit_code_2(tmp_path, capfd):
    path = write_csv(tmp_path / "a.csv")
    out = tmp_path / "o"
    assert run("convert", path, "-o", out, "--format", "pdf", "--workers", 1) == 2
    assert run("convert", path, path, "-o", out) == 2
    assert run("convert", path, "-o", out, "--map", "主诉") == 2
    assert run("convert", path, "-o", out, "--memory-limit", "viel") == 2
    assert run("convert", path, "-o", out, "--encoding", "klingon") == 2
    assert run("convert", path) == 2
    assert run("nonsense") == 2
    assert not out.exists()
    assert run("convert", path, "-o", out, "--workers", 1, "--no-report") == 0
    assert run("convert", path, "-o", out, "--workers", 1, "--no-report") == 2
    assert "--fresh" in capfd.readouterr().err
    assert run("convert", path, "-o", out, "--workers", 1, "--no-report", "--fresh") == 0


def test_map_names_the_text_column(tmp_path):
    path = write_csv(tmp_path / "a.csv", [["号", "情况"], ["1", "发热"]])
    assert run("convert", path, "-o", tmp_path / "o", "--workers", 1) == 4
    assert run("convert", path, "-o", tmp_path / "o", "--workers", 1, "--map", "情况=text", "--map", "#1=id") == 0
    assert json.loads((tmp_path / "o" / "records.jsonl").read_bytes())["id"] == "1"


def test_inspect_shows_shape_and_a_first_record_without_names(tmp_path, capfd):
    path = write_csv(tmp_path / "a.csv")
    assert run("inspect", path) == 0
    text = capfd.readouterr().out
    assert run("inspect", path, "--json") == 0
    found = json.loads(capfd.readouterr().out)
    assert (found["format"], found["encoding"], found["delimiter"], found["rows"]) == ("delimited", "gb18030", ",", 2)
    assert [c["role"] for c in found["tables"][0]["columns"]] == ["id", "dept", "text", "text", "extra"]
    assert found["tables"][0]["columns"][3]["first_row"] == "16 characters"
    for shown in (text, json.dumps(found, ensure_ascii=False)):
        assert "现病史" in shown and "咳嗽" in shown and "001" not in shown
    assert found["first_record"]["dept"] == "呼吸内科" and found["first_record"]["id"].startswith("[编号-")
    assert not found["identified"] and "--identified" in text and "发热2天" not in text, "of the first record only"


@pytest.fixture
def fake_structurer(monkeypatch):
    import types

    module = types.ModuleType("tcmstruct.pipeline")
    module.Structurer = lambda model, schema, **more: fakes.Failing()
    monkeypatch.setitem(sys.modules, "tcmstruct.pipeline", module)


@pytest.mark.usefixtures("fake_structurer")
def test_structure_takes_text_file_and_standard_input(tmp_path, capfdbinary, monkeypatch):
    path = tmp_path / "r.txt"
    path.write_bytes("头痛，无发热".encode("gb18030"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("头痛，无发热".encode())))
    for source in ("头痛，无发热", path, "-"):
        assert run("structure", source) == 0
        found = json.loads(capfdbinary.readouterr().out)
        field = found["fields"]["有无发热"]
        assert (field["value"], found["text"][field["start"]:field["end"]]) == ("无", "发热")


@pytest.mark.usefixtures("fake_structurer")
@pytest.mark.parametrize("text", ["", " ", "痛", "头痛\0", "\ud800头痛"])
def test_structure_refuses_what_is_no_record(text, capfd):
    assert run("structure", text) == 4
    shown = capfd.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1


@pytest.mark.usefixtures("fake_structurer")
def test_a_failure_shows_kind_and_place_and_no_text(capfd):
    assert run("structure", f"坏{fakes.MARKER}") == 1
    assert run("structure", fakes.MARKER, f"又{fakes.MARKER}") == 2
    assert run("structure", f"-{fakes.MARKER}") == 2
    shown = capfd.readouterr().err
    assert "ValueError in fake_structurers.py:" in shown
    assert fakes.MARKER not in shown


def test_doctor_says_a_verdict_a_line_and_fails_for_a_missing_model(tmp_path, capfd):
    assert run("doctor", "--model", tmp_path) == 1
    lines = capfd.readouterr().out.splitlines()
    assert all(line.startswith(("[ok]", "[note]", "[broken]")) for line in lines)
    assert [line for line in lines if line.startswith("[broken]")] == [
        line for line in lines if "manifest.json is missing" in line]
    assert any("Python" in line for line in lines)


def test_view_and_evaluate_are_wired(tmp_path, capfd):
    assert run("convert", write_csv(tmp_path / "a.csv"), "-o", tmp_path / "o", "--workers", 1, "--no-report") == 0
    assert run("view", tmp_path / "o", "-o", tmp_path / "v.html") == 0
    assert "咳嗽" in (tmp_path / "v.html").read_text("utf-8")
    capfd.readouterr()
    gold = tmp_path / "o" / "records.jsonl"
    assert run("evaluate", gold, tmp_path / "o", "--json") == 0
    assert json.loads(capfd.readouterr().out)
    assert run("evaluate", tmp_path / "none.jsonl", tmp_path / "o") == 4


@pytest.mark.parametrize("command", ["structure", "convert", "evaluate", "inspect", "view", "doctor", "quantize", "distil", "prune",
                                     "deidentify"])
def test_every_command_explains_itself(command, capfd):
    assert run(command, "--help") == 0
    shown = capfd.readouterr().out
    assert "Usage" in shown
    assert any("\u4e00" <= c <= "\u9fff" for c in shown)


SLOW = """
import sys, time
sys.path.insert(0, {fakes!r})
import fake_structurers as fakes
from tcmstruct import cli
from tcmstruct.recipes import convert
class Slow(fakes.Fake):
    def structure_many(self, records):
        print("working", file=sys.stderr, flush=True)
        time.sleep(0.3)
        return super().structure_many(records)
convert.StructurerFactory.__call__ = lambda self: Slow()
sys.exit(cli.run(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_keeps_what_is_done_and_shows_no_result(tmp_path, number, code):
    path = write_csv(tmp_path / "a.csv", [["id", "text"], *([str(k), f"发热{k}"] for k in range(9000))])
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW.format(fakes=str(FAKES)), "convert", str(path), "-o", str(tmp_path / "o"), "--workers", "1"],
        stderr=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a shell's background job is started with it ignored
    try:
        while "working" not in process.stderr.readline():
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(30) == code
        rest = process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
    assert "Traceback" not in rest
    assert "rows are done and kept" in rest
    assert [p.name for p in (tmp_path / "o").iterdir()] == [".tcmstruct-work"]

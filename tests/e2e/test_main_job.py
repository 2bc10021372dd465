"""The road of the README with the shipped model: inspect, convert, evaluate, view, structure, doctor, in real processes."""

import csv
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECORDS = ROOT / "examples" / "records.csv"


def tcmstruct(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "tcmstruct", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True,
                          encoding="utf-8", timeout=300, **options)


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    out = tmp_path_factory.mktemp("road") / "out"
    done = tcmstruct("convert", RECORDS, "-o", out)
    assert done.returncode == 0, done.stderr
    return out


def test_convert_writes_everything_and_counts_add_up(converted):
    names = {p.name for p in converted.iterdir()}
    assert {"records.jsonl", "rejects.jsonl", "report.html", "manifest.json", "_SUCCESS", "table.csv", "table.xlsx"} <= names
    manifest = json.loads((converted / "manifest.json").read_text(encoding="utf-8"))
    counts = manifest["counts"]
    assert counts["in"] == 8 == counts["ok"] + counts["warned"] + counts["rejected"]
    for path in converted.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_table_has_one_row_a_visit_and_values_stand_in_the_text(converted):
    with open(converted / "table.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    assert len(rows) == 8
    assert rows["SY0001"]["苔色"] == "黄" and rows["SY0002"]["最高体温"] == "38.6" and rows["SY0004"]["VAS评分"] == "7"
    for line in (converted / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        for item in [*record["entities"], *record["fields"].values()]:
            assert record["text"][item["start"] : item["end"]] == item.get("text", item.get("evidence"))


def test_second_run_is_the_same_byte_for_byte(converted, tmp_path):
    assert tcmstruct("convert", RECORDS, "-o", tmp_path / "again", "--workers", 2).returncode == 0
    for name in ("records.jsonl", "table.csv", "rejects.jsonl"):
        assert (tmp_path / "again" / name).read_bytes() == (converted / name).read_bytes()


def test_evaluate_against_itself_is_perfect(converted):
    done = tcmstruct("evaluate", converted / "records.jsonl", converted, "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["entities"]["strict"]["f1"]["value"] == 1.0 and result["fields"]["micro"]["f1"]["value"] == 1.0


def test_view_inspect_structure_doctor(converted, tmp_path):
    assert tcmstruct("view", converted, "-o", tmp_path / "view.html").returncode == 0
    page = (tmp_path / "view.html").read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "") and "https://" not in page
    assert "SY0001" not in page
    assert tcmstruct("view", converted, "-o", tmp_path / "named.html", "--identified").returncode == 0
    assert "SY0001" in (tmp_path / "named.html").read_text(encoding="utf-8")
    seen = tcmstruct("inspect", RECORDS)
    assert seen.returncode == 0 and "病历内容" in seen.stdout and "便时滴血" in seen.stdout, "the first record, de-identified"
    assert "SY0001" not in seen.stdout
    one = tcmstruct("structure", "舌淡红，苔薄白，脉弦")
    assert json.loads(one.stdout)["fields"]["苔色"]["value"] == ["白"]
    piped = tcmstruct("structure", "-", input="舌淡红，苔薄黄，脉细")
    assert json.loads(piped.stdout)["fields"]["苔色"]["value"] == ["黄"]
    health = tcmstruct("doctor")
    assert health.returncode == 0, health.stdout + health.stderr


def test_runs_without_network(tmp_path):
    """The whole job with sockets taken away."""
    blocker = tmp_path / "sitecustomize.py"
    blocker.write_text("import socket\n\n\ndef refuse(*a, **k):\n    raise RuntimeError('network was asked for')\n\n\n"
                       "socket.socket.connect = refuse\nsocket.getaddrinfo = refuse\nsocket.create_connection = refuse\n")
    path = os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = tcmstruct("convert", RECORDS, "-o", tmp_path / "out", "--workers", 1, env={**os.environ, "PYTHONPATH": path})
    assert done.returncode == 0, done.stderr


def test_altered_model_is_refused_and_named(tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(ROOT / "tcmstruct" / "models" / "default", folder)
    (folder / "characters.txt").write_text("x\n")
    done = tcmstruct("convert", RECORDS, "-o", tmp_path / "out", "--model", folder)
    assert done.returncode == 4 and "characters.txt" in done.stderr and not (tmp_path / "out" / "_SUCCESS").exists()

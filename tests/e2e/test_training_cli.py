"""`train`, `adapt` and `suggest` from the command line, on a model of a few thousand weights and invented records."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")
pytest.importorskip("onnx")

import toy_labels
from tiny_tagger import tiny_tagger

from tcmstruct import cli
from tcmstruct.evaluation import read_annotated
from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record

FAST = ("--rate", "3e-3", "--epochs", "4", "--threads", "1")


def run(*arguments):
    return cli.run([str(a) for a in arguments])


def tree(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def tiny():
    return tiny_tagger() / "fp32"


@pytest.fixture(scope="module")
def trained(tiny, tmp_path_factory):
    """A model that was trained from the command line, with its labels."""
    place = tmp_path_factory.mktemp("trained")
    labels = toy_labels.write(place / "labels.jsonl")
    assert run("train", labels, "-o", place / "own", "--model", tiny, *FAST) == 0
    return place


def test_one_command_from_labels_to_a_model_that_every_command_takes(trained, tmp_path, capfd):
    own = trained / "own"
    plain = ("--format", "jsonl", "--no-report", "--workers", 1)
    assert run("convert", trained / "labels.jsonl", "-o", tmp_path / "out", "--model", own, *plain) == 0
    assert run("evaluate", trained / "labels.jsonl", tmp_path / "out", "--json") == 0
    assert json.loads(capfd.readouterr().out)["entities"]["strict"]["f1"]["value"] > 0.8
    assert (tmp_path / "out" / "manifest.json").read_text("utf-8").count(Structurer(own).model_fingerprint) >= 1


def test_the_run_leaves_a_report_without_text_and_no_checkpoint(trained):
    work = trained / "own.training"
    figures = json.loads((work / "figures.json").read_bytes())
    assert figures["compared"]["better"] and figures["records"] == {"train": 22, "tune": 6, "judge": 12}
    assert len(figures["passes"]) <= 4 and all("loss" in p and "score" in p for p in figures["passes"])
    page = (work / "report.html").read_text("utf-8")
    assert "polyline" in page and "优于现用模型" in page
    for told in (page, (work / "figures.json").read_text("utf-8"), (work / "plan.json").read_text("utf-8")):
        assert not [r.text for r in read_annotated(trained / "labels.jsonl") if r.text in told]
    assert not list(work.rglob("*.safetensors")) and work.stat().st_mode & 0o077 == 0


def test_a_model_is_replaced_only_where_asked_and_beaten(trained, capfd):
    own, before = trained / "own", tree(trained / "own")
    assert run("train", trained / "labels.jsonl", "-o", own, *FAST) == 2
    assert "--replace" in capfd.readouterr().err
    assert run("train", trained / "labels.jsonl", "-o", own, "--replace", "--fresh", "--rate", "1e-9", "--epochs", 2) == 1
    assert "no pass beat the current model" in capfd.readouterr().err
    assert tree(own) == before


def short_pulses(path):
    """Another way to mark the pulse: without its first character."""
    rows = [json.loads(row) for row in path.read_text("utf-8").splitlines()]
    for entity in (entity for row in rows for entity in row["entities"] if entity["type"] == "脉象"):
        entity["start"] += 1
        entity["text"] = entity["text"][1:]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def test_what_does_not_beat_the_current_model_is_refused_with_its_figures(trained, tmp_path, capfd):
    labels = short_pulses(toy_labels.write(tmp_path / "labels.jsonl", seed=5, types=("脉象",)))
    judges = toy_labels.write(tmp_path / "judges.jsonl", 12, seed=9, first=100)  # marked as the current model reads
    options = ("--model", trained / "own", "--heldout", judges, "--labels", "脉象", *FAST[:2], "--epochs", 2)
    assert run("train", labels, "-o", tmp_path / "own", *options) == 1
    told = capfd.readouterr().err.splitlines()[-1]
    assert "does not beat the current one" in told and "interval above 0" in told and "points" in told
    assert not (tmp_path / "own").exists()
    assert "没有胜过" in (tmp_path / "own.training" / "report.html").read_text("utf-8")


def test_killed_at_any_moment_it_goes_on_to_the_same_end(tiny, tmp_path):
    labels = toy_labels.write(tmp_path / "labels.jsonl")
    command = ["train", labels, "--model", tiny, "--rate", "1e-9", "--epochs", "3", "--threads", "1"]
    assert run(*command, "-o", tmp_path / "whole") == 1
    process = subprocess.Popen([sys.executable, "-m", "tcmstruct", *map(str, command), "-o", str(tmp_path / "cut")],
                               stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2])
    state = tmp_path / "cut.training" / "run" / "checkpoint" / "state.json"
    ends = time.monotonic() + 60
    while not state.exists() and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    done = len(json.loads(state.read_bytes())["passes"])
    assert 1 <= done < 3
    assert run(*command, "-o", tmp_path / "cut") == 1
    whole, cut = (json.loads((tmp_path / f"{name}.training" / "figures.json").read_bytes()) for name in ("whole", "cut"))
    assert len(whole["passes"]) == 3 and whole["passes"] == cut["passes"]


def test_the_unfinished_run_of_another_command_is_not_overwritten(tiny, tmp_path, capfd, monkeypatch):
    from tcmstruct.recipes import train

    labels = toy_labels.write(tmp_path / "labels.jsonl")
    command = ["train", labels, "-o", tmp_path / "own", "--model", tiny, *FAST]

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "make_folder", interrupted)
    assert run(*command) == 130
    assert run(*command, "--seed", 1) == 2
    assert "--fresh" in capfd.readouterr().err
    assert run(*command) == 130
    assert "going on with an unfinished run" in capfd.readouterr().err
    assert not (tmp_path / "own").exists()


def test_a_loss_that_is_no_number_ends_it_and_nothing_is_written(tiny, tmp_path, capfd):
    labels = toy_labels.write(tmp_path / "labels.jsonl")
    assert run("train", labels, "-o", tmp_path / "own", "--model", tiny, "--rate", "1e30") == 1
    assert "lower the learning rate" in capfd.readouterr().err
    assert not (tmp_path / "own").exists()


def emptied(path):
    rows = [{**json.loads(line), "entities": []} for line in path.read_text("utf-8").splitlines()]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")


def renamed(path):
    path.write_text(path.read_text("utf-8").replace('"脉象"', '"气色"'), "utf-8")


def shifted(path):
    path.write_text(path.read_text("utf-8").replace('"start": 0', '"start": 900'), "utf-8")


@pytest.mark.parametrize(("change", "options", "code", "words"), [
    (emptied, (), 4, "no labelled mention"), (renamed, (), 4, "气色"), (shifted, (), 4, "do not fit their text"),
    (lambda p: toy_labels.write(p, 1), (), 4, "at least"), (None, ("--labels", "气色"), 2, "types: 症状"),
    (None, ("--model", "."), 4, "manifest.json"), (None, ("--heldout", "none.jsonl"), 4, "no such file"),
    (lambda p: p.write_text("", "utf-8"), (), 4, "labels.jsonl"), (None, ("--from", "word"), 2, "no format"),
])
def test_what_cannot_be_learnt_from_is_refused_before_any_work(tiny, tmp_path, capfd, change, options, code, words):
    labels = toy_labels.write(tmp_path / "labels.jsonl")
    if change:
        change(labels)
    options = options if "--model" in options else (*options, "--model", tiny)
    assert run("train", labels, "-o", tmp_path / "own", *options) == code
    told = capfd.readouterr().err
    assert words in told and len(told.splitlines()) == 1
    assert not (tmp_path / "own").exists()


def test_labels_of_one_type_leave_the_others_as_they_were(trained, tmp_path, capfd):
    """The files label the pulse alone; the model must not learn that a tongue is none."""
    labels = short_pulses(toy_labels.write(tmp_path / "labels.jsonl", seed=5, types=("脉象",)))
    assert run("train", labels, "-o", tmp_path / "pulse", "--model", trained / "own", *FAST) == 0
    texts = [Record(r.id, r.text) for r in read_annotated(toy_labels.write(tmp_path / "more.jsonl", 20, seed=8))]
    before, after = (Structurer(folder).structure_many(texts) for folder in (trained / "own", tmp_path / "pulse"))

    def others(results):
        return [{(m.type, m.start, m.end) for m in r.entities if m.type in ("舌质", "舌苔", "症状体征")} for r in results]

    same = sum(len(a & b) for a, b in zip(others(before), others(after), strict=True))
    assert same >= 0.9 * sum(map(len, others(before))) > 20
    assert any(m.type == "脉象" and m.slice(r.text) == "弦" for r in after for m in r.entities)


def test_adapt_takes_records_without_labels(tiny, tmp_path, capfd):
    rows = [json.loads(line)["text"] for line in toy_labels.write(tmp_path / "rows.jsonl", 120).read_text("utf-8").splitlines()]
    export = tmp_path / "export.csv"
    with open(export, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("病历号", "病历内容"), *((n, text) for n, text in enumerate(rows))])
    code = run("adapt", export, "-o", tmp_path / "own", "--model", tiny, "--epochs", 1, "--threads", 1)
    told = capfd.readouterr().err
    figures = json.loads((tmp_path / "own.training" / "figures.json").read_bytes())
    assert code == (0 if figures["compared"] and figures["compared"]["better"] else 1)
    assert (tmp_path / "own" / "model.onnx").exists() == (code == 0)
    assert "nobody sees whether findings are read better" in told and "masked" in told
    assert figures["passes"][0]["masked"] > 0


def test_adapt_refuses_a_handful_of_records(tiny, tmp_path, capfd):
    rows = toy_labels.write(tmp_path / "rows.jsonl", 5)
    assert run("adapt", rows, "-o", tmp_path / "own", "--model", tiny) == 4
    assert "at least 20" in capfd.readouterr().err


def test_suggest_lists_ids_and_reasons_and_no_text(trained, tmp_path, capfd):
    rows = toy_labels.write(tmp_path / "rows.jsonl", 60, seed=3)
    assert run("suggest", rows, "-o", tmp_path / "s.csv", "--count", 7, "--model", trained / "own") == 0
    told = (tmp_path / "s.csv").read_text("utf-8-sig")
    listed = list(csv.DictReader(told.splitlines()))
    assert [row["rank"] for row in listed] == list("1234567") and all(re.fullmatch(r"r\d+", row["id"]) for row in listed)
    assert all("expected errors" in row["why"] for row in listed) and "舌淡红" not in told and "咳嗽" not in told
    assert "7 written" in capfd.readouterr().err


def test_suggestions_with_text_go_straight_into_annotation(trained, tmp_path):
    rows = toy_labels.write(tmp_path / "rows.jsonl", 30, seed=4)
    assert run("suggest", rows, "-o", tmp_path / "s.jsonl", "--count", 5, "--model", trained / "own", "--with-text") == 0
    lines = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text("utf-8").splitlines()]
    assert len(lines) == 5 and all(re.fullmatch(r"\[编号-[A-Z2-7]{8}\]", line["id"]) for line in lines)
    assert run("annotation", "convert", tmp_path / "s.jsonl", "--to", "label-studio", "-o", tmp_path / "ls.json", "--identified") == 0
    assert len(json.loads((tmp_path / "ls.json").read_bytes())) == 5
    assert run("view", tmp_path / "s.jsonl", "-o", tmp_path / "page.html") == 0  # and the review page reads what this one reads


@pytest.mark.parametrize(("out", "code"), [("s.xlsx", 2), ("rows.jsonl", 2)])
def test_suggest_refuses_another_ending_and_its_own_input(trained, tmp_path, out, code):
    rows = toy_labels.write(tmp_path / "rows.jsonl", 5)
    assert run("suggest", rows, "-o", tmp_path / out, "--model", trained / "own") == code


@pytest.mark.parametrize("command", ["train", "adapt", "suggest"])
def test_the_commands_explain_themselves(command, capfd):
    assert run(command, "--help") == 0
    shown = capfd.readouterr().out
    assert "Usage" in shown and any("\u4e00" <= c <= "\u9fff" for c in shown)

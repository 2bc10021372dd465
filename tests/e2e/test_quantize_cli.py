"""`quantize`, `distil` and `TCMSTRUCT_BACKEND` on the command line: wired, and refused in one line."""

import json
import sys

import pytest

from tcmstruct import cli
from tcmstruct.runtime import backends
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER


def run(*arguments):
    return cli.run([str(a) for a in arguments])


@pytest.fixture
def texts(tmp_path):
    file = tmp_path / "texts.jsonl"
    file.write_text("".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in ("咳嗽3天。", "舌红，苔黄。")), "utf-8")
    return file


def one_line(capfd):
    shown = capfd.readouterr()
    assert shown.out == "" and len(shown.err.splitlines()) == 1
    return shown.err


@pytest.mark.parametrize("command", ["quantize", "distil"])
def test_the_commands_explain_themselves(command, capfd):
    assert run(command, "--help") == 0
    shown = capfd.readouterr().out
    assert "Usage" in shown and any("\u4e00" <= c <= "\u9fff" for c in shown)


def test_the_shipped_folder_is_quantised_already(texts, tmp_path, capfd):
    pytest.importorskip("onnx")
    assert run("quantize", DEFAULT_FOLDER, "-o", tmp_path / "out", "--texts", texts) == 2
    assert "quantised already" in one_line(capfd)
    assert [p.name for p in tmp_path.iterdir()] == ["texts.jsonl"]


@pytest.mark.parametrize(("options", "code", "words"), [
    (("--kind", "int4"), 2, "kinds: static"), (("--backend", "abacus"), 2, "backends: onnxruntime"),
    (("--texts", "none.jsonl"), 4, "none.jsonl"),
])
def test_what_cannot_be_meant_is_refused_before_any_work(texts, tmp_path, capfd, options, code, words):
    pytest.importorskip("onnx")
    options = options if "--texts" in options else (*options, "--texts", texts)
    assert run("quantize", DEFAULT_FOLDER, "-o", tmp_path / "out", *options) == code
    assert words in one_line(capfd)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["quantize", "distil"])
def test_without_the_extra_it_is_named(command, texts, tmp_path, monkeypatch, capfd):
    for name in ("onnx", "torch"):
        monkeypatch.setitem(sys.modules, name, None)
    for name in [m for m in sys.modules if m.startswith(("tcmstruct.compression", "tcmstruct.model.", "tcmstruct.training",
                                                         "tcmstruct.recipes.quantize", "tcmstruct.recipes.distil"))]:
        monkeypatch.delitem(sys.modules, name)
    arguments = (DEFAULT_FOLDER, "-o", tmp_path / "out", "--texts", texts) if command == "quantize" else (tmp_path / "job.toml",)
    assert run(command, *arguments) == 1
    assert "pip install 'tcmstruct[train]'" in one_line(capfd)


def test_a_job_that_is_no_job_is_refused(tmp_path, capfd):
    pytest.importorskip("torch")
    job = tmp_path / "job.toml"
    job.write_text('teachers = []\nout = "s"\nn_characters = 5\nsecret = 1\n')
    assert run("distil", job) == 2
    assert "job.toml" in one_line(capfd)


def test_the_variable_names_the_backend_or_is_refused(monkeypatch, capfd):
    monkeypatch.setenv(backends.VARIABLE, "abacus")
    assert run("structure", "舌淡红，苔薄白") == 2
    assert "TCMSTRUCT_BACKEND" in one_line(capfd)
    monkeypatch.setenv(backends.VARIABLE, "onnxruntime")
    assert run("structure", "舌淡红，苔薄白") == 0
    assert json.loads(capfd.readouterr().out)["fields"]["苔色"]["value"] == ["白"]
    if "openvino" not in backends.usable():
        monkeypatch.setenv(backends.VARIABLE, "openvino")
        assert run("structure", "舌淡红，苔薄白") == 1
        assert "tcmstruct[openvino]" in capfd.readouterr().err


def test_the_manifest_names_the_backend(tmp_path, capfd):
    file = tmp_path / "a.csv"
    file.write_text("病历号,病历内容\n1,咳嗽3天，舌红苔黄。\n", "utf-8")
    assert run("convert", file, "-o", tmp_path / "out", "--format", "jsonl", "--no-report", "--workers", 1) == 0
    told = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))["backend"]
    assert told["backend"] == "onnxruntime" and told["file"] == "model.onnx" and told["threads"] >= 1

"""Which backend runs: an argument, the variable, what was measured on this machine, the default; never an error for what is stale."""

import json
import os
import shutil
import stat

import pytest

from tcmstruct import Structurer
from tcmstruct.errors import UsageError
from tcmstruct.runtime import backends, choice, machine_cache
from tcmstruct.runtime.choice import Choice, Stored
from tcmstruct.runtime.model_folder import open_folder, write_manifest


@pytest.fixture(autouse=True)
def own_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(backends.VARIABLE, raising=False)
    usual = backends.BACKENDS[backends.DEFAULT]
    monkeypatch.setitem(backends.BACKENDS, "slow", backends.Backend("slow", usual.open, lambda: None, "alone"))
    return tmp_path / "tcmstruct" / "backends.json"


@pytest.fixture
def folder():
    return open_folder()


STORED = Stored(2, {1: ("slow", "model.onnx"), 2: ("onnxruntime", "model.onnx")})


def test_nothing_stored_is_the_default(folder):
    assert choice.decide(folder) == Choice() and choice.decide(folder, threads=3) == Choice(threads=3)
    assert Choice().to_dict() == {"backend": "onnxruntime", "threads": None, "file": "model.onnx", "source": "default"}


def test_what_was_measured_is_taken_by_number_of_threads(folder, own_place):
    assert choice.remember(folder, STORED)
    assert choice.remembered(folder) == STORED
    if os.name == "posix":
        assert stat.S_IMODE(own_place.stat().st_mode) == 0o600
    assert choice.decide(folder) == Choice("onnxruntime", 2, source="measured")
    assert choice.decide(folder, threads=1) == Choice("slow", 1, source="measured")
    assert choice.decide(folder, threads=7) == Choice(threads=7)


def test_an_argument_wins_over_the_variable_and_both_over_what_was_measured(folder, monkeypatch):
    choice.remember(folder, STORED)
    monkeypatch.setenv(backends.VARIABLE, "slow")
    assert choice.decide(folder) == Choice("slow", source="asked")
    assert choice.decide(folder, "onnxruntime", 1) == Choice("onnxruntime", 1, source="asked")
    monkeypatch.setenv(backends.VARIABLE, "fast")
    with pytest.raises(UsageError, match=r"TCMSTRUCT_BACKEND: there is no backend 'fast'"):
        choice.decide(folder)


@pytest.mark.parametrize("change", ["version", "cores", "processor", "flags"])
def test_another_machine_or_library_takes_the_default(folder, monkeypatch, change):
    choice.remember(folder, STORED)
    if change == "version":
        monkeypatch.setattr(backends, "versions", lambda: ("0.0",))
    elif change == "cores":
        monkeypatch.setattr(choice, "_cores", lambda: 99)
    elif change == "processor":
        monkeypatch.setattr(machine_cache, "processor", lambda: "another")
    else:
        monkeypatch.setattr(machine_cache, "cpu_line", lambda key: "flags: fewer")
    assert choice.decide(folder) == Choice()


def test_a_backend_that_is_gone_is_not_taken(folder, monkeypatch):
    choice.remember(folder, STORED)
    monkeypatch.setitem(backends.BACKENDS, "slow", backends.Backend("slow", None, lambda: UsageError("gone"), "alone"))
    assert choice.decide(folder, threads=1) == Choice(threads=1)


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, 5, [], {}, {"threads": 1}, {"threads": 1, "by_threads": 3},
                                    {"threads": 1, "by_threads": {"x": ["slow", "model.onnx"]}},
                                    {"threads": 3, "by_threads": {"1": ["slow", "model.onnx"]}},
                                    {"threads": 1, "by_threads": {"1": ["slow"]}},
                                    {"threads": 1, "by_threads": {"1": ["none", "model.onnx"]}},
                                    {"threads": 1, "by_threads": {"1": ["slow", "../model.onnx"]}},
                                    {"threads": 1, "by_threads": {"1": ["slow", "card.json"]}},
                                    {"threads": 0, "by_threads": {"0": ["slow", "model.onnx"]}},
                                    {"threads": 1e400, "by_threads": {"1": ["slow", "model.onnx"]}}])
def test_a_damaged_store_is_as_good_as_none(folder, own_place, damage):
    choice.remember(folder, STORED)
    if not isinstance(damage, bytes):
        (key,) = json.loads(own_place.read_text())
        damage = json.dumps({key: damage}).encode()
    own_place.write_bytes(damage)
    assert choice.decide(folder) == Choice()


def test_a_home_that_cannot_be_written_is_told(folder, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert choice.remember(folder, STORED) is False
    assert choice.decide(folder) == Choice()


def test_the_structurer_says_what_it_runs_with_and_falls_back_where_the_choice_cannot_load(folder, monkeypatch):
    from tcmstruct.errors import ModelError

    choice.remember(folder, Stored(1, {1: ("slow", "model.onnx")}))
    structurer = Structurer()
    assert structurer.backend == {"backend": "slow", "threads": 1, "file": "model.onnx", "source": "measured"} and structurer.tagger.alone

    def refuses(*_):
        raise ModelError("cannot read this graph", code="backend_cannot_read")

    monkeypatch.setitem(backends.BACKENDS, "slow", backends.Backend("slow", refuses, lambda: None, "alone"))
    assert Structurer().backend == Choice().to_dict()
    with pytest.raises(ModelError):
        Structurer(backend="slow")


def test_a_folders_fp32_graph_is_taken_where_it_was_chosen_and_is_there(folder, tmp_path):
    both = tmp_path / "both"
    shutil.copytree(folder.path, both)
    shutil.copy(both / "model.onnx", both / "model-fp32.onnx")
    write_manifest(both)
    with_parent = open_folder(both)
    wanted = Stored(1, {1: ("onnxruntime", "model-fp32.onnx")})
    choice.remember(with_parent, wanted)
    structurer = Structurer(both, memory_limit_bytes=10**10)  # above what the process of all tests holds
    assert structurer.backend["file"] == "model-fp32.onnx" and structurer.tagger.budget is not None
    choice.remember(folder, wanted)
    assert choice.decide(folder) == Choice()  # this folder has no such graph

"""`doctor --tune`: candidates that read otherwise are left out, what is fastest by more than noise is stored and taken."""

from dataclasses import replace

import pytest

from tcmstruct import Structurer
from tcmstruct.cli import run
from tcmstruct.errors import ModelError
from tcmstruct.recipes import tune as recipe
from tcmstruct.recipes.tune import Candidate, best_of, invented, tune
from tcmstruct.runtime import backends, choice
from tcmstruct.runtime.model_folder import open_folder


@pytest.fixture(autouse=True)
def own_place(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv(backends.VARIABLE, raising=False)
    monkeypatch.setattr(recipe, "LENGTHS", (15, 40, 600))
    monkeypatch.setattr(recipe, "MAX_ROUNDS", 3)
    monkeypatch.setattr(recipe, "available_cores", lambda: 1)
    usual = backends.BACKENDS[backends.DEFAULT]
    only = {backends.DEFAULT: usual, "same": replace(usual, name="same", batches="alone")}
    monkeypatch.setattr(backends, "BACKENDS", only)
    return only


class Other:
    """A session whose scores are another's with the columns turned round."""

    def __init__(self, session):
        self._session, self.inputs, self.device_bytes = session, session.inputs, None

    def run(self, outputs, feed, give_back=False):
        return [a[..., ::-1].copy() for a in self._session.run(outputs, feed, give_back)]


def took(backend, threads, seconds, problem="", file="model.onnx"):
    return Candidate(backend, file, threads, [seconds] * 3, problem)


def test_only_what_is_clearly_faster_takes_the_defaults_place():
    usual = [took("onnxruntime", 1, 1.0), took("onnxruntime", 2, 0.6)]
    assert best_of([*usual, took("same", 1, 0.98)]).by_threads[1] == ("onnxruntime", "model.onnx")
    found = best_of([*usual, took("same", 1, 0.5), took("same", 2, 0.59), took("odd", 2, 0.1, "2 other mentions")])
    assert found.by_threads == {1: ("same", "model.onnx"), 2: ("onnxruntime", "model.onnx")}
    assert found.threads == 1
    assert best_of([*usual, took("a", 1, 0.5), took("b", 1, 0.495)]).by_threads[1] == ("b", "model.onnx")


def test_the_choice_is_stored_and_the_next_structurer_takes_it(own_place):
    found = tune()
    assert found.written and all(len(c.seconds) == 3 and not c.problem for c in found.candidates)
    assert {(c.backend, c.threads) for c in found.candidates} >= {("onnxruntime", 1), ("same", 1)}
    assert choice.remembered(open_folder()) == found.stored
    assert Structurer().backend["source"] == "measured"
    shown = str(found)
    assert "chosen, fastest" in shown and "stored for this machine" in shown


def test_candidates_that_read_otherwise_mind_the_batch_or_cannot_load_are_left_out(own_place, monkeypatch):
    usual = own_place[backends.DEFAULT]

    def refuses(*_):
        raise ModelError("the library cannot read this graph")

    own_place["other"] = replace(usual, name="other", open=lambda *a: Other(usual.open(*a)))
    own_place["refuses"] = replace(usual, name="refuses", open=refuses)
    problems = {c.backend: c.problem for c in tune().candidates}
    assert "other mentions" in problems["other"] and problems["refuses"] == "the library cannot read this graph"
    assert problems["onnxruntime"] == problems["same"] == ""


def test_texts_are_invented_of_the_asked_lengths_and_the_same_every_time():
    assert [len(text) for text in invented()] == list(recipe.LENGTHS) and invented() == invented()


def test_the_command_prints_a_table_and_doctor_shows_the_choice(capfd):
    assert run(["doctor", "--tune"]) == 0
    shown = capfd.readouterr().out
    assert "characters/s" in shown and "onnxruntime" in shown
    assert run(["doctor"]) == 0
    (line,) = [line for line in capfd.readouterr().out.splitlines() if "backend" in line]
    assert "(measured)" in line


def test_a_home_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert "NOT stored" in str(tune())

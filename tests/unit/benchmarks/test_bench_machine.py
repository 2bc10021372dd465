import getpass
import json
import platform
from pathlib import Path

import pytest

from benchmarks import machine


def test_says_what_and_not_whose():
    found = machine.describe_machine()
    assert found["cores"] >= 1 and found["libraries"]["numpy"] and found["python"] == platform.python_version()
    said = json.dumps(found) + machine.describe_line(found)
    assert str(Path.cwd()) not in said and str(Path.home()) not in said
    if len(platform.node()) > 3:
        assert platform.node() not in said
    assert f"{getpass.getuser()}@" not in said


def test_the_ceiling_takes_the_fastest_library_of_each_shape(monkeypatch):
    shapes = ((100, 100, 100), (200, 100, 100))  # 2 and 4 MFLOP
    monkeypatch.setattr(machine, "matrix_rates", lambda *_: {"a": [1.0, 4.0], "b": [2.0, 1.0]})
    assert machine.matrix_ceiling(shapes) == pytest.approx(6 / (2 / 2 + 4 / 4))


def test_rates_are_measured_for_every_shape_and_library():
    rates = machine.matrix_rates(((16, 8, 4), (8, 8, 8)), seconds_each=0)
    assert "numpy" in rates
    assert all(len(r) == 2 and min(r) > 0 for r in rates.values())


def test_outside_of_a_repository_there_is_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert machine._commit() == "none"

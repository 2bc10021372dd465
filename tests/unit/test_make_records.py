"""examples/clinic.csv is what its script makes."""

import csv
import importlib.util
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"


def made():
    spec = importlib.util.spec_from_file_location("make_records", EXAMPLES / "make_records.py")
    module = importlib.util.module_from_spec(spec)
    __import__("sys").modules[spec.name] = module  # a dataclass looks itself up
    spec.loader.exec_module(module)
    return module


def test_the_file_is_what_the_script_makes():
    script = made()
    with (EXAMPLES / "clinic.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == script.COLUMNS and [tuple(row) for row in rows] == script.make(300, 2025)
    assert len({row[0] for row in rows}) == 300 and {row[1] for row in rows} == {"呼吸内科", "消化内科", "骨科"}
    assert len({row[2][:7] for row in rows}) == 12

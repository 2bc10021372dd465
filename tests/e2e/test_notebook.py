"""examples/analysis.ipynb runs from top to bottom, and its figures hold what its words say."""

import json
import warnings
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "examples" / "analysis.ipynb"


def cells():
    return [cell for cell in json.loads(NOTEBOOK.read_text("utf-8"))["cells"] if cell["cell_type"] == "code"]


def test_the_notebook_runs(monkeypatch, tmp_path):
    pytest.importorskip("pandas")
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.chdir(NOTEBOOK.parent)
    told: dict = {}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # a machine without Chinese faces
        for number, cell in enumerate(cells()):
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}[{number}]", "exec"), told)  # ours, as a user would run it
        for figure in map(matplotlib.pyplot.figure, matplotlib.pyplot.get_fignums()):
            figure.savefig(tmp_path / f"{figure.number}.png", dpi=60)
        matplotlib.pyplot.close("all")
    assert told["summary"].counts == {"in": 300, "ok": 300, "warned": 0, "rejected": 0}
    assert told["table"].loc["脾胃湿热证", "红"] > 0.9 and len(told["table"]) >= 8
    assert len(told["monthly"]) == 12 and told["monthly"]["size"].sum() == 300
    assert len(list(tmp_path.glob("*.png"))) == 3
    assert list(told["out"].parent.glob("figures/syndromes-*.svg"))


def test_the_notebook_holds_no_outputs():
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells()), "clear them before a commit"

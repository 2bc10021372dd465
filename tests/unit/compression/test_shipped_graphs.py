"""What is shipped says nothing of the machine that made it."""

import re
from pathlib import Path

import pytest

import tcmstruct

GRAPHS = sorted((Path(tcmstruct.__file__).parent / "models").rglob("*.onnx"))
PATHS = re.compile(rb"site-packages|\.py\b|(?<![\w.])/(?:home|root|usr|work|tmp|Users)/|[A-Z]:\\\\Users")


def test_there_are_graphs():
    assert len(GRAPHS) >= 4


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_path_and_no_trace_stands_in_a_graph(path):
    assert not PATHS.search(path.read_bytes())


def test_exporting_leaves_no_trace(tmp_path):
    onnx = pytest.importorskip("onnx")
    from tiny_tagger import tiny_tagger

    for file in (tiny_tagger() / "fp32").glob("*.onnx"):
        assert not PATHS.search(file.read_bytes())
        assert not any(node.metadata_props or node.doc_string for node in onnx.load(file).graph.node)

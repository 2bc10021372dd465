"""Tables of int8 in a graph: a quarter of the bytes, nearly the same rows."""

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from tcmstruct.compression.narrow import narrow_tables  # noqa: E402


def looked_up(half):
    table = np.random.default_rng(0).normal(size=(300, 8)).astype(np.float32) * np.arange(1, 9, dtype=np.float32)
    stored = numpy_helper.from_array(table.astype(np.float16) if half else table, "table")
    nodes = [helper.make_node("Gather", ["table", "ids"], ["row" if half else "out"])]
    if half:
        nodes.append(helper.make_node("Cast", ["row"], ["out"], to=TensorProto.FLOAT))
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("ids", TensorProto.INT64, ["n"])],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 8])], [stored])
    return table, helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("half", [False, True])
def test_rows_stay_nearly_what_they_were(half):
    table, model = looked_up(half)
    before = len(model.SerializeToString())
    narrow_tables(model, least=1000)
    onnx.checker.check_model(model)
    assert len(model.SerializeToString()) < before * (0.65 if half else 0.35)
    (rows,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"ids": np.array([0, 7, 299])})
    assert np.abs(rows - table[[0, 7, 299]]).max() <= np.abs(table).max() / 127  # half a step of the widest column, and fp16's own


def test_small_tables_are_left_alone():
    _, model = looked_up(False)
    before = model.SerializeToString()
    narrow_tables(model, least=100_000)
    assert model.SerializeToString() == before

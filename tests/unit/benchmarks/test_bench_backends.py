"""The table of backends: arithmetic from the graph's shapes, rows, verdict."""

import pytest

pytest.importorskip("onnx")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.backends import table, verdict
from benchmarks.graph_flops import graph_flops
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER


def graph(nodes, constants, opset=20):
    made = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", "T", 8])],
                             [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)],
                             [numpy_helper.from_array(np.zeros(shape, np.float32), name) for name, shape in constants.items()])
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)])


def test_a_product_is_two_operations_a_multiply():
    model = graph([helper.make_node("MatMul", ["x", "w"], ["out"])], {"w": (8, 5)})
    assert graph_flops(model, 3, 7) == {"MatMul": 2 * 3 * 7 * 8 * 5}


def test_attention_grows_with_the_square_of_the_length():
    model = graph([helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1]), helper.make_node("MatMul", ["x", "y"], ["out"])], {})
    assert graph_flops(model, 2, 16) == {"MatMul": 2 * 2 * 16 * 8 * 16}


def test_a_depth_wise_convolution_counts_its_kernel_only():
    model = graph([helper.make_node("Transpose", ["x"], ["y"], perm=[0, 2, 1]),
                   helper.make_node("Conv", ["y", "w"], ["out"], group=8, kernel_shape=[3], pads=[1, 1])], {"w": (8, 1, 3)})
    assert graph_flops(model, 2, 16) == {"Conv": 2 * (2 * 8 * 16) * 3}


def test_a_turned_matrix_and_a_fused_product():
    model = graph([helper.make_node("FusedMatMul", ["x", "w"], ["out"], domain="com.microsoft", alpha=0.5)], {"w": (8, 5)})
    assert sum(graph_flops(model, 1, 4).values()) == 2 * 4 * 8 * 5


def test_a_shape_that_cannot_be_told_is_an_error():
    model = graph([helper.make_node("Unheard", ["x"], ["y"], domain="com.microsoft"), helper.make_node("MatMul", ["y", "w"], ["out"])],
                  {"w": (8, 5)})
    with pytest.raises(ValueError, match="MatMul"):
        graph_flops(model, 1, 4)


def test_the_shipped_graph_is_linear_but_for_its_attention():
    model = onnx.load(DEFAULT_FOLDER / "model.onnx")
    one, two, four = (sum(graph_flops(model, 1, chars).values()) for chars in (64, 128, 256))
    assert 2 * one < two < 2.5 * one and 2 * two < four
    assert sum(graph_flops(model, 5, 64).values()) == 5 * one


ROW = {"disk_mb": 12.8, "f1": 0.84, "records_per_s": [10.0, 20.0, 30.0], "per_tflops": [100.0], "shares": [0.5, 0.61, 0.7],
       "ceilings": [0.17, 0.18], "peak_mb": 150.0, "alone": False, "same": True, "mflop": 1015.0}


def test_rows_show_medians_spreads_and_the_change_of_f1():
    rows = [("onnxruntime", "fp32", ROW), ("onnxruntime", "static", {**ROW, "f1": 0.838, "alone": True}),
            ("openvino", "static", {"failed": "no memory"}), ("onnxruntime", "default", {**ROW, "f1": 0.85})]
    lines = table(rows, markdown=True)
    assert lines[1].startswith("| --- ") and "20.0 (10.0–30.0)" in lines[2] and "61% (50%–70%)" in lines[2]
    assert "0.8380 (-0.20)" in lines[3] and "one window a batch" in lines[3]
    assert "failed: no memory" in lines[4] and "0.8500 |" in lines[5]
    assert len(table(rows, markdown=False)) == 5
    assert "best share of it: 61% by onnxruntime on fp32 (target 60%: met)" in verdict(rows)
    assert "missed" in verdict([("onnxruntime", "fp32", {**ROW, "shares": [0.4]})])
    assert verdict([("openvino", "static", {"failed": "x"})]) == "no row could be measured"

"""Arithmetic of an ONNX graph: floating-point operations of its products and convolutions, from the graph's own shapes.

    python -m benchmarks.graph_flops tcmstruct/models/default/model.onnx [--windows 1] [--chars 352]

A multiply and an add count as two. Only MatMul, Gemm, Conv and their 8-bit forms count: what lies between them (normalisation, softmax,
GELU, look-ups) is time spent but not arithmetic that a matrix ceiling speaks of, so it lowers the share of the ceiling, as it should.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, shape_inference

PRODUCTS: dict[str, tuple[int, int]] = {"MatMul": (0, 1), "Gemm": (0, 1), "QLinearMatMul": (0, 3), "MatMulInteger": (0, 1),
                                        "DynamicQuantizeMatMul": (0, 1), "MatMulIntegerToFloat": (0, 1), "FusedMatMul": (0, 1)}
"""Operator → places of its two matrices among its inputs."""


def graph_flops(model: onnx.ModelProto, windows: int, chars: int) -> dict[str, int]:
    """Operator → floating-point operations of one run.

    Args:
        model: inputs (B, T) and (B, T, F); all other sizes follow from them.
        windows: B.
        chars: T.

    Raises:
        ValueError: the shape of a product cannot be told.
    """
    shapes = shapes_of(model, {"B": windows, "T": chars})
    flops: dict[str, int] = {}
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            left, right = (_shape(shapes, node.input[place], node) for place in PRODUCTS[node.op_type])
            trans = {a.name: a.i for a in node.attribute if a.name in ("transA", "transB")}
            rows, inner = left[-2:] if not trans.get("transA") else left[-1:-3:-1]
            columns = right[-2] if trans.get("transB") else right[-1]
            together = int(np.prod(np.broadcast_shapes(tuple(left[:-2]), tuple(right[:-2]))))
            flops[node.op_type] = flops.get(node.op_type, 0) + 2 * together * rows * inner * columns
        elif node.op_type == "Conv":
            weight, out = _shape(shapes, node.input[1], node), _shape(shapes, node.output[0], node)
            flops["Conv"] = flops.get("Conv", 0) + 2 * int(np.prod(out)) * int(np.prod(weight[1:]))
    return flops


def shapes_of(model: onnx.ModelProto, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """Name of a tensor → its shape, with the graph's named sizes filled in and its shape arithmetic computed."""
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for value in fixed.graph.input:
        for d in value.type.tensor_type.shape.dim:
            if d.dim_param:
                d.dim_value = sizes[d.dim_param]
    for value in fixed.graph.output:
        value.type.tensor_type.ClearField("shape")
    del fixed.graph.value_info[:]
    _standard(fixed)
    inferred = shape_inference.infer_shapes(fixed, data_prop=True).graph
    found = {i.name: tuple(i.dims) for i in inferred.initializer}
    for value in (*inferred.value_info, *inferred.input, *inferred.output):
        dims = value.type.tensor_type.shape.dim
        if value.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            found[value.name] = tuple(d.dim_value for d in dims)
    return found


def _standard(model: onnx.ModelProto) -> None:
    """Operators of onnxruntime's own are put as standard ones of the same shapes: shape inference does not know the others."""
    for node in model.graph.node:
        if node.domain == "com.microsoft" and node.op_type in PRODUCTS:
            places = PRODUCTS[node.op_type]
            matrices = [node.input[i] for i in places]
            node.CopyFrom(helper.make_node("MatMul", matrices, [node.output[0]]))
    known = {d.domain for d in model.opset_import}
    if "" not in known:
        model.opset_import.append(helper.make_opsetid("", 20))


def _shape(shapes: Mapping[str, tuple[int, ...]], name: str, node: onnx.NodeProto) -> tuple[int, ...]:
    if name not in shapes:
        raise ValueError(f"the shape of an input of {node.op_type} {node.name} cannot be told")
    return shapes[name]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graph", type=Path)
    parser.add_argument("--windows", type=int, default=1)
    parser.add_argument("--chars", type=int, default=352)
    arguments = parser.parse_args()
    for _operator, _flops in graph_flops(onnx.load(arguments.graph), arguments.windows, arguments.chars).items():
        print(f"{_operator:24s}{_flops / 1e6:12.1f} MFLOP")

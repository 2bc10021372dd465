"""Matrix products of a graph in half precision, for graphics cards; everything between them stays in fp32.

A product's inputs are narrowed and its result is widened again: normalisation, softmax and residual sums keep fp32's range and
precision (mixed precision as Micikevicius et al. 2018 keep it), and constants of a product are stored narrow, so the file halves.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TYPES: dict[str, int] = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
"""kind → ONNX type."""

PRODUCTS = ("MatMul", "Gemm")
_LARGEST_FP16 = 65_504.0


def narrow_products(model: onnx.ModelProto, kind: str) -> onnx.ModelProto:
    """A copy of the graph whose products are computed in `kind` ("fp16" or "bf16").

    Raises:
        ValueError: a constant of a product lies beyond what fp16 can hold.
    """
    onnx_type = TYPES[kind]
    out = onnx.ModelProto()
    out.CopyFrom(model)
    graph = out.graph
    constants = {c.name: c for c in graph.initializer}
    products = [n for n in graph.node if n.op_type in PRODUCTS]
    inputs_of_products = {name for n in products for name in n.input}
    elsewhere = {name for n in graph.node if n.op_type not in PRODUCTS for name in n.input} | {o.name for o in graph.output}
    narrow = {name: _narrowed(constants[name], kind) for name in sorted(inputs_of_products & constants.keys())
              if constants[name].data_type == TensorProto.FLOAT}
    nodes, cast = [], set()
    for node in graph.node:
        if node.op_type not in PRODUCTS:
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name not in narrow and name not in cast:
                nodes.append(helper.make_node("Cast", [name], [f"{name}_{kind}"], to=onnx_type))
                cast.add(name)
            node.input[i] = f"{name}_{kind}"
        wide = node.output[0]
        node.output[0] = f"{wide}_{kind}_product"
        nodes += [node, helper.make_node("Cast", [node.output[0]], [wide], to=TensorProto.FLOAT)]
    kept = [c for c in graph.initializer if c.name not in narrow or c.name in elsewhere]
    del graph.node[:], graph.initializer[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend([*kept, *narrow.values()])
    return out


def narrow_tables(model: onnx.ModelProto, least: int = 100_000) -> None:
    """Stores the large tables that rows are looked up in as int8, with one scale a column; rows are widened after the look-up.

    Args:
        model: changed in place.
        least: numbers that a table holds to be worth it.
    """
    graph = model.graph
    tables = {node.input[0]: node for node in graph.node if node.op_type == "Gather"}
    narrow: dict[str, tuple[onnx.NodeProto, onnx.NodeProto]] = {}
    for constant in graph.initializer:
        if constant.name not in tables or len(constant.dims) != 2 or np.prod(constant.dims) < least:
            continue
        values = numpy_helper.to_array(constant).astype(np.float32)
        scale = np.maximum(np.abs(values).max(0), 1e-12) / 127
        constant.CopyFrom(numpy_helper.from_array(np.round(values / scale).astype(np.int8), constant.name))
        graph.initializer.append(numpy_helper.from_array(scale.astype(np.float32), constant.name + "_scale"))
        wide = constant.name + "_wide"
        narrow[constant.name] = (helper.make_node("Cast", [""], [wide], to=TensorProto.FLOAT),
                                 helper.make_node("Mul", [wide, constant.name + "_scale"], [""]))
    nodes, dropped = [], {}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in dropped:  # a table in fp16 was widened here
            dropped[node.input[0]].output[0] = node.output[0]
            continue
        nodes.append(node)
        if node.op_type == "Gather" and node.input[0] in narrow:
            cast, scaled = narrow[node.input[0]]
            cast.input[0] = node.output[0] + "_narrow"
            scaled.output[0] = node.output[0]
            dropped[node.output[0]] = scaled
            node.output[0] += "_narrow"
            nodes += [cast, scaled]
    graph.ClearField("node")
    graph.node.extend(nodes)


def _narrowed(constant: onnx.TensorProto, kind: str) -> onnx.TensorProto:
    values = np.ascontiguousarray(numpy_helper.to_array(constant), np.float32)
    if kind == "fp16":
        if values.size and float(np.abs(values).max()) > _LARGEST_FP16:
            raise ValueError(f"the constant {constant.name} holds values beyond {_LARGEST_FP16:.0f}, which fp16 does not hold")
        raw = values.astype(np.float16).tobytes()
    else:
        raw = to_bf16(values).tobytes()
    return helper.make_tensor(f"{constant.name}_{kind}", TYPES[kind], values.shape, raw, raw=True)


def to_bf16(values: np.ndarray) -> np.ndarray:
    """fp32 → the bits of the nearest bf16 (uint16), ties to even; infinities stay."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)

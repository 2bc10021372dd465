"""A second form of the text model's graph, with a low-rank term beside its products (LoRA, Hu et al. 2022):

    y = x·W + b   becomes   y = (x·W + b) + (x·A)·B

A (in × R) and B (R × out) are inputs of the graph, so that one loaded graph serves any number of adapters; W may be stored in int8, the
term is fp32 and reads x before it is rounded. The first part keeps its own nodes: they are computed as in the shipped graph.

A hospital's machine has no `onnx`, so the file is edited as what it is: protocol buffers, whose fields are (number, kind, value). Only the
nodes concerned are written anew, every other byte is copied (field numbers: onnx.proto3 of ONNX 1.x).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_GRAPH, _NODE, _CONSTANT, _GRAPH_INPUT = 7, 1, 5, 11  # ModelProto.graph; GraphProto.node, .initializer, .input
_DIMS, _CONSTANT_NAME = 1, 8  # TensorProto
_INPUT, _OUTPUT, _NAME, _OP = 1, 2, 3, 4  # NodeProto
_NARROWING = frozenset({"QuantizeLinear", "DequantizeLinear", "Cast"})
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

A, B = "lora_a", "lora_b"
"""Begin the names of the inputs; the module's name follows after a slash."""


@dataclass(slots=True)
class _Node:
    """What is read of a node, and its bytes."""

    raw: bytes
    inputs: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    op: str = ""


Sizes = dict[str, tuple[int, int]]
"""Module → (in, out) of its product."""


def with_lora(model: bytes) -> tuple[bytes, Sizes]:
    """The graph with its terms, and the modules that have one, in the graph's order: `encoder.layers.0.feed_in`, …, `head`.

    Args:
        model: an ONNX file that `compression.export` wrote, quantised or not.

    Raises:
        ValueError: it is no such file.
    """
    out, sizes = bytearray(), {}
    for number, kind, value in _fields(model):
        if (number, kind) == (_GRAPH, _BYTES):
            value, sizes = _graph(value)
        out += _field(number, kind, value)
    if not sizes:
        raise ValueError("no product in it has a bias with a name")
    return bytes(out), sizes


def _graph(graph: bytes) -> tuple[bytes, Sizes]:
    parts = list(_fields(graph))
    nodes = [_node(value) for number, _, value in parts if number == _NODE]
    makers = {name: node for node in nodes for name in node.outputs}
    constants = dict(_constant(value) for number, _, value in parts if number == _CONSTANT)
    out, sizes, at = bytearray(), {}, iter(nodes)
    for number, kind, value in parts:
        node = next(at) if number == _NODE else None
        product = None if node is None else _product(node, makers)
        size = None if product is None else constants.get(_origin(product.inputs[1], makers))
        if node is None or product is None or size is None or len(size) != 2:
            out += _field(number, kind, value)
            continue
        module = _bias(node).removesuffix(".bias").removeprefix("model.")
        sizes[module] = size
        for written in _with_term(node, module, _origin(product.inputs[0], makers)):
            out += _field(_NODE, _BYTES, written)
    for module, (n_in, n_out) in sizes.items():
        for name, dims in ((f"{A}/{module}", (n_in, f"R/{module}")), (f"{B}/{module}", (f"R/{module}", n_out))):
            out += _field(_GRAPH_INPUT, _BYTES, _matrix(name, dims))
    return bytes(out), sizes


def _product(node: _Node, makers: dict[str, _Node]) -> _Node | None:
    """The product that a named bias is added to by this node; None of any other node."""
    bias = _bias(node)
    found = makers.get(next(name for name in node.inputs if name != bias)) if bias else None
    return found if found is not None and found.op == "MatMul" else None


def _bias(node: _Node) -> str:
    return next((name for name in node.inputs if name.endswith(".bias")), "") if node.op == "Add" else ""


def _origin(name: str, makers: dict[str, _Node]) -> str:
    """A side of a product before it was narrowed."""
    while name in makers and makers[name].op in _NARROWING:
        name = makers[name].inputs[0]
    return name


def _with_term(node: _Node, module: str, x: str) -> Iterator[bytes]:
    y, plain, low, term = node.outputs[0], f"{module}/plain", f"{module}/low", f"{module}/term"
    yield b"".join(_field(n, kind, plain.encode() if n == _OUTPUT else value) for n, kind, value in _fields(node.raw))
    for op, inputs, output in (("MatMul", (x, f"{A}/{module}"), low), ("MatMul", (low, f"{B}/{module}"), term), ("Add", (plain, term), y)):
        named = [(_INPUT, name) for name in inputs] + [(_OUTPUT, output), (_NAME, f"{module}/{op}/{output.rpartition('/')[2]}"), (_OP, op)]
        yield b"".join(_field(number, _BYTES, text.encode()) for number, text in named)


def _matrix(name: str, dims: Sequence[int | str]) -> bytes:
    """ValueInfoProto of an fp32 matrix; an axis of any size has a name in place of a number."""
    shape = b"".join(_field(1, _BYTES, _field(1, _VARINT, n) if isinstance(n, int) else _field(2, _BYTES, n.encode())) for n in dims)
    tensor = _field(1, _VARINT, 1) + _field(2, _BYTES, shape)
    return _field(1, _BYTES, name.encode()) + _field(2, _BYTES, _field(1, _BYTES, tensor))


def _constant(raw: bytes) -> tuple[str, tuple[int, ...]]:
    """Name and dims of a TensorProto; the dims stand one by one or packed."""
    name, dims = "", []
    for number, kind, value in _fields(raw):
        if number == _CONSTANT_NAME:
            name = value.decode()
        elif number == _DIMS and kind == _VARINT:
            dims.append(value)
        elif number == _DIMS:
            at = 0
            while at < len(value):
                n, at = _varint(value, at)
                dims.append(n)
    return name, tuple(dims)


def _node(raw: bytes) -> _Node:
    node = _Node(raw)
    for number, _, value in _fields(raw):
        if number == _INPUT:
            node.inputs.append(value.decode())
        elif number == _OUTPUT:
            node.outputs.append(value.decode())
        elif number == _OP:
            node.op = value.decode()
    return node


Value = bytes | int


def _fields(data: bytes) -> Iterator[tuple[int, int, Value]]:
    """(number, kind, value) of a message's fields, in order."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind not in (_FIXED64, _BYTES, _FIXED32):
            raise ValueError("no protocol buffer")
        length, at = _varint(data, at) if kind == _BYTES else ({_FIXED64: 8, _FIXED32: 4}[kind], at)
        if at + length > len(data):
            raise ValueError("the file ends within a field")
        yield number, kind, data[at : at + length]
        at += length


def _field(number: int, kind: int, value: Value) -> bytes:
    head = _number(number << 3 | kind)
    if kind == _VARINT:
        return head + _number(value)
    return head + (_number(len(value)) if kind == _BYTES else b"") + value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("the file ends within a number")


def _number(value: int) -> bytes:
    out: Sequence[int] = []
    while value > 0x7F:
        out = [*out, value & 0x7F | 0x80]
        value >>= 7
    return bytes([*out, value])

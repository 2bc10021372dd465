"""The kinds of narrower arithmetic that a model folder can be turned into, behind one function.

    python -m tcmstruct.compression.quantise tcmstruct/models/default runs/int8 --texts train.jsonl [--kind static]

| kind | products | runs on | batches |
|---|---|---|---|
| `static` | int8, ranges of the activations fixed beforehand on given texts | onnxruntime, OpenVINO | any |
| `dynamic` | int8, ranges taken from what is computed | onnxruntime | one window: the range of a batch would let neighbours meet |
| `fp16`, `bf16` | half precision; the sums between them stay fp32 | CUDA | as the CUDA backend |

OpenVINO's own bf16 needs no artefact: the backend `openvino-bf16` computes any of these, or the fp32 parent, that way. Nothing here
judges an artefact: see `recipes.acceptance`.
"""

from __future__ import annotations

import argparse
import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

from tcmstruct.compression.narrow import narrow_products
from tcmstruct.errors import UsageError
from tcmstruct.runtime.model_folder import open_folder, replacing
from tcmstruct.runtime.tagger import OnnxTagger

CALIBRATION_TEXTS = 100
"""Texts that fix the ranges; more change little."""

QUANTISED_OPS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearMatMul", "MatMulInteger",
                           "MatMulIntegerToFloat", "DynamicQuantizeMatMul"})

Feeds = Sequence[dict[str, np.ndarray]]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of artefact.

    Attributes:
        precision: what the card says.
        convert: (fp32 graph, graph to write, feeds that fix ranges).
        needs_texts: whether the feeds are looked at.
        backend: the first choice of `runtime.backends` to run it with.
        card: what the runtime has to know.
    """

    precision: str
    convert: Callable[[Path, Path, Feeds], None]
    needs_texts: bool = False
    backend: str = "onnxruntime"
    card: Mapping[str, Any] = field(default_factory=dict)


class _Feeds(CalibrationDataReader):
    def __init__(self, feeds: Feeds) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def _static(source: Path, out: Path, feeds: Feeds) -> None:
    # In QDQ form with products that give fp32: onnxruntime fuses them as it loads (MatMulIntegerToFloat), the result of a product is
    # not rounded to 8 bits once more, and OpenVINO reads the same file. Weights of 7 bits: without VNNI the products of
    # 8 × 8 bits saturate in 16-bit sums.
    with _prepared(source) as (ready, others):
        quantize_static(str(ready), str(out), _Feeds(feeds), quant_format=QuantFormat.QDQ, op_types_to_quantize=["MatMul"],
                        nodes_to_exclude=others, per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
                        extra_options={"OpTypesToExcludeOutputQuantization": ["MatMul"]})


def _dynamic(source: Path, out: Path, _: Feeds) -> None:
    with _prepared(source) as (ready, others):
        quantize_dynamic(str(ready), str(out), op_types_to_quantize=["MatMul"], nodes_to_exclude=others, per_channel=True,
                         reduce_range=True, weight_type=QuantType.QInt8)


@contextmanager
def _prepared(source: Path) -> Iterator[tuple[Path, list[str]]]:
    """The graph ready for quantising, and its products of two computed matrices (of attention), which stay fp32."""
    with tempfile.TemporaryDirectory() as scratch, _quiet():
        ready = Path(scratch) / "ready.onnx"
        quant_pre_process(str(source), str(ready), skip_symbolic_shape=True)
        graph = onnx.load(ready).graph
        constants = {i.name for i in graph.initializer}
        yield ready, [n.name for n in graph.node if n.op_type == "MatMul" and n.input[1] not in constants]


@contextmanager
def _quiet() -> Iterator[None]:
    """onnxruntime's quantiser logs advice about its own use; a run's log is for the user's records."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _narrow(kind: str) -> Callable[[Path, Path, Feeds], None]:
    def convert(source: Path, out: Path, _: Feeds) -> None:
        onnx.save(narrow_products(onnx.load(source), kind), out)

    return convert


KINDS: dict[str, Kind] = {
    "static": Kind("int8, static ranges", _static, needs_texts=True),
    "dynamic": Kind("int8, dynamic ranges", _dynamic, card={"one_window_a_batch": True}),
    "fp16": Kind("fp16 products", _narrow("fp16"), backend="cuda"),
    "bf16": Kind("bf16 products", _narrow("bf16"), backend="cuda"),
}


def kind_named(name: str) -> Kind:
    """
    Raises:
        UsageError: no such kind.
    """
    if name not in KINDS:
        raise UsageError(f"there is no kind {name[:40]!r}", where="--kind", code="unknown_kind", hint=f"kinds: {', '.join(KINDS)}")
    return KINDS[name]


def quantise(folder: Path, out: Path, texts: Sequence[str] = (), kind: str = "static") -> Path:
    """Writes a copy of a model folder whose matrix products run narrower, replacing `out` as a whole.

    Args:
        folder: fp32 model folder.
        texts: records that fix the ranges of the activations (kind "static"); `CALIBRATION_TEXTS` spread over them are taken.
        kind: key of `KINDS`.

    Raises:
        UsageError: an unknown kind, no texts where they are needed, or a folder that is quantised already.
        ModelError: the folder is no verified model folder.
    """
    wanted, source = kind_named(kind), open_folder(folder)
    if wanted.needs_texts and not texts:
        raise UsageError("no texts to fix the ranges of the activations", where=f"kind {kind}", code="no_texts",
                         hint="give records with --texts FILE")
    already = already_narrow(folder)
    if already:
        raise UsageError(f"the folder is quantised already ({already})", where=folder.name, code="already_quantised",
                         hint="give its fp32 parent: what was rounded twice cannot be judged against it")
    some = texts[:: max(1, len(texts) // CALIBRATION_TEXTS)][:CALIBRATION_TEXTS]
    feeds = list(OnnxTagger(source, threads=1).feeds(some)) if wanted.needs_texts else []
    with replacing(out, {**source.card, **wanted.card, "precision": wanted.precision}) as fresh:
        for name in source.sha256.keys() - {"card.json", "model.onnx", "model-fp32.onnx"}:
            (fresh / name).write_bytes((folder / name).read_bytes())
        wanted.convert(folder / "model.onnx", fresh / "model.onnx", feeds)
    return out


def already_narrow(folder: Path) -> str:
    """What says that a folder's graph is not fp32: an operator, or the card's word; "" where nothing does."""
    found = QUANTISED_OPS & {node.op_type for node in onnx.load(folder / "model.onnx", load_external_data=False).graph.node}
    if found:
        return ", ".join(sorted(found))
    said = str(json.loads((folder / "card.json").read_text(encoding="utf-8")).get("precision", "fp32"))
    return "" if said == "fp32" else said


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=Path, required=True, help="JSONL with `text`")
    parser.add_argument("--kind", default="static", choices=list(KINDS))
    arguments = parser.parse_args()
    with open(arguments.texts, encoding="utf-8") as lines:
        print(quantise(arguments.folder, arguments.out, [json.loads(line)["text"] for line in lines], arguments.kind))

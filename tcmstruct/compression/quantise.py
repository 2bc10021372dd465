"""Matrix products of a model folder in 8 bits, with activation ranges fixed beforehand on given texts (static quantisation).

    python -m tcmstruct.compression.quantise tcmstruct/models/default runs/int8 --texts train.jsonl

Dynamic quantisation would take the range of the activations over a whole batch, so that a record's result depended on its
neighbours (docs/adr/0004); fixed ranges keep each record's result its own.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from tcmstruct.runtime.model_folder import open_folder, write_manifest
from tcmstruct.runtime.tagger import OnnxTagger


class _Feeds(CalibrationDataReader):
    def __init__(self, feeds: Sequence[dict[str, np.ndarray]]) -> None:
        self._feeds = iter(feeds)

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._feeds, None)


def quantise(folder: Path, out: Path, texts: Sequence[str]) -> Path:
    """Writes a copy of the model folder whose matrix products run in int8.

    Args:
        texts: records that fix the ranges of the activations (a hundred are enough).
    """
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(folder, out)
    logging.disable(logging.WARNING)
    feeds = list(OnnxTagger(open_folder(folder), threads=1).feeds(texts))
    with tempfile.TemporaryDirectory() as scratch:
        ready = Path(scratch) / "ready.onnx"
        quant_pre_process(str(folder / "model.onnx"), str(ready), skip_symbolic_shape=True)
        # weights of 7 bits: without VNNI the products of 8 × 8 bits saturate in 16-bit sums
        quantize_static(str(ready), str(out / "model.onnx"), _Feeds(feeds), quant_format=QuantFormat.QOperator,
                        op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8, calibrate_method=CalibrationMethod.MinMax,
                        extra_options={"MatMulConstBOnly": True})
    write_manifest(out)
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--texts", type=Path, required=True, help="JSONL with `text`")
    parser.add_argument("--n", type=int, default=100, help="how many of the texts to use")
    arguments = parser.parse_args()
    with open(arguments.texts, encoding="utf-8") as lines:
        some = [json.loads(line)["text"] for line in lines]
    step = max(1, len(some) // arguments.n)
    print(quantise(arguments.folder, arguments.out, some[::step][: arguments.n]))

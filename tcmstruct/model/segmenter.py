"""Where the tongue is, and whether there is one: the lower stages of Lite0 under a small pyramid of features.

Axes: B batch. Input is the whole photo, letterboxed to 160 px. The stages below 1/16 know edges and textures well
enough for an outline as smooth as a tongue's; they stay as ImageNet left them, so that only the pyramid is trained,
on features computed once (Lin et al. 2017, "Feature pyramid networks", in its smallest form).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tcmstruct.model.image_encoder import Heads

SIDE_PX = 160
WIDTHS = (24, 40, 80)
"""Channels of the trunk's stages at 1/4, 1/8 and 1/16."""


@dataclass
class SegmenterOutput:
    """mask: (B, 40, 40) scores at 1/4 of the input, above 0 is tongue; present: (B,) score, above 0 is a tongue."""

    mask: Tensor
    present: Tensor


class Trunk(nn.Module):
    """Stem and four stages of Lite0, frozen: (B, 3, S, S) → features at 1/4, 1/8, 1/16."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(net.conv_stem, net.bn1)
        self.stages = nn.ModuleList(net.blocks[:4])
        self.requires_grad_(False)

    def train(self, mode: bool = True) -> Trunk:
        return super().train(False)

    def forward(self, images: Tensor) -> list[Tensor]:
        x, out = self.stem(images), []
        for stage in self.stages:
            x = stage(x)
            out.append(x)
        return out[1:]


class _Smooth(nn.Sequential):
    """3 × 3 depthwise, 1 × 1, both with normalisation: mixes what was added."""

    def __init__(self, width: int, kernel: int = 3) -> None:
        super().__init__(nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width, bias=False), nn.BatchNorm2d(width),
                         nn.ReLU(inplace=True), nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True))


class Pyramid(nn.Module):
    """The trained part of the outline: features at three scales → mask scores (B, 40, 40), above 0 is tongue."""

    def __init__(self, widths: Sequence[int] = WIDTHS, width: int = 32) -> None:
        super().__init__()
        self.side = nn.ModuleList(nn.Conv2d(w, width, 1) for w in widths)
        self.smooth = nn.ModuleList([_Smooth(width), _Smooth(width), nn.Sequential(_Smooth(width, 5), _Smooth(width, 5))])
        self.whole = nn.Linear(2 * widths[-1], width)  # what kind of picture this is, added everywhere
        self.mask = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        coarse = features[-1]
        summary = torch.cat([coarse.mean((2, 3)), coarse.amax((2, 3))], 1)
        x = self.smooth[2](self.side[2](coarse) + self.whole(summary)[:, :, None, None])
        for level in (1, 0):
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.smooth[level](x + self.side[level](features[level]))
        return self.mask(x)[:, 0]


PRESENT = "有舌"


def summary(features: Sequence[Tensor]) -> Tensor:
    """What kind of picture it is: mean, maximum and spread at 1/8 and 1/16, mean of the lower part, maximum of the
    centre → (B, 520)."""
    fine, coarse = features[-2], features[-1]
    parts = [part for x in (coarse, fine) for part in (x.mean((2, 3)), x.amax((2, 3)), x.std((2, 3), unbiased=False))]
    return torch.cat([*parts, coarse[:, :, 4:].mean((2, 3)), coarse[:, :, 2:8, 2:8].amax((2, 3))], 1)


def presence_heads(widths: Sequence[int] = WIDTHS) -> Heads:
    """One linear reader of `summary`: no tongue, tongue. A few hundred frames teach it better than a deeper one."""
    return Heads({"whole": 5 * widths[-1] + 3 * widths[-2]}, {PRESENT: (2, ("whole",))})


class Segmenter(nn.Module):
    """Trunk, pyramid, presence: (B, 3, 160, 160) normalised as for `image_encoder` → `SegmenterOutput`."""

    def __init__(self, trunk: Trunk, pyramid: Pyramid, presence: Heads) -> None:
        super().__init__()
        self.trunk, self.pyramid, self.presence = trunk, pyramid, presence

    def forward(self, images: Tensor) -> SegmenterOutput:
        features = self.trunk(images)
        scores = self.presence(summary(features))[PRESENT]
        return SegmenterOutput(self.pyramid(features), scores[:, 1] - scores[:, 0])


def mask_loss(scores: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Cross-entropy of every place plus soft Dice of every photo (Milletari et al. 2016).

    Args:
        scores: (B, h, w).
        target: (B, h, w) share of the place that is tongue, 0–1.
        weight: (B,) of each photo; 0 leaves it out.
    """
    weight = torch.ones(len(scores), device=scores.device) if weight is None else weight
    each = F.binary_cross_entropy_with_logits(scores, target, reduction="none").mean((1, 2))
    share = scores.sigmoid()
    dice = 1 - (2 * (share * target).sum((1, 2)) + 1) / (share.sum((1, 2)) + target.sum((1, 2)) + 1)
    return ((each + 0.5 * dice) * weight).sum() / weight.sum().clamp_min(1.0)


def box_loss(scores: Tensor, box: Tensor) -> Tensor:
    """What a box says about the mask in it (Tian et al. 2021, BoxInst, the projection term): nothing outside; each of
    the box's rows and columns is touched.

    Args:
        scores: (B, h, w).
        box: (B, h, w) 1 inside of the box, else 0; an empty one says that there is no tongue.
    """
    outside = F.binary_cross_entropy_with_logits(scores, torch.zeros_like(scores), reduction="none") * (1 - box)
    loss = outside.sum((1, 2)) / (1 - box).sum((1, 2)).clamp_min(1.0)
    for axis in (1, 2):
        touched = box.amax(axis)
        loss = loss + F.binary_cross_entropy_with_logits(scores.amax(axis), touched)
    return loss.mean()

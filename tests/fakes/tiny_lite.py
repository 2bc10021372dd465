"""A small network built as Lite0 is: a stem, a block without expansion, blocks with one. Weights at random."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tcmstruct.image.fusion_input import N_QUALITY
from tcmstruct.model.fusion import FusionConfig, FusionNet
from tcmstruct.model.image_encoder import ImageEncoder

N_CLASSES = {"苔色": ("白", "黄"), "腻": ("不腻", "腻", "厚腻")}


class NormAct(nn.BatchNorm2d):
    """Batch normalisation that carries its activation, as timm's does."""

    def __init__(self, n: int, act: nn.Module) -> None:
        super().__init__(n)
        self.act = act
        nn.init.uniform_(self.weight, 0.5, 1.5)
        nn.init.normal_(self.bias)
        self.running_mean.normal_()
        self.running_var.uniform_(0.5, 1.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(super().forward(x))


class Separable(nn.Module):
    """Depthwise, then pointwise: no channel here is free to go."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = nn.Conv2d(n_in, n_in, 3, padding=1, groups=n_in, bias=False), NormAct(n_in, nn.ReLU6())
        self.conv_pw, self.bn2 = nn.Conv2d(n_in, n_out, 1, bias=False), NormAct(n_out, nn.Identity())
        self.has_skip = False

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))


class Inverted(nn.Module):
    """Expansion, depthwise, projection (Sandler et al. 2018)."""

    def __init__(self, n_in: int, n_inner: int, n_out: int, stride: int = 1) -> None:
        super().__init__()
        self.conv_pw, self.bn1 = nn.Conv2d(n_in, n_inner, 1, bias=False), NormAct(n_inner, nn.ReLU6())
        self.conv_dw = nn.Conv2d(n_inner, n_inner, 3, stride, 1, groups=n_inner, bias=False)
        self.bn2 = NormAct(n_inner, nn.ReLU6())
        self.conv_pwl, self.bn3 = nn.Conv2d(n_inner, n_out, 1, bias=False), NormAct(n_out, nn.Identity())
        self.has_skip = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return x + y if self.has_skip else y


class TinyLite(nn.Module):
    """What `ImageEncoder` takes: stem, its normalisation, stages of blocks; 16 pixels a place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False), NormAct(8, nn.ReLU6())
        self.blocks = nn.Sequential(
            nn.Sequential(Separable(8, 8)),
            nn.Sequential(Inverted(8, 24, 12, 2), Inverted(12, 36, 12)),
            nn.Sequential(Inverted(12, 36, 16, 2), Inverted(16, 48, 16)),
            nn.Sequential(Inverted(16, 48, 20, 2), Inverted(20, 60, 20)),
        )


def tiny_encoder(seed: int = 0) -> ImageEncoder:
    """An encoder of five prunable and one other block."""
    torch.manual_seed(seed)
    return ImageEncoder(TinyLite(), n_stages=4).eval()


def tiny_fusion(seed: int = 0, n_heads: int = 4, reach: tuple[int, ...] | None = None) -> FusionNet:
    """A fusion of 32 dimensions that reads places of 14 numbers."""
    torch.manual_seed(seed)
    net = FusionNet(FusionConfig(32, 14, N_QUALITY, N_CLASSES, (10, 12), n_heads=n_heads, width=16, reach=reach))
    for parameter in net.parameters():
        nn.init.normal_(parameter, std=0.3)
    return net.eval()

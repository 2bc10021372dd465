"""Tongue photographs and their labels → batches for the one training loop. Axes: B batch.

What each label may teach (the data's own traps): 苔色 and 舌色 only photos of one camera (batch A); 裂纹 and 齿痕 by
people only how severe, since a missing label means "not labelled or absent"; whether there is any, and 腻, only
another system's output, at a low weight. Imported sets (docs/tongue-data.md) name heads and values themselves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from tcmstruct.errors import InputRefused
from tcmstruct.image.crop import clean_mask
from tcmstruct.image.decode import decode
from tcmstruct.model.image_encoder import IGNORE, Heads, masked_loss
from tcmstruct.model.segmenter import Pyramid, box_loss, mask_loss

SILVER_WEIGHT = 0.3
"""Trust in another system's label against a person's."""
MASK_THRESHOLD = 127

HEADS: dict[str, tuple[str, ...]] = {
    "苔色": ("白", "淡黄", "黄"),
    "舌色": ("淡白", "淡红", "暗紫"),
    "裂纹有无": ("无", "有"),
    "裂纹轻重": ("轻", "重"),
    "齿痕有无": ("无", "有"),
    "齿痕轻重": ("轻", "重"),
    "腻": ("不腻", "腻", "厚腻"),
}
"""Head → its classes. Presence and severity are apart because different hands labelled them."""

COLOUR_HEADS = ("苔色", "舌色")
"""Heads whose answers depend on the camera."""

_HUMAN: dict[str, tuple[str, tuple[str, ...]]] = {
    "tai": ("苔色", ("white", "light_yellow", "yellow")),
    "zhi": ("舌色", ("light", "regular", "dark")),
    "fissure": ("裂纹轻重", ("light", "severe")),
    "tooth_mk": ("齿痕轻重", ("light", "severe")),
}
_PRESENCE = {"fissure": "裂纹有无", "tooth_mk": "齿痕有无"}
_COATING = ("non_greasy", "greasy", "greasy_thick")


@dataclass(frozen=True)
class TonguePhoto:
    """One row of `labels.jsonl`.

    Attributes:
        batch: "A", "B" or "" where the source has none.
        labels: head → class number; weights: head → trust.
        human: heads that a person labelled.
        present: whether there is a tongue, where somebody said so.
        box: x0, y0, x1, y1 as shares of width and height.
    """

    id: str
    source: str
    batch: str
    labels: dict[str, int] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    human: frozenset[str] = frozenset()
    present: bool | None = None
    box: tuple[float, float, float, float] | None = None


def read_photos(data: Path) -> list[TonguePhoto]:
    """All photos of `data/tongue/labels.jsonl`.

    Raises:
        InputRefused: the file is absent.
    """
    path = data / "tongue" / "labels.jsonl"
    if not path.is_file():
        raise InputRefused("tongue/labels.jsonl is absent", where=str(data), hint="set TCMSTRUCT_DATA to the data folder")
    with open(path, encoding="utf-8") as lines:
        return [photo_of(json.loads(line)) for line in lines]


def photo_of(row: Mapping) -> TonguePhoto:
    """One row → labels with trust; a person's word goes before another system's."""
    labels: dict[str, int] = {}
    weights: dict[str, float] = {}
    batch = row.get("batch", "")
    human = row.get("human", {})
    for key, value in human.items():
        head, values = _HUMAN[key]
        if key in ("tai", "zhi") and batch != "A":
            continue  # another camera's colours
        labels[head], weights[head] = values.index(value), 1.0
        if key in _PRESENCE:
            labels[_PRESENCE[key]], weights[_PRESENCE[key]] = 1, 1.0
    by_people = frozenset(labels)
    for head, value in row.get("labels", {}).items():
        if head in COLOUR_HEADS and not row.get("train_colour"):
            continue  # another camera's colours
        people = row.get("by") == "people"
        labels[head], weights[head] = HEADS[head].index(value), 1.0 if people else SILVER_WEIGHT
        by_people |= {head} if people else frozenset()
    machine = row.get("model", {})
    for key, head in _PRESENCE.items():
        if key in machine and head not in labels:
            labels[head], weights[head] = int(machine[key] != "none"), SILVER_WEIGHT
    if "coating" in machine:
        labels["腻"], weights["腻"] = _COATING.index(machine["coating"]), SILVER_WEIGHT
    box = None
    if "box_cxcywh" in row:
        cx, cy, w, h = row["box_cxcywh"]
        box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
    return TonguePhoto(row["id"], row["source"], batch, labels, weights, by_people, row.get("tongue_present"), box)


def load_pixels(data: Path, photo: TonguePhoto) -> np.ndarray:
    """(H, W, 3) uint8."""
    return decode(data / "tongue" / photo.source / f"{photo.id}.jpg").pixels


def load_mask(data: Path, photo: TonguePhoto) -> np.ndarray | None:
    """(H, W) uint8 0 or 255; None where the file is absent or holds no tongue at all."""
    path = data / "tongue" / photo.source / f"{photo.id}.mask.png"
    plane = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) if path.is_file() else None
    if plane is None or not (plane > MASK_THRESHOLD).any():
        return None
    return clean_mask(plane > MASK_THRESHOLD).astype(np.uint8) * 255


def recast(pixels: np.ndarray, exposure: float = 1.0, kelvin: float = 0.0, gains: Sequence[float] = (1.0, 1.0, 1.0)) -> np.ndarray:
    """Another exposure and light, on 8-bit sRGB values.

    Args:
        exposure: factor on the values.
        kelvin: shift of the light's colour temperature from 5500 K; positive is bluer. Red and blue move against each
            other by 4 % for 300 K (difference of two Planckian whites near 5500 K in sRGB values).
    """
    shift = kelvin / 300 * 0.02
    factors = exposure * np.array([1 - shift, 1.0, 1 + shift]) * np.asarray(gains)
    table = np.clip(np.arange(256)[:, None] * factors, 0, 255).round().astype(np.uint8)
    return cv2.LUT(pixels, np.ascontiguousarray(table)[None])


def rejpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Through JPEG and back."""
    return cv2.imdecode(cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)[..., ::-1]


def retaken(pixels: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """The photo as it would have come out under another exposure, under another light, and saved smaller."""
    return [recast(pixels, rng.uniform(0.85, 1.15)), recast(pixels, kelvin=rng.uniform(-450, 450)),
            rejpeg(pixels, int(rng.integers(50, 75)))]


def of_other_camera(photos: Sequence[TonguePhoto]) -> list[TonguePhoto]:
    """Every second photo of batch B: no label of theirs is learnt, only that answers shall not change when they are
    taken again. The other half is left for `benchmarks/tongue.py`."""
    return sorted((p for p in photos if p.source == "tonguexpert" and p.batch == "B"), key=lambda p: p.id)[::2]


@dataclass
class PhotoBatch:
    """Photos with labels, some of them unknown.

    Attributes:
        inputs: (B, …) images, or features computed before.
        labels, weights: head → (B,), see `image_encoder.masked_loss`.
    """

    inputs: Tensor
    labels: dict[str, Tensor]
    weights: dict[str, Tensor]

    @property
    def n_characters(self) -> int:
        """What the loop's schedule counts: here a photo is one."""
        return len(self.inputs)

    def to(self, device: torch.device | str) -> PhotoBatch:
        return PhotoBatch(self.inputs.to(device), {k: v.to(device) for k, v in self.labels.items()},
                          {k: v.to(device) for k, v in self.weights.items()})


def label_arrays(photos: Sequence[TonguePhoto]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Head → (N,) class numbers with `IGNORE`, and head → (N,) trust."""
    labels = {h: np.array([p.labels.get(h, IGNORE) for p in photos], np.int64) for h in HEADS}
    weights = {h: np.array([p.weights.get(h, 0.0) for p in photos], np.float32) for h in HEADS}
    return labels, weights


def photo_batches(inputs: np.ndarray, labels: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray], size: int,
                  rng: np.random.Generator) -> Iterator[PhotoBatch]:
    """One pass in random order."""
    order = rng.permutation(len(inputs))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        yield PhotoBatch(torch.from_numpy(np.ascontiguousarray(inputs[rows])),
                         {k: torch.from_numpy(v[rows]) for k, v in labels.items()},
                         {k: torch.from_numpy(v[rows]) for k, v in weights.items()})


def balance(labels: np.ndarray, n_classes: int, trust: np.ndarray | None = None) -> Tensor:
    """(classes,) weights that let every class weigh alike, the trust in its labels counted (silver ones weigh less)."""
    known = labels != IGNORE
    mass = np.bincount(labels[known], None if trust is None else trust[known], minlength=n_classes).clip(1e-3)
    return torch.tensor(mass.sum() / mass / n_classes, dtype=torch.float32)


class AttributeObjective:
    """Masked cross-entropy of every reader of every head on features computed before; each reader learns by itself.

    Args:
        class_weights: head → weights against imbalance.
        decay: group of features → ridge on its readers' weights (few photos, many features).
        sway: group → (d, d) root of what its features do when a photo is taken again (`sway_of`): the mean square by
            which a reader's scores then move is added to the loss, times `still`. This is tangent propagation (Simard
            et al. 1992) for linear readers, and needs no labels.
        still: head → weight of that; a head that is not named has none.
    """

    def __init__(self, class_weights: Mapping[str, Tensor], decay: Mapping[str, float], sway: Mapping[str, Tensor] | None = None,
                 still: Mapping[str, float] | None = None) -> None:
        self.class_weights, self.decay, self.sway, self.still = class_weights, decay, sway or {}, still or {}

    def loss(self, model: Heads, batch: PhotoBatch) -> Tensor:
        votes = model.votes(batch.inputs)
        loss = torch.zeros((), device=batch.inputs.device)
        for turn in range(max(map(len, votes.values()))):
            scores = {head: v[turn] for head, v in votes.items() if turn < len(v)}
            labels = {head: batch.labels[head] for head in scores}
            loss = loss + masked_loss(scores, labels, batch.weights, self.class_weights)
        for head, readers in model.readers.items():
            for group, linear in readers.items():
                loss = loss + self.decay[group] * linear.weight.square().sum()
                if head in self.still:
                    loss = loss + self.still[head] * (linear.weight @ self.sway[group]).square().sum()
        return loss


def sway_of(heads: Heads, retakes: Sequence[np.ndarray]) -> dict[str, Tensor]:
    """Group → (d, d) root of the mean square change of its standardised features between takes of one photo.

    Args:
        heads: standardised already.
        retakes: sets of photos, each (N, takes, width), the first take being the photo itself; sets weigh alike.
    """
    changes = []
    for takes in retakes:
        x = heads.standardised(torch.from_numpy(np.ascontiguousarray(takes)))
        changes.append((x[:, 1:] - x[:, :1]).flatten(0, 1))
    out = {}
    for group, where in heads.slices.items():
        moment = torch.stack([c[:, where].double().T @ c[:, where].double() / len(c) for c in changes]).mean(0)
        values, vectors = torch.linalg.eigh(moment)
        out[group] = (vectors * values.clamp_min(0).sqrt()).float()
    return out


MANUAL, BOXED, NO_TONGUE = 0, 1, 2
"""How a photo of the segmenter's training is marked: a mask, a box around the tongue, or "there is none"."""


@dataclass
class MaskBatch:
    """Features of the frozen trunk with what is known of the mask.

    Attributes:
        features: three tensors (B, C, h, w) at 1/4, 1/8, 1/16.
        target: (B, 40, 40) share of each place inside of the mask or the box.
        kind: (B,) one of `MANUAL`, `BOXED`, `NO_TONGUE`.
    """

    features: list[Tensor]
    target: Tensor
    kind: Tensor

    @property
    def n_characters(self) -> int:
        """What the loop's schedule counts: here a photo is one."""
        return len(self.kind)

    def to(self, device: torch.device | str) -> MaskBatch:
        return MaskBatch([f.to(device) for f in self.features], self.target.to(device), self.kind.to(device))


def mask_batches(features: Sequence[np.ndarray], target: np.ndarray, kind: np.ndarray, size: int,
                 rng: np.random.Generator) -> Iterator[MaskBatch]:
    """One pass in random order; features are stored in fp16."""
    order = rng.permutation(len(kind))
    for at in range(0, len(order), size):
        rows = order[at : at + size]
        yield MaskBatch([torch.from_numpy(f[rows].astype(np.float32)) for f in features],
                        torch.from_numpy(target[rows].astype(np.float32) / 255), torch.from_numpy(kind[rows]))


class MaskObjective:
    """Masks where there are masks, boxes where there are boxes, nothing where there is no tongue."""

    def __init__(self, box_weight: float = 0.3) -> None:
        self.box_weight = box_weight

    def loss(self, model: Pyramid, batch: MaskBatch) -> Tensor:
        scores = model(batch.features)
        manual, boxed = batch.kind == MANUAL, batch.kind != MANUAL
        loss = torch.zeros((), device=scores.device)
        if manual.any():
            loss = loss + mask_loss(scores[manual], batch.target[manual])
        if boxed.any():
            inside = (batch.target[boxed] > 0.5).float()
            loss = loss + self.box_weight * box_loss(scores[boxed], inside)
        return loss


def folds(n: int, n_folds: int, seed: int = 0) -> np.ndarray:
    """(n,) fold of each photo, by photo, in random order."""
    return np.random.default_rng(seed).permutation(np.arange(n) % n_folds)


def in_chunks(compute: Callable[[np.ndarray], Sequence[np.ndarray]], load: Callable[[int], np.ndarray], n: int,
              size: int = 16, say: Callable[[str], None] | None = None) -> list[np.ndarray]:
    """Runs `compute` over n loaded inputs in chunks → its outputs, joined."""
    parts: list[list[np.ndarray]] = []
    for at in range(0, n, size):
        parts.append(list(compute(np.stack([load(i) for i in range(at, min(n, at + size))]))))
        if say is not None and at % (20 * size) == 0:
            say(f"{at} of {n}")
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def from_afar(pixels: np.ndarray, plane: np.ndarray, side: int, rng: np.random.Generator, *, nearest: float = 1.15, farthest: float = 0.4,
              cut_out: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    """A photo and its mask or box as a phone may take them: nearer or farther, turned, off centre, in another light,
    blurred, noisy, compressed.

    Args:
        pixels: (S, S, 3) uint8; plane: (S, S) uint8 mask or box, 0 or 255.
        side: of the result.
        nearest, farthest: scale, 1 shows the whole photo.
        cut_out: how often everything outside of `plane` is black, as in photos that were cut out.

    Returns:
        (side, side, 3) uint8 and (side, side) uint8.
    """
    size = pixels.shape[0]
    scale = side / size * np.exp(rng.uniform(np.log(farthest), np.log(nearest)))
    angle, mirror = np.deg2rad(rng.normal(0, 10)), rng.choice([-1, 1])
    turn = scale * np.array([[mirror * np.cos(angle), -np.sin(angle)], [mirror * np.sin(angle), np.cos(angle)]])
    slack = max(0.0, side - scale * size) / 2 + 8
    matrix = np.float32(np.c_[turn, side / 2 + rng.uniform(-slack, slack, 2) - turn @ [size / 2, size / 2]])
    border = int(rng.integers(3))  # edge drawn out, black, any colour
    fill = (0, 0, 0) if border == 1 else tuple(int(v) for v in rng.integers(0, 256, 3))
    if rng.random() < cut_out:
        pixels, fill = np.where(plane[..., None] > MASK_THRESHOLD, pixels, np.uint8(0)), (0, 0, 0)
    out = cv2.warpAffine(pixels, matrix, (side, side), flags=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR, borderValue=fill,
                         borderMode=cv2.BORDER_REPLICATE if border == 0 else cv2.BORDER_CONSTANT)
    plane = cv2.warpAffine(plane, matrix, (side, side), flags=cv2.INTER_LINEAR)
    lit = np.clip(out.astype(np.float32) * np.exp(rng.normal(0, 0.18)) * np.exp(rng.normal(0, 0.06, 3)) + rng.normal(0, 4), 0, 255)
    if rng.random() < 0.2:
        lit = cv2.GaussianBlur(lit, (0, 0), rng.uniform(0.4, 1.4))
    if rng.random() < 0.3:
        lit = lit + rng.normal(0, rng.uniform(2, 8), lit.shape)
    out = np.clip(lit, 0, 255).astype(np.uint8)
    return (rejpeg(out, int(rng.integers(40, 90))) if rng.random() < 0.3 else out), plane


def no_tongue(side: int, frame: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(side, side, 3): a drawn picture (coloured noise, shapes, letters), or a piece of a face beside its mouth.

    Args:
        frame: (S, S, 3) a frame of a face whose upper left part is no mouth.
    """
    if rng.random() < 0.5:
        size = frame.shape[0]
        y, x = int(rng.integers(0, size // 5)), int(rng.integers(0, size * 5 // 8))
        return cv2.resize(frame[y : y + size // 3, x : x + size // 3], (side, side))
    out = np.full((side, side, 3), rng.integers(0, 256, 3), np.uint8)
    if rng.random() < 0.25:
        noise = rng.integers(0, 256, (side // 8, side // 8, 3)).astype(np.uint8)
        out = cv2.resize(noise, (side, side), interpolation=int(rng.integers(0, 3)))
    for _ in range(int(rng.integers(0, 9))):
        a, b = (tuple(int(v) for v in rng.integers(0, side, 2)) for _ in range(2))
        colour, thick = tuple(int(v) for v in rng.integers(0, 256, 3)), int(rng.integers(1, 12))
        match int(rng.integers(4)):
            case 0:
                cv2.rectangle(out, a, b, colour, cv2.FILLED if thick > 6 else thick)
            case 1:
                cv2.circle(out, a, int(rng.integers(3, 60)), colour, cv2.FILLED if thick > 6 else thick)
            case 2:
                cv2.line(out, a, b, colour, thick)
            case _:
                cv2.putText(out, "ABC 123", a, cv2.FONT_HERSHEY_SIMPLEX, 1, colour, 2)
    return out

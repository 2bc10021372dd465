"""What a pruned model is worth: the first part of `recipes.prune`. Photos and records that plans are judged by, and the judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from tcmstruct.compression.channels import folded
from tcmstruct.compression.prune import FusedModel
from tcmstruct.evaluation.classes import expected_f1, macro_f1
from tcmstruct.image.fusion_input import ATTRIBUTES, GRID, N_QUALITY, TONGUE_COLUMNS
from tcmstruct.image.tongue_model import network_input
from tcmstruct.image.tongue_numbers import places_of
from tcmstruct.model.fusion import FusionConfig, FusionNet
from tcmstruct.model.image_encoder import IGNORE, SIDE_PX, WIDTH, ImageEncoder, lite0, normalised
from tcmstruct.recipes.fusion_train import gold_folds, photo_inputs, text_vectors
from tcmstruct.recipes.tongue_outline import N_FOLDS
from tcmstruct.recipes.tongue_train import GROUPS, READS, head_photos, own_crop
from tcmstruct.training.pairs import Photos, Texts, padded
from tcmstruct.training.photos import HEADS, balance, folds, label_arrays, load_pixels, read_photos

READ_OFF_ENCODER = ("裂纹有无", "裂纹轻重", "齿痕有无", "齿痕轻重")
SEARCH_FOLDS, REPORT_FOLDS = (0, 1), (2, 3, 4)
RIDGE = 0.1
"""Of the readouts, per unit of weight of the photos."""


@dataclass(frozen=True)
class Material:
    """All that plans are judged by.

    Attributes:
        crops: (N, 224, 224, 3) uint8; places: (N, 2, 14, 14); numbers: (N, N_COLOURS + N_LINES + N_RIM) of the labelled photos.
        labels, weights: head → (N,). fold: (N,).
        texts, of_text: records and the fold of each; photos: as the fusion reads them; photo: row of `photos` → labelled photo.
    """

    crops: np.ndarray
    places: np.ndarray
    numbers: np.ndarray
    labels: Mapping[str, np.ndarray]
    weights: Mapping[str, np.ndarray]
    fold: np.ndarray
    texts: Texts
    of_text: np.ndarray
    photos: Photos
    photo: np.ndarray


def load_material(run: Path, data: Path, tongue_run: Path, fusion_run: Path) -> Material:
    """Reads what the two training recipes kept; crops are made once."""
    labelled = head_photos(read_photos(data))
    labels, weights = label_arrays(labelled)
    path = run / "crops.npz"
    if not path.exists():
        outlines = ort.InferenceSession(str(tongue_run / "outlines.onnx"), providers=["CPUExecutionProvider"])
        crops, places = np.zeros((len(labelled), SIDE_PX, SIDE_PX, 3), np.uint8), np.zeros((len(labelled), 2, 14, 14), np.float32)
        for i, photo in enumerate(labelled):
            crop = own_crop(np.ascontiguousarray(load_pixels(data, photo)), outlines, photo.id)
            crops[i], places[i] = network_input(crop), places_of(crop)
        np.savez(path, crops=crops, places=places, ids=np.array([p.id for p in labelled]))
    with np.load(path) as kept, np.load(tongue_run / "takes.npz") as takes, np.load(fusion_run / "photo-features.npz") as features:
        texts = text_vectors(fusion_run, data)
        return Material(kept["crops"], kept["places"], takes["features"][:, 0, 6 * WIDTH :], labels, weights,
                        folds(len(labelled), N_FOLDS, seed=2), texts, gold_folds(texts), photo_inputs(fusion_run, data, tongue_run),
                        features["photo"])


def load_model(weights: Path, fusion_run: Path, texts: Texts, photos: Photos) -> FusedModel:
    """The encoder, folded, and the fusions of the search's first fold and of the report's folds."""
    config = FusionConfig(texts.hidden.shape[1], photos.places.shape[2], N_QUALITY, ATTRIBUTES, TONGUE_COLUMNS)
    nets = []
    for k in (SEARCH_FOLDS[0], *REPORT_FOLDS):
        net = FusionNet(config)
        net.load_state_dict(load_file(fusion_run / f"fold-{k}" / "net.safetensors"))
        nets.append(net.eval())
    return FusedModel(folded(ImageEncoder(lite0(weights))).to(memory_format=torch.channels_last), tuple(nets))


def encoded(encoder: ImageEncoder, material: Material, chosen: np.ndarray, side_px: int = SIDE_PX) -> tuple[np.ndarray, np.ndarray]:
    """Photos → (n, 6 · WIDTH) body and rim, and (n, P, WIDTH) the grid."""
    pooled, grids = [], []
    with torch.inference_mode():
        for at in range(0, len(chosen), 32):
            images, places = sized(material, chosen[at : at + 32], side_px)
            maps = encoder.maps(images)
            pooled.append(torch.cat(encoder.summaries(maps, places), 1).numpy())
            grids.append(F.adaptive_avg_pool2d(maps, GRID).flatten(2).transpose(1, 2).numpy())
    return np.concatenate(pooled), np.concatenate(grids)


def sized(material: Material, chosen: np.ndarray, side_px: int) -> tuple[Tensor, Tensor]:
    """Crops and places as the encoder takes them, at a smaller side if asked."""
    images, places = normalised(torch.from_numpy(material.crops[chosen])), torch.from_numpy(material.places[chosen])
    if side_px != SIDE_PX:
        images = F.interpolate(images, size=(side_px, side_px), mode="area")
        places = F.interpolate(places, size=(side_px // 16, side_px // 16), mode="area")
    return images.to(memory_format=torch.channels_last), places


class Judge:
    """Quality of a model on some photos and records.

    Args:
        chosen: labelled photos that the encoder's readouts are asked about, cross-validated.
        fusions: number in `FusedModel.fusions` → fold of the photos and gold records that it is asked about.
        side_px: of the photos that readouts are asked about; fusions read them at full size.
        n_grids, n_pairs: most photos whose grid a fusion reads, and most questions to it; None: all there are.
        expected: expected F1, which moves with every probability, in the place of F1.
        n_seeds: how often the readouts are cross-validated, each time with other folds.
    """

    def __init__(self, material: Material, chosen: np.ndarray, fusions: Mapping[int, int], *, side_px: int = SIDE_PX,
                 n_grids: int | None = None, n_pairs: int | None = None, expected: bool = False, n_seeds: int = 1) -> None:
        self.material, self.chosen, self.fusions, self.side_px, self.expected, self.n_seeds = (
            material, chosen, fusions, side_px, expected, n_seeds)
        self._pairs = {fold: pairs_of(material, fold, n_grids, n_pairs) for fold in fusions.values()}

    def __call__(self, model: FusedModel) -> float:
        return float(np.mean(list(self.figures(model)[0].values())))

    def figures(self, model: FusedModel) -> list[dict[str, float]]:
        """For every seed: head or attribute → macro-F1."""
        material = self.material
        pooled, _ = encoded(model.encoder, material, self.chosen, self.side_px)
        features = np.concatenate([pooled, material.numbers[self.chosen]], 1).astype(np.float32)
        answers = []
        for number, pairs in zip(self.fusions, self._pairs.values(), strict=True):
            photos = np.unique([photo for _, _, photo in pairs])
            _, grids = encoded(model.encoder, material, material.photo[photos])  # a fusion knows the grid of whole photos only
            answers += _answers(model.fusions[number], material, pairs, dict(zip(photos.tolist(), grids, strict=True)))
        said = [a for pairs in self._pairs.values() for _, a, _ in pairs]
        truth = [int(material.texts.labels[i, a]) for pairs in self._pairs.values() for i, a, _ in pairs]
        fused = {}
        for a, name in enumerate(ATTRIBUTES):
            members = [j for j, attribute in enumerate(said) if attribute == a]
            fused[name] = self._f1(np.array([truth[j] for j in members]), np.stack([answers[j] for j in members]))
        return [{**self._read(features, seed), **fused} for seed in range(self.n_seeds)]

    def _f1(self, truth: np.ndarray, probabilities: np.ndarray) -> float:
        return expected_f1(truth, probabilities) if self.expected else macro_f1(truth, probabilities.argmax(1))

    def _read(self, features: np.ndarray, seed: int) -> dict[str, float]:
        """By least squares, cross-validated: the readouts of the shipped heads, at a thousandth of the time."""
        labels, weights = ({h: v[self.chosen] for h, v in part.items()} for part in (self.material.labels, self.material.weights))
        fold = folds(len(self.chosen), N_FOLDS, seed=seed)
        starts = dict(zip(GROUPS, np.cumsum([0, *GROUPS.values()]), strict=False))
        out = {}
        for head in READ_OFF_ENCODER:
            known = np.nonzero(labels[head] != IGNORE)[0]
            truth, scores = labels[head][known], np.zeros((len(known), len(HEADS[head])))
            trust = weights[head][known] * balance(truth, len(HEADS[head]), weights[head][known]).numpy()[truth]
            for group in READS[head]:
                x = features[known, starts[group] : starts[group] + GROUPS[group]].astype(np.float64)
                for k in range(N_FOLDS):
                    seen = fold[known] != k
                    scores[~seen] += _ridge(x[seen], np.eye(len(HEADS[head]))[truth[seen]], trust[seen], x[~seen])
            scores = (scores / len(READS[head])).clip(1e-3, 1)
            out[head] = self._f1(truth, scores / scores.sum(1, keepdims=True))
        return out


Pair = tuple[int, int, int]
"""A record, an attribute that it states, and a row of `Material.photos` of the same class."""


def pairs_of(material: Material, fold: int, n_photos: int | None = None, n_pairs: int | None = None) -> list[Pair]:
    """What a fusion is asked: every attribute that a record of the fold states, beside a photo of the fold drawn once."""
    rng = np.random.default_rng([11, fold])
    rows = np.nonzero((material.photos.fold == fold) & (material.photos.variant == 0))[0]
    if n_photos is not None and len(rows) > n_photos:
        rows = np.sort(rng.choice(rows, n_photos, replace=False))
    of_class = {(a, c): rows[material.photos.labels[rows, a] == c] for a, classes in enumerate(ATTRIBUTES.values())
                for c in range(len(classes))}
    out = [(int(i), a, int(rng.choice(of_class[a, material.texts.labels[i, a]])))
           for i in np.nonzero(material.of_text == fold)[0] for a in range(len(ATTRIBUTES))
           if material.texts.labels[i, a] != IGNORE and len(of_class[a, material.texts.labels[i, a]])]
    return out if n_pairs is None else [out[i] for i in np.sort(rng.permutation(len(out))[:n_pairs])]


def _answers(net: FusionNet, material: Material, pairs: Sequence[Pair], grids: Mapping[int, np.ndarray]) -> list[np.ndarray]:
    """(classes,) probabilities of each pair."""
    out = []
    for at in range(0, len(pairs), 32):
        part = pairs[at : at + 32]
        hidden, mask, places, quality = beside(material, part)
        places[..., :WIDTH] = torch.from_numpy(np.stack([grids[photo] for _, _, photo in part]))
        with torch.inference_mode():
            found = net(hidden, mask, places, quality, torch.ones(len(part)))
        out += [found.scores[list(ATTRIBUTES)[a]][j].softmax(-1).numpy() for j, (_, a, _) in enumerate(part)]
    return out


def beside(material: Material, pairs: Sequence[Pair]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Pairs as a fusion takes them: hidden, mask, places, quality."""
    photos = [photo for _, _, photo in pairs]
    return (*padded([material.texts.vectors(i) for i, _, _ in pairs]), torch.from_numpy(material.photos.places[photos].copy()),
            torch.from_numpy(material.photos.quality[photos]))


def _ridge(x: np.ndarray, y: np.ndarray, weight: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Weighted ridge regression onto class indicators."""
    mean, spread = x.mean(0), x.std(0).clip(1e-3)
    x, asked = ((np.clip((a - mean) / spread, -5, 5)) for a in (x, asked))
    x, asked = (np.concatenate([a, np.ones((len(a), 1))], 1) for a in (x, asked))
    moment = (x * weight[:, None]).T @ x
    return asked @ np.linalg.solve(moment + RIDGE * weight.sum() * np.eye(len(moment)), (x * weight[:, None]).T @ y)

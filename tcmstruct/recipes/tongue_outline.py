"""Trains the outline of the tongue, and whether there is one: the first part of `recipes.tongue_train`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tcmstruct.image.tongue_model import letterbox
from tcmstruct.model.image_encoder import Heads, lite0
from tcmstruct.model.segmenter import PRESENT, Pyramid, Trunk, presence_heads, summary
from tcmstruct.recipes.tongue_graphs import PHOTOS_EXAMPLE, SEGMENT_SIDE, TrunkOfPixels, open_graph
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.photos import (
    BOXED,
    MANUAL,
    NO_TONGUE,
    AttributeObjective,
    MaskObjective,
    TonguePhoto,
    balance,
    folds,
    from_afar,
    load_mask,
    load_pixels,
    mask_batches,
    no_tongue,
    photo_batches,
)

CACHE_SIDE = 192
N_HELD, N_OUTLINED, N_DRAWN = 300, 1600, 240
"""Photos of `tonguexpert` kept out of the segmenter's training; taken into it; pictures without a tongue made up."""
N_FOLDS = 5
OTHERS_WEIGHT = 0.2
"""In learning presence: of close-ups and drawn pictures against frames."""


def segment_features(run: Path, data: Path, photos: Sequence[TonguePhoto], weights: Path) -> dict[str, dict[str, np.ndarray]]:
    """Features, targets and kinds of all parts of the segmenter's training, kept in `run/segment-PART.npz`."""
    session = None
    outlined = [p for p in photos if p.source == "tonguexpert"]
    order = np.random.default_rng(5).permutation(len(outlined))
    frames = [p for p in photos if p.source == "xiaocoding"]
    plans: dict[str, tuple[Sequence[TonguePhoto], int, Callable]] = {
        "frames": (frames, 0, _as_it_is),
        "frames-varied": (frames, 1, lambda x, m, rng: from_afar(x, m, SEGMENT_SIDE, rng, nearest=1.4, farthest=0.8, cut_out=0)),
        "held": ([outlined[i] for i in order[:N_HELD]], 0, _as_it_is),
        "outlined-varied": ([outlined[i] for i in order[N_HELD : N_HELD + N_OUTLINED]], 2,
                            lambda x, m, rng: from_afar(x, m, SEGMENT_SIDE, rng)),
        "drawn": ([frames[i % len(frames)] for i in range(N_DRAWN)], 3,
                  lambda x, m, rng: (no_tongue(SEGMENT_SIDE, x, rng), np.zeros((SEGMENT_SIDE, SEGMENT_SIDE), np.uint8))),
    }
    out = {}
    for name, (members, seed, change) in plans.items():
        path = run / f"segment-{name}.npz"
        if not path.exists():
            if session is None:
                session = open_graph(TrunkOfPixels(Trunk(lite0(weights))), PHOTOS_EXAMPLE, ["photos"], ["f4", "f8", "f16"],
                                     run / "trunk.onnx")
            _write_part(path, session, data, members, seed, change, drawn=name == "drawn")
            print(f"{path.name}: {len(members)} photos")
        out[name] = dict(np.load(path))
    return out


def _as_it_is(pixels: np.ndarray, plane: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return tuple(cv2.resize(a, (SEGMENT_SIDE, SEGMENT_SIDE), interpolation=cv2.INTER_AREA) for a in (pixels, plane))


def _write_part(path: Path, session: ort.InferenceSession, data: Path, members: Sequence[TonguePhoto], seed: int, change: Callable,
                drawn: bool) -> None:
    columns: list[list] = [[], [], [], [], []]
    for at in range(0, len(members), 16):
        images = []
        for i, photo in enumerate(members[at : at + 16], start=at):
            pixels, plane, kind = _target(data, photo)
            image, plane = change(pixels, plane, np.random.default_rng([seed, i]))
            images.append(image)
            columns[3].append(cv2.resize(plane, (SEGMENT_SIDE // 4,) * 2, interpolation=cv2.INTER_AREA))
            columns[4].append(NO_TONGUE if drawn else kind)
        for column, value in zip(columns, session.run(None, {"photos": np.stack(images)}), strict=False):
            column.append(value.astype(np.float16))
    np.savez(path, f4=np.concatenate(columns[0]), f8=np.concatenate(columns[1]), f16=np.concatenate(columns[2]),
             target=np.array(columns[3]), kind=np.array(columns[4]), ids=np.array([p.id for p in members]))


def _target(data: Path, photo: TonguePhoto) -> tuple[np.ndarray, np.ndarray, int]:
    """Photo and its mask or box, letterboxed; and of which kind it is."""
    pixels = load_pixels(data, photo)
    mask = load_mask(data, photo)
    small, (scale, left, top) = letterbox(pixels, CACHE_SIDE)
    plane = np.zeros((CACHE_SIDE, CACHE_SIDE), np.uint8)
    if mask is not None:
        matrix = np.float64([[scale, 0, left], [0, scale, top]])
        return small, cv2.warpAffine(mask, matrix, (CACHE_SIDE, CACHE_SIDE), flags=cv2.INTER_AREA), MANUAL
    if photo.box is None:
        return small, plane, NO_TONGUE
    size = scale * np.array([pixels.shape[1], pixels.shape[0]])
    x0, y0, x1, y1 = (np.array(photo.box).reshape(2, 2) * size + (left, top)).ravel()
    plane[max(0, int(y0)) : int(np.ceil(y1)), max(0, int(x0)) : int(np.ceil(x1))] = 255
    return small, plane, BOXED


def _joined(parts: Sequence[Mapping[str, np.ndarray]],
            rows: Sequence[np.ndarray | slice] | None = None) -> tuple[list, np.ndarray, np.ndarray]:
    rows = rows or [slice(None)] * len(parts)
    features = [np.concatenate([p[f][r] for p, r in zip(parts, rows, strict=True)]) for f in ("f4", "f8", "f16")]
    return features, *(np.concatenate([p[k][r] for p, r in zip(parts, rows, strict=True)]) for k in ("target", "kind"))


def train_pyramid(pyramid: Pyramid, parts: Sequence[Mapping[str, np.ndarray]], n_photos: int, rate: float, folder: Path | None = None,
                  rows: Sequence[np.ndarray | slice] | None = None, seed: int = 0) -> Pyramid:
    """Trains in place on features computed before."""
    features, target, kind = _joined(parts, rows)
    rng = np.random.default_rng(seed)
    fit(pyramid, MaskObjective(), lambda: mask_batches(features, target, kind, 24, rng),
        LoopConfig(n_characters=n_photos, learning_rate=rate, warmup=0.1, seed=seed, checkpoint_every_s=60), folder)
    return pyramid.eval()


def read_part(read: Callable[[list[Tensor]], Tensor], part: Mapping[str, np.ndarray], rows: np.ndarray | slice = slice(None)) -> np.ndarray:
    """What `read` makes of a part's features, (N, …)."""
    features = [part[f][rows] for f in ("f4", "f8", "f16")]
    with torch.inference_mode():
        return np.concatenate([read([torch.from_numpy(f[at : at + 64].astype(np.float32)) for f in features]).numpy()
                               for at in range(0, len(features[0]), 64)])


def train_presence(parts: Mapping[str, Mapping[str, np.ndarray]]) -> tuple[Heads, np.ndarray]:
    """The reader of presence, and held-out scores of the frames (5-fold by frame)."""
    numbers = {name: read_part(summary, parts[name]) for name in ("frames", "frames-varied", "outlined-varied", "drawn")}
    x = np.concatenate(list(numbers.values()))
    y = np.concatenate([(parts[name]["kind"] != NO_TONGUE).astype(np.int64) for name in numbers])
    n = len(numbers["frames"])
    fold = folds(n, N_FOLDS, seed=1)
    of_row = np.concatenate([fold, fold, np.full(len(x) - 2 * n, -1)])
    trust = np.where(np.arange(len(x)) < 2 * n, 1.0, OTHERS_WEIGHT).astype(np.float32)

    def trained(rows: np.ndarray) -> Heads:
        heads = presence_heads()
        heads.standardise(torch.from_numpy(x[rows]))
        rng = np.random.default_rng(0)
        fit(heads, AttributeObjective({PRESENT: balance(y[rows], 2, trust[rows])}, {"whole": 3e-3}),
            lambda: photo_batches(x[rows], {PRESENT: y[rows]}, {PRESENT: trust[rows]}, 256, rng),
            LoopConfig(n_characters=60 * len(rows), learning_rate=3e-3, weight_decay=0.0, log_every_s=60), say=lambda line: None)
        return heads.eval()

    held = np.zeros(n)
    for k in range(N_FOLDS):
        heads = trained(np.nonzero(of_row != k)[0])
        with torch.inference_mode():
            scores = heads(torch.from_numpy(numbers["frames"][fold == k]))[PRESENT].numpy()
        held[fold == k] = scores[:, 1] - scores[:, 0]
    return trained(np.arange(len(x))), held


def segmenter(run: Path, data: Path, photos: Sequence[TonguePhoto], weights: Path, n_photos: int) -> tuple[Pyramid, Heads, dict]:
    """Pyramid, presence, and what the held-out frames said (5-fold; each fold's pyramid starts from one that saw no
    frame at all)."""
    done = run / "presence.safetensors"
    presence = presence_heads()
    if done.exists():
        pyramid = Pyramid()
        pyramid.load_state_dict(load_file(run / "pyramid.safetensors"))
        presence.load_state_dict(load_file(done))
        return pyramid.eval(), presence.eval(), json.loads((run / "presence.json").read_text())
    parts = segment_features(run, data, photos, weights)
    pyramid, report = _pyramid(run, parts, n_photos)
    presence, scores = train_presence(parts)
    report["score"] = scores.tolist()
    (run / "presence.json").write_text(json.dumps(report))
    save_file({k: v.contiguous() for k, v in presence.state_dict().items()}, done)
    return pyramid, presence, report


def _pyramid(run: Path, parts: Mapping[str, Mapping[str, np.ndarray]], n_photos: int) -> tuple[Pyramid, dict]:
    done = run / "pyramid.safetensors"
    if done.exists():
        pyramid = Pyramid()
        pyramid.load_state_dict(load_file(done))
        return pyramid.eval(), json.loads((run / "presence.json").read_text())
    torch.manual_seed(0)
    blank = train_pyramid(Pyramid(), [parts["outlined-varied"], parts["drawn"]], n_photos // 2, 3e-3, run / "pyramid-outlined")
    start = {k: v.clone() for k, v in blank.state_dict().items()}
    n = len(parts["frames"]["kind"])
    fold = folds(n, N_FOLDS, seed=1)
    presence = {"ids": parts["frames"]["ids"].tolist(), "present": (parts["frames"]["kind"] == BOXED).astype(int).tolist(),
                "box_iou": [0.0] * n, "held_outlined": parts["held"]["ids"].tolist()}
    some = np.arange(0, N_OUTLINED, 4)
    for k in range(N_FOLDS):
        own = Pyramid()
        own.load_state_dict(start)
        seen, held = np.nonzero(fold != k)[0], np.nonzero(fold == k)[0]
        train_pyramid(own, [parts["frames"], parts["frames-varied"], parts["outlined-varied"], parts["drawn"]], n_photos // 8, 1e-3,
                      rows=[seen, seen, some, slice(None)], seed=k)
        for i, mask in zip(held, read_part(own, parts["frames"], held), strict=True):
            presence["box_iou"][i] = _box_iou(mask, parts["frames"]["target"][i])
    own = Pyramid()
    own.load_state_dict(start)
    train_pyramid(own, [parts["frames"], parts["frames-varied"], parts["outlined-varied"], parts["drawn"]], n_photos // 2, 2e-3,
                  run / "pyramid-all")
    (run / "presence.json").write_text(json.dumps(presence))
    save_file({k: v.contiguous() for k, v in own.state_dict().items()}, done)
    return own, presence


def _box_iou(scores: np.ndarray, box: np.ndarray) -> float:
    """Of the mask's bounding box with a person's box, at four times the resolution of the scores."""
    mask = cv2.resize(scores, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC) > 0
    inside = cv2.resize(box, None, fx=4, fy=4, interpolation=cv2.INTER_LINEAR) > 127
    if not mask.any() or not inside.any():
        return 0.0
    corners = []
    for plane in (mask, inside):
        rows, columns = np.nonzero(plane.any(1))[0], np.nonzero(plane.any(0))[0]
        corners.append((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    (a0, b0, a1, b1), (c0, d0, c1, d1) = corners
    width, height = min(a1, c1) - max(a0, c0), min(b1, d1) - max(b0, d0)
    common = max(0, width) * max(0, height)
    return float(common / ((a1 - a0) * (b1 - b0) + (c1 - c0) * (d1 - d0) - common))

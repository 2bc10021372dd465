"""Trains the fusion of text and photograph, and writes `tcmstruct/models/fusion`; resumable, every step kept in RUN.

    python -m tcmstruct.recipes.fusion_train RUN --data DATA --tongue-run TONGUE_RUN [--out tcmstruct/models/fusion]
        [--pruned PLAN_FOLDER]

TONGUE_RUN is the working folder of `tcmstruct.recipes.tongue_train`. Steps:

texts     records whose text states 苔色, 舌色 or 腻 (gold by its annotation, case books by the shipped model), as vectors of the
          shipped text model, with and without the clauses on the tongue
photos    labelled photos, six variants each, through the whole photo path; their heads' answers by heads that did not see them
folds     5 × (with gate, without): trained without a fifth of the gold records and of the photos, asked on those
all       trained on everything, exported to ONNX
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort
import torch
from safetensors.torch import load_file, save_file

from tcmstruct.compression.channels import Cut, load_cut, pruned_fusion, refit_fusion
from tcmstruct.compression.export import halve
from tcmstruct.image.decode import Photo
from tcmstruct.image.examine import TongueExaminer
from tcmstruct.image.fusion_input import ATTRIBUTES, N_QUALITY, N_SAID, TONGUE_COLUMNS, log_probabilities, photo_quality
from tcmstruct.image.tongue_model import TongueModel, network_input
from tcmstruct.image.tongue_numbers import numbers_of, places_of
from tcmstruct.model.fusion import FusionConfig, FusionNet, WindowSums
from tcmstruct.model.image_encoder import Heads
from tcmstruct.pipeline import Structurer
from tcmstruct.recipes.calibrate import temperature_of, threshold_of
from tcmstruct.recipes.tongue_outline import N_FOLDS
from tcmstruct.recipes.tongue_train import head_photos, scores_of, train_heads
from tcmstruct.record import Record
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder, replacing
from tcmstruct.runtime.tagger import OnnxTagger
from tcmstruct.training.data import IGNORE, read_jsonl
from tcmstruct.training.loop import LoopConfig, fit
from tcmstruct.training.pairs import PairObjective, Photos, Texts, class_weights, classes_of, padded, pair_batches, without_tongue
from tcmstruct.training.photos import TonguePhoto, folds, label_arrays, load_pixels, read_photos, recast, rejpeg

N_VARIANTS, POOR = 6, 3
"""Variants of every photo; from `POOR` on they are badly taken."""
N_GREASY = 250
"""Photos that carry 腻 alone."""
N_PASSES = 4
LEARNING_RATE = 1e-3
BALANCE = 0.8
"""Power of the class weights: 1 would let the rare 淡黄 weigh as much as 白."""
DROPOUT = 0.5
"""A few thousand texts would else be learnt by heart, and the photo with them left unheard."""
MOST_CHARS = 400
"""Of a record, for training; records in use are read whole."""
N_REFIT = 96
"""Pairs that refit a fusion from which heads were cut."""
_OVERLAP = 24
"""Case books that share this many characters in a row with a gold record are left out."""


# --- texts -----------------------------------------------------------------------------------------------------------


def stated(data: Path) -> list[dict[str, Any]]:
    """Records that state an attribute, as {"id", "source", "text", "labels"}; gold first, then case books."""
    gold = [r for part in ("train", "dev") for r in read_jsonl(data / "gold" / f"{part}.jsonl")]
    seen = {r["text"][i : i + _OVERLAP] for r in gold for i in range(len(r["text"]) - _OVERLAP + 1)}
    out = [{"id": r["id"], "source": r["source"], "text": r["text"],
            "labels": classes_of({n: _several(f["value"]) for n, f in r["fields"].items()})} for r in gold]
    books = [Record(f"casebooks-{i}", r["text"][:1000]) for i, r in enumerate(read_jsonl(data / "records" / "casebooks.jsonl"))
             if set("舌苔") & set(r["text"][:1000])]
    books = [r for r in books if not any(r.text[i : i + _OVERLAP] in seen for i in range(len(r.text) - _OVERLAP + 1))]
    structurer = Structurer()
    for at in range(0, len(books), 256):
        for r in structurer.structure_many(books[at : at + 256]):
            out.append({"id": r.id, "source": "casebooks", "text": r.text,
                        "labels": classes_of({n: _several(f.value) for n, f in r.fields.items()})})
    return [r for r in out if (r["labels"] != IGNORE).any() and len(without_tongue(r["text"])) > 20]


def _several(value: Any) -> Sequence[str]:
    return value if isinstance(value, (list, tuple)) else [str(value)]


def text_vectors(run: Path, data: Path) -> Texts:
    """Vectors of the shipped text model, kept in `run/texts.npz`."""
    path = run / "texts.npz"
    if not path.exists():
        records = stated(data)
        tagger = OnnxTagger(open_folder(), threads=torch.get_num_threads())
        hidden = _vectors(tagger, [without_tongue(r["text"])[:MOST_CHARS] for r in records])
        whole = _vectors(tagger, [_around_tongue(r["text"]) for r in records])
        np.savez(path, hidden=np.concatenate(hidden), starts=_starts(hidden), whole=np.concatenate(whole), whole_starts=_starts(whole),
                 labels=np.stack([r["labels"] for r in records]), ids=np.array([r["id"] for r in records]),
                 sources=np.array([r["source"] for r in records]))
    with np.load(path) as kept:
        return Texts(**{name: kept[name] for name in kept.files})


def _around_tongue(text: str) -> str:
    first = min(i for i, c in enumerate(text) if c in "舌苔")
    return text[max(0, first - MOST_CHARS * 5 // 8) :][:MOST_CHARS]


def _starts(vectors: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum([len(v) for v in vectors])])


def _vectors(tagger: OnnxTagger, texts: Sequence[str]) -> list[np.ndarray]:
    """(T, H) float16 of each text; all are shorter than a window."""
    out: dict[int, np.ndarray] = {}

    def reader(number: int) -> Callable[[np.ndarray, int], None]:
        def read(hidden: np.ndarray, start: int) -> None:
            out[number] = hidden.astype(np.float16)

        return read

    for at in range(0, len(texts), 256):
        tagger.scores(texts[at : at + 256], {i: reader(at + i) for i in range(len(texts[at : at + 256]))})
    return [out[i] for i in range(len(texts))]


# --- photos ----------------------------------------------------------------------------------------------------------


def photo_inputs(run: Path, data: Path, tongue_run: Path) -> Photos:
    """Labelled photos and their variants as the fusion reads them.

    What a photo's own heads say of it comes from heads of the same recipe that did not see it: the shipped ones were trained on
    these photos, and the fusion would learn to believe them more than they deserve.
    """
    path = run / "photos.npz"
    if not path.exists():
        photos = head_photos(read_photos(data))
        fold = folds(len(photos), N_FOLDS, seed=2)
        features = _photo_features(run, data, tongue_run, photos)
        model, heads = TongueModel(), _fold_heads(tongue_run, photos, fold)
        labels, _ = label_arrays(photos)
        answers = [model.answers(np.concatenate([scores_of(heads[fold[i]], numbers[None])[h][0] for h in model.card["heads"]]))
                   for i, numbers in zip(features["photo"], features["numbers"], strict=True)]
        said = np.stack([log_probabilities(a) for a in answers]).astype(np.float32)
        seen = np.broadcast_to(said[:, None], (*features["places"].shape[:2], said.shape[1]))
        np.savez(path, places=np.concatenate([features["places"], seen], axis=2), quality=features["quality"], variant=features["variant"],
                 labels=np.stack([labels[name] for name in ATTRIBUTES], axis=1)[features["photo"]], fold=fold[features["photo"]],
                 probabilities=np.array([[a[n].probabilities[c] for n, cs in ATTRIBUTES.items() for c in cs] for a in answers],
                                        np.float32))
    with np.load(path) as kept:
        return Photos(**{name: kept[name] for name in kept.files})


def _photo_features(run: Path, data: Path, tongue_run: Path, photos: Sequence[TonguePhoto]) -> dict[str, np.ndarray]:
    """Places without the heads' answers, the heads' numbers, quality, of every variant that passes the gate; kept in
    `run/photo-features.npz`, since they take most of the time and hang on no head."""
    path = run / "photo-features.npz"
    if not path.exists():
        labels, _ = label_arrays(photos)
        known = np.stack([labels[name] != IGNORE for name in ATTRIBUTES], axis=1)
        coloured, greasy = known[:, :2].any(1), known[:, 2] & ~known[:, :2].any(1)
        chosen = np.concatenate([np.nonzero(coloured)[0], np.nonzero(greasy)[0][::3][:N_GREASY]])
        encoder = ort.InferenceSession(str(tongue_run / "encoder.onnx"), providers=["CPUExecutionProvider"])
        examiner = TongueExaminer()
        columns: dict[str, list[Any]] = {name: [] for name in ("photo", "variant", "places", "numbers", "quality")}
        for n, i in enumerate(chosen):
            pixels = load_pixels(data, photos[i])
            for variant in range(N_VARIANTS):
                taken = disturbed(pixels, variant, np.random.default_rng([variant, i]))
                found = examiner.look(Photo(taken, taken.shape[1], taken.shape[0], "JPEG"))
                if found.quality.status != "ok" or found.crop is None or found.places is None or found.quality.measures is None:
                    continue
                crop = found.crop
                (pooled,) = encoder.run(None, {"crops": network_input(crop)[None], "places": places_of(crop)[None]})
                numbers = np.concatenate([pooled[0], numbers_of(crop)])
                row = (i, variant, found.places[:, :-N_SAID], numbers, photo_quality(found.quality.measures))
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
            if n % 50 == 0:
                print(f"photos: {n} of {len(chosen)}", flush=True)
        np.savez(path, **{name: np.array(column) for name, column in columns.items()})
    with np.load(path) as kept:
        return {name: kept[name] for name in kept.files}


def disturbed(pixels: np.ndarray, variant: int, rng: np.random.Generator) -> np.ndarray:
    """A photo as it is (variant 0), in a little other exposure and light (1, 2), or much worse taken (3 and above)."""
    if variant == 0:
        return np.ascontiguousarray(pixels)
    out = recast(pixels, rng.uniform(0.8, 1.2), rng.uniform(-700, 700))
    if variant >= POOR:
        out = recast(out, float(np.exp(rng.uniform(-0.6, 0.45))), rng.uniform(-2500, 2500))
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.3, 3.5) * pixels.shape[0] / 600)
        out = rejpeg(out, int(rng.integers(25, 80)))
    return np.ascontiguousarray(out)


def _fold_heads(tongue_run: Path, photos: Sequence[TonguePhoto], fold: np.ndarray) -> list[Heads]:
    """For every fold the heads trained without it."""
    labels, weights = label_arrays(photos)
    with np.load(tongue_run / "takes.npz") as kept, np.load(tongue_run / "takes-other-camera.npz") as other:
        takes, unlabelled = kept["features"], other["features"]
    return [train_heads(takes[fold != k], *({h: v[fold != k] for h, v in part.items()} for part in (labels, weights)), [unlabelled], seed=k)
            for k in range(N_FOLDS)]


# --- training and asking ----------------------------------------------------------------------------------------------


def gold_folds(texts: Texts) -> np.ndarray:
    """(N,) fold of each gold record, −1 for case books (always trained on, never asked)."""
    out = np.full(len(texts), -1)
    gold = np.nonzero(texts.sources != "casebooks")[0]
    out[gold] = np.random.default_rng(7).permutation(np.arange(len(gold)) % N_FOLDS)
    return out


def train_fusion(texts: Texts, members: np.ndarray, photos: Photos, chosen: np.ndarray, folder: Path, *, gated: bool = True,
                 seed: int = 0, n_passes: int = N_PASSES, n_heads: int = 8, width: int = 128) -> FusionNet:
    """Trains a fusion on `members` of the texts and the `chosen` photos, or loads the one that stands in `folder`."""
    torch.manual_seed(seed)
    net = FusionNet(FusionConfig(texts.hidden.shape[1], photos.places.shape[2], N_QUALITY, ATTRIBUTES, TONGUE_COLUMNS, n_heads, width,
                                 gated, dropout=DROPOUT))
    done = folder / "net.safetensors"
    if done.exists():
        net.load_state_dict(load_file(done))
        return net.eval()
    net.standardise(torch.from_numpy(photos.places[chosen]), torch.from_numpy(photos.quality[chosen]))
    rng = np.random.default_rng(seed)
    n_pairs = int((texts.labels[members] != IGNORE).sum())
    fit(net, PairObjective(class_weights(texts.labels[members], BALANCE)), lambda: pair_batches([(texts, members)], photos, chosen, rng),
        LoopConfig(n_passes * n_pairs, learning_rate=LEARNING_RATE, weight_decay=0.02, seed=seed), folder)
    save_file(net.state_dict(), done)
    return net.eval()


def cut_fusion(net: FusionNet, texts: Texts, members: np.ndarray, photos: Photos, chosen: np.ndarray, folder: Path, cut: Cut) -> FusionNet:
    """What a plan of `recipes.prune` leaves of a trained fusion, its output refitted on pairs that it was trained on; kept in
    `folder/cut`."""
    out = pruned_fusion(net, cut.heads, cut.reach)
    pairs = pair_batches([(texts, members)], photos, chosen, np.random.default_rng(0), size=N_REFIT, without_photo=0.0, whole_text=0.0)
    batch = next(iter(pairs))
    refit_fusion(out, net, batch.hidden, batch.mask, batch.places, batch.quality)
    (folder / "cut").mkdir(exist_ok=True)
    save_file(out.state_dict(), folder / "cut" / "net.safetensors")
    shape = {name: getattr(out.config, name) for name in ("n_heads", "width", "reach")}
    (folder / "cut" / "shape.json").write_text(json.dumps(shape) + "\n")
    return out


def ask(net: FusionNet, texts: Texts, members: Sequence[int], photos: Photos, chosen: np.ndarray, seed: int) -> list[dict[str, Any]]:
    """A row for every member and attribute that it states, beside a photo of the same class (drawn with `seed`): the truth, and
    the probabilities by the photo's own heads, by text alone, by both, and by the text under another's photo; and the gates."""
    rng = np.random.default_rng([11, seed])
    by_class, anyone = photos.rows(chosen), np.nonzero(chosen)[0]
    asked = [(i, a) for i in members for a in range(len(ATTRIBUTES)) if texts.labels[i, a] != IGNORE]
    out = []
    for at in range(0, len(asked), 64):
        part = asked[at : at + 64]
        hidden, mask = padded([texts.vectors(i) for i, _ in part])
        own = np.array([rng.choice(by_class[a][texts.labels[i, a]]) for i, a in part])
        other = rng.choice(anyone, len(part))
        ways = {"text": (own, 0.0), "both": (own, 1.0), "shuffled": (other, 1.0)}
        with torch.inference_mode():
            seen = {way: net(hidden, mask, torch.from_numpy(photos.places[rows]), torch.from_numpy(photos.quality[rows]),
                             torch.full((len(part),), present)) for way, (rows, present) in ways.items()}
        for j, (i, a) in enumerate(part):
            name = list(ATTRIBUTES)[a]
            at_class = sum(len(c) for c in list(ATTRIBUTES.values())[:a])
            n = len(ATTRIBUTES[name])
            row: dict[str, Any] = {"id": str(texts.ids[i]), "attribute": name, "truth": int(texts.labels[i, a]),
                                   "photo": photos.probabilities[own[j], at_class : at_class + n].round(4).tolist()}
            for way, result in seen.items():
                row[way] = result.scores[name][j].softmax(-1).numpy().astype(float).round(4).tolist()
                row[f"gate_{way}"] = round(float(result.gate[j][mask[j]].mean()), 4)
            out.append(row)
    return out


def cross_validate(run: Path, texts: Texts, photos: Photos, cut: Cut | None = None) -> dict[str, list[dict[str, Any]]]:
    """Held-out rows of all folds: "clean", "poor" (photos in other light, focus and compression that still pass the gate) and
    their twins by a fusion without gate; kept in `run/held-out.json`."""
    done = run / "held-out.json"
    if done.exists():
        return json.loads(done.read_text())
    of_text = gold_folds(texts)
    out: dict[str, list[dict[str, Any]]] = {"clean": [], "poor": [], "clean, no gate": [], "poor, no gate": []}
    for k in range(N_FOLDS):
        for gated in (True, False):
            folder, members = run / f"fold-{k}{'' if gated else '-open'}", np.nonzero(of_text != k)[0]
            net = train_fusion(texts, members, photos, photos.fold != k, folder, gated=gated, seed=k)
            if cut is not None:
                net = cut_fusion(net, texts, members, photos, photos.fold != k, folder, cut)
            for name, variants in (("clean", photos.variant == 0), ("poor", photos.variant >= POOR)):
                rows = ask(net, texts, np.nonzero(of_text == k)[0].tolist(), photos, (photos.fold == k) & variants, seed=k)
                out[name if gated else f"{name}, no gate"] += rows
    done.write_text(json.dumps(out, ensure_ascii=False))
    return out


# --- the folder ------------------------------------------------------------------------------------------------------


def card_of(held: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Temperatures and thresholds, from held-out pairs."""
    card: dict[str, Any] = {"format": 1, "name": "tcmstruct fusion", "not_a_diagnostic_device": True,
                            "text_model_sha256": open_folder(DEFAULT_FOLDER).sha256["model.onnx"], "attributes": {},
                            "pairs": "simulated: records and photographs of different people, joined by label",
                            "data": ["gold records", "case books (labelled by the shipped text model)", "tonguexpert batch A"]}
    for name, classes in ATTRIBUTES.items():
        rows = [r for part in ("clean", "poor") for r in held[part] if r["attribute"] == name]
        truth = np.array([r["truth"] for r in rows])
        scores = np.log(np.array([r["both"] for r in rows]) + 1e-6)
        temperature = temperature_of(scores, truth)
        p = np.exp(scores / temperature)
        p /= p.sum(1, keepdims=True)
        confidence, right = p.max(1), p.argmax(1) == truth
        card["attributes"][name] = {"classes": list(classes), "temperature": round(temperature, 4),
                                    "answer_above": round(threshold_of(confidence, right), 4)}
    return card


def export(net: FusionNet, card: dict[str, Any], out: Path) -> Path:
    """Writes the model folder, replacing `out` as a whole."""
    places = torch.zeros(49, net.config.token_width)
    with replacing(out, card) as fresh:
        torch.onnx.export(WindowSums(net).eval(), (torch.zeros(20, net.config.hidden), places, torch.zeros(net.config.n_quality)),
                          str(fresh / "model.onnx"), dynamo=True, external_data=False, verbose=False,
                          input_names=["hidden", "places", "quality"], output_names=["sums", "gate", "attention"],
                          dynamic_shapes=({0: torch.export.Dim("T", min=1, max=8192)}, None, None))
        halve(fresh / "model.onnx")
    return out


def build(run: Path, data: Path, tongue_run: Path, out: Path, pruned: Path | None = None) -> Path:
    """All steps; see the head of this module."""
    run.mkdir(parents=True, exist_ok=True)
    cut = None if pruned is None else load_cut(pruned)
    texts, photos = text_vectors(run, data), photo_inputs(run, data, tongue_run)
    held = cross_validate(run, texts, photos, cut)
    everything = np.arange(len(texts)), photos, np.ones(len(photos.labels), bool)
    nets = {}
    for name, gated in (("all", True), ("all-open", False)):  # the second for the benchmark's row without the gate
        nets[name] = train_fusion(texts, *everything, run / name, gated=gated)
        if cut is not None:
            nets[name] = cut_fusion(nets[name], texts, *everything, run / name, cut)
    return export(nets["all"], card_of(held), out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tongue-run", type=Path, required=True, help="working folder of tcmstruct.recipes.tongue_train")
    parser.add_argument("--out", type=Path, default=None, help="model folder to write (default RUN/model)")
    parser.add_argument("--pruned", type=Path, default=None, help="a plan kept by tcmstruct.recipes.prune: what is left of the fusion")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(build(arguments.run, arguments.data, arguments.tongue_run, arguments.out or arguments.run / "model", arguments.pruned))

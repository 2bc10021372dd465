"""The photograph beside the text: tongue fields with photo, without, with another's photo, without gate; gate values.

    python -m benchmarks.fusion RUN --data DATA [--parts pairs,semton,text,parity]

RUN is the working folder of `tcmstruct.recipes.fusion_train`, which keeps the held-out answers. Parts:

pairs    simulated pairs: gold records whose clauses on the tongue are taken out, beside a held-out photo that a person gave the
         same class; 5 folds, every gold record asked once; 95 % intervals by bootstrap over records
semton   25 real cases of text and photograph; the tongue's text is what they are judged by and is not shown to anybody
text     the text's own result with a photo and without: equal, value by value, in all that the text says
parity   largest difference between the shipped ONNX (weights stored in fp16) and torch (fp32) on 200 photos, each with a record

Prints Markdown, and no text of any record.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.machine import print_machine
from tcmstruct.evaluation.classes import macro_f1
from tcmstruct.image.fusion_input import ATTRIBUTES, TONGUE_COLUMNS, photo_quality

N_BOOT = 1000
NAMES = {"photo": "photo alone (its own heads)", "text": "text alone", "both": "text + photo, gated",
         "shuffled": "text + another's photo, gated", "both, no gate": "text + photo, gate removed",
         "shuffled, no gate": "text + another's photo, gate removed"}
Rows = Sequence[Mapping[str, Any]]


def interval(measure: Callable[[np.ndarray], float], groups: Sequence[str], seed: int = 0) -> tuple[float, float]:
    """95 % by bootstrap over records; `measure` takes row numbers."""
    by_group: dict[str, list[int]] = {}
    for row, group in enumerate(groups):
        by_group.setdefault(group, []).append(row)
    members = [np.array(rows) for rows in by_group.values()]
    rng = np.random.default_rng(seed)
    values = [measure(np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])) for _ in range(N_BOOT)]
    return float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))


def pairs(run: Path) -> None:
    """Simulated pairs."""
    held = json.loads((run / "held-out.json").read_text())
    for part in ("clean", "poor"):
        photos = "photos as they are" if part == "clean" else "photos in other light, focus and compression, which the gate lets pass"
        print(f"\n### Simulated pairs, {photos}\n")
        print("Macro-F1 (95 %), share right.\n")
        print("| way | " + " | ".join(f"{name} ({sum(r['attribute'] == name for r in held[part])})" for name in ATTRIBUTES) + " |")
        print("|---|" + "--:|" * len(ATTRIBUTES))
        for way, title in NAMES.items():
            kind, _, removed = way.partition(", ")
            rows = held[f"{part}, no gate" if removed else part]
            print(f"| {title} | " + " | ".join(_figure([r for r in rows if r["attribute"] == name], kind) for name in ATTRIBUTES) + " |")
        rows = held[part]
        gates = {way: np.array([r[f"gate_{way}"] for r in rows]) for way in ("both", "shuffled")}
        trusted = np.array([np.argmax(r["photo"]) == r["truth"] for r in rows])
        print(f"\nMean gate: own photo {gates['both'].mean():.3f}, another's {gates['shuffled'].mean():.3f}; own photo where its heads are "
              f"right {gates['both'][trusted].mean():.3f}, where they are wrong {gates['both'][~trusted].mean():.3f}.")


def _figure(rows: Rows, way: str) -> str:
    truth = np.array([r["truth"] for r in rows])
    said = np.array([int(np.argmax(r[way])) for r in rows])
    low, high = interval(lambda i: macro_f1(truth[i], said[i]), [r["id"] for r in rows])
    return f"{macro_f1(truth, said):.3f} ({low:.3f}–{high:.3f}), {(truth == said).mean():.3f}"


def wilson(hits: int, n: int) -> str:
    """A share with its 95 % interval (Wilson 1927)."""
    if n == 0:
        return "–"
    z, p = 1.96, hits / n
    middle, half = p + z * z / (2 * n), z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return f"{hits}/{n} = {p:.2f} ({(middle - half) / (1 + z * z / n):.2f}–{(middle + half) / (1 + z * z / n):.2f})"


def semton(run: Path, data: Path) -> None:
    """Real cases; what the text says of the tongue is read by the schema and is the truth, never the input."""
    import torch

    from tcmstruct.image.examine import TongueExaminer
    from tcmstruct.image.refusal import ImageRefused
    from tcmstruct.pipeline import Structurer
    from tcmstruct.training.data import IGNORE
    from tcmstruct.training.pairs import classes_of

    structurer, examiner = Structurer(), TongueExaminer()
    cases, unusable, strange = [], 0, 0
    for line in (data / "tongue" / "labels.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row["source"] != "semton":
            continue
        said = structurer.structure(row["tongue_text"]).fields
        truth = classes_of({name: value.value for name, value in said.items() if isinstance(value.value, list)})
        try:
            seen = examiner.examine(data / "tongue" / "semton" / f"{row['id']}.jpg")
        except ImageRefused:
            seen = None
        if seen is None or seen.quality.status != "ok":
            unusable += 1
            continue
        strange += any(a.status == "unfamiliar" for a in seen.answers.values())
        vectors: list[np.ndarray] = []
        text = "，".join(part for part in (row["complaint"], row["history"]) if part)
        structurer.tagger.scores([text], {0: lambda hidden, start, kept=vectors: kept.append(hidden.copy())})
        cases.append((truth, np.concatenate(vectors), seen.places, photo_quality(seen.quality.measures),
                      np.concatenate([[seen.answers[n].probabilities[c] for c in cs] for n, cs in ATTRIBUTES.items()])))
    hidden = cases[0][1].shape[1]
    nets = {"gated": _net(run, "all", hidden), "gate removed": _net(run, "all-open", hidden, gated=False)}
    order = np.roll(np.arange(len(cases)), 7)  # another's photo: a shift, so that nobody keeps his own
    print(f"\n### `semton`, 25 real cases, {unusable} photos stopped by the gate\n")
    print(f"On {strange} of the other {len(cases)} the product answers no colour: they lie beyond what the heads learnt (`unfamiliar`). "
          "The table shows what would be answered without that guard.\n")
    print("Share of the cases whose text names a class: right (95 %). 淡黄 and 黄 count as one, as doctors write 黄 for both.\n")
    names = list(ATTRIBUTES)
    print("| way | " + " | ".join(names) + " | mean gate |\n|---|" + "--:|" * len(names) + "--:|")
    offsets = np.concatenate([[0], np.cumsum([len(c) for c in ATTRIBUTES.values()])])
    ways: dict[str, tuple[str | None, bool, bool]] = {  # the net, another's photo, a photo at all
        "photo": (None, False, True), "text": ("gated", False, False), "both": ("gated", False, True), "shuffled": ("gated", True, True),
        "both, no gate": ("gate removed", False, True), "shuffled, no gate": ("gate removed", True, True)}
    for way, (net, shuffled, present) in ways.items():
        hits, n, gates = np.zeros(len(names), int), np.zeros(len(names), int), []
        for i, (truth, vectors, _, _, own) in enumerate(cases):
            _, _, places, quality, _ = cases[order[i] if shuffled else i]
            if net is None:
                scores = [own[offsets[a] : offsets[a + 1]] for a in range(len(names))]
            else:
                with torch.inference_mode():
                    out = nets[net](torch.from_numpy(vectors)[None], torch.ones(1, len(vectors), dtype=torch.bool),
                                    torch.from_numpy(places)[None], torch.from_numpy(quality)[None], torch.full((1,), float(present)))
                scores = [out.scores[name][0].numpy() for name in names]
                gates.append(float(out.gate.mean()))
            for a, name in enumerate(names):
                if truth[a] != IGNORE:
                    n[a] += 1
                    hits[a] += _coarse(name, int(np.argmax(scores[a]))) == _coarse(name, int(truth[a]))
        gate = f"{np.mean(gates):.3f}" if gates and present and net == "gated" else ""
        print(f"| {NAMES[way]} | " + " | ".join(wilson(int(h), int(m)) for h, m in zip(hits, n, strict=True)) + f" | {gate} |")


def _coarse(name: str, number: int) -> int:
    return min(number, 1) if name in ("苔色", "腻") else number


def text(data: Path) -> None:
    """Gold dev records with a photo and without: what the text says must be the same, value by value."""
    from tcmstruct.pipeline import Structurer

    photos = sorted((data / "tongue" / "tonguexpert").glob("TE*.jpg"))[:25]
    structurer = Structurer()
    same = filled = n_photos = 0
    records = [json.loads(line)["text"] for line in (data / "gold" / "dev.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, record in enumerate(records):
        alone = structurer.structure(record).to_dict()
        beside = structurer.structure(record, photos[number % len(photos)]).to_dict()
        n_photos += beside["tongue"] is not None
        own, said = ({name: [v[key] for key in ("value", "start", "end", "confidence")] for name, v in result["fields"].items()
                      if v["source"] != "image"} for result in (alone, beside))
        filled += len(beside["fields"]) - len(said)
        same += alone["entities"] == beside["entities"] and said == own
    print(f"\n### The text's own result\n\n{same} of {len(records)} gold dev records are the same with a photo ({n_photos} usable) as "
          f"without, in every mention and every value that the text states; {filled} open fields were filled from the photo.")


def _net(run: Path, name: str, hidden: int, gated: bool = True) -> Any:
    """A trained fusion of RUN, in torch; where a plan cut it, what is left."""
    from safetensors.torch import load_file

    from tcmstruct.model.fusion import FusionConfig, FusionNet

    folder, shape = run / name, {}
    if (folder / "cut").is_dir():
        folder /= "cut"
        shape = json.loads((folder / "shape.json").read_text())
    state = load_file(folder / "net.safetensors")
    net = FusionNet(FusionConfig(hidden, len(state["token_mean"]), len(state["quality_mean"]), ATTRIBUTES, TONGUE_COLUMNS, gated=gated,
                                 **shape))
    net.load_state_dict(state)
    return net.eval()


def parity(run: Path) -> None:
    """ONNX against torch."""
    import torch

    from tcmstruct.runtime.fusion import Fusion, Reading

    with np.load(run / "photos.npz") as photos, np.load(run / "texts.npz") as texts:
        chosen = np.nonzero(photos["variant"] == 0)[0][:200]
        places, quality = photos["places"][chosen], photos["quality"][chosen]
        starts, whole = texts["starts"], texts["hidden"]
        vectors = [whole[starts[i] : starts[i + 1]].astype(np.float32) for i in range(len(chosen))]
    fusion, net = Fusion(), _net(run, "all", vectors[0].shape[1])
    worst, others = dict.fromkeys(("probability of a class", "gate of a character", "attention of a place"), 0.0), 0
    for hidden, p, q in zip(vectors, places, quality, strict=True):
        reading = Reading(p, q, keep=True)
        fusion.read(reading, hidden, 0)
        with torch.inference_mode():
            out = net(*(torch.from_numpy(x)[None] for x in (hidden, np.ones(len(hidden), bool), p, q)), torch.ones(1))
        temperatures = fusion.card["attributes"]
        for name, answer in fusion.answers(reading).items():
            own = (out.scores[name][0] / temperatures[name]["temperature"]).softmax(-1).numpy()
            theirs = np.array(list(answer.probabilities.values()))
            worst["probability of a class"] = max(worst["probability of a class"], float(np.abs(own - theirs).max()))
            others += int(own.argmax() != theirs.argmax())
        gates = np.array([reading.characters[i][0] for i in range(len(hidden))])
        attention = np.stack([reading.characters[i][1] for i in range(len(hidden))])
        for name, difference in (("gate of a character", gates - out.gate[0].numpy()),
                                 ("attention of a place", attention - out.attention[0].numpy())):
            worst[name] = max(worst[name], float(np.abs(difference).max()))
    print(f"\n### ONNX against torch, {len(chosen)} photos, each with a record: largest difference\n\n| what | difference |\n|---|--:|")
    for name, value in worst.items():
        print(f"| {name} | {value:.5f} |")
    print(f"| attributes with another class | {others} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--parts", default="pairs,semton,text,parity")
    arguments = parser.parse_args()
    parts = arguments.parts.split(",")
    print_machine()
    if "pairs" in parts:
        pairs(arguments.run)
    if "semton" in parts:
        semton(arguments.run, arguments.data)
    if "text" in parts:
        text(arguments.data)
    if "parity" in parts:
        parity(arguments.run)


if __name__ == "__main__":
    main()

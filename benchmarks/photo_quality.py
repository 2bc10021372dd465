"""The photo gate: how many good photos pass, and how many damaged copies are stopped, by source and kind of damage.

    python -m benchmarks.photo_quality [--photos 60] [--markdown]

Good photos are drawn at random (seed 0) from tonguexpert (batches A and B), ianmackenzie, semton, and the frames of xiaocoding with a
tongue. Outlines come from the shipped network on the *undamaged* photo, so that the gate is judged and not the outline; "no
tongue" is the network's own answer. The limits were chosen with these sources in view. Intervals: 95 %, Wilson.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from benchmarks.accuracy import DATA, render
from benchmarks.machine import print_machine
from tcmstruct.image.colour import linear_to_srgb, srgb_to_linear
from tcmstruct.image.decode import decode
from tcmstruct.image.quality import NORMAL_SIDE_PX, REASONS, judge, measure_quality
from tcmstruct.image.tongue_model import TongueModel

Damage = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def blurred(sigma_px: float) -> Damage:
    """A Gaussian whose sigma is given at the tongue's normal size."""
    def damage(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return cv2.GaussianBlur(pixels, (0, 0), sigma_px * float(np.sqrt(mask.sum())) / NORMAL_SIDE_PX), mask
    return damage


def lit(gains: tuple[float, float, float]) -> Damage:
    """Another light: gains of linear R, G, B."""
    return lambda pixels, mask: (linear_to_srgb(srgb_to_linear(pixels) * np.array(gains, np.float32)), mask)


def shrunk(share: float) -> Damage:
    def damage(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = round(pixels.shape[1] * share), round(pixels.shape[0] * share)
        return (cv2.resize(pixels, size, interpolation=cv2.INTER_AREA),
                cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST).astype(bool))
    return damage


def cut(pixels: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The photo ends in the middle of the tongue."""
    middle = round(float(np.nonzero(mask.any(axis=0))[0].mean()))
    return pixels[:, :middle], mask[:, :middle]


DAMAGES: dict[str, tuple[str, Damage]] = {
    "blur, sigma 1 px": ("blurred", blurred(1)), "blur, sigma 2 px": ("blurred", blurred(2)), "blur, sigma 4 px": ("blurred", blurred(4)),
    "four stops darker": ("too_dark", lit((1 / 16,) * 3)), "two stops brighter": ("too_bright clipped", lit((4, 4, 4))),
    "orange light (2 : 1 : 0.35)": ("colour_cast", lit((1.2, 0.6, 0.21))),
    "blue light (0.4 : 1 : 2)": ("colour_cast", lit((0.3, 0.75, 1.5))),
    "a fifth of the size": ("tongue_too_small", shrunk(0.2)), "cut through the middle": ("tongue_cut", cut),
}
"""Name → reasons of which one is to be named, and what does it."""


def wilson(hits: int, n: int) -> str:
    if not n:
        return "–"
    z, p = 1.96, hits / n
    middle, half = (p + z * z / 2 / n) / (1 + z * z / n), z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return f"{p:.3f} ({max(0, middle - half):.3f}–{min(1, middle + half):.3f})"


def sources(data: Path, n: int) -> dict[str, list[Path]]:
    rows = [json.loads(line) for line in (data / "tongue" / "labels.jsonl").read_text(encoding="utf-8").splitlines()]
    groups = {"tonguexpert A": [r for r in rows if r.get("batch") == "A"], "tonguexpert B": [r for r in rows if r.get("batch") == "B"],
              "ianmackenzie": [r for r in rows if r["source"] == "ianmackenzie"], "semton": [r for r in rows if r["source"] == "semton"],
              "xiaocoding, tongue": [r for r in rows if r.get("tongue_present") is True]}
    rng = random.Random(0)
    return {name: [data / "tongue" / r["source"] / f"{r['id']}.jpg" for r in rng.sample(group, min(n, len(group)))]
            for name, group in groups.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--photos", type=int, default=60, help="of each source")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if not (arguments.data / "tongue" / "labels.jsonl").exists():
        raise SystemExit("the photographs are not there: set TCMSTRUCT_DATA or give --data")
    print_machine()
    model = TongueModel()
    good = [["source", "photos", "pass", "stopped as"]]
    stopped = {name: [0, 0] for name in DAMAGES}
    for source, paths in sources(arguments.data, arguments.photos).items():
        reasons: list[str] = []
        passed = 0
        for path in paths:
            pixels = decode(path).pixels
            (found,) = model.segment([pixels])
            if not model.has_tongue(found):
                reasons.append("no_tongue")
                continue
            quality = judge(measure_quality(pixels, found.mask))
            passed += quality.status == "ok"
            reasons += quality.reasons
            if quality.status == "ok":
                for name, (expected, damage) in DAMAGES.items():
                    said = judge(measure_quality(*damage(pixels, found.mask))).reasons
                    stopped[name][0] += any(reason in said for reason in expected.split())
                    stopped[name][1] += 1
        told = ", ".join(f"{reason} {reasons.count(reason)}" for reason in REASONS if reason in reasons)
        good.append([source, str(len(paths)), wilson(passed, len(paths)), told or "–"])
    print("Good photos\n")
    print(render(good, arguments.markdown))
    print("\nDamaged copies of those that pass\n")
    print(render([["damage", "reason", "photos", "stopped with this reason"],
                  *[[name, DAMAGES[name][0].replace(" ", " or "), str(n), wilson(hits, n)] for name, (hits, n) in stopped.items()]],
                 arguments.markdown))


if __name__ == "__main__":
    main()

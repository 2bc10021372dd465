"""What a tongue photograph shows, by the trained networks, run with onnxruntime: outline, presence, attributes.

| file | what |
|---|---|
| `segment.onnx` | whole photo at 160 px → mask scores at 40 px, score of "there is a tongue" |
| `attributes.onnx` | masked crop at 224 px, where its body and rim lie, its numbers → scores of all heads, token grid |
| `card.json` | heads and classes, temperatures, thresholds, what is not assessed, data, licences, figures |
| `manifest.json` | sha256 of every other file |

An answer that no data teaches is `not_assessed`; one that the networks are unsure of has no value. Never a guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import onnxruntime as ort

from tcmstruct.errors import ModelError
from tcmstruct.image.crop import CROP_SIDE_PX, GREY, Crop, clean_mask
from tcmstruct.image.tongue_numbers import FAMILIAR, numbers_of, places_of

TONGUE_FOLDER = Path(__file__).resolve().parents[1] / "models" / "tongue"
SEGMENT_SIDE_PX = 160
NOT_ASSESSED = ("红", "绛", "紫", "胖瘦", "点刺", "瘀斑", "剥", "润燥")
"""What no data teaches: 红, 绛 and 紫 of 舌色 apart, and these attributes."""
RIM_SHARE = 0.02
"""How far beyond the outline the attribute network sees, share of the crop's side: tooth marks live on the edge."""


@dataclass(frozen=True, slots=True)
class Segmented:
    """mask: (H, W) bool as large as the photo, one piece without holes; present: probability that there is a tongue."""

    mask: np.ndarray
    present: float


@dataclass(frozen=True, slots=True)
class Answer:
    """One attribute.

    Attributes:
        value: the class; None where `status` says why there is none.
        confidence: calibrated probability of the likeliest class; 0 where nothing was assessed.
        status: "answered", "unsure" (below the attribute's threshold), "unfamiliar" (the photo's colours lie beyond those that
            were learnt: another camera or light) or "not_assessed".
        probabilities: class → calibrated probability.
    """

    value: str | None
    confidence: float
    status: Literal["answered", "unsure", "unfamiliar", "not_assessed"]
    probabilities: dict[str, float]


@dataclass(frozen=True, slots=True)
class Seen:
    """answers: attribute → `Answer`; grid: (P, width) float32 token grid of the crop, for the fusion with text."""

    answers: dict[str, Answer]
    grid: np.ndarray


def letterbox(pixels: np.ndarray, side: int = SEGMENT_SIDE_PX) -> tuple[np.ndarray, tuple[float, int, int]]:
    """(H, W, 3) → (S, S, 3) with black borders; and scale, left, top of the photo in it."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    w, h = max(1, round(width * scale)), max(1, round(height * scale))
    out = np.zeros((side, side, 3), np.uint8)
    left, top = (side - w) // 2, (side - h) // 2
    out[top : top + h, left : left + w] = cv2.resize(pixels, (w, h), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    return out, (scale, left, top)


def mask_from_scores(scores: np.ndarray, box: tuple[float, int, int], shape: tuple[int, int], side: int = SEGMENT_SIDE_PX) -> np.ndarray:
    """Scores at 1/4 of the letterbox → (H, W) bool: smoothly enlarged, cut at 0, largest piece, holes filled."""
    scale, left, top = box
    step = side / scores.shape[0]
    # pixel centres of the photo → pixel centres of the scores
    matrix = np.array([[scale / step, 0, ((0.5 * scale + left) / step) - 0.5], [0, scale / step, ((0.5 * scale + top) / step) - 0.5]])
    full = cv2.warpAffine(scores.astype(np.float32), matrix, (shape[1], shape[0]), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE)
    return clean_mask(full > 0)


def network_input(crop: Crop) -> np.ndarray:
    """(S, S, 3) uint8: the crop, grey beyond the tongue's outline and a narrow rim."""
    reach = round(RIM_SHARE * crop.mask.shape[0])
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    near = cv2.dilate(crop.mask.astype(np.uint8), kernel) > 0
    return np.where(near[..., None], crop.pixels, np.uint8(GREY))


class TongueModel:
    """The networks of a model folder. Photos and crops may come in any number; each result is its photo's own.

    Args:
        folder: checked against its manifest before anything is run.
        threads: of onnxruntime; 0 takes all cores.

    Raises:
        ModelError: a file is missing or altered.
    """

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        self.folder = folder or TONGUE_FOLDER
        self.fingerprint = _verified(self.folder)
        self.card: dict[str, Any] = json.loads((self.folder / "card.json").read_text(encoding="utf-8"))
        self.familiar: dict[str, Any] | None = self.card.get("familiar")
        if self.familiar is not None:
            factor = np.zeros((len(FAMILIAR), len(FAMILIAR)))
            factor[np.tril_indices(len(FAMILIAR))] = np.concatenate(self.familiar["factor"])
            self._familiar_mean, self._familiar_factor = np.array(self.familiar["mean"]), factor
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_cpu_mem_arena = False  # the arena keeps what the largest batch once needed
        self._segment = ort.InferenceSession(str(self.folder / "segment.onnx"), options, providers=["CPUExecutionProvider"])
        self._attributes = ort.InferenceSession(str(self.folder / "attributes.onnx"), options, providers=["CPUExecutionProvider"])

    def segment(self, photos: Sequence[np.ndarray]) -> list[Segmented]:
        """Outlines the tongue on photos (H, W, 3) uint8 R G B of any size.

        The mask is empty where no place scores above 0; whether there is a tongue at all is `present` against
        `card["present_above"]`.
        """
        if not photos:
            return []
        boxed, boxes = zip(*(letterbox(p) for p in photos), strict=True)
        scores, present = self._segment.run(None, {"photos": np.stack(boxed)})
        return [Segmented(mask_from_scores(s, b, p.shape[:2]), float(1 / (1 + np.exp(-o / self.card["present_temperature"]))))
                for s, b, p, o in zip(scores, boxes, photos, present, strict=True)]

    def has_tongue(self, segmented: Segmented) -> bool:
        """By presence and a mask of at least `card["least_mask_share"]` of the photo."""
        return segmented.present >= self.card["present_above"] and float(segmented.mask.mean()) >= self.card["least_mask_share"]

    def attributes(self, crops: Sequence[Crop]) -> list[Seen]:
        """What crops of `crop_tongue` (224 px) show.

        Raises:
            ValueError: a crop is of another size.
        """
        if not crops:
            return []
        if wrong := [c.pixels.shape for c in crops if c.pixels.shape != (CROP_SIDE_PX, CROP_SIDE_PX, 3)]:
            raise ValueError(f"a crop is {wrong[0]}, it must be {CROP_SIDE_PX} px square")
        numbers = np.stack([numbers_of(c) for c in crops])
        scores, grid = self._attributes.run(None, {"crops": np.stack([network_input(c) for c in crops]),
                                                   "places": np.stack([places_of(c) for c in crops]), "numbers": numbers})
        return [Seen(self.answers(s, n), g) for s, n, g in zip(scores, numbers, grid, strict=True)]

    def strangeness(self, numbers: np.ndarray) -> float:
        """How far a photo's colours lie from those that were learnt, by its `numbers_of`: Mahalanobis distance per number."""
        away = (numbers[list(FAMILIAR)] - self._familiar_mean) @ self._familiar_factor
        return float(np.sqrt(np.square(away).mean()))

    def answers(self, scores: np.ndarray, numbers: np.ndarray | None = None) -> dict[str, Answer]:
        """Scores of all heads, in the card's order → attribute → calibrated answer.

        Args:
            numbers: of the crop; with them, attributes that are read from colours are answered only where the colours are
                familiar: a head is as sure of itself on another camera's photo as it is wrong.
        """
        strange = numbers is not None and self.familiar is not None and self.strangeness(numbers) > self.familiar["limit"]
        heads, at = {}, 0
        for name, head in self.card["heads"].items():
            n = len(head["classes"])
            heads[name] = _softmax(scores[at : at + n] / head["temperature"])
            at += n
        out = {}
        for name, attribute in self.card["attributes"].items():
            out[name] = _answer(_classes_of(attribute, heads), attribute["answer_above"])
            if strange and name in self.familiar["attributes"]:
                out[name] = replace(out[name], value=None, status="unfamiliar")
        for name in self.card["not_assessed"]:
            out[name] = Answer(None, 0.0, "not_assessed", {})
        return out


def _softmax(scores: np.ndarray) -> np.ndarray:
    raised = np.exp(scores.astype(np.float64) - scores.max())
    return raised / raised.sum()


def _classes_of(attribute: dict[str, Any], heads: dict[str, np.ndarray]) -> dict[str, float]:
    """Class → probability. An attribute of presence and severity: 无 = 1 − present, the rest shares what is present."""
    if "severity" not in attribute:
        return dict(zip(attribute["classes"], map(float, heads[attribute["head"]]), strict=True))
    present = float(heads[attribute["presence"]][1])
    none, *degrees = attribute["classes"]
    return {none: 1 - present, **{d: present * float(p) for d, p in zip(degrees, heads[attribute["severity"]], strict=True)}}


def _answer(probabilities: dict[str, float], answer_above: float) -> Answer:
    value = max(probabilities, key=lambda c: probabilities[c])
    confidence = probabilities[value]
    if confidence < answer_above:
        return Answer(None, confidence, "unsure", probabilities)
    return Answer(value, confidence, "answered", probabilities)


def _verified(folder: Path) -> str:
    """sha256 of the manifest, after every file was compared with it."""
    try:
        manifest = (folder / "manifest.json").read_bytes()
        files = json.loads(manifest)["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"manifest.json cannot be read ({type(error).__name__})", where=str(folder), code="model_missing",
                         hint="reinstall the package") from None
    for name in ("segment.onnx", "attributes.onnx", "card.json"):
        if name not in files or not (folder / name).is_file():
            raise ModelError(f"{name} is missing", where=str(folder), code="model_missing", hint="reinstall the package")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != files[name]["sha256"]:
            raise ModelError(f"{name} was altered", where=str(folder), code="model_altered", hint="reinstall the package")
    return hashlib.sha256(manifest).hexdigest()

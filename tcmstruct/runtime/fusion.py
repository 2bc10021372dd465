"""The gated fusion on onnxruntime: what text and photograph say together of a tongue field that the text leaves open.

| file | what |
|---|---|
| `model.onnx` | one window's character vectors, a photo's places and quality → sums of scores, gate, attention |
| `card.json` | attributes and classes, temperatures, thresholds, the text model it was trained with, figures |
| `manifest.json` | sha256 of every other file |

A record is read window by window and only sums are kept, so that its length does not matter. No torch here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from tcmstruct.runtime.model_folder import open_folder

FUSION_FOLDER = Path(__file__).resolve().parents[1] / "models" / "fusion"


@dataclass(frozen=True, slots=True)
class FusedAnswer:
    """One attribute: class → calibrated probability, and the class where it is likely enough (else None)."""

    probabilities: Mapping[str, float]
    value: str | None

    @property
    def confidence(self) -> float:
        return max(self.probabilities.values())


@dataclass(slots=True)
class Reading:
    """One record under a photo, while its windows come in.

    Attributes:
        places: (P, W) of the photo; quality: (Q,) how it was taken; float32 (`tcmstruct.image.fusion_input`).
        keep: keep what every character asked, for drawing.
        sums: (C + 1,) weighted scores of all attributes, and the weights.
        gate_sum, n_characters: of the gate over the characters read.
        characters: with `keep`, offset in the text → (gate, attention (P,)).
    """

    places: np.ndarray
    quality: np.ndarray
    keep: bool = False
    sums: np.ndarray | float = 0.0
    gate_sum: float = 0.0
    n_characters: int = 0
    characters: dict[int, tuple[float, np.ndarray]] = field(default_factory=dict)

    @property
    def gate(self) -> float:
        """Mean gate over the characters, 0–1: how much of the photo the record took."""
        return self.gate_sum / max(1, self.n_characters)

    def over(self, start: int, end: int) -> tuple[np.ndarray, float] | None:
        """Mean attention (P,) and gate over a span of a reading with `keep`; None where nothing was read."""
        found = [self.characters[i] for i in range(start, end) if i in self.characters]
        if not found:
            return None
        return np.mean([a for _, a in found], axis=0), float(np.mean([g for g, _ in found]))


class Fusion:
    """The fusion of a model folder.

    Args:
        folder: None takes the shipped one; verified before use.
        threads: of onnxruntime.

    Raises:
        ModelError: a file is missing or altered.
    """

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        self.folder = open_folder(folder or FUSION_FOLDER, needed=("card.json", "model.onnx"))
        self.card: dict[str, Any] = self.folder.card
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.enable_cpu_mem_arena = False
        self._session = ort.InferenceSession(str(self.folder.path / "model.onnx"), options, providers=["CPUExecutionProvider"])

    def fits(self, text_fingerprint: str) -> bool:
        """Whether the fusion was trained on this text model's vectors."""
        return self.card["text_model_sha256"] == text_fingerprint

    def read(self, reading: Reading, hidden: np.ndarray, start: int) -> None:
        """Adds a window's characters to a reading.

        Args:
            hidden: (T, H) float32 of the characters that the window is read for (no overlap twice), T ≥ 1.
            start: offset of the first of them in the text.
        """
        sums, gate, attention = self._session.run(None, {"hidden": np.ascontiguousarray(hidden), "places": reading.places,
                                                         "quality": reading.quality})
        reading.sums = reading.sums + sums.astype(np.float64)
        reading.gate_sum += float(gate.sum(dtype=np.float64))
        reading.n_characters += len(hidden)
        if reading.keep:
            reading.characters.update((start + i, (float(g), a)) for i, (g, a) in enumerate(zip(gate, attention, strict=True)))

    def answers(self, reading: Reading) -> dict[str, FusedAnswer]:
        """Attribute → answer of a reading with at least one window."""
        scores = reading.sums[:-1] / reading.sums[-1]
        out, at = {}, 0
        for name, attribute in self.card["attributes"].items():
            classes = attribute["classes"]
            z = scores[at : at + len(classes)] / attribute["temperature"]
            raised = np.exp(z - z.max())
            p = dict(zip(classes, map(float, raised / raised.sum()), strict=True))
            best = max(p, key=lambda c: p[c])
            out[name] = FusedAnswer(p, best if p[best] >= attribute["answer_above"] else None)
            at += len(classes)
        return out

"""One photograph, whole: decode, outline, quality gate, colour correction, crop, attributes, measures."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from tcmstruct.image.colour import correct_cast
from tcmstruct.image.crop import Crop, crop_tongue
from tcmstruct.image.decode import Photo, decode
from tcmstruct.image.fusion_input import photo_places
from tcmstruct.image.measures import measure
from tcmstruct.image.quality import Quality, judge, measure_quality
from tcmstruct.image.tongue_model import Answer, TongueModel


@dataclass(frozen=True, slots=True)
class Examined:
    """What one photo shows.

    Attributes:
        quality: the gate's verdict; without "ok" nothing below is filled.
        answers: attribute → answer.
        measures: numbers beside them (`measures.measure`).
        mask: (H, W) bool over the decoded photo, or None.
        crop: what the networks saw, or None.
        places: (P, W) what the fusion with text reads of each place (`fusion_input.photo_places`), or None.
        photo: the decoded photo.
    """

    quality: Quality
    photo: Photo
    answers: dict[str, Answer] = field(default_factory=dict)
    measures: dict[str, float | None] = field(default_factory=dict)
    mask: np.ndarray | None = None
    crop: Crop | None = None
    places: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        """{"quality": {"status", "reasons"}, "attributes": {name: {"value", "confidence", "status"}}, "measures": {…}}"""
        return {
            "quality": {"status": self.quality.status, "reasons": list(self.quality.reasons)},
            "attributes": {name: {"value": a.value, "confidence": round(a.confidence, 3), "status": a.status}
                           for name, a in self.answers.items()},
            "measures": self.measures,
        }


class TongueExaminer:
    """Holds the networks; make one and use it for many photos.

    Args:
        folder: model folder; None takes the shipped one.
        threads: of onnxruntime and of OpenCV (in the whole process: processes side by side would else take all cores
            each); 0 takes all cores.

    Raises:
        ModelError: a file of the folder is missing or altered.
    """

    def __init__(self, folder: Path | None = None, threads: int = 1) -> None:
        cv2.setNumThreads(threads or -1)
        self.model = TongueModel(folder, threads)

    def examine(self, source: str | Path | bytes, *, root: Path | None = None) -> Examined:
        """Looks at one photo.

        Args:
            source: the bytes, or a path; with `root` the path is foreign text and must stay inside of it.

        Raises:
            ImageRefused: it is no photograph that may be decoded (`refusal.REASONS`).
        """
        return self.look(decode(source, root=root))

    def look(self, photo: Photo) -> Examined:
        """As `examine`, on a decoded photo."""
        (outline,) = self.model.segment([photo.pixels])
        if not self.model.has_tongue(outline):
            return Examined(judge(None), photo)
        found = measure_quality(photo.pixels, outline.mask)
        quality = judge(found)
        if quality.status != "ok":
            return Examined(quality, photo, mask=outline.mask)
        pixels = photo.pixels if found.light is None else correct_cast(photo.pixels, found.light)
        crop = crop_tongue(pixels, outline.mask)
        (seen,) = self.model.attributes([crop])
        return Examined(quality, photo, seen.answers, measure(crop), outline.mask, crop, photo_places(crop, seen))

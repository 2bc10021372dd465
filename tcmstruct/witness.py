"""The photograph beside the text: what one photo says, and how it joins what the text says.

The photo's own answers confirm or contradict a field that the text states: they know nothing of the text, so that two
witnesses stay two. A field that the text leaves open is filled by the gated fusion, where text and photo are read together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tcmstruct.errors import TcmstructError
from tcmstruct.image.examine import Examined, TongueExaminer
from tcmstruct.image.fields import field_of, join
from tcmstruct.image.fusion_input import photo_quality
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.image.tongue_model import Answer
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.runtime.fusion import Fusion, Reading


@dataclass(slots=True)
class Witness:
    """What one photo says; its pixels are gone.

    Attributes:
        warnings: `image_REASON` of a photo that cannot be used; with any, nothing below is filled.
        answers: attribute → answer of the photo's own heads.
        said: the same and the measures, as the result tells them.
        reading: the fusion's, filled while the text is read; None where no fusion fits the text model.
    """

    warnings: tuple[str, ...] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    said: Mapping[str, Any] = field(default_factory=dict)
    reading: Reading | None = None


class PhotoSide:
    """Holds the photo's networks and the fusion; make one and use it for many photos.

    Args:
        text_model_sha256: of the text model's `model.onnx`; a fusion that was trained with another is not used.
        threads: of onnxruntime and OpenCV.

    Raises:
        ModelError: a file of a model is missing or altered.
    """

    def __init__(self, text_model_sha256: str, threads: int = 1) -> None:
        self.examiner = TongueExaminer(threads=threads)
        fusion = Fusion(threads=threads)
        self.fusion = fusion if fusion.fits(text_model_sha256) else None

    @property
    def fingerprints(self) -> dict[str, str]:
        """Name of a model → fingerprint, of those in use."""
        fusion = {} if self.fusion is None else {"fusion": self.fusion.folder.fingerprint[:16]}
        return {"tongue": self.examiner.model.fingerprint[:16], **fusion}

    def look(self, photo: str | Path, root: Path | None = None) -> Witness:
        """Looks at one photo; with `root` it is a path that a record names and may not leave that folder.

        Raises:
            TcmstructError: a model cannot be used. What is wrong with a photo is never raised.
        """
        try:
            examined = self.examiner.examine(photo, root=root)
        except ImageRefused as refused:
            return Witness((f"image_{refused.reason}",))
        except TcmstructError:
            raise
        except Exception:  # a photo that the program fails on must not cost the record its text
            return Witness(("image_failed",))
        if examined.quality.status != "ok":
            return Witness(tuple(f"image_{reason}" for reason in examined.quality.reasons))
        said = examined.to_dict()
        named = {} if root is None else {"image": str(photo)}
        return Witness((), examined.answers, {**named, "quality": "ok", "attributes": said["attributes"], "measures": said["measures"]},
                       None if self.fusion is None else reading_of(examined))

    def read(self, witness: Witness, hidden: np.ndarray, start: int) -> None:
        """Lets characters of the text (T, H), the first of them at offset `start`, ask the photo."""
        assert self.fusion is not None and witness.reading is not None
        self.fusion.read(witness.reading, hidden, start)

    def testify(self, result: StructuredRecord, witness: Witness, known: Mapping[str, Sequence[str]]) -> None:
        """Joins a photo's words with a text's result; the text's mentions and values stay as they are.

        Args:
            known: fields of the schema at hand that take several values → those they allow.
        """
        if witness.warnings:
            result.warnings = [*result.warnings, *witness.warnings]
            return
        answers, tongue = dict(witness.answers), dict(witness.said)
        if witness.reading is not None and witness.reading.n_characters:
            assert self.fusion is not None
            for name, fused in self.fusion.answers(witness.reading).items():
                tongue.setdefault("fused", {})[name] = {"value": fused.value, "confidence": round(fused.confidence, 3)}
                if field_of(name) not in result.fields and answers[name].status != "unfamiliar":
                    status = "unsure" if fused.value is None else "answered"
                    answers[name] = Answer(fused.value, fused.confidence, status, dict(fused.probabilities))
            tongue["gate"] = round(witness.reading.gate, 3)
        result.fields, conflicts = join(result.fields, answers, known)
        result.tongue = {**tongue, "conflicts": conflicts}


def reading_of(examined: Examined, keep: bool = False) -> Reading:
    """The fusion's reading of a photo that passed the gate; `keep` for drawing."""
    assert examined.places is not None and examined.quality.measures is not None
    return Reading(examined.places, photo_quality(examined.quality.measures), keep)


def attention_over(reading: Reading, mentions: Sequence[Mention]) -> tuple[dict[int, list[float]], dict[int, float]]:
    """Number of a mention → its attention over the photo's places (sum 1), and → its mean gate; of a reading with `keep`."""
    attention, gates = {}, {}
    for number, mention in enumerate(mentions):
        found = reading.over(mention.start, mention.end)
        if found is not None:
            attention[number], gates[number] = found[0].astype(float).tolist(), found[1]
    return attention, gates

"""What stands on the page where a record has a photograph: the picture and its overlay, or why it cannot be shown."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tcmstruct.image.refusal import ImageRefused
from tcmstruct.record import StructuredRecord

if TYPE_CHECKING:  # the photo's own module brings OpenCV, which pages without photos do not need
    from tcmstruct.report.photo import PhotoShown

Photos = Callable[[StructuredRecord], "PhotoShown | None"]
"""Gives a record's photo; None where the record has none. `ImageRefused` where it cannot be read: the page says so."""

_MEASURES: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("舌体 L*a*b*", "body", ("body_L", "body_a", "body_b")),
    ("舌苔 L*a*b*", "coating", ("coating_L", "coating_a", "coating_b")),
    ("苔面积比", "coated share", ("coating_area_ratio",)),
    ("长宽比", "length/width", ("length_width_ratio",)),
)
"""Chinese, English, and the numbers of `image.measures.measure` that stand together."""
_STEPS = 99
"""A cell's weight is told in this many steps of the map's largest: short in the page, finer than an eye sees."""


@dataclass(frozen=True, slots=True)
class PhotoPanel:
    """One record's photo for the template.

    Attributes:
        name: the file as the record names it.
        refused: why it cannot be shown, or None.
        src: data URI of the JPEG, "" where it was refused.
        points: the outline as SVG `points`.
        matrix: `PhotoShown.grid_to_photo` as an SVG transform.
        looks: mark number in the text → {"w": 49 steps of the largest weight, "top": largest weight, "gate": or None}.
        measures: (Chinese, English, value).
    """

    name: str
    refused: str | None = None
    src: str = ""
    width: int = 0
    height: int = 0
    points: str = ""
    matrix: str = ""
    looks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    measures: Sequence[tuple[str, str, str]] = ()


def panel(record: StructuredRecord, original: StructuredRecord, photos: Photos | None,
          marks: Mapping[int, int]) -> PhotoPanel | None:
    """The photo of a record, or what stands in its place; None where there is nothing to show.

    Args:
        record: as it is shown.
        original: as it was read; it names the file.
        photos: gives the photo, or None.
        marks: number of the entity in `record.entities` → number of its mark in the shown text.
    """
    if photos is None:
        return None
    tongue = record.tongue if isinstance(record.tongue, Mapping) else {}
    name, measures = str(tongue.get("image") or ""), _measures(tongue.get("measures"))
    try:
        photo = photos(original)
    except ImageRefused as refused:
        return PhotoPanel(name, refused=str(refused), measures=measures)
    if photo is None:
        return None
    return PhotoPanel(
        name, None, "data:image/jpeg;base64," + base64.b64encode(photo.jpeg).decode("ascii"), photo.width, photo.height,
        " ".join(f"{x * photo.width:.1f},{y * photo.height:.1f}" for x, y in photo.outline),
        f"matrix({' '.join(f'{n:.4f}' for n in photo.grid_to_photo)})",
        {str(marks[number]): _look(weights, photo.gate.get(number))
         for number, weights in sorted(photo.attention.items()) if number in marks},
        measures)


def _look(weights: Sequence[float], gate: float | None) -> dict[str, Any]:
    top = max(weights)
    steps = [round(_STEPS * w / top) if top > 0 else 0 for w in weights]
    return {"w": steps, "top": round(float(top), 4), "gate": None if gate is None else round(float(gate), 3)}


def _measures(found: object) -> list[tuple[str, str, str]]:
    """Measures in words; a number of a name that is not known stands at the end under that name."""
    if not isinstance(found, Mapping):
        return []
    told = {str(name): str(round(value, 3)) for name, value in found.items()
            if isinstance(value, int | float) and not isinstance(value, bool)}
    out = [(zh, en, " / ".join(told.pop(name) for name in names))
           for zh, en, names in _MEASURES if all(name in told for name in names)]
    return [*out, *((name, "", value) for name, value in told.items())]

"""Public sets of tongue photographs: what a set lists, what its classes mean, what can be wrong with it.

The sets' own files are read by `photo_layouts`; what their classes mean for us stands in photo_classes.toml.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from tcmstruct.image.refusal import REASONS

SPLITS = ("train", "val", "test")

FAULTS: Mapping[str, str] = MappingProxyType({
    **REASONS,
    "photo_without_annotation": "no annotation names the photo",
    "annotation_without_photo": "the photo that an annotation names is absent",
    "name_twice": "two photos, or two annotations, share one name",
    "annotation_damaged": "an annotation is not of the form that its format asks for",
    "class_unknown": "a class that the set is not known to have",
    "value_unknown": "a label that is neither 0 nor 1",
    "box_damaged": "a box is no box, or lies outside of its photo",
    "box_doubtful": "boxes of details reach beyond the box of the whole tongue",
    "duplicate": "the photo is byte for byte one that was met before",
    "labels_disagree": "the classes of one photo exclude each other",
    "mask_missing": "the photo has no mask",
    "mask_damaged": "the mask cannot be read",
    "mask_size": "the mask is of another size than its photo",
    "mask_empty": "the mask holds no tongue at all",
    "mask_full": "the mask is the whole photo",
    "mask_not_binary": "the mask is no map of two values",
    "not_cut_out": "the cut-out has no black surroundings",
    "turned": "the photo is turned by EXIF, and its mask and boxes do not say which way they lie",
    "teaches_nothing": "no mask, box or label is left",
})
"""Code → what it means. Counted, with the photo, mask, box or label left out."""


@dataclass(frozen=True)
class PhotoClass:
    """What a class of a set means for us; see photo_classes.toml.

    Attributes:
        name: as the set writes it. chinese: its Chinese name.
        head: head of `photos.HEADS`, "" for a class that speaks of none of them.
        values: what the class allows of that head; empty where it means something else.
        why: why it teaches no single value.
        whole: its boxes are taken as boxes of the whole tongue.
    """

    name: str
    chinese: str
    head: str = ""
    values: tuple[str, ...] = ()
    why: str = ""
    whole: bool = False


@dataclass(frozen=True)
class PhotoSet:
    """One public set.

    Attributes:
        key: how it is named in commands, folders and rows. title, paper, licence: for people.
        classes: name, Chinese name or alias → class.
    """

    key: str
    title: str
    paper: str
    licence: str
    classes: Mapping[str, PhotoClass]


@dataclass(frozen=True)
class Box:
    """A box of one class; x0, y0, x1, y1 as shares of width and height."""

    of: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True)
class ListedPhoto:
    """A photo as its set lists it.

    Attributes:
        path: inside of the root, checked. classes: names that the set's table knows.
        mask: path inside of the root, or None. cut_out: the mask is the photo itself on black.
        split: of `SPLITS`, or "". person: who it shows, as the set writes it, or "".
    """

    path: str
    classes: frozenset[str] = frozenset()
    boxes: tuple[Box, ...] = ()
    mask: str | None = None
    cut_out: bool = False
    split: str = ""
    person: str = ""


@dataclass
class Listing:
    """A set as found in a folder.

    Attributes:
        root: the folder that the paths start from. layout: which of the known layouts it has.
        faults: code of `FAULTS` → count.
        masks_expected: a photo without a mask is a fault.
    """

    root: Path
    layout: str
    photos: list[ListedPhoto] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)
    masks_expected: bool = False


@cache
def photo_sets() -> Mapping[str, PhotoSet]:
    """The sets of photo_classes.toml by key."""
    table = tomllib.loads(files(__package__).joinpath("photo_classes.toml").read_text(encoding="utf-8"))
    return MappingProxyType({key: _photo_set(key, entry) for key, entry in table.items()})


def _photo_set(key: str, entry: Mapping) -> PhotoSet:
    names: dict[str, PhotoClass] = {}
    for name, facts in entry["classes"].items():
        known = PhotoClass(name, facts["zh"], facts.get("head", ""), tuple(facts.get("values", ())),
                           facts.get("unused") or facts.get("why", ""), facts.get("whole", False))
        for spelling in (name, known.chinese, *facts.get("aliases", ())):
            if names.setdefault(spelling, known) is not known:
                raise AssertionError(f"{key}: {spelling} names two classes")
    return PhotoSet(key, entry["title"], entry["paper"], entry["licence"], MappingProxyType(names))


def settle(classes: Iterable[PhotoClass]) -> tuple[dict[str, str], list[str]]:
    """What the classes of one photo say together.

    Returns:
        Head → its one value, and the heads whose classes exclude each other.
    """
    by_head: dict[str, set[PhotoClass]] = {}
    for known in classes:
        if known.head:
            by_head.setdefault(known.head, set()).add(known)
    labels: dict[str, str] = {}
    disagreeing = []
    for head, said in by_head.items():
        left = set.intersection(*(set(known.values) for known in said))
        if len(left) == 1:
            labels[head] = left.pop()
        elif not left and len(said) > 1:
            disagreeing.append(head)
    return labels, disagreeing


def tell(faults: Mapping[str, int]) -> str:
    """Faults in one line, most frequent first."""
    ordered = sorted(faults.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{code} {count:,}" for code, count in ordered) or "no faults"

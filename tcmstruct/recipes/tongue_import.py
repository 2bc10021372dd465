"""`tcmstruct tongue-import SET FOLDER -o OUT`: a public set of tongue photographs → photos and labels of our own layout.

First everything is looked at (headers, masks, classes, duplicates) and told; then OUT is made beside its place and moved
there whole. What a set holds, where it comes from and what its classes teach: docs/tongue-data.md.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import orjson
from rich.console import Console
from rich.progress import track
from rich.table import Table

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.image.paths import read_file, resolve
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.training.photo_files import as_jpeg, box_of, header, mask_of_cut_out, read_mask
from tcmstruct.training.photo_layouts import list_photos, whole_tongue
from tcmstruct.training.photo_sets import FAULTS, Box, ListedPhoto, Listing, PhotoSet, photo_sets, settle, tell

MANIFEST = "import.json"
_NO_FAULTS = ("duplicate", "labels_disagree", "photo_without_annotation", "class_unknown")
"""Faults that say how a set is, not that something of it could not be read."""

_T = TypeVar("_T")


@dataclass
class _Photo:
    """A photo by its bytes: files of the same bytes are one photo with the classes of all.

    Attributes:
        first: as listed where it was met first. turned: by EXIF.
        mask: whether it has a usable one.
    """

    id: str
    first: ListedPhoto
    turned: bool
    mask: bool = False
    classes: set[str] = field(default_factory=set)
    boxes: list[Box] = field(default_factory=list)
    splits: set[str] = field(default_factory=set)


@dataclass
class ImportSummary:
    """What was found and written.

    Attributes:
        set: key of `photo_sets()`. layout: see `photo_layouts`. out: the folder made; None where it was only looked at.
        listed: photos with an annotation. photos, masks, boxes: written (or to be written).
        labels: "head=value" → photos. classes: class → photos, before anything was left out.
        faults: code of `FAULTS` → count.
    """

    set: str
    layout: str
    out: Path | None
    listed: int = 0
    photos: int = 0
    masks: int = 0
    boxes: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    classes: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def exit_code(self) -> int:
        """3 where something could not be read or used, else 0."""
        return 3 if any(n and code not in _NO_FAULTS for code, n in self.faults.items()) else 0

    def to_dict(self) -> dict[str, Any]:
        return {"set": self.set, "layout": self.layout, "listed": self.listed, "photos": self.photos, "masks": self.masks,
                "boxes": self.boxes, "labels": dict(sorted(self.labels.items())), "classes": dict(sorted(self.classes.items())),
                "faults": {code: n for code, n in sorted(self.faults.items()) if n}}


def tongue_import(set_name: str, folder: Path, out: Path | None, *, train_colour: bool = False, fresh: bool = False,
                  console: Console | None = None) -> ImportSummary:
    """Checks a public photo set and converts it into the layout that `training.photos.read_photos` reads.

    Args:
        set_name: of `photo_sets()`: "tcm-tongue" (or "shezhenv3"), "tonguedx", "biohit".
        folder: where the user unpacked it.
        out: folder to make; None only checks and tells.
        train_colour: let 苔色 and 舌色 of this set train. Its camera is another one, and colours differ for the camera's sake.
        fresh: replace an earlier import in `out`.
        console: where to tell; stderr by default.

    Raises:
        UsageError: an unknown set, or an `out` that exists, holds the input, or is no earlier import.
        InputRefused: the folder does not hold the set in a known layout, or nothing of it can be used. Nothing is written.
    """
    console = console or Console(stderr=True)
    key = {"shezhenv3": "tcm-tongue"}.get(set_name, set_name)
    if out is not None:
        _check_out(out, folder, fresh)
    listing = list_photos(key, folder)
    photo_set = photo_sets()[key]
    summary = ImportSummary(key, listing.layout, out, listed=len(listing.photos), faults=Counter(listing.faults))
    photos = _examine(listing, photo_set, summary, console)
    rows = [row for photo in photos if (row := _row(photo, photo_set, summary, train_colour)) is not None]
    if not rows:
        raise InputRefused(f"none of {summary.listed:,} photos can be used: {tell(+summary.faults)}", where=folder.name,
                           code="nothing_to_import", hint="fetch and unpack the set again; docs/tongue-data.md says what each code means")
    if out is not None:
        by_id = {photo.id: photo for photo in photos}
        rows = _write(out, listing, [(row, by_id[row["id"]]) for row in rows], summary, train_colour, fresh, console)
    _count(rows, summary)
    _report(summary, photo_set, console, train_colour)
    return summary


def _check_out(out: Path, folder: Path, fresh: bool) -> None:
    place, source = out.resolve(), folder.resolve()
    if place == source or place.is_relative_to(source) or source.is_relative_to(place):
        raise UsageError("lies in the folder that is read, or holds it", where=out.name, code="out_holds_input",
                         hint="name a folder beside it with -o")
    if not (out.exists() or out.is_symlink()):
        return
    if not fresh:
        raise UsageError("exists", where=out.name, code="out_exists",
                         hint="name another folder with -o, or replace an earlier import with --fresh")
    if out.is_symlink() or not out.is_dir() or not (out / "tongue" / MANIFEST).is_file():
        raise UsageError("is no earlier import and is not replaced", where=out.name, code="out_not_an_import",
                         hint="name another folder with -o")


def _shown(items: Sequence[_T], what: str, console: Console) -> Iterable[_T]:
    return track(items, what, console=console, transient=True, disable=not console.is_terminal)


# -------------------------------------------------------------------------------------------------------------- check


def _examine(listing: Listing, photo_set: PhotoSet, summary: ImportSummary, console: Console) -> list[_Photo]:
    """Looks at every photo's bytes, header and mask; one entry for each photo that differs."""
    met: dict[str, _Photo] = {}
    for listed in _shown(listing.photos, "checking", console):
        summary.classes.update(listed.classes)
        try:
            data = read_file(resolve(listed.path, listing.root))
            width, height, turned = header(data)
        except ImageRefused as refused:
            summary.faults[refused.reason] += 1
            continue
        digest = hashlib.sha256(data).hexdigest()[:16]
        photo = met.get(digest)
        if photo is None:
            photo = met[digest] = _Photo(f"{photo_set.key}-{digest}", listed, turned)
        else:
            summary.faults["duplicate"] += 1
        photo.classes |= listed.classes
        photo.boxes += listed.boxes
        photo.splits.add(listed.split)
        if photo.first is listed:
            photo.mask = _mask_of(listing, listed, width, height, turned, summary.faults) is not None
    if summary.faults["mask_empty"] and not any(photo.mask for photo in met.values()):
        console.print(f"warning: every mask of {listing.root.name} that could be read is empty: the set is damaged or was fetched damaged",
                      style="yellow", highlight=False)
    return list(met.values())


def _mask_of(listing: Listing, listed: ListedPhoto, width: int, height: int, turned: bool, faults: Counter[str]) -> np.ndarray | None:
    """The photo's mask, or None with the fault counted."""
    if listed.mask is None:
        faults["mask_missing"] += listing.masks_expected
        return None
    if turned:
        faults["turned"] += 1
        return None
    try:
        data = read_file(resolve(listed.mask, listing.root))
    except ImageRefused:
        faults["mask_damaged"] += 1
        return None
    mask, fault = (mask_of_cut_out if listed.cut_out else read_mask)(data, width, height)
    if fault:
        faults[fault] += 1
    return mask


def _row(photo: _Photo, photo_set: PhotoSet, summary: ImportSummary, train_colour: bool) -> dict[str, Any] | None:
    """The line of labels.jsonl, the box of a mask still missing; None where the photo teaches nothing."""
    labels, disagreeing = settle(photo_set.classes[name] for name in photo.classes)
    summary.faults["labels_disagree"] += len(disagreeing)
    box = None
    if photo.boxes and not photo.turned:
        box, doubtful = whole_tongue(photo.boxes, photo_set.classes)
        summary.faults["box_doubtful"] += doubtful
    elif photo.boxes:
        summary.faults["turned"] += 1
    if not (labels or box or photo.mask):
        summary.faults["teaches_nothing"] += 1
        return None
    row: dict[str, Any] = {"id": photo.id, "source": photo_set.key, "tongue_present": True, "by": "people", "labels": labels}
    if train_colour:
        row["train_colour"] = True
    if len(photo.splits) == 1 and (split := next(iter(photo.splits))):  # a photo in two splits belongs to none
        row["split"] = split
    if photo.first.person:
        row["person"] = hashlib.sha256(f"{photo_set.key}:{photo.first.person}".encode()).hexdigest()[:12]
    if photo.mask:
        row["mask_by"] = "another system" if photo.first.cut_out else "people"
    if box is not None:
        row["box_cxcywh"] = _centred(box.x0, box.y0, box.x1, box.y1)
    return row


def _centred(x0: float, y0: float, x1: float, y1: float) -> list[float]:
    return [round(float(v), 6) for v in ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)]


# -------------------------------------------------------------------------------------------------------------- write


def _write(out: Path, listing: Listing, rows: Sequence[tuple[dict[str, Any], _Photo]], summary: ImportSummary, train_colour: bool,
           fresh: bool, console: Console) -> list[dict[str, Any]]:
    """Makes the folder beside its place and moves it there → the rows that were written."""
    out.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=out.parent, prefix=".tongue-import-"))  # 0700
    try:
        photos = staging / "new" / "tongue" / summary.set
        for folder in (staging / "new", photos.parent, photos):
            folder.mkdir(mode=0o700)
        written = sorted(_converted(photos, listing, rows, summary, console), key=lambda row: row["id"])
        if not written:
            raise InputRefused(f"none of {summary.listed:,} photos could be decoded: {tell(+summary.faults)}", code="nothing_to_import",
                               hint="fetch and unpack the set again")
        _private(photos.parent / "labels.jsonl", b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in written))
        _count(written, summary)
        known = photo_sets()[summary.set]
        facts = {**summary.to_dict(), "title": known.title, "paper": known.paper, "licence": known.licence, "train_colour": train_colour}
        _private(photos.parent / MANIFEST, orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        if fresh and out.exists():
            os.rename(out, staging / "old")
        try:
            os.rename(staging / "new", out)
        except OSError:
            if (staging / "old").exists():
                os.rename(staging / "old", out)
            raise UsageError("could not be put in place", where=out.name, code="out_exists", hint="name another folder with -o") from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return written


def _converted(photos: Path, listing: Listing, rows: Sequence[tuple[dict[str, Any], _Photo]], summary: ImportSummary,
               console: Console) -> Iterator[dict[str, Any]]:
    for row, photo in _shown(rows, "converting", console):
        try:
            jpeg, width, height = as_jpeg(read_file(resolve(photo.first.path, listing.root)))
        except ImageRefused as refused:
            summary.faults[refused.reason] += 1
            continue
        _private(photos / f"{photo.id}.jpg", jpeg)
        mask = _mask_of(listing, photo.first, width, height, photo.turned, Counter()) if photo.mask else None
        if mask is not None:
            _private(photos / f"{photo.id}.mask.png", cv2.imencode(".png", mask)[1].tobytes())
            row["box_cxcywh"] = _centred(*box_of(mask))
        else:
            row.pop("mask_by", None)  # the file changed under our hands
        yield row


def _private(path: Path, data: bytes) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)


def _count(rows: Sequence[dict[str, Any]], summary: ImportSummary) -> None:
    summary.photos = len(rows)
    summary.masks = sum("mask_by" in row for row in rows)
    summary.boxes = sum("box_cxcywh" in row for row in rows)
    summary.labels = Counter(f"{head}={value}" for row in rows for head, value in row["labels"].items())


# --------------------------------------------------------------------------------------------------------------- tell


def _report(summary: ImportSummary, photo_set: PhotoSet, console: Console, train_colour: bool) -> None:
    console.print(f"{photo_set.title} · {summary.layout} · licence: {photo_set.licence}", highlight=False, markup=False)
    if summary.classes:
        table = Table("class", "中文", "photos", "teaches", title=None)
        table.columns[2].justify = "right"
        for name, count in sorted(summary.classes.items(), key=lambda item: (-item[1], item[0])):
            known = photo_set.classes[name]
            means = f"{known.head} {' or '.join(known.values)}"
            teaches = means if len(known.values) == 1 else f"nothing: {means if known.values else known.why}"
            table.add_row(name, known.chinese, f"{count:,}", teaches)
        console.print(table)
    faults = {code: n for code, n in sorted(summary.faults.items(), key=lambda item: (-item[1], item[0])) if n}
    if faults:
        table = Table("left out", "count", "what it means")
        table.columns[1].justify = "right"
        for code, count in faults.items():
            table.add_row(code, f"{count:,}", FAULTS[code])
        console.print(table)
    labels = ", ".join(f"{label} {n:,}" for label, n in sorted(summary.labels.items())) or "none"
    done = "to be written (checked only)" if summary.out is None else "written"
    console.print(f"{summary.listed:,} photos listed · {summary.photos:,} {done}, with {summary.masks:,} masks and {summary.boxes:,} boxes",
                  highlight=False, markup=False)
    console.print(f"labels: {labels}", highlight=False, markup=False)
    if not train_colour and any(label.startswith(("苔色", "舌色")) for label in summary.labels):
        console.print("苔色 and 舌色 of this set's camera train nothing (--train-colour lets them)", highlight=False, markup=False)
    if summary.out is not None:
        console.print(f"result: {os.fspath(summary.out)}", highlight=False, markup=False, soft_wrap=True)

"""Public sets of tongue photographs as their authors lay them out → one listing of photos, classes, boxes, masks.

Three sets that users fetch themselves; nothing is downloaded here. What is known of each layout:

- TCM-Tongue (shezhenv3): the README of its deposit (Dryad, doi:10.5061/dryad.1c59zw48r) names three folders with the
  same photos, `shezhenv3-coco`, `-txt`, `-xml`, each with train, val, test, in them `images` and `labels` or
  `annotations`, the class names in `classes.txt`, and the order of the 20 classes. `SPLIT/annotations/SPLIT.json` and
  `SPLIT/labels/STEM.txt` are what several independent public programs read. Not confirmed: where the xml files lie
  (`labels`, `annotations`, `Annotations` and `xml` are accepted), and that the boxes of whole-tongue classes hold the
  whole tongue. The names of ids 18–20 differ between the set's own lists; all of them are regions, which teach nothing.
- TongueDx: the columns of its tables stand in the authors' README (github.com/tonguedx/tonguedx). `list/*.csv`,
  `origin/` and `seg/` (the same names in both) are what several independent public programs read. Not confirmed: that
  `seg/` is cut out on black at the size of the photo; each file is checked for both.
- BioHit: the authors' README says 300 photos of 576 × 768 with outlines made by hand. `dataset/*.bmp` with
  `groundtruth/mask/*.bmp`, and the re-packed `groundtruth/images` with `groundtruth/mask1` and `origin_Image` with
  `origin_GT`, are what independent public programs read.

Everything else is refused. File names, paths and annotations are foreign: paths lead only downward, XML may not declare
anything, and a fault of one photo is counted under one of `FAULTS`, never told with its name.
"""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from xml.parsers import expat

import orjson

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.image.paths import read_file, resolve
from tcmstruct.image.refusal import REASONS, ImageRefused
from tcmstruct.training.photo_sets import SPLITS, Box, ListedPhoto, Listing, PhotoClass, photo_sets, tell

PHOTO_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MAX_TEXT_BYTES = 1_000_000
"""Of one label file of a photo."""
MAX_TABLE_BYTES = 64_000_000
"""Of one file with the labels of many photos."""
MAX_FILES = 200_000
"""In one folder."""
MAX_DEPTH = 4
"""Folders inside of the named one in which the set may lie: archives unpack into folders of their own name."""
MAX_FOLDERS = 2_000
"""That are looked at for it."""


def list_photos(key: str, folder: Path) -> Listing:
    """Reads a set's annotations and finds its photos and masks; decodes none of them.

    Args:
        key: of `photo_sets()`.
        folder: the set, or a folder that it was unpacked into.

    Raises:
        UsageError: an unknown key.
        InputRefused: the folder does not hold the set in a known layout.
    """
    if key not in READERS:
        raise UsageError(f"unknown set {key!r}; known: {', '.join(READERS)}", where="tongue-import")
    if not folder.is_dir():
        raise InputRefused("is no folder" if folder.exists() else "no such folder", where=folder.name,
                           hint="unpack the set and name its folder")
    try:
        listing = READERS[key](folder)
    except OSError as error:
        raise InputRefused(f"cannot be read ({type(error).__name__})", where=folder.name, code="set_unreadable",
                           hint="check the rights of its folders") from None
    if not listing.photos:
        raise InputRefused(f"no photo with an annotation was found in the layout {listing.layout}; {tell(listing.faults)}",
                           where=folder.name, code="set_empty", hint="unpack the whole set")
    return listing


# ------------------------------------------------------------------------------------------------------------ folders


def _root(folder: Path, layout_of: Callable[[Path], str | None], expected: str) -> tuple[Path, str]:
    """The one folder that has a known layout, looked for level by level; links are not followed."""
    found: list[tuple[Path, str]] = []
    level, seen = [folder], 0
    for _ in range(MAX_DEPTH + 1):
        inner: list[Path] = []
        for place in level[: MAX_FOLDERS - seen]:
            if (layout := layout_of(place)) is not None:
                found.append((place, layout))
            else:
                with os.scandir(place) as entries:
                    inner += sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
        level, seen = inner, min(MAX_FOLDERS, seen + len(level))
    if not found:
        raise InputRefused(f"no known layout: found {_glance(folder)}; expected {expected}", where=folder.name, code="layout_unknown",
                           hint="name the unpacked folder of the set; docs/tongue-data.md shows what it looks like")
    if len(found) > 1:
        raise InputRefused(f"{len(found)} copies of the set: {', '.join(f'{p.name} ({layout})' for p, layout in found[:5])}",
                           where=folder.name, code="layout_twice", hint="name one of these folders; they hold the same photos")
    return found[0]


def _glance(folder: Path) -> str:
    """What lies in a folder, in a few words; folders by name, files only by kind."""
    with os.scandir(folder) as entries:
        listed = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry, _ in zip(entries, range(MAX_FILES), strict=False)]
    inner = sorted(name for name, is_folder in listed if is_folder)
    kinds = Counter(Path(name).suffix.lower() or "no suffix" for name, is_folder in listed if not is_folder)
    parts = [f"{name[:40]}/" for name in inner[:6]] + [f"{count} {kind} files" for kind, count in kinds.most_common(4)]
    return ", ".join(parts) or "nothing"


def _files(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Names of the files of these kinds in a folder; empty where there is none."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries  # "._x.jpg" is what archives of another system leave
                 if Path(entry.name).suffix.lower() in suffixes and not entry.name.startswith(".")]
    if len(names) > MAX_FILES:
        raise InputRefused(f"{len(names):,} files in one folder, {MAX_FILES:,} allowed", where=folder.name, code="set_too_large")
    return sorted(names)


def _by_stem(names: Iterable[str], faults: Counter[str]) -> dict[str, str]:
    """Stem → name; stems that two files share are left out."""
    stems: dict[str, list[str]] = {}
    for name in names:
        stems.setdefault(Path(name).stem, []).append(name)
    faults["name_twice"] += sum(len(same) > 1 for same in stems.values())
    return {stem: same[0] for stem, same in stems.items() if len(same) == 1}


def _bytes(root: Path, named: str, max_bytes: int) -> bytes:
    """A file that has to be read for the set to be of use.

    Raises:
        InputRefused: it cannot be read.
    """
    try:
        return read_file(resolve(named, root), max_bytes)
    except ImageRefused as refused:
        raise InputRefused(f"an annotation file cannot be used: {REASONS[refused.reason]}", where=Path(named).name,
                           code="annotation_unreadable") from None


# --------------------------------------------------------------------------------------------------------- TCM-Tongue

_XML_FOLDERS = ("labels", "annotations", "Annotations", "xml")
_README_ORDER = ("jiankangshe", "botaishe", "hongshe", "zishe", "pangdashe", "shoushe", "hongdianshe", "liewenshe", "chihenshe",
                 "baitaishe", "huangtaishe", "heitaishe", "huataishe", "shenquao", "shenqutu", "gandanao", "gandantu", "piweiao",
                 "xinfeitu", "xinfeiao")
"""Class numbers 0–19 by the README of the deposit."""
_BOX_SLACK = 0.02
"""How far a box may reach beyond its photo, as a share, and is still cut to it."""
_DETAIL_SLACK = 0.1
"""How far boxes of details may reach beyond the box of the whole tongue, as a share of the photo."""


def read_tcm_tongue(folder: Path) -> Listing:
    """TCM-Tongue in its COCO, YOLO or Pascal VOC edition."""
    root, layout = _root(folder, _tcm_layout, "train/, val/, test/ with images/ and one of annotations/*.json (COCO), "
                                              "labels/*.txt (YOLO), labels/*.xml (Pascal VOC)")
    listing = Listing(root, layout)
    read = {"coco": _coco, "yolo": _yolo, "voc": _voc}[layout]
    names = _class_names(root, listing) if layout == "yolo" else ()
    for split in _splits(root):
        read(listing, split, names)
    known = photo_sets()["tcm-tongue"].classes
    if listing.photos and not any(photo.classes & known.keys() for photo in listing.photos):
        raise InputRefused(f"none of the classes is one of TCM-Tongue's ({listing.faults['class_unknown']:,} boxes of others); "
                           f"expected {', '.join(_README_ORDER[:5])} …", where=folder.name, code="classes_unknown",
                           hint="is it another set of this format?")
    return listing


def _splits(root: Path) -> list[str]:
    return [split for split in SPLITS if (root / split / "images").is_dir()]


def _tcm_layout(root: Path) -> str | None:
    editions = set()
    for split in _splits(root):
        if _files(root / split / "annotations", (".json",)):
            editions.add("coco")
        if any(name != "classes.txt" for name in _files(root / split / "labels", (".txt",))):
            editions.add("yolo")
        if any(_files(root / split / inner, (".xml",)) for inner in _XML_FOLDERS):
            editions.add("voc")
    if len(editions) > 1:
        raise InputRefused(f"annotations of {len(editions)} formats in one folder ({', '.join(sorted(editions))}); expected one",
                           where=root.name, code="layout_twice", hint="keep the files of one format only")
    return editions.pop() if editions else None


def _seen_class(name: object, listing: Listing) -> str | None:
    """The class's own name; unknown ones are counted."""
    known = photo_sets()["tcm-tongue"].classes.get(name.strip()) if isinstance(name, str) else None
    if known is None:
        listing.faults["class_unknown"] += 1
        return None
    return known.name


def _box(of: str, corners: Sequence[float], listing: Listing) -> Box | None:
    """A box cut to its photo, or None with the fault counted."""
    x0, y0, x1, y1 = corners
    inside = all(math.isfinite(v) and -_BOX_SLACK <= v <= 1 + _BOX_SLACK for v in corners)
    if not inside or not (x1 > x0 and y1 > y0):
        listing.faults["box_damaged"] += 1
        return None
    return Box(of, *(min(1.0, max(0.0, v)) for v in (x0, y0, x1, y1)))


def whole_tongue(boxes: Sequence[Box], known: Mapping[str, PhotoClass]) -> tuple[Box | None, bool]:
    """The box around all boxes of whole-tongue classes.

    Returns:
        The box or None, and whether it was left out because details reach beyond it.
    """
    whole = [box for box in boxes if known[box.of].whole]
    if not whole:
        return None, False
    around = Box("", min(b.x0 for b in whole), min(b.y0 for b in whole), max(b.x1 for b in whole), max(b.y1 for b in whole))
    beyond = any(b.x0 < around.x0 - _DETAIL_SLACK or b.y0 < around.y0 - _DETAIL_SLACK
                 or b.x1 > around.x1 + _DETAIL_SLACK or b.y1 > around.y1 + _DETAIL_SLACK for b in boxes)
    return (None, True) if beyond else (around, False)


def _add(listing: Listing, split: str, name: str, named_boxes: Iterable[tuple[object, Sequence[float]]]) -> None:
    classes, boxes = set(), []
    for raw, corners in named_boxes:
        of = _seen_class(raw, listing)
        if of is None:
            continue
        classes.add(of)
        if (box := _box(of, corners, listing)) is not None:
            boxes.append(box)
    listing.photos.append(ListedPhoto(f"{split}/images/{name}", frozenset(classes), tuple(boxes), split=split))


def _coco(listing: Listing, split: str, _: Sequence[str]) -> None:
    names = _files(listing.root / split / "annotations", (".json",))
    if f"{split}.json" in names:
        names = [f"{split}.json"]
    if len(names) != 1:
        raise InputRefused(f"{len(names)} JSON files in {split}/annotations; expected {split}.json or a single one",
                           where=listing.root.name, code="layout_unknown", hint="keep the one that belongs to the split")
    table = _json(listing.root, f"{split}/annotations/{names[0]}")
    photos = _files(listing.root / split / "images", PHOTO_SUFFIXES)
    on_disk, stems = set(photos), _by_stem(photos, Counter())
    classes = {c["id"]: c["name"] for c in table["categories"] if isinstance(c, dict) and _is_id(c.get("id")) and "name" in c}
    boxes: dict[object, list[tuple[object, list[float]]]] = {}
    for entry in table["annotations"]:
        if not isinstance(entry, dict) or not _is_id(entry.get("image_id")) or not _is_id(entry.get("category_id")):
            listing.faults["annotation_damaged"] += 1
            continue
        boxes.setdefault(entry["image_id"], []).append((classes.get(entry["category_id"]), entry.get("bbox")))
    described = set()
    for entry in table["images"]:
        if not isinstance(entry, dict) or not _is_id(entry.get("id")) or not isinstance(entry.get("file_name"), str):
            listing.faults["annotation_damaged"] += 1
            continue
        named = boxes.pop(entry["id"], [])
        name = _on_disk(entry["file_name"], on_disk, stems, listing)
        if name is None:
            continue
        if name in described:
            listing.faults["name_twice"] += 1
            continue
        described.add(name)
        _add(listing, split, name, ((of, _shares(bbox, entry)) for of, bbox in named))
    listing.faults["annotation_without_photo"] += sum(map(len, boxes.values()))
    listing.faults["photo_without_annotation"] += len(on_disk - described)


def _is_id(value: object) -> bool:
    return isinstance(value, int | str) and not isinstance(value, bool)


def _on_disk(file_name: str, on_disk: set[str], stems: Mapping[str, str], listing: Listing) -> str | None:
    """The file in `images` that a JSON file means: by name, else by stem (the set renamed some suffixes)."""
    try:
        resolve(file_name, listing.root)
    except ImageRefused as refused:
        if refused.reason != "not_found":  # it is looked for in `images` below
            listing.faults[refused.reason] += 1
            return None
    name = re.split(r"[\\/]", file_name)[-1].strip()
    found = name if name in on_disk else stems.get(Path(name).stem)
    if found is None:
        listing.faults["annotation_without_photo"] += 1
    return found


def _json(root: Path, named: str) -> dict:
    try:
        table = orjson.loads(_bytes(root, named, MAX_TABLE_BYTES))
    except orjson.JSONDecodeError:
        raise InputRefused("is no JSON", where=Path(named).name, code="annotation_unreadable", hint="fetch it again") from None
    kinds = {"images": list, "annotations": list, "categories": list}
    if not isinstance(table, dict) or any(not isinstance(table.get(key), kind) for key, kind in kinds.items()):
        found = ", ".join(sorted(table)[:6]) if isinstance(table, dict) else type(table).__name__
        raise InputRefused(f"is no COCO file: found {found[:80]}; expected lists images, annotations, categories",
                           where=Path(named).name, code="annotation_unreadable", hint="name the set's own folder")
    return table


def _shares(bbox: object, entry: Mapping) -> list[float]:
    """COCO x, y, width, height in pixels → corners as shares; not-a-numbers where it is no box."""
    size = entry.get("width"), entry.get("height")
    if not (isinstance(bbox, list) and len(bbox) == 4 and all(_is_number(v) for v in (*bbox, *size)) and min(size) > 0):
        return [math.nan] * 4
    x, y, w, h = bbox
    return [x / size[0], y / size[1], (x + w) / size[0], (y + h) / size[1]]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _class_names(root: Path, listing: Listing) -> tuple[str, ...]:
    """Class numbers of the YOLO edition: its `*.yaml`, else `classes.txt`, else the README's order.

    Where yaml and classes.txt differ in a class that teaches, nobody knows which one it is: it becomes unknown.
    """
    def first(folders: Sequence[Path], suffix: str) -> str | None:
        for folder in folders:
            names = [name for name in _files(folder, (suffix,)) if suffix != ".txt" or name == "classes.txt"]
            if names:
                return _bytes(folder, names[0], MAX_TEXT_BYTES).decode("utf-8", "replace")
        return None

    places = [root, *(root / split for split in _splits(root)), *(root / split / "labels" for split in _splits(root))]
    yaml, text = first(places[:1], ".yaml"), first(places, ".txt")
    by_yaml = {int(n): name for n, name in re.findall(r"^\s*(\d{1,3})\s*:\s*['\"]?([\w]+)", yaml or "", re.MULTILINE)}
    by_text = dict(enumerate(line.strip() for line in text.splitlines() if line.strip())) if text else {}
    named = by_yaml or by_text or dict(enumerate(_README_ORDER))
    known = photo_sets()["tcm-tongue"].classes
    if by_yaml and by_text:
        for n, name in by_text.items():
            pair = known.get(name), known.get(named.get(n, name))
            if None not in pair and pair[0] is not pair[1] and (pair[0].head or pair[1].head):
                named[n] = ""
    return tuple(named.get(n, "") for n in range(max(named) + 1))


def _paired(listing: Listing, split: str, labels: Path, suffix: str) -> Iterator[tuple[str, bytes]]:
    """Photos of a split with the bytes of their label file."""
    photos = _by_stem(_files(listing.root / split / "images", PHOTO_SUFFIXES), listing.faults)
    texts = _by_stem((name for name in _files(labels, (suffix,)) if name != "classes.txt"), listing.faults)
    listing.faults["annotation_without_photo"] += len(texts.keys() - photos.keys())
    listing.faults["photo_without_annotation"] += len(photos.keys() - texts.keys())
    inner = labels.relative_to(listing.root).as_posix()
    for stem in sorted(photos.keys() & texts.keys()):
        try:
            yield photos[stem], read_file(resolve(f"{inner}/{texts[stem]}", listing.root), MAX_TEXT_BYTES)
        except ImageRefused as refused:
            if refused.reason == "file_empty":  # a photo without a box
                yield photos[stem], b""
            else:
                listing.faults["annotation_damaged"] += 1


def _yolo(listing: Listing, split: str, names: Sequence[str]) -> None:
    for photo, data in _paired(listing, split, listing.root / split / "labels", ".txt"):
        boxes = []
        for line in data.decode("utf-8", "replace").splitlines():
            if not line.strip():
                continue
            parts = line.split()
            try:
                number, (cx, cy, w, h) = int(parts[0]), map(float, parts[1:])
            except (ValueError, IndexError):
                listing.faults["annotation_damaged"] += 1
                continue
            boxes.append((names[number] if 0 <= number < len(names) else None, (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)))
        _add(listing, split, photo, boxes)


def _voc(listing: Listing, split: str, _: Sequence[str]) -> None:
    folders = [listing.root / split / inner for inner in _XML_FOLDERS]
    labels = next((folder for folder in folders if _files(folder, (".xml",))), folders[0])
    for photo, data in _paired(listing, split, labels, ".xml"):
        try:
            boxes = list(_voc_boxes(data))
        except (expat.ExpatError, ValueError):
            listing.faults["annotation_damaged"] += 1
        else:
            _add(listing, split, photo, boxes)


def _voc_boxes(data: bytes) -> Iterator[tuple[str, list[float]]]:
    """Boxes of one Pascal VOC file; pixels are counted from 1.

    Raises:
        ExpatError, ValueError: it is no such file, or declares a document type.
    """
    texts, objects = _leaves(data)
    width, height = (float(texts.get(f"annotation/size/{side}", "nan")) for side in ("width", "height"))
    if not (width > 0 and height > 0):
        raise ValueError("no size")
    for leaves in objects:
        corners = [float(leaves.get(f"bndbox/{side}", "nan")) for side in ("xmin", "ymin", "xmax", "ymax")]
        yield leaves.get("name", ""), [(corners[0] - 1) / width, (corners[1] - 1) / height, corners[2] / width, corners[3] / height]


def _leaves(data: bytes) -> tuple[dict[str, str], list[dict[str, str]]]:
    """Path of tags → text, outside of objects and for each `annotation/object`; a document type is refused, and with it
    every entity that could grow or fetch something."""
    texts: dict[str, str] = {}
    objects: list[dict[str, str]] = []
    path: list[str] = []

    def refuse(*_: object) -> None:
        raise ValueError("a document type is declared")

    def start(tag: str, _: object) -> None:
        path.append(tag)
        if len(path) > 12:
            raise ValueError("too deep")
        if path == ["annotation", "object"]:
            objects.append({})

    def text(piece: str) -> None:
        into, name = (objects[-1], "/".join(path[2:])) if path[:2] == ["annotation", "object"] else (texts, "/".join(path))
        into[name] = into.get(name, "") + piece

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = parser.EntityDeclHandler = refuse
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, lambda _: path.pop(), text
    parser.Parse(data, True)
    return texts, objects


# ----------------------------------------------------------------------------------------------------------- TongueDx

_TONGUEDX_LABELS = ("TonguePale", "TipSideRed", "Spot", "Ecchymosis", "Crack", "Toothmark", "FurThick", "FurYellow")
_ZERO_ONE = {"0": "0", "0.0": "0", "1": "1", "1.0": "1"}


def read_tonguedx(folder: Path) -> Listing:
    """TongueDx: tables of labels, photos, and the same photos cut out."""
    root, layout = _root(folder, lambda at: "tonguedx" if (at / "origin").is_dir() and _files(at / "list", (".csv",)) else None,
                         "list/*.csv, origin/ (photos) and, where given, seg/ (cut out) or mask/")
    listing = Listing(root, layout)
    rows: dict[str, tuple[set[str], str, str]] = {}
    for table in _files(root / "list", (".csv",)):
        for row in _csv_rows(root, f"list/{table}"):
            place = _tonguedx_photo(row["image_path"], listing)
            if place is None:
                continue
            classes, _, _ = rows.setdefault(place, (set(), next((s for s in SPLITS if table.startswith(s)), ""), row.get("id") or ""))
            for column in _TONGUEDX_LABELS:
                value = (row.get(column) or "").strip()
                if value in _ZERO_ONE:
                    classes.add(f"{column}={_ZERO_ONE[value]}")
                elif value:
                    listing.faults["value_unknown"] += 1
    for place, (classes, split, person) in sorted(rows.items()):
        mask, cut_out = _tonguedx_mask(root, place)
        # the tables are five folds of the same photos: only the test table is a part of its own
        listing.photos.append(ListedPhoto(place, frozenset(classes), (), mask, cut_out, split if split == "test" else "", person.strip()))
    return listing


def _csv_rows(root: Path, named: str) -> Iterator[dict[str, str]]:
    required = ("image_path", *_TONGUEDX_LABELS)
    try:
        reader = csv.DictReader(io.StringIO(_bytes(root, named, MAX_TABLE_BYTES).decode("utf-8-sig"), newline=""))
        missing = [column for column in required if column not in (reader.fieldnames or ())]
        if missing:
            raise InputRefused(f"columns {', '.join(missing)} are missing; found {', '.join(map(str, reader.fieldnames or ()))[:200]}",
                               where=Path(named).name, code="columns_missing", hint="keep only the set's own tables in list/")
        yield from reader
    except (UnicodeDecodeError, csv.Error):
        raise InputRefused("is no table in UTF-8", where=Path(named).name, code="annotation_unreadable", hint="fetch it again") from None


def _tonguedx_photo(named: str | None, listing: Listing) -> str | None:
    """The photo of a row, seen from the root: its path starts at origin/ or at the root."""
    reason = "path_invalid"
    for prefix in ("origin/", ""):
        try:
            return resolve(_below(prefix, named or "", listing.root), listing.root).relative_to(listing.root.resolve()).as_posix()
        except ImageRefused as refused:
            reason = refused.reason
            if reason != "not_found":
                break
    listing.faults["annotation_without_photo" if reason == "not_found" else reason] += 1
    return None


def _below(prefix: str, named: str, root: Path) -> str:
    """`named` inside of a folder, after it was looked at by itself: "../x" must not become "origin/../x"."""
    try:
        resolve(named, root)
    except ImageRefused as refused:
        if refused.reason != "not_found":
            raise
    return prefix + named.strip().replace("\\", "/")


def _tonguedx_mask(root: Path, place: str) -> tuple[str | None, bool]:
    """The mask of a photo, or its cut-out, by the same name."""
    inner = Path(place).relative_to("origin") if Path(place).parts[0] == "origin" else Path(place)
    for folder, suffixes in (("mask", (".png", ".bmp", *PHOTO_SUFFIXES)), ("seg", (inner.suffix, *PHOTO_SUFFIXES))):
        for suffix in suffixes:
            named = (Path(folder) / inner.with_suffix(suffix)).as_posix()
            if (root / named).is_file():
                return named, folder == "seg"
    return None, False


# ------------------------------------------------------------------------------------------------------------- BioHit

_BIOHIT_PAIRS = (("dataset", "groundtruth/mask"), ("groundtruth/images", "groundtruth/mask1"), ("origin_Image", "origin_GT"))


def read_biohit(folder: Path) -> Listing:
    """BioHit: photos and outlines made by hand, of the same names."""
    def layout_of(at: Path) -> str | None:
        return next((f"{a} with {b}" for a, b in _BIOHIT_PAIRS if (at / a).is_dir() and (at / b).is_dir()), None)

    root, layout = _root(folder, layout_of, " or ".join(f"{a}/ with {b}/" for a, b in _BIOHIT_PAIRS))
    photos, masks = layout.split(" with ")
    listing = Listing(root, layout, masks_expected=True)
    drawn = _by_stem(_files(root / masks, PHOTO_SUFFIXES), listing.faults)
    shown = _by_stem(_files(root / photos, PHOTO_SUFFIXES), listing.faults)
    listing.faults["annotation_without_photo"] += len(drawn.keys() - shown.keys())
    for stem, name in sorted(shown.items()):
        listing.photos.append(ListedPhoto(f"{photos}/{name}", mask=f"{masks}/{drawn[stem]}" if stem in drawn else None))
    return listing


READERS: Mapping[str, Callable[[Path], Listing]] = MappingProxyType(
    {"tcm-tongue": read_tcm_tongue, "tonguedx": read_tonguedx, "biohit": read_biohit})

import json
import tempfile
from pathlib import Path

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.errors import InputRefused
from tcmstruct.image.refusal import ImageRefused
from tcmstruct.training.photo_files import as_jpeg, is_clean_jpeg
from tcmstruct.training.photo_layouts import list_photos

JPEG = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (72, 80, 3), np.uint8))[1].tobytes()

leaves = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(leaves | st.sampled_from(["a.jpg", "../a.jpg", "x", "liewenshe"]), lambda inner: st.lists(inner, max_size=4))
KEYS = ("id", "image_id", "category_id", "file_name", "bbox", "width", "height", "name")
boxes = st.lists(st.floats(-9, 99) | json_values, min_size=4, max_size=4)
entries = st.lists(st.fixed_dictionaries({}, optional={key: boxes | json_values if key == "bbox" else json_values for key in KEYS})
                   | json_values, max_size=4)
on_a = st.lists(st.fixed_dictionaries({"image_id": st.just(1), "category_id": st.just(1), "bbox": boxes}), max_size=3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(JPEG) - 1), st.integers(0, 255)), max_size=4),
       st.integers(0, len(JPEG)) | st.just(len(JPEG)), st.binary(max_size=8))
def test_whatever_a_jpeg_holds_a_clean_one_comes_out_or_none(changes, end, behind):
    data = bytearray(JPEG)
    for at, value in changes:
        data[at] = value
    try:
        clean, width, height = as_jpeg(bytes(data[:end]) + behind)
    except ImageRefused:
        return
    assert is_clean_jpeg(clean) and min(width, height) >= 64


@settings(max_examples=40, deadline=None)
@given(entries, entries, on_a, entries)
def test_any_coco_table_is_listed_or_refused(images, annotations, of_a, categories):
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "train" / "images").mkdir(parents=True)
        (root / "train" / "annotations").mkdir()
        (root / "train" / "images" / "a.jpg").write_bytes(JPEG)
        table = {"images": [*images, {"id": 1, "file_name": "a.jpg", "width": 80, "height": 72}], "annotations": [*annotations, *of_a],
                 "categories": [*categories, {"id": 1, "name": "liewenshe"}]}
        (root / "train" / "annotations" / "train.json").write_text(json.dumps(table))
        try:
            listing = list_photos("tcm-tongue", root)
        except InputRefused:
            return
        assert [photo.path for photo in listing.photos] == ["train/images/a.jpg"]
        for photo in listing.photos:
            assert all(0 <= box.x0 < box.x1 <= 1 and 0 <= box.y0 < box.y1 <= 1 for box in photo.boxes)

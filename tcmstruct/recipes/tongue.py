"""`tcmstruct tongue IMG…`: what tongue photographs show, a JSON line a photo."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from tcmstruct.errors import UsageError
from tcmstruct.image.examine import TongueExaminer
from tcmstruct.image.refusal import ImageRefused


def examine_photos(photos: Sequence[Path], mask_dir: Path | None = None, model: Path | None = None, stream: Any = None) -> int:
    """Examines photos and writes a JSON line each, in order.

    Args:
        photos: paths of the user's own photos.
        mask_dir: folder for the tongues' outlines (PNG, 0 and 255, as large as the decoded photo), made if missing.
        model: model folder; None takes the shipped one.
        stream: binary stream in place of standard output.

    Returns:
        How many photos could not be decoded or did not pass the gate.

    Raises:
        UsageError: no photo was named, or two of one name would share a mask file.
        ModelError: the model is missing or altered.
    """
    if not photos:
        raise UsageError("no photo was named", where="tongue", hint="tcmstruct tongue IMG…")
    if mask_dir is not None:
        names = [photo.stem for photo in photos]
        if len(set(names)) < len(names):
            raise UsageError("two photos have the same name, and their masks would share a file", where="--mask-dir",
                             code="mask_name_twice", hint="examine them in two runs with two folders")
        mask_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    examiner = TongueExaminer(model)
    out = stream or sys.stdout.buffer
    n_refused = 0
    for photo in photos:
        try:
            found = examiner.examine(photo)
        except ImageRefused as refused:
            line = {"quality": {"status": "refused", "reasons": [refused.reason]}, "attributes": {}, "measures": {}}
        else:
            line = found.to_dict()
            if mask_dir is not None and found.mask is not None:
                _write_mask(found.mask, mask_dir / f"{photo.stem}.png")
        n_refused += line["quality"]["status"] != "ok"
        out.write(orjson.dumps({"image": photo.name, **line}, option=orjson.OPT_APPEND_NEWLINE))
        out.flush()
    return n_refused


def _write_mask(mask: np.ndarray, path: Path) -> None:
    data = cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)

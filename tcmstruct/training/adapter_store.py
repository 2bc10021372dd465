"""Writes an adapter folder: as a whole, or not at all, so that a training that fails leaves the adapter before it untouched."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save

from tcmstruct.errors import UsageError
from tcmstruct.runtime.adapter_folder import MANIFEST, WEIGHTS, Adapter, Manifest, Step, manifest_bytes, open_adapter
from tcmstruct.training.adapters import Adapted, Labels


def write_adapter(adapted: Adapted, out: Path, labels: Labels, learnt: Mapping[Step, Mapping[str, Any]]) -> Adapter:
    """Replaces `out` as a whole by files of 0600 in a folder of 0700: weights that learnt from patients' records are not for everybody.

    Args:
        labels: of what step two trained; {} without a step two.
        learnt: step → what it learnt from.

    Raises:
        UsageError: something that is no adapter stands there.
        ModelError: a weight is not finite.
    """
    refuse_other(out)
    weights = save(adapted.tensors())
    own = tuple(adapted.own()) if "downstream" in adapted.shapes else ()
    manifest = Manifest(format=1, kind=adapted.base.kind, base=adapted.base.fingerprint, labels=dict(labels), steps=adapted.facts(learnt),
                        own=own, sha256=hashlib.sha256(weights).hexdigest(), bytes=len(weights))
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        for name, content in ((WEIGHTS, weights), (MANIFEST, manifest_bytes(manifest))):
            with open(os.open(fresh / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
        open_adapter(fresh)  # what could not be read again is not put in its place
        before = out.with_name(f".{out.name}.before")
        if out.exists():
            out.rename(before)
        fresh.rename(out)
        shutil.rmtree(before, ignore_errors=True)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return open_adapter(out)


def refuse_other(out: Path) -> None:
    """
    Raises:
        UsageError: something that is no adapter stands at `out`.
    """
    if out.exists() and not (out / MANIFEST).is_file():
        raise UsageError("something else stands there", where=out.name, code="out_exists",
                         hint="name a new folder, or an adapter to replace")

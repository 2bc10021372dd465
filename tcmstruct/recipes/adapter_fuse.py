"""`tcmstruct adapter fuse`: base and adapter become plain weights, in a folder of the base's own kind."""

from __future__ import annotations

from pathlib import Path

from tcmstruct.errors import UsageError
from tcmstruct.recipes.adapter_bases import open_base, save_whole
from tcmstruct.runtime.adapter_folder import open_adapter
from tcmstruct.training.adapters import Adapted, Base


def with_adapter(folder: Path, base: Path | None = None) -> Adapted:
    """The base with a stored adapter in it, both steps active.

    Raises:
        ModelError: base or adapter cannot be used, or do not belong together.
    """
    adapter = open_adapter(folder)
    opened: Base = open_base(base)
    adapter.require_base(opened.kind, opened.fingerprint)
    if adapter.manifest.labels:
        opened.take_labels(dict(adapter.manifest.labels))
    adapted = Adapted(opened)
    adapted.load(adapter)
    adapted.train_only()
    opened.network.eval()
    return adapted


def fuse(folder: Path, out: Path, base: Path | None = None) -> Path:
    """Writes base plus adapter to `out`: a model folder in fp32, a checkpoint, or a decoder's folder, as the base is one.

    Raises:
        UsageError: `out` is there already.
        ModelError: as `with_adapter`.
    """
    if out.exists():
        raise UsageError("is there already", where=out.name, code="out_exists", hint="name a new folder")
    adapted = with_adapter(folder, base)
    adapted.fuse()
    save_whole(adapted.base, out)
    return out

"""`tcmstruct adapter info`: an adapter is checked and shown; nothing of it is run, and no torch is needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tcmstruct.errors import ModelError
from tcmstruct.runtime.adapter_folder import base_fingerprint, open_adapter
from tcmstruct.runtime.model_folder import open_folder


def adapter_facts(folder: Path, model: Path | None = None) -> dict[str, Any]:
    """What the manifest says, the number of parameters, and whether it fits a text model (None: the shipped one).

    Raises:
        ModelError: the adapter, or the model, cannot be used.
    """
    adapter, own = open_adapter(folder), open_folder(model)
    shown = adapter.manifest.model_dump(mode="json")
    try:
        adapter.require_base("tagger", base_fingerprint(own), own.card["readouts"])
        fits = "yes"
    except ModelError as error:
        fits = error.what
    return {"name": adapter.name, "fingerprint": adapter.fingerprint, **shown,
            "steps": {step: {**facts, "modules": len(facts["modules"])} for step, facts in shown["steps"].items()},
            "parameters": sum(values.size for values in adapter.tensors.values()), "fits_model": fits}

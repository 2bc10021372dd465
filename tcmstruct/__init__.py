"""tcmstruct: free-text TCM records and tongue photographs → data with evidence. Not a diagnostic device."""

import os
from importlib import import_module
from typing import Any

# onnxruntime's official builds report to their makers over the network and write an identifier into the user's home, unless this stands
# before they are loaded (its Privacy.md, "Disabling Telemetry"). Nothing that runs beside patient records may.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

__version__ = "0.1.0"
__all__ = ["Record", "StructuredRecord", "Structurer", "structure"]

_HOMES = {"structure": "tcmstruct.pipeline", "Structurer": "tcmstruct.pipeline",
          "Record": "tcmstruct.record", "StructuredRecord": "tcmstruct.record"}


def __getattr__(name: str) -> Any:
    # loaded on first use: `tcmstruct --help` need not wait for the model runtime
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'tcmstruct' has no attribute {name!r}")

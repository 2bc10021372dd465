"""`tcmstruct doctor`: is everything there that the main job needs, one verdict a line."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from tcmstruct.batch.resources import WORKER_BYTES, available_bytes, available_cores, default_workers
from tcmstruct.batch.run import tool_version
from tcmstruct.errors import TcmstructError

State = Literal["ok", "note", "broken"]

NEEDED: tuple[tuple[str, str], ...] = (
    ("numpy", "numpy"), ("onnxruntime", "onnxruntime"), ("pydantic", "pydantic"), ("typer", "typer"), ("rich", "rich"),
    ("lxml", "lxml"), ("xlrd", "xlrd"), ("XlsxWriter", "xlsxwriter"), ("orjson", "orjson"),
    ("pyahocorasick", "ahocorasick"), ("jinja2", "jinja2"), ("scipy", "scipy"), ("rapidfuzz", "rapidfuzz"), ("jieba", "jieba"),
    ("opencv-python-headless", "cv2"), ("Pillow", "PIL"),
)
"""(distribution, module) of what the base install brings."""

CPU_FLAGS: tuple[tuple[str, str, str], ...] = (
    ("avx2", "avx2", "vector instructions that every build of onnxruntime wants"),
    ("avx512_vnni", "VNNI", "int8 products at full speed"),
    ("avx512_bf16", "bf16", "bfloat16 products"),
    ("amx_tile", "AMX", "matrix units for int8 and bfloat16"),
)
"""(flag in /proc/cpuinfo, name, what it gives)."""

_OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the verdict: "broken" makes the command fail, "note" does not."""

    state: State
    what: str
    hint: str = ""

    def __str__(self) -> str:
        return f"[{self.state}] {self.what}" + (f" → {self.hint}" if self.hint else "")


def doctor(model: Path | None = None) -> list[Finding]:
    """Looks at the installation.

    Args:
        model: model folder; None looks at the shipped one.

    Returns:
        Findings in a fixed order.
    """
    checks: tuple[Callable[[], list[Finding]], ...] = (
        _python, _packages, lambda: _model(model), lambda: _photo_models(model), _schema, _processor, lambda: _backend(model), _memory,
        _writing)
    return [finding for check in checks for finding in _guarded(check)]


def _guarded(check: Callable[[], list[Finding]]) -> list[Finding]:
    try:
        return check()
    except TcmstructError as error:
        return [Finding("broken", str(error))]
    except Exception as error:
        name = getattr(check, "__name__", "check").strip("_")
        return [Finding("broken", f"{name}: {type(error).__name__}", "reinstall the package")]


def _python() -> list[Finding]:
    ok = sys.version_info[:2] >= _OLDEST_PYTHON
    return [Finding("ok", f"tcmstruct {tool_version()}"),
            Finding("ok" if ok else "broken", f"Python {platform.python_version()} on {platform.system()} "
                    f"{platform.machine()}", "" if ok else "Python 3.11 or later is needed")]


def _packages() -> list[Finding]:
    found = []
    for distribution, module in NEEDED:
        try:
            import_module(module)
            found.append(Finding("ok", f"{distribution} {version(distribution)}"))
        except PackageNotFoundError:
            found.append(Finding("ok", f"{distribution} (version unknown)"))
        except Exception as error:
            found.append(Finding("broken", f"{distribution} cannot be loaded ({type(error).__name__})",
                                 f"pip install {distribution}"))
    return found


def _model(folder: Path | None) -> list[Finding]:
    from tcmstruct.runtime.model_folder import verify_model

    return [Finding("ok", f"model file {name} sha256 {digest[:16]}…") for name, digest in verify_model(folder).items()]


def _photo_models(folder: Path | None) -> list[Finding]:
    from tcmstruct.image.tongue_model import TongueModel
    from tcmstruct.runtime.fusion import Fusion
    from tcmstruct.runtime.model_folder import verify_model

    found = [Finding("ok", f"tongue networks, manifest sha256 {TongueModel().fingerprint[:16]}…")]
    fusion = Fusion()
    if fusion.fits(verify_model(folder)["model.onnx"]):
        return [*found, Finding("ok", f"fusion of text and photo, manifest sha256 {fusion.folder.fingerprint[:16]}…")]
    return [*found, Finding("note", "the fusion was trained with another text model: photos fill open fields by themselves")]


def _backend(folder: Path | None) -> list[Finding]:
    from tcmstruct.runtime.backends import usable
    from tcmstruct.runtime.choice import decide
    from tcmstruct.runtime.model_folder import open_folder

    chosen = decide(open_folder(folder))
    shown = (f"backend {chosen.backend}, {chosen.threads or 'all'} threads, {chosen.file} ({chosen.source}); "
             f"usable here: {', '.join(usable())}")
    return [Finding("ok", shown, "tcmstruct doctor --tune measures what is fastest" if chosen.source == "default" else "")]


def _schema() -> list[Finding]:
    from tcmstruct.schema import load_schema

    return [Finding("ok", f"schema packs: {len(load_schema('all').fields)} fields")]


def _processor() -> list[Finding]:
    cores = available_cores()
    found = [Finding("ok", f"{cores} core{'s' if cores > 1 else ''}")]
    flags = _cpu_flags()
    if flags is None:
        return [*found, Finding("note", "processor flags are not known on this system")]
    has = [name for flag, name, _ in CPU_FLAGS if flag in flags]
    lacks = [f"{name} ({gives})" for flag, name, gives in CPU_FLAGS if flag not in flags]
    found.append(Finding("ok" if "avx2" in has or platform.machine() not in ("x86_64", "AMD64") else "note",
                         f"processor has {', '.join(has) or 'none of the flags asked for'}"
                         + (f"; without {', '.join(lacks)}" if lacks else "")))
    return found


def _cpu_flags() -> set[str] | None:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return None
    return {flag for line in text.splitlines() if line.startswith(("flags", "Features"))
            for flag in line.partition(":")[2].split()}


def _memory() -> list[Finding]:
    free = available_bytes()
    if free is None:
        return [Finding("note", "free memory is not known on this system")]
    shown = f"{free / 1e9:.1f} GB of memory free: --workers {default_workers()}"
    return [Finding("ok", shown) if free >= WORKER_BYTES else Finding("note", shown, "close other programs")]


def _writing() -> list[Finding]:
    found = []
    for name, place in (("current folder", Path.cwd()), ("temporary folder", Path(tempfile.gettempdir()))):
        writable = os.access(place, os.W_OK | os.X_OK)
        state: State = "ok" if writable else "broken" if name == "temporary folder" else "note"
        found.append(Finding(state, f"{name} is {'' if writable else 'not '}writable",
                             "" if writable else "give another folder with -o"))
    return found

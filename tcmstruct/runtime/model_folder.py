"""The shipped model: a folder of plain files with a manifest that is checked before anything is run.

| file | what |
|---|---|
| `manifest.json` | sha256 and size of every other file |
| `card.json` | readouts and their labels, calibration, review threshold, window, data, licences, measured scores, limits |
| `model.onnx` | characters in, scores out |
| `characters.txt` | the character table |
| `lexicon.txt` | the terms behind the lexicon channel |
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcmstruct.errors import ModelError

DEFAULT_FOLDER = Path(__file__).resolve().parents[1] / "models" / "default"
ALLOWED_SUFFIXES = (".onnx", ".json", ".txt", ".tsv", ".md", ".safetensors")
UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")
"""Ends of names of files that may hold a program; none of them is ever opened."""


def refuse_unsafe(folder: Path, suffixes: Sequence[str] = UNSAFE_SUFFIXES, code: str = "model_unsafe_file") -> None:
    """Looks through a folder of weights that has no manifest.

    Raises:
        ModelError: it holds a file that may be a pickled program, whether or not anything would open it.
    """
    for place in sorted(folder.rglob("*")):
        if place.name.lower().endswith(tuple(suffixes)):
            raise ModelError(f"{place.name} is of a kind that is never loaded: it can run a program", where=folder.name, code=code,
                             hint="ask for safetensors, and take this file out")


@dataclass(frozen=True)
class ModelFolder:
    """A verified model folder.

    Attributes:
        path: the folder.
        card: content of `card.json`.
        fingerprint: sha256 of `manifest.json`, which names every other file's sha256.
        sha256: of every other file.
    """

    path: Path
    card: dict[str, Any]
    fingerprint: str
    sha256: dict[str, str]


def sha256_of(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: Path) -> None:
    """Writes `manifest.json` for all other files of `folder`."""
    files = {p.name: {"sha256": sha256_of(p), "bytes": p.stat().st_size}
             for p in sorted(folder.iterdir()) if p.is_file() and p.name != "manifest.json"}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "files": files}, indent=1) + "\n", encoding="utf-8")


def amend_card(folder: Path, **changes: Any) -> None:
    """Changes keys of `card.json`, and the manifest with it."""
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (folder / "card.json").write_text(json.dumps({**card, **changes}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    write_manifest(folder)


@contextmanager
def replacing(out: Path, card: Mapping[str, Any]) -> Iterator[Path]:
    """A new folder to write a model's files into: with its card and manifest it takes the place of `out` as a whole; where
    something fails on the way, `out` is what it was."""
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=out.parent))
    try:
        yield fresh
        (fresh / "card.json").write_text(json.dumps(card, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        write_manifest(fresh)
        for file in fresh.iterdir():
            file.chmod(0o644)  # part of a package, not a result
        fresh.chmod(0o755)
        if out.exists():
            shutil.rmtree(out)
        fresh.rename(out)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise


TEXT_FILES = ("card.json", "model.onnx", "characters.txt")


def open_folder(path: Path | None = None, needed: Sequence[str] = TEXT_FILES) -> ModelFolder:
    """Checks every file against the manifest.

    Args:
        path: None takes the shipped text model.
        needed: files without which it is no such model.

    Raises:
        ModelError: a file is missing, altered, not listed, or of a kind that is never loaded (pickle).
    """
    folder = path or DEFAULT_FOLDER
    manifest_path = folder / "manifest.json"
    if not manifest_path.is_file():
        raise ModelError("manifest.json is missing", where=str(folder), code="model_missing",
                         hint="reinstall the package, or give a folder that `tcmstruct train` wrote")
    try:
        files = json.loads(manifest_path.read_text(encoding="utf-8"))["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"manifest.json cannot be read ({type(error).__name__})", where=str(folder)) from None
    for present in sorted(p.name for p in folder.iterdir() if p.is_file()):
        if not present.endswith(ALLOWED_SUFFIXES):
            raise ModelError(f"{present} is of a kind that is never loaded", where=str(folder), code="model_unsafe_file",
                             hint=f"allowed: {', '.join(ALLOWED_SUFFIXES)}")
    for name, expected in files.items():
        if not (folder / name).is_file():
            raise ModelError(f"{name} is missing", where=str(folder), code="model_missing", hint="reinstall the package")
        found = sha256_of(folder / name)
        if found != expected["sha256"]:
            raise ModelError(f"{name} was altered: sha256 {found[:12]}…, manifest says {expected['sha256'][:12]}…",
                             where=str(folder), code="model_altered", hint="reinstall the package")
    for name in needed:
        if name not in files:
            raise ModelError(f"{name} is not listed in manifest.json", where=str(folder), code="model_missing")
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    return ModelFolder(folder, card, sha256_of(manifest_path), {name: expected["sha256"] for name, expected in files.items()})


def verify_model(path: Path | None = None) -> dict[str, str]:
    """File → sha256 of a folder that passed `open_folder` (for `tcmstruct doctor`)."""
    return open_folder(path).sha256

"""`tcmstruct bundle`: all that a machine without internet needs in one zip: wheels, model, hashes, install scripts.

This is the one command that uses the network, through pip, and it reads no record.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from packaging.utils import parse_wheel_filename

import tcmstruct
from tcmstruct.errors import UsageError
from tcmstruct.recipes import bundle_install
from tcmstruct.recipes.bundle_wheels import collect, target_of
from tcmstruct.runtime.model_folder import open_folder, sha256_of
from tcmstruct.whole_file import whole_file

FOLDER = "tcmstruct-bundle"
"""Everything in the zip stands in this folder."""

_NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "out", "runs", "tests", "docs", "benchmarks")
"""Left out when the source is copied for building; a `build` of before would put modules into the wheel that are no more."""

_SH = """\
#!/bin/sh
# Checks every file of this folder, then installs. 先核对每个文件，再安装。
here=$(dirname "$0")
for python in "${PYTHON:-}" python@PYTHON@ python3 python; do
  if [ -n "$python" ] && command -v "$python" >/dev/null 2>&1; then exec "$python" -I -B "$here/install.py" "$@"; fi
done
echo "Python @PYTHON@ was not found 未找到 Python @PYTHON@: PYTHON=/path/to/python sh install.sh" >&2
exit 1
"""
_BAT = """\
@echo off
rem Checks every file of this folder, then installs.
if defined PYTHON ("%PYTHON%" -I -B "%~dp0install.py" %*) else (py -@PYTHON@ -I -B "%~dp0install.py" %*)
exit /b %errorlevel%
"""


@dataclass(frozen=True)
class Bundled:
    """What was packed.

    Attributes:
        out: the zip.
        wheels: names of its wheels.
        manifest_sha256: sha256 of the manifest, which names every other file's; the one number to carry by another way.
    """

    out: Path
    wheels: tuple[str, ...]
    manifest_sha256: str


def bundle(out: Path, *, extras: Sequence[str] = (), python: str | None = None, platform: str | None = None,
           source: str | None = None, model: Path | None = None, fresh: bool = False) -> Bundled:
    """Packs this program, all that it depends on, and the model.

    Args:
        out: the zip to write.
        extras: of this program, such as "serve".
        python: version on the machine without internet; None is this one's.
        platform: its platform tag; None is this machine's.
        source: this program as a folder, a wheel or a requirement; None finds where it was installed from.
        model: a model folder of one's own, packed beside the shipped one.
        fresh: replace `out`.

    Raises:
        UsageError: `out` is there already; an option that is not understood.
        ModelError: the model is not the one its manifest names.
        TcmstructError: pip could not find or build a wheel (`pip_failed`).
    """
    if out.exists() and not fresh:
        raise UsageError("is there already", where=out.name, hint="give another name, or --fresh")
    if not out.resolve().parent.is_dir():
        raise UsageError("no such folder", where=str(out.parent))
    target = target_of(python, platform)
    shipped = open_folder(None).fingerprint
    own = open_folder(model).fingerprint if model is not None else None
    with tempfile.TemporaryDirectory() as work:
        root = Path(work) / FOLDER
        (root / "wheels").mkdir(parents=True)
        collect(root / "wheels", _source(source, Path(work) / "source"), extras, target)
        if model is not None:
            shutil.copytree(model, root / "model")
        _write_scripts(root, target.python)
        (root / "requirements.txt").write_text(_requirements_txt(root / "wheels"), "utf-8")
        manifest = {
            "format": 1, "tool": "tcmstruct", "version": tcmstruct.__version__, "python": target.python, "system": target.system,
            "machine": target.machine, "platform": target.tags[0] if platform else "", "extras": sorted(extras),
            "model": shipped, "own_model": own,
            "files": {path.relative_to(root).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
                      for path in sorted(root.rglob("*")) if path.is_file()},
        }
        (root / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")
        _zip(root, out)
        return Bundled(out, tuple(sorted(path.name for path in (root / "wheels").iterdir())), sha256_of(root / "manifest.json"))


def _source(given: str | None, copy: Path) -> str:
    """What pip is to make this program's wheel from. A folder is copied: building leaves files behind in the one it works in."""
    place = given or _origin()
    if not Path(place).is_dir():
        return place
    if not (Path(place) / "pyproject.toml").is_file():
        raise UsageError(f"--source {place}: holds no pyproject.toml", hint="the folder of tcmstruct's source, or its wheel")
    shutil.copytree(place, copy, ignore=_NOT_SOURCE)
    return str(copy)


def _origin() -> str:
    """The folder or wheel that this program was installed from, else its name and version for the index."""
    folder = Path(tcmstruct.__file__).resolve().parents[1]
    if (folder / "pyproject.toml").is_file():
        return str(folder)
    try:
        told = distribution("tcmstruct").read_text("direct_url.json")
    except PackageNotFoundError:
        told = None
    if told:
        path = Path(url2pathname(urlsplit(json.loads(told)["url"]).path))
        if not path.exists():
            raise UsageError(f"tcmstruct was installed from {path}, which is no more", hint="give its source or wheel with --source")
        return str(path)
    return f"tcmstruct=={tcmstruct.__version__}"


def _requirements_txt(wheels: Path) -> str:
    """Every wheel but pip's own by version and hash, as `pip install --require-hashes` reads it."""
    lines = []
    for wheel in sorted(wheels.glob("*.whl")):
        name, version, *_ = parse_wheel_filename(wheel.name)
        if name != "pip":
            lines.append(f"{name}=={version} --hash=sha256:{sha256_of(wheel)}")
    return "\n".join(lines) + "\n"


def _write_scripts(root: Path, python: str) -> None:
    (root / "install.py").write_bytes(Path(bundle_install.__file__).read_bytes())
    (root / "install.sh").write_text(_SH.replace("@PYTHON@", python), "utf-8", newline="\n")
    (root / "install.bat").write_text(_BAT.replace("@PYTHON@", python), "utf-8", newline="\r\n")
    readme = (Path(__file__).with_name("bundle_readme.txt")).read_text("utf-8")
    (root / "README.txt").write_text(readme.replace("@PYTHON@", python), "utf-8-sig", newline="\r\n")  # for Notepad too


def _zip(root: Path, out: Path) -> None:
    """Stored, since wheels are compressed already; paths in order, without the times of this run."""
    with whole_file(out) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for path in sorted(root.rglob("*")):
            if path.is_file():
                entry = zipfile.ZipInfo(f"{FOLDER}/{path.relative_to(root).as_posix()}", (1980, 1, 1, 0, 0, 0))
                entry.external_attr = (0o755 if path.suffix == ".sh" else 0o644) << 16
                with archive.open(entry, "w") as packed, path.open("rb") as content:
                    shutil.copyfileobj(content, packed, 1 << 20)


def tell(done: Bundled) -> None:
    """What was packed, and the number that should reach the other machine by another way, on stderr."""
    print(f"bundle written to {done.out}: {len(done.wheels)} wheels, {done.out.stat().st_size / 1e6:,.0f} MB\n"
          f"sha256 of its manifest.json: {done.manifest_sha256}\n"
          "there: unpack, then `sh install.sh --expect SHA256` or `install.bat --expect SHA256`", file=sys.stderr)

"""Installs a bundle on a machine without internet: this file travels inside of every bundle and runs there with nothing but Python.

Nothing is run or installed before every file has the size and sha256 that `manifest.json` names. Only the standard library is used, and
no syntax that an older Python could not read: it has to be able to say that Python is too old.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import venv
from pathlib import Path

MACHINES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}
"""One name for a processor, however a system spells it."""


class Refused(Exception):
    """The bundle, or the machine, is not what it has to be; nothing was installed."""


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def verify(root: Path, expected: str = "") -> dict:
    """Compares every file of the bundle with its manifest.

    Args:
        root: the unpacked bundle.
        expected: sha256 of `manifest.json` as `tcmstruct bundle` printed it, on paper or by telephone; empty: not compared.

    Returns:
        The manifest.

    Raises:
        Refused: a file is missing, altered, or not named by the manifest.
    """
    manifest_file = root / "manifest.json"
    if not manifest_file.is_file():
        raise Refused("manifest.json is missing: unpack the whole bundle")
    found = sha256_of(manifest_file)
    if expected and found != expected.lower():
        raise Refused(f"manifest.json has sha256 {found}, expected {expected}")
    manifest = json.loads(manifest_file.read_text("utf-8"))
    files = manifest["files"]
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file() or path.is_symlink()} - {"manifest.json"}
    for name in sorted(there - set(files)):
        raise Refused(f"{name} is not named by manifest.json: unpack into an empty folder")
    for name, known in sorted(files.items()):
        path = root / name
        if name not in there or path.is_symlink():
            raise Refused(f"{name} is missing")
        if path.stat().st_size != known["bytes"] or sha256_of(path) != known["sha256"]:
            raise Refused(f"{name} was altered or damaged on its way: copy the bundle again")
    print(f"ok   {len(files)} files as manifest.json says; sha256 of manifest.json: {found}", flush=True)
    return manifest


def fits(manifest: dict) -> None:
    """
    Raises:
        Refused: this Python or this machine is not the one that the bundle was made for.
    """
    python = "{}.{}".format(*sys.version_info[:2])
    if python != manifest["python"]:
        raise Refused("this is Python {}, the bundle is for Python {}: run it with that one".format(python, manifest["python"]))
    here = (platform.system(), MACHINES.get(platform.machine().lower(), platform.machine().lower()))
    made_for = (manifest["system"], manifest["machine"])
    if here != made_for:
        raise Refused(f"this is {here[0]} on {here[1]}, the bundle is for {made_for[0]} on {made_for[1]}")


def install(root: Path, manifest: dict, place: Path) -> Path:
    """Makes a venv and installs the wheels into it, by their hashes, from the folder alone.

    Returns:
        The venv's Python.

    Raises:
        Refused: `place` is there already, or pip could not install.
    """
    if place.exists():
        raise Refused(f"{place} is there already: give another place with --venv, or remove it")
    venv.EnvBuilder(with_pip=False).create(str(place))  # Debian's Python has no ensurepip of its own
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    (pip,) = [name for name in manifest["files"] if name.startswith("wheels/pip-")]
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    code = subprocess.call([str(python), str(root / pip / "pip"), "--isolated", "install", "--quiet", "--disable-pip-version-check",
                            "--no-index", "--find-links", str(root / "wheels"), "--require-hashes",
                            "--requirement", str(root / "requirements.txt")], env=plain)
    if code:
        raise Refused("pip could not install the wheels; what it said stands above")
    return python


def main() -> int:
    arguments = argparse.ArgumentParser(description="Installs tcmstruct from this folder. 从本文件夹离线安装。")
    arguments.add_argument("--venv", type=Path, help="folder to make; tcmstruct-venv beside this one 安装位置")
    arguments.add_argument("--expect", default="", metavar="SHA256", help="sha256 of manifest.json, as `tcmstruct bundle` printed it")
    arguments.add_argument("--verify-only", action="store_true", help="only compare the files 只核对，不安装")
    options = arguments.parse_args()
    root = Path(__file__).resolve().parent
    try:
        manifest = verify(root, options.expect)
        if options.verify_only:
            return 0
        fits(manifest)
        python = install(root, manifest, options.venv or root.parent / "tcmstruct-venv")  # within the bundle it would be a file too many
    except Refused as refusal:
        print(f"REFUSED 已拒绝: {refusal}", file=sys.stderr)
        return 4
    own = ["--model", str(root / "model")] if manifest.get("own_model") else []
    code = subprocess.call([str(python), "-m", "tcmstruct", "doctor", *own])
    print("installed 已安装: {}".format(python.with_name("tcmstruct")), flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())

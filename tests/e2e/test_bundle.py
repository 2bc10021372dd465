"""`tcmstruct bundle`, installed in a new venv without an index, answers; a bundle with one byte changed installs nothing."""

import json
import os
import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import pytest

from tcmstruct import cli
from tcmstruct.recipes.bundle import FOLDER

NO_INDEX = {"PIP_NO_INDEX": "1", "PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    """A bundle for this machine, packed by the command."""
    folder = tmp_path_factory.mktemp("bundle")
    probe = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder / "probe", "filelock"],
                           capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("pip reaches no index here: a bundle is made where there is one")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert cli.run(["bundle", "-o", "tcmstruct-bundle.zip"]) == 0
    with zipfile.ZipFile(folder / "tcmstruct-bundle.zip") as file:
        file.extractall(folder)
    (folder / "tcmstruct-bundle.zip").unlink()
    return folder / FOLDER


def installer(root: Path, *options: object):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | NO_INDEX
    return subprocess.run(["sh", root / "install.sh", *map(str, options)], env={**environment, "PYTHON": sys.executable},
                          capture_output=True, text=True, check=False, timeout=300)


def test_one_changed_byte_installs_nothing(unpacked, tmp_path):
    (wheel,) = (unpacked / "wheels").glob("tcmstruct-*.whl")
    whole = wheel.read_bytes()
    wheel.write_bytes(whole[:1000] + bytes([whole[1000] ^ 1]) + whole[1001:])
    try:
        done = installer(unpacked, "--venv", tmp_path / "venv")
    finally:
        wheel.write_bytes(whole)
    assert done.returncode == 4 and f"{wheel.name} was altered" in done.stderr and not (tmp_path / "venv").exists()


@pytest.mark.skipif(os.name == "nt", reason="install.sh is for Linux")
def test_it_installs_without_an_index_and_answers(unpacked, tmp_path):
    known = sha256((unpacked / "manifest.json").read_bytes()).hexdigest()
    done = installer(unpacked, "--venv", tmp_path / "venv", "--expect", known)
    assert done.returncode == 0, done.stderr
    assert f"sha256 of manifest.json: {known}" in done.stdout and "[broken]" not in done.stdout
    program = tmp_path / "venv" / "bin" / "tcmstruct"
    call = [program, "structure", "咳嗽3天，无发热。舌红，苔黄腻，脉滑数。"]
    answer = subprocess.run(call, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    fields = json.loads(answer.stdout)["fields"]
    assert fields["苔色"]["value"] == ["黄"] and fields["有无发热"]["value"] == "无"

"""What a bundle's own installer takes and refuses; the bundle here is a folder of small files."""

import json
import platform
import sys

import pytest

from tcmstruct.recipes import bundle_install
from tcmstruct.recipes.bundle_install import Refused, fits, install, main, sha256_of, verify


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "tcmstruct-bundle"
    (root / "wheels").mkdir(parents=True)
    for name in ("wheels/pip-1-py3-none-any.whl", "wheels/a-1-py3-none-any.whl", "requirements.txt", "install.py"):
        (root / name).write_bytes(name.encode())
    machine = platform.machine().lower()
    write_manifest(root, python="{}.{}".format(*sys.version_info[:2]), system=platform.system(),
                   machine=bundle_install.MACHINES.get(machine, machine))
    return root


def write_manifest(root, **known):
    files = {path.relative_to(root).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
             for path in root.rglob("*") if path.is_file() and path.name != "manifest.json"}
    (root / "manifest.json").write_text(json.dumps({**known, "files": files}), "utf-8")


def altered(root):
    (root / "wheels" / "a-1-py3-none-any.whl").write_bytes(b"wheels/b-1-py3-none-any.whl")


def longer(root):
    with (root / "requirements.txt").open("ab") as file:
        file.write(b"evil==1\n")


def linked(root):
    (root / "install.py").rename(root.parent / "kept")
    (root / "install.py").symlink_to(root.parent / "kept")


@pytest.mark.parametrize(("harm", "told"), [
    (altered, "a-1-py3-none-any.whl was altered"),
    (longer, "requirements.txt was altered"),
    (lambda root: (root / "wheels" / "a-1-py3-none-any.whl").unlink(), "a-1-py3-none-any.whl is missing"),
    (lambda root: (root / "wheels" / "a-2-py3-none-any.whl").write_bytes(b""), "a-2-py3-none-any.whl is not named"),
    (linked, "install.py is missing"),
    (lambda root: (root / "manifest.json").unlink(), "manifest.json is missing"),
])
def test_a_bundle_that_was_changed_is_refused(folder, harm, told, capsys):
    assert verify(folder)["python"]
    harm(folder)
    with pytest.raises(Refused, match=told):
        verify(folder)


def test_another_manifest_is_refused_where_its_sha256_is_known(folder):
    known = sha256_of(folder / "manifest.json")
    verify(folder, known.upper())
    altered(folder)
    write_manifest(folder, python="3.11")
    verify(folder)  # it agrees with itself
    with pytest.raises(Refused, match=f"expected {known}"):
        verify(folder, known)


@pytest.mark.parametrize(("key", "value", "told"), [("python", "2.7", "the bundle is for Python 2.7"), ("system", "Plan9", "for Plan9 on"),
                                                    ("machine", "vax", "on vax")])
def test_another_machine_is_refused(folder, key, value, told):
    manifest = verify(folder)
    fits(manifest)
    with pytest.raises(Refused, match=told):
        fits({**manifest, key: value})


def test_nothing_that_is_there_is_overwritten(folder, tmp_path):
    with pytest.raises(Refused, match="is there already"):
        install(folder, verify(folder), tmp_path)


def test_a_refusal_comes_before_anything_is_made(folder, tmp_path, monkeypatch, capsys):
    altered(folder)
    monkeypatch.setattr(bundle_install, "__file__", str(folder / "install.py"))
    monkeypatch.setattr(sys, "argv", ["install.py", "--venv", str(tmp_path / "venv")])
    assert main() == 4 and not (tmp_path / "venv").exists()
    assert "REFUSED" in capsys.readouterr().err

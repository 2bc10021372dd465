"""Which wheels another machine needs, told from the wheels' own metadata; no index is asked."""

import re
import subprocess
import zipfile
from hashlib import sha256

import pytest

from tcmstruct.errors import TcmstructError, UsageError
from tcmstruct.recipes import bundle_wheels
from tcmstruct.recipes.bundle import _requirements_txt, _write_scripts, bundle
from tcmstruct.recipes.bundle_wheels import collect, target_of


def wheel(folder, name, version="1", requires=(), extras=(), tag="py3-none-any"):
    path = folder / f"{name}-{version}-{tag}.whl"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *(f"Requires-Dist: {r}" for r in requires),
             *(f"Provides-Extra: {e}" for e in extras)]
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name}-{version}.dist-info/METADATA", "\n".join(lines) + "\n\n说明")
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """An index with the program, a command line library that wants colorama on Windows, and what the extra brings."""
    shelf = tmp_path / "index"
    shelf.mkdir()
    wheel(shelf, "program", requires=["line>=1", "server>=2; extra == 'serve'", "old; python_version < '3.12'"], extras=["serve"])
    wheel(shelf, "line", requires=["colorama>=0.4; platform_system == 'Windows'", "unix; sys_platform != 'win32'"])
    for name in ("colorama", "unix", "old", "pip"):
        wheel(shelf, name)
    wheel(shelf, "server", "2", requires=["fast[all]"])
    wheel(shelf, "fast", requires=["extra-of-fast; extra == 'all'"], extras=["all"])
    wheel(shelf, "extra_of_fast")

    def pip(command, *arguments):
        """As pip does it: requirements are resolved with the markers of *this* machine."""
        to = arguments[arguments.index("--dest" if command == "download" else "--wheel-dir") + 1]
        for wanted in (argument for argument in arguments if isinstance(argument, str)):  # options find nothing on the shelf
            name = "program" if "program" in wanted else re.match(r"[\w-]*", wanted)[0].replace("-", "_")
            names = {"program": ["line", "unix", "old"]}.get(name, [name]) if "--no-deps" not in arguments else [name]
            for one in names:
                for path in shelf.glob(f"{one}-*.whl"):
                    (to / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(bundle_wheels, "_pip", pip)
    return shelf


def names(folder):
    return sorted(path.name.partition("-")[0] for path in folder.iterdir())


@pytest.mark.parametrize(("python", "platform", "extras", "expected"), [
    ("3.11", "manylinux_2_28_x86_64", [], ["line", "old", "pip", "program", "unix"]),
    ("3.12", "manylinux_2_28_x86_64", [], ["line", "pip", "program", "unix"]),
    ("3.12", "win_amd64", [], ["colorama", "line", "pip", "program"]),
    ("3.12", "win_amd64", ["serve"], ["colorama", "extra_of_fast", "fast", "line", "pip", "program", "server"]),
])
def test_requirements_are_read_as_the_other_machine_reads_them(index, tmp_path, python, platform, extras, expected):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    collect(wheels, "program", extras, target_of(python, platform))
    assert names(wheels) == expected


def test_a_program_with_compiled_code_is_not_made_for_another_machine(index, tmp_path):
    (index / "program-1-py3-none-any.whl").rename(index / "program-1-cp311-cp311-linux_x86_64.whl")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with pytest.raises(TcmstructError, match="compiled code"):
        collect(wheels, "program", [], target_of("3.11", "win_amd64"))


@pytest.mark.parametrize(("platform", "system", "machine", "also"), [
    ("manylinux_2_28_x86_64", "Linux", "x86_64", {"manylinux_2_17_x86_64", "manylinux2014_x86_64"}),
    ("manylinux_2_28_aarch64", "Linux", "aarch64", {"manylinux_2_17_aarch64"}),
    ("manylinux2014_x86_64", "Linux", "x86_64", set()),
    ("win_amd64", "Windows", "x86_64", set()),
    ("macosx_12_0_arm64", "Darwin", "aarch64", {"macosx_11_0_arm64"}),
])
def test_a_platform_takes_older_tags_too(platform, system, machine, also):
    target = target_of("3.11", platform)
    assert (target.system, target.machine, target.tags[0]) == (system, machine, platform)
    assert also <= set(target.tags) and "manylinux_2_29_x86_64" not in target.tags


@pytest.mark.parametrize(("python", "platform"), [("3", None), ("eleven", None), (None, "amiga_68k"), (None, "manylinux")])
def test_what_is_no_machine_is_refused(python, platform):
    with pytest.raises(UsageError, match="not a "):
        target_of(python, platform)


def test_a_bundle_that_is_there_stays(tmp_path):
    (tmp_path / "b.zip").write_bytes(b"kept")
    with pytest.raises(UsageError, match="is there already"):
        bundle(tmp_path / "b.zip")
    with pytest.raises(UsageError, match=r"no pyproject\.toml"):
        bundle(tmp_path / "c.zip", source=str(tmp_path))
    assert (tmp_path / "b.zip").read_bytes() == b"kept" and not (tmp_path / "c.zip").exists()


def test_the_scripts_call_the_python_that_the_wheels_are_for(tmp_path):
    _write_scripts(tmp_path, "3.12")
    shell, batch = (tmp_path / "install.sh").read_bytes(), (tmp_path / "install.bat").read_bytes()
    assert subprocess.run(["sh", "-n", tmp_path / "install.sh"], check=False).returncode == 0
    assert b"python3.12" in shell and b"\r" not in shell and b"py -3.12" in batch and batch.count(b"\r\n") == batch.count(b"\n")
    readme = (tmp_path / "README.txt").read_text("utf-8-sig")
    assert "Python 3.12" in readme and "@" not in shell.decode().replace("$@", "") + readme
    for option in re.findall(r"--[a-z-]+", readme):
        assert option in ("--help", *re.findall(r"--[a-z-]+", (tmp_path / "install.py").read_text("utf-8")))


def test_every_wheel_but_pip_is_required_by_its_hash(index):
    lines = _requirements_txt(index).splitlines()
    assert lines[0] == f"colorama==1 --hash=sha256:{sha256((index / 'colorama-1-py3-none-any.whl').read_bytes()).hexdigest()}"
    assert len(lines) == len(list(index.iterdir())) - 1 and not any(line.startswith("pip==") for line in lines)

"""The wheels of a bundle: pip finds and builds them; what the machine they are for needs is worked out here.

pip can download for another system, but asks its own machine where a requirement depends on the system (pip's issue 4304): for Windows
it leaves colorama out. So the requirements of all wheels are read again as that machine would read them, until nothing is missing.
"""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.parser import HeaderParser
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.tags import mac_platforms, platform_tags
from packaging.utils import canonicalize_name, parse_wheel_filename

from tcmstruct.errors import TcmstructError, UsageError
from tcmstruct.recipes.bundle_install import MACHINES

BUILT_HERE: tuple[str, ...] = ("jieba",)
"""Requirements that the index has as source only. They hold no compiled code, so a wheel built on any machine serves all."""

_SYSTEMS: tuple[tuple[str, str, str, str], ...] = (
    (r"win_(?P<arch>amd64|arm64)|win32", "Windows", "win32", "nt"),
    (r"(?:manylinux|musllinux)(?:_\d+_(?P<minor>\d+)|\d+)_(?P<arch>\w+)|linux_(?P<machine>\w+)", "Linux", "linux", "posix"),
    (r"macosx_(?P<major>\d+)_(?P<minor>\d+)_(?P<arch>\w+)", "Darwin", "darwin", "posix"),
)
"""(platform tag, `platform.system()`, `sys.platform`, `os.name`)."""

_MOST_ROUNDS = 10


@dataclass(frozen=True)
class Target:
    """The machine that a bundle is for.

    Attributes:
        python: its version, "3.11".
        tags: platform tags that its pip accepts, best first; empty: it is like this machine.
        system: as `platform.system()` gives it there.
        machine: x86_64, aarch64 …
        environment: what markers of requirements are compared with.
    """

    python: str
    tags: tuple[str, ...]
    system: str
    machine: str
    environment: Mapping[str, str]


def target_of(python: str | None, platform: str | None) -> Target:
    """
    Args:
        python: "3.11"; None is this Python.
        platform: a platform tag as wheels have it, such as manylinux_2_28_x86_64 or win_amd64; None is this machine.

    Raises:
        UsageError: not a version or not a platform tag.
    """
    here = default_environment()
    version = python or here["python_version"]
    if not re.fullmatch(r"3\.\d+", version):
        raise UsageError(f"--python {version}: not a version", hint="such as 3.11")
    known = dict(here) if version == here["python_version"] else {**here, "python_version": version, "python_full_version": f"{version}.0"}
    if platform is None:
        tags = () if version == here["python_version"] else tuple(platform_tags())
        machine = here["platform_machine"].lower()
        return Target(version, tags, here["platform_system"], MACHINES.get(machine, machine), known)
    for pattern, system, sys_platform, os_name in _SYSTEMS:
        found = re.fullmatch(pattern, platform)
        if found:
            parts = {name: value for name, value in found.groupdict().items() if value}
            machine = parts.get("arch") or parts.get("machine") or "x86"
            known |= {"sys_platform": sys_platform, "platform_system": system, "os_name": os_name,
                      "platform_machine": machine.upper() if system == "Windows" else machine}
            return Target(version, tuple(_accepted(platform, parts)), system, MACHINES.get(machine, machine), known)
    raise UsageError(f"--platform {platform}: not a platform that is known",
                     hint="such as manylinux_2_28_x86_64, manylinux_2_28_aarch64, win_amd64, macosx_12_0_arm64")


def _accepted(platform: str, parts: Mapping[str, str]) -> Iterator[str]:
    """The tag and those older ones that the same machine takes as well."""
    yield platform
    if platform.startswith("manylinux_2_"):
        yield from (f"manylinux_2_{minor}_{parts['arch']}" for minor in range(int(parts["minor"]) - 1, 4, -1))
        yield from (f"manylinux{year}_{parts['arch']}" for year in ("2014", "2010", "1"))
        yield f"linux_{parts['arch']}"
    elif platform.startswith("macosx_"):
        yield from mac_platforms((int(parts["major"]), int(parts["minor"])), parts["arch"])


def collect(wheels: Path, source: str, extras: Sequence[str], target: Target) -> None:
    """Fills `wheels` with all that `pip install` of this program needs on the target, and pip itself.

    Args:
        wheels: an empty folder.
        source: this program: a folder with its source, a wheel, or a requirement for the index.
        extras: of this program.

    Raises:
        TcmstructError: pip could not find or build a wheel (`pip_failed`).
    """
    own = _own_wheel(wheels, source)
    wanted = f"{own}[{','.join(extras)}]" if extras else str(own)
    _pip("download", "--only-binary=:all:", "--no-deps", "--dest", wheels, "pip")
    if target.tags:
        needs = {canonicalize_name(r.name): str(r) for r in _requirements(own, extras, target.environment)}
        for name in BUILT_HERE:
            if name in needs:
                _pip("wheel", "--no-deps", "--wheel-dir", wheels, needs[name])
        for other in (own, *(w for w in wheels.iterdir() if w != own)):
            if not any(tag.platform == "any" for tag in parse_wheel_filename(other.name)[3]):
                raise TcmstructError(f"{other.name} holds compiled code: it cannot be made for another machine", code="pip_failed")
        _download(wheels, target, [wanted])
    else:
        _pip("wheel", "--wheel-dir", wheels, "--find-links", wheels, wanted)
    for _ in range(_MOST_ROUNDS):
        missing, unused = _closure(wheels, own, extras, target.environment)
        for wheel in unused:
            wheel.unlink()
        if not missing:
            return
        _download(wheels, target, missing)
    raise TcmstructError("the requirements of the wheels do not come to an end", code="pip_failed")


def _own_wheel(wheels: Path, source: str) -> Path:
    _pip("wheel", "--no-deps", "--wheel-dir", wheels, source)
    (wheel,) = wheels.glob("*.whl")
    return wheel


def _download(wheels: Path, target: Target, requirements: Sequence[str]) -> None:
    options: list[str | Path] = ["--only-binary=:all:", "--find-links", wheels, "--dest", wheels]
    if target.tags:
        options += ["--python-version", target.python, "--implementation", "cp", *(o for tag in target.tags for o in ("--platform", tag))]
    _pip("download", *options, *requirements)


def _closure(wheels: Path, own: Path, extras: Sequence[str], environment: Mapping[str, str]) -> tuple[list[str], list[Path]]:
    """Requirements that no wheel meets, and wheels that nothing requires (pip's own stays)."""
    there = {parse_wheel_filename(wheel.name)[0]: wheel for wheel in wheels.glob("*.whl")}
    missing: list[str] = []
    used = {own, there[canonicalize_name("pip")]}
    done: set[tuple[Path, str]] = set()
    waiting = [(own, extra) for extra in ("", *extras)]
    while waiting:
        wheel, extra = waiting.pop()
        if (wheel, extra) in done:
            continue
        done.add((wheel, extra))
        for requirement in _requirements(wheel, [extra], environment):
            other = there.get(canonicalize_name(requirement.name))
            if other is None or not requirement.specifier.contains(parse_wheel_filename(other.name)[1], prereleases=True):
                missing.append(str(requirement))
                continue
            used.add(other)
            waiting += [(other, name) for name in ("", *requirement.extras)]
    return sorted(set(missing)), sorted(set(there.values()) - used)


def _requirements(wheel: Path, extras: Sequence[str], environment: Mapping[str, str]) -> list[Requirement]:
    """What a wheel requires on a machine of this environment, with these extras, markers taken off."""
    found = []
    for line in HeaderParser().parsestr(metadata_of(wheel)).get_all("Requires-Dist", []):
        requirement = Requirement(line)
        marker, requirement.marker = requirement.marker, None
        if marker is None or any(marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)):
            found.append(requirement)
    return found


def metadata_of(wheel: Path) -> str:
    """METADATA of a wheel."""
    with zipfile.ZipFile(wheel) as file:
        (name,) = (name for name in file.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
        return file.read(name).decode("utf-8")


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", arguments[0], "--quiet", "--no-input", "--disable-pip-version-check", *arguments[1:]]
    if subprocess.run([str(part) for part in command], stdout=sys.stderr.fileno(), check=False).returncode:
        raise TcmstructError(f"pip {arguments[0]} failed; what it said stands above", code="pip_failed",
                             hint="this command needs the internet, and pip in the Python that runs it")

"""The systemd unit: systemd itself finds no fault in it, and it keeps the service in."""

import re
import shlex
import shutil
import subprocess

import pytest
from doc_commands import Line, fault_of
from doc_pages import ROOT

UNIT = ROOT / "deploy" / "tcmstruct.service"
MOST_EXPOSURE = 15  # tenths, of 100


@pytest.fixture
def service():
    """Name → values of [Service]; a name may come more than once."""
    lines = [line.partition("=") for line in UNIT.read_text("utf-8").splitlines() if "=" in line and not line.startswith("#")]
    found = {}
    for name, _, value in lines:
        found.setdefault(name, []).append(value)
    return found


def analyze(unit, tmp_path, *command):
    """Asks systemd about a copy whose program is there."""
    copy = tmp_path / "tcmstruct.service"
    copy.write_text(unit.replace("/opt/tcmstruct/bin/tcmstruct", "/bin/true"), "utf-8")
    return subprocess.run(["systemd-analyze", *command, str(copy)], capture_output=True, text=True, check=False, timeout=60)


needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


@needs_systemd
def test_systemd_finds_no_fault(tmp_path):
    text = UNIT.read_text("utf-8")
    done = analyze(text, tmp_path, "verify", "--man=no")
    assert done.returncode == 0 and "tcmstruct.service" not in done.stderr, done.stderr
    done = analyze(text.replace("ProtectHome=yes", "ProtectHome=perhaps"), tmp_path, "verify", "--man=no")
    assert "protect home" in done.stderr


@needs_systemd
def test_little_is_exposed(tmp_path):
    text = UNIT.read_text("utf-8")
    done = analyze(text, tmp_path, "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSURE}")
    assert done.returncode == 0, done.stdout
    open_wide = re.sub(r"^(Protect|Private|Restrict|SystemCall|Capability|IPAddress)\w+=.*\n", "", text, flags=re.MULTILINE)
    assert analyze(open_wide, tmp_path, "security", "--offline=yes", "--no-pager", f"--threshold={MOST_EXPOSURE}").returncode != 0


def test_the_service_is_kept_in(service):
    wanted = {"DynamicUser": "yes", "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "IPAddressDeny": "any",
              "IPAddressAllow": "localhost", "UMask": "0077", "StateDirectoryMode": "0700", "LimitCORE": "0"}
    assert {name: service[name] for name in wanted} == {name: [value] for name, value in wanted.items()}
    assert re.fullmatch(r"\d+G", service["MemoryMax"][0])


def test_the_command_is_one_that_the_program_takes(service):
    program, *arguments = shlex.split(service["ExecStart"][0])
    assert program == "/opt/tcmstruct/bin/tcmstruct"
    assert fault_of(Line("", ("tcmstruct", *arguments))) == ""
    assert int(service["TimeoutStopSec"][0]) > 30, "what runs has 30 s to end"


def test_the_page_names_a_drop_in_that_is_read():
    (block,) = re.findall(r"```ini\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text("utf-8"), re.DOTALL)
    start = block.rpartition("ExecStart=")[2].splitlines()[0]
    assert fault_of(Line("", ("tcmstruct", *shlex.split(start)[1:]))) == ""

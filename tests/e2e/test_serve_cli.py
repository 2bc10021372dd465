"""`tcmstruct serve` as it is called: the shipped model behind a socket, refusals at the start, a clean end."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.parse import quote

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


def test_own_fields_are_tried_on_records_that_the_model_reads_and_saved_where_the_command_says(tmp_path):
    process = tcmstruct("serve", "--records", "examples/schemas/妇科.csv", "--schema-dir", tmp_path, "--port", 0, "--workers", 1)
    pack = '[pack]\nname = "试"\n[fields."痛经"]\ntype = "yes_no"\nterms = ["痛经", "经行腹痛"]\n'
    try:
        port = int(re.search(r"127\.0\.0\.1:(\d+)/", process.stderr.readline())[1])
        assert b"own.js" in asked(port, "/")
        for _ in range(600):
            told = json.loads(asked(port, "/schema/try", {"toml": pack, "field": "痛经"}))
            if told["ready"]:
                break
            time.sleep(0.1)
        saved = json.loads(asked(port, f"/schema/packs/saved?name={quote('试')}", {"toml": pack, "was": None}))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()
    assert (told["records"], told["found"]["stated"], told["found"]["denied"], told["fault"]) == (8, 4, 3, None)
    assert told["found"]["hits"][0]["row"] == 0 and told["found"]["near"][0]["zh"] == "说的是家人"
    assert saved["saved"] == ["试"] and (tmp_path / "试.toml").read_text("utf-8") == pack


@pytest.mark.parametrize(("arguments", "code", "told"), [
    (["--host", "0.0.0.0"], 2, "no token is set"),
    (["--tls-cert", "a.pem"], 2, "go together"),
    (["no-such-folder"], 4, "no such file or folder"),
    (["examples", "--store", "nonsense"], 4, "holds no records.jsonl"),
    (["--token-file", "no-such-file"], 4, "the token cannot be read"),
    (["--model", "no-such-model", "--workers", "1"], 4, "no-such-model"),
    (["--schema-dir", "examples"], 2, "needs records"),
    (["--records", "examples/records.csv", "--schema-dir", "no-such-folder"], 2, "no such folder"),
    (["--records", "no-such-file.csv"], 4, "no-such-file.csv"),
    (["--records", "examples/records.csv", "--map", "没有=text"], 4, "没有"),
])
def test_what_cannot_be_served_is_refused_at_the_start(arguments, code, told, capsys, monkeypatch):
    monkeypatch.delenv("TCMSTRUCT_TOKEN", raising=False)
    monkeypatch.chdir(ROOT)
    assert run(["serve", "--port", "0", *arguments]) == code
    error = capsys.readouterr().err
    assert told in error and "Traceback" not in error and len(error.splitlines()) == 1

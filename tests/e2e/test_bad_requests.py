"""30 of the bad inputs: requests that are oversize, unauthenticated, of the wrong type or from another site, against a real server.

Clients that are slow are in tests/unit/serve/test_bounds.py, where the deadlines are short.
"""

import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the extra [serve] is not installed")

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef0123456789abcdef"
TEXT = "咳嗽3天，秘密词甲乙。"


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    process = subprocess.Popen([sys.executable, "-m", "tcmstruct", "serve", "--port", "0", "--workers", "1", "--max-body", "100KB",
                                "--token-file", str(token)], cwd=ROOT, text=True, stderr=subprocess.PIPE)
    try:
        yield int(re.search(r"127\.0\.0\.1:(\d+)/", process.stderr.readline())[1])
    finally:
        process.terminate()
        assert "秘密词" not in process.communicate(timeout=60)[1]


def sent(port, body, **headers):
    """Status and answer of POST /v1/structure; a header given as None is left out."""
    given = {"Content-Type": "application/json", "Authorization": f"Bearer {TOKEN}", **{k.replace("_", "-"): v for k, v in headers.items()}}
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/structure", data, {k: v for k, v in given.items() if v is not None})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


@pytest.mark.parametrize(("body", "headers", "status"), [
    ({"text": TEXT}, {}, 200),
    ({"text": TEXT * 10_000}, {}, 413),
    ({"text": TEXT}, {"Authorization": None}, 401),
    ({"text": TEXT}, {"Authorization": f"Bearer {TOKEN[:-1]}0"}, 401),
    ({"text": TEXT}, {"Content_Type": "text/plain"}, 415),
    (TEXT.encode(), {}, 400),
    ({"text": 5}, {}, 422),
    ({"text": ""}, {}, 422),
    ([TEXT], {}, 422),
    ({"text": TEXT}, {"Origin": "https://elsewhere.example"}, 403),
    ({"text": TEXT}, {"Sec_Fetch_Site": "cross-site"}, 403),
    ({"text": TEXT}, {"Host": "elsewhere.example"}, 403),
])
def test_30_a_request_that_must_not_be_answered_is_refused_without_its_words(port, body, headers, status):
    found, answer = sent(port, body, **headers)
    assert found == status, answer
    assert ("秘密词" in answer) == (status == 200)

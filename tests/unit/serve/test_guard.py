"""Who may call, and what every answer forbids the browser."""

import os

import pytest
from starlette.websockets import WebSocketDisconnect

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.serve.guard import COOKIE, TOKEN_VARIABLE, Gate, is_loopback, read_token

BASE = "http://127.0.0.1:8765"
TOKEN = "0123456789abcdef0123456789abcdef"
JSON = {"text": "无发热。"}


@pytest.mark.parametrize(("host", "fine"), [
    ("127.0.0.1:8765", True), ("localhost:8765", True), ("[::1]:8765", True), ("10.1.2.3", True), ("LOCALHOST", True),
    ("evil.example:8765", False), ("127.0.0.1.evil.example", False), ("localhost.evil.example", False), ("", False),
    ("127.0.0.1:8765@evil.example", False), ("[::1", False), ("ward.hospital.example", False),
])
def test_a_name_that_is_not_this_servers_is_refused(client, host, fine):
    """DNS rebinding: a foreign page under its own name, which now means 127.0.0.1."""
    answer = client.post("/v1/structure", json=JSON, headers={"host": host})
    assert answer.status_code == (200 if fine else 403)
    if not fine:
        assert answer.json()["error"]["code"] == "host_unknown"


def test_a_name_that_was_given_is_known_whatever_its_case():
    gate = Gate.for_address("0.0.0.0", TOKEN, frozenset({"Ward.hospital.example"}))
    assert gate.knows_host("ward.HOSPITAL.example:8765") and not gate.knows_host("other.hospital.example")


@pytest.mark.parametrize(("headers", "fine"), [
    ({"origin": BASE}, True), ({"origin": "https://127.0.0.1:8765"}, True),
    ({"origin": "http://evil.example"}, False), ({"origin": "null"}, False), ({"origin": "http://127.0.0.1:9999"}, False),
    ({"origin": "file://"}, False), ({"sec-fetch-site": "same-origin"}, True), ({"sec-fetch-site": "none"}, True),
    ({"sec-fetch-site": "cross-site"}, False), ({"sec-fetch-site": "same-site"}, False),
    ({"origin": BASE, "sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}, False),
])
def test_what_another_sites_page_sends_is_refused(client, headers, fine):
    assert client.post("/v1/structure", json=JSON, headers=headers).status_code == (200 if fine else 403)
    assert client.get("/v1/schema", headers=headers).status_code == (200 if fine else 403)


def test_a_link_on_another_page_may_open_the_page_itself_and_nothing_else(client):
    link = {"sec-fetch-site": "cross-site", "sec-fetch-dest": "document"}
    assert client.get("/", headers=link).status_code == 404, "there is no page without a folder, but it is not forbidden"
    assert client.get("/", headers={"sec-fetch-site": "cross-site", "sec-fetch-dest": "iframe"}).status_code == 403
    assert client.get("/v1/schema", headers=link).status_code == 403


@pytest.mark.parametrize(("headers", "fine"), [
    ({}, False), ({"authorization": f"Bearer {TOKEN}"}, True), ({"authorization": f"bearer  {TOKEN}"}, True),
    ({"authorization": "Bearer wrong"}, False), ({"authorization": f"Basic {TOKEN}"}, False), ({"authorization": "Bearer "}, False),
    ({"authorization": f"Bearer {TOKEN}x"}, False), ({"cookie": f"{COOKIE}={TOKEN}"}, False), ({"authorization": "Bearer \xfc"}, False),
])
def test_a_missing_or_wrong_token_is_401(client_of, headers, fine):
    answer = client_of(token=TOKEN).post("/v1/structure", json=JSON, headers={k: v.encode("latin-1") for k, v in headers.items()})
    assert answer.status_code == (200 if fine else 401)
    if not fine:
        assert answer.headers["www-authenticate"] == "Bearer" and TOKEN not in answer.text


def test_health_needs_no_token_and_the_rest_does(client_of):
    client = client_of(token=TOKEN)
    assert client.get("/healthz").status_code == 200
    assert [client.get(path).status_code for path in ("/v1/schema", "/v1/openapi.json", "/review/records", "/nothing")] == [401] * 4


def test_the_page_sends_a_browser_without_a_session_to_the_login(client_of):
    answer = client_of(token=TOKEN).get("/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/login")


def test_a_session_ends(monkeypatch):
    gate = Gate(TOKEN)
    cookie = gate.open_session()
    assert gate.is_session(cookie) and not gate.is_session(cookie + "x") and cookie not in str(gate.sessions)
    monkeypatch.setattr("tcmstruct.serve.guard.time.monotonic", lambda: 1e12)
    assert not gate.is_session(cookie)


def test_sessions_do_not_pile_up(monkeypatch):
    monkeypatch.setattr("tcmstruct.serve.guard.MAX_SESSIONS", 3)
    gate = Gate(TOKEN)
    cookies = [gate.open_session() for _ in range(5)]
    assert len(gate.sessions) == 3 and gate.is_session(cookies[-1])


@pytest.mark.parametrize(("host", "alone"), [
    ("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("localhost", True),
    ("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("hospital.example", False), ("", False),
])
def test_any_address_that_others_reach_needs_a_token(host, alone):
    assert is_loopback(host) is alone
    if alone:
        assert Gate.for_address(host, None).token is None
    else:
        with pytest.raises(UsageError, match="no token"):
            Gate.for_address(host, None)
        assert Gate.for_address(host, TOKEN).token == TOKEN


def test_the_token_comes_from_a_private_file_or_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
    assert read_token(None) is None
    monkeypatch.setenv(TOKEN_VARIABLE, TOKEN)
    assert read_token(None) == TOKEN
    path = tmp_path / "token"
    path.write_text(TOKEN[::-1] + "\n")
    path.chmod(0o600)
    assert read_token(path) == TOKEN[::-1]
    path.chmod(0o640)
    if os.name == "posix":
        with pytest.raises(InputRefused, match="others than its owner"):
            read_token(path)


@pytest.mark.parametrize("content", ["short", "", "a" * 30 + " b", "密" * 40])
def test_a_token_that_is_weak_or_not_plain_is_refused_and_not_repeated(tmp_path, content):
    path = tmp_path / "token"
    path.write_text(content, encoding="utf-8")
    path.chmod(0o600)
    with pytest.raises(InputRefused) as told:
        read_token(path)
    assert not content or content not in str(told.value)
    with pytest.raises(InputRefused):
        read_token(tmp_path / "nowhere")


def test_every_answer_forbids_what_a_page_does_not_need(client):
    for path in ("/healthz", "/v1/schema", "/nothing"):
        headers = client.get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["content-security-policy"] and headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff" and "access-control-allow-origin" not in headers


def test_websockets_are_not_taken(client):
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/structure"):
        pass

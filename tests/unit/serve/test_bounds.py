"""What a request may take, over real connections."""

import json
import threading
import time
import urllib.request

import pytest

TEXT = json.dumps({"text": "咳嗽，无发热。"}).encode()


def post(body, path="/v1/structure", extra=""):
    return (f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n{extra}"
            "Connection: close\r\n\r\n").encode() + body


def status(data):
    return int(data.split(b" ", 2)[1])


def test_an_oversize_body_is_413_whether_its_length_is_told_or_not(server):
    running = server(body_bytes=10_000)
    assert status(running.raw(post(b"x" * 10_001))) == 413
    chunks = b"POST /v1/structure HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert status(running.raw(chunks, *[b"1000\r\n" + b"x" * 4096 + b"\r\n"] * 4)) == 413
    assert status(running.raw(post(TEXT))) == 200


def test_a_large_refused_body_still_gets_its_answer(server):
    """The client goes on sending while the answer is on its way; a connection cut at once would lose it."""
    assert status(server(body_bytes=1000).raw(post(b"x" * 5_000_000))) == 413


def test_a_slow_body_is_408_and_cut_off(server):
    running = server(body_s=0.3)
    began = time.monotonic()
    data = running.raw(post(TEXT)[:-3])
    assert status(data) == 408 and b"connection: close" in data.lower() and time.monotonic() - began < 10


@pytest.mark.parametrize("head", [b"", b"POST /v1/structure HTTP/1.1\r\nHost: 127.0.0.1\r\nX-A: "])
def test_slow_or_endless_headers_are_cut_off(server, head):
    running = server(head_s=0.3, head_bytes=2000)
    assert running.raw(head) == b""
    assert running.raw(b"GET /healthz HTTP/1.1\r\nX-A: ", *[b"a" * 1000] * 4) == b""
    assert status(running.raw(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")) == 200


def test_one_request_too_many_is_503_with_a_time_and_health_answers_all_the_while(server):
    running = server("slow", running=2)
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(running.raw(post(TEXT)))) for _ in range(5)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    with urllib.request.urlopen(f"http://127.0.0.1:{running.port}/healthz", timeout=0.4) as health:
        assert json.load(health) == {"status": "ok"}
    for thread in threads:
        thread.join()
    assert sorted(map(status, answers)) == [200, 200, 503, 503, 503]
    assert all(b"retry-after: 1" in data.lower() for data in answers if status(data) == 503)


def test_an_answer_that_takes_too_long_is_504(server):
    data = server("slow", request_s=0.1).raw(post(TEXT))
    assert status(data) == 504 and json.loads(data.split(b"\r\n\r\n")[1])["error"]["code"] == "too_slow"


def test_a_record_of_a_batch_that_takes_too_long_costs_its_own_line(server):
    data = server("slow", request_s=0.1).raw(post(b"[" + TEXT + b"]", "/v1/batch"))
    assert status(data) == 200 and b'"code":"too_slow"' in data


def test_a_client_that_does_not_take_its_answer_is_cut_off(server):
    running = server(send_s=0.3, batch_records=100_000, body_bytes=2**26)
    body = b"[" + b",".join([json.dumps({"text": "咳嗽" * 300}).encode()] * 10_000) + b"]"
    with running.connect() as sock:
        sock.sendall(post(body, "/v1/batch"))
        seen, until = False, time.monotonic() + 20
        while time.monotonic() < until and not (seen and not running.server.server_state.connections):
            seen = seen or bool(running.server.server_state.connections)
            time.sleep(0.02)
        assert seen and not running.server.server_state.connections, "nothing was read, and the server no longer waits for it"
    assert status(running.raw(post(TEXT))) == 200


def test_asked_to_stop_it_ends_what_runs_and_takes_nothing_new(server):
    running = server("slow")
    answers = []
    thread = threading.Thread(target=lambda: answers.append(running.raw(post(TEXT))))
    thread.start()
    time.sleep(0.2)
    running.stop()
    thread.join()
    assert status(answers[0]) == 200
    with pytest.raises(OSError):
        running.raw(post(TEXT))


def test_too_many_connections_are_closed(server):
    running = server(connections=2)
    first, second = running.connect(), running.connect()
    time.sleep(0.1)
    assert running.raw(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n") == b""
    first.close()
    second.close()


def test_nothing_that_is_no_http_reaches_the_log(server, capfd):
    running = server()
    assert status(running.raw("机密病历内容\r\n\r\n".encode())) == 400
    assert "机密" not in capfd.readouterr().err

"""The REST interface: answers, refusals, and that neither repeats what it should not."""

import base64
import json
from types import SimpleNamespace

import pytest
from fake_structurers import MARKER, Failing, Fake, broken_model, refuses

from tcmstruct.schema import load_schema
from tcmstruct.serve.workers import _facts

TEXT = "患者咳嗽，咳黄痰，无发热。"


def lines_of(response):
    return [json.loads(line) for line in response.text.splitlines()]


def test_one_record_comes_back_with_its_fields_evidence_and_names(client):
    answer = client.post("/v1/structure", json={"text": TEXT, "id": "甲1", "dept": "呼吸内科"})
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    found = answer.json()
    assert (found["id"], found["dept"], found["text"]) == ("甲1", "呼吸内科", TEXT)
    fever = found["fields"]["有无发热"]
    assert fever["value"] == "无" and TEXT[fever["start"]:fever["end"]] == fever["evidence"] == "发热"


def test_id_may_be_left_out(client):
    assert client.post("/v1/structure", json={"text": TEXT}).json()["id"] == "1"


@pytest.mark.parametrize(("body", "status", "code"), [
    ({}, 422, "request_invalid"),
    ({"text": 3}, 422, "request_invalid"),
    ({"text": "  　"}, 422, "text_missing"),
    ({"text": " 痛 "}, 422, "text_too_short"),
    ({"text": TEXT + "\0"}, 422, "nul_character"),
    ({"text": TEXT, "id": 7}, 422, "request_invalid"),
    ({"text": TEXT, "photo": "!!"}, 422, "photo_not_base64"),
    ([TEXT], 422, "request_invalid"),
])
def test_a_record_that_cannot_be_used_is_refused_with_a_code(client, body, status, code):
    answer = client.post("/v1/structure", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(("content", "kind", "status", "code"), [
    (b"{", "application/json", 400, "json_invalid"),
    (b'{"text": "\xff"}', "application/json", 400, "json_invalid"),
    (b'{"text": "\\ud800ab"}', "application/json", 400, "json_invalid"),
    (b"text", "text/plain", 415, "content_type"),
    (b"", "", 415, "content_type"),
    (b"no form", "multipart/form-data", 400, "form_invalid"),
    (b"no form", "multipart/form-data; boundary=x", 400, "form_invalid"),
    (b"[" * 100_000, "application/json", 400, "json_invalid"),
])
def test_a_body_that_is_not_what_it_says_is_refused(client, content, kind, status, code):
    answer = client.post("/v1/structure", content=content, headers={"content-type": kind} if kind else {})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_no_answer_repeats_a_word_of_a_request_that_was_refused(client):
    for body in ({"text": TEXT, MARKER: 1}, {"text": [MARKER]}, {"text": TEXT, "id": [MARKER]}, {"text": TEXT, "photo": MARKER},
                 {"text": TEXT, "dept": {MARKER: MARKER}}):
        answer = client.post("/v1/structure", json=body)
        assert answer.status_code == 422 and MARKER not in answer.text and "\\u673a" not in answer.text


def test_what_fails_inside_is_told_by_kind_and_place_alone(client_of, capfd, caplog):
    client = client_of(lambda: Failing(on=MARKER))
    answer = client.post("/v1/structure", json={"text": f"咳嗽{MARKER}"})
    assert answer.status_code == 500 and answer.json()["error"]["code"] == "structuring_failed"
    assert "ValueError in fake_structurers.py" in answer.json()["error"]["message"]
    told = capfd.readouterr()
    assert MARKER not in answer.text + told.out + told.err + caplog.text


def test_a_record_that_the_structurer_refuses_keeps_its_code(client_of):
    client = client_of(lambda: Failing(raises=refuses))
    answer = client.post("/v1/structure", json={"text": "坏的记录"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "of_no_use")


def test_a_model_that_cannot_be_used_is_an_answer_and_the_server_stays_up(client_of):
    client = client_of(broken_model)
    assert client.post("/v1/structure", json={"text": TEXT}).json()["error"]["code"] == "model_missing"
    assert client.get("/healthz").json() == {"status": "ok"}


class SeesPhotos(Fake):
    def structure(self, text, tongue_img=None, *, id="1"):
        result = super().structure(text)
        result.id, result.tongue = id, {"bytes": len(tongue_img)}
        return result


def test_a_photograph_comes_as_base64_or_as_a_file_of_a_form(client_of):
    client = client_of(SeesPhotos)
    photo = bytes(range(256)) * 8000  # more than starlette keeps in memory by itself
    answer = client.post("/v1/structure", json={"text": TEXT, "id": "7", "photo": base64.b64encode(photo).decode()})
    assert answer.json()["tongue"] == {"bytes": len(photo)} and answer.json()["id"] == "7"
    answer = client.post("/v1/structure", data={"text": TEXT, "id": "8"}, files={"photo": ("舌.jpg", photo)})
    assert answer.json()["tongue"] == {"bytes": len(photo)} and answer.json()["id"] == "8"


@pytest.mark.parametrize(("data", "files"), [
    ({"text": TEXT, "other": "1"}, {"photo": ("a", b"x")}),
    ({"text": [TEXT, TEXT]}, {"photo": ("a", b"x")}),
    ({"id": "1"}, {"text": ("a", b"x")}),
])
def test_a_form_holds_what_it_may_hold_and_once(client, data, files):
    assert client.post("/v1/structure", data=data, files=files).status_code in (400, 422)


@pytest.mark.parametrize("as_lines", [True, False])
def test_a_batch_is_answered_in_order_and_a_bad_record_costs_its_own_line(client, as_lines):
    records = [{"text": f"第{n}份，无发热。", "id": f"r{n}"} for n in range(300)]
    records[7] = {"text": "", "id": "empty"}
    records[8] = {"text": 5}
    if as_lines:
        body = "\n".join(json.dumps(one) for one in records)
        answer = client.post("/v1/batch", content=body + "\n\n{broken\n", headers={"content-type": "application/x-ndjson"})
    else:
        answer = client.post("/v1/batch", json=records)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    found = lines_of(answer)
    assert [one["id"] for one in found[:7]] == [f"r{n}" for n in range(7)] and found[299]["id"] == "r299"
    assert found[7] == {"id": "empty", "row": 8, "error": {"code": "request_invalid", "message": found[7]["error"]["message"]}}
    assert (found[8]["id"], found[8]["row"], found[8]["error"]["code"]) == (None, 9, "request_invalid")
    assert all(one["fields"]["有无发热"]["value"] == "无" for one in found[9:300])
    assert len(found) == (301 if as_lines else 300)
    if as_lines:
        assert found[300]["error"]["code"] == "json_invalid"


def test_two_records_of_one_id_in_one_call_stay_apart(client):
    found = lines_of(client.post("/v1/batch", json=[{"text": "甲无发热。"}, {"text": "乙发热。"}, {"text": "丙无发热。"}]))
    assert [one["text"][0] for one in found] == ["甲", "乙", "丙"]
    assert [one["fields"]["有无发热"]["value"] for one in found] == ["无", "有", "无"]


def test_an_empty_batch_is_an_empty_answer(client):
    assert client.post("/v1/batch", json=[]).text == ""


def test_too_many_records_are_refused_before_the_first_is_worked_on(client_of):
    made = Fake()
    client = client_of(lambda: made, batch_records=3)
    for sent in ({"json": [{"text": TEXT}] * 4}, {"content": b'{"text": "ab"}\n' * 4, "headers": {"content-type": "application/x-ndjson"}}):
        answer = client.post("/v1/batch", **sent)
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "too_many_records")
    assert made.sizes == []


@pytest.mark.parametrize(("body", "kind", "status"), [
    (b"{}", "application/json", 400), (b"{", "application/json", 400), (b"x", "text/csv", 415)])
def test_a_batch_that_is_none_is_refused(client, body, kind, status):
    assert client.post("/v1/batch", content=body, headers={"content-type": kind}).status_code == status


def test_schema_tells_fields_types_and_fingerprints(client):
    found = client.get("/v1/schema").json()
    assert (found["model"], found["schema"], found["review_below"]) == ("m1", "s1", 0.95)
    assert [one["name"] for one in found["fields"]] == ["有无发热", "最高体温", "痰色"]
    assert found["statuses"] == ["有", "无", "既往", "不确定"] and "舌苔" in found["entity_types"]


def test_the_shipped_packs_are_told_with_their_values():
    facts = _facts(SimpleNamespace(schema=load_schema("all")))
    told = {one["name"]: one for one in facts.fields}
    assert told["有无发热"]["values"] == ["有", "无"] and told["最高体温"]["unit"] == "℃" and told["便血颜色"]["department"] == "肛肠科"


def test_the_openapi_document_names_every_route_and_no_page_loads_from_elsewhere(client):
    paths = client.get("/v1/openapi.json").json()["paths"]
    assert set(paths) == {"/healthz", "/v1/schema", "/v1/structure", "/v1/batch"}
    assert client.get("/docs").status_code == 404 and client.get("/redoc").status_code == 404


def test_unknown_addresses_and_methods_are_told_in_the_same_shape(client):
    assert client.get("/v1/nothing").json()["error"]["code"] == "not_found"
    answer = client.get("/v1/structure")
    assert answer.status_code == 405 and answer.headers["allow"] == "POST" and answer.json()["error"]["code"] == "method"

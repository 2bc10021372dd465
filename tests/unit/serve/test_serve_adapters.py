"""Requests that name an adapter: each is answered as if it were alone, and a name that is not there costs its own request."""

import asyncio
from functools import partial
from types import SimpleNamespace

import orjson
import pytest
from drawn_adapters import drawn_adapter
from fake_structurers import Fake

from tcmstruct.pipeline import Structurer
from tcmstruct.record import Record
from tcmstruct.serve.workers import Job, Refused, Workers

TEXT = "反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。"


class Named(Fake):
    """Says in its model which adapter it was asked for."""

    shelf = SimpleNamespace(adapters={"院A": 1, "院B": 2})

    def structure_many(self, records, adapter=None):
        found = super().structure_many(records)
        for result in found:
            result.model = f"m1+{adapter}"
        return found

    def structure(self, text, tongue_img=None, *, id="1", adapter=None):
        return self.structure_many([Record(id, text)], adapter)[0]


def test_a_request_names_its_adapter(client_of):
    client = client_of(Named)
    for name, model in (("院A", "m1+院A"), ("院B", "m1+院B"), (None, "m1+None")):
        body = {"text": "发热3天", **({} if name is None else {"adapter": name})}
        assert client.post("/v1/structure", json=body).json()["model"] == model
    assert client.get("/v1/schema").json()["adapters"] == ["院A", "院B"]


def test_a_form_names_it_too(client_of):
    answer = client_of(Named).post("/v1/structure", files={"text": (None, "发热3天"), "adapter": (None, "院B"), "photo": ("a.png", b"x")})
    assert answer.status_code == 200 and answer.json()["model"] == "m1+院B"


@pytest.mark.parametrize("name", ["院C", "../院A", "院A/.."])
def test_a_name_that_is_not_there_is_refused_and_not_repeated(client_of, name):
    answer = client_of(Named).post("/v1/structure", json={"text": "发热3天", "adapter": name})
    assert answer.status_code == 422 and answer.json()["error"]["code"] == "adapter_unknown" and name not in answer.text


def test_an_empty_name_or_one_of_another_kind_is_no_request(client_of):
    for name in ("", 3, ["院A"]):
        answer = client_of(Named).post("/v1/structure", json={"text": "发热3天", "adapter": name})
        assert answer.json()["error"]["code"] == "request_invalid"


def test_a_server_without_adapters_has_none(client_of):
    client = client_of(Fake)
    assert client.get("/v1/schema").json()["adapters"] == []
    assert client.post("/v1/structure", json={"text": "发热3天", "adapter": "院A"}).status_code == 422


def test_a_batch_of_mixed_adapters_comes_back_in_order(client_of):
    names = ["院A", None, "院B", "院C", "院A", None]
    items = [{"id": str(i), "text": "发热3天", **({} if name is None else {"adapter": name})} for i, name in enumerate(names)]
    lines = [orjson.loads(line) for line in client_of(Named).post("/v1/batch", json=items).content.splitlines()]
    assert [line["id"] for line in lines] == [item["id"] for item in items]
    assert [line.get("model", line.get("error", {}).get("code")) for line in lines] == [
        "m1+院A", "m1+None", "m1+院B", "adapter_unknown", "m1+院A", "m1+None"]


def test_jobs_that_wait_together_get_the_bytes_that_each_gets_alone(tmp_path):
    for seed, name in enumerate(("院A", "院B")):
        drawn_adapter(tmp_path / name, seed)
    workers = Workers(partial(Structurer, schema="general", threads=1, adapters=tmp_path), 0)
    jobs = [Job(Record(str(i), TEXT), None, name) for i, name in enumerate(("院A", None, "院B", "院X", "院A", None, "院B"))]

    async def asked():
        together = await workers.answer(jobs)
        return together, [(await workers.answer([job]))[0] for job in jobs]

    try:
        together, alone = asyncio.run(asked())
    finally:
        workers.close()
    assert together == alone and isinstance(together[3], Refused)
    without_id = [{**orjson.loads(line), "id": ""} for line in together if isinstance(line, bytes)]
    assert without_id[0] == without_id[3] and without_id[1] == without_id[4] and without_id[0] != without_id[1] != without_id[2]

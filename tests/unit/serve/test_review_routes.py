"""The review page's data over HTTP."""

import json
import re
import threading

import pytest
from fake_structurers import Fake
from review_folders import HOSTILE, structured, write_folder

from tcmstruct.errors import InputRefused
from tcmstruct.schema import load_schema
from tcmstruct.serve.guard import COOKIE, Gate
from tcmstruct.serve.review import open_review, review_router
from tcmstruct.serve.store import default_url
from tcmstruct.serve.workers import Workers

SCHEMA = load_schema("all")
TOKEN = "0123456789abcdef0123456789abcdef"
FLAGGED = [sum(value.review for value in structured(n).fields.values()) for n in range(30)]
"""Values below the review threshold of each record."""


@pytest.fixture
def opened(tmp_path, client_of):
    made = []

    def open_(records=None, token=None, image_root=None, who="甲"):
        out = tmp_path / "OUT"
        if not out.exists():
            write_folder(out, records if records is not None else map(structured, range(30)))
        review = open_review(out, default_url(out), SCHEMA, who)
        review.start()
        review.wait()
        made.append(review)
        gate = Gate(token)
        return client_of(token=token, gate=gate, routers=[review_router(review, Workers(Fake, 0), gate, image_root)])

    yield open_
    for review in made:
        review.close()


def decide(client, row=0, after=None, **given):
    after = client.get(f"/review/records/{row}").json()["last"] if after is None else after
    usual = {"target": "field", "name": "痰色", "action": "accept", "who": "甲", "after": after}
    return client.post(f"/review/records/{row}", json={**usual, **given})


def field(shown, name="痰色"):
    return {row["name"]: row for group in shown["groups"] for row in group["rows"]}[name]


def test_the_page_and_its_files_come_from_here_and_hold_nothing_inline(opened):
    client = opened()
    page = client.get("/")
    assert page.status_code == 200 and '<script type="module" src="/static/review.js"></script>' in page.text
    assert page.text.count("<script") == 1 and "<style" not in page.text and " style=" not in page.text and "http" not in page.text
    names = set(re.findall(r'/static/([\w.-]+)', page.text))
    names |= {f for name in names if name.endswith(".js") for f in re.findall(r'from "\./([\w.-]+)"', client.get(f"/static/{name}").text)}
    for name in names:
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200 and answer.headers["x-content-type-options"] == "nosniff"
        assert not re.search(r"https?:|innerHTML|eval\(", answer.text.replace("http://www.w3.org/2000/svg", ""))


@pytest.mark.parametrize("name", ["../review.py", "..%2freview.py", "review.html", "nothing.js", "%00.js", ".js"])
def test_no_other_file_can_be_had(opened, name):
    assert opened().get(f"/static/{name}").status_code == 404


def test_the_list_is_paged_and_filtered(opened):
    client = opened()
    first = client.get("/review/records", params={"limit": 10}).json()
    assert first["total"] == 30 and [one["row"] for one in first["records"]] == list(range(10))
    flagged = client.get("/review/records", params={"state": "flagged", "order": "low", "limit": 200}).json()
    open_values = [FLAGGED[n] for n in range(30) if FLAGGED[n]]
    assert flagged["total"] == len(open_values) and sorted(one["open"] for one in flagged["records"]) == sorted(open_values)
    assert [one["lowest"] for one in flagged["records"]] == sorted(one["lowest"] for one in flagged["records"])
    for wrong in ({"state": "x"}, {"order": "x"}, {"cursor": 99}, {"limit": 0}, {"limit": 9999}, {"cursor": "x"}, {"q": "x" * 201}):
        assert client.get("/review/records", params=wrong).status_code == 422


def test_a_record_shows_its_text_with_nested_mentions_its_fields_and_what_is_missing(opened):
    shown = opened().get("/review/records/0").json()
    assert "".join(piece for segment in shown["segments"] for piece in segment["t"]) == structured(0).text
    depths = [len(segment.get("m", ())) for segment in shown["segments"]]
    assert max(depths) == 2 and any(segment.get("f") == ["痰色"] for segment in shown["segments"])
    assert field(shown)["flagged"] and field(shown)["evidence"] == "黄痰" and field(shown)["decision"] is None
    assert shown["missing"] == [{"pack": "呼吸内科", "names": ["痰量", "咳嗽"]}]


def test_hidden_characters_are_named_and_keep_their_places(opened):
    client = opened([structured(0, "无发\u202e热，\u200b发热。")])
    shown = client.get("/review/records/0").json()
    assert [piece for segment in shown["segments"] for piece in segment["t"] if isinstance(piece, list)] == [["RLO"], ["ZWSP"]]
    assert "\u202e" not in json.dumps(shown, ensure_ascii=False)


def test_a_decision_is_stored_shown_and_counted(opened):
    client = opened()
    shown = decide(client, action="edit", value=["白"], who="乙").json()
    assert field(shown)["values"] == ["白"] and field(shown)["was"] == ["黄"]
    assert field(shown)["decision"]["who"] == "乙" and shown["last"] == 1
    progress = client.get("/review/progress").json()
    assert (progress["touched"], progress["done"], progress["decided"], progress["flagged"]) == (1, 0, 1, sum(FLAGGED))
    assert client.get("/review/records", params={"state": "touched"}).json()["total"] == 1


def test_decisions_are_there_again_after_a_restart(opened):
    first = opened()
    decide(first, action="edit", value=["白"])
    decide(first, 3, target="record", name="", action="done")
    again = opened()
    assert field(again.get("/review/records/0").json())["values"] == ["白"]
    progress = again.get("/review/progress").json()
    assert (progress["touched"], progress["done"]) == (1, 1)


def test_undo_takes_back_ones_own_last_decision_one_after_the_other(opened):
    client = opened()
    decide(client, 0, action="reject")
    decide(client, 1, action="edit", value=["绿"])
    decide(client, 1, action="reject", name="有无发热", who="乙")
    back = client.post("/review/undo", json={"who": "甲"}).json()
    assert back["row"] == 1 and field(back)["values"] == ["黄"] and back["undone"]["action"] == "edit"
    assert field(back, "有无发热")["now"] is None, "the other reviewer's decision stays"
    assert client.post("/review/undo", json={"who": "甲"}).json()["row"] == 0
    answer = client.post("/review/undo", json={"who": "甲"})
    assert answer.status_code == 404 and answer.json()["error"]["code"] == "nothing_to_undo"
    assert client.get("/review/progress").json()["touched"] == 1


def test_signing_off_settles_the_records_low_values(opened):
    client = opened()
    shown = decide(client, target="record", name="", action="done").json()
    assert shown["done"]["who"] == "甲"
    assert client.get("/review/progress").json()["decided"] == 1
    assert 0 not in [one["row"] for one in client.get("/review/records", params={"state": "open", "limit": 200}).json()["records"]]
    assert decide(client, action="accept").json()["done"] is None


def test_what_another_reviewer_decided_meanwhile_is_not_passed_over(opened):
    client = opened()
    decide(client, who="乙", action="reject")
    answer = decide(client, after=0)
    assert answer.status_code == 409 and answer.json()["error"]["code"] == "seen_too_little"


def test_of_many_at_once_one_decides_and_nothing_is_lost(opened):
    client = opened()
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(decide(client, after=0).status_code)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [409] * 7


@pytest.mark.parametrize(("body", "status"), [
    (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"target":"field","name":"x","action":"accept","who":"a"}', 422),
    (b'{"target":"field","name":"\xe7\x97\xb0\xe8\x89\xb2","action":"edit","value":["\xe7\xb4\xab"],"who":"a"}', 422),
])
def test_what_is_no_decision_is_refused(opened, body, status):
    answer = opened().post("/review/records/0", content=body)
    assert answer.status_code == status and answer.json()["error"]["message"]


def test_records_that_are_not_there(opened):
    client = opened()
    assert [client.get(f"/review/records/{row}").status_code for row in (30, -1, 10**9)] == [404] * 3
    assert client.get("/review/records/x").status_code == 422 and decide(client, 99, after=0).status_code == 404


def test_photos_need_a_folder(opened):
    assert opened().get("/review/records/0/photo").json()["error"]["code"] == "no_photos"


def test_hostile_text_names_and_values_are_data_in_every_answer(opened):
    record = structured(0, f"咳黄痰{HOSTILE}")
    record.id, record.dept = HOSTILE, HOSTILE
    record.fields = {HOSTILE: record.fields["痰色"]}
    client = opened([record])
    for path in ("/review/records/0", "/review/records", "/review/progress", "/review/facts"):
        answer = client.get(path)
        assert answer.headers["content-type"] == "application/json" and answer.headers["x-content-type-options"] == "nosniff"


def test_the_login_gives_a_session_that_scripts_cannot_read(opened):
    client = opened(token=TOKEN)
    assert client.get("/review/records").status_code == 401 and client.get("/static/login.js").status_code == 200
    assert "token" in client.get("/login").text
    assert client.post("/login", json={"token": "wrong"}).status_code == 401
    answer = client.post("/login", json={"token": TOKEN})
    cookie = answer.headers["set-cookie"]
    assert answer.status_code == 204 and cookie.startswith(COOKIE) and TOKEN not in cookie
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert client.get("/review/records").status_code == 200 and client.get("/").status_code == 200


def test_without_a_token_there_is_no_login(opened):
    answer = opened().get("/login", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(InputRefused):
        open_review(tmp_path / "nowhere", "sqlite://", SCHEMA)


def test_a_folder_that_is_converted_anew_under_the_server_is_told(opened, tmp_path):
    client = opened()
    write_folder(tmp_path / "OUT", map(structured, range(29, -1, -1)))
    for answer in (client.get("/review/records/0"), client.get("/review/records"), decide(client, after=0)):
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "records_changed")

"""Own fields over HTTP: packs are tried on the server's records, and saved where the command line says and nowhere else."""

import os
import threading
import tomllib

import pytest
from review_folders import HOSTILE

from tcmstruct.errors import InputRefused
from tcmstruct.schema.pack import MISFITS
from tcmstruct.serve.guard import Gate
from tcmstruct.serve.own_fields import Desk
from tcmstruct.serve.own_fields_routes import own_fields_router
from tcmstruct.serve.own_packs import MOST_TOML, PackFolder
from tcmstruct.serve.pages import page_routes
from tcmstruct.trial import Known, TrialRecord

TOKEN = "0123456789abcdef0123456789abcdef"
TEXTS = ["月经量多，色红，痛经。", "月经量少，无痛经。", "带下量多。", f"其母有痛经。{HOSTILE}"] * 10
PACK = """[pack]
name = "妇"
# mine
[topics."月经"]
words = ["月经"]
[fields."痛经"]
type = "yes_no"
terms = ["痛经"]
[fields."月经量"]
type = "enum"
topics = ["月经"]
[fields."月经量".values."多"]
said = ["量多"]
"""


@pytest.fixture
def desk_of(tmp_path, client_of):
    made = []

    def open_(token=None, folder=True, source=None, wait=True, **limits):
        from fastapi import APIRouter

        place = tmp_path / "packs"
        place.mkdir(exist_ok=True)
        records = [TrialRecord(f"r{n}", n, text) for n, text in enumerate(TEXTS)]
        desk = Desk(source or (lambda: records), lambda: Known(["痛经", "月经"]), reviewed=True)
        desk.start()
        if wait:
            desk.wait()
        made.append(desk)
        front, gate = APIRouter(), Gate(token)
        page_routes(front, gate, "/schema")
        return client_of(token=token, gate=gate, routers=[own_fields_router(desk, PackFolder(place if folder else None)), front], **limits)

    yield open_
    for desk in made:
        desk.close()


def tried(client, toml=PACK, field="痛经", **edit):
    return client.post("/schema/try", json={"toml": toml, "field": field, **({"edit": edit} if edit else {})}).json()


def save(client, name="我科", toml=PACK, was=None):
    return client.post("/schema/packs/saved", params={"name": name}, json={"toml": toml, "was": was})


def text_of(pieces):
    return "".join(piece if isinstance(piece, str) else f"[{piece[0]}]" for piece in pieces)


def test_a_pack_is_tried_on_the_records(desk_of):
    told = tried(desk_of())
    assert (told["ready"], told["records"], told["faults"], told["pack"]) == (True, 40, 0, "妇")
    assert [(one["name"], one["stated"], one["denied"]) for one in told["fields"]] == [("痛经", 20, 10), ("月经量", 10, 0)]
    found = told["found"]
    assert found["values"] == [["无", 10], ["有", 10]] and (found["missing"], found["near_misses"]) == (20, 10)
    hit, near = found["hits"][0], found["near"][0]
    assert (hit["id"], hit["row"], text_of(hit["words"]), text_of(hit["before"])) == ("r0", 0, "痛经", "月经量多，色红，")
    assert (text_of(near["words"]), near["zh"], near["en"]) == ("痛经", "说的是家人", "said of a relative")


def test_another_field_of_the_same_pack_is_answered_too(desk_of):
    client = desk_of()
    for name, near in (("痛经", 10), ("月经量", 20), ("痛经", 10), (None, None), ("没有", None)):
        found = tried(client, field=name)["found"]
        assert (found and found["near_misses"]) == near


def test_an_edit_of_the_form_comes_back_as_toml_and_keeps_the_rest(desk_of):
    client = desk_of()
    told = tried(client, field="经痛", was="痛经", name="经痛", spec={"type": "yes_no", "terms": ["经行不适"]})
    assert told["refused"] is None and "# mine" in told["toml"] and tomllib.loads(told["toml"])["fields"]["经痛"]["terms"] == ["经行不适"]
    assert told["found"]["stated"] == 0
    more = tried(client, told["toml"], "量", was=None, name="量", spec={"type": "number", "terms": []})
    (fault,) = [one for one in more["findings"] if one["level"] == "fault"]
    assert (fault["code"], fault["field"], fault["key"], fault["line"] is not None) == ("number_without_terms", "量", "terms", True)
    assert fault["code"] in MISFITS and more["found"] is None
    gone = tried(client, more["toml"], None, was="量", name=None, spec=None)
    assert [one["name"] for one in gone["fields"]] == ["经痛", "月经量"]


def test_the_pack_gets_another_name(desk_of):
    client = desk_of()
    told = client.post("/schema/try", json={"toml": PACK, "rename": "二区\"<b>"}).json()
    assert told["pack"] == "二区\"<b>" and tomllib.loads(told["toml"])["fields"] == tomllib.loads(PACK)["fields"]
    told = client.post("/schema/try", json={"toml": "pack = {name = 'x'}\n", "rename": "二区"}).json()
    assert told["pack"] == "x" and told["refused"]


def test_topics_come_with_the_field_that_names_them(desk_of):
    client = desk_of()
    spec = {"type": "enum", "topics": ["带下", "月经"], "values": {"多": {"said": ["量多"]}}}
    topics = {"带下": {"words": ["带下"]}, "月经": {"words": ["月经", "经行"], "gap": 9}}
    told = tried(client, field="量", was=None, name="量", spec=spec, topics=topics)
    data = tomllib.loads(told["toml"])
    assert data["topics"] == topics == told["own_topics"]
    assert "# mine" in told["toml"] and told["found"]["stated"] == 20 and "大便" in told["topics"] and "月经" not in told["topics"]


@pytest.mark.parametrize(("toml", "edit", "said"), [
    ("[pack", {"was": None, "name": "a", "spec": {}}, "mend it first"),
    (PACK, {"was": "痛经", "name": "月经量", "spec": {"type": "yes_no"}}, "already"),
    (PACK, {"was": None, "name": "a", "spec": {"x": None}}, "edit the TOML"),
    ("[pack]\nname='x'\n[fields]\na = {type='yes_no'}\n", {"was": "a", "name": "b", "spec": {"type": "enum"}}, "edit the TOML"),
])
def test_an_edit_that_cannot_be_made_leaves_the_text_as_it_was(desk_of, toml, edit, said):
    told = tried(desk_of(), toml, **edit)
    assert told["toml"] == toml and said in told["refused"]["en"] and told["refused"]["zh"]


def test_toml_with_a_fault_is_told_with_its_line(desk_of):
    told = tried(desk_of(), "[pack]\nname = \n")
    assert told["fields"] == [] and [(one["code"], one["line"]) for one in told["findings"]] == [("not_toml", 2)]


@pytest.mark.parametrize(("toml", "fields"), [
    ("fields = 3\n", []), ("fields = [1]\ntopics = 3\n", []), ("[fields]\n'甲' = 3\n", ["甲"]),
    ("[fields.'甲']\nrange = [1, " + "9" * 30 + "]\n", ["甲"]),
    ("x = " + "9" * 5000, []), ("x = " + "[" * 5000, []), ("[fields.'甲']\nnote = 2020-01-01T00:00:00Z\nprior = nan\n", ["甲"])])
def test_whatever_toml_holds_is_answered(desk_of, toml, fields):
    client = desk_of()
    for edit in ({}, {"was": "甲", "name": "乙", "spec": {"type": "yes_no", "terms": ["x"]}, "topics": {"丙": {"words": ["x"]}}}):
        told = tried(client, toml, **edit)
        assert told["faults"] and (edit or [one["name"] for one in told["fields"]] == fields)


def test_until_the_records_are_read_packs_are_checked_only(desk_of):
    gate = threading.Event()

    def slow():
        gate.wait(10)
        yield TrialRecord("1", 0, TEXTS[0])

    client = desk_of(source=slow, wait=False)
    early = tried(client)
    gate.set()
    assert (early["ready"], early["found"], early["fields"][0]["stated"]) == (False, None, None)
    for _ in range(200):
        if (late := tried(client))["ready"]:
            break
        threading.Event().wait(0.02)
    assert late["found"]["stated"] == 1


def test_records_that_cannot_be_read_are_told_without_a_word_of_them(desk_of):
    def broken():
        yield TrialRecord("1", 0, TEXTS[0])
        raise InputRefused("not a record", where="x:2")

    told = tried(desk_of(source=broken))
    assert told["fault"] == "not a record" and told["ready"]

    def failing():
        raise ValueError(TEXTS[0])
        yield

    told = tried(desk_of(source=failing))
    assert told["fault"].startswith("ValueError") and TEXTS[0] not in str(told) and told["ready"]


def test_a_pack_is_saved_and_opened_again(desk_of, tmp_path):
    client = desk_of()
    made = save(client).json()
    path = tmp_path / "packs" / "我科.toml"
    assert path.read_text("utf-8") == PACK and (os.name != "posix" or path.stat().st_mode & 0o777 == 0o600)
    assert made["saved"] == ["我科"] == client.get("/schema/facts").json()["saved"]
    opened = client.get("/schema/packs/saved", params={"name": "我科"}).json()
    assert opened == {"toml": PACK, "was": made["was"]}
    again = save(client, toml=PACK + "# more\n", was=made["was"])
    assert again.status_code == 200 and path.read_text("utf-8").endswith("# more\n")


def test_what_someone_else_has_written_is_not_replaced(desk_of, tmp_path):
    client, path = desk_of(), tmp_path / "packs" / "我科.toml"
    was = save(client).json()["was"]
    path.write_text("# theirs\n", "utf-8")
    for given in (was, None):
        answer = save(client, was=given)
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "pack_changed")
    assert path.read_text("utf-8") == "# theirs\n"


def test_a_link_is_neither_read_nor_written(desk_of, tmp_path):
    client, other = desk_of(), tmp_path / "other.toml"
    other.write_text(PACK, "utf-8")
    (tmp_path / "packs" / "我科.toml").symlink_to(other)
    assert client.get("/schema/facts").json()["saved"] == []
    assert client.get("/schema/packs/saved", params={"name": "我科"}).status_code == 404
    assert save(client, toml=PACK + "\n").status_code == 409 and other.read_text("utf-8") == PACK


@pytest.mark.parametrize("name", [
    "", "../x", "..", ".x", "a/b", "a\\b", "a.toml", "/etc/x", "x" * 41, "a\0", " x", "x ", "-x", "_x", "a\n", "<b>", "a:b"])
def test_no_other_name_leads_anywhere(desk_of, tmp_path, name):
    client = desk_of()
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    answer = save(client, name)
    assert answer.status_code in (404, 422) and client.get("/schema/packs/saved", params={"name": name}).status_code in (404, 422)
    assert sorted(path for path in tmp_path.rglob("*") if path.is_file()) == before


def test_a_faulty_pack_is_not_saved(desk_of):
    answer = save(desk_of(), toml=PACK.replace("yes_no", "ja"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "pack_faulty")


def test_without_a_folder_nothing_is_saved(desk_of, tmp_path):
    client = desk_of(folder=False)
    answer = save(client)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_folder")
    assert client.get("/schema/facts").json()["saves"] is False and not list((tmp_path / "packs").iterdir())


@pytest.mark.parametrize(("kind", "name", "begins"), [
    ("blank", "我科", 'name = "我科"'), ("starter", "x\"]\n", "[fields."), ("shipped", "妇科", "[topics"),
    ("shipped", "general", "[fields.")])
def test_packs_to_begin_from(desk_of, kind, name, begins):
    client = desk_of()
    given = client.get(f"/schema/packs/{kind}", params={"name": name}).json()
    assert given["was"] is None and begins in given["toml"] and tried(client, given["toml"])["faults"] == 0


@pytest.mark.parametrize("path", ["/schema/packs/shipped?name=../grammar", "/schema/packs/shipped?name=all", "/schema/packs/other?name=x"])
def test_packs_that_are_none(desk_of, path):
    assert desk_of().get(path).status_code in (404, 422)


@pytest.mark.parametrize(("body", "status"), [
    (b"{", 400), (b"[]", 422), (b"{}", 422), (b'{"toml": 3}', 422), (b'{"toml": "", "x": 1}', 422),
    (b'{"toml": "", "edit": {"spec": []}}', 422),
    (b'{"toml": "' + b"x" * (MOST_TOML + 1) + b'"}', 422),
])
def test_what_is_no_attempt_is_refused(desk_of, body, status):
    answer = desk_of().post("/schema/try", content=body)
    assert answer.status_code == status and answer.json()["error"]["message"]


def test_guard_and_bounds_hold_here_too(desk_of):
    client = desk_of(token=TOKEN, body_bytes=2000)
    assert client.post("/schema/try", json={"toml": PACK}).status_code == 401
    assert client.get("/schema/facts").status_code == 401 and client.get("/static/own.js").status_code == 200
    assert client.get("/schema", follow_redirects=False).headers["location"] == "/login"
    key = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/schema", headers=key).status_code == 200
    foreign = {**key, "Origin": "https://example.org"}
    for answer in (client.post("/schema/try", json={"toml": PACK}, headers=foreign), client.post(
            "/schema/packs/saved", params={"name": "x"}, json={"toml": PACK}, headers={**key, "Sec-Fetch-Site": "cross-site"})):
        assert (answer.status_code, answer.json()["error"]["code"]) == (403, "cross_site")
    link = {**key, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}
    assert [client.get(path, headers=link).status_code for path in ("/schema", "/schema/facts")] == [200, 403]
    assert client.post("/schema/try", json={"toml": "#" * 3000}, headers=key).status_code == 413
    assert client.get("/schema/facts", headers={**key, "Host": "evil.example"}).status_code == 403


def test_the_page_comes_with_the_policy_and_holds_nothing_inline(desk_of):
    client = desk_of()
    page = client.get("/schema")
    assert "script-src 'self'" in page.headers["content-security-policy"] and page.text.count("<script") == 1
    assert "<style" not in page.text and " style=" not in page.text and "http" not in page.text
    assert client.get("/", follow_redirects=False).headers["location"] == "/schema"
    for name in ("own.js", "own_form.js", "own_found.js", "own_words.js", "own.css"):
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200 and "innerHTML" not in answer.text and "http" not in answer.text


def test_hidden_characters_in_names_and_records_are_named(desk_of):
    client = desk_of(source=lambda: [TrialRecord("1\u202e", 0, "无\u200b，痛经\u202e。")])
    told = tried(client, PACK.replace("痛经", "痛\u202e经", 1).replace('"痛经"]', '"痛经"]', 1), "痛\u202e经")
    assert told["fields"][0]["label"] == "痛⟦RLO⟧经"
    hit = told["found"]["hits"][0]
    assert hit["id"] == "1⟦RLO⟧" and text_of(hit["before"]) == "无[ZWSP]，" and text_of(hit["behind"]).startswith("[RLO]")

"""`tcmstruct schema new|check|test` as they are called."""

import json
import os

import fake_structurers as fakes
import pytest
from review_folders import structured, write_folder

from tcmstruct import cli
from tcmstruct.recipes import convert as convert_recipe
from tcmstruct.schema import load_schema

TEXTS = ["患者李建国，月经量多。", "月经量少，无发热。", "带下量多。", "发热2天。"]
PACK = """[pack]
name = "试"
[topics."月经"]
words = ["月经"]
[fields."量"]
type = "enum"
topics = ["月经"]
[fields."量".values."多"]
said = ["量多"]
[fields."量".values."少"]
said = ["量少"]
[fields."热"]
type = "yes_no"
terms = ["发热"]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Fake())
    monkeypatch.chdir(tmp_path)
    (tmp_path / "试.toml").write_text(PACK, "utf-8")
    (tmp_path / "病历.csv").write_text("号,内容\n" + "".join(f"{n},{text}\n" for n, text in enumerate(TEXTS)), "utf-8")
    return tmp_path


def run(capfd, *arguments):
    code = cli.run(["schema", *arguments])
    said = capfd.readouterr()
    return code, said.out, said.err


def test_new_writes_a_sound_pack_once(folder, capfd):
    assert run(capfd, "new", "我科.toml", "--name", "针灸 二区") == (0, "", "written: 我科.toml → tcmstruct schema check 我科.toml\n")
    path = folder / "我科.toml"
    if os.name == "posix":
        assert path.stat().st_mode & 0o777 == 0o600
    schema = load_schema(["all", path])
    assert {field.department for field in schema.fields.values()} >= {"针灸 二区"}
    code, _, error = run(capfd, "new", "我科.toml")
    assert code == 2 and "is there already" in error
    assert run(capfd, "new", "我科.toml", "--fresh")[0] == 0 and 'name = "我科"' in path.read_text("utf-8")


@pytest.mark.parametrize("source", ["妇科", "骨科", "试.toml"])
def test_new_begins_from_an_existing_pack(folder, capfd, source):
    assert run(capfd, "new", "甲.toml", "--from", source)[0] == 0
    assert run(capfd, "check", "甲.toml")[0] == 0
    assert {field.department for field in load_schema(folder / "甲.toml").fields.values()} == {"甲"}


@pytest.mark.parametrize(("arguments", "code", "told"), [
    (["new", "甲.txt"], 2, "ends in .toml"),
    (["new", "甲.toml", "--name", " "], 2, "1 to 40"),
    (["new", "甲.toml", "--name", "x" * 41], 2, "found 41"),
    (["new", "甲.toml", "--from", "无此包"], 4, "无此包"),
    (["new", "nowhere/甲.toml"], 1, "No such file"),
    (["check", "无此包.toml"], 4, "schema new"),
    (["test", "无此包.toml", "病历.csv"], 4, "无此包.toml"),
    (["test", "试.toml", "没有.csv"], 4, "没有.csv"),
    (["test", "试.toml", "病历.csv", "--map", "内容=text", "--field", "x"], 2, "its fields are 量, 热"),
    (["test", "试.toml", "病历.csv", "--map", "没有=text"], 4, "没有"),
    (["test", "试.toml", "."], 4, "records.jsonl"),
])
def test_refusals_are_one_line(folder, capfd, arguments, code, told):
    found, out, error = run(capfd, *arguments)
    assert (found, out) == (code, "") and told in error and len(error.splitlines()) == 1
    assert not (folder / "甲.toml").exists()


def test_check_tells_every_fault_with_its_place(folder, capfd):
    (folder / "坏.toml").write_text(PACK.replace("yes_no", "ja_nein").replace('["量少"]', '["(量少"]'), "utf-8")
    code, out, error = run(capfd, "check", "坏.toml")
    assert (code, error) == (3, "") and out.splitlines()[0] == "坏.toml: 2 fields, 2 faults, 0 warnings, 1 note"
    assert "fault line 11 fields.量.values.少.said: " in out and "fault line 13 fields.热.type: " in out
    code, out, _ = run(capfd, "check", "坏.toml", "--json")
    told = json.loads(out)
    assert code == 3 and not told["sound"] and {one["code"] for one in told["findings"]} >= {"template_open", "wrong_choice"}
    code, _, error = run(capfd, "test", "坏.toml", "病历.csv")
    assert code == 4 and "坏.toml:11" in error and "(and 1 more)" in error
    assert run(capfd, "check", "试.toml")[0] == 0 and run(capfd, "check", "儿科")[0] == 0


def test_a_trial_on_a_table_is_de_identified_unless_told_otherwise(capfd):
    code, out, error = run(capfd, "test", "试.toml", "病历.csv", "--map", "内容=text")
    assert code == 0 and "the model read the records" in error and "李建国" not in out
    assert "量 (enum): 2/4 = 50% · 无 0 · 未提及 2 · near misses 1" in out
    assert "near  #3 前面没有话题“月经” · the topic 月经 is not before it  带下[量多]。" in out
    assert "李建国" in run(capfd, "test", "试.toml", "病历.csv", "--map", "内容=text", "--identified")[1]


def test_json_holds_the_same_and_limits_hold(capfd):
    code, out, error = run(capfd, "test", "试.toml", "病历.csv", "--map", "内容=text", "--json", "--field", "热", "--sample", "1",
                           "--limit", "3")
    told = json.loads(out)
    assert code == 0 and (told["records"], told["cut"], told["mentions"]) == (3, True, "model") and "holds more records" in error
    (field,) = told["fields"]
    assert field["values"] == [["无", 1]] and [hit["words"] for hit in field["hits"]] == ["无发热"] and field["hits"][0]["row"] == 2


def test_a_result_of_convert_needs_no_model(folder, capfd, monkeypatch):
    write_folder(folder / "OUT", map(structured, range(12)))
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: pytest.fail("the model was asked"))
    for source in ("OUT", "OUT/records.jsonl"):
        code, out, error = run(capfd, "test", "试.toml", source, "--field", "热")
        assert (code, error) == (0, "") and "热 (yes_no): 12/12" in out
    code, out, error = run(capfd, "test", "试.toml", "OUT", "--limit", "5")
    assert code == 0 and "on 5 records (a part of the input)" in out and "holds more" in error


def test_hostile_names_are_shown_inert(folder, capfd):
    name = "量\u202e<script>"
    (folder / "坏.toml").write_text(PACK.replace('"量"', json.dumps(name)), "utf-8")
    code, out, _ = run(capfd, "test", "坏.toml", "病历.csv", "--map", "内容=text")
    assert code == 0 and "\u202e" not in out

"""`tcmstruct annotation` from the command line: what leaves is de-identified, what comes back is as it was sent."""

import json
import os
import re
from pathlib import Path

import pytest

from tcmstruct import cli
from tcmstruct.annotation import FORMATS

TEXT = "患者李建国，男，56岁，电话13800138000，头痛😷3天。\r\n舌红，苔黄腻。"
SECRETS = ("李建国", "13800138000", "ZY0012345")


def run(*arguments):
    return cli.run([str(a) for a in arguments])


def at(words, **more):
    return {"start": TEXT.index(words), "end": TEXT.index(words) + len(words), "text": words, **more}


@pytest.fixture
def gold(tmp_path):
    entities = [at("头痛", type="症状", status="有"), at("舌红", type="舌质"), at("苔黄腻", type="舌苔")]
    record = {"id": "ZY0012345", "text": TEXT, "entities": entities}
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(record, ensure_ascii=False) + "\n", "utf-8")
    return path


def everything(path):
    return "".join(file.read_text("utf-8") + file.name for file in ([path] if path.is_file() else path.iterdir()))


@pytest.mark.parametrize("name", ["label-studio", "doccano", "brat", "conll", "cmeee"])
def test_what_leaves_is_without_names_and_its_spans_stand_where_they_stood(gold, tmp_path, capfd, name):
    out = tmp_path / "out"
    assert run("annotation", "convert", gold, "--to", name, "-o", out) == 0
    told = everything(out).replace("\tO\n", "") if name == "conll" else everything(out)
    assert not [secret for secret in SECRETS if secret in told]
    assert "de-identified" in capfd.readouterr().err
    (record,) = FORMATS[name].read(out)
    assert [record.text[s.start:s.end] for s in record.spans] == ["头痛", "舌红", "苔黄腻"]
    assert re.fullmatch(r"\[编号-[A-Z2-7]{8}\]", record.id)


@pytest.mark.parametrize("name", ["label-studio", "doccano", "brat", "conll", "cmeee"])
def test_identified_there_and_back_is_the_same_file(gold, tmp_path, name):
    assert run("annotation", "convert", gold, "--to", name, "-o", tmp_path / "there", "--identified") == 0
    assert run("annotation", "convert", tmp_path / "there", "--from", name, "--to", "gold", "-o", tmp_path / "back.jsonl") == 0
    assert json.loads((tmp_path / "back.jsonl").read_bytes()) == json.loads(gold.read_bytes())


def test_check_finds_and_mends_and_shows_no_text(gold, tmp_path, capfd):
    record = json.loads(gold.read_bytes())
    for one in record["entities"]:
        one["start"], one["end"] = (len(TEXT[:one[side]].encode("utf-16-le")) // 2 for side in ("start", "end"))
    gold.write_text(json.dumps(record, ensure_ascii=False), "utf-8")
    assert run("annotation", "convert", gold, "--to", "doccano", "-o", tmp_path / "x") == 4
    assert "annotation check" in capfd.readouterr().err and not (tmp_path / "x").exists()
    assert run("annotation", "check", gold, "--mend", tmp_path / "mended.jsonl") == 3
    told = capfd.readouterr()
    assert "utf16 2" in told.out and "ZY0012345" in told.out
    assert not [word for word in ("李建国", "13800138000", "舌红", "苔黄腻") if word in told.out + told.err]
    assert run("annotation", "check", tmp_path / "mended.jsonl") == 0
    assert run("annotation", "convert", tmp_path / "mended.jsonl", "--to", "doccano", "-o", tmp_path / "x") == 0


def test_nothing_is_replaced_and_what_cannot_be_done_is_said(gold, tmp_path, capfd):
    assert run("annotation", "convert", gold, "--to", "doccano", "-o", gold) == 2
    assert run("annotation", "convert", tmp_path / "none", "--to", "doccano", "-o", tmp_path / "x") == 2
    assert run("annotation", "convert", gold, "--to", "prodigy", "-o", tmp_path / "x") == 2
    assert run("annotation", "check", tmp_path / "none") == 2
    (tmp_path / "odd.jsonl").write_text('{"a": "李建国"}\n', "utf-8")
    assert run("annotation", "check", tmp_path / "odd.jsonl") == 4
    shown = capfd.readouterr()
    assert "label-studio" in shown.err and "李建国" not in shown.err + shown.out and not (tmp_path / "x").exists()


def test_what_a_format_cannot_hold_is_said_aloud(gold, tmp_path, capfd):
    record = json.loads(gold.read_bytes())
    record["entities"].append(at("黄腻", type="苔色"))
    gold.write_text(json.dumps(record, ensure_ascii=False), "utf-8")
    assert run("annotation", "convert", gold, "--to", "conll", "-o", tmp_path / "x") == 0
    assert "left out: 1 spans within or across a longer one" in capfd.readouterr().err


DATA = Path(os.environ.get("TCMSTRUCT_DATA", Path(__file__).parents[2] / "../shared/data")) / "gold" / "train.jsonl"


@pytest.mark.data
@pytest.mark.skipif(not DATA.is_file(), reason="the gold records are not here (TCMSTRUCT_DATA)")
@pytest.mark.parametrize("name", [name for name, format in FORMATS.items() if format.write])
def test_200_gold_records_to_each_format_and_back_are_identical(tmp_path, name):
    if name == "docbin":
        pytest.importorskip("spacy", reason="spaCy is not installed: pip install 'tcmstruct[spacy]'")
    some = DATA.read_text("utf-8").splitlines()[:200]
    (tmp_path / "gold.jsonl").write_text("\n".join(some) + "\n", "utf-8")
    there = tmp_path / ("there.spacy" if name == "docbin" else "there")
    assert run("annotation", "convert", tmp_path / "gold.jsonl", "--to", name, "-o", there, "--identified") == 0
    assert run("annotation", "check", there, "--from", name) == 0
    assert run("annotation", "convert", there, "--from", name, "--to", "gold", "-o", tmp_path / "back.jsonl") == 0
    back = {one["id"]: one for one in map(json.loads, (tmp_path / "back.jsonl").read_text("utf-8").splitlines())}
    assert len(back) == 200
    for line in some:
        one = json.loads(line)
        # The one pair of overlapping mentions in the gold file is not among these, so that CoNLL holds them all.
        key = lambda e: (e["start"], e["end"], e["type"])  # noqa: E731
        assert back[one["id"]]["text"] == one["text"]
        assert sorted(back[one["id"]]["entities"], key=key) == sorted(one["entities"], key=key)

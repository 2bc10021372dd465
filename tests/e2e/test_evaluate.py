"""`evaluate` on files, as the command runs it."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import read_annotated
from tcmstruct.recipes.evaluate import evaluate_files

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "evaluation"
GOLD, PRED = EXAMPLE / "gold.jsonl", EXAMPLE / "pred.jsonl"
DATA = Path(os.environ.get("TCMSTRUCT_DATA", ROOT.parent / "shared" / "data"))


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_the_tables_go_to_stdout_and_nothing_else_does(capsys):
    evaluate_files(GOLD, PRED)
    out, err = capsys.readouterr()
    assert re.search(r"strict .*0\.906 │ 0\.879 │ 0\.892", out)
    assert "状态正确率 Status accuracy 0.923" in out
    assert "咳黄痰" not in out and err == ""


def test_json_is_one_document_of_plain_data(capsys):
    evaluate_files(GOLD, PRED, json_out=True, train=GOLD, against=GOLD)
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["fields"]["micro"]["f1"]["value"] == pytest.approx(2 * 44 / 91)
    assert told["inputs"]["pred"]["made_by"] == ["invented"]
    assert told["differences"]["fields_micro_f1"]["difference"]["value"] < 0
    assert told["mentions"]["unseen"]["n_gold"] == 0
    assert "5 of 5 gold texts stand in the training file" in err
    assert "虚构" not in out


def run(*arguments):
    return subprocess.run([sys.executable, "-m", "tcmstruct", "evaluate", *map(str, arguments)], cwd=ROOT,
                          capture_output=True, encoding="utf-8", env={**os.environ, "PYTHONIOENCODING": "utf-8"})


def test_the_command_prints_data_on_stdout_and_refuses_with_code_4(tmp_path):
    told = run(GOLD, PRED, "--json")
    assert (told.returncode, told.stderr) == (0, "")
    assert json.loads(told.stdout)["n_records"] == 5
    other = tmp_path / "other.jsonl"
    other.write_text(PRED.read_text(encoding="utf-8").replace("咳嗽一周", "咳嗽二周"), encoding="utf-8")
    refused = run(GOLD, other)
    assert (refused.returncode, refused.stdout) == (4, "")
    assert "ex2" in refused.stderr and "咳嗽" not in refused.stderr and "Traceback" not in refused.stderr


def test_the_same_call_prints_the_same(capsys):
    runs = []
    for _ in range(2):
        evaluate_files(GOLD, PRED, json_out=True, against=GOLD)
        runs.append(capsys.readouterr().out)
    assert runs[0] == runs[1]


class Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.tags, self.links = [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href", "srcset", "action", "data")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_self_contained_private_well_formed_and_without_record_text(tmp_path, capsys):
    page = tmp_path / "p.html"
    evaluate_files(GOLD, PRED, html=page, against=GOLD, train=GOLD)
    told, parser = page.read_text(encoding="utf-8"), Page()
    parser.feed(told)
    assert parser.open == [] and parser.links == []
    assert {"svg", "table"} <= set(parser.tags) and "script" not in parser.tags
    assert "http" not in told.replace("http-equiv", "") and "url(" not in told
    assert "prefers-color-scheme: dark" in told and "default-src 'none'" in told
    assert "0.892" in told and "虚构" not in told
    assert mode(page) == 0o600


def test_names_from_the_data_are_escaped_in_the_page(tmp_path):
    evil = "<script>alert(1)</script>"
    record = {"id": evil, "text": "咳嗽。", "dept": evil, "entities": [{"type": evil, "start": 0, "end": 2}],
              "fields": {evil: {"value": "有", "start": 0, "end": 2}}}
    gold, pred, page = tmp_path / "g.jsonl", tmp_path / "p.jsonl", tmp_path / "p.html"
    gold.write_text(json.dumps(record) + "\n" + json.dumps({**record, "id": "2", "dept": "b"}), encoding="utf-8")
    pred.write_text(json.dumps({**record, "id": "2"}) + "\n" + json.dumps({**record, "id": "3"}), encoding="utf-8")
    evaluate_files(gold, pred, html=page)
    assert "<script" not in page.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page.read_text(encoding="utf-8")


def test_errors_are_written_only_when_asked_and_for_the_owner_only(tmp_path, capsys):
    listing = tmp_path / "errors.jsonl"
    evaluate_files(GOLD, PRED, errors=listing, context=4)
    cases = [json.loads(line) for line in listing.read_text(encoding="utf-8").splitlines()]
    assert [(c["id"], c["kind"], c["name"]) for c in cases] == [
        ("ex2", "border", "症状"), ("ex2", "field_value", "舌色"), ("ex3", "field_missed", "腹胀"),
        ("ex3", "border", "症状"), ("ex3", "missed", "症状"), ("ex5", "status", "症状")]
    texts = {record.id: record.text for record in read_annotated(GOLD)}
    for c in cases:
        assert texts[c["id"]][c["start"] : c["end"]] == c["span"]
        assert c["before"] + c["span"] + c["after"] in texts[c["id"]]
        assert len(c["before"]) <= 4 and len(c["after"]) <= 4
    assert mode(listing) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["errors.jsonl"]


def test_a_readable_file_that_is_written_again_becomes_private(tmp_path):
    listing = tmp_path / "errors.jsonl"
    listing.touch(mode=0o644)
    evaluate_files(GOLD, PRED, errors=listing)
    assert mode(listing) == 0o600


def test_nothing_reaches_for_the_network(tmp_path, monkeypatch):
    def refuse(*_args, **_kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    evaluate_files(GOLD, PRED, html=tmp_path / "p.html", n_boot=10)


def test_an_output_never_overwrites_an_input_or_another_output(tmp_path):
    copy = tmp_path / "pred.jsonl"
    copy.write_bytes(PRED.read_bytes())
    with pytest.raises(UsageError):
        evaluate_files(GOLD, copy, errors=tmp_path / "sub" / ".." / "pred.jsonl")
    with pytest.raises(UsageError):
        evaluate_files(GOLD, tmp_path / "pred.jsonl", html=tmp_path / "x", errors=tmp_path / "x")
    assert copy.read_bytes() == PRED.read_bytes()
    with pytest.raises(InputRefused) as caught:
        evaluate_files(GOLD, PRED, html=tmp_path / "absent" / "p.html")
    assert caught.value.code == "unwritable"


def test_predictions_without_text_score_the_same(tmp_path):
    bare = tmp_path / "records.jsonl"
    bare.write_text("".join(json.dumps(record.to_dict(keep_text=False), ensure_ascii=False) + "\n"
                            for record in read_annotated(PRED)), encoding="utf-8")
    whole, without = evaluate_files(GOLD, PRED), evaluate_files(GOLD, tmp_path)
    assert without.entities == whole.entities and without.fields == whole.fields and without.warnings == ()


def test_a_set_of_mentions_without_fields(tmp_path, capsys):
    gold = tmp_path / "ner.jsonl"
    gold.write_text('{"text": "肺火郁于气分", "entities": [{"start": 0, "end": 2, "type": "CAU"}], "id": "n-0"}\n'
                    '{"text": "久咳不已", "entities": [{"start": 0, "end": 2, "type": "SYM"}], "id": "n-1"}\n', "utf-8")
    result = evaluate_files(gold, gold, html=tmp_path / "p.html")
    assert result.fields is None and result.entities["strict"].f1.value == 1
    assert "字段 Fields" not in capsys.readouterr().out


@pytest.mark.data
@pytest.mark.skipif(not (DATA / "gold" / "dev.jsonl").exists(), reason="needs the data folder (TCMSTRUCT_DATA)")
def test_the_gold_set_against_a_weakened_copy_of_itself(tmp_path, capsys):
    dev, weak = DATA / "gold" / "dev.jsonl", tmp_path / "weak.jsonl"
    records = read_annotated(dev)
    weak.write_text("".join(json.dumps(dict(r.to_dict(), entities=r.to_dict()["entities"][i % 3 :]),
                                       ensure_ascii=False) + "\n" for i, r in enumerate(records)), encoding="utf-8")
    result = evaluate_files(dev, weak, train=DATA / "gold" / "train.jsonl", against=dev, html=tmp_path / "p.html")
    dropped = sum(min(i % 3, len(r.entities)) for i, r in enumerate(records))
    strict = result.entities["strict"]
    assert (strict.n_gold - strict.credit, strict.precision.value) == (dropped, 1)
    assert set(result.groups["style"]) == {"inpatient", "published", "outpatient"}
    assert result.differences["entities_strict_f1"].difference.high < 0
    assert result.fields.micro.f1.value == 1
    printed = "".join(capsys.readouterr()) + (tmp_path / "p.html").read_text(encoding="utf-8")
    assert not any(record.text[:20] in printed for record in records)

"""What reviewers settled, as gold records that the other commands read."""

import json
import os

import pytest
from review_folders import structured, write_folder

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import evaluate, read_annotated
from tcmstruct.labels import READOUTS
from tcmstruct.recipes.deidentify import deidentify_file
from tcmstruct.recipes.review import export_review
from tcmstruct.record import FieldValue
from tcmstruct.schema import load_schema
from tcmstruct.serve.decisions import Decision
from tcmstruct.serve.review import open_review
from tcmstruct.serve.store import default_url

SCHEMA = load_schema("all")


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv("TCMSTRUCT_KEY", "k" * 40)


@pytest.fixture
def reviewed(tmp_path):
    """A folder in which records 0, 1 and 3 are signed off and 2 is decided in part."""
    def make(records=None):
        out = write_folder(tmp_path / "OUT", records or map(structured, range(6)))
        review = open_review(out, default_url(out), SCHEMA, "甲医生")
        review.start()
        review.wait()

        def decide(row, **given):
            after = review.shown(row)["last"]
            usual = {"target": "field", "name": "痰色", "action": "accept", "who": "甲医生", "after": after}
            review.decide(row, Decision(**{**usual, **given}))

        decide(0, action="edit", value=["白"])
        decide(0, name="最高体温", action="reject")
        decide(0, name="咳嗽", action="add", value="有", start=2, end=4)
        decide(0, target="mention", name="", action="add", type="证候", start=0, end=2)
        decide(2, name="有无发热", action="reject")
        for row in (0, 1, 3):
            decide(row, target="record", name="", action="done")
        review.close()
        return out
    return make


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_signed_off_records_are_gold_with_what_was_decided(reviewed, tmp_path):
    gold = tmp_path / "gold.jsonl"
    assert export_review(reviewed(), gold, identified=True) == 3
    records = read(gold)
    assert [one["id"] for one in records] == ["r000000", "r000001", "r000003"]
    first = records[0]
    assert first["fields"]["痰色"]["value"] == ["白"] and "最高体温" not in first["fields"]
    assert first["fields"]["咳嗽"] == {"value": "有", "start": 2, "end": 4, "evidence": "咳嗽"}
    assert all(first["text"][f["start"]:f["end"]] == f["evidence"] for f in first["fields"].values())
    assert {e["type"] for e in first["entities"]} == {"症状", "中医诊断"}
    assert all(first["text"][e["start"]:e["end"]] == e["text"] for e in first["entities"])
    assert first["review"] == {"who": ["甲医生"], "when": first["review"]["when"], "done": True, "from_model": "m1", "from_schema": "s1"}


def test_evaluate_reads_the_export_and_counts_the_corrections(reviewed, tmp_path):
    out, gold = reviewed(), tmp_path / "gold.jsonl"
    export_review(out, gold, identified=True)
    found = evaluate(read_annotated(gold), read_annotated(out), n_boot=0).to_dict()["fields"]["by_field"]
    assert (found["痰色"]["credit"], found["痰色"]["n_gold"]) == (1.0, 2), "one of two was edited"
    assert (found["咳嗽"]["n_gold"], found["咳嗽"]["n_pred"]) == (1, 0), "added: the program had missed it"


def test_the_types_are_those_that_the_gold_readout_is_trained_on(reviewed, tmp_path):
    export_review(reviewed(), tmp_path / "gold.jsonl", identified=True)
    assert {e["type"] for one in read(tmp_path / "gold.jsonl") for e in one["entities"]} <= set(READOUTS["gold"])


def test_records_in_part_come_when_asked_for(reviewed, tmp_path, capsys):
    out, gold = reviewed(), tmp_path / "gold.jsonl"
    export_review(out, gold, identified=True)
    assert "1 records decided in part" in capsys.readouterr().err
    assert export_review(out, gold, which="touched", identified=True) == 4
    assert [one["review"]["done"] for one in read(gold)] == [True, True, False, True]


def test_fine_types_are_the_models_own(reviewed, tmp_path):
    export_review(reviewed(), tmp_path / "gold.jsonl", types="fine", identified=True)
    assert {e["type"] for e in read(tmp_path / "gold.jsonl")[0]["entities"]} == {"症状体征", "证候"}


def test_unless_told_otherwise_nobody_is_named(reviewed, tmp_path):
    """Neither the patient nor the reviewer; offsets move with the text, and the same key gives the same ids to the predictions."""
    out = reviewed([structured(n, f"患者王小明，电话13812345678，咳黄痰，无发热，体温37.8℃。第{n}份。") for n in range(6)])
    gold, pred = tmp_path / "gold.jsonl", tmp_path / "pred.jsonl"
    assert export_review(out, gold) == 3
    told = gold.read_text(encoding="utf-8")
    assert not [word for word in ("王小明", "13812345678", "甲医生", "r000000") if word in told]
    for one in read(gold):
        assert all(one["text"][f["start"]:f["end"]] == f["evidence"] for f in one["fields"].values() if f["value"] != "有" or f["evidence"])
        assert one["fields"]["有无发热"]["evidence"] == "发热"
    deidentify_file(str(out), pred)
    assert evaluate(read_annotated(gold), read_annotated(pred), n_boot=0).to_dict()


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_the_file_is_private(reviewed, tmp_path):
    export_review(reviewed(), tmp_path / "gold.jsonl")
    assert (tmp_path / "gold.jsonl").stat().st_mode & 0o777 == 0o600


def test_values_of_the_photograph_alone_are_no_gold_of_the_text(reviewed, tmp_path, capsys):
    records = [structured(n) for n in range(6)]
    records[0].fields["舌色"] = FieldValue(["红"], "", 0, 0, source="image")
    export_review(reviewed(records), tmp_path / "gold.jsonl", identified=True)
    assert "舌色" not in read(tmp_path / "gold.jsonl")[0]["fields"] and "1 values that no words" in capsys.readouterr().err


def test_where_nothing_is_settled_nothing_is_written(tmp_path):
    out = write_folder(tmp_path / "OUT", [structured(0)])
    with pytest.raises(InputRefused, match="nobody has reviewed"):
        export_review(out, tmp_path / "gold.jsonl")
    assert not (tmp_path / "OUT.review.db").exists()
    review = open_review(out, default_url(out), SCHEMA)
    review.close()
    with pytest.raises(InputRefused, match="no record is signed off"):
        export_review(out, tmp_path / "gold.jsonl")
    assert not (tmp_path / "gold.jsonl").exists()


def test_options_that_do_not_fit_are_refused(reviewed, tmp_path):
    out = reviewed()
    for given in ({"which": "all"}, {"types": "raw"}):
        with pytest.raises(UsageError):
            export_review(out, tmp_path / "gold.jsonl", **given)
    with pytest.raises(UsageError, match="replace the input"):
        export_review(out, out / "records.jsonl")

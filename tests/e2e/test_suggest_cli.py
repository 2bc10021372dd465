"""Suggestions through the command line: only where they were asked for, never a field, never in a table."""

import csv
import json
import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="the tiny head is trained with torch")
from case_folder import case_folder, drawn_case
from tiny_tagger import tiny_tagger

from tcmstruct import Structurer
from tcmstruct.record import Record, StructuredRecord

TEXT = drawn_case(200)["text"]


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    from dataclasses import replace

    from tcmstruct.recipes import suggestion_train as recipe

    place = tmp_path_factory.mktemp("head")
    fast = {name: replace(own, n_passes=8, learning_rate=1e-2) for name, own in recipe.SETTINGS.items()}
    return recipe.build(place / "run", case_folder(place / "data"), place / "head", model=tiny_tagger() / "fp32",
                        tasks=("disease", "syndrome"), least=5, seeds=1, settings=fast)


def run(*words):
    return subprocess.run([sys.executable, "-m", "tcmstruct", *map(str, words)], capture_output=True, text=True, timeout=120)


def test_structure_suggests_only_when_asked(head):
    plain = run("structure", TEXT, "--model", tiny_tagger() / "fp32")
    asked = run("structure", TEXT, "--model", tiny_tagger() / "fp32", "--suggest-model", head)
    assert asked.returncode == plain.returncode == 0, asked.stderr
    without, beside = json.loads(plain.stdout), json.loads(asked.stdout)
    said = beside.pop("suggestions")
    assert beside == without  # entities, fields and all else are the same
    assert "suggestion" in said["note"].lower() and "非诊断" in said["note"] and not said["with_photo"]
    assert set(said["tasks"]) == {"disease", "syndrome"}
    first = said["tasks"]["disease"][0]
    assert first["name"] == "混合痔" and first["code"] == "10.3.1.3" and 0 < first["probability"] <= 1
    for start, end in first["clauses"]:
        assert TEXT[start:end] and "诊断" not in TEXT[start:end]


def test_convert_puts_them_into_records_jsonl_and_into_no_table(head, tmp_path):
    source = tmp_path / "in.csv"
    with source.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["编号", "病历"], *([str(i), drawn_case(300 + i)["text"]] for i in range(3))])
    for name, words in (("plain", ()), ("asked", ("--suggest-model", head))):
        done = run("convert", source, "-o", tmp_path / name, "--model", tiny_tagger() / "fp32", "--format", "jsonl,csv", *words)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "plain" / "table.csv").read_bytes() == (tmp_path / "asked" / "table.csv").read_bytes()
    for line in (tmp_path / "asked" / "records.jsonl").read_text(encoding="utf-8").splitlines():
        record = StructuredRecord.from_dict(json.loads(line))
        assert record.suggestions["tasks"] and record.to_dict() == json.loads(line)
    assert "suggestions" not in (tmp_path / "plain" / "records.jsonl").read_text(encoding="utf-8")
    manifest = json.loads((tmp_path / "asked" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["settings"]["suggest"] == record.suggestions["head"]


def test_without_a_head_the_reason_is_told(tmp_path):
    missing = run("structure", TEXT, "--model", tiny_tagger() / "fp32", "--suggest-model", tmp_path / "nothing")
    assert missing.returncode == 4 and "docs/suggestions.md" in missing.stderr and "中医诊断" not in missing.stderr


def test_a_head_of_another_model_is_refused(head):
    with pytest.raises(Exception, match="trained on the text model"):
        Structurer(suggest=head)


def test_suggestions_are_the_same_alone_and_in_company_and_nothing_to_rest_on_gives_none(head):
    structurer = Structurer(tiny_tagger() / "fp32", suggest=head)
    texts = [TEXT, TEXT * 3, "诊断为混合痔。", drawn_case(201)["text"]]
    together = structurer.structure_many([Record(str(i), text) for i, text in enumerate(texts)])
    for text, result in zip(texts, together, strict=True):
        assert structurer.structure(text).suggestions == result.suggestions
    assert together[2].suggestions["tasks"] == {"disease": [], "syndrome": []}
    assert structurer.structure(TEXT, suggest=False).suggestions is None

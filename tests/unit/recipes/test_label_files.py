"""Labels are parted by text, mapped to the guide's types, and refused where they cannot be used."""

import json
from collections import Counter

import pytest

pytest.importorskip("torch", reason="the extra [train] is not installed")

import toy_labels

from tcmstruct.annotation import FORMATS, Annotated, Span
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.recipes.label_files import TRAINABLE, read_judge, read_parts, wanted_types


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def rewrite(path, records):
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    return path


def test_the_parts_are_drawn_by_the_seed_and_share_no_text(tmp_path):
    file = toy_labels.write(tmp_path / "a.jsonl")
    copies = [{**r, "id": f"copy {r['id']}"} for r in rows(file)[:10]]
    rewrite(file, [*rows(file), *copies])
    parts = read_parts([file], seed=3)
    texts = [{r.text for r in part} for part in (parts.train, parts.tune, parts.judge)]
    assert not texts[0] & texts[1] and not texts[0] & texts[2] and not texts[1] & texts[2]
    assert len(parts.train) + len(parts.tune) + len(parts.judge) == 50
    again, other = (read_parts([file], seed=seed).judge for seed in (3, 4))
    assert [r.id for r in again] == [r.id for r in parts.judge] != [r.id for r in other]
    assert parts.types == TRAINABLE


def test_a_held_out_file_judges_and_its_texts_are_not_learnt_from(tmp_path):
    file = toy_labels.write(tmp_path / "a.jsonl")
    held = rewrite(tmp_path / "held.jsonl", rows(file)[:8])
    parts = read_parts([file], heldout=held)
    assert {r.id for r in parts.judge} == {f"r{n}" for n in range(8)}
    assert not {r.text for r in parts.judge} & {r.text for r in (*parts.train, *parts.tune)}
    assert "not learnt from" in parts.notes[0]


def test_a_type_that_only_the_held_out_file_labels_is_not_taken_for_absent(tmp_path):
    file = toy_labels.write(tmp_path / "a.jsonl", types=("脉象",))
    parts = read_parts([file], heldout=toy_labels.write(tmp_path / "held.jsonl", 12, seed=9, first=100))
    assert parts.types == ("脉象",) and {m.type for r in parts.judge for m in r.entities} == {"脉象"}


def test_fine_types_become_those_of_the_guide_and_others_are_left_out(tmp_path):
    file = toy_labels.write(tmp_path / "a.jsonl")
    fine = {"症状": "症状体征", "治疗": "中药", "中医诊断": "证候", "西医诊断": "时间病程"}
    rewrite(file, [{**r, "entities": [{**e, "type": fine.get(e["type"], e["type"])} for e in r["entities"]]} for r in rows(file)])
    parts = read_parts([file])
    assert parts.types == tuple(t for t in TRAINABLE if t != "西医诊断")
    assert {m.type for r in (*parts.train, *parts.judge) for m in r.entities} == set(parts.types)
    assert any("时间病程" in note for note in parts.notes)


def test_only_what_is_wanted_is_trained_and_judged(tmp_path):
    parts = read_parts([toy_labels.write(tmp_path / "a.jsonl")], wanted=["舌象", "脉象"])
    assert parts.types == ("舌质", "舌苔", "脉象")
    assert {m.type for r in (*parts.train, *parts.tune, *parts.judge) for m in r.entities} == {"舌质", "舌苔", "脉象"}
    assert wanted_types(["证候"]) == ("中医诊断",)
    with pytest.raises(UsageError, match="舌脉"):
        wanted_types(["气色"])


def test_annotations_of_other_tools_are_read(tmp_path):
    file = toy_labels.write(tmp_path / "a.jsonl")
    def spans(r):
        return [Span(e["start"], e["end"], e["type"], e.get("status")) for e in r["entities"]]

    records = [Annotated(r["id"], r["text"], spans(r)) for r in rows(file)]
    other = tmp_path / "doccano.jsonl"
    FORMATS["doccano"].write(other, records, Counter())
    ours, theirs = read_parts([file]), read_parts([other])
    assert [[(m.type, m.start, m.end, m.status) for m in r.entities] for r in ours.train] \
        == [[(m.type, m.start, m.end, m.status) for m in r.entities] for r in theirs.train]


def test_predictions_are_no_labels(tmp_path):
    file = toy_labels.write(tmp_path / "a.jsonl")
    rewrite(file, [{**r, "text_sha256": ""} for r in rows(file)])
    with pytest.raises(InputRefused) as caught:
        read_parts([file])
    assert caught.value.code == "not_labels"


@pytest.mark.parametrize(("n", "code"), [(1, "too_few_labels"), (7, "too_few_labels")])
def test_a_handful_is_refused_with_its_numbers(tmp_path, n, code):
    with pytest.raises(InputRefused, match="suggest") as caught:
        read_parts([toy_labels.write(tmp_path / "a.jsonl", n)])
    assert caught.value.code == code


def test_an_id_in_two_files_is_refused(tmp_path):
    with pytest.raises(InputRefused) as caught:
        read_parts([toy_labels.write(tmp_path / "a.jsonl"), toy_labels.write(tmp_path / "b.jsonl", seed=1)])
    assert caught.value.code == "duplicate_id"


def test_a_file_that_judges_alone_tells_its_types(tmp_path):
    records, types = read_judge(toy_labels.write(tmp_path / "a.jsonl", 5, types=("脉象", "舌质")))
    assert len(records) == 5 and types == ("舌质", "脉象")

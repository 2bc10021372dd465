"""Files of others as their own tools write them, and what a format cannot hold."""

import json
import stat
from collections import Counter

import pytest

from tcmstruct.annotation import FORMATS, Annotated, Span, guess, named, require_sound
from tcmstruct.errors import InputRefused, UsageError

TEXT = "患者头痛😷3天，舌红。"
SPANS = [Span(2, 4, "症状", "有"), Span(8, 10, "舌质")]


def written(tmp_path, name, *records, left=None):
    path = tmp_path / "out"
    FORMATS[name].write(path, records, Counter() if left is None else left)
    return path


def read(name, path):
    return list(FORMATS[name].read(path))


def saved(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
    return path


def test_label_studio_tasks_with_status_choices_and_predictions(tmp_path):
    region = {"id": "k1", "from_name": "label", "to_name": "text", "type": "labels",
              "value": {"start": 2, "end": 4, "text": "头痛", "labels": ["症状"]}}
    status = {"id": "k1", "from_name": "status", "to_name": "text", "type": "choices", "value": {"start": 2, "end": 4, "choices": ["无"]}}
    relation = {"from_id": "k1", "to_id": "k2", "type": "relation"}
    task = {"id": 7, "data": {"text": TEXT}, "annotations": [{"was_cancelled": True, "result": []}, {"result": [relation, status, region]}],
            "predictions": [{"model_version": "m", "score": 0.5, "result": [{**region, "score": 0.5}]}]}
    (record,) = read("label-studio", saved(tmp_path, "a.json", json.dumps([task])))
    assert record == Annotated("7", TEXT, [Span(2, 4, "症状", "无")], [Span(2, 4, "症状", None, 0.5)])
    assert record.spans[0].surface == "头痛"


def test_predictions_alone_make_a_task_that_waits_for_a_person(tmp_path):
    path = written(tmp_path, "label-studio", Annotated("1", TEXT, (), [Span(2, 4, "症状", "有", 0.75)]))
    (task,) = json.loads(path.read_text("utf-8"))
    assert "annotations" not in task and task["predictions"][0]["score"] == 0.75


def test_doccano_in_both_of_its_shapes(tmp_path):
    old = {"id": 3, "text": TEXT, "label": [[2, 4, "症状#有"], [8, 10, "舌质"]]}
    new = {"id": 4, "text": TEXT, "Comments": [], "relations": [],
           "entities": [{"id": 1, "label": "舌质", "start_offset": 8, "end_offset": 10}]}
    path = saved(tmp_path, "a.jsonl", "".join(json.dumps(one) + "\n" for one in (old, new)))
    assert read("doccano", path) == [Annotated("3", TEXT, SPANS), Annotated("4", TEXT, SPANS[1:])]


def test_cmeee_ends_are_inclusive(tmp_path):
    entity = {"start_idx": 2, "end_idx": 3, "type": "sym", "entity": "头痛"}
    path = saved(tmp_path, "a.json", json.dumps([{"text": TEXT, "entities": [entity]}]))
    (record,) = read("cmeee", path)
    assert record.spans == [Span(2, 4, "sym")] and record.id == "a.json[1]"
    (back,) = json.loads(written(tmp_path, "cmeee", record).read_text("utf-8"))
    assert back["entities"] == [entity]


def brat(tmp_path, notes, text=TEXT):
    folder = tmp_path / "brat"
    folder.mkdir()
    saved(folder, "1.txt", text)
    saved(folder, "1.ann", notes)
    return folder


def test_brat_with_attributes_relations_and_notes(tmp_path):
    folder = brat(tmp_path, "T1\t症状 2 4\t头痛\nA1\tStatus T1 有\nR1\tx Arg1:T1 Arg2:T2\n#1\tAnnotatorNotes T1\t甲\nT2\t舌质 8 10\t舌红\n")
    assert read("brat", folder) == [Annotated("1", TEXT, SPANS)]


def test_brat_pieces_at_a_line_end_are_one_span_and_others_are_refused_by_name(tmp_path):
    (record,) = read("brat", brat(tmp_path, "T1\t症状 0 2;4 6\t头痛 发热\n", "头痛\r\n发热"))
    assert record.spans == [Span(0, 6, "症状")] and record.spans[0].surface == "头痛\r\n发热"
    (tmp_path / "brat" / "1.ann").write_text("T1\t症状 0 1;4 6\t头 发热\n", "utf-8")
    with pytest.raises(InputRefused, match=r"1\.ann:1.*discontinuous"):
        read("brat", tmp_path / "brat")


@pytest.mark.parametrize("notes", ["T1 症状 0 2 头痛\n", "T1\t症状 0\t头痛\n", "T1\t症状 a b\t头痛\n"])
def test_what_brat_would_not_write_is_refused_with_its_line(tmp_path, notes):
    with pytest.raises(InputRefused, match=r"1\.ann:1") as raised:
        read("brat", brat(tmp_path, notes))
    assert "头痛" not in str(raised.value)


def test_brat_refuses_what_makes_no_file(tmp_path):
    for record, code in ((Annotated("1", TEXT, [Span(0, 2, "a b")]), "label_refused"), (Annotated("长" * 99, TEXT), "id_refused")):
        with pytest.raises(InputRefused) as raised:
            written(tmp_path, "brat", record)
        assert raised.value.code == code
    with pytest.raises(InputRefused, match="stands twice"):
        written(tmp_path, "brat", Annotated("1", TEXT), Annotated("1", TEXT))


def test_conll_of_others_with_words_and_further_columns(tmp_path):
    path = saved(tmp_path, "a.conll", "-DOCSTART- O\n\n头痛 NN B-症状\n3 CD O\n天 NN O\n\n"
                 "舌 NN I-舌质\n红 NN I-舌质\n苔 NN B-舌苔\n黄 NN B-舌苔\n")
    one, two = read("conll", path)
    assert (one.text, one.spans) == ("头痛3天", [Span(0, 2, "症状")])
    assert (two.text, two.spans) == ("舌红苔黄", [Span(0, 2, "舌质"), Span(2, 3, "舌苔"), Span(3, 4, "舌苔")])


def test_conll_keeps_the_outermost_and_counts_the_others(tmp_path):
    left = Counter()
    path = written(tmp_path, "conll", Annotated("1", "咳中等量黄痰", [Span(1, 6, "症状"), Span(4, 6, "痰"), Span(0, 2, "症状")]), left=left)
    (record,) = read("conll", path)
    assert record.spans == [Span(1, 6, "症状")] and left["nested_or_overlapping"] == 2


def test_predictions_that_a_format_does_not_hold_are_counted(tmp_path):
    left = Counter()
    written(tmp_path, "doccano", Annotated("1", TEXT, (), [Span(0, 2, "症状", score=0.5)]), left=left)
    assert left["predictions"] == 1


def test_records_of_convert_are_predictions(tmp_path):
    line = {"id": "1", "text": TEXT, "text_sha256": "0", "fields": {},
            "entities": [{"type": "症状", "status": "有", "text": "头痛", "start": 2, "end": 4, "confidence": 0.9, "source": "text"}]}
    saved(tmp_path, "records.jsonl", json.dumps(line))
    assert guess(tmp_path) == guess(tmp_path / "records.jsonl") == "records"
    (record,) = read("records", tmp_path)
    assert record.predictions == [Span(2, 4, "症状", "有", 0.9)] and not record.spans


@pytest.mark.parametrize("name", ["gold", "label-studio", "doccano", "cmeee", "brat"])
def test_a_format_is_recognised_by_its_content_and_its_files_are_private(tmp_path, name):
    path = written(tmp_path, name, Annotated("1", TEXT, SPANS))
    assert guess(path) == name
    for file in path.iterdir() if path.is_dir() else [path]:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(("name", "content"), [
    ("gold", '{"id": "1", "text": 3}'), ("gold", '{"id": "1", "text": "x", "entities": [{"type": "a", "start": "0", "end": 1}]}'),
    ("gold", '{"id": "1", "text": "x", "entities": 3}'), ("gold", "[1]"), ("gold", "{"), ("gold", b"\xff\xfe"),
    ("doccano", '{"text": "x", "label": [[0, 1]]}'), ("doccano", '{"text": "x", "label": [[0, true, "a"]]}'),
    ("label-studio", '[{"text": "x"}]'), ("label-studio", "[3]"), ("cmeee", '[{"text": "x", "entities": [{"start_idx": 0}]}]'),
    ("conll", "头\n"), ("conll", "头\tX-症状\n"), ("conll", "# id = 标记\n头\tO\n"), ("docbin", b"abc"), ("brat", "x"),
])
def test_what_is_not_of_a_format_is_refused_with_its_place_and_without_its_text(tmp_path, name, content):
    if name == "docbin":
        pytest.importorskip("spacy", reason="spaCy is not installed: pip install 'tcmstruct[spacy]'")
    with pytest.raises(InputRefused) as raised:
        read(name, saved(tmp_path, "odd", content))
    assert raised.value.where.startswith("odd") and "头" not in str(raised.value) and "标记" not in str(raised.value)


@pytest.mark.parametrize(("record", "code"), [
    (Annotated("1", TEXT, [Span(8, 99, "a")]), "offsets_wrong"), (Annotated("1", TEXT, [Span(-1, 2, "a")]), "offsets_wrong"),
    (Annotated("1", TEXT, [Span(3, 3, "a")]), "offsets_wrong"), (Annotated("1", TEXT, [Span(0, 2, "a", surface="头痛")]), "offsets_wrong"),
    (Annotated("1", TEXT, [Span(0, 2, " ")]), "label_missing"), (Annotated("1", TEXT, [Span(0, 2, "a", "或许")]), "status_unknown"),
    (Annotated("1", "头\ud800", []), "lone_surrogate"),
])
def test_an_unsound_record_goes_no_further_and_tells_no_text(record, code):
    with pytest.raises(InputRefused) as raised:
        require_sound(record)
    assert raised.value.code == code and "头" not in str(raised.value)


def test_a_label_that_looks_like_one_with_a_status_is_refused(tmp_path):
    with pytest.raises(InputRefused, match="rename"):
        written(tmp_path, "doccano", Annotated("1", TEXT, [Span(0, 2, "症状#无")]))
    (record,) = read("gold", written(tmp_path, "gold", Annotated("1", TEXT, [Span(0, 2, "症状#无")])))
    assert record.spans == [Span(0, 2, "症状#无")], "gold has a place of its own for the status"


def test_formats_are_named_or_the_allowed_ones_told():
    with pytest.raises(UsageError, match="label-studio"):
        named("prodigy", "--from")
    with pytest.raises(UsageError, match="allowed: gold"):
        named("records", "--to", writes=True)

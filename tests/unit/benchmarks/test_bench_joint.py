from benchmarks.baselines import as_records, with_fields
from benchmarks.baselines.joint import fingerprint, joint_label, labels_of, mentions_of, split_label, tags_of
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.schema import load_schema

TEXT = "咳嗽，无发热，舌红"
RECORD = StructuredRecord("1", TEXT, [Mention("症状", 0, 2, "有"), Mention("症状", 4, 6, "无"), Mention("舌质", 7, 9)])


def test_labels_hold_the_status_and_come_back():
    assert labels_of([RECORD]) == ["症状-无", "症状-有", "舌质"]
    for m in RECORD.entities:
        assert split_label(joint_label(m)) == (m.type, m.status)
    assert split_label("DRUG-TASTE") == ("DRUG-TASTE", None)


def test_tags_there_and_back():
    labels = labels_of([RECORD])
    tags = tags_of(RECORD, labels)
    assert tags.tolist() == [3, 4, 0, 0, 1, 2, 0, 5, 6]
    assert mentions_of(tags, [1.0] * len(TEXT), labels) == list(RECORD.entities)


def test_of_overlapping_mentions_the_longest_is_kept():
    record = StructuredRecord("1", "上腹部隐痛", [Mention("症状", 3, 5, "有"), Mention("症状", 0, 5, "有")])
    assert tags_of(record, ["症状-有"]).tolist() == [1, 2, 2, 2, 2]


def test_neighbours_stay_apart_and_a_lone_inside_begins():
    labels = ["症状-有", "舌质"]
    found = mentions_of([1, 1, 2, 0, 4, 4, 2], [.9, .8, .4, 1, .7, .6, .5], labels)
    assert [(m.type, m.start, m.end, m.confidence) for m in found] == [
        ("症状", 0, 1, .9), ("症状", 1, 3, .4), ("舌质", 4, 6, .6), ("症状", 6, 7, .5)]


def test_fingerprint_follows_records_and_settings():
    other = StructuredRecord("1", TEXT, RECORD.entities[:2])
    names = {fingerprint([RECORD], {"a": 1}), fingerprint([RECORD], {"a": 2}), fingerprint([other], {"a": 1})}
    assert len(names) == 3
    assert fingerprint([RECORD], {"a": 1}) in names


def test_with_fields_gives_the_schema_the_model_s_types():
    schema = load_schema("all")
    found = with_fields(schema, TEXT, RECORD.entities)
    assert [m.type for m in found.entities] == ["症状体征", "症状体征", "舌质"]
    assert found.fields["有无发热"].value == "无"
    assert with_fields(None, TEXT, RECORD.entities).entities == RECORD.entities
    assert as_records([RECORD], [found])[0].text == TEXT

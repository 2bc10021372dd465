import json
import sys
from pathlib import Path

import pytest

from tcmstruct.batch.chunks import chunked, fault_place, structure_chunk
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import ModelError
from tcmstruct.record import FieldValue, Mention, Record, StructuredRecord

sys.path.insert(0, str(Path(__file__).parents[2] / "fakes"))
import fake_structurers as fakes


def batch(n, bad=()):
    return [Record(f"r{k}", f"{'坏' if k in bad else '好'}{k}", where=f"f:{k}") for k in range(n)]


@pytest.mark.parametrize("bad", [(0,), (31,), (3, 4, 17), tuple(range(32))])
def test_a_record_that_fails_costs_itself_only(bad):
    result = structure_chunk(fakes.Failing().structure_many, batch(32, bad))
    assert [r.id for r in result.rejects] == [f"r{k}" for k in bad]
    assert [json.loads(line)["id"] for line in result.lines.splitlines()] == [f"r{k}" for k in range(32) if k not in bad]
    assert {r.code for r in result.rejects} == {"structuring_failed"}
    assert {r.where for r in result.rejects} == {f"f:{k}" for k in bad}


def test_one_bad_record_is_found_by_halving_not_one_by_one():
    fake = fakes.Failing()
    structure_chunk(fake.structure_many, batch(256, (77,)))
    assert len(fake.sizes) == 8  # the good halves


@pytest.mark.parametrize(("raises", "code"), [
    (fakes.refuses, "of_no_use"), (MemoryError, "out_of_memory"), (RecursionError, "structuring_failed"),
    (AssertionError, "structuring_failed")])
def test_codes_by_kind_of_fault(raises, code):
    result = structure_chunk(fakes.Failing(raises=raises).structure_many, batch(4, (2,)))
    assert [r.code for r in result.rejects] == [code]


def test_reasons_hold_no_record_text():
    result = structure_chunk(fakes.Failing().structure_many, [Record("1", f"坏{fakes.MARKER}")])
    assert fakes.MARKER not in str(result.rejects)
    assert "ValueError in fake_structurers.py:" in result.rejects[0].reason


def test_a_fault_of_the_model_is_not_a_records_fault():
    with pytest.raises(ModelError):
        structure_chunk(fakes.Failing(raises=ModelError).structure_many, batch(4, (2,)))


def test_readers_rejects_keep_their_places():
    items = batch(3, (1,))
    items.insert(1, Reject("text_missing", "x", "f:1"))
    items.append(Reject("ragged_row", "x", "f:9"))
    result = structure_chunk(fakes.Failing().structure_many, items)
    assert [r.code for r in result.rejects] == ["text_missing", "structuring_failed", "ragged_row"]


@pytest.mark.parametrize("wrong", [
    lambda r: StructuredRecord(r.id, r.text, fields={"x": FieldValue("有", "没有", 0, 2)}),
    lambda r: StructuredRecord(r.id, r.text, [Mention("舌质", 0, len(r.text) + 1)]),
    lambda r: StructuredRecord(r.id, r.text, [Mention("舌质", 1, 1)]),
    lambda r: StructuredRecord(r.id, r.text + "。"),
])
def test_a_result_that_does_not_point_into_the_text_is_not_written(wrong):
    result = structure_chunk(lambda records: [wrong(r) for r in records], batch(2))
    assert [r.code for r in result.rejects] == ["result_invalid"] * 2
    assert result.lines == b""


def test_answers_in_the_wrong_place_are_noticed():
    result = structure_chunk(lambda records: [fakes.finds_fever(r) for r in reversed(records)], batch(4))
    assert result.counts.ok == 4  # one by one the order is right
    result = structure_chunk(lambda records: [], batch(4))
    assert [r.code for r in result.rejects] == ["structuring_failed"] * 4


def test_tallies():
    items = [Record("1", "有发热", extra={"a": "1"}), Record("2", "咳嗽", extra={"b": "2"})]
    result = structure_chunk(fakes.Fake().structure_many, items)
    counts = result.counts
    assert (counts.ok, counts.review, dict(counts.fields), list(counts.extra)) == (2, 1, {"有无发热": 1}, ["a", "b"])


def test_chunks_grow_after_the_first_and_take_no_more_than_they_give():
    source = iter(range(100))
    chunks = chunked(source, 3, 10)
    assert next(chunks) == [0, 1, 2]
    assert len(next(chunks)) == 10
    assert next(source) == 13


def test_fault_place_shows_kind_and_place_only():
    try:
        int(fakes.MARKER)
    except ValueError as error:
        assert fault_place(error).startswith("ValueError in test_chunks.py:")


def test_long_texts_make_smaller_chunks_and_none_is_lost():
    lengths = [5, 5, 40, 3, 3, 3, 3, 60, 70, 1, 1]
    items = [Record(str(n), "咳" * length) for n, length in enumerate(lengths)]
    items.insert(4, Reject("text_missing", "x", "f:1"))
    chunks = list(chunked(items, 2, 4, chars=50))
    assert [item for chunk in chunks for item in chunk] == items
    assert [len(chunk) for chunk in chunks] == [2, 4, 2, 1, 1, 2]
    assert all(len(chunk) == 1 or sum(len(r.text) for r in chunk if isinstance(r, Record)) <= 50 for chunk in chunks)

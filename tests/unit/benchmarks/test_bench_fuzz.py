import random

import pytest

from benchmarks.fuzz_readers import COUNT, SAMPLES, address, damaged, inputs, outcome
from tcmstruct.emr import ReadRecord, open_source

ONE = ("html",)
"""A page is one record."""


@pytest.mark.parametrize("name", SAMPLES)
def test_what_is_damaged_was_sound(name, tmp_path):
    path = tmp_path / "sample"
    path.write_bytes(SAMPLES[name]())
    source = open_source(address(path, name))
    records = list(source)
    assert source.facts.format == name and all(isinstance(record, ReadRecord) for record in records)
    assert len(records) == (1 if name in ONE else 2 * COUNT if name == "zip" else COUNT)
    assert outcome(address(path, name)) == {"records": len(records)}


def test_input_n_of_a_seed_is_always_the_same():
    stream = inputs("cda", 7, 0)
    first = [next(stream) for _ in range(6)]
    assert next(inputs("cda", 7, 5)) == first[5] and next(inputs("cda", 8, 0)) != first[0]
    assert len({data for _, data in first}) == 6


def test_a_zip_is_damaged_within_too():
    sample, rng = SAMPLES["xlsx"](), random.Random(0)
    made = [damaged(sample, rng, [b"x"]) for _ in range(20)]
    assert any(data.startswith(b"PK\x03\x04") and b"PK\x05\x06" in data[-40:] and data != sample for data in made)


def test_what_no_reader_should_raise_is_raised(tmp_path, monkeypatch):
    def fail(_):
        raise KeyError("x")

    monkeypatch.setattr("tcmstruct.emr.open_source", fail)
    with pytest.raises(KeyError):
        outcome(tmp_path)

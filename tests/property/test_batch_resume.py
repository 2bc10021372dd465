"""Wherever a batch is cut off, and however its rows are cut into batches, it ends in the same bytes."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.batch import journal, run_batch
from tcmstruct.emr.rows import Reject
from tcmstruct.record import Record

sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))
import fake_structurers as fakes

ROWS = st.lists(st.sampled_from(["有发热", "咳黄痰，体温37.8℃", "坏", "拒"]), max_size=60)


def items(kinds):
    for k, text in enumerate(kinds):
        yield Reject("text_missing", "no text", f"f:{k}", f"r{k}") if text == "拒" else Record(f"r{k % 40}", text, where=f"f:{k}")


def cut_off(rows, after):
    for k, row in enumerate(rows):
        if k == after:
            raise KeyboardInterrupt
        yield row
    raise KeyboardInterrupt


def result(out):
    return [(out / name).read_bytes() for name in ("records.jsonl", "rejects.jsonl", "table.csv")]


@settings(max_examples=25, deadline=None)
@given(ROWS, st.lists(st.tuples(st.integers(0, 70), st.integers(1, 9)), max_size=3), st.integers(1, 9))
def test_the_bytes_do_not_depend_on_where_it_was_cut_off(kinds, cuts, window):
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory() as folder:
        patch.setattr(journal, "SHARD_S", 0.0)

        def run(rows, name, size):
            return run_batch(rows, None, Path(folder) / name, factory=fakes.Failing, formats=("jsonl", "csv"), window=size)

        whole = run(items(kinds), "whole", 256)
        for after, size in cuts:
            with pytest.raises(KeyboardInterrupt):
                run(cut_off(items(kinds), after), "o", size)
        last = run(items(kinds), "o", window)
        assert result(Path(folder) / "o") == result(Path(folder) / "whole")
        assert last.counts == whole.counts
        assert last.counts["in"] == len(kinds)

"""The adapters' tables: scores over drawn records, and cells that are not measured twice."""

import numpy as np
import pytest

pytest.importorskip("peft")

from benchmarks import adapters
from benchmarks.adapter_rows import ROWS, EncoderFamily, LlamaFamily, interval
from benchmarks.paper.store import Store


def test_a_score_is_the_mean_over_seeds_and_its_interval_holds_it():
    seeds = [{"counts": [[2, 2, 2], [0, 2, 2]]}, {"counts": [[2, 2, 2], [2, 2, 2]]}]
    assert EncoderFamily.score(seeds, np.arange(2)) == pytest.approx(0.75)
    value, low, high = interval(EncoderFamily, seeds, 200)
    assert low <= value <= high and (low, high) == (0.5, 1.0)
    assert interval(EncoderFamily, seeds, 50, seeds) == (0, 0, 0)


def test_a_class_that_no_drawn_record_has_is_left_out_of_the_mean():
    found = {"classes": [0, 0, 1], "shares": [[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.2, 0.8, 0.0]]}
    assert LlamaFamily.score([found], np.arange(3)) == 1.0
    found["shares"][2] = [0.7, 0.3, 0.0]
    assert LlamaFamily.score([found], np.arange(3)) == 0.5


def test_the_rows_are_those_of_the_paper():
    trained = [(row.domain, row.trainable, row.downstream) for row in ROWS.values()]
    assert len(set(trained)) == 6 and not any(trainable and not domain for domain, trainable, _ in trained)


def test_a_cell_is_measured_once_and_a_base_is_made_only_if_one_is_missing(tmp_path, monkeypatch):
    for part in ("gold/train.jsonl", "gold/dev.jsonl", "records/casebooks.jsonl"):
        (tmp_path / "data" / part).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / part).write_text("{}\n")
    made, measured = [], []

    class Family(EncoderFamily):
        def __init__(self, *_):
            made.append(1)

        def measure(self, row, seed, place):
            measured.append((row, seed))
            return {"n_trained": 1, "n_base": 100, "counts": [[1, 2, 2], [2, 2, 2]]}

    run = adapters.Run(tmp_path / "data", tmp_path / "work", Store(tmp_path / "work"), True, 2, None)
    first = adapters._family_table(run, "encoder", Family)
    again = adapters.Run(tmp_path / "data", tmp_path / "work", Store(tmp_path / "work"), True, 2, None)
    assert adapters._family_table(again, "encoder", Family) == first
    assert len(measured) == 12 and made == [1] and all(name in first for name in ROWS) and "1.00%" in first

"""The figures of `benchmarks.adaptation` and `benchmarks.distil_sizes`, on counts made up here."""

import importlib

import numpy as np
import pytest

pytest.importorskip("torch", reason="the benchmarks train with torch")
from benchmarks.adaptation import difference_table, f1, interval
from benchmarks.adaptation_rows import parted
from benchmarks.mention_counts import mention_counts
from benchmarks.paper.store import code_of


def result(counts, seconds=60):
    return {"counts": counts, "seconds": seconds}


def test_f1_is_micro_over_records_and_the_mean_over_seeds():
    assert f1([result([[1, 2, 2], [3, 4, 4]])]) == pytest.approx(8 / 12)
    assert f1([result([[1, 1, 1]]), result([[0, 1, 1]])]) == 0.5
    assert f1([result([[1, 2, 2], [3, 4, 4]])], np.array([1, 1])) == 0.75


def test_a_difference_is_paired_by_record_and_by_seed():
    low, high = [result([[1, 2, 2], [0, 2, 1]]), result([[0, 2, 2], [1, 2, 1]])], [result([[2, 2, 2], [1, 2, 1]])] * 2
    assert interval(low, low, 50) == (0.0, 0.0, 0.0)
    value, least, most = interval(high, low, 200)
    assert least <= value <= most and value == pytest.approx(f1(high) - f1(low)) and least >= 0


def test_the_table_names_what_is_compared_with_what():
    table = difference_table({"before": [result([[1, 2, 2]])], "after": [result([[2, 2, 2]], 120)]}, "before")
    assert "− before" in table and "+50.0" in table and "| 2.0 |" in table.replace("  ", " ")


def test_what_is_held_out_is_not_learnt_from():
    learnt, held = parted([str(i) for i in range(45)])
    assert held == ["0", "20", "40"] and not set(learnt) & set(held) and len(learnt) == 42


def test_a_mention_counts_where_type_place_and_status_are_right():
    gold = {"text": "咳嗽，无发热", "entities": [{"type": "症状", "start": 0, "end": 2, "status": "有"},
                                        {"type": "症状", "start": 4, "end": 6, "status": "无"}]}
    told = [{"type": "症状", "start": 0, "end": 2, "status": "有", "confidence": 0.9},
            {"type": "症状", "start": 4, "end": 6, "status": "有"}]
    assert mention_counts([gold, {"text": "", "entities": []}], lambda text: told if text else []) == [[1, 2, 2], [0, 0, 0]]


def test_who_edits_the_code_while_it_runs_moves_no_cell(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    file = tmp_path / "measured_here.py"
    file.write_text("def measure():\n    return 1\n")
    module = importlib.import_module("measured_here")
    before = code_of(module, module.measure)
    file.write_text("# moved\n\n\ndef measure():\n    return 2\n")
    assert code_of(module, module.measure) == before

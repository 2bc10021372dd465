"""Worker processes that end: a record at fault costs itself, a fault of the machine stops the run."""

import json
import sys
from pathlib import Path

import pytest

from tcmstruct.batch import pool, run_batch
from tcmstruct.batch.folder import WORK
from tcmstruct.batch.journal import Journal
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import TcmstructError
from tcmstruct.record import Record

sys.path.insert(0, str(Path(__file__).parents[2] / "fakes"))
import fake_structurers as fakes


def rows(n, deadly=()):
    return [Record(f"r{k}", f"{'致命' if k in deadly else '有发热'}{k}", where=f"f:{k}") for k in range(n)]


def read(path):
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def test_records_that_end_their_process_are_set_aside_and_nothing_else(tmp_path):
    items = rows(200, deadly=(3,))
    items[4] = Reject("text_missing", "no text", "f:4", "r4")
    summary = run_batch(iter(items), None, tmp_path / "o", factory=fakes.Killing, workers=2)
    assert [(r["id"], r["code"], r["where"]) for r in read(tmp_path / "o" / "rejects.jsonl")] == [
        ("r3", "worker_died", "f:3"), ("r4", "text_missing", "f:4")]
    assert [r["id"] for r in read(tmp_path / "o" / "records.jsonl")] == [f"r{k}" for k in range(200) if k not in (3, 4)]
    assert summary.counts == {"in": 200, "ok": 198, "warned": 0, "rejected": 2}


def test_too_many_deaths_are_no_fault_of_the_records(tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "MOST_DEATHS", 1)
    with pytest.raises(TcmstructError) as caught:
        run_batch(iter(rows(200, deadly=(0, 1))), None, tmp_path / "o", factory=fakes.Killing, workers=2)
    assert caught.value.code == "worker_lost"


def test_after_a_kill_even_one_worker_is_a_process_of_its_own(tmp_path):
    out = tmp_path / "o"
    out.mkdir()
    Journal(out / WORK, {})  # what a process leaves that dies over its first record
    summary = run_batch(iter(rows(5, deadly=(2,))), None, out, factory=fakes.Killing)
    assert [r["id"] for r in read(out / "rejects.jsonl")] == ["r2"]
    assert summary.counts["ok"] == 4

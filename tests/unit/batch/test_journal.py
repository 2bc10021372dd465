import json
import os
import stat

import pytest

from tcmstruct.batch import journal as module
from tcmstruct.batch.chunks import ChunkResult
from tcmstruct.batch.counts import MAX_EXTRA_COLUMNS, Counts
from tcmstruct.batch.journal import Journal, check_rows
from tcmstruct.emr.rows import Reject
from tcmstruct.errors import UsageError
from tcmstruct.record import Record

ROWS = [Record("a", "头痛"), Reject("text_missing", "no text", "f:2", "b"), Record("c", "咳嗽", "肺病科", "p.jpg", {"年龄": "46"})]
TOLD = {"model": "m1", "schema": "s1"}


def result(rows):
    found = ChunkResult(b"".join(json.dumps({"id": r.id}).encode() + b"\n" for r in rows if isinstance(r, Record)),
                        [r for r in rows if isinstance(r, Reject)])
    found.counts.ok = sum(isinstance(r, Record) for r in rows)
    found.counts.rejects.update(r.code for r in found.rejects)
    return found


def filled(path, n_shards=2, **identity):
    journal = Journal(path, identity)
    for _ in range(n_shards):
        journal.add(ROWS, result(ROWS), TOLD)
        journal.commit(TOLD)
    return journal


def test_what_is_committed_is_there_for_the_next_process(tmp_path):
    filled(tmp_path / "w").close()
    again = Journal(tmp_path / "w", {})
    assert (again.items, again.was_killed, again.damaged) == (6, False, False)
    assert [shard.counts.to_dict() for shard in again.shards] == [result(ROWS).counts.to_dict()] * 2
    assert again.shards[0].told == TOLD
    with (tmp_path / "records").open("wb") as target:
        again.assemble("records", target)
    assert [json.loads(line)["id"] for line in (tmp_path / "records").read_bytes().splitlines()] == ["a", "c"] * 2


def test_what_is_not_committed_is_gone(tmp_path):
    journal = filled(tmp_path / "w", 1)
    journal.add(ROWS, result(ROWS), TOLD)  # and then the process is killed
    again = Journal(tmp_path / "w", {})
    assert (again.items, again.was_killed) == (3, True)
    assert not list((tmp_path / "w").glob("shard-000001*"))


@pytest.mark.parametrize("spoil", [lambda file: file.write_bytes(b""), lambda file: file.write_bytes(file.read_bytes() + b"x"),
                                   lambda file: file.unlink()])
@pytest.mark.parametrize("part", ["records", "rejects"])
def test_a_damaged_shard_and_those_after_it_are_done_again(tmp_path, spoil, part):
    filled(tmp_path / "w", 3).close()
    spoil(tmp_path / "w" / f"shard-000001.{part}")
    again = Journal(tmp_path / "w", {})
    assert (again.items, again.damaged) == (3, True)
    assert sorted(p.name for p in (tmp_path / "w").glob("shard-*")) == [f"shard-000000.{end}" for end in ("json", "records", "rejects")]


def test_a_marker_without_those_before_it_is_forgotten(tmp_path):
    filled(tmp_path / "w", 3).close()
    (tmp_path / "w" / "shard-000001.json").unlink()
    assert Journal(tmp_path / "w", {}).items == 3


def test_another_identity_is_refused_by_the_names_of_what_differs(tmp_path):
    filled(tmp_path / "w", 1, map=[], encoding=None).close()
    before = {p.name: p.read_bytes() for p in (tmp_path / "w").iterdir()}
    with pytest.raises(UsageError) as caught:
        Journal(tmp_path / "w", {"map": ["a=id"], "encoding": None, "codes": 1})
    assert caught.value.code == "run_changed"
    assert "another map, codes" in str(caught.value)
    assert {p.name: p.read_bytes() for p in (tmp_path / "w").iterdir()} == before


def test_a_shard_is_closed_by_time_or_size(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "w", {})
    journal.add(ROWS, result(ROWS), TOLD)
    assert journal.shards == []
    monkeypatch.setattr(module, "SHARD_BYTES", 1)
    journal.add(ROWS, result(ROWS), TOLD)
    assert [shard.items for shard in journal.shards] == [6]
    monkeypatch.undo()
    monkeypatch.setattr(module, "SHARD_S", 0.0)
    journal.add(ROWS, result(ROWS), TOLD)
    assert [shard.items for shard in journal.shards] == [6, 3]


@pytest.mark.parametrize("change", [
    lambda rows: [Record("a", "头疼"), *rows[1:]], lambda rows: rows[:2], lambda rows: [rows[0], rows[2], rows[1]],
    lambda rows: [*rows[:2], Record("c", "咳嗽", "肺病科", "p.jpg", {"年龄": "47"})],
    lambda rows: [rows[0], Reject("text_too_long", "x", "f:2", "b"), rows[2]]])
def test_rows_that_changed_are_noticed(tmp_path, change):
    (shard,) = filled(tmp_path / "w", 1).shards
    rest = iter([*ROWS, "next"])
    check_rows(shard, rest, "o")
    assert next(rest) == "next"
    with pytest.raises(UsageError) as caught:
        check_rows(shard, iter(change(ROWS)), "o")
    assert caught.value.code == "run_changed"


def test_texts_that_are_no_unicode_have_a_digest_too(tmp_path):
    rows = [Record("\udc80", "\ud800")]
    journal = Journal(tmp_path / "w", {})
    journal.add(rows, ChunkResult(), TOLD)
    journal.commit(TOLD)
    check_rows(journal.shards[0], iter(rows), "o")


@pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")
def test_files_are_for_their_owner_only(tmp_path):
    filled(tmp_path / "w")
    assert stat.S_IMODE((tmp_path / "w").stat().st_mode) == 0o700
    assert {stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "w").iterdir()} == {0o600}


def test_counts_survive_json_in_their_order():
    counts = Counts(3, 1, review=2)
    counts.fields.update(["舌色", "脉象", "舌色"])
    counts.rejects["text_missing"] += 2
    for name in ("z", "a"):
        counts.add_extra(name)
    again = Counts.from_dict(json.loads(json.dumps(counts.to_dict())))
    assert again == counts
    assert (list(again.fields), list(again.extra), again.done) == (["舌色", "脉象"], ["z", "a"], 6)


def test_extra_columns_without_end_are_capped():
    counts, more = Counts(), Counts()
    for n in range(MAX_EXTRA_COLUMNS):
        counts.add_extra(f"c{n}")
    more.add_extra("c0")
    counts.add(more)
    assert not counts.extra_capped
    more.add_extra("one more")
    counts.add(more)
    assert counts.extra_capped
    assert len(counts.extra) == MAX_EXTRA_COLUMNS

"""Corrections: rows that are only added, and what follows from them."""

import os

import pytest
import sqlalchemy

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.serve.store import Correction, Store, default_url, standing


def row(action="accept", name="痰色", record="r1", **more):
    target = "record" if action == "done" else "field"
    known = {"who": "甲", "model": "m1", "schema": "s1"}
    return Correction(record, "sha", target, "" if target == "record" else name, action, **{**known, **more})


@pytest.fixture
def store(tmp_path):
    made = Store(f"sqlite:///{tmp_path / 'review.db'}")
    yield made
    made.close()


def test_a_row_comes_back_as_it_was_given_with_a_number_and_a_time(store):
    added = store.add(row("edit", old={"value": ["黄"], "start": 1}, new={"value": ["白"]}))
    assert added.id == 1 and added.at.endswith("+00:00")
    assert store.of("r1", "sha") == [added] and store.of("r1", "other text") == [] and store.of("r2", "sha") == []


def test_the_file_is_private(store, tmp_path):
    assert (tmp_path / "review.db").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.name != "posix", reason="modes")
def test_what_sqlite_writes_beside_it_is_private_too(store, tmp_path):
    store.add(row())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


@pytest.mark.parametrize("statement", ["UPDATE corrections SET who = 'x'", "DELETE FROM corrections"])
def test_rows_cannot_be_changed_or_taken_out(store, statement):
    store.add(row())
    with pytest.raises(sqlalchemy.exc.IntegrityError, match="only ever added"), store.engine.begin() as connection:
        connection.execute(sqlalchemy.text(statement))


def test_the_last_row_that_is_not_undone_holds():
    rows = [row("accept", id=1), row("edit", id=2, new={"value": 1}), row("accept", id=3, name="咳嗽"), row("undo", id=4, undoes=2)]
    found = standing(rows)
    assert {key[1]: one.id for key, one in found.decisions.items()} == {"痰色": 1, "咳嗽": 3} and found.last == 4


def test_a_record_stays_signed_off_until_something_is_decided_on_it():
    signed = [row(id=1), row("done", id=2)]
    assert standing(signed).done.id == 2
    assert standing([*signed, row("reject", id=3)]).done is None
    assert standing([*signed, row("undo", id=3, undoes=2)]).done is None
    assert standing([*signed, row("reject", id=3), row("undo", id=4, undoes=3)]).done.id == 2
    assert standing([]) == standing(iter(()))


def test_undo_finds_each_reviewers_own_last_row(store):
    first, _ = store.add(row()), store.add(row("reject", who="乙"))
    assert store.last_of("甲") == first
    store.add(row("undo", undoes=first.id))
    assert store.last_of("甲") is None and store.last_of("乙").action == "reject"


def test_another_servers_rows_are_seen(store):
    store.add(row())
    last = store.last()
    store.add(row(record="r2"))
    assert store.since(last) == [("r2", "sha")] and set(store.touched()) == {("r1", "sha"), ("r2", "sha")}


def test_rows_outlive_the_program(tmp_path):
    url = default_url(tmp_path / "OUT")
    assert url == f"sqlite:///{tmp_path / 'OUT.review.db'}"
    Store(url).add(row())
    assert len(Store(url).of("r1", "sha")) == 1


@pytest.mark.parametrize("url", ["", "nonsense", "nosuch://x"])
def test_a_url_that_is_none_is_a_usage_error(url):
    with pytest.raises(UsageError, match="SQLAlchemy URL"):
        Store(url)


def test_a_database_that_cannot_be_used_is_told_without_what_it_holds(tmp_path):
    with pytest.raises(InputRefused, match="cannot be made"):
        Store(f"sqlite:///{tmp_path}/no/such/folder.db")
    (tmp_path / "text.db").write_text("机密 no database, but long enough to be looked at")
    with pytest.raises(InputRefused) as told:
        Store(f"sqlite:///{tmp_path / 'text.db'}")
    assert "机密" not in str(told.value)

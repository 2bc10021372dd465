import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tcmstruct.batch import run_batch
from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.recipes.load import load
from tcmstruct.record import Record

pytest.importorskip("sqlalchemy", reason="the extra [db] is not installed")
sys.path.insert(0, str(Path(__file__).parents[2] / "fakes"))
import fake_structurers as fakes


@pytest.fixture
def out(tmp_path):
    rows = [Record(f"r{k}", f"有发热，体温37.8℃，{k}", extra={"年龄": str(k)}) for k in range(1500)]
    run_batch(iter(rows), None, tmp_path / "o", factory=fakes.Fake)
    return tmp_path / "o"


def asked(path, query):
    with closing(sqlite3.connect(path)) as base:
        return base.execute(query).fetchall()


def test_the_tables_are_made_and_filled(out, tmp_path):
    counts = load(out, f"sqlite:///{tmp_path / 'b.db'}")
    assert counts == {"tcmstruct_visits": 1500, "tcmstruct_evidence": 3000, "tcmstruct_codes": 0}
    assert asked(tmp_path / "b.db", 'SELECT id, "最高体温", "年龄" FROM tcmstruct_visits WHERE id = \'r7\'') == [("r7", 37.8, "7")]
    assert asked(tmp_path / "b.db", "SELECT typeof(start), typeof(confidence) FROM tcmstruct_evidence LIMIT 1") == [("integer", "real")]


def test_tables_that_are_there_are_replaced_when_asked(out, tmp_path):
    url = f"sqlite:///{tmp_path / 'b.db'}"
    load(out, url)
    with closing(sqlite3.connect(tmp_path / "b.db")) as base:
        base.execute("CREATE TABLE mine (a)")
        base.execute("DELETE FROM tcmstruct_visits")
        base.commit()
    with pytest.raises(UsageError) as caught:
        load(out, url)
    assert caught.value.code == "table_exists"
    assert asked(tmp_path / "b.db", "SELECT count(*) FROM tcmstruct_visits") == [(0,)]
    load(out, url, fresh=True)
    assert asked(tmp_path / "b.db", "SELECT count(*) FROM tcmstruct_visits") == [(1500,)]
    assert asked(tmp_path / "b.db", "SELECT count(*) FROM mine") == [(0,)]


def test_an_altered_result_is_not_loaded(out, tmp_path):
    with (out / "records.jsonl").open("ab") as file:
        file.write(b"\n")
    with pytest.raises(InputRefused) as caught:
        load(out, f"sqlite:///{tmp_path / 'b.db'}")
    assert caught.value.code == "result_damaged"
    assert not (tmp_path / "b.db").exists()


@pytest.mark.parametrize(("url", "code"), [("nonsense", "database_invalid"), ("nosuch://x:geheim@y/z", "database_invalid"),
                                           ("sqlite:////no/such/folder/geheim.db", "database_failed")])
def test_a_database_that_cannot_be_used_is_refused_without_its_secrets(out, url, code):
    with pytest.raises(InputRefused) as caught:
        load(out, url)
    assert caught.value.code == code
    assert "geheim" not in str(caught.value)

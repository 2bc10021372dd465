import sqlite3
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from tcmstruct.emr.database import check_select, is_url, open_tables, shown_url
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused, TcmstructError


@pytest.fixture
def his(tmp_path):
    path = tmp_path / "his.db"
    base = sqlite3.connect(path)
    base.execute('CREATE TABLE "门诊 病历" (门诊号 TEXT, 主诉 TEXT, 年龄 INTEGER, 体温 REAL, 备注 BLOB)')
    base.executemany('INSERT INTO "门诊 病历" VALUES (?,?,?,?,?)',
                     [("001", "头痛:a %s", 46, 37.5, "好".encode()), ("002", None, None, None, "好好".encode("gbk"))])
    base.execute('CREATE VIEW v AS SELECT 门诊号, 主诉 FROM "门诊 病历"')
    base.commit()
    base.close()
    return path


def read(url, **options):
    facts = FileFacts("x", 0, "database")
    (table,) = [list(table.rows) for table in open_tables(Given(Path(), shown_url(url), url=url), facts, **options)]
    return table


def test_a_table_a_view_and_a_select(his):
    url = f"sqlite:///{his}"
    assert read(f"{url}?tcm_table=门诊 病历") == [
        (1, ("门诊号", "主诉", "年龄", "体温", "备注")), (2, ("001", "头痛:a %s", 46, 37.5, "好")), (3, ("002", None, None, None, "好好"))]
    assert read(url, table="v")[0] == (1, ("门诊号", "主诉"))
    query = "SELECT 主诉, '12:30' AS t, '%s;--' AS u FROM \"门诊 病历\" WHERE 主诉 LIKE '%痛:a%';"
    assert read(url, query=query) == [(1, ("主诉", "t", "u")), (2, ("头痛:a %s", "12:30", "%s;--"))]


@pytest.mark.parametrize("name", ['v; DROP TABLE v', 'v" --', "sqlite_master", "main.missing", "门诊"])
def test_only_names_that_the_database_lists(his, name):
    with pytest.raises(InputRefused) as caught:
        read(f"sqlite:///{his}", table=name)
    assert caught.value.code == "database_table_missing"


@pytest.mark.parametrize("query", [
    "DROP TABLE v", "SELECT 1; DELETE FROM v", "WITH a AS (SELECT 1) DELETE FROM v", "select 1 into x",
    "SELECT 1 -- x", "SELECT /* x */ 1",
    "UPDATE v SET a=1", "PRAGMA writable_schema=1", "ATTACH 'x' AS y", "SELECT 'a",
    "SELECT pg_read_file('/etc/passwd')", "", "EXPLAIN SELECT 1",
    "SELECT load_extension('x')", "SELECT * FROM a FOR UPDATE"])
def test_anything_but_one_select_is_refused_unseen(his, query):
    with pytest.raises(InputRefused) as caught:
        check_select(query)
    assert caught.value.code == "database_not_a_select" and (not query or query not in str(caught.value))
    with pytest.raises(InputRefused):
        read(f"sqlite:///{his}", query=query)


@pytest.mark.parametrize("query", [
    "SELECT 1", "select 'drop; --' from v", "WITH a AS (SELECT 1) SELECT * FROM a;", 'SELECT "delete" FROM v',
    "SELECT [into] FROM v", "SELECT update_time, settings FROM v",
                                   "SELECT REPLACE(a, 'x', 'y'), comment FROM v"])
def test_selects_that_only_read(query):
    assert check_select(query) == query.rstrip(";")


def test_the_file_is_opened_read_only_and_never_made(his, tmp_path, monkeypatch):
    before = his.read_bytes()
    monkeypatch.setattr("tcmstruct.emr.database.check_select", lambda query, where: query)
    with pytest.raises(InputRefused) as caught:
        read(f"sqlite:///{his}", query='DELETE FROM "门诊 病历"')
    assert caught.value.code == "database_failed" and his.read_bytes() == before
    with pytest.raises(InputRefused):
        read(f"sqlite:///{tmp_path}/none.db?tcm_table=v")
    assert not (tmp_path / "none.db").exists()


SECRET = "s3cretPW"


@pytest.mark.parametrize("url", [
    f"postgresql://doctor:{SECRET}@h:5/his?tcm_table=v", f"mysql+nosuchdriver://doctor:{SECRET}@h/his?tcm_table=v",
    f"oracle://doctor:{SECRET}@h/his",
    f"nosuch://doctor:{SECRET}@h/x?tcm_table=v", f"postgresql://doctor:{SECRET}@h:notaport/x", f"sqlite:///{SECRET}/x.db?tcm_table=v",
    f"sqlite:///x.db?tcm_query=SELECT {SECRET} FROM", "sqlite://?tcm_table=v", f"://{SECRET}",
    f"mssql+pyodbc:///?odbc_connect=PWD%3D{SECRET}&tcm_table=v"])
def test_no_password_in_label_or_message(url):
    assert SECRET not in shown_url(url) and "doctor" not in shown_url(url)
    with pytest.raises(TcmstructError) as caught:
        read(url)
    chain = caught.value
    assert SECRET not in str(chain) and "doctor" not in str(chain)
    assert chain.__suppress_context__ or chain.__context__ is None


@pytest.mark.parametrize(("text", "url"), [("postgresql://h/x", True), ("sqlite:///x.db", True), ("mysql+pymysql://h/x", True),
                                           ("a.csv", False),
                                           ("https://h/x", False), ("C:\\a.csv", False), ("file:///etc/passwd", False)])
def test_what_is_a_url(text, url):
    assert is_url(text) is url


def test_large_results_are_streamed(his):
    rows = read(f"sqlite:///{his}", query="WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
                                          "SELECT i, 'x' AS t FROM n")
    assert len(rows) == 5001 and rows[-1] == (5001, (5000, "x"))


@pytest.mark.parametrize("part", ["table门诊 病历", "viewv"])
def test_a_damaged_schema_that_is_no_text_refuses_the_file(his, part):
    """The driver's own message about it then cannot be decoded."""
    whole = his.read_bytes()
    assert part.encode() in whole
    his.write_bytes(whole.replace(part.encode(), part[:3].encode() + b"\xae" * (len(part.encode()) - 3)))
    with pytest.raises(InputRefused, match="could not be read") as refused:
        read(f"sqlite:///{his}", table="v")
    assert refused.value.code == "database_failed"

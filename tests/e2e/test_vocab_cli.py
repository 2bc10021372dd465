"""`tcmstruct vocab …` as a user calls it."""

import csv
import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import jieba
import pytest

from tcmstruct import cli
from vocab.reader import COLUMNS

HEAD = "\t".join(COLUMNS) + "\n"
MARKER = "某某人名"


@pytest.fixture(scope="module", autouse=True)
def dictionary_read_once():
    """jieba's own dictionary is read once for all mining of this file."""
    read = jieba.Tokenizer.gen_pfdict
    kept = []

    def again(file):
        if not kept:
            kept.append(read(file))
        return dict(kept[0][0]), kept[0][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jieba.Tokenizer, "gen_pfdict", staticmethod(again))
        yield


def run(*arguments):
    return cli.run(["vocab", *map(str, arguments)])


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A small vocabulary, so that the commands are quick."""
    tables = tmp_path_factory.mktemp("own") / "tables"
    tables.mkdir()
    rows = [f"symptom\t{name}\t\t\ts\tl\n" for name in ("头痛", "头晕", "乏力", "纳差", "胸闷", "腹胀", "恶心")]
    (tables / "symptom.tsv").write_text(HEAD + "".join(rows), encoding="utf-8")
    (tables / "pulse.tsv").write_text(HEAD + "pulse\t芤脉\t脉芤\tA1\ts\tl\n", encoding="utf-8")
    return tables.parent


@pytest.fixture
def records(tmp_path):
    path = tmp_path / "a.jsonl"
    signs = ["头痛", "头晕", "乏力", "纳差", "胸闷", "腹胀", "恶心"] * 2
    lines = [{"id": str(n), "text": f"{MARKER}{n}，症见{sign}，脘痞，口干。"} for n, sign in enumerate(signs)]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_search_prints_a_table_or_json_lines(capfd):
    assert run("search", "足三里", "電梯") == 0
    shown = capfd.readouterr()
    assert "ST36" in shown.out and "acupoint" in shown.out
    assert shown.err == "query 2: nothing like it in the tables\n"
    assert run("search", "湿热下注", "--json", "--kind", "syndrome", "-n", 1) == 0
    (line,) = capfd.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["match"], found["kind"], found["matched"]) == ("alias", "syndrome", "湿热下注")
    assert found["name"] == "湿热下注证" and found["code"]
    assert run("search", "腹痛", "--kind", "colour") == 2
    assert "allowed: symptom" in capfd.readouterr().err


def test_stats_of_the_tables_and_of_records(own, records, capfd):
    assert run("stats", "--json") == 0
    assert json.loads(capfd.readouterr().out)["kinds"]["acupoint"]["coded"] > 361
    assert run("stats", "--vocabulary", own, "--records", records) == 0
    shown = capfd.readouterr().out
    assert "14 records" in shown and "100.0000%" in shown and "matches: symptom 14" in shown
    assert MARKER not in shown


def test_mine_accept_build_and_mine_again(own, records, tmp_path, capfd):
    out = tmp_path / "terms.csv"
    assert run("mine", records, "-o", out, "--vocabulary", own) == 0
    assert out.read_bytes().startswith(b"\xef\xbb\xbf")
    assert stat.S_IMODE(out.stat().st_mode) == 0o600
    found = {row["name"]: row for row in rows_of(out)}
    assert found["脘痞"]["kind"] == "symptom"
    assert (found["脘痞"]["accept"], found["脘痞"]["count"], found["脘痞"]["records"]) == ("", "14", "14")
    assert "症见" not in out.read_text("utf-8-sig").replace("\r\n", ",").split(",")[0]
    assert "14 records read" in capfd.readouterr().err
    assert run("mine", records, "-o", out, "--vocabulary", own) == 2  # it may hold answers by now
    assert run("mine", records, "-o", records, "--vocabulary", own, "--fresh") == 2

    table = out.read_text("utf-8-sig").splitlines()
    answered = [f"是{line}" if line.startswith(",脘痞,") else line for line in table]
    out.write_text("\ufeff" + "\r\n".join(answered) + "\r\n", encoding="utf-8")
    assert run("build", "--accept", out, "--vocabulary", own) == 0
    assert "nothing written" in capfd.readouterr().err
    assert run("build", "--accept", out, "--vocabulary", own, "-o", tmp_path / "more") == 0
    assert "symptom 1" in capfd.readouterr().err
    assert run("build", "--check", "--vocabulary", tmp_path / "more") == 0
    assert run("search", "脘痞", "--vocabulary", tmp_path / "more", "--json") == 0
    assert json.loads(capfd.readouterr().out)["source"] == "terms.csv"
    again = tmp_path / "again.csv"
    assert run("mine", records, "-o", again, "--vocabulary", tmp_path / "more") == 0
    assert "脘痞" not in {row["name"] for row in rows_of(again)}


def test_mine_reads_text_lines_and_shows_contexts_only_when_asked(own, tmp_path, capfd):
    path = tmp_path / "a.txt"
    path.write_bytes("".join(f"就诊{n}次，脘痞，口干。\n" for n in range(8)).encode("gb18030"))
    plain, shown = tmp_path / "p.csv", tmp_path / "s.csv"
    assert run("mine", path, "-o", plain, "--vocabulary", own) == 0
    assert "examples" not in rows_of(plain)[0]
    assert "holds record text" not in capfd.readouterr().err
    assert run("mine", path, "-o", shown, "--vocabulary", own, "--examples") == 0
    assert "就诊0次，脘痞，口干" in {row["name"]: row for row in rows_of(shown)}["脘痞"]["examples"]
    assert "holds record text" in capfd.readouterr().err
    assert run("build", "--accept", shown, "--vocabulary", own) == 0


def test_mine_tells_of_rows_it_could_not_read_and_refuses_bad_files(own, records, tmp_path, capfd):
    with records.open("a", encoding="utf-8") as file:
        file.write(f'{{"id": "x", "text": "{MARKER}\n')
    assert run("mine", records, "-o", tmp_path / "t.csv", "--vocabulary", own) == 3
    assert "1 rows rejected (json_invalid 1)" in capfd.readouterr().err
    assert run("mine", tmp_path / "none.csv", "-o", tmp_path / "u.csv", "--vocabulary", own) == 4
    (tmp_path / "b.txt").write_bytes(b"%PDF-1.4")
    assert run("mine", tmp_path / "b.txt", "-o", tmp_path / "u.csv", "--vocabulary", own) == 4
    (tmp_path / "e.txt").write_bytes(b"")
    assert run("mine", tmp_path / "e.txt", "-o", tmp_path / "u.csv", "--vocabulary", own) == 0
    assert rows_of(tmp_path / "u.csv") == []


BAD_TABLES = {
    "duplicate": ("芤脉\t\t\ts\tl\npulse\t芤脉\t\t\ts\tl\n", "pulse.tsv:3: duplicate of row 2; allowed: each name"),
    "conflict": ("芤脉\t\tA1\ts\tl\npulse\t芤脉\t\tA2\ts\tl\n", "pulse.tsv:3: conflicts with row 2; allowed: each name"),
    "kind": ("芤脉\t\t\ts\tl\ncolour\t朱红\t\t\ts\tl\n", "pulse.tsv:3: unknown kind 'colour'; allowed: symptom"),
    "columns": ("芤脉\t\t\ts\n", "pulse.tsv:2: 5 columns; allowed: 6"),
    "gbk": ("芤脉\t\t\ts\tl\n", "pulse.tsv:2: not UTF-8 (byte"),
    "crlf": ("芤脉\t\t\ts\tl\r\n", "pulse.tsv:2: line end with a carriage return; allowed: LF"),
}


@pytest.mark.parametrize("fault", BAD_TABLES)
@pytest.mark.parametrize("command", [("search", "芤脉"), ("stats",), ("build", "--check"), ("mine", "a.txt", "-o", "t.csv"),
                                     ("build", "-o", "o")], ids=" ".join)
def test_a_bad_table_is_refused_with_file_row_and_what_is_allowed(tmp_path, monkeypatch, capfd, command, fault):
    monkeypatch.chdir(tmp_path)
    body, message = BAD_TABLES[fault]
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "pulse.tsv").write_bytes((HEAD + "pulse\t" + body).encode("gbk" if fault == "gbk" else "utf-8"))
    entries = '{"tables": {"pulse": {}}}'
    (tmp_path / "manifest.json").write_text(entries)
    (tmp_path / "a.txt").write_text("脉芤\n", encoding="utf-8")
    assert run(*command, "--vocabulary", "v") == 4
    shown = capfd.readouterr()
    assert shown.out == ""
    assert message in shown.err and "Traceback" not in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not (tmp_path / "t.csv").exists() and not (tmp_path / "o").exists()


def test_a_folder_without_tables_and_a_stray_table_are_refused(tmp_path, capfd):
    assert run("search", "芤脉", "--vocabulary", tmp_path) == 4
    assert "holds no tables" in capfd.readouterr().err
    (tmp_path / "colour.tsv").write_text(HEAD, encoding="utf-8")
    assert run("search", "芤脉", "--vocabulary", tmp_path) == 4
    assert "colour.tsv: unknown kind 'colour'; allowed: symptom" in capfd.readouterr().err


ANSWERED = "accept,name,kind,score,count,records,cohesion,entropy,nearest\n"
BAD_ANSWERS = {
    "duplicate": ("y,脘痞,symptom,1,5,3,,1,\ny,脘痞,symptom,1,5,3,,1,\n", "t.csv:3: duplicate of row 2; allowed"),
    "conflict": ("y,脘痞,symptom,1,5,3,,1,\ny,脘痞,herb,1,5,3,,1,\n", "t.csv:3: conflicts with row 2; allowed"),
    "known": ("y,头痛,symptom,1,5,3,,1,\n", "t.csv:2: the name stands in symptom.tsv already; allowed"),
    "kind": ("y,脘痞,colour,1,5,3,,1,\n", "t.csv:2: unknown kind 'colour'; allowed: symptom"),
    "columns": ("y,脘痞,symptom\n", "t.csv:2: 3 columns; allowed: 9"),
    "gbk": ("y,脘痞,symptom,1,5,3,,1,\n", "t.csv:2: not UTF-8 (byte"),
}


@pytest.mark.parametrize("fault", BAD_ANSWERS)
def test_bad_answers_are_refused_and_nothing_is_written(own, tmp_path, capfd, fault):
    body, message = BAD_ANSWERS[fault]
    path = tmp_path / "t.csv"
    path.write_bytes((ANSWERED + body).encode("gbk" if fault == "gbk" else "utf-8"))
    assert run("build", "--accept", path, "-o", tmp_path / "o", "--vocabulary", own) == 4
    shown = capfd.readouterr()
    assert message in shown.err and "Traceback" not in shown.err
    assert len(shown.err.splitlines()) == 1
    assert not (tmp_path / "o").exists()


def test_the_shipped_tables_pass_their_check_and_help_is_there(capfd):
    assert run("build", "--check") == 0
    assert capfd.readouterr().err == ""
    for command in ("search", "stats", "mine", "build"):
        assert run(command, "--help") == 0
        assert "Usage" in capfd.readouterr().out


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_an_interrupted_mining_leaves_nothing(own, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("症见头痛，脘痞，口干。\n" * 400_000, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; from tcmstruct.batch import progress; progress._SECONDS_BETWEEN_LINES = 0.0; "
         "progress.PlainProgress.__init__.__defaults__ = (None, 0.0); from tcmstruct import cli; sys.exit(cli.run(sys.argv[1:]))",
         "vocab", "mine", str(path), "-o", str(tmp_path / "t.csv"), "--vocabulary", str(own)],
        stderr=subprocess.PIPE, cwd=Path(__file__).parents[2], text=True, encoding="utf-8",
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))  # a shell's background job is started with it ignored
    try:
        while "records" not in process.stderr.readline():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        rest = process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
    assert "interrupted" in rest and "Traceback" not in rest
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]

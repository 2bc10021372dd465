"""Record text never leaves by an error: a marked string is planted in every faulty input that can be reached.

Each case makes an input that fails in some way and holds the mark where a record's text (or an id, a path) would stand; neither
stderr nor stdout, manifest, rejects or any log may hold it. Column names and file names are the user's own and not record text.
"""

import csv
import io
import json
import sys
import zipfile
from pathlib import Path

import openpyxl
import pytest

from tcmstruct import cli
from tcmstruct.errors import TcmstructError
from tcmstruct.privacy import Key, deidentify, deidentify_line
from tcmstruct.privacy.deidentifier import Deidentifier
from tcmstruct.recipes import convert as convert_recipe
from tcmstruct.recipes.deidentify import deidentify_file

FAKES = Path(__file__).parents[1] / "fakes"
sys.path.insert(0, str(FAKES))
import fake_structurers as fakes  # noqa: E402

MARK = "标记甲乙丙丁"


def run(*arguments):
    return cli.run([str(a) for a in arguments])


def table(rows, encoding="utf-8"):
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode(encoding, "surrogatepass")


def row(**cells):
    return {"id": "1", "text": f"发热{MARK}", **cells}


def line(**cells):
    return json.dumps(row(**cells), ensure_ascii=False).encode() + b"\n"


def workbook(rows):
    book, out = openpyxl.Workbook(), io.BytesIO()
    for cells in rows:
        book.active.append(cells)
    book.save(out)
    return out.getvalue()


def cut_short(data):
    return data[: len(data) * 2 // 3]


def zipped(name, data):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr(name, data)
    return out.getvalue()


HEAD = ["id", "text", "note"]
BAD_FILES = {
    "ragged.csv": table([HEAD, ["1", MARK, "x", MARK], ["2", MARK], ["3", MARK, "y"]]),
    "twice.csv": table([HEAD, ["1", MARK, ""], ["1", MARK, ""]]),
    "nul.csv": table([HEAD, ["1", f"{MARK}\0", ""]]),
    "quote.csv": f'id,text,note\n1,"{MARK}"{MARK},x\n2,"{MARK}\n'.encode(),
    "lone_quote.csv": f'id,text,note\n1,"{MARK},x\n'.encode(),
    "mixed.csv": table([HEAD, ["1", MARK * 20, ""]]) + f"2,{MARK}".encode("gb18030") + b"\xff,\n" + table([["3", MARK, ""]]),
    "utf16_no_mark.csv": table([HEAD, ["1", MARK, ""]]).decode().encode("utf-16-le"),
    "no_text_column.csv": table([["号", "天气"], ["1", MARK]]),
    "two_text_names.csv": table([["id", "text", "text"], ["1", MARK, MARK]]),
    "no_header.csv": table([["1", MARK], ["2", MARK]]),
    "empty_text.csv": table([HEAD, [MARK, "", MARK], [MARK, " ", MARK]]),
    "one_character.csv": table([HEAD, [MARK, "痛", MARK]]),
    "long.csv": table([HEAD, ["1", MARK * 40_000, ""]]),
    "fails.csv": table([HEAD, ["1", f"坏{MARK}", ""]]),
    "odd.jsonl": b"".join([line(text=3), line(text=[MARK]), line(text={"a": MARK}), line(text=None), line(id=[MARK]), line(text=True)]),
    "broken.jsonl": f'{{"id": "1", "text": "{MARK}"\n{{{MARK}\n"{MARK}"\n["{MARK}"]\n'.encode() + line(),
    "duplicate_key.jsonl": f'{{"id": "1", "text": "{MARK}", "text": "{MARK}"}}\n'.encode(),
    "nan.jsonl": f'{{"id": "1", "text": "{MARK}", "x": NaN}}\n'.encode(),
    "deep.jsonl": (f'{{"id": "1", "text": "{MARK}", "x": ' + "[" * 3000 + "]" * 3000 + "}\n").encode(),
    "surrogate.jsonl": f'{{"id": "1", "text": "{MARK}\\ud800"}}\n'.encode(),
    "array.json": json.dumps([row(), row(text=None)], ensure_ascii=False).encode(),
    "truncated.json": cut_short(json.dumps([row(id=str(n)) for n in range(9)], ensure_ascii=False).encode()),
    "book.xlsx": workbook([HEAD, [1.1e17, MARK, ""], [MARK, 3, ""], [MARK, None, MARK], ["1", f"坏{MARK}", ""]]),
    "no_column.xlsx": workbook([["号", "天气"], ["1", MARK]]),
    "truncated.xlsx": cut_short(workbook([HEAD, ["1", MARK * 99, ""]])),
    "not_a_book.xlsx": MARK.encode(),
    "other.zip": zipped("a.bin", MARK.encode()),
    "page.html": f"<html><body>{MARK}<table><tr><td>{MARK}".encode(),
    "entity.xml": f'<!DOCTYPE x [<!ENTITY a "{MARK}">]><x>&a;{MARK}</x>'.encode(),
    "broken.xml": f"<ClinicalDocument><text>{MARK}</wrong>{MARK}".encode(),
    "message.hl7": f"MSH|^~\\&|a\rOBX|1|TX|x||{MARK}\r".encode(),
    "page.pdf": b"%PDF-1.4 " + MARK.encode(),
    "note.rtf": b"{\\rtf1 " + MARK.encode("gb18030"),
}


@pytest.fixture(autouse=True)
def surroundings(monkeypatch, tmp_path):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Failing())
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))


@pytest.fixture(params=sorted(BAD_FILES))
def bad(request, tmp_path):
    path = tmp_path / request.param
    path.write_bytes(BAD_FILES[request.param])
    return path


def assert_unmarked(*told):
    for text in told:
        assert MARK not in text
        assert MARK.encode("unicode_escape").decode() not in text


def test_convert_and_inspect_of_bad_files(bad, tmp_path, capfd):
    out = tmp_path / "o"
    run("inspect", bad)
    shown = capfd.readouterr()
    assert_unmarked(shown.out.partition("first record")[0], shown.err)  # after that the first record, as asked for
    run("convert", bad, "-o", out, "--workers", 1, "--no-report")
    shown = capfd.readouterr()
    assert_unmarked(shown.out, shown.err)
    if out.exists():
        assert_unmarked((out / "manifest.json").read_text("utf-8"))
        for reject in (out / "rejects.jsonl").read_text("utf-8").splitlines():
            told = json.loads(reject)
            assert_unmarked(told["reason"], told["code"], told["where"])


@pytest.mark.parametrize(("raises", "workers"), [(ValueError, 1), (ValueError, 2), (KeyError, 1), (UnicodeError, 1), (MemoryError, 1),
                                                 (RecursionError, 1), (OSError, 1)])
def test_a_structurer_that_fails_with_the_text_in_its_message(tmp_path, capfd, monkeypatch, raises, workers):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Failing(raises=raises))
    path = tmp_path / "a.csv"
    path.write_bytes(table([HEAD, ["1", f"坏{MARK}", ""], ["2", "发热两天", ""]]))
    run("convert", path, "-o", tmp_path / "o", "--workers", workers, "--no-report")
    shown = capfd.readouterr()
    assert "Traceback" not in shown.err
    assert_unmarked(shown.out, shown.err)
    if (tmp_path / "o" / "rejects.jsonl").exists():
        assert_unmarked((tmp_path / "o" / "rejects.jsonl").read_text("utf-8"), (tmp_path / "o" / "manifest.json").read_text("utf-8"))


@pytest.mark.parametrize("pack", [f'[[fields]]\nname = "{MARK}"\nkind = 3', f"{MARK} = [", f'name = "{MARK}"\n{MARK}x = 1',
    "\ufeff" + MARK])
def test_a_bad_schema_does_not_show_the_records(tmp_path, capfd, pack):
    (tmp_path / "pack.toml").write_text(pack.replace(MARK, "天气"), "utf-8")
    (tmp_path / "a.csv").write_bytes(table([HEAD, ["1", MARK, ""]]))
    assert run("structure", MARK, "--schema", tmp_path / "pack.toml") in (1, 2, 4)
    assert_unmarked(*capfd.readouterr())


@pytest.mark.parametrize("arguments", [(MARK, MARK), (f"-{MARK}",), (f"--{MARK}",), ("", ), ("痛",), (f"{MARK}\0",), (f"{MARK}\ud800",)])
def test_structure_of_odd_input(arguments, capfd, monkeypatch):
    import types

    module = types.ModuleType("tcmstruct.pipeline")
    module.Structurer = lambda *_, **__: fakes.Failing(on="标记")
    monkeypatch.setitem(sys.modules, "tcmstruct.pipeline", module)
    assert run("structure", *arguments) != 0
    assert_unmarked(*capfd.readouterr())


GOOD = {"id": "1", "text": f"发热{MARK}", "entities": [], "fields": {}}
BAD_RECORDS = {
    "not_json": f"{{{MARK}".encode(), "text": MARK.encode(), "list": json.dumps([MARK]).encode(), "gbk": MARK.encode("gb18030"),
    "no_id": json.dumps({"text": MARK}).encode(), "bad_id": json.dumps({**GOOD, "id": [MARK]}).encode(),
    "bad_text": json.dumps({**GOOD, "text": [MARK]}).encode(), "bad_entities": json.dumps({**GOOD, "entities": MARK}).encode(),
    "bad_entity": json.dumps({**GOOD, "entities": [{"type": MARK}]}).encode(), "bad_fields": json.dumps({**GOOD,
        "fields": [MARK]}).encode(),
    "bad_field": json.dumps({**GOOD, "fields": {"苔色": {"value": MARK}}}).encode(),
    "bad_hash": json.dumps({**GOOD, "text_sha256": "0" * 64}).encode(),
    "outside": json.dumps({**GOOD, "entities": [{"type": "症状体征", "start": 5, "end": 999, "text": MARK}]}).encode(),
    "cut": cut_short(json.dumps(GOOD, ensure_ascii=False).encode()), "nul": b"\0" + MARK.encode(),
}


@pytest.mark.parametrize("name", sorted(BAD_RECORDS))
def test_evaluate_view_and_deidentify_of_bad_records(tmp_path, capfd, name):
    bad_records, gold = tmp_path / "bad.jsonl", tmp_path / "gold.jsonl"
    bad_records.write_bytes(BAD_RECORDS[name] + b"\n")
    gold.write_text(json.dumps(GOOD, ensure_ascii=False) + "\n", "utf-8")
    for pair in ((gold, bad_records), (bad_records, gold)):
        run("evaluate", *pair, "--n-boot", 0)
    run("view", bad_records, "-o", tmp_path / "v.html")
    shown = capfd.readouterr()
    assert_unmarked(shown.err)
    try:
        deidentify_file(str(bad_records), tmp_path / "o.jsonl", key_file=tmp_path / "key")
    except TcmstructError as error:
        assert_unmarked(str(error), repr(error))
    assert_unmarked(capfd.readouterr().err)


def test_what_the_new_results_say_of_themselves_holds_no_text():
    deidentifier = Deidentifier(Key(b"a key of the tests, no secret at all"))
    done = deidentify(f"患者李建国，{MARK}", Key(b"a key of the tests, no secret at all"))
    assert_unmarked(repr(done.replaced), repr(done.counts()), repr(deidentifier))
    for odd in ({"text": MARK, "entities": MARK}, {"text": MARK, "fields": {"a": MARK}}, {"id": {"a": MARK}}):
        deidentify_line(odd, deidentifier)


def test_the_mark_would_be_found_if_it_were_there(tmp_path, capfd):
    """The same roads, with a good record: its text does stand in records.jsonl, so the search itself works."""
    path = tmp_path / "a.csv"
    path.write_bytes(table([HEAD, ["1", f"发热{MARK}", ""]]))
    assert run("convert", path, "-o", tmp_path / "o", "--workers", 1, "--no-report") == 0
    assert MARK in (tmp_path / "o" / "records.jsonl").read_text("utf-8")
    assert_unmarked(*capfd.readouterr())

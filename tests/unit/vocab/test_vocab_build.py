import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vocab import build
from vocab.reader import COLUMNS, TABLES, Term, VocabularyError, load_terms

ROOT = Path(__file__).parents[3]


def test_the_committed_tables_are_those_of_the_manifest():
    assert list(build.check(TABLES, build.HERE / build.MANIFEST)) == []


@pytest.fixture
def copied(tmp_path):
    tables = tmp_path / "tables"
    shutil.copytree(TABLES, tables)
    shutil.copy(build.HERE / build.MANIFEST, tmp_path)
    return tables, tmp_path / build.MANIFEST


def test_check_names_drift_strays_and_losses(copied):
    tables, manifest = copied
    herb = tables / "herb.tsv"
    herb.write_text(herb.read_text(encoding="utf-8").replace("三七粉", "三七末"), encoding="utf-8")
    (tables / "therapy.tsv").unlink()
    (tables / "colour.tsv").write_text("\t".join(COLUMNS) + "\n", encoding="utf-8")
    faults = list(build.check(tables, manifest))
    assert len(faults) == 3
    assert any(f.startswith("herb.tsv: sha256 differs") for f in faults)
    assert any(f.startswith("therapy.tsv: named in manifest.json") for f in faults)
    assert any(f.startswith("colour.tsv: not named in manifest.json; allowed: acupoint") for f in faults)


def test_check_goes_on_after_a_table_that_cannot_be_read(copied):
    tables, manifest = copied
    (tables / "herb.tsv").write_bytes((tables / "herb.tsv").read_text(encoding="utf-8").encode("gbk", "replace"))
    faults = list(build.check(tables, manifest))
    assert len(faults) == 1
    assert "herb.tsv:" in faults[0] and "allowed: UTF-8" in faults[0]


def test_check_says_so_when_the_manifest_is_unreadable(tmp_path):
    assert "manifest.json: cannot be read" in next(build.check(TABLES, tmp_path / "manifest.json"))


def test_manifest_names_origin_and_licence_of_every_row():
    manifest = json.loads((build.HERE / build.MANIFEST).read_text(encoding="utf-8"))
    for kind, entry in manifest["tables"].items():
        assert sum(origin["rows"] for origin in entry["origin"]) == entry["rows"], kind
        assert all(origin["source"] and origin["licence"] for origin in entry["origin"]), kind


def test_forms_expand_without_using_a_word_twice():
    assert list(build.expand_form("脉{a}{b}", {"a": ["弦", "滑"], "b": ["数"]})) == ["脉弦数", "脉滑数"]
    assert list(build.expand_form("脉{a}而{a}", {"a": ["弦", "滑"]})) == ["脉弦而滑", "脉滑而弦"]
    assert list(build.expand_form("脉平", {})) == ["脉平"]


def test_grammar_is_read_strictly(tmp_path):
    path = tmp_path / "pulse.toml"
    head = 'source = "s"\nlicence = "l"\n'
    path.write_text(head + '[sets]\na = ["弦"]\n[[pattern]]\nforms = ["脉{b}"]\n', encoding="utf-8")
    with pytest.raises(VocabularyError, match=r"pulse\.toml: pattern 1: unknown set 'b' in '脉\{b\}'; allowed: a"):
        list(build.read_grammar(path))
    path.write_text(head + 'sites = []\npattern = []\n', encoding="utf-8")
    with pytest.raises(VocabularyError, match="unknown key 'sites'; allowed: licence, pattern, sets, source"):
        list(build.read_grammar(path))


def test_all_28_pulses_and_their_common_combinations_are_generated():
    names = {term.name for term in load_terms(["pulse"])}
    for pulse in "浮沉迟数滑涩虚实长短洪微紧缓弦芤革牢濡弱散细伏动促结代疾":
        assert f"脉{pulse}" in names, pulse
    assert {"脉沉细", "脉沉细无力", "脉弦滑数", "左尺弱", "脉细而弱", "脉沉细涩"} <= names
    assert "脉浮沉" not in names  # of one dimension: they exclude each other


def test_merge_prefers_the_coded_row_and_names_over_aliases():
    merged = build.merge([
        Term("disease_tcm", "泄泻", ("腹泻",), "", "list", "facts"),
        Term("disease_tcm", "腹泻", (), "19.38", "GB", "facts"),
        Term("disease_tcm", "泄泻", ("下利",), "6.3.1", "GB", "facts"),
        Term("disease_tcm", "痢"), Term("disease_tcm", "ABC"), Term("disease_tcm", "病" * 17),
    ])
    assert merged == [
        Term("disease_tcm", "泄泻", ("下利",), "6.3.1", "GB", "facts"),
        Term("disease_tcm", "腹泻", (), "19.38", "GB", "facts"),
    ]


def source_list(tmp_path, body: str) -> Path:
    path = tmp_path / "terms.tsv"
    path.write_text("kind\tname\tcode\tsource\n" + body, encoding="utf-8")
    return path


def test_training_mentions_are_never_taken_and_thuocl_words_are_classed(tmp_path):
    path = source_list(tmp_path, "ner:SYM\t目睛不慧\t\tx\nmedical\t湿毒清胶囊\t\tx\nmedical\t阿奇霉素片\t\tx\n"
                                 "medical\t肘髎穴\t\tx\nsyndrome\t湿热下注证\t4.5\tx\nsyndrome\t脾脏兼证类\t6.6\tx\n")
    taken = {(term.kind, term.name): (by_pattern, term) for by_pattern, term in build.read_source(path)}
    assert set(taken) == {("patent_medicine", "湿毒清胶囊"), ("western_drug", "阿奇霉素片"), ("acupoint", "肘髎穴"),
                          ("syndrome", "湿热下注证")}
    by_pattern, syndrome = taken["syndrome", "湿热下注证"]
    assert not by_pattern
    assert syndrome.aliases == ("湿热下注",)


@pytest.mark.parametrize(("body", "message"), [
    ("colour\t朱红\t\tx\n", r"terms\.tsv:2: unknown kind 'colour'; allowed: syndrome, "),
    ("symptom\t头痛\n", r"terms\.tsv:2: 2 columns; allowed: 4"),
])
def test_source_list_is_read_strictly(tmp_path, body, message):
    with pytest.raises(VocabularyError, match=message):
        list(build.read_source(source_list(tmp_path, body)))


def test_command_checks_and_says_what_is_missing(tmp_path):
    run = [sys.executable, "-m", "vocab.build"]
    assert subprocess.run([*run, "--check"], cwd=ROOT, capture_output=True, check=False).returncode == 0
    absent = subprocess.run([*run, "--source", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert absent.returncode == 4
    assert "holds no terms/terms.tsv" in absent.stderr
    assert absent.stdout == ""


@pytest.mark.data
def test_the_tables_are_what_the_sources_make():
    source = Path(os.environ.get("TCMSTRUCT_DATA", ROOT.parent / "shared" / "data"))
    if not (source / "terms" / "terms.tsv").is_file():
        pytest.skip(f"no data at {source}: set TCMSTRUCT_DATA")
    assert list(build.check(TABLES, build.HERE / build.MANIFEST, source)) == []

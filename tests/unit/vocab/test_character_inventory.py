import json
import lzma
import os
from pathlib import Path

import pytest

from tcmstruct.text.normalise import PLACEHOLDERS, normalise
from vocab import characters
from vocab.reader import load_terms

ROOT = Path(__file__).parents[3]


def test_the_inventory_holds_folded_characters_once():
    inventory = characters.read_characters()
    assert len(set(inventory)) == len(inventory)
    assert normalise(inventory) == inventory
    assert set(PLACEHOLDERS) <= set(inventory)


def test_the_inventory_holds_every_character_of_the_term_tables():
    known = set(characters.read_characters())
    missing = {c for term in load_terms() for name in term.names for c in normalise(name)} - known
    assert missing == set()


@pytest.fixture
def source(tmp_path):
    for folder in ("gold", "records", "ner", "terms", "corpus"):
        (tmp_path / folder).mkdir()
    lines = "".join(json.dumps({"text": text}) + "\n" for text in ("龘脈，A", None))
    (tmp_path / "gold" / "dev.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "terms" / "terms.tsv").write_text("kind\tname\tcode\tsource\nherb\t鱻\t\tx\n", encoding="utf-8")
    with lzma.open(tmp_path / "corpus" / "a.txt.xz", "wt", encoding="utf-8") as out:
        out.write("䶮" * 5 + "𰻞" * 4 + "脉" * 9)
    return tmp_path


def test_takes_all_labelled_characters_and_frequent_ones_of_the_corpus(source):
    inventory, _, _ = characters.build(source)
    assert inventory[0] == "脉"  # 9 in the corpus, once (as 脈) in gold, once as always there
    assert {"龘", "鱻", "䶮", ",", "a"} <= set(inventory)
    assert "𰻞" not in inventory and "A" not in inventory


def test_command_writes_reports_and_refuses(source, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(characters, "INVENTORY", tmp_path / "characters.txt")
    monkeypatch.setattr(characters.read_characters, "__defaults__", (tmp_path / "characters.txt",))
    assert characters.main(["--source", str(source)]) == 0
    assert "gold/dev.jsonl\t100.000000%\t0" in capsys.readouterr().out
    assert characters.main(["--source", str(source), "--check"]) == 0
    (tmp_path / "characters.txt").write_text("脉\n", encoding="utf-8")
    assert characters.main(["--source", str(source), "--check"]) == 1
    assert characters.main(["--source", str(tmp_path / "nowhere")]) == 4


@pytest.mark.data
def test_every_character_of_the_records_is_covered(capsys):
    source = Path(os.environ.get("TCMSTRUCT_DATA", ROOT.parent / "shared" / "data"))
    if not (source / "gold").is_dir():
        pytest.skip(f"no data at {source}: set TCMSTRUCT_DATA")
    known = set(characters.read_characters())
    for name, count in characters.count_labelled(source).items():
        assert set(count) <= known, name

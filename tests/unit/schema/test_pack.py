"""Packs are read strictly, and an error names the file, the key and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcmstruct.errors import SchemaError
from tcmstruct.schema import load_schema

HEAD = '[pack]\nname = "试"\n'


def load(tmp_path: Path, body: str) -> None:
    path = tmp_path / "pack.toml"
    path.write_text(HEAD + body, encoding="utf-8")
    load_schema(path)


@pytest.mark.parametrize(("body", "says"), [
    ('[fields."痛经"]\ntype = "yes_no"\nterm = ["痛经"]\n', ["fields.痛经.term", "terms", "except"]),
    ('[fields."痛经"]\ntype = "ja_nein"\nterms = ["痛经"]\n', ["fields.痛经.type", "yes_no"]),
    ('[fields."痛经"]\ntype = "yes_no"\n', ["fields.痛经", "needs 'terms' or 'said'"]),
    ('[fields."量"]\ntype = "enum"\n', ["fields.量", "values"]),
    ('[fields."量"]\ntype = "enum"\n[fields."量".values."多"]\nword = ["量多"]\n',
     ["fields.量.values.多.word", "said"]),
    ('[fields."量"]\ntype = "enum"\n[fields."量".values."多"]\nsaid = ["量多"]\n', ["values.多", "topics"]),
    ('[fields."天"]\ntype = "number"\nterms = ["经期"]\nrange = [30, 1]\n', ["fields.天", "low < high"]),
    ('[fields."天"]\ntype = "frequency"\n', ["fields.天", "topics"]),
    ('[fields."痛经"]\ntype = "yes_no"\nterms = ["痛经"]\ntopics = ["月亮"]\n', ["unknown topic 月亮", "大便"]),
    ('[fields."痛经"]\ntype = "yes_no"\nterms = ["<词>痛"]\n', ["fields.痛经.terms", "unknown word list <词>"]),
    ('[fields."痛经"]\ntype = "yes_no"\nterms = ["经…腹…痛"]\n', ["fields.痛经.terms", "one …"]),
    ('[fields."痛经"]\ntype = "yes_no"\nterms = ["痛经"]\nonly_if = { field = "年龄", is = ["有"] }\n',
     ["unknown field 年龄"]),
    ('[fields."痛经"]\ntype = "yes_no"\nterms = ["痛经"]\nunit = "cm"\n', ["'unit'", "number"]),
    ('[fields."痛经"]\ntype = "yes_no"\nterms = ["痛经"]\nmentions = ["症状"]\n', ["mentions", "症状体征"]),
    ('[topics."月经"]\nwords = ["月经"]\nreach = "page"\n', ["topics.月经.reach", "clause"]),
    ('[topics."大便"]\nwords = ["大便"]\n', ["大便", "twice"]),
    ("[fields.痛经]\n", ["not TOML"]),
])
def test_refuses(tmp_path: Path, body: str, says: list[str]) -> None:
    with pytest.raises(SchemaError) as caught:
        load(tmp_path, body)
    message = str(caught.value)
    assert "pack.toml" in message or "topics" in message
    for words in says:
        assert words in message
    assert caught.value.exit_code == 4


def test_two_packs_may_not_define_one_field(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(HEAD + '[fields."咳嗽"]\ntype = "yes_no"\nterms = ["咳嗽"]\n', encoding="utf-8")
    with pytest.raises(SchemaError, match="咳嗽 is defined twice") as caught:
        load_schema(["all", path])
    assert caught.value.code == "schema_duplicate_field" and "mine.toml" in str(caught.value)
    assert list(load_schema(path).fields) == ["咳嗽"]


def test_a_missing_file_names_the_shipped_packs(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="肛肠科") as caught:
        load_schema(tmp_path / "none.toml")
    assert caught.value.code == "schema_missing"


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "gbk.toml"
    path.write_bytes((HEAD + '# 妇科\n').encode("gb18030"))
    with pytest.raises(SchemaError, match="UTF-8"):
        load_schema(path)


def test_no_pack_at_all() -> None:
    with pytest.raises(SchemaError, match="no pack"):
        load_schema([])

"""A user's own pack: the worked example of docs/schema.md, and what it may not disturb."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcmstruct.schema import load_schema

EXAMPLE = Path(__file__).parents[3] / "examples" / "schema_gynaecology.toml"


@pytest.mark.parametrize(("text", "expected"), [
    ("月经量少，色暗，经行小腹疼痛，经期3天。", {"痛经": "有", "月经量": "少", "经血颜色": ["紫暗"], "经期天数": 3,
                                  "腹痛部位": "下腹"}),
    ("月经量偏多，色鲜红，无痛经。", {"痛经": "无", "月经量": "多", "经血颜色": ["鲜红"]}),
    ("小腹坠胀。", {}),
    ("经期40天。", {}),
    ("月经量多，每日3-4次换垫。", {"月经量": "多", "换垫频次": "3-4/1"}),
])
def test_the_worked_example(text: str, expected: dict[str, object]) -> None:
    found = load_schema(EXAMPLE).extract(text)
    assert {name: value.value for name, value in found.items()} == expected


def test_it_joins_the_shipped_packs_and_changes_none_of_their_answers() -> None:
    text = "咳嗽，月经量少，色暗。大便日行1次，质软，舌红，苔薄黄，脉滑数。"
    shipped, joined = load_schema("all").extract(text), load_schema(["all", EXAMPLE]).extract(text)
    assert {name: value for name, value in joined.items() if name in shipped} == shipped
    assert joined["月经量"].value == "少"


def test_hits_do_not_grow_with_the_number_of_fields(tmp_path: Path) -> None:
    """The reader walks the hits; fields whose words the text does not hold add none."""
    body = '[pack]\nname = "多"\n' + "".join(
        f'[fields."字段{n}"]\ntype = "yes_no"\nterms = ["罕见词{n}号"]\n' for n in range(500))
    path = tmp_path / "many.toml"
    path.write_text(body, encoding="utf-8")
    text = "咳嗽，舌红，苔薄黄，脉滑数，大便日行1次。"
    few, many = load_schema("all"), load_schema(["all", path])
    assert len(many.fields) == len(few.fields) + 500
    ends = [[end for end, _ in schema._lexicon.automaton.iter(text)] for schema in (few, many)]
    assert ends[0] == ends[1]


def test_the_python_block_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    root = EXAMPLE.parents[1]
    monkeypatch.chdir(root)
    block = (root / "docs" / "schema.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert "assert" in block
    exec(compile(block, "docs/schema.md", "exec"), {})

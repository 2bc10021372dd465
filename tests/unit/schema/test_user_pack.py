"""A user's own pack, and those to begin from: what they read, and what they may not disturb."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcmstruct.schema import load_schema
from tcmstruct.schema.pack import starters

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(("pack", "text", "expected"), [
    ("妇科", "月经量少，色暗，经行小腹疼痛，经期3天。",
     {"痛经": "有", "月经量": "少", "经血颜色": ["紫暗"], "经期天数": 3, "腹痛部位": "下腹", "痛经时间": ["经期"]}),
    ("妇科", "月经量偏多，色鲜红，无痛经。", {"痛经": "无", "月经量": "多", "经血颜色": ["鲜红"]}),
    ("妇科", "小腹坠胀。", {}),
    ("妇科", "经期40天。", {}),
    ("妇科", "月经史：周期1个月，经期1周，量中。", {"月经周期": 30, "经期天数": 7, "月经量": "中"}),
    ("妇科", "月经量多，每日3-4次换垫。带下色黄。孕3产1。",
     {"月经量": "多", "换垫频次": "3-4/1", "带下颜色": ["黄"], "孕次": 3, "产次": 1}),
    ("针灸科", "取合谷、太冲，毫针得气后接电针，频率2Hz，留针半小时。",
     {"治疗方式": ["毫针", "电针"], "取穴": ["合谷", "太冲"], "得气": "有", "电针频率": 2, "留针时间": 30}),
    ("针灸科", "温针灸，频率2Hz，留针3小时。未得气。", {"治疗方式": ["温针灸"], "得气": "无"}),
    ("儿科", "男，1岁半，体重22斤，身长0.8米，指纹紫滞，达气关。",
     {"年龄": 1.5, "体重": 11, "身高": 80, "指纹颜色": ["紫"], "指纹部位": "气关"}),
    ("儿科", "患儿8个月，体温38.9℃，予布洛芬混悬液。", {"年龄": 0.67, "退热药": ["布洛芬"]}),
    ("儿科", "患儿8个月，体温38.2℃，予布洛芬混悬液。", {"年龄": 0.67}),
])
def test_the_packs_to_begin_from(pack: str, text: str, expected: dict[str, object]) -> None:
    schema = load_schema(pack)
    found = {name: value.value for name, value in schema.extract(text).items() if schema.fields[name].department == pack}
    assert found == expected


@pytest.mark.parametrize("pack", starters())
def test_they_join_the_measured_packs_and_change_none_of_their_answers(pack: str) -> None:
    text = "咳嗽，月经量少，色暗。大便日行1次，质软，舌红，苔薄黄，脉滑数。"
    shipped, joined = load_schema("all"), load_schema(["all", pack])
    found = shipped.extract(text)
    assert {name: value for name, value in joined.extract(text).items() if name in found} == found
    assert set(shipped.fields) < set(joined.fields)


def test_they_are_no_part_of_all() -> None:
    assert not {field.department for field in load_schema("all").fields.values()} & set(starters())
    assert load_schema(["all", "妇科"]).extract("月经量少。")["月经量"].value == "少"


def test_hits_do_not_grow_with_the_number_of_fields(tmp_path: Path) -> None:
    """The reader walks the hits; fields whose words the text does not hold add none."""
    body = '[pack]\nname = "多"\n' + "".join(
        f'[fields."字段{n}"]\ntype = "yes_no"\nterms = ["罕见词{n}号"]\n' for n in range(500))
    path = tmp_path / "many.toml"
    path.write_text(body, encoding="utf-8")
    text = "咳嗽，舌红，苔薄黄，脉滑数，大便日行1次。"
    few, many = load_schema("all"), load_schema(["all", path])
    assert len(many.fields) == len(few.fields) + 500
    ends = [[end for end, _ in schema.lexicon.automaton.iter(text)] for schema in (few, many)]
    assert ends[0] == ends[1]


def test_the_python_block_of_the_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    block = (ROOT / "docs" / "schema.md").read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert "assert" in block
    exec(compile(block, "docs/schema.md", "exec"), {})

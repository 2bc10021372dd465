"""`only_if`: conditions on values and figures, and what hangs on what is dropped."""

import pytest

from tcmstruct.schema import load_schema

PACK = """
[pack]
name = "试"
[fields."热度"]
type = "number"
terms = ["热度"]
range = [34, 43]
[fields."用药"]
type = "yes_no"
terms = ["服药"]
only_if = { field = "热度", at_least = 38.5, at_most = 40 }
[fields."药名"]
type = "enum"
only_if = { field = "用药", is = ["有"] }
[fields."药名".values."甲"]
terms = ["甲药"]
[fields."药味"]
type = "yes_no"
terms = ["苦药"]
only_if = { field = "药名" }
"""


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    path = tmp_path_factory.mktemp("pack") / "p.toml"
    path.write_text(PACK, "utf-8")
    return load_schema(path)


@pytest.mark.parametrize(("text", "found"), [
    ("热度39，服药，甲药，苦药", {"热度": 39, "用药": "有", "药名": "甲", "药味": "有"}),
    ("苦药，甲药，服药，热度39", {"热度": 39, "用药": "有", "药名": "甲", "药味": "有"}),
    ("热度38，服药，甲药，苦药", {"热度": 38}),
    ("热度41，服药，甲药", {"热度": 41}),
    ("苦药，甲药，服药", {}),
    ("热度39，未服药，甲药", {"热度": 39, "用药": "无"}),
])
def test_a_chain_holds_or_falls_as_a_whole(schema, text, found):
    assert {name: one.value for name, one in schema.extract(text).items()} == found


def test_a_bound_on_what_is_no_figure_never_holds(tmp_path):
    path = tmp_path / "p.toml"
    path.write_text(PACK.replace('field = "热度", at_least = 38.5, at_most = 40', 'field = "药味", at_least = 1'), "utf-8")
    assert "用药" not in load_schema(path).extract("苦药，服药")

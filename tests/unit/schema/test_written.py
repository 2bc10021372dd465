"""Packs as text: one field changed, the rest as it was; and where a key stands."""

import tomllib

import pytest

from tcmstruct.schema.pack import PACK_DIR, STARTER_DIR
from tcmstruct.schema.written import field_text, line_of, renamed, starter_text, with_field, with_topic

TEXT = """# head
[pack]
name = "试"   # a name

# of a
[fields."甲"]   # first
type = "enum"
[fields."甲".values."多"]
terms = [
    "量多",
    "[多",
]
# of b
[fields."乙"]
type = "yes_no"
terms = ["乙"]
"""
HOSTILE = ["\"", "\\", "<script>", "a.b", "]", "\n", "\t", "\x7f", "# x", "=", "'''", "🀄", " "]


def test_a_changed_field_leaves_comments_and_the_others_alone():
    out = with_field(TEXT, "甲", "丙", {"type": "yes_no", "terms": ["丙"]})
    assert out == TEXT.replace(TEXT[TEXT.index('[fields."甲"]'):TEXT.index("# of b")], '[fields."丙"]\ntype = "yes_no"\nterms = ["丙"]\n')


def test_a_field_is_added_and_taken_out():
    more = with_field(TEXT, None, "丁", {"type": "number", "terms": ["丁"], "units": {"周": 7}, "range": [1, 2.5], "unit_required": True})
    assert more.startswith(TEXT) and tomllib.loads(more)["fields"]["丁"]["units"] == {"周": 7}
    assert with_field(more, "丁", None, None).rstrip("\n") == TEXT.rstrip("\n")
    assert tomllib.loads(with_field("[pack]\nname = 'x'", None, "甲", {"type": "yes_no", "terms": []}))["fields"] == {"甲": {
        "type": "yes_no", "terms": []}}


def test_a_topic_is_added_and_changed():
    once = with_topic(TEXT, "月经", {"words": ["月经"]})
    assert once.startswith(TEXT.rstrip("\n")) and with_topic(once, "月经", {"words": ["月经"]}) == once
    assert tomllib.loads(with_topic(once, "月经", {"words": ["经行"], "gap": 3})) == {
        **tomllib.loads(TEXT), "topics": {"月经": {"words": ["经行"], "gap": 3}}}


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_and_word_is_written_so_that_it_is_read_back(name):
    spec = {"type": "enum", "note": name, "values": {name: {"terms": [name, "x" * 200], "said_of": {name: [name]}, "rank": 1}},
            "only_if": {"field": name, "is": [name]}}
    assert tomllib.loads(field_text(name, spec)) == {"fields": {name: spec}}
    once = with_field(TEXT, None, name, spec)
    assert tomllib.loads(with_field(once, name, name + "2", spec))["fields"][name + "2"] == spec


@pytest.mark.parametrize("text", [
    '[fields]\n"甲" = { type = "enum" }\n', 'x = [', '[fields."甲"]\ntype = "enum"\n[pack]\n[fields."甲".values]\n'])
def test_what_cannot_be_changed_by_itself_is_refused(text):
    with pytest.raises(ValueError):
        with_field(text, "甲", "甲", {"type": "yes_no"})


def test_a_taken_name_is_refused():
    with pytest.raises(ValueError):
        with_field(TEXT, "甲", "乙", {"type": "yes_no"})


@pytest.mark.parametrize("path", [*PACK_DIR.glob("*.toml"), *STARTER_DIR.glob("*.toml")], ids=lambda path: path.stem)
def test_every_field_of_every_pack_can_be_written_again(path):
    text = path.read_text("utf-8")
    fields = tomllib.loads(text)["fields"]
    for name, spec in fields.items():
        assert list(tomllib.loads(with_field(text, name, name, spec))["fields"]) == list(fields)
        assert name not in tomllib.loads(with_field(text, name, None, None))["fields"]
        assert text.split("\n")[line_of(text, ("fields", name, "type")) - 1].startswith("type")


def test_the_line_of_a_key_or_of_what_holds_it():
    wanted = {("pack", "name"): 3, ("fields", "甲", "values", "多", "terms", 3): 9, ("fields", "甲", "values"): 8,
              ("fields", "乙", "nothing"): 14, ("x",): None}
    assert {keys: line_of(TEXT, keys) for keys in wanted} == wanted


def test_a_new_pack_has_the_name_it_is_given():
    assert tomllib.loads(renamed(TEXT, 'a"b'))["pack"]["name"] == 'a"b'
    for name in ("我科", 'a"b\\{title}'):
        assert tomllib.loads(starter_text(name))["pack"]["name"] == name
        assert "fields" not in tomllib.loads(starter_text(name, with_examples=False))

import pytest

from tcmstruct.emr.columns import ColumnMap, map_columns
from tcmstruct.emr.rows import REJECT_CODES, ReadRecord, Reject, assemble, cell_text, join_sections

PLAIN = ColumnMap(names=("id", "text"), text=(1,), id=0)


def made(cells, columns=PLAIN):
    return assemble(cells, columns, "f.csv:9", "f.csv:9")


@pytest.mark.parametrize(("text", "code"), [
    (None, "text_missing"), ("", "text_missing"), (" \u3000\n", "text_missing"), ("痛", "text_too_short"),
    (" x ", "text_too_short"), (38.5, "text_not_a_string"), (0, "text_not_a_string"), (True, "text_not_a_string"),
    (["头痛"], "text_not_a_string"), ({"a": "头痛"}, "text_not_a_string"), ("头痛\0", "nul_character"),
    ("头痛\udcff", "undecodable"), ("头痛\ud83d", "lone_surrogate"),
])
def test_unusable_texts_have_a_code_and_a_reason(text, code):
    found = made(("7", text))
    assert isinstance(found, Reject)
    assert found.code == code
    assert found.reason.startswith(REJECT_CODES[code])
    assert found.where == "f.csv:9"


@pytest.mark.parametrize("text", [
    "头痛", "无" * 200_000, "\u200b头\ufeff痛", "ＡＢ　３８．５℃", "頭痛發熱", "😀🤒", "\ue000\uf8ff", "\x01\x02\x7f",
    "  头痛 \n", "=1+1", "a\u2028b",
])
def test_odd_texts_come_through_unchanged(text):
    found = made(("7", text))
    assert isinstance(found, ReadRecord)
    assert found.text == text


@pytest.mark.parametrize(("cell", "id", "warnings"), [
    ("00440793", "00440793", ()), (" 7 ", "7", ()), (440793, "440793", ()), (440793.0, "440793", ()),
    ("1.1E+17", "f.csv:9", ("id_lost_digits",)), (1.1e17, "f.csv:9", ("id_lost_digits",)), (0.5, "f.csv:9", ("id_lost_digits",)),
    (None, "f.csv:9", ("id_missing",)), ("  ", "f.csv:9", ("id_missing",)),
])
def test_ids(cell, id, warnings):
    found = made((cell, "头痛"))
    assert (found.id, found.warnings) == (id, warnings)


def test_an_id_that_lost_digits_is_kept_beside_the_record():
    assert made(("1.1E+17", "头痛")).extra == {"id": "1.1E+17"}


@pytest.mark.parametrize("cell", [True, ["1"], {"a": 1}])
def test_ids_of_a_wrong_kind(cell):
    assert made((cell, "头痛")).code == "id_not_a_string"


def test_without_an_id_column_the_place_is_the_id():
    found = assemble(("头痛",), ColumnMap(names=("text",), text=(0,)), "f.csv:9", "f.csv:9")
    assert (found.id, found.warnings) == ("f.csv:9", ())


def test_sections_are_joined_in_file_order_under_their_names():
    columns = map_columns(["住院号", "现病史", "性别", "主诉", "既往史"])
    found = made(("1", "咳嗽3天。", "女", "发热", ""), columns)
    assert found.text == "现病史：咳嗽3天。\n主诉：发热"
    assert found.extra == {"性别": "女"}


def test_a_section_that_names_itself_is_not_named_twice():
    assert join_sections([("主诉", "主诉：头痛"), ("现病史", " 现病史:3天")]) == "主诉：头痛\n 现病史:3天"


def test_a_single_text_column_is_left_as_it_is():
    assert made(("1", " 主诉头痛 ")).text == " 主诉头痛 "


def test_a_number_among_sections_is_rejected_rather_than_dropped():
    assert made(("1", "头痛", 38.5), map_columns(["id", "主诉", "体格检查"])).code == "text_not_a_string"


def test_nothing_that_was_not_mapped_is_lost():
    columns = map_columns(["id", "text", "年龄", "标签", "舌象照片", "科室"])
    found = made(("1", "头痛", 46.0, ["a", "b"], "t/1.jpg", "肛肠科"), columns)
    assert found.extra == {"年龄": "46", "标签": '["a", "b"]', "舌象照片": "t/1.jpg"}
    assert (found.image, found.dept) == ("t/1.jpg", "肛肠科")


def test_cells_as_a_person_sees_them():
    assert [cell_text(c) for c in (46.0, 46.5, False, 10**20, float("inf"))] == ["46", "46.5", "FALSE", str(10**20), "inf"]

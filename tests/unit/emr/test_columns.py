import pytest

from tcmstruct.emr.columns import (
    aliases,
    known_role,
    map_columns,
    normal_name,
    parse_overrides,
    safe_label,
    safe_labels,
    unique_names,
)
from tcmstruct.errors import UsageError


def test_names_are_compared_without_marks():
    assert normal_name("门（急）诊号 ") == normal_name("门(急)诊号") == normal_name("门急诊号")
    assert normal_name("CHIEF_COMPLAINT") == normal_name("Chief complaint") == "chiefcomplaint"


def test_every_alias_leads_to_one_field_only():
    from tcmstruct.emr.columns import _table

    owner: dict[str, str] = {}
    for role, names in _table()["fields"].items():
        for name in names:
            assert owner.setdefault(normal_name(name), role) == role, name
    for name in _table()["conclusions"]["names"]:
        assert owner.setdefault(normal_name(name), "extra") == "extra", name
    codes = {normal_name(code) for code in _table()["codes"]}
    assert set(owner) == set(aliases()) - codes
    assert all(known_role(code) == known_role(name) for code, name in _table()["codes"].items())


@pytest.mark.parametrize(("header", "roles"), [
    (["病历号", "科室", "病历内容", "舌象图片"], ["id", "dept", "text", "image"]),
    (["住院号", "主诉", "现病史", "既往史", "体格检查", "舌脉"], ["id", *["text"] * 5]),
    (["id", "text", "dept", "tongue"], ["id", "text", "dept", "image"]),
    (["zyh", "zhusu", "xianbingshi", "keshi"], ["id", "text", "text", "dept"]),
    (["INP_NO", "CHIEF_COMPLAINT", "PRESENT_DISEASE_HISTORY", "DEPT_NAME"], ["id", "text", "text", "dept"]),
    (["姓名", "中医“四诊”观察结果", "年龄"], ["extra", "text", "extra"]),
])
def test_roles_by_the_alias_table(header, roles):
    columns = map_columns(header)
    assert [columns.role(i) for i in range(len(header))] == roles


def test_the_visit_number_wins_over_the_file_number():
    columns = map_columns(["病案号", "就诊号", "主诉"])
    assert columns.id == 1
    assert columns.extra == (0,)


def test_overrides_by_name_and_number_take_the_role_over():
    columns = map_columns(["id", "号码", "情况", "主诉"], parse_overrides(["号码=id", "#3=text", "主诉=ignore"]))
    assert (columns.id, columns.text, columns.extra, columns.ignored) == (1, (2,), (0,), (3,))


def test_an_image_column_stays_among_the_extra_ones():
    columns = map_columns(["text", "舌象照片"])
    assert columns.image == 1
    assert columns.extra == (1,)


@pytest.mark.parametrize("pair", ["主诉", "主诉=正文", "=text", ""])
def test_a_bad_override_is_a_usage_error(pair):
    with pytest.raises(UsageError) as caught:
        parse_overrides([pair])
    assert caught.value.exit_code == 2


def test_repeated_and_empty_names_become_different():
    assert unique_names(["a", "a", "", "a", " "]) == ("a", "a_2", "column 3", "a_3", "column 5")


def test_a_first_row_that_is_a_record_is_not_shown():
    row = ["00012345", "王某", "反复头痛3天，加重1天。"]
    assert safe_labels(row) == ["#1 (8 characters)", "#2 (2 characters)", "#3 (12 characters)"]
    assert safe_labels(["姓名甲", "性别甲", "备注甲"]) == ["姓名甲", "性别甲", "备注甲"]
    assert safe_label("x" * 25, 4) == "#4 (25 characters)"

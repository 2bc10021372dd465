"""The shipped table of codes, and a user's own."""

from pathlib import Path

import pytest

from tcmstruct.errors import InputRefused
from tcmstruct.linking import KINDS, SYSTEMS, read_codes, shipped_codes


@pytest.fixture(scope="module")
def shipped():
    return shipped_codes()


def test_each_code_has_one_row_and_each_name_one_code(shipped):
    assert len({(code.system, code.code) for code in shipped}) == len(shipped)
    for kind in KINDS:
        names = [name for code in shipped if code.kinds == (kind,) for name in (code.name, *code.aliases)]
        assert len(names) > 1300
        assert len(set(names)) == len(names)


def test_systems_and_well_known_codes(shipped):
    by_name = {name: code for code in shipped for name in (code.name, *code.aliases)}
    assert {code.system for code in shipped} == set(SYSTEMS.values())
    assert by_name["肝郁脾虚证"].code == "6.6.2.3.1.2"
    assert by_name["胸痹心痛"].code == "6.1.1"
    assert by_name["胃窦癌"].code == "C16"
    assert by_name["混合痔病"].code == "10.3.1.3"


def test_misprints_of_the_scan_are_mended(shipped):
    names = {name for code in shipped for name in (code.name, *code.aliases)}
    assert {"疳积", "疔疮", "白疕", "痄腮", "湿热痹阻证"} <= names
    assert not {"痞积", "疗疮", "白疙", "非腮", "湿热阻痹证湿热痹阻证"} & names


def test_daggers_and_halves_of_titles_are_left_out(shipped):
    western = [code for code in shipped if code.system == "ICD-10"]
    assert all(code.code.isalnum() and len(code.code) == 3 for code in western)
    assert "不可归类在他处者" not in {name for code in western for name in (code.name, *code.aliases)}


def test_own_table(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text("name,code,system,aliases,kind\n络痹证,Z001,院内码,肝络痹|络脉痹,证候\n腰腿痛病,Z002,院内码,,\n", encoding="utf-8")
    first, second = read_codes(path)
    assert (first.code, first.system, first.aliases) == ("Z001", "院内码", ("肝络痹", "络脉痹"))
    assert (first.kinds, first.own) == (("syndrome",), True)
    assert second.kinds == KINDS


@pytest.mark.parametrize("encoding", ["gb18030", "utf-8-sig", "utf-8"])
def test_own_table_in_the_encodings_that_offices_write(tmp_path: Path, encoding: str):
    path = tmp_path / "own.csv"
    path.write_text("name,code,system\n肝郁脾虚证,BNG050,GB/T 15657\n脾肾阳虚证,BNP000,GB/T 15657\n", encoding=encoding)
    assert [code.name for code in read_codes(path)] == ["肝郁脾虚证", "脾肾阳虚证"]


@pytest.mark.parametrize(("text", "row", "said"), [
    ("name,code\n甲证,1\n", 1, "name, code, system"),
    ("name,code,system,colour\n甲证,1,院内码,红\n", 1, "aliases, kind"),
    ("", 1, "name, code, system"),
    ("name,code,system\n甲证,1,院内码\n乙证,2\n", 3, "2 columns"),
    ("name,code,system\n甲证,,院内码\n", 2, "code is empty"),
    ("name,code,system,kind\n甲证,1,院内码,方剂\n", 2, "证候"),
    ("name,code,system\n甲证,1,院内码\n乙证,2,院内码\n甲证,1,院内码\n", 4, "duplicate of row 2"),
    ("name,code,system,aliases\n甲证,1,院内码,\n乙证,2,院内码,甲证\n", 3, "conflicts with row 2"),
    ('name,code,system\n甲证,1,"院内码\n', 2, "CSV"),
])
def test_own_table_that_is_refused(tmp_path: Path, text: str, row: int, said: str):
    path = tmp_path / "own.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputRefused, match=said) as refused:
        read_codes(path)
    assert refused.value.where == f"own.csv:{row}"


def test_same_name_in_two_systems_is_allowed(tmp_path: Path):
    path = tmp_path / "own.csv"
    path.write_text("name,code,system\n甲证,1,院内码\n甲证,B1,医保码\n", encoding="utf-8")
    assert len(read_codes(path)) == 2


def test_missing_file_and_damaged_bytes(tmp_path: Path):
    with pytest.raises(InputRefused, match="cannot be read"):
        read_codes(tmp_path / "none.csv")
    path = tmp_path / "own.csv"
    path.write_bytes("name,code,system\n肝郁脾虚证,1,院内码\n".encode() + b"\xff\xfe\xff,2,x\n")
    with pytest.raises(InputRefused) as refused:
        read_codes(path)
    assert refused.value.where == "own.csv:3"

import pytest

from tcmstruct.emr import documents, plaintext
from tcmstruct.emr.documents import plan_cuts, row_lines
from tcmstruct.emr.source import FileFacts, Given

ONE = "某院门诊病历\n姓名：某某  性别：女\n主诉：头痛3天。\n现病史：3天前头痛。\n"


def read(path, text: str, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    facts = FileFacts(path.name, path.stat().st_size, "txt")
    return list(plaintext.read_records(Given(path, path.name), facts)), facts


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_one_record_a_file(tmp_path, encoding, end):
    (found,), facts = read(tmp_path / "a.txt", ONE.replace("\n", end), encoding)
    assert (found.place, found.facts) == ("", {"姓名": "某某", "性别": "女"})
    assert found.sections == [("", "某院门诊病历"), ("主诉", "头痛3天。"), ("现病史", "3天前头痛。")]
    assert facts.notes == []


@pytest.mark.parametrize("heading", ["姓名：{}", "住院号：{} 姓名：某某", "【姓名】{}", "姓　名：{}", "患者姓名: {}"])
def test_a_file_is_cut_where_another_patient_begins(tmp_path, heading):
    text = "".join(f"某院门诊病历\n\n{heading.format(who)}\n主诉：头痛{who}\n舌红\n\n" for who in ("甲", "乙", "丙"))
    found, facts = read(tmp_path / "a.txt", text)
    assert [item.place for item in found] == ["1", "2", "3"]
    assert [item.sections[-1] for item in found] == [("主诉", f"头痛{who}\n舌红") for who in ("甲", "乙", "丙")]
    assert all(item.sections[0] == ("", "某院门诊病历") for item in found if len(item.sections) > 1)
    assert facts.notes == ["records_cut"]


def test_masked_names_are_told_apart_by_their_complaints():
    text = "姓名：某某\n主诉：头痛\n姓名：某某\n主诉：咳嗽\n"
    assert list(plan_cuts(text.splitlines()).starts) == [0, 2]


@pytest.mark.parametrize(("text", "note"), [
    ("姓名：某某 住院号：1\n主诉：头痛\n姓名：某某 住院号：1\n现病史：3天前\n姓名：某某 住院号：1\n查体：可", ""),     # page heads
    ("姓名：甲\n主诉：头痛\n姓名：乙\n与患者关系：子", "headings_repeated"),                             # a relative
    ("主诉：头痛\n姓名：甲\n现病史：无\n姓名：乙\n主诉：咳嗽", "headings_repeated"),
    ("序号：1\n主诉：a\n序号：2\n主诉：b", ""), ("主诉：头痛\n既往史：姓名：乙不详\n", ""), ("", ""), ("头痛", "")])
def test_what_is_not_plainly_several_records_stays_one(text, note):
    cuts = plan_cuts(text.splitlines())
    assert (list(cuts.starts), cuts.note) == ([0], note)


def test_a_record_beyond_the_limit_costs_itself_only(tmp_path, monkeypatch):
    monkeypatch.setattr(documents, "MAX_ROW_CHARS", 100)
    found, _ = read(tmp_path / "a.txt", f"姓名：甲\n主诉：a\n姓名：乙\n主诉：{'b' * 200}\n姓名：丙\n主诉：c\n")
    assert [getattr(item, "code", "") for item in found] == ["", "row_too_long", ""]
    assert found[2].sections == [("主诉", "c")]


@pytest.mark.parametrize(("cells", "lines"), [
    (["姓名", "某某", "性别：", "女"], ["姓名：某某  性别：女"]), (["主诉", "头痛", "现病史", "3天"], ["主诉：头痛", "现病史：3天"]),
    (["药", "量"], ["药\t量"]), (["姓名", "", "", ""], ["姓名"]), (["", ""], []), (["诊断", "眩晕病", "x"], ["诊断\t眩晕病\tx"])])
def test_rows_of_a_documents_table_as_lines(cells, lines):
    assert row_lines(cells) == lines


@pytest.mark.parametrize(("head", "document"), [
    (ONE, True), ("【主诉】头痛\n【现病史】3天", True), ("主诉：头痛3天", True), ("id,主诉\n1,主诉：头痛\n2,主诉：咳嗽", False),
    ("门诊号\t主诉\n1\t头痛", False), ("头痛3天，舌红。", False), ("某院导出\n时间：2020\n门诊号,主诉\n1,头痛", False), ("", False)])
def test_what_looks_like_a_document(head, document):
    assert plaintext.looks_like(head) is document

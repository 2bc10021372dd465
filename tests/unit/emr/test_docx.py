import zipfile

import pytest

from tcmstruct.emr.docx import read_records
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'


def made(path, body: str, *, extra=(), raw: str | None = None):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/header1.xml", f"<w:hdr {W}><w:p><w:r><w:t>页眉</w:t></w:r></w:p></w:hdr>")
        archive.writestr("word/document.xml", raw if raw is not None else f"<w:document {W}><w:body>{body}</w:body></w:document>")
        for name, data in extra:
            archive.writestr(name, data)
    return path


def p(*runs: str) -> str:
    return "<w:p><w:pPr><w:rPr><w:t>x</w:t></w:rPr></w:pPr>" + "".join(f"<w:r><w:t>{run}</w:t></w:r>" for run in runs) + "</w:p>"


def tr(*cells: str) -> str:
    return "<w:tr>" + "".join(f"<w:tc><w:tcPr/>{cell}</w:tc>" for cell in cells) + "</w:tr>"


def read(path):
    facts = FileFacts("a.docx", path.stat().st_size, "docx")
    return list(read_records(Given(path, "a.docx"), facts)), facts


def test_paragraphs_and_tables_in_order(tmp_path):
    table = "<w:tbl>" + tr(p("姓名"), p("某某"), p("性别"), p("女")) + tr(p("现病史"), p("3天前") + p("头痛")) + "</w:tbl>"
    after = "<w:tbl>" + tr(p("药"), p("量")) + tr(p("茯苓"), p("9g")) + "</w:tbl>"
    (found,), facts = read(made(tmp_path / "a.docx", p("主诉", "：头痛") + table + p("舌红") + after))
    assert found.facts == {"姓名": "某某", "性别": "女"}
    assert found.sections == [("主诉", "头痛"), ("现病史", "3天前\n头痛\n舌红\n药\t量\n茯苓\t9g")]
    assert facts.notes == [] and found.place == ""


def test_signs_boxes_and_what_is_no_text(tmp_path):
    box = ("<w:p><w:r><mc:AlternateContent><mc:Choice><w:txbxContent>" + p("框") + "</w:txbxContent></mc:Choice><mc:Fallback>"
           "<w:txbxContent>" + p("框") + "</w:txbxContent></mc:Fallback></mc:AlternateContent></w:r></w:p>")
    body = ("<w:p><w:r><w:t>a</w:t><w:tab/><w:t>b</w:t><w:br/><w:t>c</w:t><w:noBreakHyphen/></w:r>"
            "<w:del><w:r><w:delText>删</w:delText></w:r></w:del><w:ins><w:r><w:t>增</w:t></w:r></w:ins>"
            "<w:r><w:instrText>DATE</w:instrText></w:r></w:p>" + box)
    (found,), _ = read(made(tmp_path / "a.docx", body))
    assert found.sections == [("", "a\tb\nc-增\n框")]


def test_several_records_in_one_document(tmp_path):
    pages = "".join(p("某院病历") + p(f"姓名：某某 住院号：{n}") + p(f"主诉：头痛{n}天") for n in (1, 2, 3))
    found, facts = read(made(tmp_path / "a.docx", pages))
    assert [(item.place, item.facts["住院号"], item.sections[-1]) for item in found] == [
        (f"{n}", f"{n}", ("主诉", f"头痛{n}天")) for n in (1, 2, 3)]
    assert facts.notes == ["records_cut"]


@pytest.mark.parametrize("raw", ['<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>', "<w:document", "", "<a><b></a>"])
def test_damaged_documents_are_refused(tmp_path, raw):
    with pytest.raises(InputRefused) as caught:
        read(made(tmp_path / "a.docx", "", raw=raw))
    assert caught.value.code == "document_invalid" and "passwd" not in str(caught.value)


def test_bombs_and_deep_nesting(tmp_path):
    with pytest.raises(InputRefused) as caught:
        read(made(tmp_path / "a.docx", p("x"), extra=[("word/media/a", bytes(40 << 20))]))
    assert caught.value.code == "zip_bomb"
    deep = "<w:tbl><w:tr><w:tc>" * 30_000 + p("头痛") + "</w:tc></w:tr></w:tbl>" * 30_000
    (found,), _ = read(made(tmp_path / "b.docx", deep))
    assert found.sections == [("", "头痛")]


def test_a_document_that_was_cut_off_gives_what_is_there(tmp_path):
    import random

    rng = random.Random(1)
    lines = ["主诉：头痛" + "".join(chr(rng.randrange(0x4E00, 0x9000)) for _ in range(60)) for _ in range(3000)]
    path = made(tmp_path / "a.docx", "".join(map(p, lines)))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    (found, fault), facts = read(path)
    assert found.sections[0][1].startswith(lines[0][3:]) and fault.code == "cut_short" and "cut_short" in facts.notes

"""Bad inputs 3, 10–13 and the documents of 25 of the thirty: XML, JSON, archives. See `test_bad_tables.py` for the others."""

import builtins
import gzip
import json
import os
import socket
import zipfile

import fake_structurers as fakes
import openpyxl
import pytest
from conversions import convert, table, write
from record_files import HEADER, cda, element, section

from tcmstruct.recipes import convert as convert_recipe

GOOD = cda(section(element("DE04.01.119.00", "主诉", "胃脘胀痛3天")))


@pytest.fixture(autouse=True)
def fake_pipeline(monkeypatch):
    monkeypatch.setattr(convert_recipe.StructurerFactory, "__call__", lambda self: fakes.Fake())


@pytest.mark.parametrize(("declared", "real"), [
    ("utf-8", "gb18030"), ("gb2312", "utf-8"), ("iso-8859-1", "gb18030"), ("nonsense", "utf-8")])
def test_03_xml_that_declares_a_wrong_encoding(tmp_path, declared, real):
    path = write(tmp_path / "a.xml", f'<?xml version="1.0" encoding="{declared}"?>\n{GOOD}', real)
    found = convert(tmp_path / "o", path)
    assert (found.code, found.texts) == (0, {"DOC1": "主诉：胃脘胀痛3天"})
    assert found.manifest["inputs"][0]["encoding"] == real


LAUGHS = "".join(f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(9))
HOSTILE = {
    "entity bomb": f'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">{LAUGHS}]>' + GOOD.replace("胃脘", "&j;"),
    "file": '<!DOCTYPE d [<!ENTITY x SYSTEM "SECRET">]>' + GOOD.replace("胃脘", "&x;"),
    "parameter": '<!DOCTYPE d [<!ENTITY % p SYSTEM "SECRET"> %p;]>' + GOOD,
    "external dtd": '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd">' + GOOD,
    "depth": "<ClinicalDocument>" + "<a>" * 100_000,
    "depth outside of records": "<documents>" + "<a>" * 100_000,
    "fhir": '<!DOCTYPE Bundle [<!ENTITY x SYSTEM "SECRET">]><Bundle xmlns="http://hl7.org/fhir"><id value="&x;"/></Bundle>',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_10_hostile_xml_is_refused_and_reaches_for_nothing(tmp_path, capfd, monkeypatch, name):
    secret = write(tmp_path / "secret.txt", "绝密甲乙丙")
    path = write(tmp_path / "a.xml", HOSTILE[name].replace("SECRET", secret.as_uri()) + "<!-- ClinicalDocument: <ClinicalDocument> -->")
    opened = []
    real_open = builtins.open

    def watched(file, *arguments, **options):
        opened.append(str(file))
        return real_open(file, *arguments, **options)

    def refuse(*_, **__):
        raise AssertionError("the network was asked for")

    monkeypatch.setattr(builtins, "open", watched)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert convert(tmp_path / "o", path).code == 4
    told = capfd.readouterr()
    assert told.err.startswith("error: a.xml: ") and len(told.err.splitlines()) == 1 and "绝密" not in told.err + told.out
    assert not (tmp_path / "o").exists() and not any("secret.txt" in file for file in opened)


def test_10_hostile_xml_within_office_files(tmp_path, capfd):
    path = tmp_path / "a.docx"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("word/document.xml", f'<!DOCTYPE d [<!ENTITY a "x">{LAUGHS}]>'
                      '<w:document xmlns:w="w"><w:body>&j;</w:body></w:document>')
    assert convert(tmp_path / "o", path).code == 4
    assert "document type" in capfd.readouterr().err and not (tmp_path / "o").exists()


def test_11_disease_and_syndrome_share_a_code(tmp_path):
    qualifier = '<qualifier><name displayName="中医证候名称"/></qualifier>'
    shared = "DE05.10.172.00"
    both = element(shared, "中医病名名称", "胃痞") + element(shared, "中医诊断名称", "脾胃气虚证", qualifier)
    path = write(tmp_path / "a.xml", cda(section(both, "29548-5", "Diagnosis"), section(element("DE04.01.119.00", "主诉", "胃胀3天"))))
    (record,) = convert(tmp_path / "o", path).records
    assert record["text"] == "主诉：胃胀3天"
    assert {name: value for name, value in record["extra"].items() if "中医" in name} == {
        "中医病名名称": "胃痞", "中医证候名称": "脾胃气虚证"}


def test_11_text_or_value_placeholders_and_what_the_patient_does_not_have(tmp_path):
    sections = (
        section("", text="胃脘胀痛3天"),
        section(element("DE02.10.071.00", "现病史", "3天前受凉后胀痛。"), "10164-2", "x"),
        section(element("DE02.10.022.00", "过敏史", "NA") + element("DE02.10.099.00", "既往史", "xx"), "11348-0", "x"),
        section(element("DE05.01.025.00", "鉴别诊断-西医诊断名称", "胃癌"), "x", "鉴别诊断"))
    (record,) = convert(tmp_path / "o", write(tmp_path / "a.xml", cda(*sections))).records
    assert record["text"] == "主诉：胃脘胀痛3天\n现病史：3天前受凉后胀痛。"
    assert [value for name, value in record["extra"].items() if "鉴别诊断" in name] == ["胃癌"]
    assert not {"NA", "xx"} & set(record["extra"].values())


def test_11_a_document_without_a_body_is_one_reject(tmp_path):
    content = "<documents>" + cda(header=HEADER.replace("DOC1", "DOC0")) + GOOD + "</documents>"
    found = convert(tmp_path / "o", write(tmp_path / "a.xml", content))
    assert (found.code, found.rejects, list(found.texts)) == (3, [("text_missing", "a.xml:1")], ["DOC1"])


ROWS = [[f"{n:05}", f"咳嗽{n}天，无发热。" + os.urandom(40).hex()] for n in range(3000)]
"""Texts that do not pack, so that a file cut in the middle loses half of its rows."""


def workbook(path):
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in [["id", "text"], *ROWS]:
        sheet.append([openpyxl.cell.WriteOnlyCell(sheet, cell) for cell in row])
    book.save(path)
    return path.read_bytes()


def archive(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.csv", table([["id", "text"], *ROWS]))
    return path.read_bytes()


WHOLE = {
    "a.csv.gz": lambda _: gzip.compress(table([["id", "text"], *ROWS]).encode(), 1),
    "a.zip": archive,
    "a.xlsx": workbook,
    "a.json": lambda _: json.dumps([dict(zip(("id", "text"), row, strict=True)) for row in ROWS], ensure_ascii=False).encode(),
    "a.xml": lambda _: ("<d>" + GOOD + "".join(
        GOOD.replace("DOC1", id).replace("胃脘胀痛3天", text) for id, text in ROWS[:300]) + "</d>").encode(),
}


@pytest.mark.parametrize("name", WHOLE)
def test_12_what_is_complete_of_a_file_that_breaks_off_is_kept(tmp_path, name):
    data = WHOLE[name](tmp_path / name)
    found = convert(tmp_path / "o", write(tmp_path / name, data[: len(data) // 2]))
    expected = {id: text if name != "a.xml" else f"主诉：{text}" for id, text in [*ROWS, ["DOC1", "胃脘胀痛3天"]]}
    assert found.code == 3 and "cut_short" in found.notes
    if name == "a.xlsx":  # its texts lie in one part and its cells in another: which rows are whole depends on the cut
        assert {code for code, _ in found.rejects} == {"cut_short"}
    else:
        assert len(found.texts) > 100 and {code for code, _ in found.rejects} <= {"cut_short", "ragged_row", "json_invalid"}
    assert found.texts.items() <= expected.items()


def test_13_json_that_is_none(tmp_path):
    good = '{"id": "%s", "text": "头痛发热"}'
    lines = [good % 1, '{"id": "2", "text": "头痛", "x": NaN}', '{"id": "3", "text": "头痛", "text": "咳嗽"}',
             '{"id": "4", "text": "头痛", "x": ' + "[" * 5000 + "]" * 5000 + "}", '{"id": "5", "text": "头痛\\ud83d"}',
             '{"id": "6", "text": "头痛", "x": -Infinity}', '{"id": "7", "te', '["头痛"]', good % 9]
    found = convert(tmp_path / "o", write(tmp_path / "a.jsonl", "\n".join(lines)))
    assert (found.code, found.texts) == (3, {"1": "头痛发热", "9": "头痛发热"})
    codes = ["json_not_a_number", "json_duplicate_key", "json_too_deep", "lone_surrogate", "json_not_a_number", "json_invalid",
             "json_not_an_object"]
    assert found.rejects == [(code, f"a.jsonl:{n}") for n, code in enumerate(codes, 2)]
    listed = convert(tmp_path / "p", write(tmp_path / "a.json", "[" + ",".join([*lines[:6], lines[8]]) + "]"))
    assert listed.texts == found.texts and [code for code, _ in listed.rejects] == codes[:5]


def test_25_several_visits_in_one_document_become_several_records(tmp_path):
    visit = "姓名：某某  门诊号：00{0}\n就诊日期：2026-03-0{0}\n主诉：胃脘胀痛{0}天\n现病史：{0}天前受凉。\n"
    found = convert(tmp_path / "o", write(tmp_path / "a.txt", visit.format(1) + visit.format(2), "gb18030"))
    assert (found.code, "records_cut" in found.notes) == (0, True)
    assert found.texts == {f"00{n}": f"主诉：胃脘胀痛{n}天\n现病史：{n}天前受凉。" for n in (1, 2)}

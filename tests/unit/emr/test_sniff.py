import gzip
import zipfile

import pytest

from tcmstruct.emr.sniff import FORMATS, HEAD_BYTES, find_format, sniff_format

HL7 = b"MSH|^~\\&|A|B|C|D|20260301||ORU^R01|1|P|2.4\r"


@pytest.mark.parametrize(("content", "name"), [
    (b"", "empty"), (b"\xef\xbb\xbf \r\n", "empty"), (b"\xff\xfe", "empty"),
    (b"<?xml version='1.0'?><ClinicalDocument xmlns='urn:hl7-org:v3'/>", "cda"), (b"\n <x:ClinicalDocument>", "cda"),
    (b"\xef\xbb\xbf<?xml version='1.0'?><XTextDocument>", "dcwriter"), ("\ufeff<XTextDocument>".encode("utf-16-le"), "dcwriter"),
    (b"<Bundle xmlns='http://hl7.org/fhir'>", "fhir_xml"), (HL7, "hl7"), (b"\x0b" + HL7, "hl7"), (b"FHS|^~\\&|", "hl7"),
    (b'{"resourceType": "Bundle"}', "fhir"), (b'[\n {"type": 1, "resourceType" : "Bundle"}]', "fhir"),
    (b'{"text": "x"}\n', "jsonl"), (b'[{"text": "x"}]', "json"), (b'{"code": 0, "data": [\n{"text": "x"}]}', "json"),
    (b"{\\rtf1 x}", "rtf"), (b"<html><body><p>x</p>", "html"), (b"<!DOCTYPE html><p>x", "html"),
    ("<table><tr><td>住院号</td><td>主诉</td></tr><tr><td>1</td><td>头痛</td></tr></table>".encode(), "html_table"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "xls"), (gzip.compress(b"id,text\n"), "gzip"),
    ("主诉：头痛3天。\n现病史：3天前受凉。\n".encode("gb18030"), "txt"), ("MSHX|,主诉\n1,头痛".encode(), "delimited"),
    ("住院号,主诉\n1,主诉：头痛".encode(), "delimited"), ("住院号\t主诉\n1\t头痛".encode("utf-16"), "delimited"),
])
def test_content_tells_the_format_and_the_name_does_not(tmp_path, content, name):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    assert sniff_format(path) == name


@pytest.mark.parametrize(("member", "name"), [("xl/workbook.xml", "xlsx"), ("word/document.xml", "docx"), ("a.csv", "zip")])
def test_what_a_zip_holds_tells_what_it_is(tmp_path, member, name):
    path = tmp_path / "a.csv"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, "x")
    assert sniff_format(path) == name


def test_xml_may_say_late_what_it_is(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"<?xml version='1.0'?><!--" + b"x" * (HEAD_BYTES // 2) + b"--><ClinicalDocument/>")
    assert sniff_format(path) == "cda"


def test_every_format_names_a_reader_that_stands(tmp_path):
    from tcmstruct.emr.reader import _load

    assert len({format.name for format in FORMATS}) == len(FORMATS)
    assert FORMATS[-1].recognise(None)
    for format in FORMATS:
        assert format.kind == "empty" or callable(_load(format.reader)), format.name
    assert find_format.__doc__

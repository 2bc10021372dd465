"""Any damage to a file ends in records, rejects or a refusal: never in another exception, never with record text in a message."""

import gzip
import io
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_files import cda, element, section

from tcmstruct.emr import REJECT_CODES, ReadRecord, open_source
from tcmstruct.errors import TcmstructError

SECRET = "甲秘密乙"
CDA = cda(section(element("DE04.01.119.00", "主诉", SECRET + "胀痛3天")),
          section(element("DE02.10.071.00", "现病史", SECRET), text=SECRET)).encode()
DC = ('<XTextDocument xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><XElements><Element xsi:type="XTextBody"><XElements>'
      f'<Element xsi:type="XString"><Text>主诉：{SECRET}</Text></Element><Element xsi:type="XParagraphFlag"/>'
      '</XElements></Element></XElements></XTextDocument>').encode()
HL7 = ("MSH|^~\\&|A|B|C|D|20260301||ORU^R01|1|P|2.4|||||CHN|GB 18030-2000\r"
       f"PID|1||7^^^H||{SECRET}\rOBX|1|TX|DE04.01.119.00^主诉||{SECRET}\r").encode("gb18030") * 2
FHIR = ('{"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Composition", "id": "1", '
        '"section": [{"title": "主诉", "text": '
        f'{{"div": "<div>{SECRET}</div>"}}}}]}}}}]}}').encode()
FHIR_XML = ('<Bundle xmlns="http://hl7.org/fhir"><entry><resource><Composition><id value="1"/><section><title value="主诉"/><text><div>'
            f"{SECRET}</div></text></section></Composition></resource></entry></Bundle>").encode()
TXT = f"姓名：甲某\n主诉：{SECRET}\n现病史：{SECRET}\n".encode()


def zipped() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.xml", CDA)
        made.writestr("b.hl7", HL7)
    return out.getvalue()


FILES = {"cda": CDA, "cda_many": b"<d>" + CDA * 3 + b"</d>", "dcwriter": DC, "hl7": HL7, "fhir": FHIR, "fhir_lines": FHIR + b"\n" + FHIR,
         "fhir_pretty": FHIR.replace(b"[", b"[\n"), "fhir_xml": FHIR_XML, "txt": TXT, "zip": zipped(), "gzip": gzip.compress(CDA)}
EDITS = st.lists(st.tuples(st.integers(0, 10_000), st.sampled_from(["flip", "cut", "insert", "repeat", "drop"]),
                           st.sampled_from([b"\0", b"<", b">", b'"', b"&x;", b"|", b"\r", b"\xff", b"{", b"]", b"<a>", b"\xbc\xd7"])),
                 min_size=1, max_size=4)


def damage(data: bytes, edits) -> bytes:
    for at, kind, piece in edits:
        at %= max(1, len(data))
        match kind:
            case "flip":
                data = data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1:] if data else data
            case "cut":
                data = data[: max(at, 1)]
            case "insert":
                data = data[:at] + piece + data[at:]
            case "repeat":
                data = data[:at] + data[max(0, at - 40): at] * 3 + data[at:]
            case "drop":
                data = data[:at] + data[at + 7:]
    return data


@pytest.mark.parametrize("kind", FILES)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EDITS)
def test_damaged_files(tmp_path, kind, edits):
    path = tmp_path / "a"
    path.write_bytes(damage(FILES[kind], edits))
    try:
        source = open_source(path)
        items = list(source)
    except TcmstructError as error:
        assert SECRET[:2] not in str(error)
        return
    for item in items:
        if isinstance(item, ReadRecord):
            assert item.text.encode() and item.id
        else:
            assert item.code in REJECT_CODES and SECRET[:2] not in item.reason
    assert source.facts.sha256


@pytest.mark.parametrize("kind", FILES)
def test_the_undamaged_file_holds_the_text(tmp_path, kind):
    path = tmp_path / "a"
    path.write_bytes(FILES[kind])
    items = list(open_source(path))
    assert items and all(isinstance(item, ReadRecord) and SECRET in item.text for item in items)

import zipfile

import pytest

from tcmstruct.emr.officexml import PARSE_ERRORS, PartParser, fault_kind
from tcmstruct.emr.zipparts import PartBroken, Parts


def test_places_beyond_the_file_are_broken_parts(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", b"1")
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    for place in (b"\xfe\xff\xff\xff", b"\x05\x00\x00\x00"):
        data[at + 42: at + 46] = place
        path.write_bytes(data)
        with Parts(path, "a.zip") as parts, pytest.raises(PartBroken):
            list(parts.stream(parts.parts[0]))


@pytest.mark.parametrize(("data", "kind"), [
    (b'<?xml version="1.0" encoding="UTN-8"?><a/>', "encoding"), (b'<?xml version="1.0" encoding="gb18030"?><a/>', "encoding"),
    (b"<!DOCTYPE a><a/>", "document type"), (b"<a>", "not well-formed"), (b"<a>\xff</a>", "not well-formed")])
def test_xml_that_is_not_read(data, kind):
    parser = PartParser(lambda name, attributes: None, lambda name: None)
    with pytest.raises(PARSE_ERRORS) as caught:
        parser.feed(data)
        parser.feed(b"")
    assert kind in fault_kind(caught.value)


def test_a_token_without_an_end_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("tcmstruct.emr.officexml._LONGEST_SILENCE", 1000)
    parser = PartParser(lambda name, attributes: None, lambda name: None)
    with pytest.raises(PartBroken):
        for _ in range(100):
            parser.feed(b"<a x='" + b"y" * 100 if not _ else b"y" * 100)

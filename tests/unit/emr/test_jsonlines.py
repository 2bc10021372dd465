import io

import pytest

from tcmstruct.emr import jsonlines
from tcmstruct.emr.delimited import Fault
from tcmstruct.emr.jsonlines import cut_lines, parse_line


@pytest.mark.parametrize(("line", "code"), [
    (b'{"text": NaN}', "json_not_a_number"),
    (b'{"text": -Infinity}', "json_not_a_number"),
    (b'{"id": "1", "id": "2"}', "json_duplicate_key"),
    (b'{"a": {"b": 1, "b": 2}}', "json_duplicate_key"),
    (b'{"text": "x"', "json_invalid"),
    (b'{"text": "x"} {"text": "y"}', "json_invalid"),
    (b"{'text': 'x'}", "json_invalid"),
    (b'{"n": ' + b"9" * 5000 + b"}", "json_invalid"),
    (b'["x"]', "json_not_an_object"),
    (b'"x"', "json_not_an_object"),
    (b"null", "json_not_an_object"),
    (b'{"text": "\xff"}', "undecodable"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "json_too_deep"),
    (b"[" * 100_000, "json_too_deep"),
])
def test_faults_of_a_line(line, code):
    found = parse_line(line, "utf-8")
    assert isinstance(found, Fault)
    assert found.code == code


def test_a_fault_does_not_repeat_the_line():
    found = parse_line('{"text": "机密" x}'.encode(), "utf-8")
    assert "机密" not in str(found)


def test_lines_of_several_megabytes_and_blank_ones():
    long = '{"text": "' + "痛" * 2_000_000 + '"}'
    found = list(cut_lines(io.BytesIO(f"{long}\r\n\n  \n{{}}".encode())))
    assert len(found[0]["text"]) == 2_000_000
    assert found[1:] == [None, None, {}]


def test_a_line_beyond_the_limit_is_skipped(monkeypatch):
    monkeypatch.setattr(jsonlines, "MAX_ROW_CHARS", 30)
    data = b'{"a": 1}\n{"a": "' + b"x" * 200 + b'"}\n{"a": 3}\n'
    assert list(cut_lines(io.BytesIO(data))) == [{"a": 1}, Fault("row_too_long"), {"a": 3}]


def test_line_separators_inside_a_text_do_not_split_it():
    data = '{"text": "a\u2028b\x85c"}\n'.encode()
    assert list(cut_lines(io.BytesIO(data))) == [{"text": "a\u2028b\x85c"}]

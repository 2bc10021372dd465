import codecs
import io
import json

import pytest

from tcmstruct.emr import jsonarray
from tcmstruct.emr.jsonarray import looks_like, read_records
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

ROWS = [{"门诊号": "001", "主诉": "头痛", "标签": ["a", {"b": None}]}, {"门诊号": "002", "主诉": "咳嗽]}，\"\\"}]


def read(path, data: bytes, encoding=None):
    path.write_bytes(data)
    facts = FileFacts("a.json", len(data), "json")
    return list(read_records(Given(path, "a.json", encoding), facts)), facts


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("around", ["{}", '{{"code": 0, "page": {{"data": 1, "x": []}}, "data": {}, "total": 2}}'])
def test_a_list_and_an_object_around_one(tmp_path, indent, encoding, around):
    text = around.format(json.dumps(ROWS, ensure_ascii=False, indent=indent))
    found, facts = read(tmp_path / "a.json", text.encode(encoding))
    assert [(item.place, item.facts, item.document) for item in found] == [("1", ROWS[0], False), ("2", ROWS[1], False)]
    assert facts.notes == []


def test_a_bad_element_costs_itself_only(tmp_path):
    data = (b'[{"a": 1}, {"a": NaN}, {"a": 1, "a": 2}, 3, {bad}, ' + b"[" * 20_000 + b"]" * 20_000 +
            b', {"a": "\xff"}, {"a": 2} {"a": 3}, , {"a": 4}]x')
    found, _ = read(tmp_path / "a.json", data)
    assert [getattr(item, "code", "") for item in found] == [
        "", "json_not_a_number", "json_duplicate_key", "json_not_an_object", "json_invalid", found[5].code, "undecodable", "json_invalid",
        "json_invalid", "", "json_invalid"]
    assert found[5].code in ("json_too_deep", "json_not_an_object")
    assert (found[9].place, found[9].facts) == ("10", {"a": 4})


@pytest.mark.parametrize(("data", "codes"), [
    (b"[]", []), (b"[ ]\n", []), (b'[{"a": 1}', ["", "cut_short"]), (b'[{"a": "}', ["cut_short"]), 
    (b'[{"a": 1},', ["", "cut_short"]), (b"[", ["cut_short"]),
    (b'{"data": [{"a": 1}, {"a', ["", "cut_short"])])
def test_a_list_that_breaks_off_keeps_what_is_complete(tmp_path, data, codes):
    found, facts = read(tmp_path / "a.json", data)
    assert [getattr(item, "code", "") for item in found] == codes
    assert ("cut_short" in facts.notes) is ("cut_short" in codes)


def test_gb18030_by_name(tmp_path):
    found, facts = read(tmp_path / "a.json", json.dumps(ROWS, ensure_ascii=False).encode("gb18030"), "gb18030")
    assert found[0].facts == ROWS[0] and facts.encoding_reason == "given"
    found, _ = read(tmp_path / "a.json", b'[{"a": "\xff\xff"}, {"a": "b"}]', "gb18030")
    assert [getattr(item, "code", "") for item in found] == ["undecodable", ""]


def test_an_object_without_a_list_is_refused(tmp_path):
    with pytest.raises(InputRefused) as caught:
        read(tmp_path / "a.json", b'{"a": 1}')
    assert caught.value.code == "json_no_list"


@pytest.mark.parametrize(("head", "list_"), [
    (b"[]", True), (b" \n[\n {", True), (codecs.BOM_UTF8 + b"[{", True), (b"[1, 2]", False), ("[主诉]".encode(), False),
    (b'{"code": 0, "data": [{"a": 1}, ', True), (b'{\n  "rows": [\n    {', True), (b'{"id": 1, "rows": [{"a": 1}]}\n{"id": 2}', False),
    (b'{"id": 1}\n', False), (b'{"id": "x", "text": "data"}', False)])
def test_what_looks_like_a_list(head, list_):
    assert looks_like(head) is list_


def test_memory_is_bounded_by_one_record(monkeypatch):
    monkeypatch.setattr(jsonarray, "_CHUNK", 64)
    cutter = jsonarray._Cutter(io.BytesIO(b"[" + b'{"a": "%s"},' % (b"x" * 500) * 400 + b"1]"), None)
    largest = 0
    for _ in cutter.run():
        largest = max(largest, len(cutter._window))
    assert largest < 2_000



def test_a_string_of_many_windows_is_passed_over_once():
    """What looked for its end again at every byte took hours for this."""
    text = "x" * 3_000_000 + "\\\"" * 200_000
    assert [*jsonarray.cut_items(io.BytesIO(b"[" + f'{{"a": "{text}"}}'.encode() + b', {"a": 1}]'))] == [
        f'{{"a": "{text}"}}'.encode(), b'{"a": 1}']
    assert looks_like(b'{"data": [{"' + b'\\"' * 100_000)

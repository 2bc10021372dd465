"""What a standard writer wrote, a reader gives back; what nobody should have written, it survives."""

import csv
import json
import re

import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcmstruct.emr import REJECT_CODES, ReadRecord, Reject, open_source
from tcmstruct.errors import TcmstructError

SETTINGS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
TEXTS = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=2, max_size=60).filter(lambda t: len(t.strip()) > 1),
    min_size=1, max_size=8)


def read_texts(path, n, **options):
    items = list(open_source(path, **options))
    assert [type(i) for i in items] == [ReadRecord] * n
    assert [i.id for i in items] == [str(k) for k in range(n)]
    return [i.text for i in items]


def write_csv(path, texts, encoding, delimiter=","):
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=delimiter)
        writer.writerow(["住院号", "主诉"])
        writer.writerows([k, text] for k, text in enumerate(texts))


@SETTINGS
@given(TEXTS, st.sampled_from(["utf-8-sig", "utf-16"]), st.sampled_from([",", "\t"]))
def test_csv_with_a_mark(tmp_path, texts, encoding, delimiter):
    write_csv(tmp_path / "a.csv", texts, encoding, delimiter)
    assert read_texts(tmp_path / "a.csv", len(texts)) == texts


@SETTINGS
@given(TEXTS, st.sampled_from(["utf-8", "gb18030"]))
def test_csv_in_a_named_encoding(tmp_path, texts, encoding):
    write_csv(tmp_path / "a.csv", texts, encoding)
    assert read_texts(tmp_path / "a.csv", len(texts), encoding=encoding) == texts


HANZI = [bytes((lead, trail)).decode("gb2312") for lead in range(0xB0, 0xD7) for trail in range(0xA1, 0xFF)]
COMMON = st.text(st.sampled_from([*HANZI, *"，。；：ab 12,\"\n"]), min_size=2, max_size=60).filter(lambda t: len(t.strip()) > 1)


@SETTINGS
@given(st.lists(COMMON, min_size=1, max_size=8), st.sampled_from(["utf-8", "gbk", "gb18030"]))
def test_csv_of_common_characters_without_a_word_about_its_encoding(tmp_path, texts, encoding):
    write_csv(tmp_path / "a.csv", texts, encoding)
    assert read_texts(tmp_path / "a.csv", len(texts)) == texts


@SETTINGS
@given(TEXTS, st.booleans())
def test_json_lines(tmp_path, texts, escaped):
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": str(k), "text": t}, ensure_ascii=escaped) + "\n" for k, t in enumerate(texts)),
                    encoding="utf-8", newline="\n")
    assert read_texts(path, len(texts)) == texts


@settings(SETTINGS, max_examples=15)
@given(st.lists(TEXTS.map(lambda t: t[0]).filter(lambda t: not re.search(r"_x[0-9A-Fa-f]{4}_", t)), min_size=1, max_size=8))
def test_xlsx(tmp_path, texts):
    """A literal "_x0041_" is left out: XlsxWriter writes it without the escape that ECMA-376 asks for."""
    path = tmp_path / "a.xlsx"
    book = xlsxwriter.Workbook(str(path), {"in_memory": True})
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["住院号", "主诉"])
    for k, text in enumerate(texts):
        sheet.write_string(k + 1, 0, str(k))
        sheet.write_string(k + 1, 1, text)
    book.close()
    assert read_texts(path, len(texts)) == texts


@settings(SETTINGS, max_examples=80)
@given(st.one_of(
    st.binary(max_size=300),
    st.builds(lambda head, body: head + body, st.sampled_from([b"id,text\n", b'{"text": "ab"}\n', "住院号,主诉\n".encode("gbk")]),
              st.binary(max_size=300)),
    st.lists(st.sampled_from(['"', ",", "\n", "\r", "头痛", "1", "{", "}", '"text":', "\\ud800", "\0", "="]), max_size=60).map(
        lambda parts: ("id,text\n" + "".join(parts)).encode()),
))
def test_any_bytes_are_rows_rejects_or_a_refusal(tmp_path, data):
    path = tmp_path / "a.csv"
    path.write_bytes(data)
    try:
        source = open_source(path)
        items = list(source)
    except TcmstructError as error:
        assert error.exit_code == 4
        return
    assert all(isinstance(i, ReadRecord | Reject) for i in items)
    assert all(i.code in REJECT_CODES for i in items if isinstance(i, Reject))
    assert len({i.where for i in items}) == len(items)
    assert source.facts.sha256


@settings(SETTINGS, max_examples=40)
@given(st.data())
def test_damage_to_one_row_leaves_the_rows_far_from_it(tmp_path, data):
    """One byte of row 20 is replaced: the first 19 rows and the last ones still come, and no row is counted twice."""
    rows = [f'{k},"头痛{k}天，伴发热"\r\n'.encode() for k in range(40)]
    victim = bytearray(rows[20])
    victim[data.draw(st.integers(0, len(victim) - 1))] = data.draw(st.integers(0, 255))
    rows[20] = bytes(victim)
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,text\r\n" + b"".join(rows))
    kept = [i.text for i in open_source(path) if isinstance(i, ReadRecord)]
    whole = [f"头痛{k}天，伴发热" for k in range(40)]
    assert kept[:20] == whole[:20]
    assert kept[-18:] == whole[-18:]

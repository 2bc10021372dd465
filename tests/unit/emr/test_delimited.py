import io

import pytest

from tcmstruct.emr import delimited
from tcmstruct.emr.delimited import Fault, cut_rows, sniff_delimiter


def rows(text, delimiter=","):
    return list(cut_rows(io.StringIO(text, newline=""), delimiter))


def test_quotes_line_breaks_and_blank_lines():
    assert rows('a,b\r\n"x\r\ny","z""q"\r\n\r\nlast,1') == [["a", "b"], ["x\r\ny", 'z"q'], [], ["last", "1"]]


def test_a_field_may_be_longer_than_the_modules_own_limit():
    assert rows("1," + "长" * 200_000 + "\n")[0][1] == "长" * 200_000


def test_an_unclosed_quote_costs_its_row_only():
    text = 'id,text\n1,头痛发热\n2,"没有收尾\n3,咳嗽咳痰\n4,舌红苔黄\n'
    assert rows(text) == [["id", "text"], ["1", "头痛发热"], Fault("quote_unclosed"), ["3", "咳嗽咳痰"], ["4", "舌红苔黄"]]


def test_text_after_a_closing_quote_costs_its_row_only():
    assert rows('1,"头痛"发热\n2,咳嗽\n') == [Fault("quote_unclosed"), ["2", "咳嗽"]]


def test_every_row_broken_is_every_row_said():
    assert rows('1,"a"b\n' * 5) == [Fault("quote_unclosed")] * 5


def test_a_row_beyond_the_limit_is_skipped(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_ROW_CHARS", 20)
    assert rows("1,a\n2," + "x" * 90 + "\n3,c\n") == [["1", "a"], Fault("row_too_long"), ["3", "c"]]


def test_a_quote_that_runs_beyond_the_limit_gives_the_other_lines_back(monkeypatch):
    monkeypatch.setattr(delimited, "MAX_ROW_CHARS", 20)
    text = '1,"open\n' + "".join(f"{n},fine\n" for n in range(2, 12))
    assert rows(text) == [Fault("quote_unclosed"), *([str(n), "fine"] for n in range(2, 12))]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_the_delimiter_is_found(tmp_path, delimiter):
    path = tmp_path / "a.txt"
    path.write_text(delimiter.join(["住院号", "主诉", "备注"]) + "\n" + delimiter.join(["1", "头痛, 发热; 2天", ""]) + "\n",
                    encoding="utf-8")
    if delimiter in ",;":
        path.write_text(f'住院号{delimiter}主诉\n1{delimiter}"头痛, 发热; 2天"\n', encoding="utf-8")
    assert sniff_delimiter(path, "utf-8") == delimiter

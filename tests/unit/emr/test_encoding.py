import pytest

from tcmstruct.emr.encoding import MARK_BAD_BYTES, decide, decode_bytes, given, plausibility, sniff_encoding
from tcmstruct.errors import InputRefused, UsageError

SHORT = ["头痛", "咳嗽", "发热", "舌红", "脉弦", "苔薄白", "37.5℃", "纳差，便溏。", "頭痛發熱", "茯苓脘痞"]


@pytest.mark.parametrize("text", SHORT)
@pytest.mark.parametrize("name", ["utf-8", "gb18030"])
def test_even_two_characters_tell_the_encodings_apart(text, name):
    assert decide(text.encode(name)).name == name


def test_gbk_bytes_that_are_valid_utf8_by_accident():
    data = "头痛".encode("gbk")
    assert data.decode("utf-8")  # the trap
    assert decide(b"id,text\r\n1," + data).name == "gb18030"


@pytest.mark.parametrize("text", ["β", "37.5°C", "é", "±2"])
def test_lone_latin_and_greek_signs_are_utf8(text):
    assert decide(text.encode()).name == "utf-8"


def test_byte_order_marks():
    assert decide("主诉".encode("utf-8-sig")).name == "utf-8-sig"
    assert decide("主诉".encode("utf-16")).name == "utf-16"


def test_ascii_alone_is_utf8():
    assert decide(b"id,text\n1,ok\n") .reason == "ascii only"
    assert plausibility("id,text") is None


@pytest.mark.parametrize("name", ["utf-8", "gb18030"])
def test_one_damaged_row_does_not_change_the_files_encoding(name):
    rows = ["头痛发热咳嗽咳痰，舌红苔黄，脉弦数。\n".encode(name)] * 50
    rows[25] = b"\xff\xff\xfe\n"
    assert decide(b"".join(rows)).name == name


def test_neither_encoding_names_the_byte():
    with pytest.raises(InputRefused, match=r"utf-8 fails at byte 2; gb18030 fails at byte 2") as caught:
        decide(b"id" + b"\xff\x80\xff\xff" * 40, "坏.csv")
    assert caught.value.code == "encoding_unknown"
    assert caught.value.where == "坏.csv"


def test_a_large_file_is_sampled_over_its_whole_length(tmp_path):
    path = tmp_path / "large.csv"
    path.write_bytes(b"id,text\n" + b"1,plain\n" * 400_000 + "2,头痛发热\n".encode("gb18030") * 1000)
    assert path.stat().st_size > 2 * 1024 * 1024
    assert sniff_encoding(path).name == "gb18030"


def test_the_users_word_wins(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("头痛".encode())
    assert sniff_encoding(path, "gb18030").name == "gb18030"
    assert given("GBK").name == "gbk"


@pytest.mark.parametrize("name", ["no-such", "base64", "zip", "\0"])
def test_an_unknown_encoding_is_a_usage_error(name):
    with pytest.raises(UsageError):
        given(name)


def test_bad_bytes_become_marks_and_nothing_else_changes():
    assert b"a\xffb".decode("utf-8", MARK_BAD_BYTES) == "a\udcffb"
    assert ("头".encode("gb18030") + b"\xff" + "痛".encode("gb18030")).decode("gb18030", MARK_BAD_BYTES) == "头\udcff痛"


def test_a_whole_text_names_the_bad_byte():
    with pytest.raises(InputRefused, match="byte 30"):
        decode_bytes("头痛发热咳嗽咳痰舌红".encode() + b"\xff", None, "x.txt")

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.emr.rtf import MAX_DEPTH, read_records, rtf_text
from tcmstruct.emr.source import FileFacts, Given
from tcmstruct.errors import InputRefused

HEAD = rb"{\rtf1\ansi\ansicpg936\deff0{\fonttbl{\f0\fnil\fcharset134 \'cb\'ce\'cc\'e5;}{\f1\fswiss\fcharset0 Arial;}{\f2\fcharset136 x;}}"


def hexed(text: str, codec: str = "gbk") -> bytes:
    return b"".join(b"\\'%02x" % byte for byte in text.encode(codec))


def text(body: bytes) -> str:
    return rtf_text(HEAD + body + b"}")


@pytest.mark.parametrize(("body", "expected"), [
    (rb"\f0 " + hexed("主诉：头痛3天。") + rb"\par " + hexed("舌红"), "主诉：头痛3天。\n舌红"),
    (rb"\'b8S\'b0Y\'b8\'53", "窼癥窼"),                                   # the second byte is a plain letter
    (rb"\'b8\f1 \'53", "窼"),                                           # or stands behind a change of font
    (rb"{\f1\'cd\'b7\'cd\'b4}", "头痛"),                                # a Latin font over Chinese bytes
    (rb"{\f2\'c0\'59\'b5\'68}", "頭痛"),                                # a font of another page
    (rb"\uc1\u22836?\u30171?", "头痛"),
    (rb"\uc2\u22836\'cd\'b7\u30171\'cd\'b4", "头痛"),                   # stand-ins of two bytes
    (rb"\uc0\u22836 x", "头x"), (rb"{\uc2\u22836 ab}\u30171?c", "头痛c"),
    (rb"\uc1\u-10179?\u-8704?", "😀"), (rb"\uc1\u22836{}?", "头?"),
    (rb"a\u22836\'3fb", "a头b"), (rb"\u22836\par x", "头\nx"),
    (rb"\{x\}\\\~\_", "{x}\\\xa0-"), (rb"\lquote a\rquote\emdash\ldblquote\rdblquote\tab\bullet", "‘a’—“”\t•"),
    (rb"a{\pict\wmetafile8 0102{\*\blipuid ff}\bin3 }}}}b", "ab"),
    (rb"a{\*\unknown x{y}}b{\header " + hexed("页眉") + rb"}{\footer z}c", "abc"),
    (rb"{\field{\*\fldinst HYPERLINK x}{\fldrslt y}}", "y"), (rb"a{\v hidden}\v h\v0 b\plain c", "abc"),
    (rb"{\upr{a}{\*\ud{\u22836?}}}", "头"),
    (rb"{\shp{\*\shpinst\shpleft1{\sp{\sn a}{\sv b}}{\shptxt box}}{\shprslt box}}", "box"),
    (rb"{\info{\title x}{\author y}}{\stylesheet{\s0 Normal;}}{\colortbl;\red0;}t", "t"), (b"a\\\nb\\\r\nc\nd", "a\nb\ncd"),
    (rb"\trowd\cellx1\cellx2\intbl " + hexed("姓名") + rb"\cell " + hexed("某某")
     + rb"\cell\trowd\row\pard " + hexed("舌红"), "姓名：某某\n舌红"),
    (rb"\trowd\intbl a\cell b\par c\cell\row", "a\tb\nc\n"), (b"", ""), (rb"\'zz\'4", "zz4"),
])
def test_what_is_text(body, expected):
    assert text(body) == expected


def test_bytes_that_are_not_escaped_with_a_backslash_or_brace_as_their_second(tmp_path):
    plain = "頭痛誠".encode("gbk") + b"\xb8\x5c\xb8\x7b\xb8\x7d"
    assert text(plain) == plain.decode("gb18030")
    assert rtf_text(rb"{\rtf1\ansi\ansicpg1252 caf\'e9 " + "é".encode("cp1252") + rb"\par x}") == "café é\nx"


def test_a_byte_that_is_no_text_is_marked_so_that_its_record_is_rejected():
    assert text(rb"a\'ffb\'80 ") == "a\udcffb\udc80 "


@settings(max_examples=80, deadline=None)
@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]), max_size=30),
       st.lists(st.integers(0, 3), min_size=30, max_size=30))
def test_every_way_of_writing_a_character_gives_it_back(words, ways):
    body = b""
    for char, way in zip(words, ways, strict=False):
        units = char.encode("utf-16-le")
        shorts = [int.from_bytes(units[i: i + 2], "little", signed=True) for i in range(0, len(units), 2)]
        if way == 0 or (way == 1 and not _in_gbk(char)):
            body += b"\\uc1" + b"".join(b"\\u%d?" % short for short in shorts)
        elif way == 2:
            body += b"{\\uc2" + b"".join(b"\\u%d\\'a1\\'a1" % short for short in shorts) + b"}"
        elif way == 3:
            body += b"{\\uc0" + b"".join(b"\\u%d " % short for short in shorts) + b"}"
        else:
            body += hexed(char)
    assert text(body) == words


def _in_gbk(char: str) -> bool:
    try:
        char.encode("gbk")
        return True
    except UnicodeEncodeError:
        return False


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([b"{", b"}", b"\\", b"\\u", b"\\u22836", b"\\'", b"\\'cd", b"\\'b7", b"\\uc9", b"\\bin",
                                 b"\\bin99 ", b"\\*",
                                 b"\\cell", b"\\row", b"\\trowd", b"\\pict",
                                 b"\\fonttbl", b"\\f1", b"x", b"\xb8", b"\n", b"?", b"\\ud", b"\\v"]),
                max_size=40))
def test_any_tokens_end_and_raise_nothing(tokens):
    assert isinstance(text(b"".join(tokens)), str)


def test_a_document_through_the_door_and_its_faults(tmp_path):
    path = tmp_path / "a.rtf"

    def read(data):
        path.write_bytes(data)
        facts = FileFacts("a.rtf", len(data), "rtf")
        return list(read_records(Given(path, "a.rtf"), facts)), facts

    body = hexed("姓名：某某") + rb"\par " + hexed("主诉：头痛3天。") + rb"\par " + hexed("脉弦")
    (found,), facts = read(HEAD + body + b"}")
    assert (found.facts, found.sections) == ({"姓名": "某某"}, [("主诉", "头痛3天。\n脉弦")])
    assert (facts.encoding, facts.notes) == ("gb18030", [])
    (found, fault), facts = read(HEAD + body)
    assert found.sections and fault.code == "cut_short" and facts.notes == ["cut_short"]
    with pytest.raises(InputRefused, match=f"{MAX_DEPTH:,}"):
        read(HEAD + b"{" * 100_000)
    with pytest.raises(InputRefused) as caught:
        read(b"x")
    assert caught.value.code == "document_invalid"

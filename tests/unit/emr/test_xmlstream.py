import pytest
from record_files import cda, element, read, section

from tcmstruct.emr import open_source, xmlstream
from tcmstruct.errors import InputRefused

GOOD = cda(section(element("DE04.01.119.00", "主诉", "胃脘胀痛3天")))
DECLARED = '<?xml version="1.0" encoding="{}"?>\n'


@pytest.mark.parametrize(("declared", "real"), [
    ("utf-8", "utf-8"), ("UTF-8", "gb18030"), ("gb2312", "utf-8"), ("gb2312", "gb18030"), ("GBK", "gbk"), ("utf-16", "utf-16"),
    ("no-such", "utf-8"), ("big5", "gb18030"), ("iso-8859-1", "utf-8"),
])
def test_the_declared_encoding_is_a_hint(tmp_path, declared, real):
    source, (record,) = read(tmp_path, DECLARED.format(declared) + GOOD, real)
    assert record.text == "主诉：胃脘胀痛3天"
    assert source.facts.encoding.removesuffix("-sig") in (real, "gb18030")


def test_big5_is_read_where_it_is_declared(tmp_path):
    text = cda(section(element("DE04.01.119.00", "主訴", "頭痛發熱三天，咳嗽有痰，無汗惡寒，舌紅苔黃，脈浮數。")))
    text = text.replace("门(急)诊病历", "").replace("岁", "")
    source, (record,) = read(tmp_path, DECLARED.format("big5") + text, "big5")
    assert source.facts.encoding == "big5"
    assert "頭痛發熱三天" in record.text or "頭痛發熱三天" in str(record.extra)


BOMB = ('<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa">' + "".join(f'<!ENTITY {chr(98 + k)} "{f"&{chr(97 + k)};" * 10}">' for k in range(9)) + "]>")


@pytest.mark.parametrize("prolog", [
    BOMB, '<!DOCTYPE d SYSTEM "http://127.0.0.1:9/x.dtd">', '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
    "<!-- <ClinicalDocument> --><!DOCTYPE d>", '<!DOCTYPE d [<!ENTITY % p SYSTEM "file:///etc/passwd"> %p;]>',
])
def test_a_document_type_is_refused_before_anything_is_defined(tmp_path, prolog):
    path = tmp_path / "a.xml"
    path.write_text(DECLARED.format("utf-8") + prolog + GOOD.replace("胃脘胀痛3天", "&j;&x;"), encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        open_source(path)
    assert caught.value.code == "xml_doctype"
    assert "root:" not in str(caught.value)


def test_an_undefined_entity_ends_the_file(tmp_path):
    source, items = read(tmp_path, GOOD.replace("胃脘胀痛", "&x;"))
    assert [item.code for item in items] == ["xml_invalid"]
    assert source.facts.notes[0] == "cut_short"


def test_depth_is_bounded(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<ClinicalDocument>" + "<a>" * 100_000, encoding="utf-8")
    with pytest.raises(InputRefused) as caught:
        open_source(path)
    assert caught.value.code == "xml_too_deep"
    nested = "<paragraph>" * 400 + "头痛发热3天" + "</paragraph>" * 400
    _, (record,) = read(tmp_path, cda(section("", text=nested)))
    assert record.text == "主诉：头痛发热3天"


def test_depth_that_shows_late_costs_the_rest_only(tmp_path):
    source, items = read(tmp_path, "<d>" + GOOD * 200 + "<a>" * 100_000)
    assert [getattr(item, "code", None) for item in items] == [None] * 200 + ["rest_unreadable"]
    assert "cut_short" in source.facts.notes


@pytest.mark.parametrize(("cut", "code"), [(GOOD[: len(GOOD) // 2], "cut_short"), (GOOD + "<<", "xml_invalid"), ("", "cut_short")])
def test_what_was_complete_before_the_break_is_kept(tmp_path, cut, code):
    source, items = read(tmp_path, "<d>" + GOOD * 3 + cut)
    assert [getattr(item, "code", None) for item in items][:3] == [None] * 3
    assert items[-1].code == code
    assert "胃脘" not in items[-1].reason
    assert "cut_short" in source.facts.notes


def test_bytes_that_are_no_text_cost_their_own_record(tmp_path):
    good = GOOD.encode()
    bad = good.replace("胀痛".encode(), "胀".encode()[:2] + b"\xff" + "痛".encode())
    nul = good.replace("胀痛".encode(), b"\0")
    _, items = read(tmp_path, b"<d>" + good * 40 + bad + nul + good + b"</d>")
    assert [getattr(item, "code", None) for item in items] == [None] * 40 + ["undecodable", "undecodable", None]
    _, (record,) = read(tmp_path, GOOD.replace("胃脘胀痛", "胃脘\x0b胀痛"))
    assert record.text == "主诉：胃脘 胀痛3天"


def test_a_record_beyond_the_limit_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(xmlstream, "MAX_ROW_CHARS", 200_000)
    long = cda(section(element("DE04.01.119.00", "主诉", "痛" * 300_000)))
    _, items = read(tmp_path, "<d>" + GOOD + long + GOOD + "</d>")
    assert [getattr(item, "code", None) for item in items] == [None, "row_too_long", None]


def test_nothing_is_read_beyond_the_record_that_is_asked_for(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("<d>" + GOOD * 3000 + "</d>", encoding="utf-8")
    source = open_source(path)
    stream = iter(source)
    next(stream)
    assert source.fraction() < 0.5
    assert sum(1 for _ in stream) == 2999
    assert source.fraction() == 1.0


def test_a_record_of_more_tags_than_the_limit_is_passed_over(tmp_path, monkeypatch):
    monkeypatch.setattr(xmlstream, "_MOST_MARKS", 30_000)
    for inner in ("<a/>" * 60_000, "<a>" + "<b c='d'/>" * 30_000 + "</a>"):
        _, items = read(tmp_path, "<d>" + GOOD + f"<ClinicalDocument>{inner}</ClinicalDocument>" + GOOD + "</d>")
        assert [getattr(item, "code", None) for item in items] == [None, "row_too_long", None]


def test_depth_that_is_closed_within_one_block_costs_its_record(tmp_path):
    deep = cda(section("", text="<paragraph>" * 2000 + "痛" + "</paragraph>" * 2000))
    _, items = read(tmp_path, "<d>" + GOOD + deep + GOOD + "</d>")
    assert [getattr(item, "code", None) for item in items] == [None, "xml_too_deep", None]

import pytest

from vocab.reader import COLUMNS, KINDS, Term, VocabularyError, load_terms, read_table

HEAD = "\t".join(COLUMNS) + "\n"


def table(tmp_path, body: str, name: str = "pulse.tsv", encoding: str = "utf-8"):
    path = tmp_path / name
    path.write_bytes((HEAD + body).encode(encoding))
    return path


def test_reads_names_aliases_and_code(tmp_path):
    path = table(tmp_path, "pulse\t芤脉\t脉芤|芤象\t\t濒湖脉学\tfacts\n")
    assert read_table(path) == [Term("pulse", "芤脉", ("脉芤", "芤象"), "", "濒湖脉学", "facts")]
    assert read_table(path)[0].names == ("芤脉", "脉芤", "芤象")


@pytest.mark.parametrize(("body", "message"), [
    ("pulse\t芤脉\t\t\ts\tl\npulse\t芤脉\t\t\ts\tl\n", r"pulse\.tsv:3: duplicate of row 2; allowed"),
    ("pulse\t芤脉\t\tA1\ts\tl\npulse\t芤脉\t\tA2\ts\tl\n", r"pulse\.tsv:3: conflicts with row 2; allowed"),
    ("pulse\t芤脉\t革脉\t\ts\tl\npulse\t革脉\t\t\ts\tl\n", r"pulse\.tsv:3: conflicts with row 2; allowed"),
    ("colour\t朱红\t\t\ts\tl\n", r"pulse\.tsv:2: unknown kind 'colour'; allowed: symptom, "),
    ("herb\t三七\t\t\ts\tl\n", r"pulse\.tsv:2: kind 'herb' in the table of 'pulse'; allowed: 'pulse' only"),
    ("pulse\t芤脉\t\t\ts\n", r"pulse\.tsv:2: 5 columns; allowed: 6 \(kind name"),
    ("pulse\t芤\t\t\ts\tl\n", r"pulse\.tsv:2: name of 1 characters; allowed: 2 to 16"),
    ("pulse\t 芤脉\t\t\ts\tl\n", r"pulse\.tsv:2: name with outer space"),
    ("pulse\t芤脉\t\t\t\tl\n", r"pulse\.tsv:2: source or licence is empty"),
    ("pulse\t芤脉\t\t\ts\tl\n\n", r"pulse\.tsv:3: 1 columns; allowed: 6"),
])
def test_refuses_naming_file_row_and_what_is_allowed(tmp_path, body, message):
    with pytest.raises(VocabularyError, match=message):
        read_table(table(tmp_path, body))


def test_refuses_gbk_naming_the_row(tmp_path):
    with pytest.raises(VocabularyError, match=r"pulse\.tsv:2: not UTF-8 .*allowed: UTF-8"):
        read_table(table(tmp_path, "pulse\t芤脉\t\t\ts\tl\n", encoding="gbk"))


def test_refuses_a_byte_order_mark_and_a_foreign_header(tmp_path):
    with pytest.raises(VocabularyError, match="byte order mark"):
        read_table(table(tmp_path, "", encoding="utf-8-sig"))
    path = tmp_path / "pulse.tsv"
    path.write_text("name\tcode\n", encoding="utf-8")
    with pytest.raises(VocabularyError, match=r"pulse\.tsv:1: header"):
        read_table(path)


def test_refuses_windows_line_ends_naming_the_row(tmp_path):
    with pytest.raises(VocabularyError, match=r"pulse\.tsv:2: line end with a carriage return; allowed: LF"):
        read_table(table(tmp_path, "pulse\t芤脉\t\t\ts\tl\r\n"))


def test_unknown_kind_and_missing_table_are_refused(tmp_path):
    with pytest.raises(VocabularyError, match="unknown kind 'colour'; allowed: symptom"):
        list(load_terms(["colour"]))
    with pytest.raises(VocabularyError, match=r"pulse\.tsv: no such table"):
        list(load_terms(["pulse"], tmp_path))


def test_the_shipped_tables_hold_every_kind():
    terms = list(load_terms())
    assert {term.kind for term in terms} == set(KINDS)
    codes = {term.name: term.code for term in terms if term.code}
    assert codes["足三里"] == "ST36"
    assert codes["涌泉"] == "KI1"
    assert codes["久咳病"] == "6.4.2.2"
    assert codes["寒毒瘀阻证"] == "4.8.3.2"
    assert codes["阿尔茨海默病"] == "G30"


def test_one_kind_alone():
    assert {term.kind for term in load_terms(["herb"])} == {"herb"}


def test_a_point_with_its_suffix_is_an_alias_of_the_coded_point():
    points = {name: term.code for term in load_terms(["acupoint"]) for name in term.names}
    assert points["足三里穴"] == points["足三里"] == "ST36"
    assert len({code for code in points.values() if code and not code.startswith("EX")}) == 361

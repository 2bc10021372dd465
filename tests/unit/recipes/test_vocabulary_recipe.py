import csv
import json
import stat

import pytest

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.recipes.mining import MINED_COLUMNS, Cutter, kinds_of, nearest, propose
from tcmstruct.recipes.vocabulary import build_vocabulary, check_vocabulary, read_accepted, search, stats
from vocab.reader import Term

TERMS = [Term("acupoint", "足三里", ("足三里穴",), "ST36", "s", "l"), Term("symptom", "腹痛", (), "", "s", "l"),
         Term("symptom", "小腹痛", (), "", "s", "l"), Term("symptom", "腹痛拒按", (), "", "s", "l"),
         Term("herb", "柴胡", (), "", "s", "l"), Term("pulse", "脉弦", (), "", "s", "l")]


@pytest.mark.parametrize(("query", "expected"), [
    ("足三里", [("足三里", "exact")]), ("足三里穴", [("足三里", "alias")]),
    ("腹痛", [("腹痛", "exact"), ("腹痛拒按", "prefix"), ("小腹痛", "contains")]),
    ("脈弦", [("脉弦", "exact")]), ("小腹疼", [("小腹痛", "fuzzy")]), ("　 ", []), ("电梯", [])])
def test_search_says_how_each_term_answers(query, expected):
    assert [(hit.term.name, hit.match) for hit in search([query], TERMS)] == expected


def test_search_limits_and_filters():
    assert len(search(["腹痛"], TERMS, limit=1)) == 1
    assert search(["腹痛"], TERMS, kind="herb") == []
    with pytest.raises(UsageError, match="unknown kind 'colour'; allowed: symptom"):
        search(["腹痛"], TERMS, kind="colour")


def test_stats_count_rows_and_coverage_and_name_unknown_characters(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "1", "text": "腹痛 脉弦𪚥"}, ensure_ascii=False) + "\n", encoding="utf-8")
    found = stats(TERMS, [path])
    assert found["kinds"]["acupoint"]["rows"] == 1
    assert found["kinds"]["acupoint"]["names"] == 2
    assert found["kinds"]["acupoint"]["coded"] == 1
    of = found["records"]
    assert (of["records"], of["rejected"], of["characters"]) == (1, 0, 5)
    assert of["covered_by_terms"] == pytest.approx(4 / 5)
    assert of["matches"] == {"symptom": 1, "pulse": 1}
    assert of["unknown_characters"] == [{"code_point": "U+2A6A5", "character": "𪚥", "count": 1}]
    assert of["covered_by_character_table"] == pytest.approx(4 / 5)


def accepted(tmp_path, *rows, header=MINED_COLUMNS, encoding="utf-8-sig", name="terms.csv"):
    path = tmp_path / name
    with path.open("w", encoding=encoding, newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def row(answer, name, kind="symptom"):
    return (answer, name, kind, "1.00", "5", "3", "", "1.00", "")


@pytest.mark.parametrize("answer", ["y", "Y", "1", "是"])
def test_accepted_rows_become_terms(tmp_path, answer):
    path = accepted(tmp_path, row(answer, "脘痞"), row("", "不要"), row("否", "也不要"), ())
    assert read_accepted(path, TERMS) == [Term("symptom", "脘痞", (), "", "terms.csv", "own")]


@pytest.mark.parametrize(("rows", "message"), [
    ([row("y", "脘痞"), row("y", "脘痞")], r"terms\.csv:3: duplicate of row 2; allowed: each name"),
    ([row("y", "脘痞"), row("y", "脘痞", "herb")], r"terms\.csv:3: conflicts with row 2; allowed"),
    ([row("y", "腹痛")], r"terms\.csv:2: the name stands in symptom\.tsv already; allowed"),
    ([row("y", "足三里穴", "acupoint")], r"terms\.csv:2: the name stands in acupoint\.tsv already"),
    ([row("y", "脘痞", "colour")], r"terms\.csv:2: unknown kind 'colour'; allowed: symptom, "),
    ([("y", "脘痞", "symptom")], r"terms\.csv:2: 3 columns; allowed: 9"),
    ([row("maybe", "脘痞")], r"terms\.csv:2: accept is of 5 characters; allowed: y, 1, 是"),
    ([row("y", "痞")], r"terms\.csv:2: name of 1 characters; allowed: 2 to 16"),
    ([row("y", "脘\t痞")], r"terms\.csv:2: name of 3 characters; allowed"),
])
def test_accepted_rows_are_read_strictly(tmp_path, rows, message):
    with pytest.raises(InputRefused, match=message):
        read_accepted(accepted(tmp_path, *rows), TERMS)


def test_gbk_and_foreign_headers_are_refused(tmp_path):
    with pytest.raises(InputRefused, match=r"terms\.csv:2: not UTF-8 .*allowed: UTF-8"):
        read_accepted(accepted(tmp_path, row("y", "脘痞"), encoding="gbk"), TERMS)
    with pytest.raises(InputRefused, match=r"terms\.csv:1: header is not the allowed one: accept,name,kind"):
        read_accepted(accepted(tmp_path, header=("name", "kind")), TERMS)
    with pytest.raises(InputRefused, match=r"none\.csv: cannot be read"):
        read_accepted(tmp_path / "none.csv", TERMS)
    path = tmp_path / "terms.csv"
    path.write_text(",".join(MINED_COLUMNS) + '\ny,"脘痞,symptom\n', encoding="utf-8")
    with pytest.raises(InputRefused, match=r"terms\.csv:\d: a quote is not closed"):
        read_accepted(path, TERMS)


def test_build_adds_to_the_tables_and_loses_nothing(tmp_path):
    path = accepted(tmp_path, row("y", "脘痞甚"), row("y", "左金新汤", "formula"))
    assert build_vocabulary([path], tmp_path / "own") == {"symptom": 1, "formula": 1}
    check_vocabulary(tmp_path / "own")
    tables = tmp_path / "own" / "tables"
    assert "symptom\t脘痞甚\t\t\tterms.csv\town" in (tables / "symptom.tsv").read_text(encoding="utf-8")
    assert stat.S_IMODE((tables / "symptom.tsv").stat().st_mode) == 0o600
    assert sorted(p.name for p in (tmp_path / "own").iterdir()) == ["manifest.json", "tables"]
    with pytest.raises(UsageError, match="holds a vocabulary already"):
        build_vocabulary([path], tmp_path / "own")
    with pytest.raises(InputRefused, match=r"stands in symptom\.tsv already"):
        build_vocabulary([path], tmp_path / "more", vocabulary=tmp_path / "own")
    with pytest.raises(UsageError, match="holds the vocabulary that is read"):
        build_vocabulary([], tmp_path / "own", vocabulary=tmp_path / "own", fresh=True)
    with pytest.raises(UsageError, match="nothing to do"):
        build_vocabulary()
    assert not (tmp_path / "more").exists()


def test_nearest_known_name():
    assert nearest(["小腹疼", "电梯"], ["腹痛", "小腹痛", "小腹疼痛"]) == ["小腹疼痛", ""]


def test_the_cutter_keeps_known_terms_whole_and_breaks_at_what_is_no_letter():
    (words,) = Cutter(kinds_of([Term("symptom", "水湿内停证")])).words("見水濕内停證3天，乏力")
    assert words.known == [(1, 6, 0)]
    assert (1, 6) in {tuple(span) for span in words.spans.tolist()}
    assert not any(start <= 6 < end for start, end in words.spans.tolist())  # the digit


def test_a_term_that_several_records_use_is_proposed_once():
    signs = ["头痛", "头晕", "乏力", "纳差", "胸闷", "腹胀", "恶心"]
    texts = [f"主诉：{sign}{n}天。症见{sign}，脘痞，口干。" for n, sign in enumerate(signs)] * 2
    calls = []

    def read(number):
        calls.append(number)
        return iter(texts)

    found = propose(read, [Term("symptom", sign) for sign in signs], min_count=5)
    assert calls == [0, 1]
    assert found.n_records == 14
    assert [c.kind for c in found.candidates if c.name == "脘痞"] == [0]
    assert not {c.name for c in found.candidates} & set(signs)

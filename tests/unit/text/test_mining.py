import math

import numpy as np
import pytest

from tcmstruct.text.mining import (
    Candidate,
    CountFilter,
    Entry,
    Evidence,
    Known,
    Words,
    _without_parts,
    cohesion,
    entropy,
    joins,
    judge,
)


def words(*runs: tuple[str, ...], known=()) -> Words:
    """Runs of words with a comma between two runs."""
    text, spans = "", []
    for run in runs:
        for word in run:
            spans.append((len(text), len(text) + len(word)))
            text += word
        text += "，"
    return Words(text, np.array(spans, np.int64).reshape(-1, 2), known)


def surfaces(w: Words) -> set[str]:
    return {w.text[s:e] for s, e in zip(*joins(w), strict=True)}


def mined(records: list[list[Words]], **options) -> Evidence:
    counts = CountFilter(bits=12)
    for record in records:
        for piece in record:
            counts.add(piece)
    evidence = Evidence(counts, n_kinds=2, min_count=2, **options)
    for record in records:
        evidence.add(record)
    return evidence


def test_joins_are_neighbours_within_a_run_and_within_the_length():
    assert surfaces(words(("心下", "痞"), ("满",))) == {"心下", "痞", "心下痞", "满"}
    assert max(map(len, surfaces(words(tuple("一二三四五六七八九十"))))) == 8
    assert surfaces(words()) == set()


def test_no_join_has_a_border_inside_of_a_known_term():
    w = words(("胃", "脘", "痛", "甚"), known=[(1, 3, 0)])  # 脘痛
    assert surfaces(w) == {"胃", "脘痛", "甚", "胃脘痛", "脘痛甚", "胃脘痛甚"}


def test_the_filter_never_counts_too_little():
    counts = CountFilter(bits=4)  # far too small on purpose
    w = words(("舌", "淡", "嫩"), ("舌", "淡"), ("脉", "芤"))
    counts.add(w)
    starts, ends = joins(w)
    true = [[w.text[s:e] for s, e in zip(starts, ends, strict=True)].count(w.text[a:b]) for a, b in zip(starts, ends, strict=True)]
    assert (counts.estimates(w.text, starts, ends) >= np.array(true)).all()
    assert CountFilter(bits=4).least_count(5) == 5


def test_evidence_counts_occurrences_records_and_neighbours_exactly():
    one = [words(("诉", "心", "痞", "甚"), ("心", "痞"))]
    evidence = mined([one, one, [words(("心", "痞", "甚"))]])
    entry = evidence.entries["心痞"]
    assert (entry.count, entry.records) == (5, 3)
    assert entry.left == {"诉": 2, "": 3}
    assert entry.right == {"甚": 3, "": 2}
    assert evidence.n_records == 3
    assert mined([one]).entries.keys() >= {"心", "痞", "心痞"}
    assert "甚" not in mined([one]).entries  # once only


def test_kinds_of_the_known_terms_beside_a_join_are_counted():
    w = words(("桂枝",), ("白薇",), ("甘草",), known=[(0, 2, 1), (6, 8, 0)])
    entry = mined([[w], [w]]).entries["白薇"]
    assert entry.beside == [2, 2, 0]


def test_memory_is_bounded_and_the_least_count_says_how():
    records = [[words((chr(0x4E00 + n), chr(0x5E00 + n)))] * 2 for n in range(300)]
    often = [words(("芤", "脉"))] * 40
    evidence = mined([*records, often], max_candidates=50)
    assert len(evidence.entries) <= 50
    assert evidence.least_count > 2
    assert evidence.entries["芤脉"].count == 40


def test_cohesion_is_the_weakest_split_and_none_for_a_single_word():
    entries = {name: Entry(0, 1) for name in ("心下", "痞", "心下痞", "心", "下痞")}
    for name, count in {"心下": 8, "痞": 4, "心下痞": 4, "心": 16, "下痞": 4}.items():
        entries[name].count = count
    assert cohesion("心下痞", entries, 64) == pytest.approx(min(math.log2(4 * 64 / (8 * 4)), math.log2(4 * 64 / (16 * 4))))
    assert cohesion("痞", entries, 64) is None


def test_entropy_of_neighbours():
    assert entropy({"甚": 4}) == 0
    assert entropy({"甚": 2, "者": 2}) == pytest.approx(1.0)
    assert entropy({"": 4}) == pytest.approx(2.0)  # four free ends are four neighbours
    assert entropy({}) == 0


def test_a_part_that_never_stands_alone_falls_away():
    def candidate(name, count):
        return Candidate(name, 0, 1.0, count, 3, None, 1.0)

    kept = _without_parts([candidate("下痞", 7), candidate("心下痞", 7), candidate("心下", 9)])
    assert [c.name for c in kept] == ["心下痞", "心下"]


@pytest.fixture
def known() -> Known:
    kinds = {name: frozenset([0]) for name in ("头痛", "头晕", "胁痛", "腰痛", "腹痛", "心痛", "浮肿", "眩晕")}
    kinds |= {name: frozenset([1]) for name in ("桂枝汤", "逍遥散", "四物汤", "八珍汤", "二陈汤", "平胃散")}
    return Known(kinds, (0, 1), frozenset((0, 1)))


def test_lists_of_known_terms_and_negated_ones_are_no_news(known):
    assert known.is_list("头痛头晕") and known.is_list("头痛头晕腹痛")
    assert not known.is_list("头痛") and not known.is_list("脘腹痛")
    assert known.is_finding("下肢无浮肿") and known.is_finding("步态正常")
    assert not known.is_finding("无力") and not known.is_finding("脘胀")


def test_a_new_symptom_and_a_new_formula_come_out_with_their_kind(known):
    symptoms = ("头痛", "头晕", "胁痛", "腰痛", "腹痛", "心痛", "眩晕")
    formulas = ("桂枝汤", "逍遥散", "四物汤", "八珍汤", "二陈汤")
    records = []
    for n in range(12):
        symptom, formula = symptoms[n % 7], formulas[n % 5]
        w = words(("症", "见"), (symptom,), ("脘", "痛"), ("方", "用"), (formula,), ("左金", "汤"), ("的", "了"))
        at = w.text.index
        spans = [(at(symptom), at(symptom) + 2, 0), (at(formula), at(formula) + 3, 1)]
        records.append([Words(w.text, w.spans, spans)])
    counts = CountFilter(bits=12)
    for record in records:
        counts.add(record[0])
    evidence = Evidence(counts, 2, 2)
    for record in records:
        evidence.add(record)
    known_here = Known(known.kinds, known.guessed, known.whole)
    found = {c.name: c for c in judge(evidence, known_here, min_count=5, min_records=3)}
    assert "的了" not in found and "头痛" not in found
    assert found["左金汤"].kind == 1
    assert found["脘痛"].count == found["脘痛"].records == 12
    assert judge(evidence, known_here, min_count=5, min_records=13) == []

from collections import Counter

import numpy as np

from tcmstruct.training.cases import Case
from tcmstruct.training.reasoning import MARKERS, draw_pairs, inference_pairs, relation_pairs

CONCLUSIONS = ["肝郁气滞", "肝胃不和", "脾虚湿盛", "脾肾阳虚", "心脾两虚", "肝肾阴虚", "气滞血瘀", "湿热下注", "痰湿阻肺", "肺肾气虚"]
CASES = [Case(f"c{i}", "made up", f"第{i}份病历", {"syndrome": said + "证"}, (f"所见{i}甲", f"所见{i}乙"), (said,))
         for i, said in enumerate(CONCLUSIONS * 2)]
FOLDS = np.array([0] * 10 + [1] * 10)


def test_a_candidate_is_as_often_false_as_asked_so_that_it_alone_tells_nothing():
    pairs = relation_pairs(CASES, [c.text for c in CASES], FOLDS, n_wrong=1)
    true, false = (Counter(p.candidate for p in pairs if p.follows is kind) for kind in (True, False))
    assert sum(true.values()) == 20 and all(false[c] in (0, true[c]) for c in true) and sum(false.values()) > 10


def test_wrong_premises_are_near_misses_of_the_same_fold():
    pairs = relation_pairs(CASES, [c.text for c in CASES], FOLDS, n_wrong=3)
    for pair in pairs:
        own = CASES[pair.case].pathogenesis[0]
        if pair.follows:
            assert pair.candidate == own
        else:
            assert pair.candidate != own and set(pair.candidate) & set(own)
    assert [p.candidate for p in draw_pairs(CASES, ["x"] * 20, [(c,) if i < 1 else () for i, c in enumerate(CONCLUSIONS * 2)], FOLDS)] \
        == [CONCLUSIONS[0]]  # nobody else to ask


def test_findings_are_the_premise_where_they_are_noted_and_only_reasoned_cases_are_asked():
    said = {"syndrome": "肝郁证"}
    cases = [*CASES[:3], Case("x", "made up", "正文", said, (), ("肝郁",)), Case("y", "made up", "正文", said)]
    folds = np.zeros(5, int)
    related = relation_pairs(cases, [c.text for c in cases], folds)
    assert {p.premise for p in related} == {"所见0甲；所见0乙", "所见1甲；所见1乙", "所见2甲；所见2乙", "正文"}
    assert 4 not in {p.case for p in inference_pairs(cases, [c.text for c in cases], folds)}
    assert set(MARKERS) == {"relation", "inference"}

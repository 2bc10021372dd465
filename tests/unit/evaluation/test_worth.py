"""What is worth labelling: doubt first, no copies, rare types raised."""

import numpy as np
import pytest

from tcmstruct.evaluation.worth import Doubt, choose, profiles, rare_types, worth


def doubt(wrong=1.0, missed=0.0, n_chars=100, types=("症状",)):
    return Doubt(wrong, missed, n_chars, frozenset(types), {"症状": wrong + missed})


def test_doubt_is_counted_by_what_has_to_be_read():
    assert doubt(2.0, 1.0, 250).density == pytest.approx(1.0)
    assert doubt(1.0, 0.0, 10).density < doubt(5.0, 0.0, 200).density  # one doubt in a line does not lead the list


def test_copies_are_not_suggested_twice():
    texts = ["舌淡红，苔薄白，脉弦。咳嗽三天。", "舌淡红，苔薄白，脉弦。咳嗽三天。 ", "便溏，肛门坠胀，纳差，夜寐欠佳。"]
    picks = choose(texts, [doubt(3.0), doubt(2.9), doubt(0.5)], 3)
    assert [p.number for p in picks] == [0, 2]
    assert picks[1].likeness < 0.2


def test_what_is_like_a_labelled_record_is_worth_less():
    texts = ["舌淡红，苔薄白，脉弦，咳嗽。", "便溏，肛门坠胀，纳差。"]
    assert [p.number for p in choose(texts, [doubt(2.0), doubt(1.5)], 1)] == [0]
    assert [p.number for p in choose(texts, [doubt(2.0), doubt(1.5)], 1, labelled=["舌淡红，苔薄白，脉弦，咳嗽，痰。"])] == [1]


def test_a_rare_type_raises_a_record_and_is_named():
    doubts = [doubt() for _ in range(9)] + [doubt(types=("症状", "治疗"))]
    rare = rare_types(doubts)
    assert set(rare) == {"治疗"} and 0 < rare["治疗"] < 1
    assert worth(doubts, rare).argmax() == 9
    picks = choose([f"{chr(0x4E00 + 40 * n)}{chr(0x4E05 + 40 * n)}" * 5 for n in range(10)], doubts, 1)
    assert picks[0].number == 9 and picks[0].rare == ("治疗",)


def test_profiles_are_unit_vectors_and_empty_texts_do_no_harm():
    vectors = profiles(["咳嗽三天", "", "咳嗽三天"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), [1, 0, 1], atol=1e-5)
    assert vectors[0] @ vectors[2] == pytest.approx(1.0, abs=1e-5)


def test_fewer_than_asked_where_there_are_no_more():
    assert len(choose(["甲乙丙丁"], [doubt()], 50)) == 1

"""Simulated pairs: the statement is taken out, the photo carries the same class, and only what both say is taught."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.training.data import IGNORE  # noqa: E402
from tcmstruct.training.pairs import Photos, Texts, class_weights, classes_of, padded, pair_batches, without_tongue  # noqa: E402


@pytest.mark.parametrize(("text", "left"), [
    ("纳差，舌淡红，苔薄白，脉弦。", "纳差，脉弦。"),
    ("舌质红苔黄腻。大便干", "大便干"),
    ("口苦；舌 边有齿痕。咳嗽", "口苦；咳嗽"),
    ("无", "无")])
def test_clauses_on_the_tongue_are_taken_out(text, left):
    assert without_tongue(text) == left


@pytest.mark.parametrize(("values", "classes"), [
    ({"苔色": ["白"], "舌色": ["淡红"], "苔质": ["薄"]}, [0, 1, 0]),
    ({"苔色": ["黄"], "舌色": ["红"], "苔质": ["厚", "腻"]}, [2, IGNORE, 2]),
    ({"苔色": ["白", "黄"], "苔质": ["剥"]}, [IGNORE, IGNORE, IGNORE]),
    ({"舌色": ["紫暗"], "苔质": ["薄", "腻"]}, [IGNORE, 2, 1]), ({}, [IGNORE] * 3)])
def test_values_of_the_text_are_classes_only_where_a_photo_could_say_them(values, classes):
    assert classes_of(values).tolist() == classes


def texts() -> Texts:
    lengths, whole = [5, 3, 200], [6, 9, 220]
    labels = np.array([[0, IGNORE, IGNORE], [2, 1, IGNORE], [IGNORE, IGNORE, 1]])
    rng = np.random.default_rng(0)
    return Texts(rng.normal(size=(sum(lengths), 4)).astype(np.float16), np.concatenate([[0], np.cumsum(lengths)]),
                 rng.normal(size=(sum(whole), 4)).astype(np.float16), np.concatenate([[0], np.cumsum(whole)]), labels,
                 np.array(["a", "b", "c"]), np.array(["gold", "gold", "casebooks"]))


def photos() -> Photos:
    labels = np.array([[0, IGNORE, IGNORE], [2, 0, IGNORE], [2, IGNORE, 1], [IGNORE, 1, 1], [1, 1, 1]])
    n = len(labels)
    return Photos(np.arange(n, dtype=np.float32)[:, None, None].repeat(6, 1).repeat(2, 2), np.zeros((n, 7), np.float32), labels,
                  np.zeros((n, 9), np.float32), np.zeros(n, int), np.zeros(n, int))


def test_a_pair_teaches_only_what_text_and_photo_say_alike():
    seen = set()
    for seed in range(20):
        for batch in pair_batches([(texts(), np.arange(3))], photos(), np.ones(5, bool), np.random.default_rng(seed), size=2,
                                  without_photo=0, wrong_photo=0, whole_text=0.5, most_characters=50):
            assert batch.hidden.shape[1] <= 50 and batch.mask.sum(1).max() <= 50
            for place, labels in zip(batch.places, batch.labels, strict=True):
                photo = photos().labels[int(place[0, 0])]
                for number, label in enumerate(labels.tolist()):
                    assert label == IGNORE or label == photo[number]
                assert (labels != IGNORE).any()
                seen.add(int(place[0, 0]))
    assert seen == {0, 1, 2, 3, 4}  # every photo of a class that a text states is drawn, and none else


def test_without_a_photo_the_text_teaches_all_that_it_states():
    for batch in pair_batches([(texts(), np.array([1]))], photos(), np.ones(5, bool), np.random.default_rng(1), without_photo=1.0):
        assert batch.present.tolist() == [0.0, 0.0] and batch.labels.tolist() == [[2, 1, IGNORE]] * 2


def test_a_wrong_photo_leaves_the_texts_word_as_it_is():
    for batch in pair_batches([(texts(), np.array([1]))], photos(), np.ones(5, bool), np.random.default_rng(2), without_photo=0,
                              wrong_photo=1.0):
        assert batch.present.tolist() == [1.0, 1.0] and batch.labels.tolist() == [[2, 1, IGNORE]] * 2


def test_photos_that_were_not_chosen_are_never_drawn():
    chosen = np.array([True, True, False, True, True])
    for seed in range(10):
        for batch in pair_batches([(texts(), np.array([1]))], photos(), chosen, np.random.default_rng(seed), without_photo=0):
            assert 2 not in batch.places[:, 0, 0].tolist()


def test_padding_and_weights():
    hidden, mask = padded([np.ones((2, 4)), np.ones((5, 4))])
    assert hidden.shape == (2, 5, 4) and mask.sum(1).tolist() == [2, 5] and hidden[0, 2:].abs().sum() == 0
    weights = class_weights(np.array([[0, 0, 0], [0, 1, 1], [0, 1, 2], [2, IGNORE, IGNORE]]), power=1.0)
    assert weights["苔色"].tolist() == pytest.approx([5 / 3 / 3, 5 / 1 / 3, 5 / 1 / 3])

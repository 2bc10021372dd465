import numpy as np

from tcmstruct.training.word_table import fit_words

RNG = np.random.default_rng(0)
WORDS = [np.unique(RNG.integers(0, 40, 12)) for _ in range(30)]
TRUTH = np.stack([[float(3 in own), float(7 in own)] for own in WORDS])


def scores(fitted, own):
    x = fitted.rarity[own]
    return (x / np.linalg.norm(x)) @ fitted.table[own]


def test_leaving_one_out_is_what_it_says():
    whole = fit_words(WORDS, TRUTH, 40)
    for i in (0, 11):
        rest = [w for j, w in enumerate(WORDS) if j != i]
        left = fit_words(rest, np.delete(TRUTH, i, 0), 40)
        # rarity and mean move a little with one record; the formula holds them
        assert np.allclose(scores(left, WORDS[i]), whole.unseen[i], atol=0.05)
    assert np.abs(whole.unseen - TRUTH).mean() > np.abs([scores(whole, w) for w in WORDS] + TRUTH.mean(0) - TRUTH).mean()


def test_the_word_that_makes_the_label_gives_most_to_it():
    table = fit_words(WORDS, TRUTH, 40, ridge=0.1).table
    assert table[:, 0].argmax() == 3 and table[:, 1].argmax() == 7


def test_a_stronger_ridge_says_less():
    weak, strong = (np.abs(fit_words(WORDS, TRUTH, 40, ridge=r).table).sum() for r in (0.1, 10.0))
    assert strong < weak

import pytest

from tcmstruct.errors import UsageError
from tcmstruct.text.windows import Window, windows


def test_a_short_text_is_one_window():
    assert windows("舌淡红，苔薄白。", 8, 4) == [Window(0, 8, 0, 8)]
    assert windows("", 8, 4) == []


def test_cuts_after_the_sentence_in_the_shared_zone():
    text = "咳嗽三天，痰黄。无发热，无汗出"
    cut = text.index("。") + 1
    assert windows(text, 10, 4)[:2] == [Window(0, 10, 0, cut), Window(6, 15, cut, 15)]


def test_a_sentence_end_outweighs_a_nearer_comma_and_a_line_end_counts_as_one():
    text = "甲乙丙丁\n己庚，壬癸子丑寅卯"
    assert windows(text, 10, 5)[0].keep_end == 8  # the line end lies outside the zone [5, 10)
    assert windows("甲乙丙丁己庚\n，壬癸子丑寅卯", 10, 5)[0].keep_end == 7


def test_without_punctuation_the_border_is_the_middle():
    assert [w.keep_end for w in windows("痛" * 30, 12, 4)] == [10, 18, 26, 30]


def test_a_very_long_text_without_punctuation_ends():
    text = "痛" * 200_000
    cut = windows(text, 510, 64)
    assert cut[-1].keep_end == len(text)
    assert max(w.end - w.start for w in cut) == 510
    assert len(cut) == -(-(len(text) - 64) // (510 - 64))


@pytest.mark.parametrize(("max_chars", "overlap"), [(0, 0), (10, 6), (10, -1)])
def test_sizes_that_do_not_fit_are_refused(max_chars, overlap):
    with pytest.raises(UsageError, match="allowed"):
        windows("痛", max_chars, overlap)

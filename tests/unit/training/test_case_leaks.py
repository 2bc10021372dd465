import pytest

from tcmstruct.training.case_leaks import own_words, without_answer

TEXT = "胃脘灼痛两周，嗳气。中医诊断：胃痛，肝胃郁热证。舌红。反复胃痛三年。"
WORDS = own_words(["胃痛", "肝胃郁热证"], ["胃痛病", "胃心痛"])


def test_own_words_come_with_and_without_their_ending_longest_first():
    assert {"肝胃郁热证", "肝胃郁热", "胃痛", "胃心痛"} <= set(WORDS)
    assert [len(w) for w in WORDS] == sorted(map(len, WORDS), reverse=True)
    assert "" not in own_words(["、"], [""])


def test_the_modes_leave_less_and_less():
    assert without_answer(TEXT, WORDS, "leaky") == TEXT
    no_names = without_answer(TEXT, WORDS, "no names")
    assert "胃痛" not in no_names and "肝胃郁热" not in no_names and "诊断" in no_names
    free = without_answer(TEXT, WORDS, "leak-free")
    assert "诊断" not in free and "胃痛" not in free
    assert "胃脘灼痛两周" in free and "舌红" in free and "三年" in free


def test_a_mode_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="leak-free"):
        without_answer(TEXT, WORDS, "masked")

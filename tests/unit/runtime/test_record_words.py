import numpy as np

from tcmstruct.record import Mention
from tcmstruct.runtime.record_words import record_words
from tcmstruct.text.clauses import findings_only


def words_of(text, *mentions):
    return record_words(text, findings_only(text), mentions, 1 << 20)


def test_a_denied_finding_is_another_word():
    text = "发热三天"
    plain = words_of(text)
    present, denied = (words_of(text, Mention("症状体征", 0, 2, status)) for status in ("有", "无"))
    assert set(plain.buckets) < set(present.buckets) and set(present.buckets) & set(denied.buckets) == set(plain.buckets)


def test_conclusions_and_clauses_that_tell_a_diagnosis_give_no_words():
    text = "胃脘痛，诊断为肝胃郁热，嗳气"
    assert set(words_of(text).buckets) == set(words_of("胃脘痛，嗳气").buckets)
    inside = text.index("肝胃")
    assert set(words_of(text, Mention("症状体征", inside, inside + 4, "有")).buckets) == set(words_of(text).buckets)
    assert set(words_of("胃脘痛", Mention("证候", 0, 3)).buckets) == set(words_of("胃脘痛").buckets)


def test_a_word_of_several_clauses_counts_once_and_is_shared():
    words = words_of("咳嗽，痰黄，咳嗽")
    for bucket in set(words.buckets):
        assert np.isclose(words.shares[words.buckets == bucket].sum(), 1)
    assert set(words.clauses) == {0, 1, 2}


def test_no_clause_no_words():
    assert len(words_of("，，").buckets) == 0


def test_other_forms_of_a_character_are_the_same_word():
    assert set(words_of("發熱，ＣＴ").buckets) == set(words_of("发热，ct").buckets)

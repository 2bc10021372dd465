from pathlib import Path

import pytest

from benchmarks import phrases
from vocab.phrase_grammar import shipped


def test_phrases_are_cut_from_their_word_to_the_end_of_what_goes_on():
    text = "纳可，舌质淡红，边有齿痕，苔薄白，两手脉弦细，左尺弱，乏力。薄黄苔；双下肢静脉曲张，舌下静脉迂曲"
    assert list(phrases.cut(text)) == [("舌质", "舌质淡红，边有齿痕"), ("舌苔", "苔薄白"), ("脉象", "两手脉弦细，左尺弱"),
                                       ("舌苔", "薄黄苔"), ("舌质", "舌下静脉迂曲")]


def test_odd_phrases_are_not_dropped():
    assert [phrase for _, phrase in phrases.cut("诊其脉则不可名状而舌亦难言其详")] == ["脉则不可名状而舌亦难言其详"]


def test_the_last_statement_before_a_second_visit_counts():
    text = "舌红，苔黄。" + "治疗后复查未见异常。" * 5 + "舌淡红，苔白。二诊：舌暗。"
    entities = []
    for kind, phrase in [("舌质", "舌红"), ("舌苔", "苔黄"), ("舌质", "舌淡红"), ("舌苔", "苔白"), ("舌质", "舌暗")]:
        start = text.index(phrase)
        entities.append({"type": kind, "start": start, "end": start + len(phrase), "text": phrase})
    assert phrases.recomputed(shipped(), {"text": text, "entities": entities}) == {"舌色": ["淡红"], "苔色": ["白"]}


@pytest.mark.data
def test_the_phrases_of_the_records_parse_completely():
    if not (phrases.root() / "gold").is_dir():
        pytest.skip(f"no data at {Path(phrases.root())}: set TCMSTRUCT_DATA")
    rows = phrases.phrases()
    n, complete = phrases.share(shipped(), (row[2:] for row in rows if row[0]))
    assert n > 500 and complete / n >= 0.98
    n, complete = phrases.share(shipped(), (row[2:] for row in rows if row[1] == "dev"))
    assert n > 100 and complete / n >= 0.96

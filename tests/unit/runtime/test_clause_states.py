import numpy as np
import pytest

from tcmstruct.runtime.clause_states import ClauseStates, states_of
from tcmstruct.runtime.mentions import Calibration, MentionReader
from tcmstruct.runtime.model_folder import open_folder
from tcmstruct.runtime.tagger import OnnxTagger
from tcmstruct.text.clauses import clauses

pytest.importorskip("torch", reason="the tiny tagger is drawn with torch")
from tiny_tagger import tiny_tagger

TEXT = "咳嗽三天，痰黄。中医诊断：咳嗽。舌淡红，苔薄白。" * 12  # longer than a window of the tiny tagger


def test_a_clause_is_the_mean_of_its_characters_and_diagnoses_are_not_read():
    text = "咳嗽，诊断为咳嗽，痰黄"
    states, hidden = ClauseStates(text), np.arange(len(text) * 2, dtype=np.float32).reshape(-1, 2)
    states.read(hidden, 0)
    assert [text[a:b] for a, b in states.spans] == ["咳嗽", "痰黄"]
    assert np.allclose(states.vectors(), [hidden[0:2].mean(0), hidden[9:11].mean(0)])


def test_windows_may_come_in_any_order_and_cut_a_clause():
    hidden = np.random.default_rng(0).standard_normal((len(TEXT), 3)).astype(np.float32)
    whole, parts = ClauseStates(TEXT), ClauseStates(TEXT)
    whole.read(hidden, 0)
    for start, end in ((100, len(TEXT)), (0, 41), (41, 100)):
        parts.read(hidden[start:end], start)
    assert np.allclose(whole.vectors(), parts.vectors(), atol=1e-6)


def test_nothing_but_diagnoses_leaves_no_clause():
    states = ClauseStates("诊断：咳嗽")
    assert states.vectors().shape == (0, 0)
    states.read(np.zeros((5, 3), np.float32), 0)
    assert states.vectors().shape == (0, 3)


def test_a_long_record_is_read_whole_and_alone_as_in_company():
    tagger = OnnxTagger(open_folder(tiny_tagger() / "fp32"), threads=1)
    mentions = MentionReader(open_folder(tiny_tagger() / "fp32").card, Calibration())
    alone = states_of(tagger, mentions, [TEXT], clauses)[0]
    company = states_of(tagger, mentions, ["舌淡红，苔薄白。", TEXT, "咳嗽"], clauses)
    assert np.array_equal(alone.vectors, company[1].vectors) and np.array_equal(alone.words, company[1].words)
    assert len(alone.vectors) == len(clauses(TEXT)) and np.isfinite(alone.vectors).all() and len(company[2].vectors) == 1

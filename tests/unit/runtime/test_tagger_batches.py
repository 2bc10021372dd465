"""Batches of the tagger: trimmed to a budget, halved where memory runs out, the same scores either way."""

import numpy as np
import pytest

from tcmstruct.runtime.memory import BatchMemory, MemoryBudget
from tcmstruct.runtime.model_folder import open_folder
from tcmstruct.runtime.tagger import OnnxTagger, is_out_of_memory

MIB = 2**20
TEXTS = ["反复咳嗽3天，咳黄痰。", "舌红，苔黄腻，脉滑数。" * 9, "便血" * 7, "患者神清，纳可，否认头痛、发热。" * 60, "苔白。",
         "患者头晕，乏力。" * 80]
SAYS = ("Non-zero status code returned while running MatMul node. Failed to allocate memory for requested buffer of size 123",
        "std::bad_alloc")


@pytest.fixture
def tagger():
    return OnnxTagger(open_folder(), threads=1)


class Narrow:
    """A session that has memory for so many padded characters at once."""

    def __init__(self, session, chars, error):
        self._session, self._chars, self._error = session, chars, error
        self.shapes = []

    def run(self, outputs, feed, *options):
        shape = feed["ids"].shape
        self.shapes.append(shape)
        if shape[0] * shape[1] > self._chars:
            raise self._error
        return self._session.run(outputs, feed, *options)


def flat(scores):
    return [(part.window, part.status.tobytes(), *(a.tobytes() for a in part.tags.values())) for parts in scores for part in parts]


@pytest.mark.parametrize("error", [MemoryError(), *map(RuntimeError, SAYS)])
def test_a_batch_that_does_not_fit_is_halved_and_no_score_changes(tagger, error):
    tagger.chars_per_batch = 4096
    seen = {True: [], False: []}

    def scores(narrow):
        return flat(tagger.scores(TEXTS, {3: lambda hidden, start: seen[narrow].append((start, hidden.tobytes()))}))

    wanted = scores(False)
    session = tagger._session
    tagger._session = narrow = Narrow(session, 1100, error)
    assert scores(True) == wanted
    assert seen[True] == seen[False] != []
    assert tagger.halvings > 0
    assert tagger.chars_per_batch <= 1100  # stays lowered
    first = len(narrow.shapes)
    scores(True)
    assert all(b * chars <= 1100 for b, chars in narrow.shapes[first:])


def test_a_window_that_does_not_fit_alone_is_a_memory_error(tagger):
    tagger._session = Narrow(tagger._session, 300, RuntimeError(SAYS[0]))
    with pytest.raises(MemoryError):
        tagger.scores(TEXTS)
    assert len(tagger.scores(TEXTS[:3])) == 3


def test_other_faults_are_not_taken_for_want_of_memory(tagger):
    tagger._session = Narrow(tagger._session, 10, RuntimeError("Invalid rank for input"))
    with pytest.raises(RuntimeError, match="rank"):
        tagger.scores(TEXTS)
    assert tagger.halvings == 0
    assert all(is_out_of_memory(RuntimeError(words)) for words in SAYS)


@pytest.mark.parametrize("room", [0, 15 * MIB, 30 * MIB, 500 * MIB])
def test_a_budget_trims_batches_and_changes_no_score(tagger, room):
    wanted = flat(tagger.scores(TEXTS))
    tagger.largest = (0, 0)
    batch = BatchMemory(10_000, 40, 0, "fitted")
    tagger.budget, tagger.chars_per_batch = MemoryBudget(room, 0, 0, batch), 100_000
    tagger._session = watched = Narrow(tagger._session, 10**9, MemoryError())
    assert flat(tagger.scores(TEXTS)) == wanted
    assert all(b == 1 or batch.bytes(b, chars) <= room for b, chars in watched.shapes)
    told = tagger.memory()
    assert (told["largest_batch"]["windows"], told["largest_batch"]["chars"]) in watched.shapes
    assert told["budget"]["limit_bytes"] == room


def test_the_lexicon_sees_a_windows_terms_as_in_the_whole_text(tagger):
    """Windows are fed one by one; terms that cross their borders, or are contained in one that does, must be marked alike."""
    some = [term for term, _ in tagger._lexicon.items()][::23]
    text = "".join(some)[:8000]
    whole = tagger._lexicon.features(text)
    jobs = tagger._jobs([text])
    assert len(jobs) > 10
    for job in jobs:
        (fed,) = tagger._feed([job])["lexicon"]
        assert np.array_equal(fed[: job.window.end - job.window.start], whole[job.window.start : job.window.end])


def test_a_very_long_text_gives_the_arena_back_under_a_limit(tagger, monkeypatch):
    monkeypatch.setattr("tcmstruct.runtime.tagger.CHUNK_CHARS", 500)
    tagger._session = watched = Narrow(tagger._session, 10**9, MemoryError())
    wanted = flat(tagger.scores(TEXTS))
    without = len(watched.shapes)
    tagger.budget = MemoryBudget(500 * MIB, 0, 0, BatchMemory())
    assert flat(tagger.scores(TEXTS)) == wanted
    assert watched.shapes[-1] == (1, 16)
    assert len(watched.shapes) == 2 * without + 1

"""Normalisation keeps places, windows keep every character, the matcher equals a slow search."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import windows
from vocab.reader import Term

any_text = st.text(st.characters(codec=None, exclude_categories=()), max_size=60)
few_characters = st.text("甲乙丙𠮷", max_size=14)
kinds = st.sampled_from(["herb", "pulse", "therapy", "acupoint"])
terms = st.lists(st.tuples(kinds, st.text("甲乙丙𠮷", min_size=2, max_size=5)), max_size=12)


@given(any_text)
def test_normalise_keeps_length_and_is_idempotent(text):
    folded = normalise(text)
    assert len(folded) == len(text)
    assert normalise(folded) == folded


@given(any_text, any_text)
def test_normalise_folds_each_character_alone(left, right):
    assert normalise(left + right) == normalise(left) + normalise(right)


@given(st.text("甲乙。，\n", max_size=300), st.integers(1, 40), st.data())
def test_windows_hold_every_character_once_and_go_on(text, max_chars, data):
    overlap = data.draw(st.integers(0, max_chars // 2))
    cut = windows(text, max_chars, overlap)
    assert "".join(text[w.keep_start:w.keep_end] for w in cut) == text
    assert [w.keep_start for w in cut[1:]] == [w.keep_end for w in cut[:-1]]
    for w in cut:
        assert w.start <= w.keep_start < w.keep_end <= w.end <= w.start + max_chars
    for before, after in pairwise(cut):
        assert before.end - after.start == overlap
        assert after.start <= before.keep_end <= before.end


def slow_matches(groups: dict[str, set[str]], text: str) -> set[tuple[int, int, str]]:
    found = set()
    for group, names in groups.items():
        spans = {(s, s + len(n)) for n in names for s in range(len(text)) if text.startswith(n, s)}
        found |= {(s, e, group) for s, e in spans if not any(a <= s and e <= b and (a, b) != (s, e) for a, b in spans)}
    return found


@settings(max_examples=200)
@given(terms, few_characters)
def test_matches_are_all_terms_that_no_longer_one_of_their_group_contains(rows, text):
    lexicon = Lexicon.from_terms(Term(kind, name) for kind, name in rows)
    group_of = {"herb": "中药", "pulse": "脉象", "therapy": "穴位疗法", "acupoint": "穴位疗法"}
    groups: dict[str, set[str]] = {}
    for kind, name in rows:
        groups.setdefault(group_of[kind], set()).add(name)
    found = lexicon.matches(text)
    assert len(found) == len(set(found))
    assert {(s, e, lexicon.groups[k]) for s, e, k in found} == slow_matches(groups, text)


@given(terms, few_characters)
def test_features_mark_what_matches_name(rows, text):
    lexicon = Lexicon.from_terms(Term(kind, name) for kind, name in rows)
    covered = {(t, k) for s, e, k in lexicon.matches(text) for t in range(s, e)}
    marks = lexicon.features(text)
    by_group = marks.reshape(len(text), len(lexicon.groups), 4).any(axis=2)
    assert {(int(t), int(k)) for t, k in zip(*by_group.nonzero(), strict=True)} == covered

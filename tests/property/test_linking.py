"""Linking of any text: never an error, parts lie in the text, the same answer every time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.labels import LINKED_TYPES
from tcmstruct.linking import RULES, Linker, shipped_codes
from tcmstruct.linking.fold import canonical, forms

LINKER = Linker()
NAMES = [name for code in shipped_codes() for name in (code.name, *code.aliases)]
KINDS = st.sampled_from(("syndrome", "disease_tcm", "disease_western"))
SIGNS = st.sampled_from(list("；、，(（)）-伴兼 1.①癌证病型左"))
PIECES = st.lists(st.one_of(st.sampled_from(NAMES), SIGNS, st.text(max_size=4)), max_size=8)
TEXTS = st.one_of(st.text(max_size=40), PIECES.map("".join))


@settings(deadline=None, max_examples=150)
@given(TEXTS, st.sampled_from(sorted(LINKED_TYPES)))
def test_parts_lie_in_the_text_in_order(text, kind):
    parts = LINKER.parts(text, kind)
    last = 0
    for part in parts:
        assert last <= part.start < part.end <= len(text)
        assert text[part.start : part.end] == part.text == part.text.strip()
        last = part.end
        if part.link:
            assert part.link.rule in RULES
            assert 0 < part.link.score <= 1
    assert parts == LINKER.parts(text, kind)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
def test_joined_names_are_found_one_by_one(names):
    for kind in ("中医诊断", "西医诊断"):
        simple = [name for name in names if not set(name) & set("、，,;()（）/-") and LINKER.link(name, kind)]
        whole = LINKER.parts("；".join(simple), kind)
        assert [(part.text, part.link) for part in whole] == [(name, LINKER.link(name, kind)) for name in simple]


@settings(deadline=None, max_examples=150)
@given(TEXTS, KINDS)
def test_forms_begin_with_the_canonical_and_never_repeat(text, kind):
    found = [form for form, _ in forms(text, kind)]
    assert found[0] == canonical(text, kind)
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("surface", ["左" * 200, "左右双两侧" * 30, "（" * 200, "1、" * 100])
def test_long_repetitions_end(surface):
    for kind in LINKED_TYPES:
        assert all(part.link is None for part in LINKER.parts(surface, kind))

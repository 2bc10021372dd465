import numpy as np
import pytest

from tcmstruct.errors import InputRefused, ModelError
from tcmstruct.text.lexicon import GROUP_OF_KIND, GROUPS, PLACES, Lexicon
from vocab.reader import KINDS, Term, load_terms


def column(lexicon: Lexicon, group: str, place: str) -> int:
    return len(PLACES) * lexicon.groups.index(group) + PLACES.index(place)


@pytest.fixture
def lexicon() -> Lexicon:
    return Lexicon.from_terms([
        Term("pulse", "沉细"), Term("pulse", "脉沉细"), Term("pulse", "细"), Term("symptom", "腹痛"),
        Term("symptom", "少腹疼痛"), Term("symptom", "腹疼"), Term("body_part", "少腹"),
        Term("disease_tcm", "癃闭", ("癃", "小便不通")),
        Term("symptom", "癃闭"),
    ])


def test_every_kind_of_the_vocabulary_has_a_group():
    assert set(GROUP_OF_KIND) == set(KINDS)
    assert len(set(GROUPS)) == len(GROUPS)


def test_marks_begin_middle_and_end(lexicon):
    marks = lexicon.features("诉少腹疼痛")
    assert marks.shape == (5, lexicon.n_features)
    assert marks.dtype == np.uint8
    hot = {(int(t), int(f)) for t, f in zip(*np.nonzero(marks), strict=True)}
    places = [(1, "症状体征", "B"), (2, "症状体征", "M"), (3, "症状体征", "M"), (4, "症状体征", "E"),
              (1, "身体部位", "B"), (2, "身体部位", "E")]
    assert hot == {(t, column(lexicon, group, place)) for t, group, place in places}


def test_a_term_in_a_longer_one_is_dropped_within_its_group_only(lexicon):
    assert lexicon.matches("脉沉细") == [(0, 3, lexicon.groups.index("脉象"))]
    assert {lexicon.groups[k] for _, _, k in lexicon.matches("癃闭")} == {"症状体征", "中医病名"}


def test_overlapping_terms_of_one_group_both_stand(lexicon):
    two = Lexicon.from_terms([Term("herb", "甲乙"), Term("herb", "乙丙")])
    assert [(s, e) for s, e, _ in two.matches("甲乙丙")] == [(0, 2), (1, 3)]


def test_aliases_match_and_single_characters_only_on_request(lexicon):
    assert "小便不通" in lexicon
    assert "癃" not in lexicon
    single = Lexicon.from_terms([Term("pulse", "弦")], min_characters=1)
    assert single.features("脉弦")[1, column(single, "脉象", "S")] == 1


def test_matching_sees_the_folded_text_and_offsets_hold(lexicon):
    text = "\u3000Ａ脈\u200b：脈沈細"
    assert [(s, e) for s, e, _ in lexicon.matches(text)] == [(5, 8)]
    assert text[5:8] == "脈沈細"


@pytest.mark.parametrize("text", ["", "\ud800", "𠮷𠮷沉细"])
def test_odd_texts(lexicon, text):
    assert lexicon.features(text).shape == (len(text), lexicon.n_features)
    assert [text[s:e] for s, e, _ in lexicon.matches(text)] == (["沉细"] if "沉细" in text else [])


def test_no_terms_no_marks():
    assert not Lexicon.from_terms([]).features("脉沉细").any()


def test_unknown_kind_is_refused_with_the_allowed_ones():
    with pytest.raises(InputRefused, match="allowed: symptom"):
        Lexicon.from_terms([Term("colour", "朱红")])


def test_saved_and_loaded_it_is_the_same(lexicon, tmp_path):
    path = tmp_path / "lexicon.tsv"
    lexicon.save(path)
    again = Lexicon.load(path)
    assert again.fingerprint == lexicon.fingerprint
    assert again.groups == lexicon.groups
    assert (again.features("脉沉细，少腹疼痛") == lexicon.features("脉沉细，少腹疼痛")).all()
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_fingerprint_follows_terms_and_groups_not_their_order():
    terms = [Term("pulse", "沉细"), Term("herb", "三七")]
    assert Lexicon.from_terms(terms).fingerprint == Lexicon.from_terms(terms[::-1]).fingerprint
    assert Lexicon.from_terms(terms).fingerprint != Lexicon.from_terms(terms[:1]).fingerprint
    assert Lexicon.from_terms(terms).fingerprint != Lexicon.from_terms(terms, {"pulse": "脉", "herb": "药"}).fingerprint


@pytest.mark.parametrize(("change", "code"), [
    (lambda raw: raw.replace("少腹疼痛", "少腹冷痛"), "lexicon_altered"),
    (lambda raw: raw.replace("tcmstruct-lexicon 1", "tcmstruct-lexicon 9"), "lexicon_invalid"),
    (lambda raw: raw + "孤行\n", "lexicon_invalid"),
    (lambda raw: "", "lexicon_invalid"),
])
def test_a_changed_file_is_refused(lexicon, tmp_path, change, code):
    path = tmp_path / "lexicon.tsv"
    lexicon.save(path)
    path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(ModelError) as refused:
        Lexicon.load(path)
    assert refused.value.code == code


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"lexicon\.tsv: no such file"):
        Lexicon.load(tmp_path / "lexicon.tsv")


def test_the_shipped_vocabulary_finds_rare_terms():
    lexicon = Lexicon.from_terms(load_terms())
    text = "颈部瘰疬，小便癃闭，舌质淡红边有齿痕，苔薄黄微腻，脉沉细无力，左尺弱，证属湿热下注，针足三里"
    found = {(text[s:e], lexicon.groups[k]) for s, e, k in lexicon.matches(text)}
    assert {
        ("瘰疬", "中医病名"), ("癃闭", "中医病名"), ("舌质淡红边有齿痕", "舌质"), ("苔薄黄微腻", "舌苔"),
        ("脉沉细无力", "脉象"),
        ("左尺弱", "脉象"), ("湿热下注", "证候"), ("足三里", "穴位疗法"),
    } <= found

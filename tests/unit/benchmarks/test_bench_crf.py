import pytest

pytest.importorskip("sklearn_crfsuite", reason="needs the extra [bench]")

from benchmarks.baselines import crf
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.text.lexicon import Lexicon
from vocab.reader import Term

SYMPTOMS = ("咳嗽", "头痛", "胸闷", "恶心", "腹胀", "乏力")


@pytest.fixture(autouse=True)
def small_lexicon(monkeypatch):
    """A vocabulary of three terms: the real one takes seconds to build."""
    terms = [Term("symptom", "咳嗽"), Term("symptom", "头痛"), Term("herb", "黄芪")]
    monkeypatch.setattr(crf, "load_terms", lambda kinds: [t for t in terms if t.kind in kinds])


def records():
    out = []
    for i, word in enumerate(SYMPTOMS):
        text = f"患者{word}，无{SYMPTOMS[i - 1]}，舌红"
        out.append(StructuredRecord(str(i), text, [Mention("症状", 2, 4, "有"), Mention("症状", 6, 8, "无"), Mention("舌质", 9, 11)]))
    return out


def triples(found):
    return [(m.type, m.start, m.end, m.status) for m in found.entities]


def test_learns_types_and_statuses_of_a_tiny_set(tmp_path):
    predict = crf.make_fit(None, tmp_path)(records())
    assert [triples(f) for f in predict([r.text for r in records()])] == [triples(r) for r in records()]
    (found,) = predict(["患者头痛，无咳嗽，舌红"])  # seen words in a new order
    assert triples(found) == [("症状", 2, 4, "有"), ("症状", 6, 8, "无"), ("舌质", 9, 11, None)]
    assert all(0 < m.confidence <= 1 for m in found.entities)


def test_a_trained_model_is_used_again_for_the_same_records_only(tmp_path, monkeypatch):
    expected = [f.entities for f in crf.make_fit(None, tmp_path)(records())(["患者胸闷，无头痛，舌红"])]
    monkeypatch.setattr(crf.CRF, "fit", lambda *_: pytest.fail("trained again"))
    assert [f.entities for f in crf.make_fit(None, tmp_path)(records())(["患者胸闷，无头痛，舌红"])] == expected
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        crf.make_fit(None, tmp_path)(records()[:3])
    assert not list(tmp_path.rglob("*.draft"))


def test_features_stand_a_character_each_and_hold_window_terms_and_status():
    lexicon = Lexicon.from_terms([Term("symptom", "头痛")], {"symptom": "症状"})
    rows = crf.features("无头痛a1", lexicon)
    assert len(rows) == 5
    assert {"c0头", "c-1无", "c1痛", "p0头痛", "l症状B", "g无", "kh"} <= set(rows[1])
    assert "l+症状B" in rows[0] and "l-症状E" in rows[3]
    assert "ka" in rows[3] and "kd" in rows[4]
    assert crf.features("", lexicon) == []

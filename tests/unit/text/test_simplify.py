from hypothesis import given
from hypothesis import strategies as st

from tcmstruct.text.simplify import Simplifier


def test_only_what_the_words_do_not_hold_is_changed():
    simplified = Simplifier(frozenset("发热乾头发"))
    assert simplified("發熱，大便乾，麪") == "发热，大便乾，麪", "乾 stands in the words, 面 does not"
    text = "头发"
    assert simplified(text) is text
    assert Simplifier(frozenset())("發熱") == "發熱"


@given(st.text())
def test_places_stay(text):
    assert len(Simplifier(frozenset("发热头脉"))(text)) == len(text)

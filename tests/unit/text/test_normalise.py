import pytest

from tcmstruct.text.normalise import BROKEN, CONTROL, PLACEHOLDERS, PRIVATE, ZERO_WIDTH, normalise


@pytest.mark.parametrize(("raw", "folded"), [
    ("ＡＢＣ１２３％", "abc123%"),
    ("咳嗽，咯痰；（偶）：", "咳嗽,咯痰;(偶):"),
    ("CT示：L4/5", "ct示:l4/5"),
    ("於是脈沈細，舌質紅", "于是脉沉细,舌质红"),
    ("腰膝痠軟，欬嗽，五臟", "腰膝酸软,咳嗽,五脏"),
    ("黏液膿血便", "粘液脓血便"),
    ("粘液", "粘液"),
    ("癥瘕", "癥瘕"),
    ("a\tb\nc\u3000d\u00a0e\r", "a b c d e "),
    ("体温37.8℃，Ⅱ型，①", "体温37.8℃,Ⅱ型,①"),
    ("“三七”－～", '"三七"-~'),
    ("\u2f00\uf9b4", "一领"),
])
def test_folds_forms_of_one_character(raw, folded):
    assert normalise(raw) == folded


@pytest.mark.parametrize(("raw", "placeholder"), [
    ("\x00", CONTROL), ("\x07", CONTROL), ("\u200b", ZERO_WIDTH), ("\ufeff", ZERO_WIDTH), ("\ufe0f", ZERO_WIDTH),
    ("\ue000", PRIVATE), ("\U000f0000", PRIVATE), ("\ud800", BROKEN), ("\udfff", BROKEN), ("\ufffd", BROKEN),
])
def test_unreadable_characters_become_placeholders(raw, placeholder):
    assert normalise(f"痰{raw}黄") == f"痰{placeholder}黄"


def test_placeholders_are_their_own_folding():
    assert normalise("".join(PLACEHOLDERS)) == "".join(PLACEHOLDERS)


def test_characters_that_would_become_two_stay():
    assert normalise("ßİ㎡½ﬁ") == "ßİ㎡½ﬁ"


def test_every_code_point_keeps_its_place_and_folding_twice_changes_nothing():
    everything = "".join(map(chr, range(0x110000)))
    folded = normalise(everything)
    assert len(folded) == len(everything)
    assert normalise(folded) == folded
    folded.encode()  # no lone surrogate is left

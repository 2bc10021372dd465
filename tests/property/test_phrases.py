"""Whatever the phrase: true places, every character in one word, the same answer again; composed phrases are read back."""

from hypothesis import given, settings
from hypothesis import strategies as st

from vocab.phrase_grammar import parse, shipped

KINDS = shipped().kinds
PIECES = ["舌", "苔", "脉", "大便", "痰", "小便", "边", "尖", "左", "尺", "无", "不", "微", "略", "而", "、", "，", "有", "的", "红",
          "淡", "薄", "腻", "弦", "细", "数", "齿痕", "尤甚", "之象", "渐", "重按", "某", "x", " ", "８", "😀", "\n", "胎"]
phrases = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(PIECES), max_size=25).map("".join))

COLOURS = {"淡": "淡白", "淡红": "淡红", "红": "红", "暗红": "暗红", "紫": "紫暗", "淡紫": "淡紫", "绛": "绛"}
TEXTURES = {"腻": "腻", "滑": "滑", "润": "润", "燥": "燥", "腐": "腐"}
COATS = {"白": "白", "黄": "黄", "灰": "灰", "黑": "黑"}
PULSES = ["弦", "滑", "细", "沉", "浮", "数", "缓", "涩", "濡", "弱"]


@given(phrases, st.sampled_from([None, *KINDS]))
@settings(deadline=None, max_examples=80)
def test_places_are_true_and_nothing_is_dropped(phrase, kind):
    read = parse(phrase, kind)
    assert read == parse(phrase, kind)
    assert read.complete <= (not read.uncovered and bool(read.parts))
    covered = [place for start, end, _ in read.words for place in range(start, end)]
    assert covered == sorted(set(covered))
    folded, places = shipped().fold(phrase)
    assert len(folded) == len(places) and set(places) <= set(covered)
    gaps = {place for start, end, role in read.words if role == "gap" for place in range(start, end)}
    assert gaps == {place for start, end in read.uncovered for place in range(start, end)}
    for part in read.parts:
        assert 0 <= part.start < part.end <= len(phrase)
        assert part.kind in (*KINDS, "common") and part.value
    for values in shipped().fields(read).values():
        assert len(set(values)) == len(values)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(COLOURS)), st.sampled_from(["", "略", "微"]), st.sampled_from(sorted(TEXTURES)),
       st.sampled_from(sorted(COATS)), st.sampled_from(["舌", "舌质", "舌体"]), st.sampled_from(["，", "、", ""]),
       st.sampled_from(["边有齿痕", "无齿痕", ""]))
def test_tongue_phrases_are_read_back(colour, degree, texture, coat, site, comma, mark):
    phrase = f"{site}{colour}{comma or '，'}{mark}，苔薄{coat}{degree}{texture}"
    read = parse(phrase)
    assert read.complete, phrase
    found = shipped().fields(read)
    assert found["舌色"] == [COLOURS[colour]]
    assert found["苔色"] == [COATS[coat]]
    assert found["苔质"] == ["薄", TEXTURES[texture]]
    assert found.get("舌形", []) == (["齿痕"] if mark.startswith("边") else [])
    assert [p.degree for p in read.parts if p.value == TEXTURES[texture]] == [degree]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(PULSES), min_size=1, max_size=4, unique=True), st.sampled_from(["脉", "脉象", "左脉", "右手脉象", "六脉"]),
       st.sampled_from(["", "而", "且", "、", " "]))
def test_pulses_in_any_order_are_read_back(pulses, site, link):
    read = parse(site + link.join(pulses))
    assert read.complete
    assert [p.value for p in read.parts] == pulses
    assert {p.side for p in read.parts} == {"左" if "左" in site else "右" if "右" in site else ""}


@given(phrases, st.sampled_from(["某", "甲乙", "☃"]))
@settings(deadline=None, max_examples=80)
def test_an_unknown_character_is_never_taken_for_a_function_word(phrase, strange):
    for place in (0, len(phrase) // 2, len(phrase)):
        assert not parse(phrase[:place] + strange + phrase[place:]).complete

"""Offsets go both ways, nothing outside of a replaced piece changes, and a second pass finds nothing more."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.privacy import Deidentifier, Key

DEIDENTIFIER = Deidentifier(Key(b"a key of the tests, no secret at all"))
UNDATED = Deidentifier(Key(b"a key of the tests, no secret at all"), dates="keep")
PARTS = ["患者李建国", "姓名：张　三", "，男，56岁，", "13800138000", "电话", "320106198001011234", "2023年5月3日", "舌红苔黄", "。",
    "\n", "，", "医师：王红/赵敏", "某", "医院",
         "南京市鼓楼医院", "住院号：", "A123", "\u200b", "床", "12", "[姓名-AAAAAAAA]", "头痛3天", "5月3日-7日", "主任", " ", "😷",
             "\ud800", "家住杭州市西湖区文三路1号", "120/80mmHg"]
texts = st.lists(st.one_of(st.sampled_from(PARTS), st.text(st.characters(codec=None, exclude_categories=()), max_size=4)),
    max_size=14).map("".join)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_offsets_lead_both_ways_and_what_is_outside_stays(text):
    done = DEIDENTIFIER.deidentify(text)
    at = new_at = 0
    for r in done.replaced:
        assert at <= r.start < r.end and new_at <= r.new_start <= r.new_end
        assert text[at:r.start] == done.text[new_at:r.new_start]
        at, new_at = r.end, r.new_end
    assert text[at:] == done.text[new_at:]
    outside = [p for p in range(len(text) + 1) if not any(r.start < p < r.end for r in done.replaced)]
    for place in outside:
        new = done.to_new(place)
        assert done.to_original(new) == place
        if place < len(text) and not any(r.start <= place < r.end for r in done.replaced):
            assert done.text[new] == text[place]
    moved = [done.to_new(p) for p in range(len(text) + 1)]
    assert moved == sorted(moved) and all(0 <= p <= len(done.text) for p in moved)
    for r in done.replaced:
        for place in range(r.start + 1, r.end):
            assert (done.to_new(place, "start"), done.to_new(place, "end")) == (r.new_start, r.new_end)


@settings(max_examples=100, deadline=None)
@given(texts)
def test_pseudonyms_are_left_alone_by_a_second_pass(text):
    once = UNDATED.deidentify(text).text
    twice = UNDATED.deidentify(once)
    for r in twice.replaced:
        assert "[" not in once[r.start:r.end]


@settings(max_examples=60, deadline=None)
@given(texts)
def test_the_same_text_gives_the_same_text(text):
    assert DEIDENTIFIER.deidentify(text).text == DEIDENTIFIER.deidentify(text).text

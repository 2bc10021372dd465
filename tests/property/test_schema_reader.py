"""Whatever the text and the mentions: no crash, true evidence, allowed values, the same answer again."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tcmstruct.labels import STATUSES
from tcmstruct.record import Mention
from tcmstruct.schema import Schema, load_schema
from tcmstruct.schema.numerals import frequencies

SCHEMA: Schema = load_schema("all")
PIECES = [
    "咳嗽", "无", "舌", "淡红", "苔", "薄白", "脉", "弦", "细",
    "大便", "日行", "2-3次", "，", "。", "、", "刻下：", "既往史：", "体温",
    "38.5℃", "左膝", "疼痛", "便血", "量多", "肛门", "否认", "二诊：", "纳",
    "眠", "可", "不", "曾", "其母", "因", "痰", "白", "神志清晰，精神尚可，形体",
    "浮肿", "VAS", "1", "x", "😀", "每日", "十余次", "腹", "痛",
    "胀", "（", "-", "\n", "　",
]
texts = st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=40).map("".join))


@st.composite
def cases(draw: st.DrawFn) -> tuple[str, list[Mention]]:
    text = draw(texts)
    mentions = []
    for _ in range(draw(st.integers(0, 5)) if text else 0):
        start = draw(st.integers(0, len(text) - 1))
        end = draw(st.integers(start + 1, len(text)))
        mentions.append(Mention("症状体征", start, end, draw(st.sampled_from(STATUSES)), draw(st.floats(0, 1))))
    return text, mentions


@given(cases())
@settings(max_examples=120, deadline=None)
def test_evidence_is_true_and_values_are_allowed(case: tuple[str, list[Mention]]) -> None:
    text, mentions = case
    found = SCHEMA.extract(text, mentions)
    assert found == SCHEMA.extract(text, mentions)
    assert list(found) == [name for name in SCHEMA.fields if name in found]
    for name, value in found.items():
        field = SCHEMA.fields[name]
        assert 0 <= value.start < value.end <= len(text)
        assert text[value.start : value.end] == value.evidence
        assert 0 <= value.confidence <= 1
        stated = value.value if field.several else [value.value]
        assert isinstance(stated, list) and stated and len(set(stated)) == len(stated)
        if field.values:
            assert set(stated) <= set(field.values)


@given(st.integers(1, 9), st.integers(0, 5), st.integers(2, 9), st.sampled_from(["次", "行"]),
       st.sampled_from("-~～至"))
def test_frequencies_are_read_back(low: int, more: int, days: int, unit: str, to: str) -> None:
    assert [str(f) for f in frequencies(f"日行{low}{to}{low + more}{unit}")] == [f"{low}-{low + more}/1"]
    assert [str(f) for f in frequencies(f"{days}日{low}{unit}")] == [f"{low}-{low}/{days}"]

"""Numbers and frequencies as records write them."""

from __future__ import annotations

import pytest

from tcmstruct.schema.numerals import chinese_number, frequencies, numbers


@pytest.mark.parametrize(("text", "value"), [
    ("三十八", 38.0), ("十", 10.0), ("两", 2.0), ("一百二十", 120.0), ("38.5", 38.5), ("３８.5", 38.5), ("数", None),
])
def test_chinese_number(text: str, value: float | None) -> None:
    assert chinese_number(text) == value


@pytest.mark.parametrize(("text", "found"), [
    ("日行1次", "1-1/1"),
    ("每日3~4次", "3-4/1"), ("一日一行", "1-1/1"), ("2日1行", "1-1/2"),
    ("四五日一行", "1-1/5"),
    ("大便日行二三次", "2-3/1"), ("3～4次/日", "3-4/1"), ("1-2日/行", "1-1/2"), ("隔日1次", "1-1/2"),
    ("每周2次", "2-2/7"),
    ("每日腹泻十七八次", "17-18/1"), ("每3天排便1次", "1-1/3"),
    ("4-5天才解一次", "1-1/5"), ("每日排黏腻臭便4-5次", "4-5/1"),
    ("2-3日1行", "1-1/3"),
])
def test_frequency(text: str, found: str) -> None:
    assert [str(often) for often in frequencies(text)] == [found]


@pytest.mark.parametrize("text", [
    "日行数次", "十余次", "数日一行", "日十余次", "3天前发作2次", "2019-04-17日1次", "一日数十次"])
def test_a_count_without_a_figure_gives_none(text: str) -> None:
    assert not list(frequencies(text))


def test_places_are_in_the_text() -> None:
    text = "大便调，日行1-2次，夜间"
    (often,) = frequencies(text)
    assert text[often.start : often.end] == "日行1-2次"


def test_numbers_give_places() -> None:
    text = "体温在39～39.5℃"
    assert [(value, text[a:b]) for value, a, b in numbers(text, 0, len(text))] == [(39.0, "39"), (39.5, "39.5")]

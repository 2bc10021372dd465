"""Every format gives back what was written: astral characters, CR LF, white space, nested and overlapping spans, statuses, scores."""

import importlib.util
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tcmstruct.annotation import FORMATS, Annotated, Span, check
from tcmstruct.annotation.conll import outermost
from tcmstruct.labels import STATUSES

needs_spacy = pytest.mark.skipif(importlib.util.find_spec("spacy") is None, reason="spaCy is not installed: pip install 'tcmstruct[spacy]'")
WRITTEN = [pytest.param(name, marks=needs_spacy if name == "docbin" else ()) for name, format in FORMATS.items() if format.write]
KEEPS_SCORES = ("gold", "label-studio", "docbin")
MANY = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

PIECES = ["舌红", "苔黄腻", "😷", "𠮷", "\r\n", "\n", "\r", "\t", " ", "\u3000", "\\", "\\n", "#", "# id = ", "发热", "，", "\ufeff",
          "\u200b", "O", "a", "\x85", "\u2028", "\x00", ";", "|"]
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(st.characters(codec="utf-8"), max_size=3)), max_size=12).map("".join)
labels = st.sampled_from(["症状", "舌质", "B-x", "a#b", "SYM"])
statuses = st.sampled_from([None, *STATUSES])


@st.composite
def records(draw, nested=True):
    text = draw(texts)
    spans, proposed = [], []
    for into in (spans, proposed):
        for _ in range(draw(st.integers(0, 5)) if text else 0):
            start = draw(st.integers(0, len(text) - 1))
            end = draw(st.integers(start + 1, len(text)))
            score = draw(st.sampled_from([0.0, 0.25, 1.0])) if into is proposed else None
            into.append(Span(start, end, draw(labels), draw(statuses), score))
    if not nested:
        spans = outermost(spans)
    return Annotated(draw(st.sampled_from(["1", "ZY-001", "住院/1", "a b", "..", "%41", "😷", "x:1"])), text, spans, proposed)


@pytest.fixture(autouse=True, scope="module")
def without_waiting_for_the_disk():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda _: None)
        yield


def there_and_back(name, *written):
    left = Counter()
    with TemporaryDirectory() as folder:
        path = Path(folder) / ("out.spacy" if name == "docbin" else "out")
        FORMATS[name].write(path, written, left)
        return list(FORMATS[name].read(path)), left


def content(record, scores=True):
    spans = sorted(record.spans, key=lambda s: (s.start, s.end, s.label, s.status or ""))
    return record.id, record.text, spans, list(record.predictions) if scores else []


@pytest.mark.parametrize("name", WRITTEN)
@given(record=records())
@example(record=Annotated("1", "😷\r\n咳嗽\r\n", [Span(0, 5, "症状", "有"), Span(3, 5, "症状", "无"), Span(4, 6, "舌质")]))
@example(record=Annotated("1", "", []))
@MANY
def test_what_was_written_is_read(name, record):
    (back,), left = there_and_back(name, record)
    scores = name in KEEPS_SCORES
    if name == "conll":
        expected = Annotated(record.id, record.text, outermost(record.spans))
        assert left["nested_or_overlapping"] == len(record.spans) - len(expected.spans)
    else:
        expected = record
        assert left["nested_or_overlapping"] == 0
    assert content(back, scores) == content(expected, scores)
    assert left["predictions"] == (0 if scores else len(record.predictions))


@pytest.mark.parametrize("name", WRITTEN)
@given(record=records())
@MANY
def test_what_was_written_is_found_sound(name, record):
    (back,), _ = there_and_back(name, record)
    off = {finding.code for finding in check(back).findings}
    assert off <= {"white_space", "empty", "twice"}, "these the record itself has"


@given(record=records(nested=False))
@MANY
def test_conll_holds_spans_that_do_not_overlap(record):
    (back,), left = there_and_back("conll", record)
    assert content(back, False) == content(record, False) and left["nested_or_overlapping"] == 0


@pytest.mark.parametrize("name", WRITTEN)
def test_several_records_keep_their_order_and_ids(name):
    some = [Annotated(f"id{number}", f"第{number}份，发热", [Span(4, 6, "症状", "有")]) for number in range(9)]
    back, _ = there_and_back(name, *some)
    assert [content(one) for one in back] == [content(one) for one in some]


def utf16(text, at):
    return len(text[:at].encode("utf-16-le")) // 2


WAYS = {
    "utf16": (utf16, lambda text: any(c > "\uffff" for c in text)),
    "crlf_as_one": (lambda text, at: len(text[:at].replace("\r\n", "\n")), lambda text: "\r\n" in text),
    "lf_as_two": (lambda text, at: at + text[:at].count("\n"), lambda text: "\n" in text and "\r" not in text),
    "bom_not_counted": (lambda text, at: at - 1, lambda text: text.startswith("\ufeff")),
    "bom_counted": (lambda text, at: at + 1, lambda text: True),
}


@pytest.mark.parametrize("way", WAYS)
@given(words=st.lists(st.sampled_from(["发热", "舌红", "苔黄腻", "脉弦滑", "😷", "，", "\r\n", "\n", "头痛"]), min_size=3, max_size=12))
@MANY
def test_a_way_of_counting_is_undone(way, words):
    count, applies = WAYS[way]
    text = ("\ufeff" if way == "bom_not_counted" else "") + "".join(words)
    starts = [sum(map(len, words[:n])) + (way == "bom_not_counted") for n in range(len(words))]
    true = [Span(at, at + len(word), "症状", surface=word) for at, word in zip(starts, words, strict=True)
            if len(word) > 1 and word != "\r\n"]
    if not true or not applies(text):
        return
    told = [Span(count(text, s.start), count(text, s.end), s.label, surface=s.surface) for s in true]
    done = check(Annotated("1", text, told))
    assert [(s.start, s.end) for s in done.mended.spans] == [(s.start, s.end) for s in true], "whatever the way is called"
    assert bool(done.findings) == (told != true)


@given(record=records())
@MANY
def test_the_mended_record_is_sound(record):
    shifted = Annotated("1", record.text, [Span(s.start + 1, s.end + 2, s.label, surface=record.text[s.start:s.end]) for s in record.spans])
    mended = check(shifted).mended
    told = [Span(s.start, s.end, s.label, s.status, surface=mended.text[s.start:s.end]) for s in mended.spans]
    assert check(Annotated("1", mended.text, told)).findings == []

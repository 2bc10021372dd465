"""What `check` says of offsets that are off, and that it says it without the text."""

import pytest

from tcmstruct.annotation import CODES, Annotated, Span, Summary, check, check_all
from tcmstruct.recipes.annotation import as_text

TEXT = "患者😷头痛3天。\r\n舌红，苔黄腻，\r\n脉滑。"
WORDS = ("头痛", "舌红", "苔黄腻", "脉滑")


def spans(count=lambda text, at: at, surface=True, extra=0):
    found = []
    for word in WORDS:
        at = TEXT.index(word)
        found.append(Span(count(TEXT, at), count(TEXT, at + len(word)) + extra, "症状", surface=word if surface else None))
    return found


def codes(record):
    return {finding.code for finding in check(record).findings}


@pytest.mark.parametrize(("code", "told"), [
    ("utf16", spans(lambda text, at: len(text[:at].encode("utf-16-le")) // 2)),
    ("crlf_as_one", spans(lambda text, at: len(text[:at].replace("\r\n", "\n")))),
    ("no_white_space", spans(lambda text, at: len("".join(text[:at].split())))),
    ("inclusive_end", spans(extra=-1)),
    ("one_too_far", spans(extra=1)),
    ("shifted", spans(lambda text, at: at + 3)),
])
def test_a_way_of_counting_is_named_and_undone(code, told):
    done = check(Annotated("7", TEXT, told))
    assert {finding.code for finding in done.findings} == {code}
    assert [(s.start, s.end) for s in done.mended.spans] == [(s.start, s.end) for s in spans()]


@pytest.mark.parametrize(("code", "text", "told"), [
    ("bom_not_counted", "\ufeff头痛，发热", [Span(0, 2, "a", surface="头痛"), Span(3, 5, "a", surface="发热")]),
    ("bom_counted", "头痛，发热", [Span(1, 3, "a", surface="头痛"), Span(4, 6, "a", surface="发热")]),
    ("lf_as_two", "无\n头痛\n发热", [Span(3, 5, "a", surface="头痛"), Span(7, 9, "a", surface="发热")]),
    ("stripped_text", "  头痛，发热", [Span(0, 2, "a", surface="头痛"), Span(3, 5, "a", surface="发热")]),
    ("nfkc_text", "…头痛㎏发热", [Span(3, 5, "a", surface="头痛"), Span(7, 9, "a", surface="发热")]),
    ("words_altered", "体温３８℃", [Span(2, 5, "a", surface="38°C")]),
    ("moved", "甲乙丙丁头痛", [Span(0, 2, "a", surface="头痛")]),
    ("unexplained", "甲乙丙丁头痛", [Span(0, 2, "a", surface="发热")]),
    ("out_of_range", "头痛", [Span(5, 7, "a")]),
    ("utf16", "😷头痛", [Span(2, 4, "a")]),
    ("empty", "头痛", [Span(1, 1, "a")]),
    ("white_space", "头痛 ，", [Span(0, 3, "a")]),
    ("twice", "头痛", [Span(0, 2, "a"), Span(0, 2, "a")]),
])
def test_each_fault_has_its_code(code, text, told):
    assert codes(Annotated("7", text, told)) == {code}


@pytest.mark.parametrize("told", [spans(), spans(surface=False), [Span(0, 2, "a"), Span(0, 2, "b"), Span(0, 4, "a")]])
def test_what_is_right_is_left_alone(told):
    done = check(Annotated("7", TEXT, told, [Span(0, 2, "症状", "有", 0.5)]))
    assert done.findings == [] and done.mended == Annotated("7", TEXT, told, [Span(0, 2, "症状", "有", 0.5)])


def test_spans_whose_place_cannot_be_found_are_left_out_and_white_space_is_cut():
    done = check(Annotated("7", "头痛 ，甲", [Span(0, 3, "a"), Span(4, 5, "a", surface="发热"), Span(2, 3, "a")]))
    assert done.mended.spans == [Span(0, 2, "a")]
    assert [finding.code for finding in done.findings] == ["white_space", "unexplained", "empty"]


def test_one_span_that_is_wrong_does_not_hide_the_others():
    told = [*spans(), Span(0, 2, "a", surface="腹胀")]
    done = check(Annotated("7", TEXT, told))
    assert [finding.code for finding in done.findings] == ["unexplained"] and len(done.mended.spans) == len(WORDS)


def test_the_summary_names_ids_and_places_and_no_text():
    summary = Summary()
    mended = list(check_all([Annotated(f"id{n}", TEXT, spans(extra=-1)) for n in range(20)], summary, n_places=3))
    told = as_text(summary)
    assert len(mended) == 20 and summary.counts == {"inclusive_end": 80} and len(summary.places["inclusive_end"]) == 3
    assert "id0 [3, 4)" in told and CODES["inclusive_end"] in told and not any(word in told for word in WORDS)


def test_a_format_without_words_says_what_it_cannot_see():
    summary = Summary()
    list(check_all([Annotated("1", TEXT, spans(surface=False))], summary))
    assert "cannot be seen" in as_text(summary) and "nothing is off" in as_text(summary)

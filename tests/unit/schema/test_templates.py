"""The template language expands to literals, and says what it refuses."""

from __future__ import annotations

import pytest

from tcmstruct.schema.templates import MAX_LITERALS, TemplateError, expand

WORDS = {"site": ["肛门", "肛缘"], "pain": ["疼痛", "痛"]}


@pytest.mark.parametrize(("template", "literals"), [
    ("咳嗽", ["咳嗽"]),
    ("(肛门|肛缘)痛", ["肛门痛", "肛缘痛"]),
    ("(小)?腹痛", ["小腹痛", "腹痛"]),
    ("<site><pain>", ["肛门疼痛", "肛门痛", "肛缘疼痛", "肛缘痛"]),
    ("舌(质)?(淡(红|紫)|暗)", ["舌质淡红", "舌质淡紫", "舌质暗", "舌淡红", "舌淡紫", "舌暗"]),
    ("夜寐安|眠可", ["夜寐安", "眠可"]),
])
def test_expands_in_order(template: str, literals: list[str]) -> None:
    assert expand(template, WORDS) == literals


@pytest.mark.parametrize(("template", "complaint"), [
    ("(肛门痛", "never closed"),
    ("肛门)痛", "unbalanced"),
    ("<部位>痛", "unknown word list <部位>"),
    ("腹?痛", "write (…)?"),
    ("(腹)?", "nothing at all"),
    ("(一|二|三|四|五|六|七|八|九|十)" * 5, f"more than {MAX_LITERALS}"),
])
def test_refuses_and_says_why(template: str, complaint: str) -> None:
    with pytest.raises(TemplateError) as caught:
        expand(template, WORDS)
    assert complaint in str(caught.value)

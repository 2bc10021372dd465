"""A text as clauses, and which of them name a diagnosis: what a suggestion may rest on, and what it may not."""

from __future__ import annotations

import re

_ENDS = re.compile(r"[，。；！？,;!?\n\r\u2028\u2029]+")
_DIAGNOSIS = re.compile(
    r"诊断|诊为|确诊|初诊为|拟诊|拟[“\"'‘「].{1,30}[”\"'’」]|以[“\"'‘「].{1,30}[”\"'’」]|辨证|辨病|辨为|证属|证候[:：]|中医病名|病属|此属|此为|"
    r"证型|病机|治以|治宜|治法|治则|方用|方选|处方|予以?.{0,12}[汤丸散饮煎]加?减?$|[汤丸散饮]加减|收[入住治].{0,6}(?:科|院|区)")
"""Words after or around which a diagnosis, its reading or its remedy is told. A written formula gives the syndrome away too."""
_QUOTED = re.compile(r"[“\"‘「][^”\"’」]{1,40}[”\"’」]")


def clauses(text: str) -> list[tuple[int, int]]:
    """The clauses of a text as `[start, end)`, without the signs between them; blank ones are left out.

    Marks of a list (、) do not end a clause: what they join is said in one breath.
    """
    found, start = [], 0
    for end in [*_ENDS.finditer(text), None]:
        stop = len(text) if end is None else end.start()
        if text[start:stop].strip():
            found.append((start, stop))
        start = len(text) if end is None else end.end()
    return found


def names_a_diagnosis(clause: str) -> bool:
    """Whether a clause tells a diagnosis, its pathogenesis or its treatment, or quotes something as such.

    Strict: a finding told in the same clause is lost with it. What a suggestion repeats would be worth nothing.
    """
    return bool(_DIAGNOSIS.search(clause) or _QUOTED.search(clause))


def findings_only(text: str) -> list[tuple[int, int]]:
    """The clauses that name no diagnosis."""
    return [(start, end) for start, end in clauses(text) if not names_a_diagnosis(text[start:end])]

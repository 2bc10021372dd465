"""A page of prose cut into titled sections (主诉, 现病史 …) and labelled facts (姓名：… 性别：…).

Only names that the alias table knows cut a page, and only at the beginning of a line: 查体： inside a sentence of the
present illness belongs to that sentence. No character is lost: what is no fact stands in a section.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tcmstruct.emr.columns import is_conclusion, known_role

_TITLE = re.compile(
    r"[ \t\u3000]*(?:[一二三四五六七八九十]{1,3}[、.．]|[(（]?\d{1,2}[)）、.．](?!\d))?[ \t\u3000]*"
    r"(?:【[ \t\u3000]*(?P<boxed>[^】\n]{2,20}?)[ \t\u3000]*】[ \t\u3000]*[：:]?|(?P<plain>[^：:\n【】，。；,;]{2,20}?)[ \t\u3000]*[：:])"
    r"[ \t\u3000]*")
_PAIR = re.compile(r"(?<!\S)(?P<name>[^\s：:，。；,;][ \t\u3000]{1,4}[^\s：:，。；,;]|[^\s：:，。；,;]{1,12})[ \t\u3000]*[：:][ \t\u3000]*")


def cut_sections(text: str) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """A page as (facts, sections).

    Args:
        text: lines of prose.

    Returns:
        facts: label → value, of lines that hold labelled facts only, and of sections that are known to be no record
            text (诊断, 鉴别诊断, 治法); a repeated one is joined with a line feed.
        sections: (title as it stands, text); what precedes the first title has the title "".
    """
    facts: dict[str, str] = {}
    sections: list[tuple[str, list[str]]] = [("", [])]
    for line in text.splitlines():
        pairs = label_pairs(line)
        if pairs:
            for name, value in pairs:
                add_fact(facts, name, value)
            continue
        found = _TITLE.match(line)
        title = (found["boxed"] or found["plain"]).strip() if found else ""
        if found and (known_role(title) == "text" or is_conclusion(title)):
            sections.append((title, [line[found.end():]]))
        elif found and found["boxed"] and known_role(title) and line[found.end():].strip():
            add_fact(facts, _label(title), line[found.end():])
        else:
            sections[-1][1].append(line)
    kept = []
    for title, lines in sections:
        body = "\n".join(lines).strip()
        if not body:
            continue
        if title and is_conclusion(title):
            add_fact(facts, title, body)
        else:
            kept.append((title, body))
    return facts, kept


def label_pairs(line: str) -> Sequence[tuple[str, str]]:
    """`姓名：某某  性别：女  住院号：0012` → its pairs; empty where the line is anything else.

    Every label must be a known fact (not a section's title, nor a conclusion that stands alone and may go on below), so
    a line of prose with a colon is none.
    """
    colon = _COLON.search(line, 0, _LONGEST_LABEL) if len(line) <= _LONGEST_LABELS else None
    if colon is None or known_role(_label(line[: colon.start()])) not in _FACTS:
        return ()
    found = [m for m in _PAIR.finditer(line) if known_role(_label(m["name"])) in _FACTS]
    alone = len(found) == 1
    if not found or line[: found[0].start()].strip() or (alone and (len(line) > _LONGEST_PAIR or is_conclusion(_label(found[0]["name"])))):
        return ()
    ends = [m.start() for m in found[1:]] + [len(line)]
    pairs = [(_label(m["name"]), line[m.end(): end].strip()) for m, end in zip(found, ends, strict=True)]
    return () if any(len(value) > _LONGEST_PAIR for _, value in pairs) else pairs


_COLON = re.compile("[：:]")
_FACTS = ("extra", "id", "dept")
_LONGEST_PAIR = 60
_LONGEST_LABEL = 40
_LONGEST_LABELS = 500


def _label(name: str) -> str:
    """姓　名 → 姓名."""
    return "".join(name.split())


def add_fact(facts: dict[str, str], name: str, value: str) -> None:
    """Keeps a fact; one that is named again with another value stands beside it."""
    value = value.strip()
    if not value:
        return
    old = facts.get(name)
    if old is None:
        facts[name] = value
    elif value not in old.split("\n"):
        facts[name] = f"{old}\n{value}"

"""What a name of a person looks like: a surname and one or two characters, or the elements of names of other peoples.

Nothing here looks for a cue; `names` and `frames` know what stands around a name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tcmstruct.privacy.tables import COMMON, HAN, STRONG, WEAK, Guard, any_of, characters, read

_NAMES = read("names")
COMPOUND = frozenset(_NAMES["surnames"]["compound"])
NEVER = characters(_NAMES["given"]["never"])
SELDOM = characters(_NAMES["given"]["seldom"])
_PARTICLES = characters(_NAMES["surnames"]["particles"])
FOLLOWERS = frozenset(_NAMES["context"]["followers"])
_VERBS = FOLLOWERS - COMMON
_LONGEST_FOLLOWER = max(map(len, FOLLOWERS))

HAN_RUN = re.compile(f"[{HAN}]+(?:·[{HAN}]+)*")
MASK = re.compile(rf"(?:某{{1,2}}(?![{_NAMES['masks']['not_after']}])|[×*○△□]{{1,3}}(?! ?[0-9])|x{{2,3}}(?![a-z0-9线光片射]))")

_ELEMENTS_RUN = re.compile(f"[{''.join(sorted({c for name in _NAMES['others']['elements'] for c in name}))}]{{4,}}")
_ELEMENT = f"(?:{any_of(_NAMES['others']['elements'])})"
ELEMENTS = re.compile(f"{_ELEMENT}{{2,4}}")
"""Names of Tibetans and Mongols: each is two elements or more of a closed list, and nothing else is."""
_SINGLE = frozenset(_NAMES["others"]["single"])
OTHER_STARTS = frozenset(name[0] for name in (*_NAMES["others"]["elements"], *_SINGLE))
_SOUND = f"[{''.join(sorted(characters(_NAMES['others']['sounds'])))}]"
DOTTED = re.compile(f"(?!夫){_SOUND}{{2,8}}·{_SOUND}{{2,8}}")
"""Names of Uyghurs, Kazakhs and others: two groups of characters that write sounds, with a dot between."""

_NOT_NEVER = frozenset(_NAMES["given"]["with_never"])

_SYLLABLE = ("(?:zh|ch|sh|[bpmfdtnlgkhjqxrzcsyw])?(?:iang|iong|uang|ang|eng|ing|ong|ian|iao|uai|uan|ai|an|ao|ei|en|er|ia|ie|in|iu|ou|"
             "ua|ue|ui|un|uo|ve|[aeiouv])")
PINYIN = re.compile(rf"(?:{_SYLLABLE}){{1,3}}(?:, ?| |-)(?:{_SYLLABLE}){{1,3}}(?:[ \-](?:{_SYLLABLE}){{1,2}})?(?![a-z0-9])")
"""Two or three words of pinyin syllables (ISO 7098)."""
LATIN = re.compile(r"[a-z]{2,15}(?:(?:, ?|[ ·\-])[a-z]{1,15}(?![a-z0-9]| ?:)(?:\.(?= ))?){1,3}(?![a-z0-9])")
"""Two to four Latin words; a name only beside a clear cue."""


def inline(text: str, at: int, guard: Guard, weak: bool = False) -> int:
    """Length of the name that begins here within a sentence, 0 for none.

    Of the lengths that a name may have, the one wins whose characters speak most for a name and after which there is a mark,
    a word that may follow a name, or a term of medicine.
    """
    m = HAN_RUN.match(text, at, at + 14)
    if m is None:
        return 0
    value = m[0]
    if other := ELEMENTS.match(text, at) or DOTTED.match(text, at):
        return other.end() - at
    if single := next((value[:n] for n in (4, 3) if value[:n] in _SINGLE), ""):
        return len(single)
    if "·" in value and len(value) >= 5 and not guard.begins(text, at):
        left, _, right = value.partition("·")
        if 2 <= len(left) <= 6 and not NEVER & set(left):
            begin = at + len(left) + 1
            return len(left) + 1 + next((n for n in range(2, len(right) + 1) if following(text, begin + n, guard)), len(right))
    mask = MASK.match(text, at + 1)
    if mask and surname_of(value, weak=True):
        return mask.end() - at
    surname = surname_of(value, weak=True)
    if not surname or guard.term_begins(text, at):
        return 0
    is_weak = not weak and surname == 1 and value[0] in WEAK
    is_word = guard.begins(text, at)
    best, best_score = 0, 0
    for size in (2, 1):
        end, given = at + surname + size, set(value[surname : surname + size])
        if len(value) < surname + size or never(value[surname : surname + size]) or guard.runs_over(text, at, end):
            continue
        after, common = following(text, end, guard), sum(c in COMMON for c in value[surname : surname + size])
        if not after and not (size == common == 2 and not is_weak):
            continue
        if SELDOM & given and (after < 3 or common < size - 1 or text[end : end + 1].isdigit()):
            continue  # 于2023年 and 在2床 are no part of a name
        if is_weak and (value[0] in _PARTICLES or common < size - (after > 1 and size == 2) or after < 3 - size):
            continue
        if is_word and (is_weak or size == 1 or common < 2 or after < 2 or value[: surname + size] in guard):
            continue
        verb = size == 2 and (value[surname + 1] in _VERBS or text[end - 1 : end + 1] in FOLLOWERS
                              or text[end - 1 : end + 2] in FOLLOWERS)  # 张燕|交代, 张燕|行手术
        if 2 * (after - verb) + common > best_score:
            best, best_score = surname + size, 2 * (after - verb) + common
    return best


def surname_of(value: str, weak: bool) -> int:
    """Length of the surname at the beginning, 0 for none."""
    if value[:2] in COMPOUND and len(value) > 2:
        return 2
    return 1 if value[:1] in STRONG or (weak and value[:1] in WEAK) else 0


def following(text: str, at: int, guard: Guard) -> int:
    """How well what stands here can stand after a name: 3 a mark or the end, 2 a word, 1 a character that often does, 0 else."""
    if at >= len(text) or not HAN_RUN.match(text, at):
        return 3
    if any(text[at : at + n] in FOLLOWERS for n in range(2, _LONGEST_FOLLOWER + 1)) or guard.term_begins(text, at):
        return 2
    return 2 if text[at] == "诉" else 1 if text[at] in FOLLOWERS else 0


def like_a_name(text: str, start: int, end: int, guard: Guard) -> bool:
    """Whether a whole run of characters has a strong surname and a given name, and is no word."""
    value = text[start:end]
    if other_name(value):
        return True
    surname = surname_of(value, weak=True)
    given = value[surname:]
    if not surname or len(given) not in (1, 2) or never(given) or guard.begins(text, start):
        return False
    if given in _NOT_NEVER:
        return True
    return set(given) <= COMMON and len(given) == 2 if value[0] in WEAK else bool(COMMON & set(given))




def never(given: str) -> bool:
    """Whether characters hold one that no given name has, save for a few names as 亚男."""
    return bool(NEVER & set(given)) and given not in _NOT_NEVER


def other_names(text: str) -> Iterator[re.Match[str]]:
    """Names of another build than a Chinese one, wherever they stand."""
    for run in _ELEMENTS_RUN.finditer(text):
        yield from ELEMENTS.finditer(text, *run.span())
    if "·" in text:
        yield from DOTTED.finditer(text)


def other_name(value: str) -> bool:
    """Whether all of a run of characters is a name of another build than a Chinese one."""
    return value in _SINGLE or bool(ELEMENTS.fullmatch(value) or DOTTED.fullmatch(value))


def sure_place(text: str, start: int, end: int, guard: Guard) -> bool:
    """Whether a run of characters is a name where the place itself speaks for one: in a list of names, beside a label."""
    value = text[start:end]
    if other_name(value):
        return True
    surname = surname_of(value, weak=True)
    return bool(surname and len(value) - surname in (1, 2) and not never(value[surname:]) and value not in guard
                and not guard.term_begins(text, start) and not guard.runs_over(text, start, end))

"""One pass over a text: hits of the automaton → candidates, each with a status, a section and a place.

The reader walks the hits from left to right and keeps little state: what is negated, what is being talked about,
which section it is in. Its cost is the number of hits, whatever the number of fields.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from tcmstruct.record import Mention
from tcmstruct.schema.figures import figures
from tcmstruct.schema.lexicon import COMMA, FREE, LIST, MARK, NO, PUNCTUATION, SENTENCE, YES, Entry, Lexicon
from tcmstruct.schema.numerals import Frequency, frequencies
from tcmstruct.text.signs import sign_of

TOLD, NOW, BOILERPLATE = "history", "current", "examination"
PAST, OTHER, REPORT = "past_section", "other_section", "reports"
SILENT = (PAST, OTHER, REPORT)
"""Sections that do not speak of the present illness."""

GAP_REACH = 6
"""Characters that `…` may stand for."""
NEGATION_REACH = 12
"""Characters between a negation (or the last word that it negated) and the next word that it negates."""
FREQUENCY_REACH = 14
"""Characters, not counting what was understood, between a topic and how often it happens."""
MAX_CHAINS = 8
_JOINS = "、及和与"
_DATE = re.compile(r"\s*[（(]?\d{1,4}[\d年月日号./\- ]{0,12}[）)]?\s*")
"""Before the heading of a later visit: 3月15日二诊：."""
_DOUBT = frozenset("无未不否非没止消除愈退解缓平减")
"""Characters of which one at least stands near a finding that is truly denied."""
_STATUS = {"有": YES, "无": NO, "既往": "past", "不确定": "uncertain"}


@dataclass(slots=True)
class Candidate:
    """A value that some words may state.

    Attributes:
        status: YES, NO, or past · uncertain · other · kin · hypothetical.
        forced: the words themselves say 无.
        figure: the number of a number field.
        mention: the model's mention that supports it.
    """

    field: int
    value: str | float
    status: str
    start: int
    end: int
    section: str
    sentence: int
    clause: int
    rank: int = 0
    forced: bool = False
    mention: Mention | None = None


@dataclass(slots=True)
class _Chain:
    """Topics in force, and how far what is said of them has come."""

    topics: list[int]
    start: int
    end: int
    covered: int
    clause: int
    said: bool = False


class Reader:
    """Reads one text; made anew for each."""

    __slots__ = ("_chains", "_clause", "_clause_found", "_clause_start", "_far", "_heads", "_last", "_lexicon",
                 "_longest", "_mood", "_mood_end", "_near", "_negate_clause", "_negate_cue", "_negate_end", "_negate_start",
                 "_negated", "_section", "_sentence", "_text", "_uncovered", "_waiting", "_witness", "found")

    def __init__(self, lexicon: Lexicon, text: str, mentions: Sequence[Mention]) -> None:
        self._lexicon, self._text = lexicon, text
        self._witness = _Witness(mentions) if mentions else None
        self.found: list[Candidate] = []
        self._longest: dict[int, int] = {}
        self._chains: list[_Chain] = []
        self._heads: dict[int, tuple[int, int]] = {}
        self._clause = self._sentence = self._clause_start = 0
        self._clause_found: list[Candidate] = []
        self._section = TOLD
        self._mood: str | None = None
        self._mood_end = 0
        self._negated = self._far = self._near = False
        self._negate_start = self._negate_end = self._negate_cue = self._negate_clause = 0
        self._uncovered = self._last = 0
        self._waiting: tuple[Frequency, int] | None = None

    def read(self) -> list[Candidate]:
        """All candidates, left to right."""
        text = self._text
        events: list[tuple[int, int, Entry | Frequency]] = [
            (last + 1 - entry.size, -1 - last, entry) for last, entry in self._lexicon.automaton.iter(text)]
        if self._lexicon.frequency:
            events += [(often.end - 1, -often.end, often) for often in frequencies(text)]
        events.sort(key=_place)
        any_end = topic_end = cue_end = head_end = 0
        chains, heads = self._chains, self._heads
        for start, minus_end, entry in events:
            end = -minus_end
            if entry.__class__ is Frequency:
                self._often(entry, end)
                continue
            if entry.waits and not chains and not heads:
                if end > any_end:
                    any_end = end
                continue
            cue = entry.cue
            if cue is not None and end > any_end:
                if cue is MARK:
                    self._mark(PUNCTUATION[text[start]], end)
                elif end > cue_end:
                    cue_end = end
                    if cue == "stop":
                        if start == self._clause_start or _DATE.fullmatch(text, self._clause_start, start):
                            break
                    else:
                        self._cue(cue, start, end)
            cut = False
            if entry.topics:
                if end > topic_end:
                    topic_end = end
                    cut = start >= head_end
                    self._raise(entry, start, end)
            elif entry.blocks_topic and end > topic_end:
                topic_end = end
            if entry.acts:
                self._values(entry, start, end)
            if cut:
                heads.clear()
            if entry.heads:
                head_end = end
                for head in entry.heads:
                    heads[head] = (start, end)
            if end > any_end and cue is not MARK and (entry.acts or cue is not None):
                any_end = end
        return self.found

    # ---------------------------------------------------------------- what turns, dates and places

    def _mark(self, kind: str, end: int) -> None:
        if kind is LIST:
            if self._negated:
                self._negated = not self._near
                self._negate_end = end
            return
        if kind is not COMMA or not self._far:
            self._negated = self._far = False
        told_of_others = kind is COMMA and self._mood in ("other", "kin")
        self._mood = "other" if told_of_others else None
        if kind is SENTENCE:
            self._sentence += 1
            self._chains.clear()
        self._clause += 1
        self._clause_start, self._clause_found = end, []
        self._heads.clear()

    def _cue(self, cue: str, start: int, end: int) -> None:
        if cue in ("negate", "negate_far", "negate_near"):
            if cue == "negate_near" and self._negated:
                return
            self._negated, self._far, self._near = True, cue == "negate_far", cue == "negate_near"
            self._negate_start, self._negate_end, self._negate_cue = start, end, end
            self._negate_clause = self._clause
        elif cue == "affirm":
            self._negated = self._far = False
            if self._mood == "hypothetical":
                self._mood = None
        elif cue == "relieved":
            for candidate in self._clause_found:
                if not candidate.forced:
                    candidate.status = NO
                    candidate.end = max(candidate.end, end)
        elif cue in ("past", "uncertain", "other", "kin", "hypothetical"):
            self._mood, self._mood_end = cue, end
        elif cue == "patient":
            if self._mood in ("other", "kin"):
                self._mood = None
        elif cue != "plain" and (cue in (NOW, TOLD, BOILERPLATE) or start == self._clause_start):
            self._section = cue
            self._negated = self._far = False
            self._mood = None

    # ---------------------------------------------------------------- what is being talked about

    def _raise(self, entry: Entry, start: int, end: int) -> None:
        self._cover(start, end)
        chains = self._chains
        previous = chains[-1] if chains else None
        if previous is not None and not previous.said and (
                start <= previous.end or (start - previous.end <= 1 and self._text[previous.end] in _JOINS)):
            previous.topics += [topic for topic in entry.topics if topic not in previous.topics]
            previous.end, previous.covered, previous.clause = max(end, previous.end), self._uncovered, self._clause
        else:
            if any(self._lexicon.topic_stop[topic] for topic in entry.topics):
                chains.clear()
            chains.append(_Chain(list(entry.topics), start, end, self._uncovered, self._clause))
            if len(chains) > MAX_CHAINS:
                del chains[0]
        if self._waiting is not None:
            often, clause = self._waiting
            self._waiting = None
            if clause == self._clause and start - often.end <= 3:
                for number, own in self._lexicon.frequency:
                    if not own.isdisjoint(entry.topics):
                        self._add(Candidate(number, str(often), YES, often.start, end, self._section, self._sentence,
                                            clause))

    def _cover(self, start: int, end: int) -> None:
        if start > self._last:
            self._uncovered += start - self._last
        if end > self._last:
            self._last = end

    def _owner(self, owners: frozenset[int], start: int, reach: int | None = None) -> _Chain | None:
        """The newest chain that owns the words at `start` and still reaches them.

        Args:
            owners: topics of which the words can be said.
            start: where the words begin.
            reach: uncovered characters allowed; None takes the topic's own `gap`, `lead` and `reach`.
        """
        lexicon, clause = self._lexicon, self._clause
        uncovered = self._uncovered + max(0, start - self._last)
        lead = start - self._clause_start
        for chain in reversed(self._chains):
            for topic in chain.topics:
                if topic not in owners:
                    continue
                if reach is not None:
                    if uncovered - chain.covered <= reach:
                        return chain
                elif uncovered - chain.covered <= lexicon.topic_gap[topic] and (chain.clause == clause or (
                        not lexicon.topic_clause[topic] and lead <= lexicon.topic_lead[topic])):
                    return chain
            if reach is None and chain.clause == clause and chain.said and not all(
                    lexicon.topic_clause[topic] for topic in chain.topics):
                return None
        return None

    # ---------------------------------------------------------------- what is said

    def _add(self, candidate: Candidate) -> None:
        self.found.append(candidate)

    def _often(self, often: Frequency, end: int) -> None:
        chain = self._owner(self._lexicon.frequency_topics, often.start, FREQUENCY_REACH)
        if chain is None:
            self._waiting = (often, self._clause)
            return
        for number, own in self._lexicon.frequency:
            if not own.isdisjoint(chain.topics):
                self._add(Candidate(number, str(often), YES, min(chain.start, often.start), often.end, self._section,
                                    self._sentence, self._clause))
        self._cover(often.start, end)
        chain.end, chain.covered, chain.said = end, self._uncovered, True

    def _values(self, entry: Entry, start: int, end: int) -> None:
        longest = self._longest
        owner: _Chain | None = None
        searched = False
        done: list[int] = []
        blocked: list[int] = []
        for field, value, bound in entry.acts:
            if field >= 0 and (longest.get(field, -1) >= end or field in blocked):
                continue
            begin, chain = start, None
            if bound > FREE:
                if not searched:
                    owner, searched = self._owner(entry.owners, start), True
                if owner is None or bound not in owner.topics:
                    continue
                chain, begin = owner, min(owner.start, start)
            elif bound < FREE:
                head = self._heads.get(bound)
                if head is None or not 0 <= start - head[1] <= GAP_REACH:
                    continue
                begin = head[0]
            if field < 0:
                if chain is not None:
                    chain.said = True
                continue
            done.append(field)
            if value is None:
                blocked.append(field)
            elif self._lexicon.specs[field].type == "number":
                self._figure(field, start, end)
            else:
                self._state(field, value, begin, start, end, chain)
                if chain is not None:
                    self._cover(start, end)
                    chain.end, chain.covered, chain.said, chain.clause = end, self._uncovered, True, self._clause
        for field in done:
            longest[field] = end

    def _state(self, field: int, value: str, begin: int, start: int, end: int, chain: _Chain | None = None) -> None:
        spec = self._lexicon.specs[field]
        yes_no = spec.type == "yes_no"
        status, forced = YES, yes_no and value == NO
        sign = sign_of(self._text, start, end) if yes_no and not forced else None
        if forced:
            status = NO
        elif sign is not None:
            status, forced, end = _STATUS[sign.status], True, sign.end
            if sign.shared:
                self._said_of_the_list(status, start, end)
        elif (self._negated and start >= self._negate_start and (yes_no or self._clause == self._negate_clause)
                # in 无咯血、饮食一般 the list of denials ends where another thing is talked about
                and (yes_no or chain is None or chain.start - self._negate_cue <= 1)
                and start - self._negate_end <= (1 if self._near else NEGATION_REACH)):
            status = NO
            self._negate_end = max(self._negate_end, end)
            begin = min(begin, self._negate_start)
        elif self._mood is not None:
            if self._mood == "other" and start == self._mood_end:  # 其母咳嗽: whoever tells of the patient says so with a verb
                self._mood = "kin"
            status = self._mood
        candidate = Candidate(field, value, status, begin, end, self._section, self._sentence, self._clause,
                              self._lexicon.ranks[field].get(value, 0), forced)
        if self._witness is not None and self._mood != "kin" and self._section != OTHER:  # it cannot tell whose a finding is
            self._witness.judge(candidate, start, end, spec.mentions, yes_no, start - self._negate_cue <= 3, self._text)
        self.found.append(candidate)
        self._clause_found.append(candidate)

    def _said_of_the_list(self, status: str, start: int, end: int) -> None:
        """A sign after a list is said of all that 、 joins directly to what begins at `start`; `end` is where the sign ends, for it is
        evidence of each of them."""
        for candidate in reversed(self._clause_found):
            if candidate.forced or self._text[candidate.end : start] != "、":
                return
            candidate.status, candidate.forced, candidate.end, start = status, True, end, candidate.start

    def _figure(self, field: int, start: int, end: int) -> None:
        """The figures after a number field's announcement; a range gives both of its ends."""
        spec = self._lexicon.specs[field]
        for figure in figures(self._text, end, spec):
            if figure.refusal is None:
                self._add(Candidate(field, figure.value, YES, start, figure.end, self._section, self._sentence, self._clause))


class _Witness:
    """What the model says of a place in the text."""

    __slots__ = ("_by_type", "_longest")

    def __init__(self, mentions: Sequence[Mention]) -> None:
        self._by_type: dict[str, list[Mention]] = {}
        for mention in mentions:
            self._by_type.setdefault(mention.type, []).append(mention)
        for own in self._by_type.values():
            own.sort(key=_begin)
        self._longest = max((mention.end - mention.start for mention in mentions), default=0)

    def judge(self, candidate: Candidate, start: int, end: int, types: Sequence[str], yes_no: bool, denied: bool,
              text: str) -> None:
        """Attaches the mention that overlaps most, and lets it decide the status unless the words contradict it.

        Args:
            start, end: the words that state the value.
            types: entity types that speak of the field.
            denied: a negation stands directly before the words.
        """
        best: Mention | None = None
        most = 0
        for kind in types:
            own = self._by_type.get(kind, [])
            # a mention that reaches `start` begins no further back than the longest mention is long
            for place in range(bisect_left(own, start - self._longest, key=_begin), len(own)):
                mention = own[place]
                if mention.start >= end:
                    break
                shared = min(end, mention.end) - max(start, mention.start)
                if shared > most:
                    best, most = mention, shared
        if best is None:
            return
        candidate.mention = best
        if candidate.forced or best.status is None:
            return
        status = _STATUS.get(best.status, YES)
        if not yes_no:
            if status != NO:
                candidate.status = status
            return
        if candidate.status == NO and denied and status != NO:
            return
        if candidate.status == YES and status == NO and not _DOUBT.intersection(text[max(0, start - 14) : end + 8]):
            return
        candidate.status = status
        candidate.start = min(candidate.start, best.start)
        candidate.end = max(candidate.end, best.end)


def _place(event: tuple[int, int, object]) -> tuple[int, int]:
    return event[0], event[1]


def _begin(mention: Mention) -> int:
    return mention.start

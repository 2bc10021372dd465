"""Lexicon and schema grammar, no model: terms of the vocabulary are the mentions, the schema reads the fields alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from benchmarks.baselines import Fit, Found, Predict
from tcmstruct.record import Mention, StructuredRecord
from tcmstruct.schema import Schema
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from vocab.reader import load_terms

TYPE_OF_KIND: Mapping[str, str] = {
    "symptom": "症状", "stool_sputum": "症状", "tongue_body": "舌质", "tongue_coating": "舌苔", "pulse": "脉象",
    "disease_western": "西医诊断", "disease_tcm": "中医诊断", "syndrome": "中医诊断", "formula": "治疗", "herb": "治疗",
    "patent_medicine": "治疗", "western_drug": "治疗", "procedure": "治疗", "therapy": "治疗", "acupoint": "治疗",
}
"""Kind of a vocabulary table → type of the clinical guide."""

NEGATION = re.compile(r"(?:无|未见|未诉|未有|否认|不伴|没有)(?:(?!但|仍有|伴有|可见|出现)[^，。；;,：:])*$|(?:不|未|勿).?$")
PAST = re.compile(r"(?:既往|曾)(?:(?!现|目前|刻下|入院|此次|今)[^，。；;])*$")
REACH = 40
"""Characters before a mention in which a cue counts."""


def make_fit(schema: Schema) -> Fit:
    """The system over one schema."""

    def fit(train: Sequence[StructuredRecord]) -> Predict:
        """Learns nothing: the vocabulary and the schema are all there is."""
        lexicon = Lexicon.from_terms(load_terms(TYPE_OF_KIND), TYPE_OF_KIND)
        return lambda texts: [Found(lexicon_mentions(text, lexicon), schema.extract(text, [])) for text in texts]

    return fit


def lexicon_mentions(text: str, lexicon: Lexicon) -> list[Mention]:
    """The longest terms that do not overlap (the earlier of two of one length), in text order, symptoms with status."""
    clean = normalise(text)
    taken = bytearray(len(text))
    found: list[Mention] = []
    for start, end, group in sorted(lexicon.matches(clean), key=lambda m: (m[0] - m[1], m[0], m[2])):
        if not any(taken[start:end]):
            taken[start:end] = b"\x01" * (end - start)
            name = lexicon.groups[group]
            found.append(Mention(name, start, end, status_by_rule(clean, start) if name == "症状" else None))
    return sorted(found, key=lambda m: m.start)


def status_by_rule(text: str, start: int) -> str:
    """无 after a negation and 既往 after a word of the past in the same clause, else 有."""
    before = text[max(0, start - REACH) : start]
    if NEGATION.search(before):
        return "无"
    return "既往" if PAST.search(before) else "有"

"""Linear-chain CRF over hand-made character features (Lafferty et al. 2001), by sklearn-crfsuite.

Features: characters and their pairs in a window of five, kinds of character, terms of the vocabulary that cover a
character and its neighbours, and whether a negation or a word of the past governs it. The status is part of the tag.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sklearn_crfsuite import CRF

from benchmarks.baselines import Fit, Found, Predict, with_fields
from benchmarks.baselines.grammar import TYPE_OF_KIND, status_by_rule
from benchmarks.baselines.joint import fingerprint, labels_of, mentions_of, tags_of
from tcmstruct.record import StructuredRecord
from tcmstruct.schema import Schema
from tcmstruct.text.lexicon import PLACES, Lexicon
from tcmstruct.text.normalise import normalise
from vocab.reader import load_terms

SETTINGS = {"algorithm": "lbfgs", "c1": 0.05, "c2": 0.05, "min_freq": 2, "max_iterations": 100,
            "all_possible_transitions": True}
FEATURES = 1
"""Version of `features`; a change makes cached models stale."""


def make_fit(schema: Schema | None, cache: Path | None = None, max_iterations: int = SETTINGS["max_iterations"]) -> Fit:
    """The system.

    Args:
        schema: reads the fields; None gives mentions alone, with the types of the training records.
        cache: folder of trained models; one whose records and settings are the same is used again.
        max_iterations: of L-BFGS.
    """
    settings = {**SETTINGS, "max_iterations": max_iterations}

    def fit(train: Sequence[StructuredRecord]) -> Predict:
        labels = labels_of(train)
        lexicon = Lexicon.from_terms(load_terms(TYPE_OF_KIND), TYPE_OF_KIND)
        path = None
        if cache is not None:
            path = cache / "crf" / f"{fingerprint(train, {**settings, 'features': FEATURES, 'lexicon': lexicon.fingerprint})}.crfsuite"
        if path is not None and path.exists():
            crf = CRF(model_filename=str(path))
        else:
            print(f"crf: training on {len(train)} records, {len(labels)} labels", file=sys.stderr, flush=True)
            draft = None
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                draft = path.with_suffix(".draft")
            crf = CRF(**settings, model_filename=str(draft) if draft else None)
            crf.fit((features(r.text, lexicon) for r in train), ([str(t) for t in tags_of(r, labels).tolist()] for r in train))
            if path is not None and draft is not None:
                draft.replace(path)
                crf = CRF(model_filename=str(path))
        return lambda texts: list(_predict(crf, texts, labels, lexicon, schema))

    return fit


def _predict(crf: CRF, texts: Sequence[str], labels: Sequence[str], lexicon: Lexicon, schema: Schema | None) -> Iterator[Found]:
    tagger = crf.tagger_
    for text in texts:
        tagger.set(features(text, lexicon))
        tags = tagger.tag()
        sure = [tagger.marginal(tag, i) for i, tag in enumerate(tags)]
        yield with_fields(schema, text, mentions_of([int(t) for t in tags], sure, labels))


def features(text: str, lexicon: Lexicon) -> list[list[str]]:
    """T lists of feature names, one a character."""
    clean = normalise(text)
    padded = f"\0\0\0{clean}\0\0\0"
    names = [f"{group}{place}" for group in lexicon.groups for place in PLACES]
    terms = [[names[c] for c in row.nonzero()[0]] for row in lexicon.features(clean)]
    out: list[list[str]] = []
    for i in range(len(clean)):
        w = padded[i : i + 7]  # w[3] is the character itself
        row = ["1", f"k{_kind(w[3])}", f"g{status_by_rule(clean, i)}", f"k{_kind(w[2])}{_kind(w[3])}{_kind(w[4])}"]
        row += [f"c{d}{w[3 + d]}" for d in (-2, -1, 0, 1, 2)]
        row += [f"p{d}{w[3 + d : 5 + d]}" for d in (-3, -2, -1, 0, 1)]
        row += [f"t{d}{w[3 + d : 6 + d]}" for d in (-2, -1, 0)]
        row += [f"l{name}" for name in terms[i]]
        if i:
            row += [f"l-{name}" for name in terms[i - 1]]
        if i + 1 < len(clean):
            row += [f"l+{name}" for name in terms[i + 1]]
        out.append(row)
    return out


def _kind(char: str) -> str:
    if char.isdigit():
        return "d"
    if char.isascii():
        return "a" if char.isalpha() else "p"
    return "h" if char.isalpha() else "p"

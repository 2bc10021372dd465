"""spaCy DocBin: a token a character, all spans in `doc.spans["sc"]`, those that do not overlap in `doc.ents` too.

Needs the extra [spacy].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tcmstruct.annotation.annotated import Annotated, Span, joined, split
from tcmstruct.annotation.conll import outermost
from tcmstruct.annotation.files import MAX_DOCUMENT_BYTES
from tcmstruct.errors import InputRefused, MissingExtra
from tcmstruct.whole_file import whole_file

SPANS, PREDICTIONS = "sc", "predictions"
_ID, _SCORES = "tcmstruct_id", "scores"


def read(path: Path) -> Iterator[Annotated]:
    """Files written here, and those of others: offsets are taken from characters, whatever the tokens are.

    Raises:
        InputRefused: not a DocBin.
        MissingExtra: spaCy is not installed.
    """
    spacy, DocBin = _spacy()
    if path.stat().st_size > MAX_DOCUMENT_BYTES:
        raise InputRefused(f"larger than {MAX_DOCUMENT_BYTES} bytes", where=path.name, code="too_large")
    try:
        docs = list(DocBin(store_user_data=True).from_bytes(path.read_bytes()).get_docs(spacy.blank("xx").vocab))
    except Exception:  # whatever zlib, msgpack or spaCy make of foreign bytes
        raise InputRefused("not a DocBin that this spaCy can read", where=path.name, code="not_docbin") from None
    for number, doc in enumerate(docs, 1):
        where = f"{path.name}[{number}]"
        marked = doc.spans.get(SPANS, doc.ents)
        group = doc.spans.get(PREDICTIONS, ())
        scores = group.attrs.get(_SCORES, []) if len(group) else []
        yield Annotated(str(doc.user_data.get(_ID, where)), doc.text, [_span(one, None) for one in marked],
                        [_span(one, score) for one, score in zip(group, scores or [None] * len(group), strict=True)], where)


def write(path: Path, records: Iterable[Annotated], left: Counter[str]) -> None:
    """
    Raises:
        MissingExtra: spaCy is not installed.
    """
    spacy, DocBin = _spacy()
    vocab, bin = spacy.blank("xx").vocab, DocBin(store_user_data=True)
    for record in records:
        doc = spacy.tokens.Doc(vocab, words=list(record.text), spaces=[False] * len(record.text))
        doc.user_data[_ID] = record.id
        doc.spans[SPANS] = spacy.tokens.SpanGroup(doc, name=SPANS, spans=_spans(spacy, doc, record.spans))
        if record.predictions:
            doc.spans[PREDICTIONS] = spacy.tokens.SpanGroup(doc, name=PREDICTIONS, spans=_spans(spacy, doc, record.predictions),
                                                            attrs={_SCORES: [span.score for span in record.predictions]})
        doc.ents = _spans(spacy, doc, outermost(record.spans))
        bin.add(doc)
    with whole_file(path) as file:
        file.write(bin.to_bytes())


def _span(one: Any, score: float | None) -> Span:
    return Span(one.start_char, one.end_char, *split(one.label_), score)


def _spans(spacy: Any, doc: Any, spans: Sequence[Span]) -> list[Any]:
    return [spacy.tokens.Span(doc, span.start, span.end, label=joined(span)) for span in spans]


def _spacy() -> tuple[Any, Any]:
    try:
        import spacy
        from spacy.tokens import DocBin
    except ImportError:
        raise MissingExtra("the format docbin", "spacy") from None
    return spacy, DocBin

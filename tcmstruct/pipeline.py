"""From a record to a StructuredRecord: the main job.

>>> from tcmstruct import structure
>>> r = structure("反复咳嗽3天，咳黄痰，无发热。舌红，苔黄腻，脉滑数。")   # doctest: +SKIP
>>> r.fields["苔色"].value                                                # doctest: +SKIP
['黄']
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcmstruct.errors import ModelError, RecordRejected
from tcmstruct.image.paths import image_folder
from tcmstruct.labels import LINKED_TYPES
from tcmstruct.record import FieldValue, Mention, Record, StructuredRecord
from tcmstruct.runtime import memory, memory_fit
from tcmstruct.runtime.adapted import Shelf
from tcmstruct.runtime.choice import Choice, decide
from tcmstruct.runtime.mentions import Calibration, MentionReader, signed
from tcmstruct.runtime.model_folder import open_folder
from tcmstruct.runtime.tagger import HiddenReader, OnnxTagger
from tcmstruct.schema import load_schema

if TYPE_CHECKING:
    from tcmstruct.image.examine import Examined
    from tcmstruct.linking import Linker
    from tcmstruct.runtime.suggestion import Suggester
    from tcmstruct.witness import PhotoSide, Witness


class Structurer:
    """Holds the model and the schema; make one and use it for many records.

    Args:
        model: model folder; None takes the shipped one. Verified before use.
        schema: "all", a shipped pack's name, a TOML file, or a list of these.
        threads: threads of the model (None: what was measured on this machine, or all cores).
        memory_limit_bytes: of this process; batches are cut to what fits, records never are.
        chars_per_batch: padded characters a batch may hold, in place of what the memory limit gives.
        codes: CSV of the hospital's own diagnosis codes, added to the shipped ones (docs/linking.md).
        image_root: folder of the photographs that records name in `Record.image`; None looks at none of them. What a record
            names is foreign text and never leads out of this folder.
        backend: what computes the text model (`runtime.backends`); None: see `runtime.choice`.
        suggest: add suggestions of a disease and syndrome to every record (docs/suggestions.md); a path names the head's folder.
        adapter: folder of a hospital's adapter, used where a call names none (docs/adapters.md).
        adapters: folder of adapters; a call names one of them by its folder's name.

    Attributes:
        backend: the backend, its threads, the graph, and who chose them.

    Raises:
        ModelError: a model file is missing or altered.
        SchemaError: the pack is not what the format allows.
        InputRefused: the table of codes is not what the format allows.
        UsageError: the memory limit is below what the model itself takes; the image root is no folder; the backend is unknown or
            cannot be used here.
        MissingExtra: the backend's library is not installed.
    """

    def __init__(self, model: str | Path | None = None, schema: str | Path | Sequence[str | Path] = "all", *,
                 threads: int | None = None, memory_limit_bytes: int | None = None, chars_per_batch: int | None = None,
                 codes: str | Path | None = None, image_root: str | Path | None = None, backend: str | None = None,
                 suggest: bool | str | Path = False, adapter: str | Path | None = None, adapters: str | Path | None = None) -> None:
        self.folder = open_folder(Path(model) if model is not None else None)
        self.shelf = Shelf(self.folder, *(None if place is None else Path(place) for place in (adapter, adapters)))
        choice = self.shelf.choice(decide(self.folder, backend, threads), threads)
        fitted = self._fitted(choice, memory_limit_bytes)  # before this process loads anything: the fit takes memory of its own
        self.schema = load_schema(schema)
        self._codes = Path(codes) if codes is not None else None
        if codes is not None:
            _ = self.linker  # a table that cannot be used is refused here, not at the first diagnosis
        self.image_root = None if image_root is None else image_folder(image_root)
        if self.image_root is not None:
            _ = self.photo_side  # so is a network that cannot be used; and what the networks hold counts below
        self.suggest = bool(suggest)
        self._head = None if isinstance(suggest, bool) else Path(suggest)
        if self.suggest:
            _ = self.suggester  # and a head that cannot
        chars = chars_per_batch or memory.MAX_CHARS_PER_BATCH
        try:
            self.tagger = self._tagger(choice, chars, memory_limit_bytes)
        except ModelError:
            if choice.source != "measured":
                raise
            choice = Choice(threads=threads)  # what was stored cannot be used after all
            fitted = self._fitted(choice, memory_limit_bytes)
            self.tagger = self._tagger(choice, chars, memory_limit_bytes)
        self.shelf.warm(choice.threads)
        if memory_limit_bytes is not None and fitted is not None:
            self.tagger.budget = memory.budget(memory_limit_bytes, fitted, self.image_root is not None, self.tagger.device_bytes)
        self.backend: dict[str, Any] = choice.to_dict()
        self.mentions = MentionReader(self.folder.card, Calibration(self.folder.card.get("calibration")))
        self.review_below: dict[str, float] = self.folder.card["review_below"]
        self.model_fingerprint = self.shelf.model(self.shelf.adapter())
        self.schema_fingerprint = self.schema.fingerprint[:16]

    def _fitted(self, choice: Choice, limit_bytes: int | None) -> memory.BatchMemory | None:
        if limit_bytes is None:
            return None
        return memory_fit.remembered_fit(self.folder.path / choice.file, self.folder.sha256[choice.file], choice.threads, choice.backend)

    def _tagger(self, choice: Choice, chars_per_batch: int, limit_bytes: int | None) -> OnnxTagger:
        used = self.shelf.adapter()
        session = None if used is None else self.shelf.session(used, choice.threads)
        return OnnxTagger(self.folder, choice.threads, chars_per_batch, choice.backend, choice.file, session, limit_bytes)

    def structure_many(self, records: Sequence[Record], adapter: str | None = None) -> list[StructuredRecord]:
        """Structures records; the result of each is the same in whatever company it comes, and whatever adapters others had.

        Args:
            adapter: name of one of the structurer's adapters; None: the one it was made with, if any.

        Raises:
            UsageError: there is no such adapter.
            RecordRejected: a record's text is not text (code `text_not_a_string`) or empty (`text_empty`).
        """
        for record in records:
            _check(record)
        if self.image_root is None:
            return self._structure(records, {}, adapter=adapter)
        return self._structure(records, {number: self.photo_side.look(record.image, self.image_root)
                                         for number, record in enumerate(records) if record.image}, adapter=adapter)

    def structure(self, text: str, tongue_img: str | Path | None = None, *, id: str = "1", suggest: bool | None = None,
                  adapter: str | None = None) -> StructuredRecord:
        """Structures one text, with the photograph beside it as second witness where there is one.

        A photo that cannot be used leaves the text's result as it is, `tongue` None, and a warning `image_REASON`. `suggest` None is
        what the structurer was made with; so is `adapter` None, otherwise the name of one of its adapters.
        """
        record = Record(id, text)
        _check(record)
        return self._structure([record], {} if tongue_img is None else {0: self.photo_side.look(tongue_img)}, suggest, adapter)[0]

    def attention(self, text: str, examined: Examined, mentions: Sequence[Mention]) -> tuple[dict[int, list[float]], dict[int, float]]:
        """Where mentions looked on a photo that passed the gate, for drawing: number of a mention → weights of the places (sum
        1), and → its mean gate; empty where no fusion fits the text model."""
        if self.photo_side.fusion is None:
            return {}, {}
        from tcmstruct.witness import attention_over, reading_of

        reading = reading_of(examined, keep=True)
        self.tagger.scores([text], {0: partial(self.photo_side.fusion.read, reading)})
        return attention_over(reading, mentions)

    def _structure(self, records: Sequence[Record], witnesses: Mapping[int, Witness], suggest: bool | None = None,
                   adapter: str | None = None) -> list[StructuredRecord]:
        """Structures records; some have a photo's witness, by their number."""
        used = self.shelf.adapter(adapter)
        tagger = self.shelf.tagger(self.tagger, used, self.backend["threads"])
        readers: dict[int, HiddenReader] = {number: partial(self.photo_side.read, witness) for number, witness in witnesses.items()
                                            if witness.reading is not None}
        asked = self.suggester.listen(records, readers) if (self.suggest if suggest is None else suggest) else None
        found = self.mentions.read(tagger.stream([r.text for r in records], readers), len(records))
        results = [self._finish(record, mentions, self.shelf.model(used)) for record, mentions in zip(records, found, strict=True)]
        for number, witness in witnesses.items():
            known = {f.name: f.values for f in self.schema.fields.values() if f.several}
            self.photo_side.testify(results[number], witness, known)
        if asked is not None:
            for number, result in enumerate(results):
                answers = witnesses[number].answers if number in witnesses else {}
                result.suggestions = self.suggester.suggest(result, asked[number], answers)
        return results

    def _finish(self, record: Record, mentions: list[Mention], model: str) -> StructuredRecord:
        mentions = [self._coded(record.text, mention) for mention in signed(record.text, mentions)]
        fields = {name: self._calibrated(name, value) for name, value in self.schema.extract(record.text, mentions).items()}
        return StructuredRecord(record.id, record.text, mentions, fields, record.dept, None, [],
                                model, self.schema_fingerprint, record.extra)

    @cached_property
    def photo_side(self) -> PhotoSide:
        """Looks at photographs; made when the first one comes (its networks and OpenCV cost memory)."""
        from tcmstruct.witness import PhotoSide

        return PhotoSide(self.folder.sha256["model.onnx"])

    @cached_property
    def suggester(self) -> Suggester:
        """Suggests diagnoses; loaded when first asked."""
        from tcmstruct.runtime.suggestion import Suggester

        return Suggester(self._head, self.folder.sha256["model.onnx"])

    @property
    def photo_models(self) -> dict[str, str]:
        """Fingerprints of the models that look at the records' photographs; {} where none is looked at."""
        return {} if self.image_root is None else self.photo_side.fingerprints

    @cached_property
    def linker(self) -> Linker:
        """Links diagnoses to codes; made when the first one is met (it takes a fifth of the start)."""
        from tcmstruct.linking import Linker, read_codes

        return Linker(read_codes(self._codes) if self._codes is not None else ())

    def _coded(self, text: str, mention: Mention) -> Mention:
        if mention.type not in LINKED_TYPES:
            return mention
        parts = self.linker.parts(mention.slice(text), mention.type)
        return replace(mention, codes=tuple(part.to_dict(mention.start) for part in parts if part.link))

    def _calibrated(self, name: str, value: FieldValue) -> FieldValue:
        confidence = self.mentions.calibration(f"field:{value.basis}", value.confidence)
        return replace(value, confidence=confidence, review=confidence < self.review_below["field"])


def _check(record: Record) -> None:
    if not isinstance(record.text, str):
        raise RecordRejected(f"the text is a {type(record.text).__name__}, allowed is text", where=f"record {record.id!r}",
                             code="text_not_a_string", hint="map the column that holds the record's text")
    if not record.text.strip():
        raise RecordRejected("the text is empty", where=f"record {record.id!r}", code="text_empty")


@lru_cache(maxsize=1)
def default_structurer() -> Structurer:
    """The shipped model with all shipped packs, made at first use."""
    return Structurer()


def structure(text: str, tongue_img: str | Path | None = None, *, suggest: bool = False) -> StructuredRecord:
    """Structures one record with the shipped model and packs.

    Args:
        text: the raw record, any length.
        tongue_img: path of a tongue photograph, or None.
        suggest: add suggestions of a disease and syndrome, which are no findings (docs/suggestions.md).

    Returns:
        Fields, entities with offsets into `text` (code points), confidences and warnings.
    """
    return default_structurer().structure(text, tongue_img, suggest=suggest)

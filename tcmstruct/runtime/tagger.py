"""Runs the model: many texts in, scores per window out, in batches that fit the memory. No torch here.

A record's result never depends on its neighbours: a window is padded to a length that follows from its own length
alone, and a batch holds windows of one padded length. Batches only change how many rows a matrix product has, and
never how a row is summed; tests hold this byte for byte. So a batch may also be trimmed to a memory budget, and halved
where memory runs out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tcmstruct.runtime.backends import DEFAULT, Session, backend_named, same_in_any_batch
from tcmstruct.runtime.memory import CHUNK_CHARS, MAX_CHARS_PER_BATCH, MemoryBudget
from tcmstruct.runtime.model_folder import ModelFolder
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import Window, windows

HiddenReader = Callable[[np.ndarray, int], None]
"""Takes the vectors (T, H) of a window's own characters, those of the overlap left to its neighbour, and the offset of the first."""

PAD_TO = 16
"""Windows are padded to a multiple of this many characters."""

_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "bad allocation", "Available memory of", "out of memory", "could not allocate")
"""What onnxruntime's arenas, OpenVINO, CUDA and the C++ library say."""


@dataclass(slots=True)
class WindowScores:
    """Scores of one window: tags readout → (T, K), status (T, S)."""

    window: Window
    tags: dict[str, np.ndarray]
    status: np.ndarray


@dataclass(frozen=True, slots=True)
class _Job:
    """A window to run: its text's number, its number within the text, and the folded characters around it.

    What the model is fed is made when the window's batch is run: 68 lexicon marks a character would outweigh the text.
    """

    number: int
    k: int
    window: Window
    clean: str

    @property
    def padded(self) -> int:
        return -(-(self.window.end - self.window.start) // PAD_TO) * PAD_TO


class OnnxTagger:
    """The exported tagger, on onnxruntime or another backend.

    Args:
        folder: verified model folder.
        threads: threads of one matrix product (None: all cores).
        chars_per_batch: padded characters that one batch may hold; lowered for good where memory runs out.
        backend: see `runtime.backends`.
        file: the graph within the folder.
        session: a loaded graph, in place of what `backend` would load.
        device_limit_bytes: of a graphics card's memory.

    Attributes:
        alone: every window is a batch of its own: the backend's, or the model's, results could follow from the batch.
        budget: trims batches to a memory limit, below `chars_per_batch`; None where there is no limit.
        largest: (windows, padded characters) of the batch with the most pairs of characters that was run.
        halvings: how often memory ran out and a batch was halved.
    """

    def __init__(self, folder: ModelFolder, threads: int | None = None, chars_per_batch: int = MAX_CHARS_PER_BATCH,
                 backend: str = DEFAULT, file: str = "model.onnx", session: Session | None = None,
                 device_limit_bytes: int | None = None) -> None:
        kind = backend_named(backend)
        self._session = session or kind.open(folder.path / file, threads, device_limit_bytes)
        self.device_bytes = self._session.device_bytes
        self._inputs = [i.name for i in self._session.inputs]
        self.alone: bool = (folder.card.get("one_window_a_batch", False) or kind.batches == "alone"
                            or (kind.batches == "proved" and not same_in_any_batch(self._session)))
        self._table = CharacterTable.load(folder.path / "characters.txt")
        self._lexicon = Lexicon.load(folder.path / "lexicon.txt") if len(self._inputs) > 1 else None
        self._reach = max((len(term) for term, _ in self._lexicon.items()), default=1) - 1 if self._lexicon is not None else 0
        self.readouts: dict[str, list[str]] = folder.card["readouts"]
        self._columns: dict[str, slice] = {}
        at = 0
        for name, labels in self.readouts.items():
            self._columns[name] = slice(at, at + 1 + 2 * len(labels))
            at += 1 + 2 * len(labels)
        self._status = slice(at, None)
        self.max_chars: int = folder.card["window_chars"]
        self.overlap_chars: int = folder.card["window_overlap_chars"]
        self.chars_per_batch = chars_per_batch
        self.budget: MemoryBudget | None = None
        self.largest = (0, 0)
        self.halvings = 0

    def over(self, session: Session) -> OnnxTagger:
        """The same tagger over another graph of the same inputs: characters and lexicon are shared, nothing that a call changes is."""
        other = copy(self)
        other._session, other.largest, other.halvings = session, (0, 0), 0
        return other

    def scores(self, texts: Sequence[str], readers: Mapping[int, HiddenReader] | None = None) -> list[list[WindowScores]]:
        """For each text its windows' scores, in text order; nothing is truncated. Holds all of them: see `stream`."""
        results: list[dict[int, WindowScores]] = [{} for _ in texts]
        for number, k, scores in self.stream(texts, readers):
            results[number][k] = scores
        return [[parts[k] for k in range(len(parts))] for parts in results]

    def stream(self, texts: Sequence[str], readers: Mapping[int, HiddenReader] | None = None) -> Iterator[tuple[int, int, WindowScores]]:
        """(text number, window number, scores) of every window, short ones first, batch by batch as they are computed.

        Args:
            readers: number of a text → who is handed its characters' vectors, window by window (none of them is kept); a
                record's windows come in an order that follows from its own length.

        Raises:
            MemoryError: a window did not fit into memory even alone.
        """
        for batch in self._plan(self._jobs(texts)):
            wanted = readers is not None and any(job.number in readers for job in batch)
            for part, (scores, *vectors) in self._run(batch, ["scores", "hidden"] if wanted else ["scores"]):
                for row, job in enumerate(part):
                    window = job.window
                    yield job.number, job.k, self.window_scores(window, scores[row])
                    if wanted and job.number in readers:
                        kept = vectors[0][row, window.keep_start - window.start : window.keep_end - window.start]
                        readers[job.number](kept, window.keep_start)
        if self.budget is not None and sum(map(len, texts)) > CHUNK_CHARS:
            self._give_back()

    def _give_back(self) -> None:
        """Frees what the arena keeps: what comes of a very long text needs the room now."""
        self._session.run(["scores"], self._feed(self._jobs(["。"])), True)

    def window_scores(self, window: Window, scores: np.ndarray) -> WindowScores:
        """The model's scores (T + padding, columns) of a window, by readout."""
        own = scores[: window.end - window.start]
        return WindowScores(window, {n: own[:, c] for n, c in self._columns.items()}, own[:, self._status])

    def memory(self) -> dict[str, Any]:
        """For the manifest (docs/formats.md): the budget, the largest batch that was run, and how often memory ran out."""
        return {"budget": None if self.budget is None else self.budget.to_dict(),
                "largest_batch": {"windows": self.largest[0], "chars": self.largest[1]}, "halvings": self.halvings}

    def feeds(self, texts: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """The batches of inputs that `scores` would run (for calibrating a quantised model)."""
        return map(self._feed, self._plan(self._jobs(texts)))

    def _jobs(self, texts: Sequence[str]) -> list[_Job]:
        cleaned = [normalise(text) for text in texts]
        return [_Job(number, k, window, clean) for number, clean in enumerate(cleaned)
                for k, window in enumerate(windows(clean, self.max_chars, self.overlap_chars))]

    def _run(self, batch: Sequence[_Job], outputs: list[str]) -> Iterator[tuple[Sequence[_Job], list[np.ndarray]]]:
        """Runs a batch; where memory runs out it is halved and the same windows are run again, in the same order."""
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            try:
                found = self._session.run(outputs, self._feed(part))
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                if len(part) == 1:
                    raise MemoryError(f"a window of {part[0].padded} characters") from None
                middle = len(part) // 2
                self.halvings += 1
                self.chars_per_batch = min(self.chars_per_batch, middle * part[0].padded)
                waiting += (part[middle:], part[:middle])
                continue
            self.largest = max(self.largest, (len(part), part[0].padded), key=lambda shape: shape[0] * shape[1] ** 2)
            yield part, found

    def _feed(self, batch: Sequence[_Job]) -> dict[str, np.ndarray]:
        length = batch[0].padded
        ids = np.zeros((len(batch), length), np.int32)
        feed = {self._inputs[0]: ids}
        if self._lexicon is not None:
            feed[self._inputs[1]] = channel = np.zeros((len(batch), length, self._lexicon.n_features), np.uint8)
        for row, job in enumerate(batch):
            start, end = job.window.start, job.window.end
            ids[row, : end - start] = self._table.encode(job.clean[start:end])
            if self._lexicon is not None:
                # with the longest term's reach on both sides, so that terms across the border are found as in the whole text
                seen_from = max(0, start - self._reach)
                features = self._lexicon.features(job.clean[seen_from : end + self._reach])
                channel[row, : end - start] = features[start - seen_from : end - seen_from]
        return feed

    def _plan(self, jobs: list[_Job]) -> Iterator[list[_Job]]:
        """Batches of windows of one padded length, of what `chars_per_batch` and the budget allow when their turn comes."""
        by_length: dict[int, list[_Job]] = {}
        for job in jobs:
            by_length.setdefault(job.padded, []).append(job)
        for length, group in sorted(by_length.items()):
            at = 0
            while at < len(group):
                size = max(1, self.chars_per_batch // length)
                if self.budget is not None:
                    size = min(size, self.budget.windows(length))
                if self.alone:
                    size = 1
                yield group[at : at + size]
                at += size


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error of a run says that memory could not be had; onnxruntime has no class of its own for it."""
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words.lower() in said for words in _OUT_OF_MEMORY)

"""Runs the model: many texts in, scores per window out, in batches that fit the memory. No torch here.

A record's result never depends on its neighbours: a window is padded to a length that follows from its own length
alone, and a batch holds windows of one padded length. Batches only change how many rows a matrix product has, and
never how a row is summed; tests hold this byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime as ort

from tcmstruct.runtime.model_folder import ModelFolder
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon
from tcmstruct.text.normalise import normalise
from tcmstruct.text.windows import Window, windows

HiddenReader = Callable[[np.ndarray, int], None]
"""Takes the vectors (T, H) of a window's own characters, those of the overlap left to its neighbour, and the offset of the first."""

PAD_TO = 16
"""Windows are padded to a multiple of this many characters."""


@dataclass(slots=True)
class WindowScores:
    """Scores of one window: tags readout → (T, K), status (T, S)."""

    window: Window
    tags: dict[str, np.ndarray]
    status: np.ndarray


class OnnxTagger:
    """The exported tagger on onnxruntime.

    Args:
        folder: verified model folder.
        threads: threads of one matrix product (None: all cores).
        chars_per_batch: padded characters that one batch may hold; bounds the memory.
    """

    def __init__(self, folder: ModelFolder, threads: int | None = None, chars_per_batch: int = 4096) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # The arena keeps memory between batches (without it a third of the time goes to page faults); batches are
        # small and of a bounded size, so what it keeps is bounded too.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        self._session = ort.InferenceSession(str(folder.path / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._table = CharacterTable.load(folder.path / "characters.txt")
        self._lexicon = Lexicon.load(folder.path / "lexicon.txt") if len(self._inputs) > 1 else None
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

    @property
    def gives_hidden(self) -> bool:
        """Whether the model gives its characters' vectors beside the scores."""
        return len(self._session.get_outputs()) > 1

    def scores(self, texts: Sequence[str], readers: Mapping[int, HiddenReader] | None = None) -> list[list[WindowScores]]:
        """For each text its windows' scores, in text order; nothing is truncated.

        Args:
            readers: number of a text → who is handed its characters' vectors, window by window (none of them is kept); a
                record's windows come in an order that follows from its own length.
        """
        jobs, n_windows = self._jobs(texts)
        results: list[list[WindowScores | None]] = [[None] * n for n in n_windows]
        for batch in self._plan(jobs):
            wanted = readers is not None and any(job[0] in readers for job in batch)
            scores, *vectors = self._session.run(["scores", "hidden"] if wanted else ["scores"], self._feed(batch))
            for row, (number, k, window, window_ids, _) in enumerate(batch):
                own = scores[row, : len(window_ids)]
                results[number][k] = WindowScores(window, {n: own[:, c] for n, c in self._columns.items()}, own[:, self._status])
                if wanted and number in readers:
                    readers[number](vectors[0][row, window.keep_start - window.start : window.keep_end - window.start], window.keep_start)
        return results  # type: ignore[return-value]

    def feeds(self, texts: Sequence[str]) -> Iterator[dict[str, np.ndarray]]:
        """The batches of inputs that `scores` would run (for calibrating a quantised model)."""
        return map(self._feed, self._plan(self._jobs(texts)[0]))

    def _jobs(self, texts: Sequence[str]) -> tuple[list[tuple], list[int]]:
        """(text number, window number, window, ids, lexicon features) of every window, and the windows of each text."""
        jobs: list[tuple[int, int, Window, np.ndarray, np.ndarray | None]] = []
        n_windows = []
        for number, text in enumerate(texts):
            clean = normalise(text)
            ids = self._table.encode(clean)
            features = self._lexicon.features(clean) if self._lexicon is not None else None
            parts = windows(clean, self.max_chars, self.overlap_chars)
            n_windows.append(len(parts))
            jobs.extend((number, k, w, ids[w.start : w.end], None if features is None else features[w.start : w.end])
                        for k, w in enumerate(parts))
        return jobs, n_windows

    def _feed(self, batch: list[tuple]) -> dict[str, np.ndarray]:
        length = self._padded(batch[0])
        ids = np.zeros((len(batch), length), np.int32)
        feed = {self._inputs[0]: ids}
        if self._lexicon is not None:
            feed[self._inputs[1]] = channel = np.zeros((len(batch), length, self._lexicon.n_features), np.uint8)
        for row, (_, _, _, window_ids, features) in enumerate(batch):
            ids[row, : len(window_ids)] = window_ids
            if features is not None:
                channel[row, : len(window_ids)] = features
        return feed

    @staticmethod
    def _padded(job: tuple) -> int:
        return -(-len(job[3]) // PAD_TO) * PAD_TO

    def _plan(self, jobs: list[tuple]) -> Iterator[list[tuple]]:
        """Batches of windows of one padded length, of at most `chars_per_batch` padded characters."""
        by_length: dict[int, list[tuple]] = {}
        for job in jobs:
            if len(job[3]):
                by_length.setdefault(self._padded(job), []).append(job)
        for length, group in sorted(by_length.items()):
            size = max(1, self.chars_per_batch // length)
            for at in range(0, len(group), size):
                yield group[at : at + size]

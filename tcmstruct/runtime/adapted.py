"""The text model with hospitals' adapters beside it, switched from call to call.

One more graph is loaded, once for all adapters and when the first is asked for (`lora_graph`); an adapter's matrices are inputs of each
call, so no call can leave anything behind for the next. What is asked without an adapter runs on the shipped graph, untouched.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tcmstruct.errors import ModelError, UsageError
from tcmstruct.runtime.adapter_folder import Adapter, base_fingerprint, open_adapter, open_shelf
from tcmstruct.runtime.backends import DEFAULT, OnnxSession, Session
from tcmstruct.runtime.choice import GRAPHS, Choice
from tcmstruct.runtime.lora_graph import A, B, with_lora
from tcmstruct.runtime.model_folder import ModelFolder
from tcmstruct.runtime.tagger import OnnxTagger

Terms = dict[str, tuple[np.ndarray, np.ndarray]]
"""Module → (A (in, R), B (R, out))."""


class Shelf:
    """The adapters that fit a text model; each is a tagger of its own to whoever asks for it by name.

    Args:
        folder: the text model.
        one: folder of an adapter that is used where none is named.
        many: folder of adapters, each named by its folder.

    Attributes:
        default: name of the adapter that is used where none is named; None: the text model alone.

    Raises:
        ModelError: an adapter that cannot be used: altered, for another base model, for another label set.
        UsageError: two different adapters of one name.
    """

    def __init__(self, folder: ModelFolder, one: Path | None = None, many: Path | None = None) -> None:
        self._folder = folder
        self.adapters: dict[str, Adapter] = {} if many is None else open_shelf(many)
        self.default: str | None = None
        if one is not None:
            adapter = open_adapter(one)
            if adapter.name in self.adapters and self.adapters[adapter.name].fingerprint != adapter.fingerprint:
                raise UsageError(f"two adapters are named {adapter.name[:40]!r}", where="adapter", code="adapter_named_twice")
            self.adapters[adapter.name], self.default = adapter, adapter.name
        for adapter in self.adapters.values():
            adapter.require_base("tagger", base_fingerprint(folder), folder.card["readouts"])
        self._graph: _Graph | None = None
        self._taggers: dict[str, OnnxTagger] = {}

    def __bool__(self) -> bool:
        return bool(self.adapters)

    def adapter(self, name: str | None = None) -> Adapter | None:
        """The adapter of that name, or the one for calls that name none.

        Raises:
            UsageError: there is no such adapter (code `adapter_unknown`).
        """
        name = self.default if name is None else name
        if name is None:
            return None
        if name not in self.adapters:
            raise UsageError("there is no adapter of that name", where="adapter", code="adapter_unknown",
                             hint=f"adapters: {', '.join(self.adapters) or 'none'}")
        return self.adapters[name]

    def choice(self, choice: Choice, threads: int | None) -> Choice:
        """What the text model runs with, where its first graph is the one with terms: always onnxruntime, on the stored graph.

        Raises:
            UsageError: another backend was asked for.
        """
        if self.default is None or (choice.backend, choice.file) == (DEFAULT, GRAPHS[0]):
            return choice
        if choice.source == "asked":
            raise UsageError(f"adapters run on {DEFAULT} alone", where=f"backend {choice.backend}", code="backend_unusable",
                             hint="leave the backend out")
        return Choice(threads=threads)

    def model(self, adapter: Adapter | None) -> str:
        """What results name as their model: the text model's fingerprint, and the adapter's where one was beside it."""
        base = self._folder.fingerprint[:16]
        return base if adapter is None else f"{base}+{adapter.fingerprint[:16]}"

    def session(self, adapter: Adapter, threads: int | None) -> AdaptedSession:
        """The graph with one adapter's matrices; the graph is loaded by the first call.

        Raises:
            ModelError: the adapter has a module that the graph does not, or of another size.
        """
        self._graph = self._graph or _Graph(self._folder, threads)
        return AdaptedSession(self._graph.session, self._graph.matrices(adapter))

    def tagger(self, base: OnnxTagger, adapter: Adapter | None, threads: int | None) -> OnnxTagger:
        """`base` with an adapter in place of the default one; it keeps to the memory budget of `base`."""
        if adapter is None or adapter.name == self.default:
            return base
        if adapter.name not in self._taggers:
            self._taggers[adapter.name] = base.over(self.session(adapter, threads))
        found = self._taggers[adapter.name]
        found.budget = base.budget
        return found

    def warm(self, threads: int | None) -> None:
        """Loads the graph and puts every adapter in its place, so that what cannot be used is refused now, and memory is counted."""
        for adapter in self.adapters.values():
            self.session(adapter, threads)


class AdaptedSession:
    """`runtime.backends.Session` over the graph with terms, with one adapter's matrices in every call."""

    def __init__(self, session: Session, matrices: Mapping[str, np.ndarray]) -> None:
        self._session, self._matrices = session, matrices
        self.inputs = tuple(i for i in session.inputs if i.name not in matrices)
        self.device_bytes = None

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray], give_back: bool = False) -> list[np.ndarray]:
        return self._session.run(outputs, {**feed, **self._matrices}, give_back)


class _Graph:
    """The loaded graph with terms."""

    def __init__(self, folder: ModelFolder, threads: int | None) -> None:
        try:
            model, self._sizes = with_lora((folder.path / "model.onnx").read_bytes())
        except ValueError as error:
            raise ModelError(f"its graph takes no adapter: {error}", where=folder.path.name, code="adapter_no_place",
                             hint="use the shipped model, or one that `tcmstruct train` wrote") from None
        self._readouts: dict[str, list[str]] = folder.card["readouts"]
        self.session = OnnxSession(model, threads)

    def matrices(self, adapter: Adapter) -> dict[str, np.ndarray]:
        """Name of an input → its matrix; a module without a term gets zeros of rank 1.

        Raises:
            ModelError: a module that the graph does not have, or of another size.
        """
        terms = self._with_one_head(adapter.terms())
        stray = [*sorted(terms.keys() - self._sizes.keys()), *adapter.manifest.own]
        if stray:
            raise ModelError(f"its module {stray[0][:60]} has no place in the graph", where=adapter.name, code="adapter_no_place",
                             hint="train it for this model with `tcmstruct adapter train`")
        out = {}
        for module, (n_in, n_out) in self._sizes.items():
            a, b = terms.get(module, (np.zeros((n_in, 1), np.float32), np.zeros((1, n_out), np.float32)))
            if (len(a), b.shape[1]) != (n_in, n_out):
                raise ModelError(f"its module {module[:60]} maps {len(a)} numbers to {b.shape[1]}, the graph's {n_in} to {n_out}",
                                 where=adapter.name, code="adapter_no_place")
            out[f"{A}/{module}"], out[f"{B}/{module}"] = np.ascontiguousarray(a), np.ascontiguousarray(b)
        return out

    def _with_one_head(self, terms: Terms) -> Terms:
        """The readouts and the status are one product in the graph, side by side: their terms become one, zero elsewhere."""
        n_columns, at, columns = self._sizes["head"][1], 0, {}
        for name, labels in self._readouts.items():
            columns[f"readouts.{name}"] = slice(at, at + 1 + 2 * len(labels))
            at += 1 + 2 * len(labels)
        columns["status"] = slice(at, n_columns)
        left, right = [], []
        for module in [name for name in columns if name in terms]:
            a, b = terms[module]
            wide = np.zeros((len(b), n_columns), np.float32)
            if wide[:, columns[module]].shape != b.shape:
                raise ModelError(f"its {module[:60]} has {b.shape[1]} columns, the model's {wide[:, columns[module]].shape[1]}",
                                 where="adapter", code="adapter_no_place")
            wide[:, columns[module]] = b
            left.append(a)
            right.append(wide)
        rest = {module: term for module, term in terms.items() if module not in columns}
        return {**rest, "head": (np.concatenate(left, 1), np.concatenate(right, 0))} if left else rest

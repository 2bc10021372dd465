"""A model folder back to a tagger that can be trained: the graph's constants are the weights, so no checkpoint need be shipped.

Products in int8 are widened, (value − zero point) · scale with one scale a column; what rounding to 7 bits took is gone, which is less than
what one pass of training changes. A table of characters that the export projected stays projected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import onnx
import torch
from onnx import numpy_helper

from tcmstruct.errors import ModelError
from tcmstruct.labels import STATUSES
from tcmstruct.model.config import EncoderConfig, ModelConfig
from tcmstruct.model.tagger import CharTagger
from tcmstruct.runtime.model_folder import ModelFolder
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon

_PASSED = frozenset({"Cast", "QuantizeLinear", "DequantizeLinear"})
"""What may stand between a constant and its product, or between an input and its product."""
_LAYER = re.compile(r"encoder\.layers\.(\d+)\.")


def rebuild(folder: ModelFolder) -> tuple[CharTagger, CharacterTable, Lexicon | None]:
    """The tagger behind `folder`, its character table and its lexicon.

    Raises:
        ModelError: the graph is not one that `compression.export` wrote from a convolutional student (code `not_trainable`).
    """
    graph = _Graph(onnx.load(folder.path / "model.onnx").graph)
    table = CharacterTable.load(folder.path / "characters.txt")
    try:
        state = dict(graph.weights())
        config = _config(graph, state, folder, len(table))
        model = CharTagger(config)
        _split_head(state, config)
        for name in model.crf:
            for part, value in _crf(folder.card["transitions"][name]).items():
                state[f"crf.{name}.{part}"] = value
        model.load_state_dict({name: torch.from_numpy(np.array(value, np.float32)) for name, value in state.items()})
    except (KeyError, IndexError, StopIteration, RuntimeError, ValueError) as error:
        raise ModelError(f"its graph cannot be turned back into weights ({type(error).__name__})", where=folder.path.name,
                         code="not_trainable", hint="give a folder that `tcmstruct train` or the project's build wrote") from None
    lexicon = Lexicon.load(folder.path / "lexicon.txt") if config.lexicon_features else None
    return model.eval(), table, lexicon


class _Graph:
    """The constants of a graph under the names that they have in the tagger."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._constants = {c.name: c for c in graph.initializer}
        self._makers = {name: node for node in graph.node for name in node.output}
        self._nodes = list(graph.node)

    def weights(self) -> Iterator[tuple[str, np.ndarray]]:
        """(name in the tagger's state, values); the readouts and the status together as `head`."""
        for name, constant in self._constants.items():
            if name.startswith("model."):
                yield name.removeprefix("model."), numpy_helper.to_array(constant).astype(np.float32)
        yield "head.bias", self.value("head.bias")
        norms = {node.output[0]: "encoder.embedding_norm" for node in self._nodes if node.op_type == "LayerNormalization"}
        for node in self._nodes:
            if node.op_type == "MatMul" and (held := self._constant(node.input[1])) is not None:
                name = self._name(node)
                yield name, held.T
                if (read := self._origin(node.input[0])) in norms:
                    norms[read] = _norm_before(name)
        for output, name in norms.items():  # not by their constants' names: equal constants are stored once
            _, weight, bias = self._makers[output].input
            yield from ((f"{name}.weight", self.value(weight)), (f"{name}.bias", self.value(bias)))

    def n_heads(self, layer: str) -> int:
        """Heads of the attention after a layer: the third part of the shape that its queries are given."""
        bias = f"model.encoder.attention.{layer}.query.bias"
        asked = next(node.output[0] for node in self._nodes if node.op_type == "Add" and bias in node.input)
        shape = next(node.input[1] for node in self._nodes if node.op_type == "Reshape" and node.input[0] == asked)
        return int(self.value(self._makers[shape].input[2])[0])

    def value(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self._constants[name])

    def _name(self, product: onnx.NodeProto) -> str:
        """A product is named by the bias that is added to it; without one it is of the embedding."""
        for node in self._nodes:
            if node.op_type == "Add" and product.output[0] in node.input:
                bias = next((name for name in node.input if name.endswith(".bias")), "")
                if bias:
                    return bias.removeprefix("model.").removesuffix("bias") + "weight"
        return "embedding.lexicon.weight" if self._origin(product.input[0]) == "lexicon" else "embedding.project_bigram.weight"

    def _origin(self, name: str) -> str:
        while name in self._makers and self._makers[name].op_type in _PASSED:
            name = self._makers[name].input[0]
        return name

    def _constant(self, name: str) -> np.ndarray | None:
        """A constant, widened where it is stored narrow; None for what is computed."""
        if name in self._constants:
            return self.value(name).astype(np.float32)
        node = self._makers.get(name)
        if node is None or node.op_type not in _PASSED or node.input[0] not in self._constants:
            return None
        stored = self.value(node.input[0]).astype(np.float32)
        if node.op_type == "DequantizeLinear":
            scale, zero = (self.value(part).astype(np.float32) for part in node.input[1:3])
            stored = (stored - zero) * scale  # one scale a column
        return stored


def _norm_before(product: str) -> str:
    """The normalisation whose output enters a product."""
    if product == "head.weight":
        return "encoder.output_norm"
    layer = product.split(".")[2]
    return f"encoder.attention_norm.{layer}" if ".attention." in product else f"encoder.layers.{layer}.norm"


def _config(graph: _Graph, state: dict[str, np.ndarray], folder: ModelFolder, n_characters: int) -> ModelConfig:
    layers = {int(found[1]) for name in state if (found := _LAYER.match(name))}
    after = sorted({name.split(".")[2] for name in state if name.startswith("encoder.attention.")}, key=int)
    feed, hidden = state["encoder.layers.0.feed_in.weight"].shape
    bigram, marks = state.get("embedding.bigram.weight"), state.get("embedding.lexicon.weight")
    encoder = EncoderConfig(
        kind="conv", hidden=hidden, n_layers=len(layers), n_heads=graph.n_heads(after[0]) if after else 1, feed=feed,
        kernel=state["encoder.layers.0.mix.weight"].shape[2], attention_after=tuple(map(int, after)), norm_eps=1e-6)
    return ModelConfig(
        encoder, n_characters=n_characters, n_bigram_buckets=0 if bigram is None else bigram.shape[0],
        bigram_width=0 if bigram is None else bigram.shape[1], lexicon_features=0 if marks is None else marks.shape[1],
        readouts={name: list(labels) for name, labels in folder.card["readouts"].items()},
        crf_readouts=tuple(folder.card.get("transitions", {})), n_statuses=len(STATUSES), dropout=0.0)


def _split_head(state: dict[str, np.ndarray], config: ModelConfig) -> None:
    weight, bias, at = state.pop("head.weight"), state.pop("head.bias"), 0
    parts = [(f"readouts.{name}", 1 + 2 * len(labels)) for name, labels in config.readouts.items()] + [("status", config.n_statuses)]
    for name, width in parts:
        state[f"{name}.weight"], state[f"{name}.bias"] = weight[at : at + width], bias[at : at + width]
        at += width
    if at != len(bias):
        raise ValueError("head")


def _crf(stored: dict[str, list]) -> dict[str, np.ndarray]:
    """The card's tables hold the score of what BIO does not allow; the tagger keeps that apart."""
    tables = {"first": stored["first"], "transitions": stored["moves"], "last": stored["last"]}
    return {name: np.where((held := np.asarray(value, np.float32)) < -1e3, 0.0, held) for name, value in tables.items()}

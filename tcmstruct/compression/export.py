"""Torch checkpoint → shipped model folder: ONNX graph, character table, lexicon, card, manifest."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from tcmstruct.model.checkpoint import load_tagger
from tcmstruct.model.config import ModelConfig
from tcmstruct.model.tagger import CharacterEmbedding, CharTagger
from tcmstruct.runtime.model_folder import replacing
from tcmstruct.text.characters import CharacterTable
from tcmstruct.text.lexicon import Lexicon


def fold_projection(embedding: CharacterEmbedding) -> None:
    """A projected look-up is a look-up in a projected table."""
    if isinstance(embedding.project, nn.Linear):
        embedding.character.weight = nn.Parameter(embedding.project(embedding.character.weight).detach())
        embedding.project = nn.Identity()


class Exported(nn.Module):
    """What the ONNX graph computes: ids (B, T) int32, lexicon (B, T, F) uint8 → scores (B, T, all tags + statuses), hidden
    (B, T, H): the vectors that the fusion with a photo reads, computed only where they are asked for.

    A model without a lexicon channel has no second input.
    """

    def __init__(self, model: CharTagger, readouts: Sequence[str]) -> None:
        super().__init__()
        self.model, self.names = model, list(readouts)
        fold_projection(model.embedding)
        parts = [model.readouts[n] for n in self.names] + [model.status]
        self.head = nn.Linear(model.config.encoder.hidden, sum(p.out_features for p in parts))
        self.head.weight.data = torch.cat([p.weight.data for p in parts])
        self.head.bias.data = torch.cat([p.bias.data for p in parts])

    def forward(self, ids: Tensor, lexicon: Tensor | None = None) -> tuple[Tensor, Tensor]:
        hidden = self.model.encode(ids.long(), None if lexicon is None else lexicon.float())
        return self.head(hidden), hidden


def to_onnx(model: CharTagger, readouts: Sequence[str], path: Path, half_tables: bool = True) -> None:
    """Writes the graph of a tagger; see `write_graph`."""
    inputs = {"ids": torch.randint(3, 100, (2, 64), dtype=torch.int32)}
    if model.config.lexicon_features:
        inputs["lexicon"] = torch.zeros((2, 64, model.config.lexicon_features), dtype=torch.uint8)
    write_graph(Exported(model.eval(), readouts).eval(), inputs, ("scores", "hidden"), path, model.config, half_tables)


def write_graph(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str], path: Path, config: ModelConfig,
                half_tables: bool = True) -> None:
    """Writes the ONNX graph of a module whose inputs are (B, T) or (B, T, …), for any B and T.

    Args:
        inputs: name → example.
        config: of the encoder within; says how long T may be.
        half_tables: stores the embedding tables in fp16 (rows are widened after the look-up).
    """
    batch, length = torch.export.Dim("B", min=1, max=4096), torch.export.Dim("T", min=2, max=8192)
    if config.encoder.kind != "conv":
        length = torch.export.Dim("T", min=2, max=config.encoder.max_positions - 1)
    exporter = logging.getLogger("torch.onnx")  # tells of operators of libraries that are not installed
    level = exporter.level
    exporter.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(module, tuple(inputs.values()), str(path), dynamo=True, external_data=False, verbose=False,
                              input_names=list(inputs), output_names=list(outputs),
                              dynamic_shapes=tuple({0: batch, 1: length} for _ in inputs))
    finally:
        exporter.setLevel(level)
    graph = onnx.load(path)
    strip(graph)
    if half_tables:
        _halve_tables(graph)
    onnx.save(graph, path)


def _halve_tables(model: onnx.ModelProto) -> None:
    graph = model.graph
    tables = {n.input[0] for n in graph.node if n.op_type == "Gather"}
    halved = set()
    for initializer in graph.initializer:
        if initializer.name in tables and initializer.data_type == TensorProto.FLOAT and np.prod(initializer.dims) > 100_000:
            half = numpy_helper.from_array(numpy_helper.to_array(initializer).astype(np.float16), initializer.name)
            initializer.CopyFrom(half)
            halved.add(initializer.name)
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type == "Gather" and node.input[0] in halved:
            name = node.output[0]
            node.output[0] = name + "_half"
            nodes.append(helper.make_node("Cast", [name + "_half"], [name], to=TensorProto.FLOAT))
    del graph.node[:]
    graph.node.extend(nodes)


def strip(model: onnx.ModelProto) -> None:
    """Takes out what the exporter notes of the program that exported: stack traces with the paths of that machine, and names."""
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *model.functions):
        if hasattr(part, "metadata_props"):
            del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]


def halve(path: Path, least: int = 512) -> None:
    """Stores the large fp32 constants of a graph in fp16 and widens them on load; the graph computes in fp32 as before. What the
    exporter noted of this machine is taken out (`strip`)."""
    model = onnx.load(path)
    strip(model)
    casts = []
    for constant in model.graph.initializer:
        if constant.data_type == TensorProto.FLOAT and np.prod(constant.dims) >= least:
            narrow = numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), constant.name + "_half")
            casts.append(helper.make_node("Cast", [narrow.name], [constant.name], to=TensorProto.FLOAT))
            constant.CopyFrom(narrow)
    for node in reversed(casts):
        model.graph.node.insert(0, node)
    onnx.save(model, path)


def _transitions(model: CharTagger) -> dict[str, dict[str, list]]:
    return {name: {key: np.round(table, 4).tolist() for key, table in zip(("first", "moves", "last"), crf.tables(), strict=True)}
            for name, crf in model.crf.items()}


def export(checkpoint: Path, out: Path, *, lexicon: Lexicon | None, card: dict[str, Any], readouts: Sequence[str] | None = None,
           window_chars: int = 512, window_overlap_chars: int = 128) -> Path:
    """Writes a model folder, replacing `out` as a whole.

    Args:
        checkpoint: folder of a trained tagger.
        card: goes into `card.json` beside the readouts and window sizes (calibration, scores, data, licences, limits).
    """
    model = load_tagger(checkpoint).eval()
    names = list(readouts or model.config.readouts)
    content = {"format": 1, "readouts": {n: model.config.readouts[n] for n in names}, "window_chars": window_chars,
               "window_overlap_chars": window_overlap_chars, "transitions": _transitions(model), **card}
    with replacing(out, content) as fresh:
        to_onnx(model, names, fresh / "model.onnx")
        CharacterTable.load(checkpoint / "characters.txt").save(fresh / "characters.txt")
        if lexicon is not None:
            lexicon.save(fresh / "lexicon.txt")
    return out

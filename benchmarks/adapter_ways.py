"""Ways to run a hospital's adapter beside the shipped model, on a machine without torch: size, time, memory, exactness.

| way | what |
|---|---|
| inputs | one more graph for all hospitals, A and B are inputs of each call (`runtime.lora_graph`): what is shipped |
| `.onnx_adapter` | the same graph, A and B read by onnxruntime's own `LoraAdapter` from its own file, made active call by call |
| fused, fp32 | a graph for each hospital, base and adapter fused, products in fp32 |
| fused, int8 | the same, quantised anew on the given records |

Exactness is against the truth: the base's weights in fp32 with the adapter beside them, computed by torch; `no adapter` shows what int8
alone is away from it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import numpy_helper

from tcmstruct.compression.export import Exported
from tcmstruct.compression.quantise import quantise
from tcmstruct.recipes.adapter_bases import ModelFolderBase, save_whole
from tcmstruct.runtime.adapted import Shelf
from tcmstruct.runtime.adapter_folder import open_adapter
from tcmstruct.runtime.backends import OnnxSession
from tcmstruct.runtime.lora_graph import A, B, with_lora
from tcmstruct.runtime.memory import resident_bytes
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, open_folder
from tcmstruct.runtime.tagger import OnnxTagger
from tcmstruct.training.adapter_store import write_adapter
from tcmstruct.training.adapters import Adapted, LoraShape

WAYS = ("no adapter", "inputs", ".onnx_adapter", "fused, fp32", "fused, int8")


def drawn_adapter(place: Path, rank: int, spread: float = 0.02) -> Path:
    """A downstream adapter of drawn numbers, B too, so that it changes every score."""
    adapted = Adapted(ModelFolderBase(DEFAULT_FOLDER))
    torch.manual_seed(0)
    adapted.add("downstream", LoraShape(rank, 2.0 * rank))
    with torch.no_grad():
        for module in adapted.base.targets("downstream"):
            torch.nn.init.normal_(adapted.base.network.get_submodule(module).lora_B["downstream"].weight, std=spread)
    write_adapter(adapted, place, {"gold": tuple(adapted.base.network.config.readouts["gold"])}, {"downstream": {}})
    return place


def measure(way: str, texts: Sequence[str], work: Path, rank: int, repeats: int) -> dict[str, Any]:
    """One way in a process of its own; time to load and memory are what it adds to the shipped model, which stays loaded."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_measure, way, texts, work, rank, repeats).result()


def _measure(way: str, texts: Sequence[str], work: Path, rank: int, repeats: int) -> dict[str, Any]:
    folder, place = open_folder(), work / f"drawn-{rank}"
    if not place.exists():
        drawn_adapter(place, rank)
    made = _made(way, place, texts, work)
    shipped = OnnxTagger(folder, 1)
    shipped.scores(texts[:1])
    before = resident_bytes()
    began = time.perf_counter()
    tagger, size = (shipped, 0) if way == "no adapter" else _opened(way, place, made, shipped)
    tagger.scores(texts[:1])
    start_ms, held = 1000 * (time.perf_counter() - began), resident_bytes() - before
    feeds = list(tagger.feeds(texts))
    one = [next(iter(tagger.feeds([text]))) for text in texts[:32]]
    out: dict[str, Any] = {"bytes": size, "start_ms": start_ms, "held_mb": held / 2**20,
                           "ms_one": _ms(lambda: [tagger._session.run(["scores"], feed) for feed in one], repeats) / len(one),
                           "ms_batched": _ms(lambda: [tagger._session.run(["scores"], feed) for feed in feeds], repeats) / len(texts)}
    truth = list(_truth(place, feeds, way != "no adapter"))
    found = [tagger._session.run(["scores"], feed)[0] for feed in feeds]
    gold = slice(0, 1 + 2 * len(folder.card["readouts"]["gold"]))
    away = np.concatenate([np.abs(a - b)[..., gold][feed["ids"] != 0] for a, b, feed in zip(found, truth, feeds, strict=True)])
    other = np.concatenate([(a[..., gold].argmax(-1) != b[..., gold].argmax(-1))[feed["ids"] != 0]
                            for a, b, feed in zip(found, truth, feeds, strict=True)])
    return out | {"mean_away": float(away.mean()), "most_away": float(away.max()), "tags_changed": float(other.mean())}


def _made(way: str, place: Path, texts: Sequence[str], work: Path) -> Path:
    """What is made once for a hospital: its fused model folder, or its `.onnx_adapter`; the adapter itself where nothing more is needed."""
    if way == ".onnx_adapter":
        return _onnx_adapter(place, work / "drawn.onnx_adapter")
    if not way.startswith("fused"):
        return place
    fused, narrow = work / f"fused-{place.name}", work / f"narrow-{place.name}"
    if not fused.exists():
        adapted = Adapted(ModelFolderBase(DEFAULT_FOLDER))
        adapted.load(open_adapter(place))
        adapted.fuse()
        save_whole(adapted.base, fused)
    if way == "fused, fp32":
        return fused
    return narrow if narrow.exists() else quantise(fused, narrow, texts)


def _opened(way: str, place: Path, made: Path, shipped: OnnxTagger) -> tuple[OnnxTagger, int]:
    """A tagger, and the bytes that a hospital adds on disk."""
    if way == "inputs":
        return shipped.over(Shelf(open_folder(), place).session(open_adapter(place), 1)), sum(f.stat().st_size for f in place.iterdir())
    if way == ".onnx_adapter":
        return shipped.over(_ActiveAdapter(made, shipped)), made.stat().st_size
    return shipped.over(OnnxSession(made / "model.onnx", 1)), (made / "model.onnx").stat().st_size


def _onnx_adapter(place: Path, file: Path) -> Path:
    matrices = Shelf(open_folder(), place).session(open_adapter(place), 1)._matrices
    made = ort.AdapterFormat()
    made.set_adapter_version(1)
    made.set_model_version(1)
    made.set_parameters({name: ort.OrtValue.ortvalue_from_numpy(values) for name, values in matrices.items()})
    made.export_adapter(str(file))
    return file


class _ActiveAdapter:
    """onnxruntime's own way: parameters are initialisers that a run's active adapter overrides."""

    def __init__(self, file: Path, shipped: OnnxTagger) -> None:
        edited, sizes = with_lora((open_folder().path / "model.onnx").read_bytes())
        model = onnx.load_from_string(edited)
        for module, (n_in, n_out) in sizes.items():
            for name, shape in ((f"{A}/{module}", (n_in, 1)), (f"{B}/{module}", (1, n_out))):
                model.graph.initializer.append(numpy_helper.from_array(np.zeros(shape, np.float32), name))
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        self._session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        self._adapter = ort.LoraAdapter()
        self._adapter.Load(str(file))
        self.inputs, self.device_bytes = shipped._session.inputs, None

    def run(self, outputs: Sequence[str], feed: dict[str, np.ndarray], give_back: bool = False) -> list[np.ndarray]:
        options = ort.RunOptions()
        options.add_active_adapter(self._adapter)
        return self._session.run(list(outputs), feed, options)


def _truth(place: Path, feeds: Sequence[dict[str, np.ndarray]], adapted: bool) -> Iterator[np.ndarray]:
    base = ModelFolderBase(DEFAULT_FOLDER)
    if adapted:
        held = Adapted(base)
        held.load(open_adapter(place))
        held.fuse()
    module = Exported(base.network.eval(), list(open_folder().card["readouts"])).eval()
    with torch.inference_mode():
        for feed in feeds:
            yield module(torch.from_numpy(feed["ids"]), torch.from_numpy(feed["lexicon"]))[0].numpy()


def _ms(run: Callable[[], Any], repeats: int) -> float:
    """The fastest of some passes, in milliseconds of processor time."""
    run()
    found = []
    for _ in range(repeats):
        began = time.process_time()
        run()
        found.append(1000 * (time.process_time() - began))
    return min(found)

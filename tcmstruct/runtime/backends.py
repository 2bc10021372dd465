"""Which library computes the graph, on what, and in which precision: one small interface over all of them.

| name | computes | windows a batch |
|---|---|---|
| `onnxruntime` | as the graph is stored, on the processor | any number: tests hold that no byte changes |
| `openvino` | as the graph is stored, on the processor; extra `[openvino]` | one |
| `openvino-bf16` | products in bf16, where the processor has it | one |
| `cuda` | as stored (also graphs of `quantize --kind fp16`, `bf16`), on a graphics card | any if measured to change no byte, else one |

A record's result never depends on its neighbours (docs/adr/0004, 0008). One window a batch is exact by construction: what is
computed then follows from the window's own characters.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import onnxruntime as ort

from tcmstruct.errors import MissingExtra, ModelError, UsageError

DEFAULT = "onnxruntime"
VARIABLE = "TCMSTRUCT_BACKEND"
"""Environment variable that names the backend, where no argument does."""

PROBE_WINDOWS = (1, 7, 32)
"""Batch sizes at which a backend must give the same bytes before it may batch."""


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the graph: (B, T, *tail)."""

    name: str
    dtype: np.dtype
    tail: tuple[int, ...]


class Session(Protocol):
    """A loaded graph.

    Attributes:
        inputs: in the graph's order.
        device_bytes: what the loaded graph takes of a graphics card; None where it computes on the processor.
    """

    inputs: tuple[Input, ...]
    device_bytes: int | None

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray], give_back: bool = False) -> list[np.ndarray]:
        """The named outputs; `give_back` frees what is kept between batches, where anything is."""
        ...


class OnnxSession:
    """onnxruntime, on the processor or on a graphics card; the graph is a file, or its bytes."""

    def __init__(self, model: Path | bytes, threads: int | None, cuda: bool = False, device_limit_bytes: int | None = None) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.inter_op_num_threads = 1
        options.log_severity_level = 4  # a batch that memory does not hold is halved; no word of it on stderr
        # The arena keeps memory between batches (without it a third of the time goes to page faults); batches are
        # small and of a bounded size, so what it keeps is bounded too.
        options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")
        if cuda:
            options.use_deterministic_compute = True
        before = _device_used() if cuda else 0
        try:
            source = model if isinstance(model, bytes) else str(model)
            self._session = ort.InferenceSession(source, options, providers=_providers(cuda, device_limit_bytes))
        except Exception as error:
            raise _unreadable("onnxruntime", model, error) from None
        if cuda and "CUDAExecutionProvider" not in self._session.get_providers():  # onnxruntime would fall back without a word
            raise UsageError("the CUDA libraries could not be loaded", where="backend cuda", code="backend_unusable",
                             hint="install the CUDA and cuDNN versions that onnxruntime-gpu asks for, or leave the backend out")
        self.inputs = tuple(Input(i.name, np.dtype(_ONNX_TYPES[i.type]), tuple(i.shape[2:])) for i in self._session.get_inputs())
        self._arena = "gpu:0" if cuda else "cpu:0"
        self.device_bytes = max(0, _device_used() - before) if cuda else None

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray], give_back: bool = False) -> list[np.ndarray]:
        options = None
        if give_back:
            options = ort.RunOptions()
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", self._arena)
        return self._session.run(list(outputs), dict(feed), options)


_ONNX_TYPES = {"tensor(int32)": np.int32, "tensor(uint8)": np.uint8, "tensor(float)": np.float32}


def _providers(cuda: bool, limit_bytes: int | None) -> list[Any]:
    if not cuda:
        return ["CPUExecutionProvider"]
    # by default the arena doubles itself and convolutions are chosen by trial: memory and results would follow from the batches' order
    options: dict[str, Any] = {"arena_extend_strategy": "kSameAsRequested", "cudnn_conv_algo_search": "DEFAULT", "use_tf32": "0"}
    if limit_bytes is not None:
        options["gpu_mem_limit"] = str(limit_bytes)
    return [("CUDAExecutionProvider", options), "CPUExecutionProvider"]


def import_openvino() -> Any:
    """OpenVINO without its telemetry: left alone, the mere import reports to its makers over the network and writes an identifier into
    the user's home. Its own stub takes the place of a telemetry package that cannot be imported."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # "cannot be imported" (importlib)
    import openvino

    return openvino


class OpenVinoSession:
    """OpenVINO on the processor, from the same ONNX file."""

    def __init__(self, model: Path, threads: int | None, precision: Literal["f32", "bf16"]) -> None:
        core = import_openvino().Core()
        # "f32" is said aloud: left alone, OpenVINO takes bf16 by itself where the processor has it
        settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY", "NUM_STREAMS": 1}
        if threads:
            settings["INFERENCE_NUM_THREADS"] = threads
        try:
            graph = core.read_model(str(model))
            exact = _shrink_hashes(graph)
            compiled = core.compile_model(graph, "CPU", settings)
        except Exception as error:
            raise _unreadable("openvino", model, error) from None
        if not exact:
            raise ModelError("the graph holds whole-number arithmetic that OpenVINO would round", where=f"{model.parent.name}/{model.name}",
                             code="backend_cannot_read", hint="take the backend onnxruntime")
        self._request = compiled.create_infer_request()
        self.inputs = tuple(Input(i.get_any_name(), np.dtype(i.element_type.to_dtype()), tuple(d.get_length() for d in i.partial_shape[2:]))
                            for i in compiled.inputs)
        self._outputs = {o.get_any_name(): o for o in compiled.outputs}
        self.device_bytes = None

    def run(self, outputs: Sequence[str], feed: Mapping[str, np.ndarray], give_back: bool = False) -> list[np.ndarray]:
        found = self._request.infer(dict(feed))
        return [found[self._outputs[name]] for name in outputs]


def _shrink_hashes(graph: Any) -> bool:
    """OpenVINO's processor plug-in computes whole numbers as fp32, exact below 2²⁴ only: the hash (31337·a + b) mod n of two characters
    would name another row. The factor is exchanged for its residue of the smallest size, which names the same row with smaller numbers.

    Returns:
        False where whole numbers are divided in a form that is not known.
    """
    from openvino import opset13

    for node in graph.get_ops():
        if node.get_type_name() not in ("FloorMod", "Mod") or node.get_element_type().is_real():
            continue
        total, modulus = (source.get_source_output().get_node() for source in node.inputs())
        if total.get_type_name() != "Add" or modulus.get_type_name() != "Constant":
            return False
        n = int(modulus.data.reshape(-1)[0])
        for product in (source.get_source_output().get_node() for source in total.inputs()):
            if product.get_type_name() != "Multiply":
                continue
            for source in product.inputs():
                factor = source.get_source_output().get_node()
                if factor.get_type_name() == "Constant":
                    residue = (int(factor.data.reshape(-1)[0]) + n // 2) % n - n // 2
                    source.replace_source_output(opset13.constant(np.full(factor.data.shape, residue, factor.data.dtype)).output(0))
    return True


def _unreadable(library: str, model: Path | bytes, error: Exception) -> ModelError | MemoryError:
    if isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error).lower():
        return MemoryError(f"{library} could not load the model")
    place = "the graph" if isinstance(model, bytes) else f"{model.parent.name}/{model.name}"
    return ModelError(f"{library} cannot read this graph ({type(error).__name__})", where=place, code="backend_cannot_read",
                      hint="take another backend, or an artefact made by `tcmstruct quantize`")


@dataclass(frozen=True, slots=True)
class Backend:
    """One way to compute a graph.

    Attributes:
        open: (model.onnx, threads, limit of device memory in bytes) → session.
        why_not: what keeps it from being used here, as an error; None where nothing does.
        batches: "any" of them give the same bytes; "alone": one window at a time; "proved": any, if `same_in_any_batch` says so.
    """

    name: str
    open: Callable[[Path, int | None, int | None], Session]
    why_not: Callable[[], Exception | None]
    batches: Literal["any", "alone", "proved"]


def _no_openvino() -> Exception | None:
    return None if find_spec("openvino") else MissingExtra("the backend openvino", "openvino")


def _no_bf16() -> Exception | None:
    missing = _no_openvino()
    if missing is None and "BF16" not in _openvino_capabilities():
        return UsageError("this processor has no bf16 products", where="backend openvino-bf16", code="backend_unusable",
                          hint="take openvino or onnxruntime")
    return missing


@cache
def _openvino_capabilities() -> tuple[str, ...]:
    return tuple(import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _no_cuda() -> Exception | None:
    if "CUDAExecutionProvider" in ort.get_available_providers():
        return None
    return UsageError("onnxruntime has no CUDA provider here", where="backend cuda", code="backend_unusable",
                      hint="pip install onnxruntime-gpu in place of onnxruntime, on a machine with an NVIDIA card")


BACKENDS: dict[str, Backend] = {b.name: b for b in (
    Backend(DEFAULT, lambda model, threads, _: OnnxSession(model, threads), lambda: None, "any"),
    Backend("openvino", lambda model, threads, _: OpenVinoSession(model, threads, "f32"), _no_openvino, "alone"),
    Backend("openvino-bf16", lambda model, threads, _: OpenVinoSession(model, threads, "bf16"), _no_bf16, "alone"),
    Backend("cuda", lambda model, threads, limit: OnnxSession(model, threads, True, limit), _no_cuda, "proved"),
)}


def backend_named(name: str) -> Backend:
    """
    Raises:
        UsageError: no such backend, or one that cannot be used on this machine.
        MissingExtra: its library is not installed.
    """
    if name not in BACKENDS:
        raise UsageError(f"there is no backend {name[:40]!r}", where=f"--backend or {VARIABLE}", code="unknown_backend",
                         hint=f"backends: {', '.join(BACKENDS)}")
    problem = BACKENDS[name].why_not()
    if problem is not None:
        raise problem
    return BACKENDS[name]


def usable() -> list[str]:
    """Names of the backends that can be used here."""
    return [name for name, backend in BACKENDS.items() if backend.why_not() is None]


@cache
def versions() -> tuple[str, ...]:
    """Of the libraries, as far as they are installed: what was measured with others is measured anew."""
    return (ort.__version__, *(v for name in ("openvino", "onnxruntime-gpu") if (v := _version(name))))


def _version(distribution: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return f"{distribution} {version(distribution)}"
    return ""


def zeros(session: Session, windows: int, chars: int) -> dict[str, np.ndarray]:
    """A feed of nothing but padding."""
    return {i.name: np.zeros((windows, chars, *i.tail), i.dtype) for i in session.inputs}


def same_in_any_batch(session: Session, sizes: Sequence[int] = PROBE_WINDOWS, chars: Sequence[int] = (48, 208, 512)) -> bool:
    """Whether windows get the same bytes alone and in batches of `sizes`, at a few lengths.

    A measurement on drawn characters, not a proof; what matters is that it is made where the backend runs.
    """
    draw = np.random.default_rng(0)
    for length in chars:
        whole = {i.name: draw.integers(0, 2 if i.tail else 100, (max(sizes), length, *i.tail)).astype(i.dtype) for i in session.inputs}
        ends = {i.name: values.shape[0] for i, values in zip(session.inputs, whole.values(), strict=True)}
        results = []
        for size in sizes:
            parts = [session.run(["scores"], {name: v[at : at + size] for name, v in whole.items()})[0]
                     for at in range(0, min(ends.values()), size)]
            results.append(np.concatenate(parts))
        if any(not np.array_equal(results[0], other) for other in results[1:]):
            return False
    return True


def _device_used() -> int:
    try:
        return device_used_bytes()
    except OSError as error:
        raise UsageError(str(error), where="backend cuda", code="backend_unusable", hint="look at the card's driver (nvidia-smi)") from None


def device_used_bytes() -> int:
    """What is taken of the first graphics card, by all its users (CUDA driver API, cuMemGetInfo).

    Raises:
        OSError: there is no such card or driver.
    """
    driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    device, context = ctypes.c_int(), ctypes.c_void_p()
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    steps = (lambda: driver.cuInit(0), lambda: driver.cuDeviceGet(ctypes.byref(device), 0),
             lambda: driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device), lambda: driver.cuCtxPushCurrent_v2(context))
    if any(step() for step in steps):
        raise OSError("the graphics card does not answer")
    try:
        if driver.cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total)):
            raise OSError("the graphics card does not tell its memory")
        return total.value - free.value
    finally:
        driver.cuCtxPopCurrent_v2(ctypes.byref(context))
        driver.cuDevicePrimaryCtxRelease_v2(device)

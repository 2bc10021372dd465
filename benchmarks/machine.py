"""Where figures were measured: commit, machine, library versions, date, and the machine's own fp32 matrix ceiling.

No host names, user names or paths: figures are published.
"""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TextIO

import numpy as np

SHAPES: tuple[tuple[int, int, int], ...] = (
    (2048, 384, 384), (2048, 384, 1536), (2048, 1536, 384), (2048, 224, 448), (2048, 448, 224), (1024, 1024, 1024),
)
"""(rows, inner, columns) of products: the layers of the teacher (384 wide) and of the student (224), and a square one."""

LIBRARIES = ("numpy", "torch", "onnxruntime", "sklearn-crfsuite", "pydantic", "pyahocorasick", "jieba", "rapidfuzz", "scipy", "safetensors")
FLAGS = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_vnni": "VNNI", "avx_vnni": "VNNI", "avx512_bf16": "bf16", "amx_tile": "AMX"}
"""Flag in /proc/cpuinfo → its name."""


def describe_machine() -> dict[str, Any]:
    """Plain data for the head of a results file."""
    return {"date": date.today().isoformat(), "commit": _commit(), "processor": _processor(), "cores": _cores(),
            "memory_gib": _memory_gib(), "system": f"{platform.system()} {platform.machine()}",
            "python": platform.python_version(), "libraries": {name: v for name in LIBRARIES if (v := _version(name))}}


def describe_line(machine: dict[str, Any]) -> str:
    """The same in one line."""
    libraries = ", ".join(f"{name} {v}" for name, v in machine["libraries"].items())
    return (f"{machine['date']} · commit {machine['commit']} · {machine['processor']}, {machine['cores']} cores, "
            f"{machine['memory_gib']} GiB · {machine['system']} · Python {machine['python']} · {libraries}")


def print_machine(to: TextIO | None = None) -> None:
    """One line on stdout, or on `to`."""
    print(describe_line(describe_machine()), file=to or sys.stdout)


def matrix_ceiling(shapes: tuple[tuple[int, int, int], ...] = SHAPES, seconds_each: float = 0.08) -> float:
    """fp32 TFLOP/s over `shapes`, each at the median rate of the library that is fastest on it (all cores).

    No one library reaches the machine's ceiling everywhere, so numpy, torch and onnxruntime are all asked; one that is
    not installed is left out.

    Args:
        seconds_each: time given to one shape in one library; at least five products are timed.
    """
    rates = matrix_rates(shapes, seconds_each)
    flops = [2 * m * k * n for m, k, n in shapes]
    best_s = [min(f / (rate[i] * 1e12) for rate in rates.values()) for i, f in enumerate(flops)]
    return sum(flops) / sum(best_s) / 1e12


def matrix_rates(shapes: tuple[tuple[int, int, int], ...] = SHAPES, seconds_each: float = 0.08) -> dict[str, list[float]]:
    """Library → TFLOP/s of each shape (median)."""
    rates: dict[str, list[float]] = {}
    for shape in shapes:
        m, k, n = shape
        rng = np.random.default_rng(0)
        a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
        for name, product in _products(a, b):
            product()
            times: list[float] = []
            while len(times) < 5 or sum(times) < seconds_each:
                began = time.perf_counter()
                product()
                times.append(time.perf_counter() - began)
            rates.setdefault(name, []).append(2 * m * k * n / statistics.median(times) / 1e12)
    return rates


def _products(a: np.ndarray, b: np.ndarray) -> Iterator[tuple[str, Callable[[], object]]]:
    yield "numpy", lambda: a @ b
    try:
        import torch

        x, y = torch.from_numpy(a), torch.from_numpy(b)
        yield "torch", lambda: x @ y
    except ImportError:
        pass
    try:
        import onnxruntime as ort
        from onnx import TensorProto, helper, numpy_helper

        graph = helper.make_graph([helper.make_node("MatMul", ["a", "b"], ["c"])], "product",
                                  [helper.make_tensor_value_info("a", TensorProto.FLOAT, a.shape)],
                                  [helper.make_tensor_value_info("c", TensorProto.FLOAT, (a.shape[0], b.shape[1]))],
                                  [numpy_helper.from_array(b, "b")])  # a constant, as a layer's weights are: packed once
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        options = ort.SessionOptions()
        options.intra_op_num_threads = _cores()
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        yield "onnxruntime", lambda: session.run(None, {"a": a})
    except ImportError:
        pass


def _commit() -> str:
    """Short commit of the source, with "+" where files differ from it; "none" outside of a repository."""
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return "none"


def _processor() -> str:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in line)
    except OSError:
        return platform.processor() or platform.machine()
    facts = {key.strip(): value.strip() for key, value in lines.items()}
    flags = set(facts.get("flags", "").split())
    names = list(dict.fromkeys(name for flag, name in FLAGS.items() if flag in flags))
    return facts.get("model name", platform.machine()) + (f" ({', '.join(names)})" if names else "")


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory_gib() -> int | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    except (AttributeError, OSError, ValueError):
        return None


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    print_machine()
    for _library, _rates in matrix_rates().items():
        print(f"{_library:12s}" + "".join(f"{rate:8.3f}" for rate in _rates) + "  fp32 TFLOP/s")
    print(f"ceiling     {matrix_ceiling():8.3f}  fp32 TFLOP/s")

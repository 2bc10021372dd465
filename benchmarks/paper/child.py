"""One measurement in a process of its own: a job as JSON on stdin, its figures as JSON on stdout.

Memory is counted from when the system is loaded and has read one short record: `loaded_mb` then, `peak_mb` the largest resident
set after that (Linux; elsewhere the largest ever).
"""

from __future__ import annotations

import contextlib
import json
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tcmstruct.record import Record
from tcmstruct.runtime.memory import peak_resident_bytes, resident_bytes

_MB = 1_000_000
_SHORT = "咳嗽3天，咳黄痰。舌红，苔黄腻，脉滑数。"


def main() -> None:
    job = json.loads(sys.stdin.read())
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries and trainings print must not stand between the figures
    print(json.dumps(JOBS[job.pop("job")](**job), allow_nan=False), file=out)


# ---------------------------------------------------------------- texts

def gold_texts(data: Path, n: int) -> list[str]:
    """The first `n` records of gold, dev before train, again and again where there are fewer."""
    texts = [json.loads(line)["text"] for part in ("dev", "train")
             for line in (data / "gold" / f"{part}.jsonl").read_text(encoding="utf-8").splitlines()]
    return [texts[i % len(texts)] for i in range(n)]


def long_texts(data: Path, lengths: Sequence[int], seed: int = 0) -> list[str]:
    """Texts of exactly `lengths` characters: gold training records and case books in random order, one after another."""
    pool = [json.loads(line)["text"] for name in ("gold/train", "records/casebooks")
            for line in (data / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
    rng = random.Random(seed)
    out = []
    for length in lengths:
        parts, held = [], 0
        while held < length:
            parts.append(rng.choice(pool) + "\n")
            held += len(parts[-1])
        out.append("".join(parts)[:length])
    return out


def long_lengths(n: int, longest: int, extra: Sequence[int] = ()) -> list[int]:
    """`n` lengths from 2,001 to `longest`, each as many times longer than the last, and `extra`."""
    steps = [round(2001 * (longest / 2001) ** (i / max(1, n - 1))) for i in range(n)]
    return [*steps, *extra]


# ---------------------------------------------------------------- opening

def _open(system: dict[str, Any], threads: int, image_root: str | None = None,
          memory_limit_bytes: int | None = None) -> Callable[[Sequence[Record]], Any]:
    """`system`: {"cnn": {…}}, or the parts of `open_system`."""
    from benchmarks.paper import systems

    if threads and "torch" in system.get("needs", ()):
        import torch

        torch.set_num_threads(threads)
    if "cnn" in system:
        cnn = system["cnn"]
        return systems.open_cnn(Path(cnn["data"]), Path(cnn["cache"]), cnn["n_passes"], cnn["seed"])
    paths = {part: Path(system[part]) if system.get(part) else None for part in ("text", "photo", "fusion")}
    return systems.open_system(paths.pop("text"), **paths, trimmed=system.get("trimmed", True), threads=threads,
                               image_root=Path(image_root) if image_root else None, memory_limit_bytes=memory_limit_bytes)


def _records(texts: Sequence[str], photos: Sequence[str]) -> list[Record]:
    return [Record(f"r{i}", text, image=photos[i % len(photos)] if photos else None) for i, text in enumerate(texts)]


def _photos(image_root: str | None) -> list[str]:
    return sorted(p.name for p in Path(image_root).glob("*.jpg")) if image_root else []


def _counted_from_here() -> int:
    """Resident set now; the largest is counted from here where the system allows it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return resident_bytes()


# ---------------------------------------------------------------- jobs

def build(name: str, out: str, fusion_run: str | None = None) -> dict[str, Any]:
    """Writes a model folder of `systems.build`."""
    from benchmarks.paper.systems import build as write

    write(name, Path(out), Path(fusion_run) if fusion_run else None)
    return {}


def size(folders: Sequence[str], weights: Sequence[str] = ()) -> dict[str, Any]:
    """Parameters and bytes of model folders, and of safetensors files beside them."""
    from benchmarks.paper.systems import n_parameters

    parameters = sum(n_parameters(p) for folder in folders for p in sorted(Path(folder).glob("*.onnx")))
    taken = sum(p.stat().st_size for folder in folders for p in Path(folder).iterdir() if p.is_file())
    if weights:
        from safetensors import safe_open

        for file in weights:
            with safe_open(file, "pt") as kept:
                parameters += sum(math.prod(kept.get_slice(name).get_shape()) for name in list(kept.keys()))
            taken += Path(file).stat().st_size
    return {"n_parameters": parameters, "disk_bytes": taken}


def accuracy(system: dict[str, Any], data: str, threads: int, n_boot: int, image_root: str | None = None,
             n: int | None = None) -> dict[str, Any]:
    """Strict F1 of entities and micro-F1 of fields on gold dev, [value, low, high] by document bootstrap."""
    from tcmstruct.evaluation import evaluate, read_annotated

    gold = read_annotated(Path(data) / "gold" / "dev.jsonl")[:n]
    structure = _open(system, threads, image_root)
    photos = _photos(image_root)
    found = structure([Record(g.id, g.text, image=photos[i % len(photos)] if photos else None) for i, g in enumerate(gold)])
    result = evaluate(gold, list(found), count_all=True, n_boot=n_boot)
    figures = {"entity_strict_f1": result.entities["strict"].f1, "field_micro_f1": result.fields.micro.f1 if result.fields else None}
    return {"n_records": len(gold), **{name: None if e is None else [e.value, e.low, e.high] for name, e in figures.items()}}


def speed(system: dict[str, Any], data: str, threads: int, n: int, repeats: int, image_root: str | None = None) -> dict[str, Any]:
    """Records/s of each pass over `n` records in the chunks of `convert`, and memory."""
    from tcmstruct.batch.chunks import chunked
    from tcmstruct.batch.run import WINDOW

    structure = _open(system, threads, image_root)
    photos = _photos(image_root)
    records = _records(gold_texts(Path(data), n), photos)
    structure(_records([_SHORT], photos))
    loaded = _counted_from_here()
    rates = []
    for _ in range(repeats):
        began, seen = time.perf_counter(), 0
        for chunk in chunked(records, WINDOW, WINDOW):
            seen += sum(r.tongue is not None for r in structure(chunk))
        rates.append(n / (time.perf_counter() - began))
    return {"records_s": rates, "loaded_mb": loaded / _MB, "peak_mb": peak_resident_bytes() / _MB, "n_records": n,
            "n_chars": sum(len(r.text) for r in records), "photos_used": seen}


def encoder(data: str, threads: int, n: int, repeats: int) -> dict[str, Any]:
    """The shipped text network's session alone: records/s and counted operations a second of every pass."""
    from benchmarks.paper.systems import products
    from tcmstruct.runtime.model_folder import open_folder
    from tcmstruct.runtime.tagger import OnnxTagger

    folder = open_folder()
    tagger = OnnxTagger(folder, threads)
    feeds = list(tagger.feeds(gold_texts(Path(data), n)))
    chars = sum(next(iter(feed.values())).size for feed in feeds)
    per_char = products(folder.path / "model.onnx")
    tagger._session.run(["scores"], feeds[-1])
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        for feed in feeds:
            tagger._session.run(["scores"], feed)
        seconds.append(time.perf_counter() - began)
    return {"records_s": [n / s for s in seconds], "flops_s": [per_char * chars / s for s in seconds], "flops_per_char": per_char,
            "backend": f"onnxruntime, {folder.card.get('precision', 'as shipped')}"}


def stability(system: dict[str, Any], data: str, threads: int, lengths: Sequence[int], limit_bytes: int,
              image_root: str | None = None) -> dict[str, Any]:
    """Long records, one after another, under a memory limit.

    A record fails where it is rejected, where it was not read to its end (no mention in its last 2,000 characters), or where the
    process held more than the limit while it was read.
    """
    from tcmstruct.batch.chunks import structure_chunk

    trimmed = system.get("trimmed", True)
    last: dict[str, int] = {}
    open_one = _open(system, threads, image_root, limit_bytes if trimmed else None)  # fixed batches know no limit

    def structure(records: Sequence[Record]) -> Any:
        found = open_one(records)
        last.update({r.id: max((m.end for m in r.entities), default=0) for r in found})
        return found

    photos = _photos(image_root)
    structure(_records([_SHORT], photos))
    reasons: dict[str, int] = {}
    peaks, seconds = [], []
    for record in _records(long_texts(Path(data), lengths), photos):
        _counted_from_here()
        last.clear()
        began = time.perf_counter()
        result = structure_chunk(structure, [record])
        seconds.append(time.perf_counter() - began)
        peaks.append(peak_resident_bytes() / _MB)
        reason = (result.rejects[0].code if result.rejects else "over_the_limit" if peaks[-1] * _MB > limit_bytes
                  else "end_not_read" if last[record.id] < len(record.text) - 2000 else None)
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        print(f"  {len(record.text):,} characters: {reason or 'ok'}, {peaks[-1]:.0f} MB, {seconds[-1]:.1f} s", file=sys.stderr, flush=True)
    return {"n_records": len(lengths), "n_failed": sum(reasons.values()), "reasons": reasons, "longest": max(lengths),
            "peak_mb": max(peaks), "chars_s": sum(lengths) / sum(seconds)}


def fusion(folder: str, n: int) -> dict[str, Any]:
    """Time and memory of one fusion: `n` records of 350 characters, each under a photo, all numbers random."""
    import statistics

    import numpy as np

    from tcmstruct.runtime.fusion import Fusion, Reading

    net = Fusion(Path(folder))
    shapes = {i.name: i.shape for i in net._session.get_inputs()}
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((350, shapes["hidden"][1]), np.float32)
    places, quality = rng.random(shapes["places"], np.float32), rng.random(shapes["quality"], np.float32)

    def read() -> None:
        reading = Reading(places, quality)
        net.read(reading, hidden, 0)
        net.answers(reading)

    before = _counted_from_here()
    read()
    times = []
    for _ in range(n):
        began = time.process_time()
        read()
        times.append(1000 * (time.process_time() - began))
    return {"ms": statistics.median(times), "added_mb": (peak_resident_bytes() - before) / _MB}


def heads(**job: Any) -> dict[str, Any]:
    """See `heads.train`."""
    from benchmarks.paper.heads import train

    return train(**job)


def teachers(**job: Any) -> dict[str, Any]:
    """See `optimclm.measure`."""
    from benchmarks.paper.optimclm import measure

    return measure(**job)


JOBS: dict[str, Callable[..., dict[str, Any]]] = {"build": build, "size": size, "accuracy": accuracy, "speed": speed,
                                                  "stability": stability, "encoder": encoder, "fusion": fusion, "heads": heads,
                                                  "teachers": teachers}

if __name__ == "__main__":
    main()

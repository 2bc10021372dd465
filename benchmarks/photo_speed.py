"""Speed and memory of a tongue photograph, alone and beside its text, and of the paper's networks in the same harness.

    python -m benchmarks.photo_speed [--quick] [--repeats 5] [--seconds 5] [--parts path,networks,records] [--weights LITE0.pth]

Needs nothing but the repository: photographs of 12 megapixels are drawn (tests/fakes), texts come from examples/records.csv.
Part `networks` also needs torch and timm (extra image-train) to write the other networks; without them it says so.

path       a JPEG to attributes with the shipped networks: photos/s of one process and of one process per core, CPU time by
           step, memory, size on disk; also with photos without grain, whose files are smaller
networks   the same path, the attribute network exchanged for another (one linear read-out of as many scores, no places and
           no numbers beside it). Speed does not depend on what weights hold: they are random, nothing there is trained
records    a text of 330–370 characters with a photograph of its own, through `Structurer.structure`

A rate is what processes of one thread do side by side for some seconds, counted after they have warmed up. In every repeat
each case is measured once, in another order, beside the machine's fp32 ceiling of that moment; a figure is the median over
the repeats (lowest–highest), a ratio the median of the repeats' own ratios. Memory: the most that a fresh process held less
what it held before. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import importlib.util
import json
import multiprocessing
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
PHOTOS_PER_TFLOPS, RECORDS_PER_TFLOPS, MOST_ADDED_MB, MOST_MODEL_MB = 150, 110, 250, 12
NETWORKS = {"ResNet-50": "resnet50", "MobileNetV2": "mobilenetv2_100", "EfficientNet-B0": "efficientnet_b0",
            "EfficientNet-Lite0, all stages": "tf_efficientnet_lite0"}
"""Name → timm's; the first three are the paper's rows."""
LITE0 = "tf_efficientnet_lite0"
OURS = "ours"
HEIGHT_PX, WIDTH_PX = 4000, 3000
GRAIN, NO_GRAIN = 4.0, 0.0
"""Sigma of the sensor's noise, of 255: what fills a phone's file, and so what decoding costs."""
STEPS = {"decode": "decode, scaled", "segment": "outline", "measure_quality": "gate", "correct_cast": "colour of the light",
         "crop_tongue": "crop", "attributes": "attributes", "network": "– of it the network", "measure": "measures"}
"""Function on the way → its row."""
WAIT_S = 300


# ---------------------------------------------------------------- photographs and texts

def write_photos(folder: Path, n: int, grain: float, seed: int = 0) -> list[Path]:
    """`n` upright JPEGs of 12 megapixels, no two alike; four tongues, drawn at a quarter and enlarged under the grain."""
    sys.path.insert(0, str(ROOT / "tests" / "fakes"))
    import cv2
    from drawn_tongue import DrawnTongue, draw
    from PIL import Image

    looks = ({"coating": "黄", "cracks": 2}, {"coating": "白", "tooth_marks": 4}, {"body": "红", "coating": "淡黄"}, {"body": "淡白"})
    folder.mkdir(parents=True)
    drawn = [cv2.resize(draw(DrawnTongue(HEIGHT_PX // 4, WIDTH_PX // 4, size=0.55, seed=seed + k, **look))[0], (WIDTH_PX, HEIGHT_PX),
                        interpolation=cv2.INTER_CUBIC) for k, look in enumerate(looks[:n])]
    paths = []
    for i in range(n):
        noise = np.random.default_rng(seed + i).standard_normal((HEIGHT_PX, WIDTH_PX, 1), np.float32)
        pixels = np.clip(drawn[i % len(drawn)] + grain * noise + i // len(drawn), 0, 255).astype(np.uint8)
        paths.append(folder / f"{i}.jpg")
        Image.fromarray(pixels).save(paths[-1], quality=90, subsampling=2)
    return paths


def invented_texts(n: int, seed: int = 0) -> list[str]:
    """`n` texts of 330–370 characters: invented records of examples/, followed by sentences of others."""
    with open(ROOT / "examples" / "records.csv", encoding="utf-8-sig", newline="") as file:
        pool = [[s + "。" for s in row["病历内容"].split("。") if s] for row in csv.DictReader(file)]
    rng = random.Random(seed)
    out = []
    for i in range(n):
        text = "".join(pool[i % len(pool)])
        while len(text) < 330:
            text += rng.choice(rng.choice(pool))
        out.append(text[:370])
    return out


# ---------------------------------------------------------------- other networks

def write_networks(work: Path, weights: Path | None) -> dict[str, Path]:
    """Name → model folder: the shipped outline network and card, and as attribute network one of `NETWORKS`."""
    import timm
    import torch

    from tcmstruct.image.tongue_model import TONGUE_FOLDER

    card = json.loads((TONGUE_FOLDER / "card.json").read_text(encoding="utf-8"))
    n_scores = sum(len(head["classes"]) for head in card["heads"].values())
    torch.manual_seed(0)
    folders = {}
    for name, of_timm in NETWORKS.items():
        net = timm.create_model(of_timm, num_classes=n_scores)
        if of_timm == LITE0 and weights is not None:
            from tcmstruct.model.image_encoder import lite0_state

            net.load_state_dict({k: v for k, v in lite0_state(weights).items() if not k.startswith("classifier")}, strict=False)
        folders[name] = work / of_timm
        shutil.copytree(TONGUE_FOLDER, folders[name])
        _export(net, folders[name] / "attributes.onnx")
        files = {p.name: {"sha256": hashlib.sha256(p.read_bytes()).hexdigest(), "bytes": p.stat().st_size}
                 for p in sorted(folders[name].iterdir()) if p.name != "manifest.json"}
        (folders[name] / "manifest.json").write_text(json.dumps({"format": 1, "files": files}), encoding="utf-8")
    return folders


def _export(net: Any, path: Path) -> None:
    """(1, 224, 224, 3) uint8 → (1, scores); one file, fp32."""
    import warnings

    import torch

    class OfPixels(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, crops: torch.Tensor) -> torch.Tensor:
            return self.net((crops.float() / 127.5 - 1).permute(0, 3, 1, 2))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(OfPixels().eval(), (torch.zeros(1, 224, 224, 3, dtype=torch.uint8),), str(path), dynamo=True, verbose=False,
                          external_data=False, input_names=["crops"], output_names=["scores"])


def parameters(network: Path) -> int:
    """Numbers that an ONNX file holds, constants of the graph left out."""
    import onnx

    return sum(int(np.prod(t.dims)) for t in onnx.load(str(network)).graph.initializer if t.dims and t.data_type in (1, 10))


def missing_for_networks() -> str | None:
    """Why part `networks` cannot be measured here, or None."""
    absent = [name for name in ("torch", "timm", "onnx", "onnxscript") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} not installed (pip install 'tcmstruct[image-train]')" if absent else None


# ---------------------------------------------------------------- one process

@dataclass(frozen=True)
class Job:
    """What a process does again and again.

    Attributes:
        photos: paths. texts: with them, or alone.
        folder: model folder with a network of `NETWORKS`; None takes the shipped one.
        seconds: for how long, after one round to warm up.
    """

    photos: Sequence[Path] = ()
    texts: Sequence[str] = ()
    folder: Path | None = None
    seconds: float = 5.0


@dataclass
class Ran:
    """count in seconds; steps: CPU ms of each; cpu_ms: of the process per item; added_mb: memory; passed: photos the gate passed."""

    count: int
    seconds: float
    cpu_ms: float
    steps: dict[str, float]
    added_mb: float | None
    passed: int


def work(job: Job, number: int = 0, together: Callable[[], object] = lambda: None, timed: bool = False) -> Ran:
    """Loads what the job needs, warms up, meets the other processes, and runs.

    Args:
        number: of this process; each begins at another photo.
        timed: times the steps too, which costs a little.
    """
    before = _memory_mb("VmRSS")
    act, steps, size = _loaded(job, timed)
    n = max(len(job.photos), len(job.texts))
    passed = sum(act(i) for i in range(n if timed else 2))
    for values in steps.values():
        values.clear()
    together()
    count, began, cpu = 0, time.perf_counter(), time.process_time()
    while count < 3 or time.perf_counter() - began < job.seconds:
        act((number * 3 + count) % n)
        count += size
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    most = _memory_mb("VmHWM")
    return Ran(count, seconds, 1000 * cpu / count, {name: statistics.median(v) for name, v in steps.items() if v},
               None if before is None or most is None else most - before, passed)


TOGETHER = 16
"""Records that are structured together, as a chunk of `convert` is."""


def _loaded(job: Job, timed: bool) -> tuple[Callable[[int], int], dict[str, list[float]], int]:
    """What is to be done from item i on (how many photos passed the gate), where its steps are noted, and how many items it does."""
    steps: dict[str, list[float]] = {}
    if job.texts:
        from tcmstruct import Structurer
        from tcmstruct.record import Record

        structurer = Structurer(threads=1, image_root=job.photos[0].parent if job.photos else None)

        def structure(i: int) -> int:
            numbers = range(i, i + TOGETHER)
            images = [job.photos[k % len(job.photos)].name if job.photos else None for k in numbers]
            records = [Record(str(k), job.texts[k % len(job.texts)], image=image) for k, image in zip(numbers, images, strict=True)]
            return sum(result.tongue is not None for result in structurer.structure_many(records))

        return structure, steps, TOGETHER
    from tcmstruct.image import examine

    examiner = examine.TongueExaminer(job.folder, threads=1)
    if job.folder is not None:
        _read_out(examiner.model)
    if timed:
        for name in ("decode", "measure_quality", "correct_cast", "crop_tongue", "measure"):
            setattr(examine, name, _noted(getattr(examine, name), steps.setdefault(name, [])))
        for name in ("segment", "attributes"):
            setattr(examiner.model, name, _noted(getattr(examiner.model, name), steps.setdefault(name, [])))
        session = examiner.model._attributes
        session.run = _noted(session.run, steps.setdefault("network", []))
    return lambda i: examiner.examine(job.photos[i % len(job.photos)]).quality.status == "ok", steps, 1


def _noted(function: Callable, times_ms: list[float]) -> Callable:
    def run(*args: Any, **options: Any) -> Any:
        began = time.process_time()
        out = function(*args, **options)
        times_ms.append(1000 * (time.process_time() - began))
        return out
    return run


def _read_out(model: Any) -> None:
    """Another network sees the same crop, and nothing beside it; its grid for the text to attend to is empty of content."""
    from tcmstruct.image.tongue_model import Seen, network_input

    def attributes(crops: Sequence[Any]) -> list[Seen]:
        scores = [model._attributes.run(None, {"crops": network_input(c)[None]})[0][0] for c in crops]
        return [Seen(model.answers(s), np.zeros((49, 112), np.float32)) for s in scores]

    model.attributes = attributes


def _memory_mb(name: str) -> float | None:
    """VmRSS or VmHWM of this process; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":")), None)


# ---------------------------------------------------------------- processes side by side

def side_by_side(job: Job, processes: int, timed: bool = False) -> list[Ran]:
    """Fresh processes of one thread each, which begin together.

    Raises:
        SystemExit: one of them failed or did not answer.
    """
    context = multiprocessing.get_context("spawn")
    barrier, answers = context.Barrier(processes), context.Queue()
    with _one_thread():
        team = [context.Process(target=_member, args=(job, i, barrier, answers, timed), daemon=True) for i in range(processes)]
        for member in team:
            member.start()
    try:
        ran = [answers.get(timeout=WAIT_S + job.seconds) for _ in team]
    except Exception as error:
        raise SystemExit(f"a process did not answer within {WAIT_S:.0f} s ({type(error).__name__})") from None
    finally:
        for member in team:
            member.join(10)
    if failed := [r for r in ran if isinstance(r, str)]:
        raise SystemExit(f"a process failed: {failed[0]}")
    return ran


def _member(job: Job, number: int, barrier: Any, answers: Any, timed: bool) -> None:
    try:
        answers.put(work(job, number, lambda: barrier.wait(WAIT_S), timed))
    except BaseException as error:
        barrier.abort()
        answers.put(f"{type(error).__name__}: {error}")
        raise


@contextmanager
def _one_thread() -> Iterator[None]:
    """Processes started here have libraries of one thread; this one keeps its own for the ceiling."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    kept = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, "1"))
    try:
        yield
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def rate(ran: Sequence[Ran]) -> float:
    """Items a second of processes side by side."""
    return sum(r.count / r.seconds for r in ran)


# ---------------------------------------------------------------- repeats

@dataclass(frozen=True)
class Case:
    """A job on one process with its steps timed, or on all cores."""

    name: str
    job: Job
    all_cores: bool = False


@dataclass
class Results:
    """Case → one entry per repeat; ceilings: TFLOP/s beside it."""

    cores: int
    rates: dict[str, list[float]] = field(default_factory=dict)
    runs: dict[str, list[Ran]] = field(default_factory=dict)
    ceilings: list[float] = field(default_factory=list)

    def per_ceiling(self, name: str) -> list[float]:
        return [r / c for r, c in zip(self.rates[name], self.ceilings, strict=True)]

    def against(self, name: str, other: str) -> list[float]:
        return [a / b for a, b in zip(self.rates[name], self.rates[other], strict=True)]

    def step_ms(self, name: str, step: str) -> list[float]:
        return [r.steps[step] for r in self.runs[name] if step in r.steps]


def measure_cases(cases: Sequence[Case], repeats: int, ceiling: Callable[[], float], cores: int,
                  measure: Callable[..., list[Ran]] = side_by_side) -> Results:
    """Every case once in each repeat, in an order of its own; the ceiling before and after, and their mean counted."""
    results = Results(cores)
    for repeat in range(repeats):
        before = ceiling()
        for case in random.Random(repeat).sample(list(cases), len(cases)):
            print(f"repeat {repeat + 1} of {repeats}: {case.name}", file=sys.stderr)
            ran = measure(case.job, cores if case.all_cores else 1, timed=not case.all_cores)
            results.rates.setdefault(case.name, []).append(rate(ran))
            results.runs.setdefault(case.name, []).extend(ran)
        results.ceilings.append((before + ceiling()) / 2)
    return results


# ---------------------------------------------------------------- tables

def figure(values: Sequence[float], digits: int = 1) -> str:
    """Median (lowest–highest)."""
    if not values:
        return "–"
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def verdict(value: float | None, target: float, least: bool) -> str:
    """≥ 150: met. `least`: the target is the least that is asked, else the most."""
    sign = "≥" if least else "≤"
    if value is None:
        return f"{sign} {target}: not measurable here"
    return f"{sign} {target}: {'met' if (value >= target if least else value <= target) else 'missed'}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """First row is the head; the first column is text, the others are figures."""
    head, *body = rows
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---", *["--:"] * (len(head) - 1)], *body))


def added(runs: Sequence[Ran]) -> float | None:
    """Most memory that a process of these added, MB."""
    known = [r.added_mb for r in runs if r.added_mb is not None]
    return max(known) if known else None


def path_table(results: Results, model_mb: float, sizes: Mapping[str, float]) -> str:
    """Figures of the shipped path, and of it with smaller files."""
    one, all_ = f"{OURS}, one process", f"{OURS}, all cores"
    ratios = results.per_ceiling(all_)
    memory = added(results.runs[one])
    rows = [["photo path, shipped networks", "median (lowest–highest)", "target"],
            ["photos/s, one process of one thread", figure(results.rates[one]), ""],
            [f"photos/s, one process per core ({results.cores})", figure(results.rates[all_]), ""],
            ["photos/s per TFLOP/s, one process per core", figure(ratios, 0), verdict(statistics.median(ratios), PHOTOS_PER_TFLOPS, True)]]
    if "smooth" in sizes:
        rows.append([f"the same, photos without grain ({sizes['smooth']:.1f} MB)", figure(results.per_ceiling("smooth, all cores"), 0), ""])
    rows.append(["memory added, MB, libraries included", _whole(memory), verdict(memory, MOST_ADDED_MB, False)])
    return markdown([*rows, ["networks on disk, MB", f"{model_mb:.1f}", verdict(model_mb, MOST_MODEL_MB, False)]])


def steps_table(results: Results) -> str:
    """CPU ms by step in one process of one thread."""
    labels = {f"{OURS}, one process": "photo", "smooth, one process": "photo without grain"}
    names = [(name, label) for name, label in labels.items() if name in results.runs]
    rows = [["step, CPU ms", *(label for _, label in names)]]
    rows += [[label, *(figure(results.step_ms(name, step)) for name, _ in names)] for step, label in STEPS.items()]
    return markdown([*rows, ["all", *(figure([r.cpu_ms for r in results.runs[name]]) for name, _ in names)]])


def networks_table(results: Results, facts: Mapping[str, tuple[int | None, float, str]]) -> str:
    """facts: name → parameters, MB on disk, where its weights come from."""
    rows = [["attribute network", "weights", "parameters, M", "on disk, MB", "network, CPU ms", "attributes, CPU ms",
             "photos/s, one process", "photos/s, all cores", "per TFLOP/s", "ours is faster", "memory added, MB", "macro-F1"]]
    for name, (count, size_mb, weights) in facts.items():
        one, all_ = f"{name}, one process", f"{name}, all cores"
        faster = "" if name == OURS else f"× {figure(results.against(f'{OURS}, all cores', all_), 2)}"
        rows.append([name, weights, "–" if count is None else f"{count / 1e6:.2f}", f"{size_mb:.1f}",
                     figure(results.step_ms(one, "network")), figure(results.step_ms(one, "attributes")), figure(results.rates[one]),
                     figure(results.rates[all_]), figure(results.per_ceiling(all_), 0), faster, _whole(added(results.runs[one])),
                     "see docs/results.md" if name == OURS else "not trained"])
    return markdown(rows)


def records_table(results: Results) -> str:
    """Texts with and without a photograph."""
    ratios = results.per_ceiling("text and photo, all cores")
    both, text = added(results.runs["text and photo, one process"]), added(results.runs["text, one process"])
    more = None if both is None or text is None else both - text
    return markdown([
        ["records", "median (lowest–highest)", "target"],
        ["text alone, records/s, one process", figure(results.rates["text, one process"]), ""],
        [f"text alone, records/s, one process per core ({results.cores})", figure(results.rates["text, all cores"]), ""],
        ["text and photo, records/s, one process", figure(results.rates["text and photo, one process"]), ""],
        [f"text and photo, records/s, one process per core ({results.cores})", figure(results.rates["text and photo, all cores"]), ""],
        ["text and photo, records/s per TFLOP/s, one process per core", figure(ratios, 0),
         verdict(statistics.median(ratios), RECORDS_PER_TFLOPS, True)],
        ["memory that photos add to a process of texts, MB", _whole(more), verdict(more, MOST_ADDED_MB, False)]])


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:.0f}"


# ---------------------------------------------------------------- command

def busy_cores(most: float = 0.3) -> float:
    """Cores that others kept busy during the last minute; 0 for a quiet machine, or one that does not say."""
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return busy if busy > most else 0.0


def both(name: str, job: Job) -> list[Case]:
    return [Case(f"{name}, one process", job), Case(f"{name}, all cores", job, all_cores=True)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two repeats of a second and four photos: to see that it runs")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--photos", type=int, default=16)
    parser.add_argument("--parts", default="path,networks,records")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of EfficientNet-Lite0, see docs/tongue-networks.md")
    arguments = parser.parse_args()
    repeats, seconds, n_photos = (2, 1.0, 4) if arguments.quick else (arguments.repeats, arguments.seconds, arguments.photos)
    parts = arguments.parts.split(",")
    if unknown := set(parts) - {"path", "networks", "records"}:
        parser.error(f"unknown part {', '.join(sorted(unknown))}; allowed: path, networks, records")
    from benchmarks.machine import matrix_ceiling, print_machine
    from tcmstruct.image.tongue_model import TONGUE_FOLDER

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    print_machine()
    if busy := busy_cores():
        print(f"\n**Not valid as speed: {busy:.1f} cores were busy with other work before this began; ratios within the run at most.**")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        photos = write_photos(folder / "photos", n_photos, GRAIN)
        sizes = {"photo": _mean_mb(photos)}
        texts = invented_texts(64)
        cases = both(OURS, Job(photos, seconds=seconds)) if {"path", "networks"} & set(parts) else []
        facts = {OURS: (_parameters(TONGUE_FOLDER), _folder_mb(TONGUE_FOLDER), "trained")}
        if "path" in parts:
            smooth = write_photos(folder / "smooth", n_photos, NO_GRAIN)
            sizes["smooth"] = _mean_mb(smooth)
            cases += both("smooth", Job(smooth, seconds=seconds))
        missing = missing_for_networks()
        if "networks" in parts and missing is None:
            for name, model in write_networks(folder, arguments.weights).items():
                start = "ImageNet" if NETWORKS[name] == LITE0 and arguments.weights else "random"
                facts[name] = (_parameters(model), _folder_mb(model), f"{start}, not trained here")
                cases += both(name, Job(photos, folder=model, seconds=seconds))
        if "records" in parts:
            cases += both("text", Job(texts=texts, seconds=seconds))
            cases += both("text and photo", Job(photos, texts, seconds=seconds))
        results = measure_cases(cases, repeats, matrix_ceiling, cores)
    print(f"\nfp32 matrix ceiling of the machine, all {cores} cores: {figure(results.ceilings, 3)} TFLOP/s, median of {repeats} repeats. "
          f"Photos: {n_photos} drawn JPEGs of {WIDTH_PX} × {HEIGHT_PX}, {sizes['photo']:.1f} MB each.")
    for name in (f"{OURS}, one process", "smooth, one process", "text and photo, one process"):
        if name in results.runs and (passed := results.runs[name][0].passed) < n_photos:
            print(f"\n**Not valid: the gate passed {passed} of {n_photos} photos ({name}), the others end there.**")
    if "path" in parts:
        print(f"\n### Photo path\n\n{path_table(results, facts[OURS][1], sizes)}\n\n{steps_table(results)}")
    if "networks" in parts:
        print(f"\n### The attribute network exchanged, the path around it the same\n\n{networks_table(results, facts)}")
        print("\nSizes include the outline network. The others' weights are fp32 in the file, ours fp16; all compute in fp32. "
              "Parameters: with batch normalisation folded in. No weights of the paper's networks "
              "were at hand: their speed is measured, their macro-F1 is not."
              if missing is None else f"\nThe other networks are not measured: {missing}.")
    if "records" in parts:
        print(f"\n### Text and photo together\n\n{records_table(results)}\n\nTexts: {len(texts)} invented ones of "
              f"{statistics.mean(map(len, texts)):.0f} characters on average, {TOGETHER} records together.")


def _mean_mb(paths: Sequence[Path]) -> float:
    return statistics.mean(p.stat().st_size for p in paths) / 1e6


def _folder_mb(folder: Path) -> float:
    return sum(p.stat().st_size for p in folder.glob("*.onnx")) / 1e6


def _parameters(folder: Path) -> int | None:
    return parameters(folder / "attributes.onnx") if importlib.util.find_spec("onnx") else None


if __name__ == "__main__":
    main()

"""OptimCLM's row: the shipped model against the ensemble of its teachers and against the best of them.

All read the same texts from raw text to mentions through the same windows and the same decoding. Teachers run in torch (fp32), as
they were trained; a second line runs them exported to ONNX (fp32) by onnxruntime, which is the fairer rival.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper.figures import estimate, markdown, millions, number, over_seeds
from benchmarks.paper.run import PACKAGE, ROOT, SCORING, TEXT_PROGRAM, Run
from benchmarks.paper.store import NotMeasured, content_of
from tcmstruct.runtime.tagger import WindowScores

MOST_LOST, LEAST_SMALLER, LEAST_FASTER = 2.0, 23, 29
SHIPPED = "shipped student, int8, onnxruntime"
FILES, LEXICON = ("weights.safetensors", "config.json", "characters.txt"), "lexicon.txt"
TERMS = ROOT / "vocab" / "manifest.json"
_MB = 1_000_000


# ---------------------------------------------------------------- table

def optimclm_table(run: Run) -> str:
    """F1, disk, latency and throughput of student, best teacher and ensemble; ratios with their intervals."""
    if not run.teachers:
        raise NotMeasured("give --teachers, checkpoint folders of the teachers")
    s = run.settings
    files = [[f / name for name in FILES] + [f / LEXICON] * (f / LEXICON).is_file() for f in run.teachers]
    weights = {**{f"teacher {i + 1}": content_of(of_one)
                  for i, of_one in enumerate(files)}, "terms": content_of([TERMS]),
               "text": run.weights["text"], "gold": run.weights["gold"]}
    uses = (measure, compared, best_of, TorchTeachers, OnnxTeachers, PACKAGE / "model", PACKAGE / "training" / "teachers.py",
            PACKAGE / "compression" / "export.py", *TEXT_PROGRAM)
    teachers = list(map(str, run.teachers))
    scores = run.cell("8", "teachers", "accuracy", lambda: run.child("teachers", part="accuracy", teachers=teachers, data=str(run.data),
                                                                       threads=run.threads, n_boot=s.n_boot),
                      uses=(*uses, *SCORING), settings={"n_boot": s.n_boot}, weights=weights)
    times = run.cell("8", "teachers", "speed", lambda: run.child("teachers", part="speed", teachers=teachers, data=str(run.data),
                                                                   threads=run.threads, best=scores["best_teacher"], n=s.n_teacher_records,
                                                                   repeats=s.repeats_teachers),
                     uses=uses, settings={"n": s.n_teacher_records, "repeats": s.repeats_teachers, "best": scores["best_teacher"]},
                     weights=weights, timed=True)
    return table_of(scores, times, len(run.teachers))


def table_of(scores: Mapping[str, Any], times: Mapping[str, Any], n_teachers: int) -> str:
    """The table, and whether the issue's target is met."""
    head = ["system", "entity strict F1, gold dev", "F1 lost by the student", "parameters, M", "on disk, MB", "smaller", "ms a record",
            "faster, one by one", "records/s", "per TFLOP/s", "faster, in batch"]
    table, own = [head], scores["shipped"]
    for name, title in names(n_teachers).items():
        if name not in times:
            continue
        weights = name.removesuffix(", onnx")
        one, batch = times[name]["ms"], times[name]["records_s"]
        cells = [title, estimate(scores[weights]["f1"]), "", millions(scores[weights]["n_parameters"]),
                 number(scores[weights]["disk_bytes"] / _MB, 1), "", number(statistics.median(one), 1), "",
                 number(statistics.median(batch), 1), number(statistics.median(batch) / times["ceiling_tflops"]), ""]
        if name != "shipped":
            cells[2] = f"{100 * (scores[weights]['f1'][0] - own['f1'][0]):+.1f}"
            cells[5] = f"× {scores[weights]['disk_bytes'] / own['disk_bytes']:.1f}"
            cells[7] = ratio(one, times["shipped"]["ms"])
            cells[10] = ratio(times["shipped"]["records_s"], batch)
        table.append(cells)
    ensemble = scores["ensemble"]
    lost = 100 * (ensemble["f1"][0] - own["f1"][0])
    smaller = ensemble["disk_bytes"] / own["disk_bytes"]
    faster, fairly = (over_seeds([a / b for a, b in zip(times[name]["ms"], times["shipped"]["ms"], strict=True)])[0]
                      for name in ("ensemble", "ensemble, onnx"))
    return (markdown(table) + "\n\n" + f"Asked against the ensemble: at least {LEAST_SMALLER} × smaller and {LEAST_FASTER} × faster, at "
            f"most {MOST_LOST:.0f} points lost. Measured: × {smaller:.1f} ({_met(smaller >= LEAST_SMALLER)}), × {faster:.1f} one by one "
            f"({_met(faster >= LEAST_FASTER)}; with the teachers on onnxruntime too: × {fairly:.1f}), {lost:+.1f} points "
            f"({_met(lost <= MOST_LOST)}). Teachers' disk: their fp32 safetensors; the student's: its whole folder, term tables included. "
            f"Times are of text to mentions, median over {times['n_records']} gold records; speed-ups: mean of the ratios of "
            f"{len(times['shipped']['ms'])} alternating repetitions ± 95 %.")


def names(n_teachers: int) -> dict[str, str]:
    """Name of a measured system → its title; a single teacher is the ensemble of itself."""
    members = f"ensemble of {n_teachers} teachers" if n_teachers > 1 else "the only teacher"
    best = {"best": "best teacher, torch fp32", "best, onnx": "best teacher, onnxruntime fp32"} if n_teachers > 1 else {}
    return {"ensemble": f"{members}, torch fp32", "ensemble, onnx": f"{members}, onnxruntime fp32", **best, "shipped": f"**{SHIPPED}**"}


def ratio(above: Sequence[float], below: Sequence[float]) -> str:
    """Mean of the repetitions' ratios with its 95 % interval."""
    mean, half = over_seeds([a / b for a, b in zip(above, below, strict=True)])
    return f"× {mean:.1f}" + ("" if half is None else f" ± {half:.1f}")


def _met(met: bool) -> str:
    return "met" if met else "**missed**"


# ---------------------------------------------------------------- in the child

class TorchTeachers:
    """One teacher or an ensemble in torch; gives what `OnnxTagger.stream` gives.

    Args:
        model: `CharTagger` or `Ensemble`.
        channel: lexicon of those that have a channel, or None.
    """

    def __init__(self, model: Any, table: Any, channel: Any, max_chars: int, chars_per_batch: int = 3072) -> None:
        self.model, self.table, self.channel = model.eval(), table, channel
        self.max_chars, self.chars_per_batch = max_chars, chars_per_batch

    def stream(self, texts: Sequence[str]) -> Iterator[tuple[int, int, WindowScores]]:
        """(text number, window number, scores of the clinical readout), in batches of windows of like length."""
        import torch

        from tcmstruct.text.normalise import normalise
        from tcmstruct.text.windows import windows

        jobs = [(i, k, w, clean[w.start : w.end]) for i, clean in enumerate(map(normalise, texts))
                for k, w in enumerate(windows(clean, self.max_chars, self.max_chars // 4))]
        jobs.sort(key=lambda job: len(job[3]))
        at = 0
        while at < len(jobs):
            size = 1
            while at + size < len(jobs) and (size + 1) * len(jobs[at + size][3]) <= self.chars_per_batch:
                size += 1
            batch = jobs[at : at + size]
            at += size
            length = len(batch[-1][3])
            ids = np.zeros((size, length), np.int64)
            marks = np.zeros((size, length, self.channel.n_features), np.float32) if self.channel is not None else None
            for row, (_, _, _, clean) in enumerate(batch):
                ids[row, : len(clean)] = self.table.encode(clean)
                if marks is not None:
                    marks[row, : len(clean)] = self.channel.features(clean)
            with torch.inference_mode():
                out = self.model(torch.from_numpy(ids), None if marks is None else torch.from_numpy(marks), only="gold")
            tags, status = out.tags["gold"].numpy(), out.status.numpy()
            for row, (i, k, w, clean) in enumerate(batch):
                yield i, k, WindowScores(w, {"gold": tags[row, : len(clean)]}, status[row, : len(clean)])


class OnnxTeachers:
    """The same by onnxruntime: one session a teacher, scores averaged."""

    def __init__(self, taggers: Sequence[Any]) -> None:
        self.taggers = taggers

    def stream(self, texts: Sequence[str]) -> Iterator[tuple[int, int, WindowScores]]:
        for parts in zip(*(tagger.stream(texts) for tagger in self.taggers), strict=True):
            text_number, k, first = parts[0]
            if any(p[:2] != (text_number, k) for p in parts):
                raise AssertionError("teachers read the same windows in the same order")
            yield text_number, k, WindowScores(first.window, {"gold": np.mean([p[2].tags["gold"] for p in parts], 0)},
                                          np.mean([p[2].status for p in parts], 0))


def best_of(scores: Sequence[float]) -> int:
    """Number of the teacher with the highest F1, the first of equal ones."""
    return max(range(len(scores)), key=lambda i: (scores[i], -i))


def compared(read: Mapping[str, Callable[[Sequence[str]], Any]], texts: Sequence[str], repeats: int) -> dict[str, dict[str, list[float]]]:
    """System → "ms" (median over the texts, each alone) and "records_s" (all together) of every repetition; in each the systems come in
    another order, so that a ratio compares neighbours in time."""
    out: dict[str, dict[str, list[float]]] = {name: {"ms": [], "records_s": []} for name in read}
    for name in read:
        read[name](texts[:1])
    for repeat in range(repeats):
        for name in random.Random(repeat).sample(sorted(read), len(read)):
            alone = []
            for text in texts:
                began = time.perf_counter()
                read[name]([text])
                alone.append(1000 * (time.perf_counter() - began))
            began = time.perf_counter()
            read[name](texts)
            out[name]["ms"].append(statistics.median(alone))
            out[name]["records_s"].append(len(texts) / (time.perf_counter() - began))
    return out


def measure(part: str, teachers: Sequence[str], data: str, threads: int, n_boot: int = 0, best: int = 0, n: int = 0,
            repeats: int = 1) -> dict[str, Any]:
    """`part`: "accuracy" or "speed"."""
    import torch

    from benchmarks.paper.child import gold_texts

    torch.set_num_threads(threads)
    folders = list(map(Path, teachers))
    if part == "accuracy":
        return _accuracy(folders, Path(data), threads, n_boot)
    with tempfile.TemporaryDirectory() as temporary:
        read = {"shipped": _shipped(threads), "ensemble": _torch(folders), "ensemble, onnx": _onnx(folders, threads, Path(temporary))}
        if len(folders) > 1:
            read |= {"best": _torch([folders[best]]), "best, onnx": _onnx([folders[best]], threads, Path(temporary))}
        texts = gold_texts(Path(data), n)
        return {**compared(read, texts, repeats), "n_records": len(texts)}


def _accuracy(folders: Sequence[Path], data: Path, threads: int, n_boot: int) -> dict[str, Any]:
    from benchmarks.paper.systems import n_parameters
    from tcmstruct.evaluation import evaluate, read_annotated
    from tcmstruct.record import StructuredRecord
    from tcmstruct.runtime.model_folder import DEFAULT_FOLDER

    gold = read_annotated(data / "gold" / "dev.jsonl")

    def f1(read: Callable[[Sequence[str]], Any]) -> list[float | None]:
        found = [StructuredRecord(g.id, g.text, mentions) for g, mentions in zip(gold, read([g.text for g in gold]), strict=True)]
        e = evaluate(gold, found, count_all=True, n_boot=n_boot).entities["strict"].f1
        return [e.value, e.low, e.high]

    def weights(chosen: Sequence[Path]) -> dict[str, Any]:
        from tcmstruct.model.checkpoint import load_tagger

        return {"n_parameters": sum(p.numel() for folder in chosen for p in load_tagger(folder).parameters()),
                "disk_bytes": sum((folder / "weights.safetensors").stat().st_size for folder in chosen)}

    single = [f1(_torch([folder])) for folder in folders]
    best = best_of([s[0] or 0.0 for s in single])
    return {"best_teacher": best, "single": [s[0] for s in single], "best": {"f1": single[best], **weights([folders[best]])},
            "ensemble": {"f1": f1(_torch(folders)) if len(folders) > 1 else single[0], **weights(folders)},
            "shipped": {"f1": f1(_shipped(threads)), "n_parameters": n_parameters(DEFAULT_FOLDER / "model.onnx"),
                        "disk_bytes": sum(p.stat().st_size for p in DEFAULT_FOLDER.iterdir() if p.is_file())}}


def _shipped(threads: int) -> Callable[[Sequence[str]], Any]:
    """Text → mentions of the shipped model, with its thresholds."""
    from tcmstruct.pipeline import Structurer

    structurer = Structurer(threads=threads)
    return lambda texts: structurer.mentions.read(structurer.tagger.stream(texts), len(texts))


def _torch(folders: Sequence[Path]) -> Callable[[Sequence[str]], Any]:
    from tcmstruct.runtime.mentions import Calibration, MentionReader
    from tcmstruct.training.teachers import Ensemble

    model, table = Ensemble.load(folders)
    channel = next((found for f, t in zip(folders, model.teachers, strict=True) if (found := _lexicon(f, t)) is not None), None)
    reader = MentionReader(_card(model), Calibration())
    tagger = TorchTeachers(model, table, channel, _window(model))
    return lambda texts: reader.read(tagger.stream(texts), len(texts))


def _onnx(folders: Sequence[Path], threads: int, temporary: Path) -> Callable[[Sequence[str]], Any]:
    from tcmstruct.compression.export import export
    from tcmstruct.runtime.mentions import Calibration, MentionReader
    from tcmstruct.runtime.model_folder import open_folder
    from tcmstruct.runtime.tagger import OnnxTagger
    from tcmstruct.training.teachers import Ensemble

    model, _ = Ensemble.load(folders)
    window = _window(model)
    taggers = []
    for folder, teacher in zip(folders, model.teachers, strict=True):
        out = temporary / content_of([folder / FILES[0]])
        if not out.exists():
            export(folder, out, lexicon=_lexicon(folder, teacher), readouts=["gold"],
                   card={"name": "teacher", "review_below": {"field": 0.9, "entity": 0.9}}, window_chars=window,
                   window_overlap_chars=window // 4)
        taggers.append(OnnxTagger(open_folder(out), threads))
    reader = MentionReader(_card(model), Calibration())
    tagger = OnnxTeachers(taggers)
    return lambda texts: reader.read(tagger.stream(texts), len(texts))


def _lexicon(folder: Path, teacher: Any) -> Any:
    """The terms behind a teacher's lexicon channel: those beside it, else the term tables; None where it has no channel.

    Raises:
        ModelError: the channel is of another width.
    """
    from tcmstruct.errors import ModelError
    from tcmstruct.text.lexicon import Lexicon
    from vocab.reader import load_terms

    width = teacher.config.lexicon_features
    if not width:
        return None
    lexicon = Lexicon.load(folder / LEXICON) if (folder / LEXICON).is_file() else Lexicon.from_terms(load_terms())
    if lexicon.n_features != width:
        raise ModelError(f"its lexicon channel has {width} features, the terms give {lexicon.n_features}", where=str(folder),
                         hint="put the lexicon.txt that it was trained with beside it")
    return lexicon


def _window(model: Any) -> int:
    """Longest window, a multiple of 16, that every member has positions for."""
    return min(512 if t.config.encoder.kind == "conv" else (t.config.encoder.max_positions - 1) // 16 * 16 for t in model.teachers)


def _card(model: Any) -> dict[str, Any]:
    """What decoding needs to know of an ensemble: its mean CRF."""
    if "gold" not in model.crf:
        return {}
    tables = (table.tolist() for table in model.crf["gold"].tables())
    return {"transitions": {"gold": dict(zip(("first", "moves", "last"), tables, strict=True))}}

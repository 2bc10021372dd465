"""Tables 1 to 3: systems, the paper's entities, what each module gives."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.paper import child, systems
from benchmarks.paper.figures import NONE, difference, estimate, markdown, middle, millions, number, plus_minus
from benchmarks.paper.run import PACKAGE, PHOTO_PROGRAM, READING, ROOT, SCORING, TEXT_PROGRAM, Run, asked
from benchmarks.paper.store import NotMeasured, content_of
from benchmarks.paper.systems import ABLATION, PAPER_ROWS, SYSTEMS, Paper, System
from tcmstruct.image.tongue_model import TONGUE_FOLDER
from tcmstruct.runtime.fusion import FUSION_FOLDER
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER

ELSEWHERE = "paper: another data set and machine (a GPU)"
LIMIT_BYTES = 800_000_000
MOST_DISK_MB, MOST_PEAK_MB, LEAST_PER_TFLOPS, LEAST_SHARE = 20, 500, 540, 60
_MB = 1_000_000


# ---------------------------------------------------------------- table 1

def systems_table(run: Run) -> str:
    """F1, memory, speed, size of every system."""
    head = ["system", "entity strict F1, gold dev", "photo macro-F1", "peak, text, MB", "peak, text + photo, MB", "records/s, text",
            "per TFLOP/s", "records/s, text + photo", "per TFLOP/s", "parameters, M", "on disk, MB", f"F1, {ELSEWHERE}", "records/s, paper",
            "memory, paper"]
    rows, reasons = [head], []
    for name in PAPER_ROWS:
        system = SYSTEMS[name]
        accuracy, photo = asked(lambda n=name: run.accuracy(n)), asked(lambda s=system: _photo_side(run, s))
        text, both = (asked(lambda n=name, p=p: run.speed(n, p)) for p in (False, True))
        size = asked(lambda n=name: system_size(run, n))
        for what in (text, size):
            if isinstance(what, NotMeasured):
                reasons.append(f"{system.title}: {what}")
        rows.append([system.title, accuracy_text(accuracy), photo_text(photo), peak(text), peak(both), *rate(text), *rate(both),
                     *size_text(size), *paper_text(system.paper)])
    told = [markdown(rows), "", "F1 in points, 95 % by document bootstrap (trained here with several seeds: mean ± 95 % over them). "
            "Photo macro-F1: mean over 苔色, 舌色 and 腻 of simulated pairs, held out. Peak: largest resident set while reading, in a "
            f"process of its own with {run.threads} thread{'s' if run.threads > 1 else ''}. Networks that are not trained here have random "
            "weights and run through our program; trimming off: 32 windows a batch as they come, padded to the longest. Photographs: "
            f"drawn, 12 megapixels. CNN-BiLSTM-CRF: {run.settings.cnn_passes:g} passes over gold train. "
            f"{NONE}: not applicable, or not known to us; the paper gives F1, speed and memory of two rows alone."]
    told += ["", *(f"- {reason}" for reason in dict.fromkeys(reasons))] if reasons else []
    return "\n".join([*told, "", targets(run)])


def _photo_side(run: Run, system: System) -> dict[str, Any]:
    if system.photo is None or system.text == "no-lexicon":  # the held-out pairs were read by the text model as it is
        raise NotMeasured(NONE)
    if system.photo_trained is not None:
        raise NotMeasured(system.photo_trained)
    return run.photo_f1(system.gated)


def accuracy_text(results: Sequence[Mapping[str, Any]] | NotMeasured) -> str:
    """One result with its bootstrap interval; several seeds as mean ± interval."""
    if isinstance(results, NotMeasured):
        return str(results)
    if len(results) == 1:
        return estimate(results[0]["entity_strict_f1"])
    return plus_minus([r["entity_strict_f1"][0] for r in results], factor=100) + f" ({len(results)} seeds)"


def photo_text(result: Mapping[str, Any] | NotMeasured) -> str:
    return str(result) if isinstance(result, NotMeasured) else estimate(result["macro_f1"])


def peak(result: Mapping[str, Any] | NotMeasured) -> str:
    return NONE if isinstance(result, NotMeasured) else number(result["peak_mb"])


def rate(result: Mapping[str, Any] | NotMeasured) -> tuple[str, str]:
    """Records/s, and the same per TFLOP/s of the ceiling measured beside it."""
    if isinstance(result, NotMeasured):
        return NONE, NONE
    digits = 1 if statistics.median(result["records_s"]) >= 5 else 2
    return middle(result["records_s"], digits), number(statistics.median(result["records_s"]) / result["ceiling_tflops"], digits - 1)


def size_text(result: Mapping[str, Any] | NotMeasured) -> tuple[str, str]:
    if isinstance(result, NotMeasured):
        return NONE, NONE
    return millions(result["n_parameters"]), number(result["disk_bytes"] / _MB, 1)


def paper_text(paper: Paper) -> tuple[str, str, str]:
    return number(paper.f1, 1), number(paper.records_s), NONE if paper.memory_gb is None else f"{paper.memory_gb} GB"


def system_size(run: Run, name: str) -> dict[str, Any]:
    """Parameters and bytes of all that a system runs."""
    system = SYSTEMS[name]
    if system.text == "cnn-bilstm-crf":
        run.accuracy(name)  # trains it where it is not trained yet
        folders, files = [], sorted((run.work / "trained").glob("cnn_bilstm_crf/*/weights.safetensors"))[:1]
    else:
        own = run.opened(system)
        photo = [] if system.photo is None else [own["photo"] or TONGUE_FOLDER]
        joined = [own["fusion"] or FUSION_FOLDER] if system.photo == "shipped" and system.text == "shipped" else []
        folders, files = [own["text"] or DEFAULT_FOLDER, *photo, *joined], []
    return run.cell("1", name, "size", lambda: run.child("size", folders=list(map(str, folders)), weights=list(map(str, files))),
                    uses=(child.size, systems.n_parameters), settings={"folders": [Path(f).name for f in folders],
                                                                       "files": [f.parent.name for f in files]},
                    weights=run.weights_of(system, photos=True))


def targets(run: Run) -> str:
    """The issue's targets that table 1 answers: disk, peak of the command line, text speed per TFLOP/s."""
    rows = [["target of the shipped model", "asked", "measured", ""]]
    size = asked(lambda: system_size(run, "ours"))
    if not isinstance(size, NotMeasured):
        rows.append(target("text and photo on disk, MB", size["disk_bytes"] / _MB, MOST_DISK_MB, most=True, digits=1))
    both, text = (asked(lambda p=p: converted(run, photos=p)) for p in (True, False))
    if not isinstance(both, NotMeasured):
        rows.append(target("`convert` with photographs, peak of all its processes, MB", both["peak_mb"], MOST_PEAK_MB, most=True))
    if not isinstance(text, NotMeasured):
        rows.append(target("`convert`, text: records/s per TFLOP/s", statistics.median(text["records_s"]) / text["ceiling_tflops"],
                           LEAST_PER_TFLOPS, most=False))
        rows.append(target("`convert`, text: peak of all its processes, MB", text["peak_mb"], MOST_PEAK_MB, most=True))
    encoder = asked(lambda: encoding(run))
    if not isinstance(encoder, NotMeasured):
        share = statistics.median(encoder["flops_s"]) / 1e12 / encoder["ceiling_tflops"]
        rows.append([f"encoder alone: share of the fp32 matrix ceiling, % ({statistics.median(encoder['records_s']):.0f} records/s, "
                     f"{encoder['backend']})", f"≥ {LEAST_SHARE}", number(100 * share),
                     "met" if 100 * share >= LEAST_SHARE else "**missed**"])
    for what in (both, text):
        if isinstance(what, NotMeasured):
            rows.append(["`convert`", "", f"not measured: {what}", ""])
    return markdown(rows)


def target(name: str, value: float, bound: float, most: bool, digits: int = 0) -> list[str]:
    met = value <= bound if most else value >= bound
    return [name, f"{'≤' if most else '≥'} {bound}", number(value, digits), "met" if met else "**missed**"]


def converted(run: Run, photos: bool) -> dict[str, Any]:
    """`tcmstruct convert` on gold records, as it stands in the shell."""
    n, repeats = (4, 3) if not run.quick else (2, 1)

    def measure() -> dict[str, Any]:
        options = ("--no-report", *(("--image-root", str(run.photos)) if photos else ()))
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            one, many = folder / "one.jsonl", folder / "many.jsonl"
            names = child._photos(str(run.photos)) if photos else []
            records = child._records(child.gold_texts(run.data, n * run.settings.n_records), names)
            for path, chosen in ((one, records[:1]), (many, records)):
                _write_records(path, chosen)
            start = statistics.median(converting(one, folder / "out", *options)["wall_s"] for _ in range(repeats))
            ran = [converting(many, folder / "out", *options) for _ in range(repeats)]
        return {"records_s": [r["n"] / (r["wall_s"] - start) for r in ran], "peak_mb": max(r["peak_mb"] for r in ran) * 2**20 / _MB,
                "n_records": len(records)}

    return run.cell("1", "ours", "convert, text and photo" if photos else "convert, text", measure,
                    uses=(child.gold_texts, converted, *TEXT_PROGRAM, *(PHOTO_PROGRAM if photos else ()), PACKAGE / "batch"),
                    settings={"n": n * run.settings.n_records, "repeats": repeats, "photos": run.settings.n_photos if photos else 0},
                    weights=run.weights_of(SYSTEMS["ours"], photos), timed=True)


def converting(records: Path, out: Path, *options: str) -> dict[str, float]:
    """One run of the command line (`benchmarks.speed.convert`).

    Raises:
        NotMeasured: psutil is not installed, or the command failed.
    """
    try:
        from benchmarks.speed import convert
    except ImportError as missing:
        raise NotMeasured(f"{missing.name} is not installed (extra bench)") from None
    try:
        return convert(records, out, *options)
    except SystemExit as ended:
        raise NotMeasured(str(ended)) from None


def encoding(run: Run) -> dict[str, Any]:
    """The shipped text network alone, on the batches that gold records make."""
    n, repeats = run.settings.n_records, run.settings.repeats
    return run.cell("1", "ours", "encoder", lambda: run.child("encoder", data=str(run.data), threads=run.threads, n=n, repeats=repeats),
                    uses=(child.encoder, child.gold_texts, systems.products, PACKAGE / "runtime", PACKAGE / "text"),
                    settings={"n": n, "repeats": repeats}, weights=run.weights_of(SYSTEMS["ours"], photos=False), timed=True)


def _write_records(path: Path, records: Sequence[Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        for r in records:
            file.write(json.dumps({"id": r.id, "text": r.text, **({"image": r.image} if r.image else {})}, ensure_ascii=False) + "\n")


# ---------------------------------------------------------------- table 2

def entities_table(run: Run) -> str:
    """The paper's ten entities (`benchmarks.paper_entities`), the shipped model."""
    from benchmarks import paper_entities

    def measure() -> dict[str, Any]:
        from benchmarks.accuracy import predictions, systems
        from tcmstruct.evaluation import read_annotated

        gold = read_annotated(run.data / "gold" / "dev.jsonl")
        made = paper_entities.synthetic_records()
        found = predictions(systems(None, None, None)["student"].clinical(), [], [*gold, *made])
        return {"rows": paper_entities.rows_for(gold, found[: len(gold)], made, found[len(gold) :], run.settings.n_boot)}

    rows = run.cell("2", "ours", "entities", measure, uses=(paper_entities, *TEXT_PROGRAM, *SCORING),
                    settings={"n_boot": run.settings.n_boot}, weights=run.weights_of(SYSTEMS["ours"], photos=False))["rows"]
    return (markdown(paper_entities.table_of(rows)) + "\n\nF1 of field values, 舌象 and 脉象 as entities (strict); 95 % by document "
            f"bootstrap. The {ELSEWHERE}. VAS and wrist are measured on synthetic records, as the real ones hardly name them.")


# ---------------------------------------------------------------- table 3

def ablation_table(run: Run) -> str:
    """What gate, trimming and vocabulary give."""
    head = ["system", "entity strict F1, gold dev", "photo macro-F1", "peak, text + photo, MB", "records/s, text + photo",
            "per TFLOP/s", "peak, text, MB", "records/s, text", "per TFLOP/s", "records over 2,000 characters without failure",
            "their peak, MB", "paper"]
    rows, reasons = [head], []
    for name in ABLATION:
        system = SYSTEMS[name]
        accuracy, photo = asked(lambda n=name: run.accuracy(n)), asked(lambda s=system: _photo_side(run, s))
        both, text = (asked(lambda n=name, p=p: run.speed(n, p)) for p in (True, False))
        long = asked(lambda n=name: stable(run, n))
        reasons += [f"{system.title}: {what}" for what in (both, long) if isinstance(what, NotMeasured)]
        rows.append([system.title, accuracy_text(accuracy), photo_text(photo), peak(both), *rate(both), peak(text), *rate(text),
                     *long_text(long), NONE])
    lengths = _lengths(run)
    told = [markdown(rows), "", f"Long records: gold and case-book records joined to {len(lengths)} records of {min(lengths):,}–"
            f"{max(lengths):,} characters, each with a photograph, through the structurer under a limit of {LIMIT_BYTES // _MB} MB (fixed "
            "batches know no limit: there it is what the process may hold). A record fails if it is rejected, is not read to its end, or "
            f"takes the process over the limit. {NONE}: the paper's figures of these rows are not known to us."]
    told += ["", *(f"- {reason}" for reason in dict.fromkeys(reasons))] if reasons else []
    return "\n\n".join(["\n".join(told), _long_converted(run), _trimming(run), _vocabulary(run)])


def long_text(result: Mapping[str, Any] | NotMeasured) -> tuple[str, str]:
    """Share without failure, and the reasons of the others."""
    if isinstance(result, NotMeasured):
        return NONE, NONE
    n, failed = result["n_records"], result["n_failed"]
    why = ", ".join(f"{reason} {count}" for reason, count in sorted(result["reasons"].items()))
    return f"{(n - failed) / n:.0%} ({n - failed} of {n}{'; ' + why if why else ''})", number(result["peak_mb"])


def _lengths(run: Run) -> list[int]:
    s = run.settings
    return child.long_lengths(s.long_records, s.longest, [s.longest_of_all] if s.longest_of_all else [])


def stable(run: Run, name: str) -> dict[str, Any]:
    """Long records through a system's structurer."""
    lengths, system = _lengths(run), SYSTEMS[name]
    books = {"casebooks": content_of([run.data / "records" / "casebooks.jsonl"])}
    return run.cell("3", name, "long records",
                    lambda: run.child("stability", system=run.opened(system), data=str(run.data), threads=run.threads, lengths=lengths,
                                      limit_bytes=LIMIT_BYTES, image_root=str(run.photos)),
                    uses=(child.stability, child.long_texts, *READING, *TEXT_PROGRAM, *PHOTO_PROGRAM, PACKAGE / "batch" / "chunks.py"),
                    settings={"lengths": lengths, "limit_bytes": LIMIT_BYTES, "system": name},
                    weights={**run.weights_of(system, photos=True), **books}, timed=True)


def _long_converted(run: Run) -> str:
    """The same kind of records through the command line, and one of a million characters."""
    lengths = [*_lengths(run)]
    if run.settings.converted_longest > max(lengths):
        lengths.append(run.settings.converted_longest)

    def measure() -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            _write_records(folder / "long.jsonl", child._records(child.long_texts(run.data, lengths, seed=1), ()))
            ran = converting(folder / "long.jsonl", folder / "out", "--memory-limit", f"{LIMIT_BYTES // _MB}MB", "--no-report")
            counts = json.loads((folder / "out" / "manifest.json").read_text(encoding="utf-8"))["counts"]
        return {"counts": counts, "peak_mb": ran["peak_mb"] * 2**20 / _MB, "wall_s": ran["wall_s"]}

    try:
        found = run.cell("3", "ours", "long records, convert", measure,
                         uses=(_long_converted, child.long_texts, *TEXT_PROGRAM, PACKAGE / "batch"),
                         settings={"lengths": lengths, "limit_bytes": LIMIT_BYTES},
                         weights={**run.weights_of(SYSTEMS["ours"], photos=False),
                                  "casebooks": content_of([run.data / "records" / "casebooks.jsonl"])}, timed=True)
    except NotMeasured as reason:
        return f"`tcmstruct convert` on long records: not measured ({reason})."
    counts = found["counts"]
    failed = counts["rejected"] + (counts["in"] if found["peak_mb"] * _MB > LIMIT_BYTES else 0)
    return (f"`tcmstruct convert --memory-limit {LIMIT_BYTES // _MB}MB` on {counts['in']} records of {min(lengths):,}–{max(lengths):,} "
            f"characters: {counts['in'] - counts['rejected']} written, {counts['rejected']} rejected, peak of all its processes "
            f"{found['peak_mb']:.0f} MB: **{'100 % without failure' if not failed else 'not without failure'}** (asked: 100 %).")


def _trimming(run: Run) -> str:
    """Trimmed and fixed batches on the stream of mixed lengths (`benchmarks.trimming`)."""
    from benchmarks import trimming

    options = ["--quick"] if run.quick else []
    names = ("fixed", "default", *(f"trimmed, {limit} MB" for limit in (trimming.LIMITS_MB if not run.quick else trimming.LIMITS_MB[1:2])))

    def measure(name: str) -> dict[str, Any]:
        done = subprocess.run([sys.executable, "-m", "benchmarks.trimming", "--child", name, *options], capture_output=True, text=True,
                              cwd=ROOT)
        if done.returncode:
            return {"failed": (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:120]}
        return json.loads(done.stdout)

    rows = {name: run.cell("3", "trimming", name, lambda n=name: measure(n),
                           uses=(trimming, PACKAGE / "runtime", PACKAGE / "text", PACKAGE / "pipeline.py"),
                           settings={"options": options}, weights={"text": run.weights["text"]}, timed=True) for name in names}
    return ("Trimming on a stream of mixed lengths (`python -m benchmarks.trimming`), text alone, one thread:\n\n"
            + "\n".join(trimming.table(rows, True)) + "\n\n" + trimming.verdict(rows))


def _vocabulary(run: Run) -> str:
    """Models trained with and without the lexicon channel, where their folder is given."""
    if run.vocabulary_runs is None:
        return ("Vocabulary: the row above only takes the marks from a model that learnt with them. Models trained with and without: give "
                "`--vocabulary-runs`, the working folder of `python -m benchmarks.vocabulary`.")
    trained: dict[str, dict[int, dict[str, Any]]] = {}
    for file in sorted(run.vocabulary_runs.glob("*-*.json")):
        one = json.loads(file.read_text(encoding="utf-8"))
        trained.setdefault(one["variant"], {})[one["seed"]] = one
    if not {"none", "channel"} <= trained.keys():
        return "Vocabulary: the folder of --vocabulary-runs holds no finished runs of both variants."
    head = ["trained with and without the vocabulary", "seeds", "gold dev F1", "of rare mentions", "gain", "gain, rare",
            "gain, rare, paper"]
    rows = [head]
    for variant, title in (("none", "− vocabulary"), ("channel", "with the lexicon channel")):
        own = trained[variant]
        f1 = {part: {seed: r["gold"][f"f1_{part}"] for seed, r in own.items()} for part in ("all", "rare")}
        base = {part: {seed: r["gold"][f"f1_{part}"] for seed, r in trained["none"].items()} for part in ("all", "rare")}
        gains = [difference(f1[part], base[part], factor=100) if variant != "none" else "" for part in ("all", "rare")]
        rows.append([title, str(len(own)), *(plus_minus(list(f1[part].values()), factor=100) for part in ("all", "rare")), *gains,
                     "+6.2" if variant != "none" else ""])
    return (markdown(rows) + "\n\nShort trainings of the shipped shape (`python -m benchmarks.vocabulary`); ± 95 % over seeds, gains "
            "seed by seed.")

"""One run of the tables: its settings, its children, and its cells."""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.machine import matrix_ceiling
from benchmarks.paper import child, systems
from benchmarks.paper.store import Cell, NotMeasured, Store, code_of, content_of
from benchmarks.paper.systems import SYSTEMS, System
from tcmstruct.image.tongue_model import TONGUE_FOLDER
from tcmstruct.runtime.fusion import FUSION_FOLDER
from tcmstruct.runtime.model_folder import DEFAULT_FOLDER, sha256_of

ROOT = Path(__file__).resolve().parents[2]
CEILING_HOLDS_S = 20
"""The ceiling after one cell is the one before the next, if that begins so soon."""
PACKAGE = ROOT / "tcmstruct"
TEXT_PROGRAM = tuple(PACKAGE / name for name in ("pipeline.py", "record.py", "labels.py", "runtime", "text", "schema", "linking"))
PHOTO_PROGRAM = (PACKAGE / "witness.py", PACKAGE / "image")
SCORING = (PACKAGE / "evaluation",)
READING = (child._open, child._records, child._counted_from_here, child.gold_texts, systems.open_system, systems.open_cnn,
           systems.FixedBatches)
"""What every measured reading goes through."""


@dataclass(frozen=True)
class Settings:
    """How much is measured; times of a quick run are one pass over few records.

    Attributes:
        n_records, n_large: records of a speed measurement, and of a system that takes seconds for each.
        repeats, repeats_large: passes over them.
        n_boot: resamples of the documents.
        cnn_passes: passes of the CNN-BiLSTM-CRF over gold.
        long_records, longest, longest_of_all: records over 2,000 characters, up to `longest`, and one more.
        converted_longest: the longest that goes through the command line.
        n_photos: drawn photographs.
        head_passes, head_every: passes of the fusion over its pairs; of the records every how manieth is taken.
        n_teacher_records, repeats_teachers: records and alternating repetitions of the teachers' table.
    """

    n_records: int = 420
    n_large: int = 64
    repeats: int = 5
    repeats_large: int = 2
    n_boot: int = 1000
    cnn_passes: float = 8.0
    long_records: int = 40
    longest: int = 100_000
    longest_of_all: int | None = 1_000_000
    converted_longest: int = 1_000_000
    n_photos: int = 16
    head_passes: int = 4
    head_every: int = 1
    n_teacher_records: int = 105
    repeats_teachers: int = 7


FULL = Settings()
QUICK = Settings(n_records=64, n_large=32, repeats=2, repeats_large=1, n_boot=200, cnn_passes=1.0, long_records=5, longest=20_000,
                 longest_of_all=None, converted_longest=200_000, n_photos=4, head_passes=1, head_every=2, n_teacher_records=24,
                 repeats_teachers=3)


@dataclass
class Run:
    """What a run was asked for, and what it found so far.

    Attributes:
        seeds: how many, where something is trained.
        threads: of each measured process.
        fusion_run: working folder of `recipes.fusion_train`. prune_run: of the pruning recipe. vocabulary_runs: of
            `benchmarks.vocabulary`. teachers: checkpoint folders. tongue_run: of `recipes.tongue_train`. lite0: its start weights.
        failed: cells whose process failed.
    """

    data: Path
    work: Path
    store: Store
    quick: bool
    seeds: int
    threads: int
    machine: Mapping[str, Any]
    fusion_run: Path | None = None
    prune_run: Path | None = None
    vocabulary_runs: Path | None = None
    teachers: Sequence[Path] = ()
    tongue_run: Path | None = None
    lite0: Path | None = None
    measure_ceiling: Callable[[], float] = matrix_ceiling
    failed: list[str] = field(default_factory=list)
    _ceiling: tuple[float, float] = (0.0, -math.inf)
    _unbuilt: dict[str, NotMeasured] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        return QUICK if self.quick else FULL

    # ------------------------------------------------------------ cells

    def cell(self, table: str, row: str, what: str, measure: Callable[[], Mapping[str, Any]], *, uses: Sequence[Any],
             settings: Mapping[str, Any] | None = None, weights: Mapping[str, str] | None = None, seed: int | None = None,
             timed: bool = False) -> dict[str, Any]:
        """A measured figure, from the store or new.

        Args:
            uses: functions and sources that it depends on. settings, weights, seed: see `Cell`.
            timed: it holds times or memory: it counts for this machine alone, and `ceiling_tflops` is measured beside it.

        Raises:
            NotMeasured: it cannot be measured here.
        """
        on = self._timed_on if timed else {}
        cell = Cell(table, row, what, self.quick, seed, settings or {}, weights or {}, code_of(*uses), on)
        name = f"table {table} · {row} · {what}" + (f" · seed {seed}" if seed is not None else "")
        if self.store.get(cell) is not None:
            say(f"{name}: kept")
            return self.store.measured(cell, measure)
        say(f"{name} …")
        began, cpu = time.monotonic(), processor_s()
        result = self.store.measured(cell, (lambda: self._beside_the_ceiling(measure)) if timed else measure)
        say(f"{name}: {time.monotonic() - began:.0f} s, {processor_s() - cpu:.0f} s of processor time")
        return result

    @cached_property
    def _timed_on(self) -> dict[str, Any]:
        return {**{key: self.machine[key] for key in ("processor", "cores", "python")}, "threads": self.threads,
                "libraries": {k: v for k, v in self.machine["libraries"].items() if k in ("numpy", "torch", "onnxruntime")}}

    def _beside_the_ceiling(self, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        known, at = self._ceiling
        before = known if time.monotonic() - at < CEILING_HOLDS_S else self.measure_ceiling()
        result = dict(measure())
        after = self.measure_ceiling()
        self._ceiling = after, time.monotonic()
        return {**result, "ceiling_tflops": statistics.fmean((before, after))}

    def child(self, job: str, **arguments: Any) -> dict[str, Any]:
        """One job of `child.JOBS` in a process of its own.

        Raises:
            NotMeasured: the process failed.
        """
        threads = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        done = subprocess.run([sys.executable, "-m", "benchmarks.paper.child"], input=json.dumps({"job": job, **arguments}), text=True,
                              stdout=subprocess.PIPE, cwd=ROOT, env={**os.environ, **threads})
        if done.returncode:
            self.failed.append(job)
            raise NotMeasured("out of memory: the process was killed" if done.returncode == -9 else
                              f"failed, the process ended with {done.returncode}")
        return json.loads(done.stdout)

    # ------------------------------------------------------------ what is at hand

    @cached_property
    def weights(self) -> dict[str, str]:
        """Fingerprints of the shipped models and of gold."""
        shipped = {"text": DEFAULT_FOLDER, "tongue": TONGUE_FOLDER, "fusion": FUSION_FOLDER}
        return {**{name: sha256_of(folder / "manifest.json") for name, folder in shipped.items()},
                "gold": content_of([self.data / "gold" / f"{part}.jsonl" for part in ("train", "dev")])}

    @cached_property
    def photos(self) -> Path:
        """Folder of drawn photographs of 12 megapixels."""
        from benchmarks.photo_speed import GRAIN, write_photos

        folder = self.work / f"photos-{self.settings.n_photos}"
        if not folder.is_dir():
            say(f"drawing {self.settings.n_photos} photographs …")
            part = self.work / f"{folder.name}.{os.getpid()}"
            write_photos(part, self.settings.n_photos, GRAIN)
            part.rename(folder)
        return folder

    def weights_of(self, system: System, photos: bool) -> dict[str, str]:
        """Those that a system's figures depend on, with or without photographs."""
        shipped = ["text"] * (system.text in ("shipped", "no-lexicon")) + ["tongue", "fusion"] * (photos and system.photo is not None)
        return {name: self.weights[name] for name in ("gold", *shipped)}

    def held_out(self) -> Path:
        """The fusion's held-out answers.

        Raises:
            NotMeasured: no working folder was given, or it holds none.
        """
        if self.fusion_run is None:
            raise NotMeasured("give --fusion-run, the working folder of tcmstruct.recipes.fusion_train")
        if not (file := self.fusion_run / "held-out.json").is_file():
            raise NotMeasured("the folder of --fusion-run holds no held-out.json")
        return file

    def folder(self, name: str) -> Path:
        """Model folder of a network that is built for the tables; built once.

        Raises:
            NotMeasured: a package or a working folder that it needs is not there.
        """
        maker = systems.TEXT_NETWORKS.get(name) or systems.PHOTO_NETWORKS.get(name)
        if maker is not None:
            version = code_of(maker, systems.build, systems._export, systems._export_pixels, systems._text_card) + str(systems.NO_MENTION)
        elif name == "no-lexicon":
            version = code_of(systems._without_lexicon) + self.weights["text"]
        else:
            self.held_out()
            version = (code_of(systems._open_gate, systems.export_fusion) + self.weights["fusion"]
                       + content_of([self.fusion_run / "all-open" / "net.safetensors"]))
        out = self.work / "models" / f"{name}-{hashlib.sha256(version.encode()).hexdigest()[:12]}"
        if not (out / "manifest.json").is_file():
            if name in self._unbuilt:
                raise self._unbuilt[name]
            say(f"building {name} …")
            try:
                self.child("build", name=name, out=str(out), fusion_run=str(self.fusion_run) if self.fusion_run else None)
            except NotMeasured as reason:
                self._unbuilt[name] = NotMeasured(f"{name} could not be built: {reason}")
                raise self._unbuilt[name] from None
        return out

    def opened(self, system: System, seed: int = 0) -> dict[str, Any]:
        """What a child needs to open a system.

        Raises:
            NotMeasured: a part of it cannot be had.
        """
        if not system.gated and not _fits():
            raise NotMeasured("the shipped fusion belongs to another text model and is not in use")
        if system.text == "cnn-bilstm-crf":
            return {"needs": ["torch"], "cnn": {"data": str(self.data), "cache": str(self.work / "trained"), "seed": seed,
                                                "n_passes": self.settings.cnn_passes}}
        return {"text": None if system.text == "shipped" else str(self.folder(system.text)),
                "photo": None if system.photo in (None, "shipped") else str(self.folder(system.photo)),
                "fusion": None if system.gated else str(self.folder("open-gate")), "trimmed": system.trimmed}

    # ------------------------------------------------------------ figures that several tables print

    def accuracy(self, name: str) -> list[dict[str, Any]]:
        """Of a system whose F1 can be measured: one result, or one a seed where it is trained here."""
        system = SYSTEMS[name]
        if system.trained is not None:
            raise NotMeasured(system.trained)
        trained_here = system.text == "cnn-bilstm-crf"
        uses: tuple[Any, ...] = (child.accuracy, *READING, *TEXT_PROGRAM, *SCORING)
        if trained_here:
            uses += (ROOT / "benchmarks" / "baselines", PACKAGE / "training" / "loop.py", PACKAGE / "model" / "crf.py")
        if system.photo:
            uses += PHOTO_PROGRAM
        settings = {"n_boot": self.settings.n_boot, "system": _parts(system)}
        if trained_here:
            settings["n_passes"] = self.settings.cnn_passes

        def measure(seed: int) -> dict[str, Any]:
            return self.child("accuracy", system=self.opened(system, seed), data=str(self.data), threads=self.threads,
                              n_boot=self.settings.n_boot, image_root=str(self.photos) if system.photo else None)

        return [self.cell("1", name, "accuracy", lambda s=seed: measure(s), uses=uses, settings=settings,
                          weights=self.weights_of(system, photos=True), seed=seed if trained_here else None)
                for seed in range(self.seeds if trained_here else 1)]

    def speed(self, name: str, photos: bool) -> dict[str, Any]:
        """Records/s and memory of a system, with a photograph beside every record or without any."""
        system, s = SYSTEMS[name], self.settings
        if photos and system.photo is None:
            raise NotMeasured("it looks at no photograph")
        n, repeats = (s.n_large, s.repeats_large) if system.large else (s.n_records, s.repeats)
        uses: tuple[Any, ...] = (child.speed, *READING, *TEXT_PROGRAM, *(PHOTO_PROGRAM if photos else ()),
                                 PACKAGE / "batch" / "chunks.py")
        if system.text == "cnn-bilstm-crf":
            uses += (ROOT / "benchmarks" / "baselines",)
        return self.cell("1", name, "speed, text and photo" if photos else "speed, text",
                         lambda: self.child("speed", system=self.opened(system), data=str(self.data), threads=self.threads, n=n,
                                            repeats=repeats, image_root=str(self.photos) if photos else None),
                         uses=uses, settings={"n": n, "repeats": repeats, "photos": s.n_photos if photos else 0, "system": _parts(system),
                                              "n_passes": s.cnn_passes if system.text == "cnn-bilstm-crf" else 0},
                         weights=self.weights_of(system, photos), timed=True)

    def photo_f1(self, gated: bool = True) -> dict[str, Any]:
        """Macro-F1 of the tongue's colours and 腻 by text and photo together, mean of the attributes: simulated pairs, held out."""
        held = self.held_out()
        return self.cell("1", "ours" if gated else "no-gate", "photo macro-F1", lambda: _photo_f1(held, gated), uses=(_photo_f1,),
                         weights={"held-out": content_of([held])})


def _fits() -> bool:
    """Whether the shipped fusion was trained with the shipped text model."""
    card = json.loads((FUSION_FOLDER / "card.json").read_text(encoding="utf-8"))
    return card["text_model_sha256"] == sha256_of(DEFAULT_FOLDER / "model.onnx")


def _parts(system: System) -> dict[str, Any]:
    return {"text": system.text, "photo": system.photo, "gated": system.gated, "trimmed": system.trimmed}


def _photo_f1(held: Path, gated: bool) -> dict[str, Any]:
    import numpy as np

    from benchmarks.fusion import interval, macro_f1

    rows = json.loads(held.read_text(encoding="utf-8"))["clean" if gated else "clean, no gate"]
    names = list(dict.fromkeys(r["attribute"] for r in rows))
    attribute = np.array([names.index(r["attribute"]) for r in rows])
    truth, said = np.array([r["truth"] for r in rows]), np.array([int(np.argmax(r["both"])) for r in rows])

    def mean(chosen: np.ndarray) -> float:
        return float(np.mean([macro_f1(truth[own], said[own]) for k in range(len(names)) if len(own := chosen[attribute[chosen] == k])]))

    low, high = interval(mean, [r["id"] for r in rows])
    return {"macro_f1": [mean(np.arange(len(rows))), low, high], "n": len(rows), "right": float((truth == said).mean())}


def processor_s() -> float:
    """Processor time of this process and of its children that ended."""
    return sum(os.times()[:4])


def say(line: str) -> None:
    """Progress, to stderr."""
    print(line, file=sys.stderr, flush=True)


def asked(measure: Callable[[], Any]) -> Any:
    """What is measured, or the reason why it cannot be (a `NotMeasured`)."""
    try:
        return measure()
    except NotMeasured as reason:
        return reason

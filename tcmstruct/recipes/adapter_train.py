"""`tcmstruct adapter train`: a domain adapter from text without labels, a downstream adapter from labels, or both, one after the other.

The adapter is written at the end, as a whole: whatever is refused or fails on the way, the one that stood there stays. See
docs/adapters.md.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from tcmstruct.errors import InputRefused, UsageError
from tcmstruct.evaluation import read_annotated
from tcmstruct.labels import GOLD_TYPES
from tcmstruct.recipes.adapter_bases import open_base
from tcmstruct.recipes.own_run import RunFolder, Told, fingerprints
from tcmstruct.recipes.unlabelled_files import read_texts
from tcmstruct.runtime.adapter_folder import STEPS, Adapter, Step, open_adapter
from tcmstruct.runtime.memory import peak_resident_bytes
from tcmstruct.training.adapter_store import refuse_other, write_adapter
from tcmstruct.training.adapter_tagger import PARTS
from tcmstruct.training.adapters import Adapted, Base, Labels, LoraShape, Task
from tcmstruct.training.loop import ByPass, LoopConfig, fit

Rows = list[dict[str, Any]]

MOST_BESIDE = 400
"""Records of `beside` that are read; they are drawn with the seed."""
LEAST_CHARACTERS = 200
"""Below it, text without labels is no text to learn a domain from."""


@dataclass(frozen=True)
class AdapterConfig:
    """
    Attributes:
        shape: of each of the two adapters.
        parts: of "attention" and "feed-forward", what they go on.
        domain_passes, passes: over the texts, over the labels.
        domain_rate, rate: peak learning rates.
        train_domain: the domain adapter goes on learning in step two; otherwise it is frozen there.
        most_texts: records that step one takes, drawn with the seed.
        device: of torch.
    """

    shape: LoraShape = field(default_factory=LoraShape)
    parts: tuple[str, ...] = tuple(PARTS)
    domain_passes: int = 3
    passes: int = 8
    domain_rate: float = 1e-3
    rate: float = 1e-3
    train_domain: bool = False
    most_texts: int = 20_000
    seed: int = 0
    device: str = "cpu"


def train_adapter(out: Path, *, base: Path | None = None, texts: Sequence[Path] = (), labels: Path | None = None, label_key: str = "label",
                  domain: Path | None = None, beside: Sequence[Path] = (), config: AdapterConfig | None = None,
                  fresh: bool = False) -> Adapter:
    """
    Args:
        base: model folder, tagger's checkpoint, or folder of a LLaMA-style decoder; None: the shipped text model.
        texts: records without labels, any export that `convert` reads: step one.
        labels: gold JSON Lines of a tagger; JSON Lines with `text` and `label_key` of a decoder: step two.
        domain: an adapter whose domain step is taken, in place of `texts`.
        beside: records without labels, of what the labels do not cover: step two keeps to the base's answers there (taggers).
        fresh: forget an unfinished run.

    Raises:
        UsageError: nothing to learn from, both `texts` and `domain`, or something else stands at `out`.
        ModelError: the base or `domain` cannot be used, or the label set is not the base's.
        InputRefused: the data are empty, or of one class.
        TcmstructError: the loss is no longer finite (code `loss_not_finite`).
    """
    config = config or AdapterConfig()
    if not texts and labels is None:
        raise UsageError("nothing to learn from", where="adapter train", code="no_data", hint="give --texts, --labels, or both")
    if texts and domain is not None:
        raise UsageError("a domain adapter is trained or given, not both", where="--domain", code="option_invalid")
    refuse_other(out)
    given = None if domain is None else open_adapter(domain)
    opened = open_base(base, config.parts)
    if given is not None:
        given.require_base(opened.kind, opened.fingerprint)
        if "domain" not in given.manifest.steps:
            raise UsageError("holds no domain step", where=given.name, code="option_invalid", hint="train one with --texts")
    read = read_texts(list(texts), config.most_texts, config.seed) if texts else []
    if texts and sum(map(len, read)) < LEAST_CHARACTERS:
        raise InputRefused(f"{len(read)} records of {sum(map(len, read))} characters, at least {LEAST_CHARACTERS} are needed",
                           where=", ".join(file.name for file in texts), code="no_texts")
    others = read_texts(list(beside), MOST_BESIDE, config.seed)
    rows = _rows(opened, labels, label_key) if labels is not None else []
    found: Labels = opened.labels(rows) if labels is not None else {}
    if others:
        opened.beside(others)
    plan = {"base": opened.fingerprint, "config": asdict(config), "label_key": label_key, "texts": fingerprints(texts),
            "beside": fingerprints(beside), "labels": fingerprints([labels] if labels else []),
            "domain": None if given is None else given.fingerprint}
    with _TwoSteps(out, plan, fresh) as run:
        adapter = _train(opened, out, run.path, read, rows, found, given, config)
        run.finish()
    return adapter


class _TwoSteps(RunFolder):
    """The folder of a run whose loop runs once for each step."""

    def _checkpoints(self) -> list[Path]:
        return [self.path / step / name for step in STEPS for name in ("checkpoint", "checkpoint.new", "checkpoint.old")]


def _train(base: Base, out: Path, run: Path, texts: Sequence[str], rows: Rows, labels: Labels, given: Adapter | None,
           config: AdapterConfig) -> Adapter:
    adapted = Adapted(base)
    learnt: dict[Step, Mapping[str, Any]] = {}
    if given is not None:
        adapted.load(given, ("domain",))
        learnt["domain"] = given.manifest.steps["domain"].learnt
    torch.manual_seed(config.seed)  # A is drawn
    if texts:
        adapted.add("domain", config.shape)
        adapted.train_only("domain")
        task = base.domain(texts, config.seed)
        learnt["domain"] = fit_step(adapted, task, config.domain_passes, config.domain_rate, config, run / "domain")
    if rows:
        base.take_labels(labels)
        adapted.add("downstream", config.shape)
        adapted.train_only(*(("domain", "downstream") if config.train_domain and "domain" in adapted.shapes else ("downstream",)))
        task = base.downstream(rows, labels, config.seed)
        learnt["downstream"] = fit_step(adapted, task, config.passes, config.rate, config, run / "downstream")
    return write_adapter(adapted, out, labels, learnt)


def fit_step(adapted: Adapted, task: Task, passes: int, rate: float, config: AdapterConfig, folder: Path | None) -> dict[str, Any]:
    """Trains one step; what it cost is told on stderr, what it learnt from comes back for the manifest."""
    told, began = Told(), time.monotonic()
    n = passes * task.n_characters
    loop = LoopConfig(n, learning_rate=rate, weight_decay=0.0, seed=config.seed)
    progress = fit(adapted.base.network, task.objective, task.one_pass, loop, folder, say=told.say, device=config.device,
                   by_pass=ByPass(task.rng, lambda passes: {}), told=lambda progress: told.step(progress, n))
    total = sum(p.numel() for p in adapted.base.network.parameters())
    trained = adapted.n_trained()
    told.say(f"{task.n_records:,} records, {progress.n_characters:,} characters · {trained:,} of {total:,} parameters "
             f"({trained / total:.2%}) · {time.monotonic() - began:.0f} s · at most {peak_resident_bytes() / 2**20:,.0f} MiB")
    return {"records": task.n_records, "characters": progress.n_characters, "passes": len(progress.passes), "rate": rate,
            "seed": config.seed, "loss": round(progress.passes[-1]["loss"], 4)}


def _rows(base: Base, file: Path, label_key: str) -> Rows:
    """Labelled rows as the base reads them.

    Raises:
        InputRefused: a file that cannot be read, or a row without text or label.
    """
    if base.kind == "tagger":
        return [{"text": r.text, "entities": [{"type": GOLD_TYPES.get(m.type) or m.type, "start": m.start, "end": m.end, "status": m.status}
                                              for m in r.entities]} for r in read_annotated(file)]
    rows: Rows = []
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputRefused(f"cannot be read ({type(error).__name__})", where=file.name, code="unreadable") from None
    for number, line in enumerate(lines, start=1):
        if line.strip():
            rows.append(_row(line, label_key, f"{file.name}:{number}"))
    if not rows:
        raise InputRefused("holds no record", where=file.name, code="empty")
    return rows


def _row(line: str, label_key: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        text, label = row["text"], row[label_key]
    except (ValueError, KeyError, TypeError, RecursionError):
        text = label = None
    if not isinstance(text, str) or not text.strip() or not isinstance(label, str) or not label:
        raise InputRefused(f"is no object with a text and, under {label_key[:40]!r}, a class", where=where, code="not_labels",
                           hint="name the key of the class with --label-key")
    return {"text": text, "label": label}


def tell(adapter: Adapter, out: Path) -> None:
    use = f": tcmstruct convert … --adapter {out}" if adapter.manifest.kind == "tagger" else ""
    print(f"adapter written to {out} ({adapter.manifest.bytes / 1024:,.0f} KiB){use}", file=sys.stderr)

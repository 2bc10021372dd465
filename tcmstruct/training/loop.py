"""The one training loop: steps, schedule, log, checkpoints, resume. It knows nothing of objectives or data sets."""

from __future__ import annotations

import json
import math
import random
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tcmstruct.errors import TcmstructError
from tcmstruct.training.objectives import Objective


class Batch(Protocol):
    """What the loop asks of a batch, of text or of photos."""

    @property
    def n_characters(self) -> int:
        """Its share of the schedule: characters, or photos."""

    def to(self, device: str) -> Batch: ...


@dataclass
class LoopConfig:
    """How long and how fast.

    Attributes:
        n_characters: characters (or photos) to train on, all passes together (the schedule's length).
        learning_rate: peak, of new parts (readouts, projections).
        encoder_learning_rate: peak, of the encoder and the character table (None: as learning_rate).
        objective_rate: peak, of an objective's own weights (None: as learning_rate).
        layer_decay: factor per layer from the top down, on the encoder's rate.
        warmup: share of the run in which the rate rises; after it, it falls to zero along a cosine.
        weight_decay: of matrices.
        max_grad_norm: clipping of the gradient's norm.
        log_every_s, checkpoint_every_s: seconds.
        seed: of everything random.
    """

    n_characters: int
    learning_rate: float = 1e-3
    encoder_learning_rate: float | None = None
    objective_rate: float | None = None
    layer_decay: float = 1.0
    warmup: float = 0.06
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    log_every_s: float = 20.0
    checkpoint_every_s: float = 300.0
    seed: int = 0


@dataclass
class Progress:
    """Where a run stands; `checkpoint/state.json`.

    Attributes:
        passes: figures of every pass that is done (`ByPass`).
    """

    n_characters: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    passes: list[dict[str, float]] = field(default_factory=list)


@dataclass(frozen=True)
class ByPass:
    """A run that is looked at after every pass over its data, and that ends the same wherever it was interrupted: the checkpoint is
    written after each pass, and what is random in a pass follows from the seed and the pass alone.

    Attributes:
        rng: what `one_pass` draws from; seeded anew before each pass.
        watch: told the passes before, called after each pass with the model ready to be asked; its figures are kept in
            `Progress.passes`.
        enough: told all passes' figures, says whether to end early.
    """

    rng: random.Random
    watch: Callable[[Sequence[dict[str, float]]], dict[str, float]]
    enough: Callable[[Sequence[dict[str, float]]], bool] = lambda passes: False


def parameter_groups(model: nn.Module, config: LoopConfig) -> list[dict[str, Any]]:
    """Groups by learning rate and weight decay; names decide: `encoder.layers.N.` sinks by `layer_decay`."""
    n_layers = 1 + max((int(n.split("encoder.layers.")[1].split(".")[0]) for n, _ in model.named_parameters()
                        if "encoder.layers." in n), default=0)
    base = config.encoder_learning_rate or config.learning_rate
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        rate = config.learning_rate
        if "encoder.layers." in name:
            depth = n_layers - 1 - int(name.split("encoder.layers.")[1].split(".")[0])
            rate = base * config.layer_decay**depth
        elif name.startswith("objective."):
            rate = config.objective_rate or config.learning_rate
        elif name.startswith("model.crf."):
            rate = 10 * config.learning_rate  # few numbers that start at zero
        elif "encoder." in name or "embedding.character" in name:
            rate = base * config.layer_decay**n_layers
        decay = config.weight_decay if parameter.ndim > 1 and "embedding" not in name else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": p, "lr": rate, "weight_decay": decay, "peak": rate} for (rate, decay), p in groups.items()]


def schedule(done: float, warmup: float) -> float:
    """Factor on the peak rate at `done` in [0, 1] of the run."""
    if done < warmup:
        return (done + 1e-3) / (warmup + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))


def fit(
    model: nn.Module,
    objective: Objective,
    one_pass: Callable[[], Iterable[Batch]],
    config: LoopConfig,
    folder: Path | None = None,
    evaluate: Callable[[], dict[str, float]] | None = None,
    evaluate_every_s: float = 600.0,
    say: Callable[[str], None] = print,
    device: str = "cpu",
    by_pass: ByPass | None = None,
    told: Callable[[Progress], None] = lambda progress: None,
) -> Progress:
    """Trains in place; resumes where `folder/checkpoint` stands, if it does.

    Args:
        model: trained in place (with the objective's own weights, if it has any).
        one_pass: gives the batches of one pass over the data, differing from pass to pass.
        folder: where checkpoints and `log.jsonl` go; None keeps nothing.
        evaluate: called every `evaluate_every_s` seconds and at the end; its figures go to the log.
        by_pass: watches the run pass by pass, in place of the clock; checkpoints are then written after each pass alone.
        told: called after every step, for a display of progress.

    Raises:
        TcmstructError: the loss is no longer finite (code `loss_not_finite`).
    """
    torch.manual_seed(config.seed)
    parts = nn.ModuleDict({"model": model})
    if isinstance(objective, nn.Module):
        parts["objective"] = objective
    parts.to(device)
    optimiser = torch.optim.AdamW(parameter_groups(parts, config), betas=(0.9, 0.98), eps=1e-6, fused=True)
    progress = Progress()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        progress = _resume(folder / "checkpoint", parts, optimiser) or progress
    parameters = [p for p in parts.parameters() if p.requires_grad]
    parts.train()
    last_log = last_save = last_eval = time.monotonic()
    began, seconds_before = last_log, progress.seconds
    sum_loss, n_losses, chars_before = 0.0, 0, progress.n_characters

    def note(entry: dict[str, Any]) -> None:
        progress.history.append(entry)
        if folder is not None:
            with open(folder / "log.jsonl", "a", encoding="utf-8") as log:
                log.write(json.dumps(entry) + "\n")
        say("  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in entry.items()))

    def step(batch: Batch) -> float:
        nonlocal last_log, last_save, last_eval, sum_loss, n_losses, chars_before
        factor = schedule(progress.n_characters / config.n_characters, config.warmup)
        for group in optimiser.param_groups:
            group["lr"] = group["peak"] * factor
        loss = objective.loss(model, batch.to(device))
        value = loss.item()
        if not math.isfinite(value):
            raise TcmstructError(f"the loss became {value} at step {progress.step}", code="loss_not_finite",
                                 hint="lower the learning rate; the last checkpoint is untouched")
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, config.max_grad_norm)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        progress.step += 1
        progress.n_characters += batch.n_characters
        sum_loss, n_losses = sum_loss + value, n_losses + 1
        now = time.monotonic()
        progress.seconds = seconds_before + now - began
        told(progress)
        if now - last_log > config.log_every_s:
            note({"step": progress.step, "characters": progress.n_characters, "of": config.n_characters,
                  "loss": sum_loss / n_losses, "chars_per_s": (progress.n_characters - chars_before) / (now - last_log)})
            sum_loss, n_losses, chars_before, last_log = 0.0, 0, progress.n_characters, now
        if folder is not None and by_pass is None and now - last_save > config.checkpoint_every_s:
            _save(folder / "checkpoint", parts, optimiser, progress)
            last_save = time.monotonic()
        if evaluate is not None and now - last_eval > evaluate_every_s:
            parts.eval()
            note({"step": progress.step, **evaluate()})
            parts.train()
            last_eval = time.monotonic()
        return value

    def end_of_pass(by_pass: ByPass, loss: float) -> bool:
        parts.eval()
        figures = {"loss": loss, **by_pass.watch(progress.passes)}
        parts.train()
        progress.passes.append(figures)
        if folder is not None:
            _save(folder / "checkpoint", parts, optimiser, progress)
        note({"pass": len(progress.passes), **figures})
        return by_pass.enough(progress.passes)

    ended = by_pass is not None and bool(progress.passes) and by_pass.enough(progress.passes)
    while not ended and progress.n_characters < config.n_characters:
        if by_pass is not None:
            by_pass.rng.seed(f"{config.seed} {len(progress.passes)}")
            torch.manual_seed(config.seed * 1000 + len(progress.passes))
        losses = []
        for batch in one_pass():
            if progress.n_characters >= config.n_characters:
                break
            losses.append(step(batch))
        if by_pass is not None:
            ended = end_of_pass(by_pass, sum(losses) / max(1, len(losses)))
    parts.eval()
    if evaluate is not None:
        note({"step": progress.step, **evaluate()})
    return progress


def _learning(parts: nn.Module) -> dict[str, torch.Tensor]:
    """The state without what is frozen: it is as the run began, and need not be kept again."""
    frozen = {name for name, parameter in parts.named_parameters() if not parameter.requires_grad}
    return {name: tensor.contiguous() for name, tensor in parts.state_dict().items() if name not in frozen}


def _save(folder: Path, parts: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Weights that learn, the optimiser's moments (safetensors, no pickle) and the state; replaced as a whole."""
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    save_file(_learning(parts), fresh / "weights.safetensors")
    state = optimiser.state_dict()["state"]
    save_file({f"{i}.{k}": torch.as_tensor(v).clone() for i, s in state.items() for k, v in s.items()}, fresh / "optimiser.safetensors")
    stand = {"n_characters": progress.n_characters, "step": progress.step, "seconds": progress.seconds, "passes": progress.passes}
    (fresh / "state.json").write_text(json.dumps(stand))  # last: a folder with it is whole
    old = folder.with_name(folder.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _whole(folder: Path) -> Path | None:
    """The checkpoint to go on from; where a run was ended between two renames, the fresh one or else the one before."""
    places = (folder, folder.with_name(folder.name + ".new"), folder.with_name(folder.name + ".old"))
    return next((place for place in places if (place / "state.json").exists()), None)


def _resume(folder: Path, parts: nn.Module, optimiser: torch.optim.Optimizer) -> Progress | None:
    found = _whole(folder)
    if found is None:
        return None
    if found != folder:
        found.rename(folder)
    parts.load_state_dict({**parts.state_dict(), **load_file(folder / "weights.safetensors")})
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(folder / "optimiser.safetensors").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = tensor
    state = optimiser.state_dict()
    state["state"] = moments
    optimiser.load_state_dict(state)
    return Progress(**json.loads((folder / "state.json").read_text()))

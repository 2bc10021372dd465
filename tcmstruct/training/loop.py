"""The one training loop: steps, schedule, log, checkpoints, resume. It knows nothing of objectives or data sets."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
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
    layer_decay: float = 1.0
    warmup: float = 0.06
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    log_every_s: float = 20.0
    checkpoint_every_s: float = 300.0
    seed: int = 0


@dataclass
class Progress:
    """Where a run stands; `checkpoint/state.json`."""

    n_characters: int = 0
    step: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)


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


def _forever(one_pass: Callable[[], Iterable[Batch]]) -> Iterator[Batch]:
    while True:
        yield from one_pass()


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
) -> Progress:
    """Trains in place; resumes where `folder/checkpoint` stands, if it does.

    Args:
        model: trained in place (with the objective's own weights, if it has any).
        one_pass: gives the batches of one pass over the data, differing from pass to pass.
        folder: where checkpoints and `log.jsonl` go; None keeps nothing.
        evaluate: called every `evaluate_every_s` seconds and at the end; its figures go to the log.

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

    for batch in _forever(one_pass):
        if progress.n_characters >= config.n_characters:
            break
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
        if now - last_log > config.log_every_s:
            note({"step": progress.step, "characters": progress.n_characters, "of": config.n_characters,
                  "loss": sum_loss / n_losses, "chars_per_s": (progress.n_characters - chars_before) / (now - last_log)})
            sum_loss, n_losses, chars_before, last_log = 0.0, 0, progress.n_characters, now
        if folder is not None and now - last_save > config.checkpoint_every_s:
            _save(folder / "checkpoint", parts, optimiser, progress)
            last_save = time.monotonic()
        if evaluate is not None and now - last_eval > evaluate_every_s:
            parts.eval()
            note({"step": progress.step, **evaluate()})
            parts.train()
            last_eval = time.monotonic()
    parts.eval()
    if evaluate is not None:
        note({"step": progress.step, **evaluate()})
    return progress


def _save(folder: Path, parts: nn.Module, optimiser: torch.optim.Optimizer, progress: Progress) -> None:
    """Weights, the optimiser's moments (safetensors, no pickle) and the state; replaced as a whole."""
    fresh = folder.with_name(folder.name + ".new")
    fresh.mkdir(parents=True, exist_ok=True)
    save_file({k: v.contiguous() for k, v in parts.state_dict().items()}, fresh / "weights.safetensors")
    state = optimiser.state_dict()["state"]
    save_file({f"{i}.{k}": torch.as_tensor(v).clone() for i, s in state.items() for k, v in s.items()}, fresh / "optimiser.safetensors")
    stand = {"n_characters": progress.n_characters, "step": progress.step, "seconds": progress.seconds}
    (fresh / "state.json").write_text(json.dumps(stand))
    if folder.exists():
        old = folder.with_name(folder.name + ".old")
        folder.rename(old)
        fresh.rename(folder)
        for file in old.iterdir():
            file.unlink()
        old.rmdir()
    else:
        fresh.rename(folder)


def _resume(folder: Path, parts: nn.Module, optimiser: torch.optim.Optimizer) -> Progress | None:
    if not (folder / "state.json").exists():
        return None
    parts.load_state_dict(load_file(folder / "weights.safetensors"))
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in load_file(folder / "optimiser.safetensors").items():
        index, key = name.split(".", 1)
        moments.setdefault(int(index), {})[key] = tensor
    state = optimiser.state_dict()
    state["state"] = moments
    optimiser.load_state_dict(state)
    return Progress(**json.loads((folder / "state.json").read_text()))

"""The pruning environment over a text tagger's encoder: groups of its feed-forward neurons, and its attention heads.

An option beside `compression.prune`: the shipped student is narrow already. The rules are the same: removal is physical, what
is left is refitted (the output of every cut part, by least squares on calibration text, each on what the pruned parts before
it give), memory is what the allocator hands out over one window of text plus the weights. Axes: T characters, H hidden.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor, nn

from rl_pruner import Measurement, Plan, PruningEnv, Unit
from tcmstruct.compression.allocations import allocations
from tcmstruct.compression.channels import channel_groups, fitted
from tcmstruct.model.tagger import CharTagger


class Text(Protocol):
    """What is asked of a batch: ids (B, T), 0 on padding, and lexicon (B, T, F) or None."""

    ids: Tensor
    lexicon: Tensor | None


FEED, HEAD = "feed-forward group", "attention head"


@dataclass(frozen=True)
class _Place:
    """A linear layer whose inputs are neurons (the feed-forward part's output) or heads (the attention's)."""

    kind: str
    name: str
    output: nn.Linear
    n_members: int


def _places(model: CharTagger) -> Iterator[_Place]:
    """All prunable places, from the bottom up, each layer's heads before its neurons."""
    attention = dict(getattr(model.encoder, "attention", {}).items())
    for number, layer in enumerate(model.encoder.layers, start=1):
        own = getattr(layer, "attention", None)
        if own is not None:
            yield _Place(HEAD, f"layer {number} heads", own.output, own.n_heads)
        yield _Place(FEED, f"layer {number} feed", layer.feed_out, layer.feed_out.in_features)
        if str(number) in attention:
            part = attention[str(number)]
            yield _Place(HEAD, f"heads after layer {number}", part.output, part.n_heads)


def _owners(model: CharTagger) -> dict[str, nn.Module]:
    """Name of a place → the layer or attention that holds it."""
    attention = dict(getattr(model.encoder, "attention", {}).items())
    out: dict[str, nn.Module] = {}
    for number, layer in enumerate(model.encoder.layers, start=1):
        out[f"layer {number} feed"] = layer
        if hasattr(layer, "attention"):
            out[f"layer {number} heads"] = layer.attention
        if str(number) in attention:
            out[f"heads after layer {number}"] = attention[str(number)]
    return out


def pruned_tagger(model: CharTagger, kept: Mapping[str, Sequence[int]]) -> CharTagger:
    """A copy that keeps only these neurons or heads of the named places; other places stay whole.

    The copy's `config` still names the widths of the original: keep what was cut beside its weights.
    """
    out = copy.deepcopy(model)
    for name, owner in _owners(out).items():
        if name not in kept:
            continue
        members = torch.tensor(sorted(kept[name]))
        if hasattr(owner, "feed_in"):
            _keep_rows(owner.feed_in, members)
            _keep_columns(owner.feed_out, members)
        else:
            width = owner.query.out_features // owner.n_heads
            rows = (members[:, None] * width + torch.arange(width)).flatten()
            for part in (owner.query, owner.key, owner.value):
                _keep_rows(part, rows)
            _keep_columns(owner.output, rows)
            owner.n_heads = len(members)
    return out


def _keep_rows(linear: nn.Linear, rows: Tensor) -> None:
    linear.weight, linear.bias = nn.Parameter(linear.weight.detach()[rows]), nn.Parameter(linear.bias.detach()[rows])
    linear.out_features = len(rows)


def _keep_columns(linear: nn.Linear, columns: Tensor) -> None:
    linear.weight = nn.Parameter(linear.weight.detach()[:, columns])
    linear.in_features = len(columns)


def refit_tagger(pruned: CharTagger, whole: CharTagger, batch: Text) -> None:
    """Refits in place the output of every place that lost members, so that it gives what it gave.

    Args:
        batch: calibration text.
    """
    real = batch.ids != 0
    wanted = {place.name: answers for place, (_, answers) in zip(_places(whole), _seen(whole, batch), strict=True)}
    for number, (place, before) in enumerate(zip(_places(pruned), _places(whole), strict=True)):
        if place.output.in_features < before.output.in_features:
            inputs, _ = _seen(pruned, batch, number)[0]  # anew for every place: those below were refitted meanwhile
            output = place.output
            output.weight.data, output.bias.data = fitted(inputs[real], wanted[place.name][real], output.weight.detach(),
                                                          output.bias.detach())


def _seen(model: CharTagger, batch: Text, only: int | None = None) -> list[tuple[Tensor, Tensor]]:
    """Inputs and outputs (B, T, …) of the places' linear layers in one pass, the start vector's position cut off."""
    length, seen = batch.ids.shape[1], []

    def note(module: nn.Module, given: tuple[Tensor, ...], out: Tensor) -> None:
        seen.append((given[0][:, -length:], out[:, -length:]))

    hooks = [place.output.register_forward_hook(note) for n, place in enumerate(_places(model)) if only in (None, n)]
    with torch.no_grad():
        model.encode(batch.ids, batch.lexicon)
    for hook in hooks:
        hook.remove()
    return seen


def importance(model: CharTagger, batches: Iterable[Text], loss: Callable[[CharTagger, Text], Tensor]) -> dict[str, dict[str, Tensor]]:
    """Criterion → place → (members,): "taylor" as `importance.taylor`, "l1" the output's weights relative to their mean."""
    places = list(_places(model))
    masks = {p.name: torch.ones(p.n_members, requires_grad=True) for p in places}
    found = {p.name: torch.zeros(p.n_members) for p in places}

    def masked(place: _Place) -> Callable:
        repeats = place.output.in_features // place.n_members
        return lambda module, given: (given[0] * masks[place.name].repeat_interleave(repeats),)

    hooks = [p.output.register_forward_pre_hook(masked(p)) for p in places]
    for batch in batches:
        for name, gradient in zip(masks, torch.autograd.grad(loss(model, batch), list(masks.values())), strict=True):
            found[name] += gradient.abs()
    for hook in hooks:
        hook.remove()
    norms = {p.name: p.output.weight.detach().abs().sum(0).view(p.n_members, -1).sum(1) for p in places}
    return {"taylor": {name: values / values.norm() for name, values in found.items()},
            "l1": {name: values / values.mean() / len(values) for name, values in norms.items()}}


class TextPruning(PruningEnv):
    """A tagger seen by a search.

    Args:
        scores: see `importance`; "taylor" also says which neurons form a group.
        calibration: text on which a cut model is refitted.
        quality: what a pruned tagger is worth, 0–1.
        n_groups: groups of neurons a layer.
        n_characters: of the window whose memory is measured.
        identity: of the data behind `quality`, for the cache of measurements.
    """

    def __init__(self, model: CharTagger, scores: Mapping[str, Mapping[str, Tensor]], calibration: Text,
                 quality: Callable[[CharTagger], float], *, n_groups: int = 4, n_characters: int = 512, identity: str = "") -> None:
        self.model, self.quality, self._scores, self._calibration = model.eval(), quality, scores, calibration
        self._n_characters, self._identity = n_characters, identity
        self._parts = [(place, tuple(group)) for place in _places(model)
                       for group in channel_groups(scores["taylor"][place.name], n_groups if place.kind == FEED else place.n_members)]
        self._known: dict[tuple[str, int], int] = {}

    def units(self) -> Sequence[Unit]:
        """Places from the bottom up; the most important unit of each stays."""
        return self._units

    @cached_property
    def _units(self) -> tuple[Unit, ...]:
        out, count = [], dict.fromkeys((place.name for place, _ in self._parts), 0)
        for place, members in self._parts:
            n_kept = place.n_members - len(members)
            gone = self.model if not n_kept else pruned_tagger(self.model, {place.name: range(n_kept)})
            scores = {name: float(values[place.name][list(members)].sum()) for name, values in self._scores.items()}
            size = _n_parameters(self.model) - _n_parameters(gone)
            out.append(Unit(f"{place.name}/{count[place.name]}", place.kind, size,
                            self._saved(place.name, n_kept) if n_kept else 0, scores,
                            required=count[place.name] == 0))
            count[place.name] += 1
        return tuple(out)

    def kept(self, plan: Plan) -> dict[str, list[int]]:
        """Place → members that stay."""
        out: dict[str, list[int]] = {}
        for (place, members), keep in zip(self._parts, plan.keep, strict=True):
            out.setdefault(place.name, []).extend(members if keep else ())
        return out

    def memory_bytes(self, plan: Plan) -> int:
        """Places share no tensor: what each saves at a width is measured once, and savings add up (a test holds that)."""
        return self._whole_bytes - sum(self._saved(name, len(members)) for name, members in self.kept(plan).items())

    @cached_property
    def _whole_bytes(self) -> int:
        return self._allocated(self.model)

    def _saved(self, name: str, n_members: int) -> int:
        if (name, n_members) not in self._known:
            cut = pruned_tagger(self.model, {name: range(n_members)})
            self._known[name, n_members] = self._whole_bytes - self._allocated(cut)
        return self._known[name, n_members]

    def apply(self, plan: Plan) -> CharTagger:
        """Not yet refitted."""
        return pruned_tagger(self.model, self.kept(plan))

    def measure(self, pruned: CharTagger) -> Measurement:
        """Quality after refitting, and memory."""
        refit_tagger(pruned, self.model, self._calibration)
        return Measurement(self.quality(pruned), self._allocated(pruned))

    def _allocated(self, model: CharTagger) -> int:
        ids = torch.full((1, self._n_characters), 5)
        features = model.config.lexicon_features
        lexicon = torch.zeros(1, self._n_characters, features) if features else None
        weights = sum(p.numel() * p.element_size() for p in model.encoder.parameters())
        return weights + allocations(lambda: model.encode(ids, lexicon)).total

    def fingerprint(self) -> str:
        """Weights, calibration text and the identity given."""
        digest = hashlib.sha256(self._identity.encode())
        for name, tensor in sorted(self.model.state_dict().items()):
            digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
        digest.update(self._calibration.ids.contiguous().numpy().tobytes())
        return digest.hexdigest()


def _n_parameters(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())

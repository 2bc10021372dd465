"""The loop learns, resumes to the same end, and stops at a loss that is no number."""

import random

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tcmstruct.errors import TcmstructError  # noqa: E402
from tcmstruct.model.config import EncoderConfig, ModelConfig  # noqa: E402
from tcmstruct.model.tagger import CharTagger  # noqa: E402
from tcmstruct.training.data import IGNORE, Example, batches, tags_of  # noqa: E402
from tcmstruct.training.loop import ByPass, LoopConfig, fit, parameter_groups, schedule  # noqa: E402
from tcmstruct.training.objectives import Distillation, MaskedLM, Tagging  # noqa: E402

CONFIG = ModelConfig(EncoderConfig(kind="conv", hidden=16, n_layers=2, n_heads=2, feed=32, kernel=3, attention_after=(1,)), n_characters=12,
                     readouts={"gold": ["症状"]}, dropout=0.0)


def examples(n=80, seed=0):
    """Character 5 begins a mention, character 6 continues it; the status of a mention is the character before it."""
    rng = np.random.default_rng(seed)
    out = []
    for _ in range(n):
        ids = rng.integers(7, 12, 20).astype(np.int32)
        tags, status = np.zeros(20, np.int64), np.full(20, IGNORE)
        at = int(rng.integers(1, 17))
        ids[at : at + 3], tags[at : at + 3] = [5, 6, 6], [1, 2, 2]
        status[at : at + 3] = int(ids[at - 1] % 2)
        out.append(Example(ids, "gold", tags, status))
    return out


def train(folder=None, n=60_000, objective=None, data=None):
    torch.manual_seed(0)
    model = CharTagger(CONFIG)
    rng = random.Random(0)
    data = data or examples()
    fit(model, objective or Tagging(), lambda: batches(data, 160, rng), LoopConfig(n, learning_rate=1e-2, log_every_s=1e9), folder,
        say=lambda _: None)
    return model


def test_learns_tags_and_status():
    model = train()
    hits = total = 0
    for e in examples(seed=1):
        with torch.inference_mode():
            out = model(torch.from_numpy(e.ids).long()[None])
        assert np.array_equal(out.tags["gold"][0].argmax(-1).numpy(), e.tags)
        inside = e.status != IGNORE
        hits += (out.status[0].argmax(-1).numpy()[inside] == e.status[inside]).sum()
        total += inside.sum()
    assert hits / total > 0.95


def test_student_learns_from_soft_targets_alone():
    teacher = train()
    data = []
    for e in examples():
        with torch.inference_mode():
            o = teacher(torch.from_numpy(e.ids).long()[None])
        data.append(Example(e.ids, soft={"tags:gold": o.tags["gold"][0].half().numpy(), "status": o.status[0].half().numpy()}))
    student = train(objective=Distillation({"gold": 1.0}), data=data)
    for e in examples(seed=1):
        with torch.inference_mode():
            assert np.array_equal(student(torch.from_numpy(e.ids).long()[None]).tags["gold"][0].argmax(-1).numpy(), e.tags)


def test_masked_lm_learns_a_language_of_one_sentence():
    ids = np.array([3, 4, 5, 6, 7, 8, 9, 10] * 2, np.int32)
    data = [Example(ids, soft={"word": np.arange(16) // 2}) for _ in range(8)]
    torch.manual_seed(0)
    objective = MaskedLM(16, 12)
    model = CharTagger(CONFIG)
    rng = random.Random(0)
    losses = []

    class Watched(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = objective

        def loss(self, model, batch):
            value = self.inner.loss(model, batch)
            losses.append(value.item())
            return value

    fit(model, Watched(), lambda: batches(data, 128, rng), LoopConfig(30_000, learning_rate=5e-3, log_every_s=1e9), say=lambda _: None)
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])


def test_resumed_run_starts_from_the_checkpoint(tmp_path):
    from tcmstruct.training import loop

    model = CharTagger(CONFIG)
    parts = torch.nn.ModuleDict({"model": model})
    optimiser = torch.optim.AdamW(parameter_groups(parts, LoopConfig(100)))
    model(torch.ones(1, 4, dtype=torch.long)).tags["gold"].sum().backward()
    optimiser.step()
    loop._save(tmp_path / "checkpoint", parts, optimiser, loop.Progress(77, 3, 1.5))
    loop._save(tmp_path / "checkpoint", parts, optimiser, loop.Progress(99, 4, 2.5))
    other = torch.nn.ModuleDict({"model": CharTagger(CONFIG)})
    other_optimiser = torch.optim.AdamW(parameter_groups(other, LoopConfig(100)))
    progress = loop._resume(tmp_path / "checkpoint", other, other_optimiser)
    assert (progress.n_characters, progress.step) == (99, 4)
    for a, b in zip(parts.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    first, second = optimiser.state_dict()["state"], other_optimiser.state_dict()["state"]
    assert first.keys() == second.keys()
    assert all(torch.equal(first[i]["exp_avg"], second[i]["exp_avg"]) for i in first)
    assert not any(p.suffix in {".pt", ".pkl", ".bin"} for p in tmp_path.rglob("*"))


def test_loss_that_is_no_number_stops_with_a_reason():
    class Broken:
        def loss(self, model, batch):
            return model(batch.ids).tags["gold"].sum() * float("nan")

    with pytest.raises(TcmstructError, match="loss became nan") as caught:
        train(objective=Broken())
    assert caught.value.code == "loss_not_finite"


def test_schedule_rises_then_falls_to_zero():
    values = [schedule(i / 100, 0.1) for i in range(101)]
    assert values[0] < 0.05 and max(values) == pytest.approx(1.0, abs=0.02) and values[-1] == pytest.approx(0.0, abs=1e-9)
    assert values.index(max(values)) in (9, 10)


def test_longest_of_overlapping_mentions_is_kept_and_unknown_types_are_left_out():
    tags, status = tags_of(8, [{"type": "症状", "start": 1, "end": 3, "status": "无"},
                               {"type": "症状", "start": 1, "end": 5, "status": "有"},
                               {"type": "没有的", "start": 6, "end": 8}], ["症状"])
    assert tags.tolist() == [0, 1, 2, 2, 2, 0, 0, 0]
    assert status.tolist() == [IGNORE, 0, 0, 0, 0, IGNORE, IGNORE, IGNORE]


def test_batches_hold_one_readout_each_and_every_example_once():
    data = examples(10) + [Example(np.arange(3, 9, dtype=np.int32), "cshan", np.zeros(6, np.int64), np.full(6, IGNORE)) for _ in range(5)]
    seen = 0
    for batch in batches(data, 60, random.Random(0)):
        assert batch.ids.numel() <= 60 or batch.ids.shape[0] == 1
        assert batch.ids.shape[1] == (6 if batch.readout == "cshan" else 20)
        seen += batch.ids.shape[0]
    assert seen == 15


def by_pass(folder, passes, stop_after=None, enough=None):
    """A run that is looked at after every pass; `stop_after` ends it as a kill would, after so many checkpoints."""
    torch.manual_seed(0)
    model, rng, data = CharTagger(CONFIG), random.Random(), examples(30)
    seen = []

    def watch(before):
        if stop_after is not None and len(before) == stop_after:
            raise KeyboardInterrupt
        seen.append(len(before))
        return {"norm": float(sum(p.detach().norm() for p in model.parameters()))}

    config = LoopConfig(passes * 600, learning_rate=1e-2, log_every_s=1e9, seed=4)
    run = ByPass(rng, watch, enough or (lambda done: False))
    progress = fit(model, Tagging(), lambda: batches(rng.sample(data, 30), 160, rng), config, folder, say=lambda _: None, by_pass=run)
    return progress, model, seen


def test_a_run_by_passes_ends_the_same_wherever_it_was_interrupted(tmp_path):
    whole, model, _ = by_pass(tmp_path / "whole", 4)
    with pytest.raises(KeyboardInterrupt):
        by_pass(tmp_path / "cut", 4, stop_after=2)
    resumed, other, seen = by_pass(tmp_path / "cut", 4)
    assert seen == [2, 3] and len(resumed.passes) == 4
    assert resumed.passes == whole.passes and resumed.step == whole.step
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize("left", ["checkpoint.new", "checkpoint.old"])
def test_a_run_that_was_ended_between_two_renames_goes_on(tmp_path, left):
    by_pass(tmp_path, 2)
    (tmp_path / "checkpoint").rename(tmp_path / left)
    progress, _, seen = by_pass(tmp_path, 3)
    assert seen == [2] and len(progress.passes) == 3


def test_it_ends_early_where_enough_is_said_and_stays_ended(tmp_path):
    progress, _, seen = by_pass(tmp_path, 9, enough=lambda done: len(done) >= 2)
    assert seen == [0, 1] and len(progress.passes) == 2
    assert by_pass(tmp_path, 9, enough=lambda done: len(done) >= 2)[2] == []

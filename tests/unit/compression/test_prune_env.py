"""The fused model as a pruning environment: predicted memory is the measured one, plans are physical, importance is gradient."""

import random

import pytest
import torch
from tiny_lite import tiny_encoder, tiny_fusion

from rl_pruner import Greedy, LstmSearch, Plan, PruningProblem, SearchConfig, Uniform
from tcmstruct.compression import prune
from tcmstruct.compression.allocations import allocations
from tcmstruct.compression.channels import folded, prunable_blocks
from tcmstruct.compression.importance import l1, taylor
from tcmstruct.compression.prune import FusedModel, FusedPruning

pytest.importorskip("torch_pruning")


@pytest.fixture(scope="module")
def model() -> FusedModel:
    return FusedModel(folded(tiny_encoder()), (tiny_fusion(), tiny_fusion(1)))


@pytest.fixture(scope="module")
def env(model: FusedModel) -> FusedPruning:
    images = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    places = torch.ones(4, 2, 4, 4)
    draw = torch.Generator().manual_seed(1)
    pair = (torch.randn(2, 9, 32, generator=draw), torch.ones(2, 9, dtype=torch.bool), torch.rand(2, 49, 14, generator=draw),
            torch.randn(2, 7, generator=draw), torch.ones(2))
    found = taylor(model, [lambda: model.encoder(images, places).body.square().mean()],
                   [lambda: model.fusions[0](*pair).scores["腻"].square().mean()])
    wanted = model.encoder(images, places).grid.detach()

    def quality(cut: FusedModel) -> float:
        with torch.no_grad():
            return float(1 / (1 + (cut.encoder(images, places).grid - wanted).square().mean()))

    return FusedPruning(model, {"taylor": found, "l1": l1(model, lambda n: n / 4)}, images, quality, lambda cut: None,
                        mean_gate=torch.linspace(0, 1, 32), n_characters=20)


def plans(env: FusedPruning, n: int = 6) -> list[Plan]:
    draw = random.Random(0)
    some = [Plan(tuple(u.required or draw.random() < 0.5 for u in env.units())) for _ in range(n)]
    return [Plan.full(len(env.units())), Plan(tuple(u.required for u in env.units())), *some]


def test_predicted_memory_is_what_is_measured(env):
    for plan in plans(env):
        assert env.allocated(env.apply(plan)).total == env.memory_bytes(plan)


def test_memory_never_falls_when_a_unit_is_kept(env):
    for plan in plans(env):
        for place, kept in enumerate(plan.keep):
            if not kept:
                more = Plan((*plan.keep[:place], True, *plan.keep[place + 1 :]))
                assert env.memory_bytes(more) > env.memory_bytes(plan)


def test_units_say_how_many_parameters_go_with_them(env, model):
    for place, unit in enumerate(env.units()):
        if not unit.required:
            keep = tuple(i != place for i in range(len(env.units())))
            gone = model.n_parameters() - env.apply(Plan(keep)).n_parameters()
            assert gone == unit.size or unit.kind == prune.GATE  # a gate group's size falls with every group that went before it


def test_one_unit_of_every_layer_stays(env):
    units = env.units()
    assert sum(u.required for u in units) == 6 + 1 + 1
    smallest = env.apply(Plan(tuple(u.required for u in units)))
    assert smallest.fusions[0].config.n_heads == 1 and len(smallest.fusions[0].config.reach) == 4
    assert [b.conv_pw.out_channels for b in prunable_blocks(smallest.encoder).values()] == [6, 9, 9, 12, 12, 15]
    assert smallest.fusions[1].config == smallest.fusions[0].config


def test_taylor_sees_what_the_loss_hangs_on(model):
    """A channel whose projection is zero cannot move the loss."""
    cut = FusedModel(folded(tiny_encoder(5)), model.fusions)
    with torch.no_grad():
        prunable_blocks(cut.encoder)["3.1"].conv_pwl.weight[:, 7] = 0
    images, places = torch.randn(2, 3, 64, 64), torch.ones(2, 2, 4, 4)
    pair = (torch.randn(2, 5, 32), torch.ones(2, 5, dtype=torch.bool), torch.rand(2, 49, 14), torch.randn(2, 7), torch.ones(2))
    found = taylor(cut, [lambda: cut.encoder(images, places).body.square().mean()],
                   [lambda: cut.fusions[0](*pair).scores["苔色"].square().mean()])
    values = found.channels["3.1"]
    assert values[7] == 0 and (values > 0).sum() > 10
    assert all(abs(float(v.norm()) - 1) < 1e-5 for v in (*found.channels.values(), found.heads, found.reach))


def test_searching_the_real_environment_ends_within_the_wall(env, tmp_path):
    full, small = (env.memory_bytes(p) for p in plans(env)[:2])
    problem = PruningProblem(env, (full + small) // 2, reward="relative_f1", cache_file=tmp_path / "plans.jsonl")
    hint = Greedy("taylor").run(problem).best
    config = SearchConfig(n_iterations=3, samples_per_iteration=4, seed=1)
    best = LstmSearch(config, tmp_path / "search", hint=hint.plan).run(problem).best
    assert best.measurement.memory_bytes <= problem.limit_bytes and best.reward >= hint.reward
    assert Uniform().run(problem).best.measurement.memory_bytes <= problem.limit_bytes
    again = PruningProblem(env, problem.limit_bytes, reward="relative_f1", cache_file=tmp_path / "plans.jsonl")
    assert len(again.cache) == len(problem.cache)


def test_other_weights_are_another_environment(env, model):
    other = FusedPruning(FusedModel(folded(tiny_encoder(8)), model.fusions), env._importance, env._calibration, lambda m: 1.0,
                         lambda m: None, mean_gate=torch.ones(32), n_characters=20)
    assert other.fingerprint() != env.fingerprint()


def test_allocations_count_every_tensor_and_the_most_at_once():
    x = torch.zeros(1000, 1000)

    def run() -> torch.Tensor:
        y = x + 1
        y = y + 1  # the first sum is given back after this one is there
        return y + 1

    found = allocations(run)
    assert found.total // x.nbytes == 3 and found.peak // x.nbytes == 2 and found.total % x.nbytes < 1000

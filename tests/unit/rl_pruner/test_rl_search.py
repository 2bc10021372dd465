import itertools
import json
import math
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy_environment import ToyEnv, misleading_env

import rl_pruner
from rl_pruner import (
    BruteForce,
    CheckpointInvalid,
    Greedy,
    LstmSearch,
    Measurement,
    Plan,
    PruningProblem,
    RandomPlans,
    RewardNotFinite,
    SearchConfig,
    SettingInvalid,
    UnitsChanged,
)
from rl_pruner.controller import Controller, leave_one_out_advantage, unit_features

SMALL = SearchConfig(n_iterations=6, samples_per_iteration=4, checkpoint_every=2, seed=7)


def half(env: ToyEnv) -> int:
    return env.fixed_bytes + sum(env.memory) // 2


# ---------------------------------------------------------------------------------------------- does it find the plan


@pytest.mark.parametrize(("seed", "n_units", "reward"), [
    (20, 12, "relative_f1"), (21, 12, "n2n"), (23, 8, "n2n")])
def test_search_comes_within_one_percent_of_brute_force(seed, n_units, reward):
    env = misleading_env(seed, n_units)
    problem = PruningProblem(env, half(env), reward=reward)
    best = BruteForce().run(problem).best
    found = LstmSearch(SearchConfig(n_iterations=100, seed=seed)).run(problem)
    assert found.best.reward >= 0.99 * best.reward
    assert found.best.reward <= best.reward


def test_search_finds_the_known_best_plan_where_the_score_misleads():
    good = {1, 4, 5, 10, 13, 14}
    gains = [1.0 if i in good else 0.1 for i in range(16)]
    env = ToyEnv(gains, [100] * 16, scores=[-gain for gain in gains])
    problem = PruningProblem(env, env.fixed_bytes + 600, reward="relative_f1")
    found = LstmSearch(SearchConfig(n_iterations=60, seed=1)).run(problem)
    assert {i for i, kept in enumerate(found.best.plan.keep) if kept} == good
    assert Greedy("taylor").run(problem).best.reward < found.best.reward
    assert RandomPlans(found.n_evaluations, seed=1).run(problem).best.reward < found.best.reward


def test_sampled_plans_move_toward_the_better_ones():
    env = misleading_env(5, 10)
    means = []
    LstmSearch(SearchConfig(n_iterations=25, seed=2), progress=lambda s: means.append(s.mean_reward)).run(
        PruningProblem(env, half(env), reward="relative_f1"))
    assert sum(means[-5:]) / 5 > sum(means[:5]) / 5


def test_readme_example_runs(capsys):
    readme = Path(rl_pruner.__file__).with_name("README.md").read_text(encoding="utf-8")
    exec(readme.split("```python\n")[1].split("```")[0], {})
    table = capsys.readouterr().out.splitlines()
    assert [line.split("|")[1].strip() for line in table if line.startswith("|")][3:] == ["random", "l1", "taylor", "lstm-rl"]


# ------------------------------------------------------------------------------------------------------ the memory wall


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 1.0])
def test_every_plan_asked_for_lies_under_the_wall(share):
    env = misleading_env(3, 9)
    env = ToyEnv(env.gains, env.memory, pairs=env.pairs, required=[2, 8])
    floor = env.fixed_bytes + env.memory[2] + env.memory[8]
    limit = floor + int(share * (env.fixed_bytes + sum(env.memory) - floor))
    problem = PruningProblem(env, limit)
    assert problem.full.f1 == pytest.approx(0.9)
    env.measured.clear()
    LstmSearch(SMALL).run(problem)
    plans = [Plan.from_key(key) for key in env.measured]
    assert plans
    for plan in plans:
        assert env.memory_bytes(plan) <= limit
        assert plan.keep[2] and plan.keep[8]


class SharedMemoryEnv(ToyEnv):
    """Two convolutions in a row: memory is the product of the channels kept, not a sum."""

    def memory_bytes(self, plan: Plan) -> int:
        half_way = len(plan.keep) // 2
        return 50 + 40 * (1 + sum(plan.keep[:half_way])) * (1 + sum(plan.keep[half_way:]))


def test_wall_holds_for_memory_that_is_not_additive():
    env = SharedMemoryEnv([1, 2, 3, 4, 5, 6, 7, 8], [10] * 8)
    problem = PruningProblem(env, 400, reward="relative_f1")
    best = BruteForce().run(problem).best
    env.measured.clear()
    found = LstmSearch(SearchConfig(n_iterations=30, seed=0)).run(problem)
    assert all(env.memory_bytes(Plan.from_key(key)) <= 400 for key in env.measured)
    assert found.best.reward >= 0.99 * best.reward


def test_forced_decisions_carry_no_probability_and_no_entropy():
    env = ToyEnv([1.0] * 4, [10] * 4, required=[0, 3])
    problem = PruningProblem(env, env.fixed_bytes + 20)  # room for the required ones only
    features = unit_features(problem.units)
    controller = Controller(features.shape[1], 64, seed=0)
    rollout = controller.sample(problem, features, 5, torch.Generator().manual_seed(0))
    assert [plan.key for plan in rollout.plans] == ["1001"] * 5
    assert rollout.log_prob.tolist() == [0.0] * 5
    assert rollout.entropy.tolist() == [0.0] * 5


# ------------------------------------------------------------------------------------------------------ its mathematics


def test_log_probability_is_that_of_the_plan():
    env = ToyEnv([1.0] * 3, [10] * 3)
    problem = PruningProblem(env, env.fixed_bytes + 30)  # room for all
    features = unit_features(problem.units)
    controller = Controller(features.shape[1], 64, seed=0)  # its output starts at zero: the pace decides
    rollout = controller.sample(problem, features, 40, torch.Generator().manual_seed(0))
    kept = [sum(plan.keep) for plan in rollout.plans]
    assert len(set(kept)) > 1
    assert rollout.log_prob.tolist() == pytest.approx([k * math.log(0.95) + (3 - k) * math.log(0.05) for k in kept], rel=1e-5)
    assert rollout.entropy.tolist() == pytest.approx([-3 * (0.95 * math.log(0.95) + 0.05 * math.log(0.05))] * 40, rel=1e-5)


def test_untrained_controller_fills_the_limit_evenly():
    env = ToyEnv([1.0] * 20, [100] * 20)
    problem = PruningProblem(env, env.fixed_bytes + 1000)
    features = unit_features(problem.units)
    rollout = Controller(features.shape[1], 64, seed=0).sample(problem, features, 200, torch.Generator().manual_seed(0))
    kept = torch.tensor([plan.keep for plan in rollout.plans]).float()
    assert kept.sum(dim=1).mean() > 9.0  # of the 10 that fit
    assert (kept.mean(dim=0) - 0.5).abs().max() < 0.15  # early units no more than late ones


def test_leave_one_out_advantage():
    rewards = torch.tensor([1.0, 2.0, 6.0])
    assert leave_one_out_advantage(rewards).tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])
    assert leave_one_out_advantage(torch.full((4,), 0.25)).tolist() == [0.0] * 4


def test_features_tell_units_apart_and_are_finite():
    env = ToyEnv([0.0] * 7, [0] * 7)  # no size, no memory, equal scores
    features = unit_features(env.units())
    assert torch.isfinite(features).all()
    assert len({tuple(row) for row in features.tolist()}) == 7


def test_global_random_state_is_left_alone():
    env = misleading_env(0, 6)
    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    LstmSearch(SMALL).run(PruningProblem(env, half(env)))
    assert torch.equal(torch.rand(3), expected)


# -------------------------------------------------------------------------------------------------- files and resuming


class Interrupted(Exception):
    pass


class FailingEnv(ToyEnv):
    """Fails at the n-th measurement, as a power cut would."""

    fail_at = None

    def measure(self, pruned):
        if self.fail_at is not None and len(self.measured) == self.fail_at:
            raise Interrupted
        return super().measure(pruned)


def failing_env() -> FailingEnv:
    env = misleading_env(4, 10)
    return FailingEnv(env.gains, env.memory, pairs=env.pairs)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file() and path.name != "evaluations.jsonl"}


def test_resumed_search_equals_an_undisturbed_one(tmp_path):
    calm, broken = failing_env(), failing_env()
    undisturbed = LstmSearch(SMALL, tmp_path / "calm").run(PruningProblem(calm, half(calm)))
    for fail_at in (0, 1, len(calm.measured) // 2, len(calm.measured) - 1):
        broken.fail_at = fail_at
        with pytest.raises(Interrupted):
            LstmSearch(SMALL, tmp_path / "broken", resume=True).run(PruningProblem(broken, half(broken)))
    broken.fail_at = None
    resumed = LstmSearch(SMALL, tmp_path / "broken", resume=True).run(PruningProblem(broken, half(broken)))
    assert resumed == undisturbed
    assert files(tmp_path / "broken") == files(tmp_path / "calm")
    assert broken.measured == calm.measured  # nothing was measured twice


def test_more_iterations_later_equal_more_iterations_at_once(tmp_path):
    env = misleading_env(4, 8)
    LstmSearch(replace(SMALL, n_iterations=3), tmp_path / "a").run(PruningProblem(env, half(env)))
    later = LstmSearch(SMALL, tmp_path / "a", resume=True).run(PruningProblem(env, half(env)))
    assert later == LstmSearch(SMALL).run(PruningProblem(env, half(env)))
    env.measured.clear()
    assert LstmSearch(SMALL, tmp_path / "a", resume=True).run(PruningProblem(env, half(env))) == later
    assert env.measured == []


def test_seed_fixes_the_search():
    env = misleading_env(4, 10)

    def course(seed):
        summaries = []
        LstmSearch(replace(SMALL, seed=seed), progress=summaries.append).run(PruningProblem(env, half(env)))
        return summaries

    assert course(7) == course(7) != course(8)


def test_settled_controller_starts_afresh_and_resumes_so(tmp_path):
    env = ToyEnv([1.0, 2.0, 3.0], [10, 10, 10])
    config = replace(SMALL, n_iterations=14, patience=2)
    summaries = []
    calm = LstmSearch(config, progress=summaries.append).run(PruningProblem(env, 120))
    starts = [summary.start for summary in summaries]
    assert starts == sorted(starts) and starts[0] == 1 and starts[-1] > 1  # eight plans are soon all measured
    assert all(a.best_reward <= b.best_reward for a, b in itertools.pairwise(summaries))
    for n_iterations in (5, 6, 9, 14):
        resumed = LstmSearch(replace(config, n_iterations=n_iterations), tmp_path, resume=True).run(PruningProblem(env, 120))
    assert resumed == calm
    LstmSearch(config, tmp_path / "calm").run(PruningProblem(env, 120))
    assert files(tmp_path / "calm") == files(tmp_path)


def test_evaluation_bound_is_kept():
    env = misleading_env(4, 10)
    problem = PruningProblem(env, half(env))
    found = LstmSearch(replace(SMALL, n_iterations=500, max_evaluations=11)).run(problem)
    assert 8 <= found.n_evaluations <= 11
    assert found.n_evaluations == len(set(env.measured) - {"1" * 10})


def test_files_of_a_search(tmp_path):
    env = misleading_env(4, 8)
    problem = PruningProblem(env, half(env))
    found = LstmSearch(SMALL, tmp_path).run(problem)
    assert {path.name for path in tmp_path.iterdir()} == {
        "state.json", "controller-000006.safetensors", "evaluations.jsonl", "search.log", "search.svg", "best.json"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    best = json.loads((tmp_path / "best.json").read_text())
    assert best["kept"] == [f"u{i}" for i, kept in enumerate(found.best.plan.keep) if kept]
    assert len(best["kept"]) + len(best["removed"]) == 8
    log = (tmp_path / "search.log").read_text().splitlines()
    assert f"limit {half(env)} bytes" in log[0]
    assert [line.split("|")[0].strip() for line in log[4:11]] == ["iteration", "1", "2", "3", "4", "5", "6"]
    assert found.best.plan.key in log[-1]
    journal = [json.loads(line) for line in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert {row["plan"] for row in journal[1:]} == set(env.measured)


# --------------------------------------------------------------------------------------------------------------- errors


def started(tmp_path):
    env = misleading_env(4, 8)
    LstmSearch(SMALL, tmp_path).run(PruningProblem(env, half(env)))
    return env


def resume(tmp_path, env, config=SMALL, limit=None):
    LstmSearch(config, tmp_path, resume=True).run(PruningProblem(env, limit or half(env)))


def test_changed_units_are_named_and_nothing_is_written(tmp_path):
    env = started(tmp_path)
    before = files(tmp_path)
    with pytest.raises(UnitsChanged, match="8 units, the environment now has 7"):
        resume(tmp_path, ToyEnv(env.gains[:7], env.memory[:7]))
    larger = [*env.memory[:3], env.memory[3] + 4, *env.memory[4:]]
    with pytest.raises(UnitsChanged, match=rf"unit 3 \('u3'\) had size {env.memory[3] // 4}, now it has {larger[3] // 4}"):
        resume(tmp_path, ToyEnv(env.gains, larger, scores=env.scores))
    other = ToyEnv(env.gains, env.memory, pairs=env.pairs, scores=env.scores)
    other.fingerprint = lambda: "other weights"
    with pytest.raises(UnitsChanged, match="belongs to the environment"):
        resume(tmp_path, other)
    assert files(tmp_path) == before


def test_changed_settings_are_named(tmp_path):
    env = started(tmp_path)
    with pytest.raises(CheckpointInvalid, match="with seed 7, this search has 8"):
        resume(tmp_path, env, replace(SMALL, seed=8))
    with pytest.raises(CheckpointInvalid, match=f"with limit_bytes {half(env)}, this search has {half(env) + 1}"):
        resume(tmp_path, env, limit=half(env) + 1)


def test_a_folder_in_use_is_not_overwritten(tmp_path):
    env = started(tmp_path)
    with pytest.raises(CheckpointInvalid, match="already holds a search"):
        LstmSearch(SMALL, tmp_path).run(PruningProblem(env, half(env)))


@pytest.mark.parametrize(("name", "damage", "message"), [
    ("state.json", lambda data: data[: len(data) // 2], "cannot be read as JSON"),
    ("state.json", lambda data: b"[1]", "holds list"),
    ("state.json", lambda data: data.replace(b'"format": 1', b'"format": 9'), "holds format 9"),
    ("controller-000006.safetensors", lambda data: data[:-1] + bytes([data[-1] ^ 1]), "has sha256"),
    ("controller-000006.safetensors", None, "cannot be read"),
])
def test_damaged_checkpoints_are_refused(tmp_path, name, damage, message):
    env = started(tmp_path)
    path = tmp_path / name
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(CheckpointInvalid, match=message):
        resume(tmp_path, env)


class NanEnv(ToyEnv):
    nan_at = 3

    def measure(self, pruned):
        found = super().measure(pruned)
        return Measurement(float("nan"), found.memory_bytes) if len(self.measured) > self.nan_at else found


def test_reward_that_is_not_finite_stops_the_search_and_leaves_the_checkpoint(tmp_path):
    env = misleading_env(4, 8)
    env = NanEnv(env.gains, env.memory)
    with pytest.raises(RewardNotFinite, match=r"has reward nan from F1 nan \(full model [\d.]+\) at \d+ bytes"):
        LstmSearch(SMALL, tmp_path).run(PruningProblem(env, half(env)))
    assert json.loads((tmp_path / "state.json").read_text())["iteration"] == 0
    assert "NaN" not in (tmp_path / "evaluations.jsonl").read_text()
    env.nan_at = 10**9
    mended = LstmSearch(SMALL, tmp_path, resume=True).run(PruningProblem(env, half(env)))
    assert mended == LstmSearch(SMALL).run(PruningProblem(env, half(env)))


@pytest.mark.parametrize(("setting", "value"), [
    ("hidden", 100), ("n_iterations", 0), ("samples_per_iteration", 1), ("learning_rate", float("nan")),
    ("entropy_weight", -0.1), ("entropy_decay", 0.0), ("max_evaluations", 3), ("checkpoint_every", 0), ("patience", 0),
    ("seed", -1),
])
def test_settings_outside_their_range_are_refused(setting, value):
    with pytest.raises(SettingInvalid, match=f"{setting} is {value}, allowed is"):
        SearchConfig(**{setting: value})


@pytest.mark.parametrize("hidden", [64, 128, 192, 256])
def test_every_width_runs(hidden):
    env = misleading_env(0, 5)
    found = LstmSearch(SearchConfig(hidden=hidden, n_iterations=2, samples_per_iteration=4)).run(PruningProblem(env, half(env)))
    assert found.best.measurement.memory_bytes <= half(env)
